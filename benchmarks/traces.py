"""How often a picture's pixels tell that it was a JPEG, once or twice: seeded damage of pictures that were none.

    python benchmarks/traces.py --testsets DIR [--few N]

DIR holds CBSD68; its pictures count as they are, and shrunk by 2, 3 and 4. Prints how many pictures show no JPEG, one or two, the
medians of the qualities told, and at the end the seconds that one picture takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from isthmus.imaging.arrays import Array
from isthmus.inference.jpeg_artifacts import jpeg_qualities
from real import jpeg, read, resized

QUALITIES = (5, 10, 20, 30, 50, 75, 85, 90, 92, 95, 97)
TWICE = ((35, 80), (20, 90), (50, 85), (60, 75), (75, 50))
"""Saved in the first quality, cropped by 3 and 5, saved in the second."""


def kinds() -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Yield what a picture has been through."""
    yield "no JPEG", lambda picture: picture
    yield "noise 20", lambda picture: np.clip(picture + np.random.default_rng(0).normal(0, 20, picture.shape), 0, 255).astype("u1")
    yield "JPEG 75, resized by 0.8", lambda picture: resized(jpeg(picture, 75), 0.8)
    yield "JPEG 75, cropped by 3 and 5", lambda picture: jpeg(picture, 75)[3:, 5:]
    for quality in QUALITIES:
        yield f"JPEG {quality}", lambda picture, quality=quality: jpeg(picture, quality)
    for first, second in TWICE:
        yield (
            f"JPEG {first}, cropped by 3 and 5, JPEG {second}",
            lambda picture, first=first, second=second: jpeg(jpeg(picture, first)[3:, 5:], second),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testsets", type=Path, required=True)
    parser.add_argument("--few", type=int, help="only the first N pictures")
    options = parser.parse_args()
    paths = sorted((options.testsets / "CBSD68").iterdir())[: options.few]
    seconds = []
    for kind, made in kinds():
        counts: Counter[int] = Counter()
        told: list[list[int]] = []
        for scale in (1, 2, 3, 4):
            for path in paths:
                picture = made(resized(read(path), 1 / scale) if scale > 1 else read(path))
                began = time.perf_counter()
                qualities = jpeg_qualities(picture.transpose(2, 0, 1))
                seconds.append(time.perf_counter() - began)
                counts[len(qualities)] += 1
                told.append(qualities)
        medians = [float(np.median([one[place] for one in told if len(one) > place])) for place in range(max(counts))]
        row = {"damage": kind, "pictures": len(told), "none": counts[0], "once": counts[1], "twice": counts[2], "told": medians}
        print(json.dumps(row), flush=True)
    print(json.dumps({"median_seconds": round(float(np.median(seconds)), 4)}))


if __name__ == "__main__":
    main()
