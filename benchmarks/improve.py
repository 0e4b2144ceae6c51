"""What `isthmus improve` decides, and how much better its pictures are, beside each model alone and both: seeded damage.

    python benchmarks/improve.py --testsets DIR [--few N]

DIR holds CBSD68, on which nothing was trained and no threshold was chosen. For each kind of damage it prints the mean PSNR in dB of
the input and of each way, what `improve` did to how many pictures, and the median of the noise that it found, of 255.
"""

from __future__ import annotations

import argparse
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import isthmus
from isthmus.imaging.arrays import Array, to_unit
from isthmus.imaging.picture import decode_picture
from isthmus.improve import Improver
from photos import psnr
from real import noisy, read

SETS = "CBSD68"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testsets", type=Path, required=True)
    parser.add_argument("--few", type=int, default=12, help="only the first N pictures")
    options = parser.parse_args()
    improver, denoiser, repairer = Improver(), isthmus.load("denoise-color"), isthmus.load("repair")
    for damage, make in DAMAGE.items():
        rng = np.random.default_rng(0)
        done: Counter[str] = Counter()
        noise: list[float] = []
        scores: dict[str, list[float]] = {}
        for path in sorted((options.testsets / SETS).iterdir())[: options.few]:
            clean = read(path)
            content, name = make(clean, rng)
            picture = decode_picture(content, name)
            result = improver.improve(picture)
            denoised = denoiser.restore(picture.pixels)
            ways = {
                "input": picture.pixels,
                "denoise": denoised,
                "repair": repairer.restore(picture.pixels),
                "both": repairer.restore(denoised),
                "improve": result.picture.pixels,
            }
            for way, pixels in ways.items():
                scores.setdefault(way, []).append(min(99.0, psnr(to_unit(pixels), to_unit(clean))["psnr_db"]))
            done[" + ".join(result.done) or "nothing"] += 1
            noise.append(result.findings.noise)
        means = {way: round(float(np.mean(values)), 2) for way, values in scores.items()}
        print(json.dumps({"damage": damage, **means, "done": done, "noise_found": round(float(np.median(noise)), 1)}), flush=True)


def png(picture: Array) -> tuple[bytes, str]:
    """Return a PNG file's content, and a name."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue(), "picture.png"


def jpeg(picture: Array, quality: int) -> tuple[bytes, str]:
    """Return a JPEG file's content (4:2:0), and a name."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue(), "picture.jpg"


DAMAGE: dict[str, Callable[[Array, np.random.Generator], tuple[bytes, str]]] = {
    "none": lambda clean, rng: png(clean),
    "white noise 3": lambda clean, rng: png(noisy(clean, 3, rng)),
    "white noise 10": lambda clean, rng: png(noisy(clean, 10, rng)),
    "noise 20, JPEG 85": lambda clean, rng: jpeg(noisy(clean, 20, rng), 85),
    "noise 10, JPEG 75": lambda clean, rng: jpeg(noisy(clean, 10, rng), 75),
    "noise 10, JPEG 50": lambda clean, rng: jpeg(noisy(clean, 10, rng), 50),
    "JPEG 30": lambda clean, rng: jpeg(clean, 30),
    "JPEG 75": lambda clean, rng: jpeg(clean, 75),
    "JPEG 95": lambda clean, rng: jpeg(clean, 95),
}
"""How pictures become files, by name."""


if __name__ == "__main__":
    main()
