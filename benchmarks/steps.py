"""How long a step of training on photographs takes, by what is done to them, beside white noise.

    python benchmarks/steps.py [--seconds 20] [--rounds 3]

The photographic network, batches of six squares of 128 x 128 pixels cut from scikit-image's photographs; trainings take turns. The
chains are those of the models that ship.
"""

from __future__ import annotations

import argparse
import json
from statistics import median

import numpy as np
from skimage import data

import isthmus
from isthmus.imaging.arrays import Array
from isthmus.recipes.photographs import CAMERA, JPEG, SMALL

CHAINS = {
    "white noise": "gaussian-noise((0, 0.2157), clip=False)",
    "camera noise": "camera-noise",
    "the chain of denoise-color": CAMERA,
    "the chain of repair": JPEG,
    "the chain of upscale-x2": SMALL.format(factor=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of each training")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    photographs = squares()
    spent: dict[str, list[float]] = {name: [] for name in CHAINS}
    for _ in range(options.rounds):
        for name, chain in CHAINS.items():
            info = isthmus.train(
                photographs,
                task="upscale" if "upscale" in name else "denoise",
                corruption=chain,
                model="photographic",
                patch=128,
                batch_size=6,
                budget=f"{options.seconds}s",
            ).info
            spent[name].append((info.train_seconds or 0) / max(1, info.steps))
    for name, seconds in spent.items():
        middle = median(seconds)
        row = {
            "damage": name,
            "seconds_per_step": round(middle, 4),
            "of_white_noise": round(middle / median(spent["white noise"]), 3),
        }
        print(json.dumps(row), flush=True)


def squares() -> Array:
    """Return squares `(n, 3, 192, 192)` uint8 of three photographs."""
    parts = []
    for photograph in (data.astronaut(), data.coffee(), data.chelsea()):
        height, width = photograph.shape[:2]
        parts += [
            photograph[top : top + 192, left : left + 192]
            for top in range(0, height - 191, 64)
            for left in range(0, width - 191, 64)
        ]
    return np.moveaxis(np.stack(parts), -1, 1).copy()


if __name__ == "__main__":
    main()
