"""Tiles: they overlap by the receptive radius, so no seam can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """A part of a picture, as slices of rows and columns."""

    window: tuple[slice, slice]
    """What the network is given."""
    inner: tuple[slice, slice]
    """What of its answer is kept, within the window."""
    outer: tuple[slice, slice]
    """Where that lies in the picture."""


def tiles(size: tuple[int, int], side: int, receptive_radius: int, stride: int) -> Iterator[Tile]:
    """Yield tiles whose kept parts cover a picture once; one tile, where it is small enough.

    Args:
        size: (H, W) of the picture.
        side: Longest side of a window, in pixels; where that is less than the reach needs, a window is as long as it must be.
        receptive_radius: How far a pixel's value depends on others.
        stride: Windows begin at multiples of it, as the network's coarsest pixels do.

    >>> [tile.outer[0] for tile in tiles((10, 4), side=8, receptive_radius=2, stride=2)]
    [slice(0, 6, None), slice(6, 10, None)]
    """
    for rows in spans(size[0], side, receptive_radius, stride):
        for columns in spans(size[1], side, receptive_radius, stride):
            window, inner, outer = zip(rows, columns, strict=True)
            yield Tile(window, inner, outer)


def spans(length: int, side: int, receptive_radius: int, stride: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield (window, inner, outer) along one axis: windows as few as can be, and then as short, all alike, as is their memory."""
    margin = rounded_up(receptive_radius, stride)
    longest = max(stride, (side - 2 * margin) // stride * stride)
    count = 1 if length <= side else max(1, math.ceil((length - 2 * margin) / longest))
    step = rounded_up(math.ceil((length - 2 * margin) / count), stride) if count > 1 else length
    for first in range(0, count * step, step):
        start, stop = first + margin if first else 0, first + step + margin if first + step < count * step else length
        yield slice(first, min(length, stop + margin)), slice(start - first, stop - first), slice(start, stop)


def rounded_up(length: int, stride: int) -> int:
    """Return the multiple of a stride that is no less than a length."""
    return -(-length // stride) * stride
