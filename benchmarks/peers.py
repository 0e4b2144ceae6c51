"""isthmus beside other packages at the same job: 784 - 32 - 784 on MNIST, seconds, test error, and what the code is good for.

    python benchmarks/peers.py --data-dir DIR --peers-python PATH

DIR holds mnist/*.gz; PATH is a Python with benchmarks/requirements-peers.txt. Each learns in a process of its own (peers_one.py),
one after the other, on this machine's CPU:

- pythae, pyautoencoder, and scikit-learn's MLPRegressor learn 32 rectified numbers with Adam at 0.001 and batches of 200, over 20
  epochs; scikit-learn's PCA finds 32 components. pyautoencoder takes the cross-entropy, as isthmus does; pythae's autoencoder and
  scikit-learn know the squared error only.
- isthmus does the very same, with either loss; and what its recipes chapter-dense (the same network) and dense-best (a larger one)
  say.

Seconds are those of the call that learns: not of imports, reading, or measuring. The squared error is that of the restored test
digits, clipped to [0, 1]. The probe is a logistic regression on standardised codes, fitted on the training digits' and tested on
the test digits', the same for all. What fails is named in its row. No file of a peer is read but plain arrays of numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isthmus.datasets import Dataset, open_data
from isthmus.evaluation.metrics import mean_squared_error
from isthmus.imaging.arrays import to_unit
from isthmus.report.tables import Table
from peers_one import METHODS

REFERENCE = "isthmus chapter-dense"
"""Whose seconds and error the others' are divided by."""

Result = dict[str, Any]


def run(name: str, options: argparse.Namespace, train: Dataset, test: Dataset) -> Result:
    """Let a method learn in a process of its own; return its numbers, or why there are none."""
    python = sys.executable if METHODS[name][0] == "isthmus" else options.peers_python
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        command = [python, Path(__file__).with_name("peers_one.py"), "--data-dir", options.data_dir, "--method", name, "--out", out]
        command += ["--epochs", options.epochs] if options.epochs else []
        command += ["--images", options.images] if options.images else []
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        except OSError as error:
            return {"failure": f"{python}: {error.strerror}"}
        if done.returncode:
            return {"failure": (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]}
        with np.load(out, allow_pickle=False) as arrays:
            clean = to_unit(test.images)
            restored = np.clip(arrays["restored"].reshape(clean.shape), 0, 1)
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
            accuracy = classifier.fit(arrays["train_codes"], train.labels).score(arrays["test_codes"], test.labels)
    error = float(mean_squared_error(restored, clean).mean())
    return {**json.loads(done.stdout.splitlines()[-1]), "test_mse": error, "probe_accuracy": float(accuracy)}


def measure(options: argparse.Namespace) -> dict[str, Result]:
    """Run all in turn, as often as asked; return each one's numbers, its seconds the median."""
    source = open_data("mnist", options.data_dir)
    train, test = (source.read(split).take(slice(options.images)) for split in ("train", "test"))
    results: dict[str, Result] = {}
    seconds: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(options.rounds):
        for name in METHODS:
            results[name] = result = run(name, options, train, test)
            if "seconds" in result:
                seconds[name].append(result["seconds"])
                result |= {"seconds": median(seconds[name]), "seconds_of_runs": list(seconds[name])}
            print(f"{name}: {result}", file=sys.stderr, flush=True)
    return results


def format_results(results: dict[str, Result]) -> str:
    columns = ("", "version", "loss", "epochs", "parameters", "seconds", "ratio", "test MSE", "ratio", "probe %")
    reference = results[REFERENCE]
    rows, failures = [], []
    for name, result in results.items():
        if "failure" in result:
            rows.append((name, *["-"] * (len(columns) - 2), "failed"))
            failures.append(f"{name} failed: {result['failure']}")
            continue
        ratios = [result[key] / reference[key] if key in reference else float("nan") for key in ("seconds", "test_mse")]
        rows.append(
            (
                name,
                result["version"],
                result["loss"],
                str(result["epochs"] or "-"),
                f"{result['parameters']:,}",
                f"{result['seconds']:.2f}",
                f"{ratios[0]:.2f}",
                f"{result['test_mse']:.5f}",
                f"{ratios[1]:.2f}",
                f"{100 * result['probe_accuracy']:.2f}",
            )
        )
    return "\n".join([str(Table(columns, rows)), "", f"ratio: to {REFERENCE}", *failures])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnist/*.gz")
    parser.add_argument("--peers-python", type=Path, default=sys.executable, help="a Python with requirements-peers.txt")
    parser.add_argument("--epochs", type=int, help="of everything; without it 20, or what a recipe of isthmus says")
    parser.add_argument("--images", type=int, help="learn from and measure on so many digits only, to try the script")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each, in turn; the seconds are the median")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number there")
    options = parser.parse_args()
    results = measure(options)
    print(f"{os.cpu_count()} CPUs, {os.environ.get('OMP_NUM_THREADS', 'all')} threads\n\n{format_results(results)}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
