"""isthmus beside other packages at the same job: 784 - 32 - 784 on MNIST, seconds, test error, and what the code is good for.

    python benchmarks/peers.py --data-dir DIR --peers-python PATH

DIR holds mnist/*.gz; PATH is a Python with benchmarks/requirements-peers.txt. One after the other, on this machine's CPU:

- pythae, pyautoencoder, and scikit-learn's MLPRegressor (peers_one.py, a process of its own for each) learn 32 rectified numbers
  with Adam at 0.001 and batches of 200, over 20 epochs; scikit-learn's PCA finds 32 components. Each takes cross-entropy if it
  knows it; pythae and scikit-learn know the squared error only.
- isthmus does the very same, with either loss; and what its recipes chapter-dense (the same network) and dense-best (a larger one)
  say.

Seconds are those of the call that learns: not of imports, reading, or measuring. The squared error is that of the restored test
digits, clipped to [0, 1]. The probe is a logistic regression on standardised codes, fitted on the training digits' and tested on the
test digits', the same for all. What fails is named in its row. No file of a peer is read but plain arrays of numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import isthmus
from isthmus.datasets import Dataset, open_data
from isthmus.images import Array, to_unit
from isthmus.metrics import mean_squared_error
from isthmus.recipes import RECIPES, Recipe
from isthmus.recipes.chapter import CHAPTER
from isthmus.tables import Table
from isthmus.training import Trainer

PEERS = {"scikit-learn PCA": "mse", "scikit-learn MLPRegressor": "mse", "pyautoencoder": "bce", "pythae": "mse"}
"""The names in peers_one.py, and the loss of each."""

REFERENCE = "isthmus chapter-dense"
"""Whose seconds and error the others' are divided by."""


def recipes(epochs: int | None) -> dict[str, Recipe]:
    """Return what isthmus trains, by the name of its row.

    Args:
        epochs: Of each; without it, the peers' 20, or what a recipe says.
    """
    same = replace(CHAPTER["dense"].as_in_the_book(), epochs=epochs or 20)
    own = {f"isthmus {name}": RECIPES[name] for name in ("chapter-dense", "dense-best")}
    own = {name: replace(recipe, epochs=epochs or recipe.epochs) for name, recipe in own.items()}
    return {"isthmus, as the peers": same, "isthmus, as the peers, mse": replace(same, loss="mse"), **own}


def run_isthmus(recipe: Recipe, train: Dataset, test: Dataset) -> dict[str, Any]:
    began = time.perf_counter()
    model = Trainer(recipe, train, test, device="cpu").fit()
    seconds = time.perf_counter() - began
    arrays = {"train_codes": model.encode(train.images), "test_codes": model.encode(test.images)}
    arrays["restored"] = model.restore_seen(to_unit(test.images))
    return {"seconds": seconds, "loss": recipe.loss, "epochs": recipe.epochs, "parameters": model.parameters(), "arrays": arrays}


def run_peer(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Let a peer learn in a process of its own; return what it says, or why it did not."""
    epochs = options.epochs or 20
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        command = [options.peers_python, Path(__file__).with_name("peers_one.py"), "--data-dir", options.data_dir, "--peer", name]
        command += ["--out", out, "--epochs", epochs, *(["--images", options.images] if options.images else [])]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            return {"failure": reason[-1]}
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        with np.load(out, allow_pickle=False) as file:
            arrays = dict(file)
    is_pca = name.endswith("PCA")
    about = {"loss": PEERS[name], "epochs": None if is_pca else epochs, "parameters": 785 * 32 if is_pca else 50_992}
    return {**said, **about, "arrays": arrays}


def judge(arrays: dict[str, Array], train: Dataset, test: Dataset) -> dict[str, float]:
    """Return the test error and the probe's accuracy."""
    clean = to_unit(test.images)
    restored = np.clip(arrays["restored"].reshape(clean.shape), 0, 1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    classifier.fit(arrays["train_codes"], train.labels)
    accuracy = float(classifier.score(arrays["test_codes"], test.labels))
    return {"test_mse": float(mean_squared_error(restored, clean).mean()), "probe_accuracy": accuracy}


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run all in turn, as often as asked; return each one's numbers, its seconds the median."""
    source = open_data("mnist", options.data_dir)
    train, test = (source.read(split).take(slice(options.images)) for split in ("train", "test"))
    ours = recipes(options.epochs)
    results: dict[str, dict[str, Any]] = {}
    seconds: dict[str, list[float]] = {}
    for round_ in range(options.rounds):
        for name in (*PEERS, *ours):
            result = run_isthmus(ours[name], train, test) if name in ours else run_peer(name, options)
            if "failure" not in result:
                seconds.setdefault(name, []).append(result["seconds"])
                result |= {"seconds": median(seconds[name]), "runs": len(seconds[name])}
                arrays = result.pop("arrays")
                result |= judge(arrays, train, test) if round_ == 0 else {key: results[name][key] for key in JUDGED}
            results[name] = result
            say(name, result)
    return results


JUDGED = ("test_mse", "probe_accuracy")
"""The same in every round, as the seeds are."""


def format_results(results: dict[str, dict[str, Any]]) -> str:
    columns = ("", "loss", "epochs", "parameters", "seconds", "x isthmus", "test MSE", "x isthmus", "probe %")
    reference = results[REFERENCE]
    rows, failures = [], []
    for name, result in results.items():
        if "failure" in result:
            rows.append((name, *"-------", "failed"))
            failures.append(f"{name}: {result['failure']}")
            continue
        title = " ".join([name, *(version for package, version in result.get("versions", {}).items() if package != "python")])
        numbers = (
            f"{result['parameters']:,}",
            f"{result['seconds']:.2f}",
            f"{result['seconds'] / reference['seconds']:.2f}",
            f"{result['test_mse']:.5f}",
            f"{result['test_mse'] / reference['test_mse']:.2f}",
            f"{100 * result['probe_accuracy']:.2f}",
        )
        rows.append((title, result["loss"], str(result["epochs"] or "-"), *numbers))
    return "\n".join([str(Table(columns, rows)), f"x isthmus: divided by {REFERENCE}'s", *failures])


def say(name: str, result: dict[str, Any]) -> None:
    text = result.get("failure") or f"{result['seconds']:.2f} s, MSE {result['test_mse']:.5f}, probe {result['probe_accuracy']:.4f}"
    print(f"{name}: {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnist/*.gz")
    parser.add_argument("--peers-python", type=Path, required=True, help="a Python with requirements-peers.txt")
    parser.add_argument("--epochs", type=int, help="of everything; without it 20, or what a recipe of isthmus says")
    parser.add_argument("--images", type=int, help="learn from and measure on so many digits only, to try the script")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each, in turn; the seconds are the median")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number there")
    options = parser.parse_args()

    results = measure(options)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "isthmus": isthmus.__version__}
    head = ", ".join(f"{name} {version}" for name, version in versions.items())
    print(f"{os.cpu_count()} CPUs, {torch.get_num_threads()} torch threads; {head}\n\n{format_results(results)}")
    if options.json:
        options.json.write_text(json.dumps({"versions": versions, "methods": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
