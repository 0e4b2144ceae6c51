"""What the plain commands reach on a person's own photographs and pages, beside what one would use instead.

    python benchmarks/plain.py [--photos FOLDER] [--budget 5m] [--pages-budget 10m]

    isthmus train PHOTOS --task denoise --noise 0.1 --budget 5m
    isthmus train DIRTY --task pairs --clean CLEAN --budget 10m

With --photos: of a folder's photographs, the first 40 by name are learned from; the last 20, in 8 bits with noise of standard
deviation 0.1, are measured, beside non-local means (scikit-image), told the level. Then ten pairs of pages of training/pages.py
(text with stains, folds, uneven light, blur and noise) are learned from, and five others measured, beside the classical remedy for
uneven light. PSNR in dB, the mean over pictures.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter
from skimage import restoration

import isthmus
from isthmus.imaging.arrays import Array, to_unit
from isthmus.imaging.picture import read_picture
from photos import psnr

PAGES = Path(__file__).parents[1] / "training" / "pages.py"

LEARNED, TESTED, NOISE = 40, 20, 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="photographs to learn from and to test on")
    parser.add_argument("--budget", default="5m", help="time to train on photographs for")
    parser.add_argument("--pages-budget", default="10m", help="time to train on pages for")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        if options.photos:
            photographs(options.photos, Path(temporary, "photos"), options.budget)
        pages(Path(temporary, "pages"), options.pages_budget)


def photographs(source: Path, folder: Path, budget: str) -> None:
    """Train on photographs with white noise, and measure others."""
    paths = sorted(path for path in source.rglob("*") if path.suffix in (".jpg", ".png"))
    folder.mkdir()
    for path in paths[:LEARNED]:
        shutil.copy(path, folder)
    model = isthmus.train(folder, task="denoise", noise=NOISE, budget=budget)
    rng = np.random.default_rng(0)
    clean = [to_unit(read_picture(path).pixels) for path in paths[-TESTED:]]
    noisy = [np.rint((one + rng.normal(0, NOISE, one.shape)).clip(0, 1) * 255).astype(np.float32) / 255 for one in clean]
    told = {"sigma": NOISE, "h": 0.8 * NOISE, "patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
    methods = {
        "as it is": noisy,
        "non-local means, told the level": [restoration.denoise_nl_means(one, **told) for one in noisy],
        "isthmus": [model.restore(one) for one in noisy],
    }
    say("photographs", methods, clean, model)


def pages(folder: Path, budget: str) -> None:
    """Train on pairs of pages, and measure others."""
    subprocess.run([sys.executable, PAGES, "--out", folder], check=True, capture_output=True)
    learned = folder / "train"
    model = isthmus.train(learned / "dirty", task="pairs", clean=str(learned / "clean"), budget=budget)
    dirty, clean = (
        [to_unit(read_picture(path).pixels) for path in sorted((folder / "test" / kind).iterdir())] for kind in ("dirty", "clean")
    )
    methods = {
        "as it is": dirty,
        "light evened out": [evened(page[:, :, 0])[:, :, None] for page in dirty],
        "isthmus": [model.restore(page) for page in dirty],
    }
    say("pages", methods, clean, model)


def say(kind: str, methods: dict[str, list[Array]], clean: list[Array], model: isthmus.Model) -> None:
    """Print each method's PSNR, and how the model was trained."""
    for name, results in methods.items():
        mean = np.mean([psnr(result, wanted)["psnr_db"] for result, wanted in zip(results, clean, strict=True)])
        print(json.dumps({"set": kind, "method": name, "images": len(clean), "psnr_db": round(float(mean), 2)}), flush=True)
    trained = {"seconds": round(model.info.train_seconds or 0), "steps": model.info.steps, "network": model.recipe.network}
    print(json.dumps({"set": kind, **trained}), flush=True)


def evened(page: Array) -> Array:
    """Divide a page `(H, W)` by its paper, which a wide median and blur estimate: the classical remedy for uneven light."""
    paper = gaussian_filter(median_filter(page, 25), 8)
    return np.clip(page / np.maximum(paper, 0.05), 0, 1)


if __name__ == "__main__":
    main()
