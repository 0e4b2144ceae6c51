"""Time and memory of `isthmus restore` against the number of pictures, and against a picture's megapixels.

    python benchmarks/scaling.py [--counts 10 100 1000 10000 100000] [--megapixels 1 4 16 64 170] [--side 32]

Each is a process of its own. The pictures are made here: small gray PNGs in one folder; one large color JPEG. Prints a line of JSON
for each, and for either row the slope of the logarithm of the time, starting taken off, over its last decade: 1 is a straight line.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="*", default=[10, 100, 1000, 10_000, 100_000])
    parser.add_argument("--megapixels", type=float, nargs="*", default=[1, 4, 16, 64, 170])
    parser.add_argument("--side", type=int, default=32, help="of the small pictures, in pixels")
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few = made(small, folder / "few", 1, options.side)
        starting = restored(few, folder / "out")["seconds"]
        print(json.dumps({"pictures": 1, "side": options.side, "seconds": starting}), flush=True)
        rows = []
        for count in options.counts:
            rows.append(
                (count, row({"pictures": count, "side": options.side}, made(small, folder / "in", count, options.side), folder))
            )
        slope("pictures", rows, starting)
        rows = []
        for megapixels in options.megapixels:
            rows.append((megapixels, row({"megapixels": megapixels}, made(large, folder / "in", megapixels), folder)))
        slope("megapixels", rows, starting)


def row(facts: dict[str, Any], pictures: Path, folder: Path) -> float:
    """Restore some pictures, and print how it went; return the seconds."""
    result = restored(pictures, folder / "out")
    print(json.dumps({**facts, **result}), flush=True)
    shutil.rmtree(pictures)
    shutil.rmtree(folder / "out")
    return result["seconds"]


def made(make: Callable[..., Path], *arguments: Any) -> Path:
    """Make pictures in a process of its own: a process counts as its own peak what the one that starts it takes."""
    with ProcessPoolExecutor(1) as processes:
        return processes.submit(make, *arguments).result()


def small(folder: Path, count: int, side: int) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for place in range(count):
        Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(folder / f"{place:07}.png", compress_level=1)
    return folder


def large(folder: Path, megapixels: float) -> Path:
    rng = np.random.default_rng(0)
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    rows, columns = np.mgrid[: round(megapixels * 1e6 / width), :width].astype(np.float32) / 90
    surface = (128 + 90 * np.sin(rows) * np.cos(columns * rows / 40))[:, :, None] + rng.normal(0, 12, 3)
    folder.mkdir()
    Image.fromarray(surface.clip(0, 255).astype(np.uint8)).save(folder / "large.jpg", quality=92)
    return folder


def restored(pictures: Path, out: Path, *more: str, python: Path = Path(sys.executable)) -> dict[str, float]:
    """Run the command in a process of its own, with more options; return its seconds and its peak memory."""
    command = [str(python), "-m", "isthmus", "denoise", str(pictures), "--out", str(out), "--quiet", "--overwrite", "--json", *more]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: {status}")
    return {"seconds": round(time.perf_counter() - began, 2), "peak_mb": round(usage.ru_maxrss / 1024)}


def slope(name: str, rows: list[tuple[float, float]], starting: float) -> None:
    """Print how the time grows from the second-last row to the last."""
    if len(rows) > 1:
        (few, short), (many, long) = rows[-2:]
        grown = math.log(max(1e-3, long - starting) / max(1e-3, short - starting)) / math.log(many / few)
        print(json.dumps({"against": name, "slope": round(grown, 3)}), flush=True)


if __name__ == "__main__":
    main()
