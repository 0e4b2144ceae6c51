"""How near the colors of `colorize` are to the truth, beside leaving a photograph gray, with hints and without; and how fast it is.

    python benchmarks/colorize.py --pictures DIR [--models DIR] [--few N] [--seeds N] [--only quality speed] [--sheet FILE]

DIR holds photographs in color on which nothing was trained (CBSD68, Kodak's). Their gray is CIELAB's L. PSNR is that of RGB in
the 8-bit range, CIEDE2000 the mean over the pixels, colorfulness that of Hasler and Suesstrunk (2003); each for every picture, then
the mean. Hints are ten squares of 7 x 7 pixels at random places, each with the mean color that the truth has there, anew for each
seed. The speed is that of the command line on a picture of 24 megapixels, files and start included. With --sheet, the pictures are
shown instead: gray, colorized, with the hints, and the truth, two pictures in a row.
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
from PIL import Image, ImageOps
from skimage import color

import isthmus
from isthmus.evaluation.metrics import METRICS
from isthmus.imaging.arrays import Array
from isthmus.pretrained import FOLDER

HINTS, SIDE = 10, 7
"""How many hints are given, and how many pixels each has on a side."""

MEGAPIXELS = (4000, 6000)

PANEL = 150
"""Side of a picture on a sheet, in pixels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder with colorize.safetensors; without it, what ships")
    parser.add_argument("--few", type=int, help="only the first N pictures")
    parser.add_argument("--seeds", type=int, default=3, help="how often hints are drawn anew")
    parser.add_argument("--only", nargs="*", choices=["quality", "speed"], default=["quality", "speed"])
    parser.add_argument("--sheet", type=Path, help="write a sheet of the pictures here, and measure nothing")
    options = parser.parse_args()
    file = options.models / "colorize.safetensors"
    paths = sorted(path for path in options.pictures.iterdir() if path.is_file())[: options.few]
    if options.sheet:
        sheet(file, paths).save(options.sheet, quality=88)
        return
    if "quality" in options.only:
        quality(file, paths, options.seeds)
    if "speed" in options.only:
        speed(file)


def quality(file: Path, paths: list[Path], seeds: int) -> None:
    """Print each method's mean over the pictures."""
    model = isthmus.load(file, device="cpu")
    rows: dict[str, list[dict[str, float]]] = {}
    for number, path in enumerate(paths):
        truth, gray = read(path)
        rows.setdefault("gray", []).append(scores(np.repeat(gray[:, :, None], 3, 2), truth))
        rows.setdefault("isthmus colorize", []).append(scores(model.restore(gray), truth))
        for seed in range(seeds):
            hinted = model.restore(gray, hints=hints(truth, np.random.default_rng((seed, number))))
            rows.setdefault(f"isthmus colorize, {HINTS} hints", []).append(scores(hinted, truth))
    for method, found in rows.items():
        means = {name: round(float(np.mean([one[name] for one in found])), 3) for name in found[0]}
        print(json.dumps({"part": "quality", "images": len(paths), "method": method, **means}), flush=True)


def sheet(file: Path, paths: list[Path]) -> Image.Image:
    """Return pictures in gray, colorized, colorized with hints, and in truth; of each the middle."""
    model = isthmus.load(file, device="cpu")
    whole = Image.new("RGB", (8 * (PANEL + 2) + 8, -(-len(paths) // 2) * (PANEL + 2)), "white")
    for number, path in enumerate(paths):
        truth, gray = read(path)
        hinted = model.restore(gray, hints=hints(truth, np.random.default_rng((0, number))))
        for place, pixels in enumerate((np.repeat(gray[:, :, None], 3, 2), model.restore(gray), hinted, truth)):
            panel = ImageOps.fit(Image.fromarray(pixels), (PANEL, PANEL), Image.Resampling.LANCZOS)
            left = (number % 2 * 4 + place) * (PANEL + 2) + number % 2 * 8
            whole.paste(panel, (left, number // 2 * (PANEL + 2)))
    return whole


def read(path: Path) -> tuple[Array, Array]:
    """Return a picture `(H, W, 3)` uint8, and its gray `(H, W)`."""
    truth = np.asarray(Image.open(path).convert("RGB"))
    return truth, np.rint(color.lab2rgb(color.rgb2lab(truth) * [1, 0, 0])[:, :, 0] * 255).astype(np.uint8)


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
        subprocess.run([*command, "--out", f"{folder}/out.jpg", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        took = round(time.perf_counter() - began, 2)
    print(json.dumps({"part": "speed", "megapixels": gray.size / 1e6, "method": "isthmus colorize", "seconds": took}))


if __name__ == "__main__":
    main()
