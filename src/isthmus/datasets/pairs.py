"""Pairs of degraded and clean images: two sources, read as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.datasets.arrays import Arrays
from isthmus.datasets.base import Change, Dataset, OnProgress, Rewritten, Skipped, Source, hold_out
from isthmus.datasets.folder import Folder
from isthmus.errors import DataError, UsageError, printable, require
from isthmus.imaging.arrays import Array, alike, resize, to_unit, widest

LOOKED_AT = 512
"""Side of the middle of a picture in which a shift is looked for."""

GAIN = 0.1
"""How much more alike a shift must make two pictures, as a correlation, to be called one: damage alone does not do that."""


@dataclass(frozen=True)
class Pairs:
    """Damaged images and their clean ones; each image has the damaged one's channels first, then as many of the clean one."""

    damaged: Folder | Arrays
    clean: Folder | Arrays
    alone: tuple[Skipped, ...] = ()
    """The damaged images without a clean one, and the reverse."""

    has_test = False

    @classmethod
    def of(cls, damaged: Source, clean: Source) -> Pairs:
        """Match two sources: files by their names without ending, arrays by their order.

        Raises:
            DataError: If nothing matches, or arrays have other counts.
            UsageError: If one is a folder and the other an array.
        """
        if isinstance(damaged, Folder) and isinstance(clean, Folder):
            return cls._of_folders(damaged, clean)
        if not (isinstance(damaged, Arrays) and isinstance(clean, Arrays)):
            raise UsageError("Pairs are two folders of pictures, or two files of arrays, not one of each.")
        counts = damaged.sizes().total(), clean.sizes().total()
        if counts[0] != counts[1]:
            raise DataError(
                f"{damaged.title} holds {counts[0]:,} images and {clean.title} {counts[1]:,}: each needs its clean one."
            )
        return cls(damaged, clean)

    @classmethod
    def _of_folders(cls, damaged: Folder, clean: Folder) -> Pairs:
        places = [(folder.url, folder.root.resolve(), folder.files) for folder in (damaged, clean)]
        if places[0] == places[1]:
            raise UsageError(f"The degraded and the clean pictures are the same: {damaged.title}.")
        single = len(damaged.files) == len(clean.files) == 1
        partners = {_name(file, single): file for file in clean.files}
        matched = [(file, partners[_name(file, single)]) for file in damaged.files if _name(file, single) in partners]
        if not matched:
            raise DataError(
                f"No picture in {damaged.title} has a clean one of the same name in {clean.title}, "
                f"such as {printable(str(damaged.files[0].with_suffix('')))}."
            )
        known = {clean_file for _, clean_file in matched} | {file for file, _ in matched}
        alone = [
            Skipped(str(file), f"{printable(source.store.name_of(file))} has no partner of the same name in {other.title}.")
            for source, other in ((damaged, clean), (clean, damaged))
            for file in source.files
            if file not in known
        ]
        return cls(
            replace(damaged, files=tuple(file for file, _ in matched)),
            replace(clean, files=tuple(file for _, file in matched)),
            tuple(alone),
        )

    @property
    def title(self) -> str:
        """Both titles."""
        return f"{self.damaged.title} and {self.clean.title}"

    def sizes(self) -> Counter[tuple[int, int]]:
        """Count the damaged images' sizes (H, W)."""
        return self.damaged.sizes()

    def each(self, split: str = "all") -> Iterator[tuple[str, Array | Skipped]]:
        """Read pairs `(2C, H, W)`; what does not fit together is skipped, and said why."""
        for (name, damaged), (_, clean) in zip(self.damaged.each(split), self.clean.each(split), strict=True):
            if isinstance(damaged, Skipped) or isinstance(clean, Skipped):
                yield name, damaged if isinstance(damaged, Skipped) else clean
            else:
                yield name, _together(name, damaged, clean)
        for skipped in self.alone:
            yield skipped.name, skipped

    def one(self, place: int, split: str = "all") -> Array:
        """Read a pair again; see `Source.one`."""
        pair = _together("", self.damaged.one(place, split), self.clean.one(place, split))
        if isinstance(pair, Skipped):
            raise DataError(pair.reason)
        return pair

    def read(self, split: str = "all", size: tuple[int, int] | None = None) -> Dataset:
        """Read pairs in one size; see `Source.read`."""
        counts = self.sizes()
        size = size or min(counts, key=lambda shape: (-counts[shape], shape))
        images: list[Array] = []
        names: list[str] = []
        skipped: list[Skipped] = []
        for name, pair in self.each():
            if isinstance(pair, Skipped):
                skipped.append(pair)
            else:
                images.append(pair)
                names.append(name)
        if not images:
            raise DataError(f"None of the pairs can be used: {skipped[0].reason}")
        channels, dtype = max(map(len, images)), widest([image.dtype for image in images])
        stacked = np.stack([alike(resize(pair, size), channels, dtype) for pair in images])
        return hold_out(Dataset(images=stacked, title=self.title, names=tuple(names), skipped=tuple(skipped)), split)

    def rewrite(
        self, out: Path, change: Change, *, overwrite: bool = False, resume: bool = False, on_progress: OnProgress | None = None
    ) -> Rewritten:
        """Refuse: pairs are only learned from."""
        raise UsageError("Pairs are for training only. Restore the degraded images by themselves.")


def _name(file: Path, single: bool) -> str:
    return "" if single else str(file.with_suffix(""))


def _together(name: str, damaged: Array, clean: Array) -> Array | Skipped:
    """Return a pair as one image, or why its parts do not belong together."""
    if damaged.shape[1:] != clean.shape[1:]:
        sizes = " and ".join(" x ".join(map(str, part.shape[1:])) for part in (damaged, clean))
        return Skipped(name, f"{printable(name)} and its clean one have {sizes} pixels: they must have the same size.")
    down, right = _shift(damaged, clean)
    if down or right:
        return Skipped(
            name,
            f"{printable(name)} lies {abs(down)} pixels {'below' if down > 0 else 'above'} and {abs(right)} "
            f"{'right' if right > 0 else 'left'} of its clean one. Align them first.",
        )
    channels, dtype = max(len(damaged), len(clean)), widest([damaged.dtype, clean.dtype])
    return np.concatenate([alike(part, channels, dtype) for part in (damaged, clean)])


def _shift(damaged: Array, clean: Array) -> tuple[int, int]:
    """Return by how many pixels (down, right) a picture is shifted, as far as that is certain."""
    require("evaluate", "skimage")
    from skimage.registration import phase_cross_correlation

    height, width = damaged.shape[1:]
    side = min(LOOKED_AT, height, width)
    if side < 32:
        return 0, 0
    rows, columns = ((length - side) // 2 for length in (height, width))
    one, other = (to_unit(part[:, rows : rows + side, columns : columns + side]).mean(0) for part in (damaged, clean))
    if min(one.std(), other.std()) < 1e-3:
        return 0, 0
    correlate: Any = phase_cross_correlation
    found, _, _ = correlate(other, one, normalization=None)
    down, right = (-round(float(step)) for step in found)
    if max(abs(down), abs(right)) > side // 4:
        return 0, 0
    shifted = one[max(0, down) : side + min(0, down), max(0, right) : side + min(0, right)]
    kept = other[max(0, -down) : side - max(0, down), max(0, -right) : side - max(0, right)]
    gain = np.corrcoef(shifted.ravel(), kept.ravel())[0, 1] - np.corrcoef(one.ravel(), other.ravel())[0, 1]
    return (down, right) if gain > GAIN else (0, 0)
