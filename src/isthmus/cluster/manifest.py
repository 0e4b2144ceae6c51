"""The manifest: a Parquet file in parts with one row for each file, the truth about what is done.

A part is written whole or not at all, by the driver alone, after the files that it names. What a part does not name is done
again by the next run; the files that it writes are the same.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.errors import UsageError, printable
from isthmus.storage.atomic import resumable
from isthmus.storage.store import Store

FIELDS = [
    ("path", pa.string()), ("outcome", pa.string()), ("reason", pa.string()), ("seconds", pa.float64()), ("worker", pa.string()),
]  # fmt: skip
"""Of a row: the file's name below the input; WRITTEN or FAILED; why it failed, or what did not come back; time; host:process."""

WRITTEN, FAILED, STOPPED = "written", "failed", "stopped"
"""Outcomes; the last is never kept: it ends the run, as on a full disk."""

PART = re.compile(r"part-(\d+)-[0-9a-f]{8}\.parquet")

LEAST_SECONDS, SHARE = 1.0, 0.02
"""Time between two parts: at least this, and this share of the time spent, so that a long run does not leave many."""

MOST_BYTES = 1 << 26
"""Of rows that wait to be written."""


class Manifest:
    """The rows of a folder.

    Args:
        store: Where the output is.
        folder: Below it, with a slash at its end, or "" for the output itself.
        extra: Further fields, by name: their types.
    """

    def __init__(self, store: Store, folder: str, extra: dict[str, Any]):
        self.store, self.folder = store, folder
        self.schema = pa.schema([*FIELDS, *extra.items()])
        self.waiting: list[Any] = []
        self.waiting_bytes, self.number = 0, 0
        self.began = self.last = time.monotonic()

    @contextlib.contextmanager
    def held(self, *, overwrite: bool, resume: bool) -> Iterator[None]:
        """Hold it for this process, as far as the output is a folder of a machine; clean up what killed workers left.

        Args:
            overwrite: Whether what the output holds may be replaced.
            resume: Whether the output was begun by such a run, and is to be continued.

        Raises:
            UsageError: If the output holds something and neither is given, or was not begun so, or another run holds it.
        """
        self.store.check_output(overwrite=overwrite or resume)
        if resume and not overwrite and not self.there and self.store.names():
            raise UsageError(
                f"{printable(self.store.root)} has files and no manifest, so they were not written by a run with `cluster`. "
                "Resume without `cluster`, or pass `overwrite=True`."
            )
        if self.store.is_remote:
            yield
            return
        root = Path(self.store.root)
        (root / self.folder).mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root / self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UsageError(f"Another run writes to {printable(str(root))}. Wait for it, or choose another `out`.") from None
        try:
            _sweep(root)
            with resumable():
                yield
        finally:
            _sweep(root)
            lock.release()
            (root / self.folder / ".lock").unlink(missing_ok=True)

    def begin(self, *, resume: bool) -> set[str]:
        """Return the names that are done, if they are to be kept; forget all others. From now on, there is a part."""
        done: set[str] = set()
        for name in self._parts():
            if not resume:
                self.store.remove(self.folder + name)
                continue
            rows = self._read(name)
            kept = rows.filter(pc.equal(rows["outcome"], WRITTEN))
            if not len(kept):
                self.store.remove(self.folder + name)
            elif len(kept) < len(rows):
                self._write(name, kept)
            done.update(kept["path"].to_pylist())
            self.number = max(self.number, int(name.split("-")[1]))
        if not self.there:  # a run that is killed before it has done anything can be resumed
            self.add(self.schema.empty_table())
            self.flush()
        return done

    @property
    def there(self) -> bool:
        """Whether there is one."""
        return bool(self._parts())

    def add(self, rows: Any) -> None:
        """Take rows; write those that wait if it is time."""
        self.waiting.append(rows.select(self.schema.names).cast(self.schema))
        self.waiting_bytes += rows.nbytes
        now = time.monotonic()
        if self.waiting_bytes > MOST_BYTES or now - self.last > max(LEAST_SECONDS, SHARE * (now - self.began)):
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        if self.waiting:
            self.number += 1
            self._write(f"part-{self.number:06}-{secrets.token_hex(4)}.parquet", pa.concat_tables(self.waiting))
            self.waiting, self.waiting_bytes = [], 0
        self.last = time.monotonic()

    def read(self, columns: list[str] | None = None) -> Any:
        """Return all rows, as a table of Arrow."""
        tables = [self._read(name, columns) for name in self._parts()]
        return pa.concat_tables(tables) if tables else self.schema.empty_table()

    def _parts(self) -> list[str]:
        names = (name[len(self.folder) :] for name in self.store.names(self.folder))
        return [name for name in names if PART.fullmatch(name)]

    def _read(self, name: str, columns: list[str] | None = None) -> Any:
        return pq.read_table(BytesIO(self.store.read(self.folder + name)), columns=columns)

    def _write(self, name: str, rows: Any) -> None:
        sink = BytesIO()
        pq.write_table(rows, sink, compression="zstd")
        self.store.write(self.folder + name, sink.getvalue())


def _sweep(root: Path) -> None:
    """Remove the unfinished files of workers that were killed."""
    for path in root.rglob(".*.part"):
        if re.fullmatch(r"\.[0-9a-f]{12}\.part", path.name):
            path.unlink(missing_ok=True)
