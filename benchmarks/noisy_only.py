"""Only noisy photographs exist: how well is their noise taken away?

    python benchmarks/noisy_only.py --photographs DIR --testsets DIR [--budget 15m]

Normal noise of 25 (of 255), not clipped, is added to the gray photographs of the first DIR, once and for all; a model learns from
these alone (`--task noisy`). It is measured on BSD68 with noise of 25, beside non-local means, and BM3D as published. All are
stored with half the contrast, and black at a quarter, as values of float files lie in [0, 1].
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from skimage.restoration import denoise_nl_means

import isthmus
from isthmus.imaging.arrays import Array

SIGMA = 25 / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="folder of photographs, to be made noisy")
    parser.add_argument("--testsets", type=Path, required=True, help="folder that holds BSD68")
    parser.add_argument("--budget", default="15m", help="time to train for")
    parser.add_argument("--keep", type=Path, help="where to write the model")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for place, path in enumerate(pictures(options.photographs)):
            tifffile.imwrite(Path(temporary, f"{path.stem}.tif"), stored(noisy(gray(path), place)))
        model = isthmus.train(temporary, task="noisy", model="photographic", budget=options.budget, out=options.keep)
    tests = [gray(path) for path in pictures(options.testsets / "BSD68")]
    given = [noisy(test, place) for place, test in enumerate(tests)]
    fast = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * SIGMA, "sigma": SIGMA, "fast_mode": True}
    methods = {
        "isthmus, noisy only": lambda image: seen(model.restore(stored(image))),
        "isthmus, noisy only, careful": lambda image: seen(model.restore(stored(image), self_ensemble=True)),
        "non-local means": lambda image: denoise_nl_means(image, **fast),
    }
    for name, method in methods.items():
        values = [psnr(method(image), test) for image, test in zip(given, tests, strict=True)]
        print(json.dumps({"method": name, "images": len(values), "psnr_db": round(float(np.mean(values)), 2)}), flush=True)
    print(json.dumps({"method": "BM3D, published", "psnr_db": 28.57}))
    print(json.dumps({"train_seconds": model.info.train_seconds, "steps": model.info.steps}))


def pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))


def gray(path: Path) -> Array:
    return np.asarray(Image.open(path).convert("L"), np.float32) / np.float32(255)


def stored(image: Array) -> Array:
    """Return a picture with half the contrast, so that its noise fits into [0, 1]."""
    return np.clip(image / 2 + 0.25, 0, 1)


def seen(values: Array) -> Array:
    """Return a picture of such values as it was."""
    return 2 * values - 0.5


def noisy(image: Array, seed: int) -> Array:
    return (image + np.random.default_rng(seed).normal(0, SIGMA, image.shape)).astype(np.float32)


def psnr(restored: Array, clean: Array) -> float:
    return float(10 * np.log10(1 / np.mean(np.square(np.clip(restored, 0, 1) - clean))))


if __name__ == "__main__":
    main()
