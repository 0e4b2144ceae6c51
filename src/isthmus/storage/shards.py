"""Shards: tar archives of many small files, which are read in place; nothing is unpacked.

WebDataset's shards are such archives: https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import PureWindowsPath
from typing import Any, NamedTuple

from isthmus.errors import DataError, UsageError, one_line, printable
from isthmus.storage.store import Store

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
"""Several names in one, such as shard-{000..009}.tar."""

MOST_NAMES = 1_000_000
"""Names that one pattern may stand for, at most."""


class Member(NamedTuple):
    """Where a file lies in a shard."""

    shard: str
    """The shard's name, relative to the store."""
    start: int
    """Its first byte."""
    size: int
    """In bytes."""


def names_of(pattern: str) -> list[str]:
    """Return the names that a pattern stands for; a name without a range stands for itself.

    Raises:
        UsageError: If they are none, or too many.

    >>> names_of("s-{08..10}.tar")
    ['s-08.tar', 's-09.tar', 's-10.tar']
    """
    found = RANGE.search(pattern)
    if not found:
        return [pattern]
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < MOST_NAMES:
        count = max(0, last - first + 1)
        raise UsageError(f"{printable(found[0])} stands for {count:,} names. Accepted are 1 to {MOST_NAMES:,}: {{FIRST..LAST}}.")
    numbers = [f"{number:0{len(found[1])}}" for number in range(first, last + 1)]
    return [name for number in numbers for name in names_of(pattern[: found.start()] + number + pattern[found.end() :])]


def members(store: Store, shard: str) -> Iterator[tuple[str, Member]]:
    """Yield the regular files of a shard, by name, in their order; only their headers are read.

    Raises:
        DataError: If the shard is damaged, or cut off.
    """
    whole, before = store.name_of(shard), -1
    with store.open(shard) as file:
        try:
            tar: Any
            with tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None and member.offset > before:
                    tar.members.clear()  # they are large
                    before = member.offset
                    if member.isreg() and not member.issparse():
                        yield member.name, Member(shard, member.offset_data, member.size)
                end = tar.offset
            file.seek(end)  # tarfile takes anything for the end that is no header
            rest = file.read(1 << 20)
        except tarfile.TarError as error:
            raise DataError(
                f"{printable(whole)} is damaged, or no tar archive without compression: {one_line(error)}. Make it anew."
            ) from None
        if not rest or rest.strip(b"\0"):
            problem = "goes on with what is no file" if rest else "ends without the mark of an end: it may be cut off"
            raise DataError(f"{printable(whole)} is damaged: after byte {end:,}, it {problem}. Make it anew.")


def is_safe(name: str) -> bool:
    r"""Tell whether a member's name stays inside of the folder into which it would be written, on any system.

    >>> [is_safe(name) for name in ("a/b.png", "../b.png", "/b.png", "C:/b.png", r"a\..\..\b.png")]
    [True, False, False, False, False]
    """
    path = PureWindowsPath(name)  # which knows both slashes
    return not path.drive and not path.root and ".." not in path.parts
