"""How near the colors of `colorize` are to the truth, beside leaving a photograph gray, with hints and without; and how fast it is.

    python benchmarks/colorize.py --pictures DIR [--models DIR] [--few N] [--seeds N] [--only quality speed]

DIR holds photographs in color on which nothing was trained (CBSD68, Kodak's). Their gray is CIELAB's L. PSNR is that of RGB in
the 8-bit range, CIEDE2000 the mean over the pixels, colorfulness that of Hasler and Suesstrunk (2003); each for every picture, then
the mean. Hints are ten squares of 7 x 7 pixels at random places, each with the mean color that the truth has there, anew for each
seed. The speed is that of the command line on a picture of 24 megapixels, files and start included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import color

import isthmus
from isthmus.evaluation.metrics import METRICS
from isthmus.imaging.arrays import Array
from isthmus.pretrained import FOLDER

HINTS, SIDE = 10, 7
"""How many hints are given, and how many pixels each has on a side."""

MEGAPIXELS = (4000, 6000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder with colorize.safetensors; without it, what ships")
    parser.add_argument("--few", type=int, help="only the first N pictures")
    parser.add_argument("--seeds", type=int, default=3, help="how often hints are drawn anew")
    parser.add_argument("--only", nargs="*", choices=["quality", "speed"], default=["quality", "speed"])
    options = parser.parse_args()
    file = options.models / "colorize.safetensors"
    if "quality" in options.only:
        quality(file, sorted(path for path in options.pictures.iterdir() if path.is_file())[: options.few], options.seeds)
    if "speed" in options.only:
        speed(file)


def quality(file: Path, paths: list[Path], seeds: int) -> None:
    """Print each method's mean over the pictures."""
    model = isthmus.load(file, device="cpu")
    rows: dict[str, list[dict[str, float]]] = {}
    for number, path in enumerate(paths):
        truth = np.asarray(Image.open(path).convert("RGB"))
        lab = color.rgb2lab(truth)
        gray = color.lab2rgb(lab * [1, 0, 0])[:, :, 0].astype(np.float32)
        eight = np.rint(gray * 255).astype(np.uint8)
        rows.setdefault("gray", []).append(scores(np.repeat(eight[:, :, None], 3, 2), truth))
        rows.setdefault("isthmus colorize", []).append(scores(model.restore(eight), truth))
        for seed in range(seeds):
            hinted = model.restore(eight, hints=hints(truth, np.random.default_rng((seed, number))))
            rows.setdefault(f"isthmus colorize, {HINTS} hints", []).append(scores(hinted, truth))
    for method, found in rows.items():
        means = {name: round(float(np.mean([one[name] for one in found])), 3) for name in found[0]}
        print(json.dumps({"part": "quality", "images": len(paths), "method": method, **means}), flush=True)


def scores(restored: Array, truth: Array) -> dict[str, float]:
    """Return how near a picture is to the truth, both `(H, W, 3)` uint8."""
    given, wanted = (np.moveaxis(picture, -1, 0)[None].astype(np.float32) / 255 for picture in (restored, truth))
    error = float(np.square(given - wanted).mean())
    names = ("ciede2000", "colorfulness")
    found = {name: float(METRICS[name](given, wanted)[0]) for name in names}
    return {"psnr_db": -10 * np.log10(error), **found, "colorfulness_of_truth": float(METRICS["colorfulness"](wanted, wanted)[0])}


def hints(truth: Array, rng: np.random.Generator) -> Array:
    """Return a transparent picture `(H, W, 4)` with a few squares of the truth's mean colors."""
    height, width = truth.shape[:2]
    dots = np.zeros((height, width, 4), np.uint8)
    for top, left in zip(rng.integers(height - SIDE + 1, size=HINTS), rng.integers(width - SIDE + 1, size=HINTS), strict=True):
        square = (slice(top, top + SIDE), slice(left, left + SIDE))
        dots[square] = (*np.rint(truth[square].mean((0, 1))).astype(np.uint8), 255)
    return dots


def speed(file: Path) -> None:
    """Print how long the command line takes."""
    with tempfile.TemporaryDirectory() as folder:
        rows, columns = np.ogrid[: MEGAPIXELS[0], : MEGAPIXELS[1]]
        gray = (127 + 60 * np.sin(rows / 97) + 60 * np.cos(columns / 131)).astype(np.uint8)
        Image.fromarray(gray).save(Path(folder, "in.jpg"), quality=92)
        command = [sys.executable, "-m", "isthmus", "colorize", f"{folder}/in.jpg", "--model", str(file)]
        began = time.perf_counter()
        subprocess.run([*command, "--out", f"{folder}/out.jpg", "--quiet"], check=True)
        took = round(time.perf_counter() - began, 2)
    print(json.dumps({"part": "speed", "megapixels": gray.size / 1e6, "method": "isthmus colorize", "seconds": took}))


if __name__ == "__main__":
    main()
