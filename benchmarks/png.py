"""Size and seconds of a PNG of 8 bits by level of compression, with Pillow, with imagecodecs, and as isthmus calls the latter.

    python benchmarks/png.py

A photograph (scikit-image's coffee, with a little noise, tiled to 12 megapixels) and a page of text (training/pages.py, tiled).
Seconds are of processor time, the median of five, in turn; the size is a share of the values'.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import imagecodecs
import numpy as np
from PIL import Image
from skimage import data

from isthmus.imaging.arrays import Array
from isthmus.imaging.picture import read_picture
from isthmus.imaging.png import coded_png

PAGES = Path(__file__).parents[1] / "training" / "pages.py"

LEVELS, ROUNDS = (1, 3, 4, 6), 5


def main() -> None:
    for name, picture in {"photograph": photograph(), "page": page()}.items():
        ways: dict[tuple[str, int | None], Callable[[], bytes]] = {
            ("Pillow", level): partial(by_pillow, picture, level) for level in LEVELS
        }
        ways |= {("imagecodecs", level): partial(by_imagecodecs, picture, level) for level in LEVELS}
        ways["isthmus", None] = partial(coded_png, picture if picture.ndim == 3 else picture[:, :, None])
        spent: dict[tuple[str, int | None], list[float]] = {way: [] for way in ways}
        sizes = {}
        for _ in range(ROUNDS):
            for way, code in ways.items():
                began = time.process_time()
                sizes[way] = len(code())
                spent[way].append(time.process_time() - began)
        for (coder, level), seconds in spent.items():
            share = round(100 * sizes[coder, level] / picture.size, 1)
            print(
                json.dumps(
                    {"picture": name, "coder": coder, "level": level, "seconds": round(median(seconds), 2), "percent": share}
                )
            )


def photograph() -> Array:
    """Return 2,800 x 4,200 pixels in color."""
    tiled = np.tile(data.coffee(), (7, 7, 1))[:2800, :4200]
    return (tiled + np.random.default_rng(0).normal(0, 1.5, tiled.shape)).clip(0, 255).astype(np.uint8)


def page() -> Array:
    """Return a page in gray, tiled."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, PAGES, "--out", folder, "--train", "1", "--test", "1"], check=True, capture_output=True)
        one = read_picture(min(Path(folder, "test", "dirty").iterdir())).pixels[:, :, 0]
    return np.tile(one, (5, 5))


def by_pillow(picture: Array, level: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=level)
    return out.getvalue()


def by_imagecodecs(picture: Array, level: int) -> bytes:
    return bytes(imagecodecs.png_encode(picture, level=level))


if __name__ == "__main__":
    main()
