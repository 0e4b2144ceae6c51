"""How a folder's pictures are changed: neighbors of one shape together, each failure by itself, each remark once."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from isthmus.datasets.base import Change, Skipped
from isthmus.errors import DataError, IsthmusError, printable
from isthmus.imaging.picture import Picture

BATCH, BATCH_BYTES = 256, 1 << 24
"""At most so many pictures of one size, and no more bytes of them, are changed at once; a larger picture is alone."""

PictureChange = Callable[[Sequence[str], Sequence[Picture]], Sequence[Picture]]
"""Maps the names of pictures of one shape, and the pictures, to what is written; a picture that needs nothing, to itself."""


LOG = logging.getLogger("isthmus")


def runs(outcomes: Iterable[tuple[str, Picture | Skipped]]) -> Iterator[tuple[list[str], list[Picture], list[Skipped]]]:
    """Group neighbors of one shape and type, up to `BATCH` and `BATCH_BYTES`, so that they can be changed together."""
    names: list[str] = []
    pictures: list[Picture] = []
    failures: list[Skipped] = []
    for name, outcome in outcomes:
        if isinstance(outcome, Skipped):
            failures.append(outcome)
            continue
        kind = (outcome.plain_shape, outcome.pixels.dtype)
        full = len(pictures) == BATCH or (len(pictures) + 1) * outcome.pixels.nbytes > BATCH_BYTES
        if pictures and (full or outcome.pages or pictures[0].pages or kind != (pictures[0].plain_shape, pictures[0].pixels.dtype)):
            yield names, pictures, failures
            names, pictures, failures = [], [], []
        names.append(name)
        pictures.append(outcome)
    yield names, pictures, failures


def changed_together(names: Sequence[str], pictures: Sequence[Picture], change: Change) -> Sequence[Picture]:
    """Return neighbors of one shape changed by what maps an array of all of them."""
    if len(pictures) == 1:
        return [pictures[0].changed_by(change)]
    changed = change(np.stack([picture.plain() for picture in pictures]))
    return [picture.changed(np.moveaxis(pixels, 0, -1)) for picture, pixels in zip(pictures, changed, strict=True)]


def change_run(
    names: list[str], pictures: list[Picture], change: PictureChange
) -> tuple[list[tuple[str, Picture, Picture]], list[Skipped]]:
    """Return the names of neighbors, what they become, and what they were; or why they cannot be changed."""
    if not pictures:
        return [], []
    try:
        return list(zip(names, change(names, pictures), pictures, strict=True)), []
    except DataError as error:
        return [], [Skipped(name, f"{printable(name)}: {error}") for name in names]


class Told:
    """What pictures do not keep, told once for each kind."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}

    def note(self, name: str, remarks: Iterable[str]) -> None:
        """Take down a picture's remarks."""
        for remark in remarks:
            self.names.setdefault(remark, []).append(name)

    def log(self) -> None:
        """Log what was taken down."""
        for remark, names in self.names.items():
            more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            LOG.warning("%s%s: %s", printable(names[0]), more, remark)


def of_one_file(error: IsthmusError) -> bool:
    """Tell whether a file could not be written for a reason of its own, as its name, and not for one of the disk's."""
    cause = error.__cause__
    if isinstance(error, DataError):
        return True
    return isinstance(cause, OSError) and cause.errno in (
        errno.ENAMETOOLONG,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EINVAL,
        errno.EACCES,
    )
