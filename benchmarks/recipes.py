"""What the named recipes reach on all of MNIST, and in what time.

    python benchmarks/recipes.py --data-dir DIR [--only vae features] [--keep FOLDER]

For each: seconds of training, and its own figure on the 10,000 test digits: cross-entropy beside PCA with as many numbers
(dense-best, conv-best), the accuracy of a logistic regression on the codes (features), the importance-weighted bound (vae).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import isthmus
from isthmus.evaluation.probe import probe
from isthmus.model import Model

RECIPES = ("dense-best", "conv-best", "features", "vae")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with mnist/*.gz")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=RECIPES, help="some of the recipes")
    parser.add_argument(
        "--keep", type=Path, help="folder for the models; those that it holds are measured again, not learned again"
    )
    parser.add_argument("--bound-samples", type=int, default=5000, help="importance samples for each test digit")
    options = parser.parse_args()
    for name in options.only:
        model = learn(name, options.data_dir, options.keep)
        result = measure(name, model, options.data_dir, options.bound_samples)
        numbers = {"numbers_in_code": math.prod(model.code_shape()), "parameters": model.num_parameters}
        print(json.dumps({"recipe": name, "train_seconds": model.info.train_seconds, **numbers, **result}), flush=True)


def learn(name: str, data_dir: Path | None, keep: Path | None) -> Model:
    path = keep / f"{name}.safetensors" if keep else None
    if path and path.exists():
        return isthmus.load(path)
    return isthmus.train("mnist", recipe=name, data_dir=data_dir, out=path)


def measure(name: str, model: Model, data_dir: Path | None, bound_samples: int) -> dict[str, Any]:
    if name == "features":
        result = probe(model, "mnist", data_dir=data_dir)
        return {f"{row.tested_on}, {row.numbers} numbers": row.accuracy for row in result.rows}
    card = isthmus.evaluate(model, "mnist", data_dir=data_dir, bound_samples=bound_samples if name == "vae" else 0)
    if card.bound:
        return {"bound_nats": card.bound.bound_nats, "elbo_nats": card.bound.elbo_nats, "samples": card.bound.samples}
    return {"test_loss": card.loss, "pca_loss": card.scores[1].bce, "psnr_db": card.scores[0].psnr_db}


if __name__ == "__main__":
    main()
