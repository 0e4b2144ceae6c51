"""How long a person waits before anything happens: `import isthmus` and `--help`, beside Python itself and `import torch`.

    python benchmarks/startup.py

Every command is a process of its own in this Python's environment; they take turns, after one round that is not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

RUNS = 7


@dataclass(frozen=True)
class Command:
    """What is started, and how long it may take."""

    title: str
    arguments: tuple[str, ...]
    bar_seconds: float | None = None


ISTHMUS = str(Path(sysconfig.get_path("scripts"), "isthmus"))
TORCH = 'python -c "import torch"'
COMMANDS = (
    Command("python -c pass", (sys.executable, "-c", "pass")),
    Command('python -c "import isthmus"', (sys.executable, "-c", "import isthmus"), 0.2),
    Command("isthmus --help", (ISTHMUS, "--help"), 0.5),
    Command("isthmus train --help", (ISTHMUS, "train", "--help"), 0.5),
    Command(TORCH, (sys.executable, "-c", "import torch")),
)


def time_command(command: Command) -> float:
    """Run it to its end; return the milliseconds."""
    began = time.perf_counter()
    subprocess.run(command.arguments, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began)


def measure(runs: int) -> dict[str, float]:
    """Return the median milliseconds of each command, by title."""
    milliseconds: dict[str, list[float]] = {command.title: [] for command in COMMANDS}
    for turn in range(runs + 1):
        for command in COMMANDS:
            taken = time_command(command)
            if turn:
                milliseconds[command.title].append(taken)
    return {title: median(times) for title, times in milliseconds.items()}


def format_table(medians: dict[str, float], runs: int) -> str:
    lines = [f"{f'median of {runs} runs':<28}{'ms':>9}{'bar (ms)':>10}{'/ import torch':>16}"]
    for command in COMMANDS:
        taken = medians[command.title]
        bar = f"{1000 * command.bar_seconds:,.0f}" if command.bar_seconds else ""
        lines.append(f"{command.title:<28}{taken:>9,.1f}{bar:>10}{taken / medians[TORCH]:>16.3f}")
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
