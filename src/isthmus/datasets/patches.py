"""Patches cropped from pictures of any size; each picture is decoded once, and may be mapped from disk.

What is cut is a function of the square's number and a seed. It may lie anywhere in its picture, in any of the eight orientations.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import psutil

from isthmus.datasets.base import Dataset, Skipped, Source, each_of, held_out_of, public_title
from isthmus.errors import DataError
from isthmus.imaging.arrays import Array, alike, widest

MEMORY_SHARE = 0.25
"""Share of the machine's memory that decoded pictures may fill; what is more goes to a file that the system pages in and out."""

DTYPES = {str(dtype): dtype for dtype in map(np.dtype, (np.uint8, np.uint16, np.float32, np.bool_))}
"""What pictures may consist of, by name."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Pictures of any size, and the squares that can be cut from them."""

    pictures: tuple[Array, ...]
    """Each `(C, H, W)`, all of one type and with as many channels; in memory or mapped to it."""
    side: int
    """Height and width of a square."""
    title: str
    """What the pictures are, for people."""
    upright: bool = False
    """Whether a square is mirrored at most, and not turned: where it matters what is above."""
    skipped: tuple[Skipped, ...] = ()
    """The files that could not be read."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, side, side)."""
        return self.pictures[0].shape[0], self.side, self.side

    @cached_property
    def counts(self) -> Array:
        """Squares for each picture: as many as cover it, so that an epoch sees as many pixels as there are."""
        return np.array([-(-p.shape[1] * p.shape[2] // self.side**2) for p in self.pictures])

    def __len__(self) -> int:
        return int(self.counts.sum())

    def fingerprint(self) -> dict[str, object]:
        """Return what tells these pictures from others: [pictures, channels, pixels], type, SHA-256 of the values."""
        values = sum(picture.size for picture in self.pictures)
        shape = [len(self.pictures), self.image_shape[0], values // self.image_shape[0]]
        dtype, digest = str(self.pictures[0].dtype), _digest(self.pictures)
        return {"kind": "patches", "title": public_title(self.title), "shape": shape, "dtype": dtype, "sha256": digest}

    def cut(self, numbers: Iterable[int], seed: int) -> Array:
        """Return the squares of some numbers, from 0 up to `len`, `(B, C, side, side)`; the same seed cuts the same."""
        rng = np.random.default_rng(seed)
        chosen = np.searchsorted(self.counts.cumsum(), list(numbers), side="right")
        return np.stack([self._square(self.pictures[index], rng) for index in chosen])

    def some(self, count: int, seed: int) -> Dataset:
        """Return at most so many squares, spread over all pictures."""
        count = min(count, len(self))
        return Dataset(images=self.cut(np.linspace(0, len(self) - 1, count).astype(int), seed), title=self.title)

    def _square(self, picture: Array, rng: np.random.Generator) -> Array:
        height, width = picture.shape[1:]
        top, left, turns, mirrored = rng.integers((max(1, height - self.side + 1), max(1, width - self.side + 1), 4, 2))
        square = picture[:, top : top + self.side, left : left + self.side]
        missing = [(0, 0), (0, self.side - square.shape[1]), (0, self.side - square.shape[2])]
        square = np.pad(square, missing, mode="symmetric") if any(map(max, missing)) else square
        square = square if self.upright else np.rot90(square, turns, (1, 2))
        return square[:, :, ::-1] if mirrored else square


def read_patches(source: Source, side: int, *, upright: bool = False) -> tuple[Patches, Patches]:
    """Decode the pictures of a source, each once: those to learn from, and those that are kept apart.

    Args:
        source: The pictures; without a test set of its own, every tenth is kept apart.
        side: Height and width of a square; smaller pictures are continued as in a mirror.
        upright: Whether squares are mirrored at most, and not turned.

    Raises:
        DataError: If there are none.
    """
    skipped: list[Skipped] = []
    splits: list[list[Array]] = []
    store = _Store()
    for split in ("train", "test") if source.has_test else ("all",):
        splits.append([])
        for _, picture in source.each(split):
            if isinstance(picture, Skipped):
                skipped.append(picture)
            else:
                splits[-1].append(store.keep(picture))
    if not splits[0]:
        raise DataError(
            f"None of the pictures in {source.title} can be read: {skipped[0].reason if skipped else 'there are none.'}"
        )
    if not source.has_test:
        held_out = held_out_of(len(splits[0]))
        splits = [[p for p, held in zip(splits[0], held_out, strict=True) if held == test] for test in (False, True)]
    everything = [picture for split in splits for picture in split]
    channels, dtype = max(map(len, everything)), widest([picture.dtype for picture in everything])
    learned, kept = (tuple(store.keep(alike(picture, channels, dtype)) for picture in split) for split in splits)
    return (
        Patches(pictures=learned, side=side, title=source.title, skipped=tuple(skipped), upright=upright),
        Patches(pictures=kept or learned, side=side, title=source.title, upright=upright),
    )


def were_trained_on(source: Source, fingerprint: Mapping[str, Any]) -> bool:
    """Tell whether a fingerprint is that of the pictures which `read_patches` gives to learn from.

    Each picture is decoded, and none is kept.

    Args:
        source: The pictures.
        fingerprint: As `Patches.fingerprint` gives it.
    """
    dtype = DTYPES.get(str(fingerprint.get("dtype")))
    if dtype is None or fingerprint.get("kind") != "patches":
        return False
    pictures = (picture for _, picture in each_of(source, "train") if not isinstance(picture, Skipped))
    return _digest(alike(picture, fingerprint["shape"][1], dtype) for picture in pictures) == str(fingerprint["sha256"])


def _digest(pictures: Iterable[Array]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(repr(picture.shape).encode())
        digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


class _Store:
    """Keeps arrays in memory, and beyond a share of it in files without a name, which end with the process."""

    def __init__(self) -> None:
        self.left_bytes = int(MEMORY_SHARE * psutil.virtual_memory().total)
        self.kept: set[int] = set()

    def keep(self, array: Array) -> Array:
        """Return an array that holds the same values, where there is room for it."""
        if id(array) in self.kept:
            return array
        self.left_bytes -= array.nbytes
        if self.left_bytes >= 0:
            array = np.ascontiguousarray(array)
        else:
            with tempfile.TemporaryFile() as file:
                mapped: np.memmap[Any, Any] = np.memmap(file, array.dtype, "w+", shape=array.shape)
            mapped[:] = array
            array = mapped
        self.kept.add(id(array))
        return array
