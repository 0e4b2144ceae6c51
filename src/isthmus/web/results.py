"""Results that stay for a while, so that another strength, format or quality of one needs no computing."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict

import numpy as np

from isthmus.errors import UsageError
from isthmus.imaging.arrays import from_unit, to_unit
from isthmus.imaging.picture import Picture

KEPT_BYTES = 1 << 30
"""Of all pixels that are kept; the oldest go first."""


@dataclasses.dataclass(frozen=True)
class Result:
    """A picture before and after, and the name of its file."""

    name: str
    before: Picture
    after: Picture

    @property
    def size(self) -> int:
        """Bytes of all pixels."""
        return sum(page.pixels.nbytes for picture in (self.before, self.after) for page in (picture, *picture.pages))

    def blended(self, strength: float) -> Picture:
        """Return a picture between both: 0 is the one before, 1 the one after.

        Raises:
            UsageError: If they have different sizes.
        """
        if strength == 1:
            return self.after
        pairs = zip((self.before, *self.before.pages), (self.after, *self.after.pages), strict=True)
        pages = [_between(before, after, strength) for before, after in pairs]
        return dataclasses.replace(pages[0], pages=tuple(pages[1:]))


class Results:
    """The last results, by the names of their jobs."""

    def __init__(self) -> None:
        self.kept: OrderedDict[str, Result] = OrderedDict()
        self.lock = threading.Lock()

    def keep(self, job: str, result: Result) -> None:
        """Keep one; the oldest go where there are too many."""
        with self.lock:
            self.kept[job] = result
            while len(self.kept) > 1 and sum(one.size for one in self.kept.values()) > KEPT_BYTES:
                self.kept.popitem(last=False)

    def get(self, job: str) -> Result | None:
        """Return one, if it is still there."""
        return self.kept.get(job)


def _between(before: Picture, after: Picture, strength: float) -> Picture:
    if before.pixels.shape[:2] != after.pixels.shape[:2]:
        raise UsageError("Pictures of different sizes cannot be blended: restore it with another strength.")
    first = np.broadcast_to(before.pixels, after.pixels.shape) if before.pixels.shape[2] == 1 else before.pixels
    mixed = (1 - strength) * to_unit(first) + strength * to_unit(after.pixels)
    return dataclasses.replace(after, pixels=from_unit(mixed.astype(np.float32), after.pixels.dtype))
