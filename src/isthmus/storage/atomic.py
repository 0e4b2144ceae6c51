"""Atomic writes: a file is written whole or not at all, and overwrites nothing unasked.

Every room that writes does it through here, so that a full disk, a kill or a second run leaves the old file or none.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from isthmus.errors import DiskFullError, IsthmusError, UsageError, printable


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment the path holds the old content or the new one, never a part.

    Args:
        path: Where; its folder is made if it is missing.
        content: All of the file.

    Raises:
        IsthmusError: If the disk is full or the folder not writable; nothing is left behind.
    """
    with named_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{secrets.token_hex(6)}.part")  # short: the name itself may be 255 bytes long
        try:
            with open(part, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals of `path` into sentences."""
    try:
        yield
    except OSError as error:
        name = printable(str(path))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(name) from error
        raise IsthmusError(f"Cannot write {name}: {(error.strerror or str(error)).lower()}.") from error


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Within it, what a full disk ends can be resumed: the message says so."""
    try:
        yield
    except DiskFullError as error:
        raise DiskFullError(error.name, "pass `resume=True` to continue") from error


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Make sure, before any work is done, that `path` can be written and would not overwrite anything.

    Raises:
        UsageError: If it exists and `overwrite` is false.
        IsthmusError: If it cannot be written.
    """
    if not overwrite and (path.exists() if not path.is_dir() else any(path.iterdir())):
        raise UsageError(f"{printable(str(path))} exists already. Choose another `out`, or pass `overwrite=True`.")
    with named_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = (path if path.is_dir() else path.parent) / f".{secrets.token_hex(6)}.part"
        with open(probe, "xb"):
            pass
        probe.unlink()
