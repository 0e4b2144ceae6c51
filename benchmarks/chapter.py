"""Seconds to the book's loss, and milliseconds per step: the textbook chapter's three models in Keras, in PyTorch and in isthmus.

    python benchmarks/chapter.py --data-dir DIR --keras-python PATH

DIR holds mnist/*.gz; PATH is a Python with benchmarks/requirements-keras.txt. On this machine's CPU, in turn:

- Keras 3 on TensorFlow trains the book's recipe (chapter_keras.py, a process of its own, one epoch whenever it is its turn). Of
  the convolutional models it trains two epochs; the whole recipe's seconds are the median epoch's times the book's epochs.
  It computes in float32, as Keras does unless told otherwise; --keras-precision bfloat16 tells it.
- isthmus trains the same architecture with its own schedule, over as few epochs as end at the book's loss or below, on the test
  set: more and more are tried, and the run that gets there counts, alone (the median of five, if it takes less than 5 seconds).
- A plain PyTorch loop takes steps on isthmus's batch size, 20 of its own, then 20 of isthmus's, and so on.

Neither side's seconds hold reading the data, building the model, or measuring the test loss; in Keras's favour, nor do they hold
tracing and compiling.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import IO, Any

import torch

import isthmus
from chapter_torch import PlainLoop
from isthmus.datasets import Dataset, open_data
from isthmus.imaging.arrays import to_unit
from isthmus.inference.device import has_fast_bfloat16
from isthmus.recipes.chapter import CHAPTER
from isthmus.training.trainer import Trainer
from isthmus.training.validation import losses

BARS = {"dense": 25, "convolutional": 30, "denoising": 40}
"""How many times faster than the book's recipe in Keras isthmus wants to be."""

EPOCHS_TRIED = {"dense": (0.75, 1, 1.25, 1.5, 2), "convolutional": (0.4, 0.45, 0.5, 0.75, 1), "denoising": (1, 1.25, 1.5, 2, 3)}
KERAS_EPOCHS = {"dense": 20, "convolutional": 2, "denoising": 2}
KERAS_BATCH_SIZE = 200
TEST_NOISE_SEED = 1

SHORT_SECONDS, SHORT_RUNS = 5, 5
"""A run of isthmus shorter than this is timed so many times."""

WARM_UP_STEPS = 20
STEPS_PER_ROUND = 20
ROUNDS = 15


@dataclass(frozen=True, kw_only=True)
class Digits:
    """MNIST in memory."""

    train: Dataset
    test: Dataset

    @classmethod
    def read(cls, data_dir: Path, images: int | None) -> Digits:
        source = open_data("mnist", data_dir)
        return cls(train=source.read("train").take(slice(images)), test=source.read("test").take(slice(images)))


# Keras


@dataclass
class KerasRun:
    """The book's recipe in Keras, in a process of its own that waits between epochs."""

    process: subprocess.Popen[str]
    remarks: IO[str]
    """What the process writes to stderr, shown only if it fails."""
    epochs_left: int

    def train_epoch(self) -> dict[str, Any]:
        """Let it train one epoch; return what it says of it."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        self.epochs_left -= 1
        return self.read()

    def read(self) -> dict[str, Any]:
        """Return what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.remarks.seek(0)
            sys.exit(f"chapter_keras.py ended early:\n{self.remarks.read()}")
        said: dict[str, Any] = json.loads(line)
        return said


@contextmanager
def running_keras(name: str, epochs: int, options: argparse.Namespace) -> Iterator[KerasRun]:
    """Start Keras on one of the chapter's models; end it in any case."""
    script = Path(__file__).with_name("chapter_keras.py")
    command = [options.keras_python, script, "--data-dir", options.data_dir, "--model", name, "--epochs", epochs, "--wait"]
    command += ["--precision", options.keras_precision]
    command += ["--images", options.images] if options.images else []
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as remarks,
        subprocess.Popen(list(map(str, command)), stdin=pipe, stdout=pipe, stderr=remarks, text=True) as process,
    ):
        try:
            yield KerasRun(process, remarks, epochs)
        finally:
            process.kill()


