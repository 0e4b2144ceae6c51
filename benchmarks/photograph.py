"""Seconds and peak memory of `isthmus denoise` for photographs of 12 megapixels, from file to file, starting included.

    python benchmarks/photograph.py --testsets DIR [--rounds 5] [--folder 10] [--with PYTHON]

DIR holds CBSD68, of whose photographs, with noise of 15 of 255, one is put together; it is stored as a JPEG of quality 92 and as a
PNG. Timed are JPEG to JPEG, PNG to PNG, and a folder of so many such JPEGs, each as usual and with `--fast`, all in turn, in
processes of their own. PYTHON is that of another environment whose isthmus is timed in the same turns, such as an earlier commit's.
Prints a line of JSON for each: the median of the seconds a photograph, all of them, and the largest peak in MB. Before and after
them, what products of matrices of 2,048 reach, in GFLOP/s: a busy machine shows there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from scaling import made, restored

HEIGHT, WIDTH = 3000, 4000
NOISE_STD = 15
CELL = (320, 480)
PRODUCT = """
import time, torch
for kind in (torch.float32, torch.bfloat16):
    a, taken = torch.ones(2048, 2048, dtype=kind), []
    for _ in range(9):
        began = time.perf_counter()
        a @ a
        taken.append(time.perf_counter() - began)
    print(round(2 * 2048**3 / sorted(taken)[4] / 1e9))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testsets", type=Path, required=True, help="folder with CBSD68")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=int, default=10, help="photographs in the folder; 0 for none")
    parser.add_argument("--with", dest="other", type=Path, help="the python of another environment")
    options: Any = parser.parse_args()
    pythons = {"isthmus": Path(sys.executable)} | ({"the other": options.other} if options.other else {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made(photographs, options.testsets / "CBSD68", folder, options.folder)
        print(json.dumps({"gflops": gflops()}), flush=True)
        found: dict[tuple[str, str, bool], list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for key in ways(pythons, options.folder):
                name, source, fast = key
                more = ("--fast",) if fast else ()
                out = (folder / "out").with_suffix(Path(source).suffix)
                found.setdefault(key, []).append(restored(folder / source, out, *more, python=pythons[name]))
        for (name, source, fast), taken in found.items():
            each = [round(run["seconds"] / (options.folder if source == "many" else 1), 2) for run in taken]
            row = {"of": name, "what": source, "fast": fast, "median_s": median(each), "s": each}
            print(json.dumps(row | {"peak_mb": max(run["peak_mb"] for run in taken)}), flush=True)
        print(json.dumps({"gflops": gflops()}), flush=True)


def ways(pythons: dict[str, Path], many: int) -> Iterator[tuple[str, str, bool]]:
    for source in ("one.jpg", "one.png", *(("many",) if many else ())):
        for fast in (False, True):
            for name in pythons:
                yield name, source, fast


def photographs(testset: Path, folder: Path, many: int) -> Path:
    """Put a photograph together, and store it in a folder."""
    rng, paths = np.random.default_rng(0), sorted(testset.glob("*.png"))
    if not paths:
        sys.exit(f"{testset} has no PNGs.")
    canvas, place = np.zeros((HEIGHT, WIDTH, 3), np.float32), 0
    for top in range(0, HEIGHT, CELL[0]):
        for left in range(0, WIDTH, CELL[1]):
            pixels = np.asarray(Image.open(paths[place % len(paths)]).convert("RGB"))
            pixels = pixels if pixels.shape[0] < pixels.shape[1] else pixels.transpose(1, 0, 2)
            part = canvas[top : top + CELL[0], left : left + CELL[1]]
            part[:] = pixels[: part.shape[0], : part.shape[1]]
            place += 1
    noisy = Image.fromarray((canvas + rng.normal(0, NOISE_STD, canvas.shape)).round().clip(0, 255).astype(np.uint8))
    noisy.save(folder / "one.jpg", quality=92)
    noisy.save(folder / "one.png")
    for number in range(many):
        (folder / "many").mkdir(exist_ok=True)
        shutil.copy(folder / "one.jpg", folder / "many" / f"{number}.jpg")
    return folder


def gflops() -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", PRODUCT], check=True, stdout=subprocess.PIPE, text=True)
    return dict(zip(("float32", "bfloat16"), map(int, done.stdout.split()), strict=True))


if __name__ == "__main__":
    main()
