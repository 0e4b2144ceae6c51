"""Exceptions and warnings: one class per exit status, and what a caller may need to tell apart.

Every message is one sentence or two: what was wrong, with which value, what is accepted, what to do next.
The command line prints it and exits with the class's `exit_status`; Python callers catch `IsthmusError`, a `ValueError`.
"""

import difflib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import TypeVar

Entry = TypeVar("Entry")


class IsthmusError(ValueError):
    """Anything that isthmus refuses; the run has failed."""

    exit_status = 1


class DivergenceError(IsthmusError):
    """A training whose loss is no longer a finite number."""


class DiskFullError(IsthmusError):
    """A disk that is full; nothing of the file was left behind.

    Args:
        name: The file.
        then: What to do once there is space.
    """

    def __init__(self, name: str, then: str = "run the same command again"):
        super().__init__(name, then)  # its arguments, so that another process can make it again
        self.name, self.then = name, then

    def __str__(self) -> str:
        """Return the sentence."""
        return f"Disk full while writing {self.name}. Free some space and {self.then}."


class UsageError(IsthmusError):
    """An invalid option, name or path."""

    exit_status = 2


class DataError(IsthmusError):
    """Images or data that cannot be read or do not fit the model."""

    exit_status = 3


class ModelFileError(IsthmusError):
    """A file that is no model file, is damaged, or is newer than this version."""

    exit_status = 4


class IsthmusWarning(UserWarning):
    """A result that may be unreliable. Filter it, or make it an error, by `warnings.filterwarnings`."""


class Interrupted(KeyboardInterrupt):
    """Work that was stopped, by a signal or by its `stop` event; a training has saved its state."""

    def __init__(self, message: str, exit_status: int = 130):
        super().__init__(message)
        self.exit_status = exit_status


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ` Did you mean 'dense'?`, or nothing where no name is near.

    >>> nearest("dnese", ["dense", "conv"])
    " Did you mean 'dense'?"
    """
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def lookup(kind: str, name: str, registry: Mapping[str, Entry]) -> Entry:
    """Return `registry[name]`.

    Args:
        kind: What the registry holds, for the message: "model", "task".
        name: The name that the user gave.
        registry: The names that exist.

    Raises:
        UsageError: If the name is unknown; the message lists the names and the nearest one.

    >>> lookup("loss", "bcee", {"bce": 1, "mse": 2})
    Traceback (most recent call last):
    ...
    isthmus.errors.UsageError: Unknown loss 'bcee'. Did you mean 'bce'? There are: bce, mse.
    """
    if name not in registry:
        raise UsageError(f"Unknown {kind} '{name}'.{nearest(name, registry)} There are: {', '.join(registry)}.")
    return registry[name]


def require(extra: str, *modules: str) -> None:
    """Make sure that an extra's modules are installed.

    Raises:
        UsageError: With the command that installs them.
    """
    if any(find_spec(module) is None for module in modules):
        raise UsageError(f"This needs the extra '{extra}'. Install it: pip install 'isthmus[{extra}]'.")


def printable(name: str | bytes) -> str:
    r"""Return a file's name as one printable line, whatever bytes it holds.

    >>> printable("two\nlines.png")
    'two\\nlines.png'
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: object) -> str:
    r"""Return what an error of another library says as part of a sentence: one printable line, short, without its full stop.

    >>> one_line(ValueError("bad\nheader b'\x00'."))
    "bad header b'\\x00'"
    """
    return printable(" ".join(str(error).split()))[:300].rstrip(".") or type(error).__name__