def summarize_keras(built: dict[str, Any], epochs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return what a run in Keras means for the whole recipe."""
    book = CHAPTER[name]
    assert built["parameters"] == book.parameters
    seconds = [epoch["seconds"] for epoch in epochs]
    reached = [epoch["epoch"] for epoch in epochs if epoch["test_loss"] <= book.book_loss]
    return {
        "versions": built["versions"],
        "precision": built["precision"],
        "jit": built["jit"],
        "step_ms": median(epoch["step_ms"] for epoch in epochs),
        "epoch_seconds": median(seconds),
        "epochs_measured": len(epochs),
        "recipe_seconds": median(seconds) * book.book_epochs,
        "whole": len(epochs) == book.book_epochs,
        "epochs_to_book_loss": reached[0] if reached else None,
        "seconds_to_book_loss": sum(seconds[: reached[0]]) if reached else None,
        "epochs": epochs,
    }


# isthmus


def train_isthmus(name: str, epochs: float, digits: Digits) -> dict[str, Any]:
    """Train over so many epochs; return the seconds of it and the loss on the test set.

    Where a run takes but seconds, it is repeated, and the median counts: the same weights come out each time.
    """
    seconds: list[float] = []
    while len(seconds) < (SHORT_RUNS if seconds and seconds[0] < SHORT_SECONDS else 1):
        trainer = Trainer(replace(CHAPTER[name].recipe, epochs=epochs), digits.train, digits.test, device="cpu")
        model = trainer.fit()
        seconds.append(model.info.train_seconds)
    clean = to_unit(digits.test.images)
    loss = float(losses(model, model.degradation.corrupt(clean, TEST_NOISE_SEED), clean).mean())
    assert model.num_parameters == CHAPTER[name].parameters
    reached = loss <= CHAPTER[name].book_loss
    return {"epochs": epochs, "seconds": median(seconds), "runs": len(seconds), "test_loss": loss, "reached": reached}


class TrainerSteps:
    """The steps of isthmus's own trainer, without end."""

    def __init__(self, name: str, digits: Digits):
        self.trainer = Trainer(CHAPTER[name].recipe, digits.train, digits.test, device="cpu")
        self.trainer.model.network.train()

    def step(self) -> None:
        self.trainer.state.position %= self.trainer.steps_per_epoch
        self.trainer.step()


def measure_steps(name: str, digits: Digits) -> dict[str, Any]:
    """Return the median milliseconds of a step in plain PyTorch and in isthmus, taken in turn in this process."""
    ours = TrainerSteps(name, digits)
    batch_size, bfloat16 = ours.trainer.batch_size, ours.trainer.model.engine.bfloat16
    images = torch.tensor(digits.train.images)
    loops: dict[str, PlainLoop | TrainerSteps] = {"torch float32": PlainLoop(name, images, batch_size=batch_size, bfloat16=False)}
    if bfloat16:
        loops["torch bfloat16"] = PlainLoop(name, images, batch_size=batch_size, bfloat16=True)
    loops["isthmus"] = ours
    milliseconds: dict[str, list[float]] = {method: [] for method in loops}
    for loop in loops.values():
        time_steps(loop.step, WARM_UP_STEPS)
    for _ in range(ROUNDS):
        for method, loop in loops.items():
            milliseconds[method] += time_steps(loop.step, STEPS_PER_ROUND)
    medians = {method: median(times) for method, times in milliseconds.items()}
    precision = "bfloat16" if bfloat16 else "float32"
    ratio = medians["isthmus"] / medians[f"torch {precision}"]
    return {"batch_size": batch_size, "precision": precision, "step_ms": medians, "ratio_to_torch": ratio}


def time_steps(step: Callable[[], None], count: int) -> list[float]:
    """Take steps; return the milliseconds of each."""
    times = [time.perf_counter()]
    for _ in range(count):
        step()
        times.append(time.perf_counter())
    return [1000 * (after - before) for before, after in pairwise(times)]


# Both


def measure_losses(name: str, digits: Digits, keras: KerasRun | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Let Keras train an epoch, isthmus a whole run, and so on; return Keras's epochs and isthmus's runs."""
    keras_epochs: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    to_try = list(EPOCHS_TRIED[name])
    while to_try or (keras and keras.epochs_left):
        if keras and keras.epochs_left:
            keras_epochs.append(keras.train_epoch())
            say(f"{name}: Keras's epoch {len(keras_epochs)}", keras_epochs[-1])
        if to_try:
            runs.append(train_isthmus(name, to_try.pop(0), digits))
            say(f"{name}: isthmus over {runs[-1]['epochs']}", runs[-1])
            to_try = [] if runs[-1]["reached"] else to_try
    return keras_epochs, runs


def measure(name: str, digits: Digits, options: argparse.Namespace) -> dict[str, Any]:
    """Return everything about one of the chapter's models."""
    steps = measure_steps(name, digits)
    if options.skip_keras:
        keras, runs = None, measure_losses(name, digits, None)[1]
    else:
        epochs = min(options.keras_epochs or KERAS_EPOCHS[name], CHAPTER[name].book_epochs)
        with running_keras(name, epochs, options) as keras_run:
            built = keras_run.read()
            keras_epochs, runs = measure_losses(name, digits, keras_run)
        keras = summarize_keras(built, keras_epochs, name)
    seconds = runs[-1]["seconds"] if runs[-1]["reached"] else None
    ratio = keras["recipe_seconds"] / seconds if keras and seconds else None
    return {"steps": steps, "keras": keras, "isthmus": runs, "seconds_to_book_loss": seconds, "ratio_to_keras": ratio}


def describe_machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "fast_bfloat16": has_fast_bfloat16(torch.device("cpu")),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "isthmus": isthmus.__version__},
    }


# What a person reads


