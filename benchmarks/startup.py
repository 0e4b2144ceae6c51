"""How long a person waits before anything happens: importing, help, one small picture, the first page of `isthmus serve`.

    python benchmarks/startup.py

Python itself and `import torch` are beside them. Every command is a process of its own in this Python's environment; they take
turns, after one round that is not counted.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

RUNS = 7


@dataclass(frozen=True)
class Command:
    """What is started, and how long it may take."""

    title: str
    arguments: tuple[str, ...]
    bar_seconds: float | None = None


SMALL, OUT = "small.png", "out"
"""A picture of 160 x 120 pixels, and where it is denoised, in a folder of the benchmark's own."""

ISTHMUS = str(Path(sysconfig.get_path("scripts"), "isthmus"))
TORCH = 'python -c "import torch"'
COMMANDS = (
    Command("python -c pass", (sys.executable, "-c", "pass")),
    Command('python -c "import isthmus"', (sys.executable, "-c", "import isthmus"), 0.2),
    Command("isthmus --help", (ISTHMUS, "--help"), 0.2),
    Command("isthmus train --help", (ISTHMUS, "train", "--help"), 0.5),
    Command(TORCH, (sys.executable, "-c", "import torch")),
    Command("isthmus denoise, 160 x 120", (ISTHMUS, "denoise", SMALL, "--out", OUT, "--overwrite", "--quiet"), 1.5),
    Command("isthmus serve, first page", (ISTHMUS, "serve", "--port", "PORT"), 2.0),
)


def time_command(command: Command, folder: Path) -> float:
    """Run it in a folder to its end, or a server until it has answered; return the milliseconds."""
    began = time.perf_counter()
    if "PORT" not in command.arguments:
        subprocess.run(command.arguments, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        return 1000 * (time.perf_counter() - began)
    port = free_port()
    arguments = [str(port) if argument == "PORT" else argument for argument in command.arguments]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder) as server:
        try:
            wait_for_page(server, port)
            return 1000 * (time.perf_counter() - began)
        finally:
            server.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_page(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server's page has been read; asked every 5 ms."""
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
                page.read()
                return
        except OSError:
            if server.poll() is not None:
                sys.exit("`isthmus serve` ended by itself.")
            time.sleep(0.005)


def measure(runs: int) -> dict[str, float]:
    """Return the median milliseconds of each command, by title."""
    with tempfile.TemporaryDirectory() as folder:
        noise = np.random.default_rng(0).normal(128, 20, (120, 160, 3))
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(Path(folder, SMALL))
        return medians_in(Path(folder), runs)


def medians_in(folder: Path, runs: int) -> dict[str, float]:
    milliseconds: dict[str, list[float]] = {command.title: [] for command in COMMANDS}
    for turn in range(runs + 1):
        for command in COMMANDS:
            taken = time_command(command, folder)
            if turn:
                milliseconds[command.title].append(taken)
    return {title: median(times) for title, times in milliseconds.items()}


def format_table(medians: dict[str, float], runs: int) -> str:
    lines = [f"{f'median of {runs} runs':<30}{'ms':>9}{'bar (ms)':>10}{'/ import torch':>16}"]
    for command in COMMANDS:
        taken = medians[command.title]
        bar = f"{1000 * command.bar_seconds:,.0f}" if command.bar_seconds else ""
        lines.append(f"{command.title:<30}{taken:>9,.1f}{bar:>10}{taken / medians[TORCH]:>16.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the medians, in milliseconds, there")
    options = parser.parse_args()
    medians = measure(options.runs)
    print(format_table(medians, options.runs))
    if options.json:
        options.json.write_text(json.dumps({"runs": options.runs, "median_ms": medians}, indent=2) + "\n")


if __name__ == "__main__":
    main()
