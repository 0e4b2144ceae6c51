"""What a user reads on stderr: messages, warnings, and a bar for restoring many pictures."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any


def say(sentence: str) -> None:
    """Print a message to stderr."""
    print(f"isthmus: {sentence}", file=sys.stderr)


def as_flags(message: str) -> str:
    """Return a message of the library with its Python keywords as options of the command line.

    >>> as_flags('Pass `overwrite=True`, or `data_dir`. `task="pairs"` needs `clean`.')
    'Pass --overwrite, or --data-dir. --task pairs needs --clean.'
    """

    def flag(match: re.Match[str]) -> str:
        name, value = match[1].replace("_", "-"), (match[2] or "").strip("\"'")
        return f"--{name}" if value in ("", "True") else f"--{name} {value}"

    return re.sub(r"`([a-z_]+)(?:=([^`]*))?`", flag, message)


class _Handler(logging.Handler):
    """Prints what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record's message."""
        say(as_flags(record.getMessage()))


@contextlib.contextmanager
def messages(quiet: bool = False, level: int = logging.WARNING) -> Iterator[None]:
    """Print what isthmus logs and warns of to stderr; or, if quiet, nothing."""
    log = logging.getLogger("isthmus")
    before = log.handlers, log.level, warnings.showwarning
    log.handlers = [logging.NullHandler() if quiet else _Handler()]
    log.setLevel(level)

    def show(message: Warning | str, category: type[Warning], *details: Any, **more: Any) -> None:
        if category.__name__ != "IsthmusWarning":
            before[2](message, category, *details, **more)
        elif not quiet:
            say(as_flags(str(message)))

    warnings.showwarning = show
    try:
        yield
    finally:
        log.handlers, log.level, warnings.showwarning = before


class CountBar:
    """Shows on a terminal how many of all pictures are done.

    Args:
        title: What is done.
        quiet: Show nothing.
    """

    def __init__(self, title: str, quiet: bool = False):
        self.title, self.bar = title, None if quiet or not sys.stderr.isatty() else self._bar()

    def __enter__(self) -> Callable[[int, int], None]:
        """Start the bar; return what moves it."""
        if not self.bar:
            return lambda done, total: None
        bar = self.bar
        bar.start()
        task = bar.add_task(self.title, total=None, state="")
        return lambda done, total: bar.update(task, completed=done, total=total, state=f"{done:,} of {total:,}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop the bar."""
        if self.bar:
            self.bar.stop()

    @staticmethod
    def _bar() -> Any:
        from rich import progress
        from rich.console import Console

        columns = ("[bold]{task.description}", progress.BarColumn(), "{task.fields[state]}", progress.TimeRemainingColumn())
        return progress.Progress(*columns, console=Console(stderr=True))
