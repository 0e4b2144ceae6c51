"""Files below a folder, or below a URL of an object store such as s3://bucket/photos: read whole, written whole.

fsspec knows the protocols; credentials are those that its file systems find, as in the environment.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from isthmus.errors import DataError, IsthmusError, UsageError, one_line, printable, require
from isthmus.storage.atomic import check_output, write_whole

URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}(?!/)(.*)", re.DOTALL)
"""A protocol of two letters or more, so that no Windows drive is one. pathlib leaves one slash of two."""


def is_url(name: str | Path) -> bool:
    """Tell whether a name is a URL.

    >>> [is_url(name) for name in ("s3://bucket/in", Path("s3://bucket/in"), "photos/", "C:/photos")]
    [True, True, False, False]
    """
    return URL.fullmatch(str(name)) is not None


@dataclass(frozen=True)
class Store:
    """Files below one place.

    Args:
        root: An absolute path, or a URL. Make one with `Store.at`.
    """

    root: str

    @classmethod
    def at(cls, place: str | Path) -> Store:
        """Return the store of a folder or a URL; file:// is a folder."""
        found = URL.fullmatch(str(place))
        if not found:
            return cls(os.path.abspath(place))  # noqa: PTH100  # resolve() would follow links
        protocol, rest = found.groups()
        if protocol in ("file", "local"):
            return cls(os.path.abspath(f"/{rest}"))  # noqa: PTH100
        return cls(f"{protocol}://{rest.rstrip('/')}")

    @property
    def name(self) -> str:
        """What to call it: a path is given relative to the current folder where it lies below."""
        here = f"{Path.cwd()}{os.sep}"
        return self.root.removeprefix(here)

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return is_url(self.root)

    def name_of(self, name: str | Path) -> str:
        """Return the whole path or URL of a file below it."""
        return f"{self.root}/{PurePosixPath(name)}" if self.is_remote else str(Path(self.root) / name)

    def names(self, below: str = "") -> list[str]:
        """Return the names of all files below it that are not hidden, relative to it, sorted.

        Raises:
            DataError: If it cannot be listed.
        """
        if not self.is_remote:
            base = Path(self.root)
            found = [path.relative_to(base).as_posix() for path in (base / below).rglob("*") if path.is_file()]
        else:
            top = self._path("")
            with self._reading(self.root):
                found = [path[len(top) :].lstrip("/") for path in self._system().find(self._path(below))]
        return sorted(name for name in found if not any(part.startswith(".") for part in PurePosixPath(name).parts))

    def read(self, name: str | Path, start: int = 0, end: int | None = None) -> bytes:
        """Return a file's content, or the bytes from `start` to `end`, as far as there are some.

        Raises:
            DataError: If it cannot be read.
        """
        whole = self.name_of(name)
        with self._reading(whole):
            if self.is_remote:
                part = {} if not start and end is None else {"start": start, "end": end}
                content: bytes = self._system().cat_file(self._path(name), **part)
                return content
            with self.open(name) as file:
                file.seek(start)
                return file.read(-1 if end is None else end - start)

    def size(self, name: str | Path) -> int:
        """Return how many bytes a file has.

        Raises:
            DataError: If it cannot be read.
        """
        whole = self.name_of(name)
        with self._reading(whole):
            return int(self._system().size(self._path(name)) if self.is_remote else Path(whole).stat().st_size)

    @contextlib.contextmanager
    def open(self, name: str | Path) -> Iterator[BinaryIO]:
        """Open a file to read in it; of a URL, what is read is fetched, in blocks.

        Raises:
            DataError: If it cannot be read.
        """
        whole = self.name_of(name)
        with self._reading(whole):
            if not self.is_remote and Path(whole).exists() and not Path(whole).is_file():
                raise DataError(f"{printable(whole)} is not a regular file.")
            with self._system().open(self._path(name)) if self.is_remote else open(whole, "rb") as file:
                yield file

    def write(self, name: str | Path, content: bytes) -> None:
        """Write a file, whole or not at all; what is there is replaced.

        Raises:
            IsthmusError: If it cannot be written.
        """
        if not self.is_remote:
            write_whole(Path(self.root) / name, content)
            return
        try:
            self._system().pipe_file(self._path(name), content)
        except Exception as error:  # each protocol has its own
            raise IsthmusError(f"Cannot write {printable(self.name_of(name))}: {one_line(error)}.") from error

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no mistake."""
        if self.is_remote:
            with contextlib.suppress(FileNotFoundError):
                self._system().rm_file(self._path(name))
        else:
            (Path(self.root) / name).unlink(missing_ok=True)

    def check_output(self, *, overwrite: bool) -> None:
        """Make sure that it can be written, and holds nothing unless it may be overwritten.

        Raises:
            UsageError: If it holds something.
            IsthmusError: If it cannot be written.
        """
        if not self.is_remote:
            check_output(Path(self.root), overwrite=overwrite)
            return
        if not overwrite and self.names():
            raise UsageError(f"{printable(self.root)} exists already. Choose another `out`, or pass `overwrite=True`.")
        self.write(".part", b"")
        self.remove(".part")

    def _path(self, name: str | Path) -> str:
        base = self.root.partition("://")[2]
        return f"{base}/{PurePosixPath(name)}" if str(name) else base

    def _system(self) -> Any:
        return _system(self.root.partition("://")[0])

    @contextlib.contextmanager
    def _reading(self, whole: str) -> Iterator[None]:
        try:
            yield
        except IsthmusError:
            raise
        except OSError as error:
            raise DataError(f"{printable(whole)} cannot be read: {error.strerror or one_line(error)}.") from None
        except Exception as error:  # each protocol has its own
            raise DataError(f"{printable(whole)} cannot be read: {one_line(error)}.") from None


@functools.cache
def _system(protocol: str) -> Any:
    """Return the file system of a protocol; listings are not remembered, as others write there too.

    Raises:
        UsageError: If its package is missing, or there is no such protocol.
    """
    require("cluster", "fsspec", *(("s3fs",) if protocol in ("s3", "s3a") else ()))
    import fsspec

    try:
        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        raise UsageError(f"URLs with {protocol}:// need another package: {one_line(error)}.") from None
    except ValueError:
        raise UsageError(
            f"Unknown protocol {printable(protocol)}://. Accepted are s3://, gs://, file:// and others of fsspec."
        ) from None
