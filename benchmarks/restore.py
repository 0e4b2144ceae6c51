"""Images per second of `isthmus restore`, from file to file, beside scikit-image's non-local means on the same images.

    python benchmarks/restore.py --data-dir DIR [--model FILE]

DIR holds mnist/*.gz; FILE is a denoising model of the textbook chapter, as `isthmus reproduce` writes it. Without it, one is
trained for a moment, for speed does not depend on what the weights are. The 10,000 test digits get normal noise of deviation 0.5,
clipped, and are stored as uint8 in an .npy; the real command restores them into another, in a process of its own, once uncounted
and then five times. Printed are what the command itself reports, and the whole process, Python's and torch's start included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from isthmus.datasets import open_data
from isthmus.evaluation.baselines import FILTERS
from isthmus.imaging.arrays import Array, from_unit, to_unit
from isthmus.recipes.chapter import CHAPTER
from isthmus.training.train import train

BAR_IMAGES_PER_SECOND = 10_000
RUNS = 5
IMAGES = 10_000
FILTERED_IMAGES = 500
FILTER = "non-local means"
TRAINED_IMAGES = 2_000
NOISE_STD = 0.5
SEED = 1


def read_digits(data_dir: Path, split: str, count: int) -> Array:
    """Return `(n, 1, 28, 28)` uint8."""
    return open_data("mnist", data_dir).read(split).images[:count]


def add_noise(clean: Array) -> Array:
    """Return uint8 images with clipped normal noise."""
    noise = np.random.default_rng(SEED).normal(0, NOISE_STD, clean.shape)
    return from_unit(to_unit(clean) + noise, clean.dtype)


def train_for_a_moment(data_dir: Path, folder: Path) -> Path:
    """Return the file of a denoising model that has seen some digits once."""
    model = folder / "denoising.safetensors"
    train(read_digits(data_dir, "train", TRAINED_IMAGES), replace(CHAPTER["denoising"].recipe, epochs=1), out=model)
    return model


def time_restore(model: Path, noisy: Path, out: Path) -> dict[str, float]:
    """Run the command; return what it reports and the seconds of the whole process."""
    out.unlink(missing_ok=True)
    command = (Path(sysconfig.get_path("scripts"), "isthmus"), "restore", model, noisy, "--out", out, "--json")
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    process_seconds = time.perf_counter() - began
    reported = json.loads(done.stdout)
    return {"images": reported["images"], "images_per_second": reported["images_per_second"], "process_seconds": process_seconds}


def measure_filter(noisy: Array, clean: Array) -> float:
    """Return the images per second of non-local means, told the noise's true strength."""
    seen = to_unit(noisy[:FILTERED_IMAGES])
    strength = float(np.sqrt(np.mean(np.square(seen - to_unit(clean[:FILTERED_IMAGES])))))
    began = time.perf_counter()
    for image in seen:
        FILTERS[FILTER](image, strength)
    return len(seen) / (time.perf_counter() - began)


def measure(data_dir: Path, model: Path | None, images: int, runs: int) -> dict[str, Any]:
    """Return every number."""
    clean = read_digits(data_dir, "test", images)
    noisy = add_noise(clean)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = model or train_for_a_moment(data_dir, folder)
        np.save(folder / "noisy.npy", noisy)
        results = [time_restore(model, folder / "noisy.npy", folder / "out.npy") for _ in range(runs + 1)][1:]
        restored = np.load(folder / "out.npy")
    assert restored.shape == noisy.shape
    assert restored.dtype == noisy.dtype
    process_seconds = median(result["process_seconds"] for result in results)
    return {
        "images": len(noisy),
        "runs": runs,
        "images_per_second": median(result["images_per_second"] for result in results),
        "process_seconds": process_seconds,
        "process_images_per_second": len(noisy) / process_seconds,
        "filter_images_per_second": measure_filter(noisy, clean),
        "bar_images_per_second": BAR_IMAGES_PER_SECOND,
    }


def format_table(result: dict[str, Any]) -> str:
    ours, whole, filtered = (result[f"{kind}images_per_second"] for kind in ("", "process_", "filter_"))
    rows = [
        ("isthmus restore, as it reports", ours, f"the bar: {BAR_IMAGES_PER_SECOND:,}"),
        ("isthmus restore, whole process", whole, f"{result['process_seconds']:.2f} s, Python's and torch's start included"),
        (f"scikit-image, {FILTER}", filtered, f"on {min(FILTERED_IMAGES, result['images'])} of them"),
        ("isthmus / scikit-image", ours / filtered, f"whole process: {whole / filtered:,.1f}"),
    ]
    head = f"{result['images']:,} noisy digits from .npy to .npy, median of {result['runs']} runs"
    lines = [f"{title:<40}{value:>11,.1f}  {remark}" for title, value, remark in rows]
    return "\n".join([head, f"{'':<40}{'images/s':>11}", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnist/*.gz")
    parser.add_argument("--model", type=Path, help="a denoising model file")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number there")
    options = parser.parse_args()
    if options.model and not options.model.exists():
        sys.exit(f"There is no model file {options.model}.")
    result = measure(options.data_dir, options.model, options.images, options.runs)
    print(format_table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