def format_machine(machine: dict[str, Any], keras_versions: dict[str, str]) -> str:
    fast = "fast" if machine["fast_bfloat16"] else "no fast"
    cpus = f"{machine['cpus']} CPUs ({machine['instructions']}, {fast} bfloat16), {machine['torch_threads']} torch threads"
    apart = [f"{name} {version}" for name, version in keras_versions.items()]
    here = [f"{name} {version}" for name, version in machine["versions"].items()]
    return "; ".join(filter(None, [cpus, ", ".join(here), ", ".join(apart)]))


def format_model(name: str, result: dict[str, Any]) -> str:
    """Return one model's block."""
    book = CHAPTER[name]
    head = f"{book.title}: {book.parameters:,} parameters; the book: {book.book_epochs} epochs, loss {book.book_loss:.4f}"
    blocks = [format_steps(result), format_runs(result), format_seconds(name, result)]
    return "\n".join([head, *(f"  {line}".rstrip() for block in blocks for line in block)])


def format_steps(result: dict[str, Any]) -> list[str]:
    steps, keras = result["steps"], result["keras"]
    rows = [(f"Keras {keras['precision']}", KERAS_BATCH_SIZE, keras["step_ms"])] if keras else []
    for method, milliseconds in steps["step_ms"].items():
        title = f"isthmus {steps['precision']}" if method == "isthmus" else method
        rows.append((title, steps["batch_size"], milliseconds))
    return [
        row("one step", "ms"),
        *(row(title, f"{ms:.3f}", f"batch {batch:>3}, {1000 * batch / ms:>9,.0f} images/s") for title, batch, ms in rows),
        row(f"isthmus / torch {steps['precision']}", f"{steps['ratio_to_torch']:.2f}"),
    ]


def format_runs(result: dict[str, Any]) -> list[str]:
    lines = [row("isthmus, one whole run", "seconds", "test loss")]
    for run in result["isthmus"]:
        verdict = "the book's or below" if run["reached"] else "above the book's"
        lines.append(row(f"epochs: {run['epochs']}", f"{run['seconds']:.2f}", f"{run['test_loss']:>9.4f}  {verdict}"))
    return lines


def format_seconds(name: str, result: dict[str, Any]) -> list[str]:
    book, keras, seconds = CHAPTER[name], result["keras"], result["seconds_to_book_loss"]
    epochs = f"{'' if seconds else 'not reached, '}epochs: {result['isthmus'][-1]['epochs']}"
    lines = [row("to the book's loss", "seconds"), row("isthmus", number(seconds, 2), epochs)]
    if not keras:
        return lines
    product = f"{book.book_epochs} epochs x {keras['epoch_seconds']:.2f} s, measured over {keras['epochs_measured']}"
    last = keras["epochs"][-1]
    return [
        *lines,
        row("Keras, the whole recipe", number(keras["recipe_seconds"], 2), product),
        row("Keras / isthmus", number(result["ratio_to_keras"], 1), f"the bar: {BARS[name]}"),
        row("Keras, when it got there", number(keras["seconds_to_book_loss"], 2), format_crossing(keras)),
        row("Keras's test loss", number(last["test_loss"], 4), f"after epoch {last['epoch']}"),
    ]


def format_crossing(keras: dict[str, Any]) -> str:
    """Return after which epoch Keras itself was at the book's loss."""
    if keras["epochs_to_book_loss"]:
        return f"after epoch {keras['epochs_to_book_loss']}"
    return "never" if keras["whole"] else "unknown: not all of the book's epochs were measured"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def row(title: str, value: str, remark: str = "") -> str:
    return f"{title:<26}{value:>10}  {remark}"


def say(what: str, measured: dict[str, Any]) -> None:
    print(f"{what}: {measured['seconds']:.2f} s, test loss {measured['test_loss']:.4f}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with mnist/*.gz")
    parser.add_argument("--models", nargs="+", choices=CHAPTER, default=list(CHAPTER))
    parser.add_argument("--keras-python", type=Path, help="a Python with requirements-keras.txt")
    parser.add_argument("--keras-epochs", type=int, help="epochs that Keras trains; without it 20 (dense) or 2")
    parser.add_argument("--keras-precision", choices=("float32", "bfloat16"), default="float32", help="Keras's default is float32")
    parser.add_argument("--skip-keras", action="store_true")
    parser.add_argument("--images", type=int, help="learn from and measure on so many digits only, to try the script")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number there")
    options = parser.parse_args()
    if not options.skip_keras and not options.keras_python:
        parser.error("give --keras-python PATH, a Python with benchmarks/requirements-keras.txt, or --skip-keras")

    digits = Digits.read(options.data_dir, options.images)
    results = {name: measure(name, digits, options) for name in options.models}
    machine = describe_machine()
    keras_versions = next((result["keras"]["versions"] for result in results.values() if result["keras"]), {})
    print("\n\n".join([format_machine(machine, keras_versions), *(format_model(name, result) for name, result in results.items())]))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "digits": len(digits.train), "models": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
