"""Corruptions of parts of an image: masks, erased squares, warps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isthmus.corruptions.base import Corruption
from isthmus.errors import DataError, UsageError
from isthmus.imaging.arrays import Array, to_unit

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Mask(Corruption):
    """Paint rectangles and strokes of each image black, and tell where: the last channel is 1 where the image is hidden.

    Source: Pathak et al. (2016), context encoders; Liu et al. (2018) for strokes of any course.
    """

    name: ClassVar = "mask"
    companion: ClassVar = "mask"

    size: float = 0.4
    """Longest side of a rectangle and length of a stroke, as a share of the image's shorter side, in [0, 1]."""
    count: int = 2
    """Rectangles, and as many strokes."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if not 0 <= self.size <= 1 or not 0 <= self.count <= 100:
            raise UsageError(f"A mask has a size from 0 to 1 of the image's, and a count from 0 to 100, not {self}.")

    @property
    def beside(self) -> int:
        """1: where the image is hidden."""
        return 1

    def given(self, told: Array | None, shape: tuple[int, ...]) -> Array:
        """Return where images are missing, `(1 or n, 1, H, W)` float32 of 0 and 1.

        Args:
            told: `(H, W)` for all images, or `(n, H, W)` for each; white or True where something is missing.
            shape: (n, C, H, W) of the images.
        """
        if told is None:
            raise DataError("An inpainting model needs a mask that is white where the image is missing: pass `mask`.")
        mask = np.asarray(told)
        pixels = math.prod(shape[2:])
        if mask.ndim not in (2, 3) or mask.shape[-2:] != shape[2:] or mask.size not in (pixels, pixels * shape[0]):
            size = " x ".join(map(str, shape[2:]))
            raise DataError(f"A mask of shape {mask.shape} does not fit {shape[0]} images of {size} pixels.")
        return (to_unit(mask) >= 0.5).astype(np.float32).reshape(-1, 1, *shape[2:])

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch with its hidden parts at 0, and one channel more."""
        import torch

        batch, _, height, width = clean.shape
        shorter = min(height, width)
        draws = clean.new_empty((7, batch, max(1, self.count), 1, 1)).uniform_(generator=generator)
        rows = (clean.new_ones((height, width)).cumsum(0) - 0.5)[None, None]  # (1, 1, H, W): each pixel's middle
        columns = (clean.new_ones((height, width)).cumsum(1) - 0.5)[None, None]
        top, left = rows - draws[0] * height, columns - draws[1] * width
        high, wide = self.size * shorter * draws[2:4] / 2
        boxes = (top.abs() < high) & (left.abs() < wide)
        angle, length, thick = draws[4] * math.pi, self.size * shorter * draws[5], self.size * shorter * (0.02 + 0.08 * draws[6])
        top, left = rows - draws[1] * height, columns - draws[0] * width
        along, across = top * angle.sin() + left * angle.cos(), left * angle.sin() - top * angle.cos()
        strokes = (along.abs() < length) & (across.abs() < thick)
        hidden = (boxes | strokes).any(1, keepdim=True) & (self.count > 0)
        return torch.cat([clean.masked_fill(hidden, 0.0), hidden.to(clean.dtype)], 1)

    def input_channels(self, channels: int) -> int:
        """Return C + 1."""
        return channels + 1

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Return `(B, C + 1, H, W)`, whose last channel tells what is hidden, with that part black."""
        import torch

        hidden = damaged[:, -1:] >= 0.5
        return torch.cat([damaged[:, :-1].masked_fill(hidden, 0.0), hidden.to(damaged.dtype)], 1)


@dataclass(frozen=True)
class Erase(Corruption):
    """Paint a square of each image black, anywhere, also partly outside.

    Source: DeVries and Taylor (2017), cutout; Pathak et al. (2016) for undoing it.
    """

    name: ClassVar = "erase"

    side: float = 0.4
    """Side of the square, as a share of the image's shorter side, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the size."""
        if not 0 <= self.side <= 1:
            raise UsageError(f"The side of the erased square must be between 0 and 1, as a share of the image's, not {self.side}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch with a square of each image at 0."""
        batch, _, height, width = clean.shape
        middle = clean.new_empty((batch, 2, 1, 1)).uniform_(generator=generator)
        rows = clean.new_ones((height, width)).cumsum(0) - 0.5  # (H, W): each pixel's middle, in pixels
        columns = clean.new_ones((height, width)).cumsum(1) - 0.5
        receptive_radius = self.side * min(height, width) / 2
        near = ((rows - middle[:, :1] * height).abs() < receptive_radius) & (
            (columns - middle[:, 1:] * width).abs() < receptive_radius
        )
        return clean.masked_fill(near, 0.0)


@dataclass(frozen=True)
class Warp(Corruption):
    """Turn, stretch, slant and shift each image a little, and bend it; what comes in from outside is black.

    Source: Simard et al. (2003), affine and elastic distortions of digits; here the bending field is cubic over a 5 x 5 grid.
    """

    name: ClassVar = "warp"
    moves: ClassVar = True

    turn: float = 15.0
    """Largest turn, in degrees to both sides."""
    stretch: float = 0.15
    """Largest stretch of each side and largest slant, as a share."""
    shift: float = 0.08
    """Largest shift, as a share of the side."""
    bend: float = 0.03
    """Deviation of the bending, as a share of the side."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        if not (0 <= self.turn <= 180 and 0 <= self.stretch < 1 and 0 <= self.shift <= 1 and 0 <= self.bend <= 1):
            raise UsageError(f"A warp turns by 0 to 180 degrees; it stretches, shifts and bends by shares from 0 to 1; not {self}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch, every image warped in its own way."""
        from torch.nn import functional

        batch, _, height, width = clean.shape
        draws = clean.new_empty((batch, 7)).uniform_(-1, 1, generator=generator)
        angle = draws[:, 0] * math.radians(self.turn)
        wide, high = 1 + self.stretch * draws[:, 1], 1 + self.stretch * draws[:, 2]
        affine = clean.new_empty((batch, 2, 3))  # rows: where each output pixel comes from, in [-1, 1]
        affine[:, 0, 0], affine[:, 0, 1] = angle.cos() * wide, -angle.sin() * high + self.stretch * draws[:, 3]
        affine[:, 1, 0], affine[:, 1, 1] = angle.sin() * wide, angle.cos() * high + self.stretch * draws[:, 4]
        affine[:, :, 2] = 2 * self.shift * draws[:, 5:]
        grid = functional.affine_grid(affine, [batch, 1, height, width], align_corners=False)
        field = clean.new_empty((batch, 2, 5, 5)).normal_(0, 2 * self.bend, generator=generator)
        bending = functional.interpolate(field, size=(height, width), mode="bicubic", align_corners=True)
        return functional.grid_sample(clean, grid + bending.movedim(1, -1), align_corners=False).clamp_(0, 1)
