"""Callbacks: the protocol, a progress bar, TensorBoard."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from isthmus.errors import UsageError
from isthmus.imaging.arrays import Array

if TYPE_CHECKING:
    from isthmus.model import Model


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """How far a training is."""

    share: float
    """Share of the whole training that is done, in [0, 1]."""
    epoch: int
    """Epochs completed."""
    step: int
    """Steps taken."""
    seconds: float
    """Time spent, before a resume included."""
    loss: float
    """Mean training loss of this epoch so far."""
    validation: float | None = None
    """Mean loss on held-out images, at an epoch's end."""
    learning_rate: float
    """Of the last step."""
    preview: Callable[[int], tuple[Array, Array, Array]]
    """Returns, for so many held-out images, the network's input, its output by now, and the target; each `(n, C, H, W)` in [0, 1].
    Call it before the next step."""


class Callback:
    """Watches a training; override what is needed. Raising an exception ends the training without saving it."""

    def on_step(self, progress: TrainingProgress) -> None:
        """Called after steps, some ten times a second at most."""

    def on_epoch_end(self, progress: TrainingProgress) -> None:
        """Called after each epoch, with the validation loss."""

    def on_end(self, model: Model) -> None:
        """Called once, with the trained model."""


class ProgressBar(Callback):
    """Shows progress on stderr: a bar on a terminal or in a notebook, elsewhere a line per epoch.

    Args:
        title: What is trained.
    """

    def __init__(self, title: str = "training"):
        self.title = title
        self.bar: Any = None
        self.last_seconds = -math.inf

    def __enter__(self) -> ProgressBar:
        """Start the bar, where one can be drawn."""
        if can_draw():
            from rich import progress
            from rich.console import Console

            columns = ("[bold]{task.description}", progress.BarColumn(), "{task.fields[state]}", progress.TimeRemainingColumn())
            self.bar = progress.Progress(*columns, console=Console(stderr=not _in_notebook()))
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=1.0, state="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop the bar."""
        if self.bar:
            self.bar.stop()

    def on_step(self, progress: TrainingProgress) -> None:
        """Move the bar."""
        if self.bar:
            self.bar.update(self.task, completed=min(1.0, progress.share), state=_state(progress))

    def on_epoch_end(self, progress: TrainingProgress) -> None:
        """Move the bar; without one, print a line, not more often than every other second."""
        if self.bar:
            self.on_step(progress)
        elif progress.share >= 1 or progress.seconds - self.last_seconds > 2:
            self.last_seconds = progress.seconds
            line = f"{self.title}: {min(1.0, progress.share):4.0%}  {_state(progress)}  {progress.seconds:.1f} s"
            sys.stderr.write(f"isthmus: {line}\n")


class TensorBoard(Callback):
    """Writes the losses for TensorBoard.

    Args:
        folder: Where its event files go.

    Raises:
        UsageError: If TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UsageError("This needs the extra 'track'. Install it: pip install 'isthmus[track]'.") from None
        self.writer: Any = SummaryWriter(str(folder))

    def on_epoch_end(self, progress: TrainingProgress) -> None:
        """Write the epoch's numbers."""
        numbers = {"train_loss": progress.loss, "held_out_loss": progress.validation, "learning_rate": progress.learning_rate}
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, progress.step)

    def on_end(self, model: Model) -> None:
        """Finish the files."""
        self.writer.close()


def can_draw() -> bool:
    """Tell whether stderr is a terminal, or this is a notebook."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules and "IPython" in sys.modules


def _state(progress: TrainingProgress) -> str:
    held_out = "" if progress.validation is None else f"  held out {progress.validation:.4f}"
    return f"epoch {progress.epoch}  loss {progress.loss:.4f}{held_out}"
