"""Pictures to learn from, more than memory holds: whole, or the patches cropped from them.

Each picture is decoded once, when a training begins. Then it is kept in memory, or in a file without a name, as far as there is
room; the others are read and decoded again whenever they are wanted. What is decoded takes no more room than is allowed, and a
training always gets the same.

What is cut is a function of the square's number and a seed. It may lie anywhere in its picture, in any of the eight orientations.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import numpy as np
import psutil

from isthmus.datasets.base import HOLD_OUT_EVERY, Dataset, Skipped, Source, ahead, each_of, held_out_of, public_title
from isthmus.errors import DataError, printable
from isthmus.imaging.arrays import Array, alike, resize, widest

MEMORY_SHARE, DISK_SHARE = 0.25, 0.5
"""Shares of the machine's memory, and then of what is free on its disk for temporary files, that decoded pictures may fill."""

DTYPES = {str(dtype): dtype for dtype in map(np.dtype, (np.uint8, np.uint16, np.float32, np.bool_))}
"""What pictures may consist of, by name."""


@dataclass
class Room:
    """Where decoded pictures are kept, and how many bytes are left for them."""

    memory: int
    """In memory."""
    disk: int = 0
    """In a file without a name, which ends with the process."""

    @classmethod
    def of(cls, memory: int | None, disk: int | None, processes: int = 1) -> Room:
        """Return this process's part of what the pictures may take on this machine; None for the usual shares."""
        memory = int(MEMORY_SHARE * psutil.virtual_memory().total) if memory is None else memory
        disk = int(DISK_SHARE * shutil.disk_usage(tempfile.gettempdir()).free) if disk is None else disk
        return cls(memory // processes, disk // processes)

    def keep(self, array: Array) -> Array | int | None:
        """Return an array that stays in memory, or its place in the file, or None where there is no room."""
        if array.nbytes <= self.memory:
            self.memory -= array.nbytes
            return array
        if array.nbytes > self.disk:
            return None
        self.disk -= array.nbytes
        try:
            place = self._file.seek(0, 2)
            self._file.write(array.data)
            self._file.flush()
        except OSError:  # others have filled the disk
            self.disk = 0
            return None
        return place

    @cached_property
    def _file(self) -> IO[bytes]:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as this is
        weakref.finalize(self, file.close)
        return file

    def mapped(self, place: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return what lies at a place of the file; the system reads of it what is looked at."""
        found: Array = np.memmap(self._file, dtype, "r", place, shape)
        return found


@dataclass(slots=True)
class _Known:
    """What is known of a picture since it was decoded first."""

    name: str
    place: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    checksum: int
    kept: Array | int | None


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of any size by number: all of one type, with as many channels."""

    known: Sequence[_Known]
    channels: int
    dtype: np.dtype[Any]
    room: Room
    again: Callable[[int], Array]
    """Decodes the picture at a place of the source."""
    digest: str | None = None
    """SHA-256 of the values, where they have been seen in this type."""

    @classmethod
    def of(cls, *arrays: Array) -> Pictures:
        """Return arrays `(C, H, W)` of one type as pictures."""
        known = [_Known("", place, _shape(array), array.dtype, 0, array) for place, array in enumerate(arrays)]
        return cls(known=known, channels=len(arrays[0]), dtype=arrays[0].dtype, room=Room(0), again=arrays.__getitem__)

    def __len__(self) -> int:
        return len(self.known)

    def __iter__(self) -> Iterator[Array]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Array:
        return alike(self._stored(self.known[index]), self.channels, self.dtype)

    @property
    def in_memory(self) -> bool:
        """Whether all are in memory."""
        return all(isinstance(known.kept, np.ndarray) for known in self.known)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Each one's (H, W)."""
        return [known.shape[1:] for known in self.known]

    def parts(self, indexes: Sequence[int], part_of: Callable[[int, Array], Array]) -> list[Array]:
        """Return a part of each of some pictures, in this order; those that must be decoded are decoded in threads.

        Args:
            indexes: Which pictures.
            part_of: Maps a place in `indexes` and the picture to what is wanted of it.
        """

        def part(place: int) -> Array:
            return alike(part_of(place, self._stored(self.known[indexes[place]])), self.channels, self.dtype)

        places = range(len(indexes))
        if any(self.known[index].kept is None for index in indexes):
            return list(ahead(lambda place: part(place).copy(), places, waiting=True))  # a view would keep the whole picture
        return [part(place) for place in places]

    def sha256(self, *, shaped: bool) -> str:
        """Return the SHA-256 of all values, and of the shapes too if they differ."""
        if self.digest:
            return self.digest
        digest = hashlib.sha256()
        for picture in self:
            _digest(digest, picture, shaped=shaped)
        return digest.hexdigest()

    def _stored(self, known: _Known) -> Array:
        if isinstance(known.kept, int):
            return self.room.mapped(known.kept, known.shape, known.dtype)
        if known.kept is not None:
            return known.kept
        try:
            picture = self.again(known.place)
        except DataError as error:
            raise DataError(
                f"{printable(known.name)} could be read when the training began, and cannot now: {error} Put it back; then pass "
                "`resume=True`."
            ) from None
        if (picture.shape, zlib.crc32(np.ascontiguousarray(picture).data)) != (known.shape, known.checksum):
            raise DataError(f"{printable(known.name)} has changed since the training began. Put it back; then pass `resume=True`.")
        return picture


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images of one size that are not all in memory: else the same as a `Dataset`."""

    pictures: Pictures
    title: str
    skipped: tuple[Skipped, ...] = ()
    """The files that could not be read."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.pictures.channels, *self.pictures.shapes[0]

    def __len__(self) -> int:
        return len(self.pictures)

    def fingerprint(self) -> dict[str, object]:
        """Return what tells these images from others, as a `Dataset` of them does."""
        digest, dtype = self.pictures.sha256(shaped=False), str(self.pictures.dtype)
        shape = [len(self), *self.image_shape]
        return {"kind": "images", "title": public_title(self.title), "shape": shape, "dtype": dtype, "sha256": digest}

    def cut(self, numbers: Iterable[int], seed: int) -> Array:
        """Return the images of some numbers, `(B, C, H, W)`; there is no chance in it."""
        return np.stack(self.pictures.parts(list(numbers), lambda _, picture: picture))

    def some(self, count: int, seed: int) -> Dataset:
        """Return at most so many images, spread evenly."""
        return Dataset(images=self.cut(range(0, len(self), math.ceil(len(self) / count)), seed), title=self.title)

    def first(self, count: int) -> Dataset:
        """Return at most so many images, the first ones, in memory."""
        return Dataset(images=self.cut(range(min(count, len(self))), 0), title=self.title, skipped=self.skipped)


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Pictures of any size, and the squares that can be cut from them."""

    pictures: Pictures
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
        return self.pictures.channels, self.side, self.side

    @cached_property
    def ends(self) -> Array:
        """Number after each picture's last square: as many as cover it, so that an epoch sees as many pixels as there are."""
        return np.cumsum([-(-height * width // self.side**2) for height, width in self.pictures.shapes])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def fingerprint(self) -> dict[str, object]:
        """Return what tells these pictures from others: [pictures, channels, pixels], type, SHA-256 of the values."""
        pixels = sum(height * width for height, width in self.pictures.shapes)
        shape = [len(self.pictures), self.pictures.channels, pixels]
        dtype, digest = str(self.pictures.dtype), self.pictures.sha256(shaped=True)
        return {"kind": "patches", "title": public_title(self.title), "shape": shape, "dtype": dtype, "sha256": digest}

    def cut(self, numbers: Iterable[int], seed: int) -> Array:
        """Return the squares of some numbers, from 0 up to `len`, `(B, C, side, side)`; the same seed cuts the same."""
        rng = np.random.default_rng(seed)
        chosen = np.searchsorted(self.ends, list(numbers), side="right").tolist()
        shapes = (self.pictures.known[index].shape[1:] for index in chosen)
        draws = [rng.integers((max(1, height - self.side + 1), max(1, width - self.side + 1), 4, 2)) for height, width in shapes]
        return np.stack(self.pictures.parts(chosen, lambda place, picture: self._square(picture, *draws[place])))

    def some(self, count: int, seed: int) -> Dataset:
        """Return at most so many squares, spread over all pictures."""
        count = min(count, len(self))
        return Dataset(images=self.cut(np.linspace(0, len(self) - 1, count).astype(int), seed), title=self.title)

    def _square(self, picture: Array, top: int, left: int, turns: int, mirrored: int) -> Array:
        square = picture[:, top : top + self.side, left : left + self.side]
        missing = [(0, 0), (0, self.side - square.shape[1]), (0, self.side - square.shape[2])]
        square = np.pad(square, missing, mode="symmetric") if any(map(max, missing)) else square
        square = square if self.upright else np.rot90(square, turns, (1, 2))
        return square[:, :, ::-1] if mirrored else square


def read_pictures(
    source: Source, room: Room, size: tuple[int, int] | None = None
) -> tuple[Pictures, Pictures, tuple[Skipped, ...]]:
    """Decode the pictures of a source, each once: those to learn from, those that are kept apart, and what cannot be read.

    Args:
        source: The pictures; without a test set of its own, every tenth is kept apart.
        room: Where they are kept, as far as they find room.
        size: (H, W) to bring all to.

    Raises:
        DataError: If there are none.
    """

    def again(split: str) -> Callable[[int], Array]:
        return lambda place: resize(source.one(place, split), size) if size else source.one(place, split)

    skipped: list[Skipped] = []
    splits: list[list[_Known]] = []
    digest, kinds = hashlib.sha256(), set[tuple[int, np.dtype[Any]]]()  # of those to learn from
    names = ("train", "test") if source.has_test else ("all",)
    for split in names:
        found: list[_Known] = []
        for place, (name, picture) in enumerate(source.each(split)):
            if isinstance(picture, Skipped):
                skipped.append(picture)
                continue
            picture = np.ascontiguousarray(resize(picture, size) if size else picture)
            if split == "train" or (split == "all" and len(found) % HOLD_OUT_EVERY != HOLD_OUT_EVERY - 1):
                kinds.add((len(picture), picture.dtype))
                _digest(digest, picture, shaped=size is None)
            found.append(_Known(name, place, _shape(picture), picture.dtype, zlib.crc32(picture.data), room.keep(picture)))
        splits.append(found)
    if not splits[0]:
        raise DataError(
            f"None of the pictures in {source.title} can be read: {skipped[0].reason if skipped else 'there are none.'}"
        )
    everything = [known for split in splits for known in split]
    channels, dtype = max(known.shape[0] for known in everything), widest({known.dtype for known in everything})
    if not source.has_test:
        held_out = held_out_of(len(splits[0]))
        splits = [[known for known, held in zip(splits[0], held_out, strict=True) if held == test] for test in (False, True)]
    seen = digest.hexdigest() if kinds == {(channels, dtype)} else None
    learned = Pictures(known=splits[0], channels=channels, dtype=dtype, room=room, again=again(names[0]), digest=seen)
    kept = dataclasses.replace(learned, known=splits[1], again=again(names[-1]), digest=None) if splits[1] else learned
    return learned, kept, tuple(skipped)


def were_trained_on(source: Source, fingerprint: Mapping[str, Any]) -> bool:
    """Tell whether a fingerprint is that of the pictures of which `Patches` were cut to learn from.

    Each picture is decoded, and none is kept.

    Args:
        source: The pictures.
        fingerprint: As `Patches.fingerprint` gives it.
    """
    dtype = DTYPES.get(str(fingerprint.get("dtype")))
    if dtype is None or fingerprint.get("kind") != "patches":
        return False
    digest = hashlib.sha256()
    for _, picture in each_of(source, "train"):
        if not isinstance(picture, Skipped):
            _digest(digest, alike(picture, fingerprint["shape"][1], dtype), shaped=True)
    return digest.hexdigest() == str(fingerprint["sha256"])


def _digest(digest: Any, picture: Array, *, shaped: bool) -> None:
    if shaped:
        digest.update(repr(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)


def _shape(picture: Array) -> tuple[int, int, int]:
    channels, height, width = picture.shape
    return channels, height, width
