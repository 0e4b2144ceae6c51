"""How well strange images are told from usual ones: areas under the ROC curve, on all of MNIST.

    python benchmarks/novelty.py --data-dir DIR [--epochs 6] [--digits 0 1 2] [--model M.safetensors]

First, for a model of all digits (`conv-best`, or --model): MNIST's test digits against Fashion-MNIST's test images where
DIR or the network has them, against letters drawn from a font, and against scikit-learn's 8 x 8 digits enlarged. Then each digit is
held out of the training in turn, and told from the other nine on the test set: by the two scores of isthmus, by the error of
PCA with as many numbers, and by an isolation forest on the pixels.
"""

from __future__ import annotations

import argparse
import json
import string
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

import isthmus
from isthmus.datasets import open_data
from isthmus.datasets.catalog import embedded
from isthmus.errors import DataError
from isthmus.imaging.arrays import Array, resize, to_unit

RECIPE = {"model": "dense", "code": 32, "hidden": (512, 128), "code_kind": "linear", "learning_rate": 3e-3}
"""Of the nine digits' models."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with mnist/*.gz, and fashion-mnist/*.gz where there is one")
    parser.add_argument("--epochs", type=int, default=6, help="of each model that has not seen a digit")
    parser.add_argument("--digits", type=int, nargs="*", default=range(10), help="held out in turn")
    parser.add_argument("--model", type=Path, help="a model of all digits; without it, one is trained")
    options = parser.parse_args()
    source = open_data("mnist", options.data_dir)
    train, test = source.read("train"), source.read("test")
    model = isthmus.load(options.model) if options.model else isthmus.train(train.images, recipe="conv-best")
    usual = model.novelty_scores(test.images)
    for name, images in foreign(options.data_dir).items():
        strange = model.novelty_scores(images)
        print(json.dumps({"against": name, "images": len(images), **areas(usual, strange)}), flush=True)
    rows = []
    for digit in options.digits:
        known, new = train.images[train.labels != digit], test.labels == digit
        began = time.perf_counter()
        scores = isthmus.train(known, epochs=options.epochs, **RECIPE).novelty_scores(test.images) | alternatives(
            known, test.images
        )
        row = areas({k: v[~new] for k, v in scores.items()}, {k: v[new] for k, v in scores.items()})
        rows.append(row)
        print(json.dumps({"held_out": digit, **row, "seconds": round(time.perf_counter() - began, 1)}), flush=True)
    if rows:
        print(json.dumps({"held_out": "mean", **{name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}}))


def areas(usual: dict[str, Array], strange: dict[str, Array]) -> dict[str, float]:
    truth = np.repeat([0, 1], [len(next(iter(usual.values()))), len(next(iter(strange.values())))])
    return {name: round(float(roc_auc_score(truth, np.concatenate([usual[name], strange[name]]))), 4) for name in usual}


def alternatives(known: Array, images: Array) -> dict[str, Array]:
    """Return what one would use instead: PCA's error and an isolation forest's score, higher for stranger."""
    table, seen = (to_unit(part).reshape(len(part), -1) for part in (known, images))
    pca = PCA(32, random_state=0).fit(table)
    forest = IsolationForest(n_estimators=100, random_state=0, n_jobs=-1).fit(table)
    error = np.square(pca.inverse_transform(pca.transform(seen)) - seen).mean(1)
    return {"PCA 32, error": error, "isolation forest": -forest.score_samples(seen)}


def foreign(data_dir: Path | None) -> dict[str, Array]:
    """Return images that are no handwritten digits of MNIST, `(n, 1, 28, 28)` each."""
    found: dict[str, Array] = {}
    try:
        found["fashion-mnist, test"] = open_data("fashion-mnist", data_dir).read("test").images
    except DataError as error:
        print(json.dumps({"against": "fashion-mnist", "skipped": str(error)[:120]}))
    found["letters of DejaVu fonts"] = letters()
    found["digits of 8 x 8 pixels, enlarged"] = np.stack([resize(image[None], (28, 28)) for image in embedded("digits")[0]])
    return found


def letters() -> Array:
    """Draw the Latin letters in nine fonts and four sizes, white on black, in the middle."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    drawn: list[Any] = []
    for font in sorted(folder.glob("DejaVuS*.ttf"))[:9]:
        for size in (16, 18, 20, 22):
            for letter in string.ascii_letters:
                picture = Image.new("L", (28, 28))
                ImageDraw.Draw(picture).text((14, 14), letter, 255, ImageFont.truetype(font, size), anchor="mm")
                drawn.append(np.asarray(picture)[None])
    return np.stack(drawn)


if __name__ == "__main__":
    main()
