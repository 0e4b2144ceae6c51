"""Pictures in shards, as of WebDataset: tar archives, in a folder or below a URL, each as if it were a folder of pictures."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from isthmus.datasets.base import SIDECARS
from isthmus.datasets.folder import MAX_BAD, Folder
from isthmus.errors import DataError, printable
from isthmus.imaging.picture import FORMATS, OTHERS, UNREAD, Picture, decode_picture
from isthmus.storage.shards import Member, is_safe, members, names_of
from isthmus.storage.store import Store

TAR, LABEL = ".tar", ".cls"
"""The ends of the names of shards, and of the files in them that hold a picture's label."""

LOG = logging.getLogger("isthmus")


@dataclass(frozen=True)
class Shards(Folder):
    """The pictures in shards, in the order of the shards' names and of their members: SHARD/KEY.png lies in SHARD.tar."""

    members: Mapping[str, Member] = field(default_factory=dict, repr=False)
    """Where each file lies, by its name in `files` or `sidecars`."""

    given: str = ""
    """What the user calls them."""

    @classmethod
    def at(cls, url: str, max_bad: float = MAX_BAD) -> Shards:
        """Return the pictures in a shard, or in several: .../shard-{000..009}.tar; a path or a URL."""
        store = Store.at(url)
        folder, last = store.root.rsplit("/", 1) if store.is_remote else os.path.split(store.root)
        return cls.in_store(Store.at(folder), names_of(last), url, max_bad)

    @classmethod
    def in_store(cls, store: Store, shards: Sequence[str], given: str, max_bad: float = MAX_BAD) -> Shards:
        """Return the pictures in the shards of some names; their headers are read.

        Raises:
            DataError: If a shard is damaged, or there are no pictures.
        """
        found: dict[str, Member] = {}
        for shard in shards:
            unsafe = []
            for name, member in members(store, shard):
                path = PurePosixPath(name)
                if not is_safe(name):
                    unsafe.append(name)
                elif not any(part.startswith(".") for part in path.parts):
                    found[f"{shard.removesuffix(TAR)}/{path}"] = member
            if unsafe:
                told = "%s holds %d files whose names lead out of a folder, such as %s: they are skipped."
                LOG.warning(told, printable(store.name_of(shard)), len(unsafe), printable(unsafe[0]))
        by_end: dict[str, list[Path]] = {}
        for name in found:
            by_end.setdefault(PurePosixPath(name).suffix.lower(), []).append(Path(name))
        pictures = {file.as_posix() for end in by_end if end in FORMATS and end not in UNREAD for file in by_end[end]}
        if not pictures:
            ends = ", ".join(end[1:] for end in FORMATS)
            raise DataError(f"There are no pictures in {printable(given)} (looked for {ends}, in {len(shards):,} shards).")
        return cls(
            Path() if store.is_remote else Path(store.root),
            tuple(Path(name) for name in found if name in pictures),
            tuple(file for end in (*SIDECARS, LABEL) for file in by_end.get(end, ())),
            max_bad,
            tuple(file for end in (*OTHERS, *UNREAD) for file in by_end.get(end, ())),
            url=store.root if store.is_remote else "",
            members=found,
            given=given,
        )

    @property
    def title(self) -> str:
        """What the user calls them."""
        return printable(self.given)

    def content(self, file: str | Path, end: int | None = None) -> bytes:
        """Return the bytes of a file, or the first ones."""
        shard, start, size = self.members[Path(file).as_posix()]
        content = self.store.read(shard, start, start + (size if end is None else min(end, size)))
        if len(content) < size and end is None:
            raise DataError(f"{printable(self.store.name_of(shard))} has become shorter since it was opened.")
        return content

    def picture(self, file: str | Path) -> Picture:
        """Read a picture; see `read_picture`."""
        return decode_picture(self.content(file), printable(Path(file).as_posix()))

    def _opened(self, file: Path, end: int | None) -> BytesIO:
        return BytesIO(self.content(file, end))

    def label(self, file: str) -> str:
        """Return a picture's label: what KEY.cls holds, where KEY ends before the first dot; else its folder in the shard."""
        path = PurePosixPath(Path(file).as_posix())
        beside = str(path.with_name(path.name.partition(".")[0] + LABEL))
        if beside in self.members:
            return self.content(beside).decode("utf-8", "replace").strip()
        return path.parent.name if f"{path.parent}{TAR}" != self.members[str(path)].shard else ""

    def without(self, out: Path) -> Shards:
        """Return the same, as nothing is written into shards."""
        return self
