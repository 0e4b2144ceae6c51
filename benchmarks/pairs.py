"""Ten pairs of pages: how much better does a model make pages that it has not seen?

    python benchmarks/pairs.py [--budget 10m] [--pages 10]

The pages are those of training/pages.py: text with stains, folds, uneven light, blur and noise, of which ten are learned from and
five others measured. Prints PSNR before and after, the mean over pages, beside two classical remedies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

import isthmus
from isthmus.evaluation.metrics import psnr_db
from isthmus.imaging.arrays import Array, to_unit
from isthmus.imaging.picture import read_picture

PAGES = Path(__file__).parents[1] / "training" / "pages.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="10m", help="time to train for")
    parser.add_argument("--pages", type=int, default=10, help="pairs to learn from")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        subprocess.run([sys.executable, PAGES, "--out", folder, "--train", str(options.pages)], check=True, capture_output=True)
        learned = folder / "train"
        model = isthmus.train(
            learned / "dirty", task="pairs", clean=str(learned / "clean"), model="photographic", budget=options.budget
        )
        dirty, clean = (read(folder / "test" / kind) for kind in ("dirty", "clean"))
    methods = {
        "as they are": dirty,
        "light evened out": np.stack([evened(page[0])[None] for page in dirty]),
        "isthmus": np.stack([model.restore(page[0])[None] for page in dirty]),
    }
    for name, pages in methods.items():
        print(json.dumps({"method": name, "pages": len(pages), "psnr_db": round(float(psnr_db(pages, clean).mean()), 2)}))
    print(json.dumps({"train_seconds": model.info.train_seconds, "steps": model.info.steps}))


def read(folder: Path) -> Array:
    """Read pages, `(n, 1, H, W)` floats in [0, 1]."""
    return np.stack([to_unit(read_picture(path).pixels)[None, :, :, 0] for path in sorted(folder.iterdir())])


def evened(page: Array) -> Array:
    """Divide a page `(H, W)` by its paper, which a wide median and blur estimate: the classical remedy for uneven light."""
    paper = gaussian_filter(median_filter(page, 25), 8)
    return np.clip(page / np.maximum(paper, 0.05), 0, 1)


if __name__ == "__main__":
    main()
