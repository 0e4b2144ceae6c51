"""What `--fast` costs and saves: PSNR and seconds a megapixel of the models that ship, in float32, by `--fast`, and in bfloat16.

    python benchmarks/fast.py --testsets DIR [--few N] [--megapixels 12]

DIR holds CBSD68 and CC15. For each model and damage a line of JSON: the mean PSNR over the pictures in each way. Then, for each
model, the seconds that a picture of so many megapixels takes, in turn, three times; the median is printed. Of bfloat16, only where
isthmus takes it; with AMX, `--fast` leaves it as it is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import isthmus
from isthmus.imaging.arrays import Array
from isthmus.inference.device import has_fast_bfloat16
from isthmus.model import Model
from isthmus.restore import Restorer
from real import jpeg, noisy, read, resized

DAMAGES: dict[str, dict[str, Callable[[Array, np.random.Generator], Array]]] = {
    "denoise-color": {
        "none": lambda clean, rng: clean,
        "noise 5": lambda clean, rng: noisy(clean, 5, rng),
        "noise 25": lambda clean, rng: noisy(clean, 25, rng),
        "noise 20, JPEG 85": lambda clean, rng: jpeg(noisy(clean, 20, rng), 85),
    },
    "denoise-gray": {
        "none": lambda clean, rng: clean.mean(2, keepdims=True).astype(np.uint8),
        "noise 25": lambda clean, rng: noisy(clean.mean(2, keepdims=True).astype(np.uint8), 25, rng),
    },
    "repair": {
        "none": lambda clean, rng: clean,
        "JPEG 20": lambda clean, rng: jpeg(clean, 20),
        "JPEG 75": lambda clean, rng: jpeg(clean, 75),
    },
    "upscale-x2": {"shrunk to 1/2": lambda clean, rng: resized(clean, 0.5)},
}
"""What is done to a photograph of CBSD68, by model and name."""

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testsets", type=Path, required=True, help="folder with CBSD68 and CC15")
    parser.add_argument("--few", type=int, help="only the first so many pictures of each set")
    parser.add_argument("--megapixels", type=float, default=12)
    options: Any = parser.parse_args()
    cameras = sorted((options.testsets / "CC15").glob("*_real.png"))[: options.few]
    photographs = [read(path) for path in sorted((options.testsets / "CBSD68").glob("*.png"))[: options.few]]
    for name, damages in DAMAGES.items():
        usual = has_fast_bfloat16(torch.device("cpu"))
        both = {"float32": Restorer(computing(name, False)), "--fast": Restorer(computing(name, usual), fast=True)}
        if usual:
            both["bfloat16"] = Restorer(computing(name, True))
        if name == "denoise-color":
            show(both, name, "CC15", [(read(path), read(Path(str(path).replace("_real", "_mean")))) for path in cameras])
        for title, damage in damages.items():
            rng = np.random.default_rng(0)
            cut = [clean[: clean.shape[0] // 2 * 2, : clean.shape[1] // 2 * 2] for clean in photographs]
            pairs = [(damage(clean, rng), clean.mean(2, keepdims=True) if name == "denoise-gray" else clean) for clean in cut]
            show(both, name, title, pairs)
        seconds(both, name, options.megapixels)


def computing(name: str, bfloat16: bool) -> Model:
    """Return a model that ships, and what it repairs JPEGs by, in one arithmetic or the other."""
    model = isthmus.load(name, device="cpu")
    for each in (model, model.repairer):
        if each is not None:
            each.engine.bfloat16 = bfloat16
    return model


def show(both: dict[str, Restorer], name: str, title: str, pairs: list[tuple[Array, Array]]) -> None:
    """Print the mean PSNR in each way."""
    found = {
        way: round(float(np.mean([psnr(way_of.restore(given), clean) for given, clean in pairs])), 3)
        for way, way_of in both.items()
    }
    print(json.dumps({"model": name, "damage": title, "images": len(pairs), "psnr_db": found}), flush=True)


def psnr(image: Array, clean: Array) -> float:
    """Return the PSNR of 8-bit pictures; of equal ones 60 dB."""
    error = float(np.square(image.astype(np.float64) - clean).mean())
    return 60.0 if error == 0 else min(60.0, 10 * np.log10(255**2 / error))


def seconds(both: dict[str, Restorer], name: str, megapixels: float) -> None:
    """Print the seconds a megapixel in each way, in turn."""
    side = round((megapixels * 1e6) ** 0.5)
    channels = both["float32"].other.image_shape[0]
    picture = np.random.default_rng(0).integers(0, 256, (side, side, channels), np.uint8)
    taken: dict[str, list[float]] = {way: [] for way in both}
    for _ in range(ROUNDS):
        for way, restorer in both.items():
            began = time.perf_counter()
            restorer.restore(picture)
            taken[way].append((time.perf_counter() - began) / megapixels)
    found = {way: round(median(times), 3) for way, times in taken.items()}
    print(json.dumps({"model": name, "megapixels": megapixels, "seconds_per_megapixel": found}), flush=True)


if __name__ == "__main__":
    main()
