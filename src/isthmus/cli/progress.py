"""What a person sees on stderr while something takes time: a bar on a terminal, elsewhere a line per epoch."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.training.trainer import Moment


def say(sentence: str) -> None:
    """Print a remark to stderr."""
    print(f"isthmus: {sentence}", file=sys.stderr)


class _Sayer(logging.Handler):
    """Says what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record's sentence."""
        say(record.getMessage())


@contextlib.contextmanager
def remarks(quiet: bool = False) -> Iterator[None]:
    """Print to stderr what the rooms log meanwhile; or, if quiet, keep silent."""
    log = logging.getLogger("isthmus")
    before, log.handlers = log.handlers, [logging.NullHandler() if quiet else _Sayer()]
    try:
        yield
    finally:
        log.handlers = before


class Progress:
    """Shows how trainings go, or other work, one after the other."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.bar: Any = None

    def __enter__(self) -> Progress:
        """Start the bar, where there is a terminal."""
        if not self.quiet and sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            columns = ("[bold]{task.description}", progress.BarColumn(), "{task.fields[state]}", progress.TimeRemainingColumn())
            self.bar = progress.Progress(*columns, console=Console(stderr=True))
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop the bar."""
        if self.bar:
            self.bar.stop()

    def watch(self, title: str) -> Callable[[Moment], None]:
        """Return what shows the moments of one training."""
        if self.quiet:
            return lambda moment: None
        if not self.bar:
            return _Lines(title)
        task = self.bar.add_task(title, total=1.0, state="")
        return lambda moment: self.bar.update(task, completed=min(1.0, moment.share), state=_state(moment))

    def count(self, title: str) -> Callable[[int, int], None]:
        """Return what shows how many of all pictures are done."""
        if not self.bar:
            return lambda done, total: None
        task = self.bar.add_task(title, total=None, state="")
        return lambda done, total: self.bar.update(task, completed=done, total=total, state=f"{done:,} of {total:,}")


def _state(moment: Moment) -> str:
    held_out = "" if moment.validation is None else f"  held out {moment.validation:.4f}"
    return f"epoch {moment.epoch}  loss {moment.loss:.4f}{held_out}"


class _Lines:
    """Prints a line at an epoch's end, not more often than every other second."""

    def __init__(self, title: str):
        self.title = title
        self.last_seconds = -math.inf

    def __call__(self, moment: Moment) -> None:
        if moment.validation is not None and (moment.share >= 1 or moment.seconds - self.last_seconds > 2):
            self.last_seconds = moment.seconds
            say(f"{self.title}: {min(1.0, moment.share):4.0%}  {_state(moment)}  {moment.seconds:.1f} s")
