"""A graphics card beside the processor: the tests for it, the chapter's three trainings, 12 megapixels restored.

    python benchmarks/gpu.py > docs/numbers/gpu.jsonl
    python benchmarks/gpu.py --device cpu    # a dry run, which measures nothing: it shows that the script runs

Prints a JSON object a line; a ratio is the processor's seconds divided by the device's, of the same work. The trainings are
those of `isthmus reproduce`, on the 5,000 digits that ship or on `--data mnist`. The device is warmed up by a first training and a
first picture, which are not counted. Exit status 1 without CUDA, and where a test fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import isthmus
from isthmus.recipes.chapter import CHAPTER

TESTS = Path(__file__).parents[1] / "tests" / "training" / "test_gpu.py"
MODEL, SIZE, RUNS = "denoise-color", (3000, 4000), 3


def tested(device: str) -> dict[str, Any]:
    """Run the tests that need a device."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(TESTS)]
    environment = {**os.environ, "ISTHMUS_TEST_DEVICE": device}
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False, cwd=TESTS.parents[2])
    sys.stderr.write(ended.stdout)
    return {"what": "tests", "passed": ended.returncode == 0, "summary": (ended.stdout.strip().splitlines() or [""])[-1]}


def trained(name: str, data: str, data_dir: Path | None, epochs: int | None, devices: list[str]) -> dict[str, Any]:
    """Train one of the chapter's models on each device."""
    recipe = CHAPTER[name].recipe
    recipe = replace(recipe, epochs=epochs) if epochs else recipe
    row: dict[str, Any] = {"what": "training", "model": name, "data": data, "epochs": recipe.epochs}
    for device in devices:
        model = isthmus.train(data, recipe, data_dir=data_dir, device=device, progress=False)
        row |= {
            f"{device}_seconds": model.info.train_seconds,
            f"{device}_held_out_loss": round(model.info.history[-1]["held_out_loss"], 5),
        }
    return row


def restored(size: tuple[int, int], runs: int, devices: list[str]) -> dict[str, Any]:
    """Restore a picture on each device, from array to array."""
    height, width = size
    steps = np.linspace(0, 6, height)[:, None, None], np.linspace(0, 8, width)[None, :, None], np.arange(3)
    clean = 0.5 + 0.4 * np.sin(steps[0] * 5 + steps[2]) * np.cos(steps[1] * 7 - steps[2])
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.05, clean.shape), 0, 1)
    image = np.rint(noisy * 255).astype(np.uint8)
    row: dict[str, Any] = {"what": "restoring", "model": MODEL, "megapixels": height * width / 1e6}
    results = []
    for device in devices:
        model = isthmus.load(MODEL, device=device)
        model.restore(image[:1024, :1024])
        seconds = []
        for _ in range(runs if device != "cpu" else 1):
            began = time.perf_counter()
            results.append(model.restore(image))
            seconds.append(time.perf_counter() - began)
        row[f"{device}_seconds"] = round(median(seconds), 3)
    row["largest_difference"] = int(np.abs(results[0].astype(int) - results[-1]).max())
    return row


def rows(device: str, data: str, data_dir: Path | None, *, dry: bool) -> Iterator[dict[str, Any]]:
    """Yield what was measured."""
    devices = [device] if dry else [device, "cpu"]
    kind = torch.cuda.get_device_name(device) if device.startswith("cuda") else "processor"
    yield {
        "what": "machine",
        "device": kind,
        "torch": torch.__version__,
        "cpu": platform.processor(),
        "threads": torch.get_num_threads(),
    }
    yield tested(device)
    trained("dense", "mnist-5k", None, 1, [device])
    for name in CHAPTER:
        yield trained(name, data, data_dir, 1 if dry else None, devices)
    yield restored((96, 128) if dry else SIZE, 1 if dry else RUNS, devices)


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu for a dry run")
    parser.add_argument("--data", default="mnist-5k")
    parser.add_argument("--data-dir", type=Path)
    chosen = parser.parse_args()
    dry = chosen.device == "cpu"
    if not dry and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} finds no CUDA device, so nothing was measured. --device cpu is a dry run.", file=sys.stderr
        )
        return 1
    passed = True
    for row in rows(chosen.device, chosen.data, chosen.data_dir, dry=dry):
        if f"{chosen.device}_seconds" in row and not dry:
            row["ratio"] = round(row["cpu_seconds"] / row[f"{chosen.device}_seconds"], 2)
        passed = row.get("passed", passed)
        print(json.dumps({**row, "dry_run": True} if dry else row), flush=True)
    if dry:
        print("This was a dry run on the processor: nothing was measured, and CUDA has not been run.", file=sys.stderr)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
