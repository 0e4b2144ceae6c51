"""Color hints for a colorizer: the color of a few places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isthmus.corruptions.base import Corruption, Range, ends_of, lies_within
from isthmus.errors import DataError, UsageError
from isthmus.imaging.arrays import Array, check_values, to_unit
from isthmus.imaging.color import to_lab

if TYPE_CHECKING:
    from torch import Generator, Tensor

AB_SPAN = 256.0
"""CIELAB's a and b from 0 to 1 of a hint's channels, around the gray in their middle."""

GRAY = 16 / 255
"""Largest difference between a gray pixel's channels, as JPEG leaves it, where no transparency tells which pixels are hints."""


@dataclass(frozen=True)
class Hints(Corruption):
    """Tell the colors of a few squares beside the image: three channels more, a and b (0.5 is gray) and where they are told.

    `hints | grayscale` takes the color away everywhere else. Mostly nothing is told, so that a model learns to do without.

    Source: Zhang et al. (2017), user-guided colorization: squares of random size and place, each with its mean color.
    """

    name: ClassVar = "hints"
    companion: ClassVar = "hints"

    count: Range = (1, 30)
    """Squares of an image; of a pair, each image gets a number of its own, drawn evenly in the logarithm."""
    size: Range = (0.015, 0.06)
    """Side of a square, as a share of the image's shorter side; of a pair, drawn evenly in the logarithm."""
    without: float = 0.5
    """Share of the images without any."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (lies_within(self.count, 1, 1000) and lies_within(self.size, 0.001, 1) and 0 <= self.without <= 1):
            raise UsageError(f"Hints take a count from 1 to 1000, a size from 0.001 to 1 and without from 0 to 1, not {self}.")

    @property
    def beside(self) -> int:
        """3: a, b and the mask."""
        return 3

    def given(self, told: Array | None, shape: tuple[int, ...]) -> Array:
        """Return a, b and the mask of a person's colors, or of none.

        Args:
            told: `(H, W, C)` for all images, or `(n, H, W, C)` for each. Of RGBA, the pixels that are more opaque than not are
                colors; of RGB, those that are not gray.
            shape: (n, C, H, W) of the images.
        """
        if told is None:
            return np.broadcast_to(np.array([0.5, 0.5, 0], np.float32)[:, None, None], (1, 3, *shape[2:]))
        pictures = np.asarray(told)
        pictures = pictures[None] if pictures.ndim == 3 else pictures
        size = "x".join(map(str, shape[:1:-1]))
        if pictures.ndim != 4 or pictures.shape[1:3] != shape[2:] or len(pictures) not in (1, shape[0]):
            raise DataError(
                f"Hints must be a picture of the same size, {size} pixels; an array of shape {np.shape(told)} does not fit."
            )
        if pictures.shape[3] not in (3, 4):
            raise DataError(f"Hints must be an RGB or RGBA picture, not one of {pictures.shape[3]} channels.")
        check_values(pictures)
        rgb = pictures[..., :3]
        there = to_unit(pictures[..., 3]) >= 0.5 if pictures.shape[3] == 4 else to_unit(rgb.max(3)) - to_unit(rgb.min(3)) > GRAY
        if not there.any():
            needed = "opaque" if pictures.shape[3] == 4 else "colored"
            raise DataError(f"The hints set no color: none of their pixels is {needed}.")
        return _beside(rgb, there)

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch with a, b and the mask beside it, `(B, C + 3, H, W)`; what is not RGB has no color but gray."""
        import torch

        batch, channels, height, width = clean.shape
        (fewest, most), (smallest, largest) = ends_of(self.count), ends_of(self.size)
        chance = clean.new_empty((batch, 2)).uniform_(generator=generator)
        lot = clean.new_empty((3, batch, int(most))).uniform_(generator=generator)
        counts = fewest * ((most + 0.999) / fewest) ** chance[:, :1]  # (B, 1)
        there = (clean.new_ones(int(most)).cumsum(0) <= counts) & (chance[:, 1:] >= self.without)
        sides = (smallest * (largest / smallest) ** lot[0] * min(height, width)).round().clamp(min=1).int()
        tops, lefts = (lot[1] * (height + 1 - sides)).int(), (lot[2] * (width + 1 - sides)).int()
        beside = clean.new_full((batch, 3, height, width), 0.5)
        beside[:, 2] = 0
        for image, number in there.nonzero().tolist():
            side, top, left = int(sides[image, number]), int(tops[image, number]), int(lefts[image, number])
            spans = (slice(top, top + side), slice(left, left + side))
            if channels == 3:
                ab = to_lab(clean[image : image + 1, :, spans[0], spans[1]].mean((2, 3), keepdim=True))[0, 1:]
                beside[(image, slice(0, 2), *spans)] = ab / AB_SPAN + 0.5
            beside[(image, 2, *spans)] = 1
        return torch.cat([clean, beside], 1)

    def input_channels(self, channels: int) -> int:
        """Return C + 3."""
        return channels + 3


def _beside(rgb: Array, there: Array) -> Array:
    """Return a, b and the mask `(n, 3, H, W)`, in 16 bits, of colors `(n, H, W, 3)` at some of their pixels `(n, H, W)`."""
    from torch import from_numpy

    colors = from_numpy(np.ascontiguousarray(to_unit(rgb[there]).T[None, :, :, None]))  # (1, 3, pixels, 1)
    beside = np.full((3, *there.shape), 0.5, np.float16)
    beside[2] = there
    beside[:2, there] = (to_lab(colors)[0, 1:, :, 0] / AB_SPAN + 0.5).numpy()
    return np.moveaxis(beside, 0, 1)
