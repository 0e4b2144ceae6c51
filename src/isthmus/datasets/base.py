"""What every source of images offers: a `Dataset` in memory, and writing the same kind of data again.

A source does two things: it reads images of one size into memory (`read`), and it writes the same kind again with every image
changed (`rewrite`): as many, in the same order, of the same shape and type, with the same names and labels.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from isthmus.imaging.arrays import Array, to_unit

Item = TypeVar("Item")
Read = TypeVar("Read")

SPLITS = ("train", "test", "all")

HOLD_OUT_EVERY = 10
"""Data without a test set of its own keeps every tenth image, from the tenth on, out of training."""

AHEAD, AHEAD_WAITING = 1, 4
"""Pictures that are decoded ahead, for each processor core; the same where reading mostly waits."""

SIDECARS = (".csv", ".tsv", ".json", ".txt", ".xml")
"""Files beside the pictures that are copied with them: they hold labels."""

Change = Callable[[Array], Array]
"""Maps an array of images to one of the same shape and type."""

OnProgress = Callable[[int, int], None]
"""Called with how many images are done, and how many there are."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images of one size, in memory."""

    images: Array
    """`(n, C, H, W)`: uint8, uint16, bool or float32."""
    title: str
    """What they are, for people."""
    labels: Array | None = None
    """`(n,)`, where there are labels."""
    names: tuple[str, ...] | None = None
    """The files' names, where there are files."""
    skipped: tuple[Skipped, ...] = ()
    """The files that could not be read."""
    not_apart: bool = False
    """Whether they stand for held-out images although they are learned from, as there are too few."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def fingerprint(self) -> dict[str, object]:
        """Return what tells these images from others: count, shape, type, SHA-256 of the values."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()
        return {
            "kind": "images",
            "title": public_title(self.title),
            "shape": list(self.images.shape),
            "dtype": str(self.images.dtype),
            "sha256": digest,
        }

    def describe(self) -> dict[str, Any]:
        """Return what there is to know about the images, as JSON can hold it."""
        values = to_unit(self.images[: 1 << 14])
        counts = {} if self.labels is None else dict(zip(*np.unique(self.labels, return_counts=True), strict=True))
        return {
            "title": self.title,
            "images": len(self),
            "image_shape": list(self.image_shape),
            "dtype": str(self.images.dtype),
            "low": float(values.min()),
            "high": float(values.max()),
            "mean": float(values.mean()),
            "labels": {str(label): int(count) for label, count in counts.items()},
            "skipped": [skipped.reason for skipped in self.skipped],
        }

    def some(self, count: int, seed: int) -> Dataset:
        """Return at most so many images, spread evenly; the seed is of no account, as nothing is cut from them."""
        return self.take(slice(None, None, math.ceil(len(self) / count)))

    def take(self, chosen: slice | Array) -> Dataset:
        """Return some of the images, with their labels and names."""
        names = self.names and tuple(np.array(self.names, object)[chosen])
        return replace(self, images=self.images[chosen], labels=None if self.labels is None else self.labels[chosen], names=names)


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Rewritten:
    """What `rewrite` did."""

    count: int
    """Images written."""
    skipped: tuple[Skipped, ...] = ()
    """The files that could not be read, and so were not written."""
    there: int = 0
    """Images that an earlier run had written, and this one left as they were."""


class Source(Protocol):
    """Where images come from, and how the same kind is written again."""

    @property
    def title(self) -> str:
        """What it is, for people."""

    @property
    def has_test(self) -> bool:
        """Whether it has a test set of its own."""

    def read(self, split: str = "all", size: tuple[int, int] | None = None) -> Dataset:
        """Read the images of a split ("train", "test" or "all") into memory, in one size (H, W)."""

    def sizes(self) -> Counter[tuple[int, int]]:
        """Count the sizes (H, W) of the images, without reading them."""

    def each(self, split: str = "all") -> Iterator[tuple[str, Array | Skipped]]:
        """Read images one after the other, each `(C, H, W)` in its own size, with its name; a split only if it has a test set."""

    def one(self, place: int, split: str = "all") -> Array:
        """Read one image again, by its place in what `each` yields, those that cannot be read included."""

    def rewrite(
        self, out: Path, change: Change, *, overwrite: bool = False, resume: bool = False, on_progress: OnProgress | None = None
    ) -> Rewritten:
        """Write the same data to `out`, every image changed; to resume, only what is not there."""


def ahead(read: Callable[[Item], Read], items: Iterable[Item], *, waiting: bool = False) -> Iterator[Read]:
    """Yield what `read` returns for each item, in order, a little ahead, in threads.

    Args:
        read: What is done.
        items: With what.
        waiting: Whether it mostly waits, as for an answer over a network, so that more threads than cores help.
    """
    count = (os.cpu_count() or 1) * (AHEAD_WAITING if waiting else AHEAD)
    with ThreadPoolExecutor(count) as pool:
        started: deque[Future[Read]] = deque()
        for item in items:
            started.append(pool.submit(read, item))
            if len(started) > count:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()


def public_title(title: str) -> str:
    """Return a title without the folders that lead to the data: a model file says nothing of the machine that trained it.

    >>> public_title("/home/ann/noisy and /home/ann/clean")
    'noisy and clean'
    """
    parts = (part.replace("\\", "/").rstrip("/").rpartition("/")[2] for part in title.split(" and "))
    return " and ".join(parts)


def train_and_test(source: Source, size: tuple[int, int] | None = None) -> tuple[Dataset, Dataset]:
    """Read a source once: the images to learn from, and those that are kept apart.

    Args:
        source: The images; without a test set of its own, every tenth is held out.
        size: (H, W) to bring them to.
    """
    if source.has_test:
        train = source.read("train", size)
        return train, source.read("test", train.image_shape[1:])
    everything = source.read("all", size)
    return hold_out(everything, "train"), hold_out(everything, "test")


def hold_out(dataset: Dataset, split: str) -> Dataset:
    """Return a split of data that has no test set of its own; of fewer than ten images, all are in every split."""
    held_out = held_out_of(len(dataset))
    if split == "all" or not held_out.any():
        return replace(dataset, not_apart=split == "test")
    return dataset.take(held_out if split == "test" else ~held_out)


def each_of(source: Source, split: str) -> Iterator[tuple[str, Array | Skipped]]:
    """Read the images of a split one after the other, each `(C, H, W)` in its own size, by the rule of `hold_out`."""
    if source.has_test or split == "all":
        yield from source.each(split)
        return
    place = 0
    for name, image in source.each():
        held_out = place % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1
        place += not isinstance(image, Skipped)
        if isinstance(image, Skipped) or held_out == (split == "test"):
            yield name, image
    if split == "test" and place < HOLD_OUT_EVERY:
        yield from ((name, image) for name, image in source.each() if not isinstance(image, Skipped))


def held_out_of(count: int) -> Array:
    """Tell which of so many images are held out, `(count,)` bool."""
    held_out: Array = np.arange(count) % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1
    return held_out
