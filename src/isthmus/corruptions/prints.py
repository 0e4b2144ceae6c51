"""Corruptions of old prints and slides: faded colors, scratches and dust."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from isthmus.corruptions.base import Corruption, Range, draw, lies_within
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Fade(Corruption):
    """Fade as prints do: black becomes gray, white yellows, contrast goes, each channel by its own share."""

    name: ClassVar = "fade"

    contrast: Range = (0.5, 1.0)
    """Share of the contrast that is left; of a pair, each image gets one of its own."""
    tint: Range = (0.0, 0.15)
    """By how much the channels differ in it, at most."""
    lift: Range = (0.0, 1.0)
    """Where what is left lies: 0 keeps black and darkens white, 1 keeps white and lifts black."""

    def __post_init__(self) -> None:
        """Check the shares."""
        if not (lies_within(self.contrast, 0, 1) and lies_within(self.tint, 0, 1) and lies_within(self.lift, 0, 1)):
            raise UsageError(f"Fading takes contrast, tint and lift from 0 to 1, or pairs, not {self}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the faded batch."""
        contrast, tint, lift = (draw(value, clean, generator) for value in (self.contrast, self.tint, self.lift))
        own = clean.new_empty((*clean.shape[:2], 1, 1)).uniform_(generator=generator)
        left = (contrast * (1 - tint * own)).clamp(0, 1)
        return left * clean + (1 - left) * lift


@dataclass(frozen=True)
class Scratches(Corruption):
    """Draw light and dark scratches and specks of dust on each image."""

    name: ClassVar = "scratches"

    count: int = 6
    """Scratches, and as many specks, on an image, at most."""
    width: float = 1.0
    """Half a scratch's width, and a speck's radius, in pixels, on average."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (0 <= self.count <= 1000 and 0 < self.width <= 100):
            raise UsageError(f"Scratches have a count from 0 to 1000 and a width above 0 and up to 100 pixels, not {self}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch with scratches: what lies under one is mixed with its color."""
        batch, _, height, width = clean.shape
        rows = (clean.new_ones((height, width)).cumsum(0) - 0.5)[None]
        columns = (clean.new_ones((height, width)).cumsum(1) - 0.5)[None]
        result = clean
        for number in range(2 * self.count):
            draws = clean.new_empty((batch, 8, 1, 1)).uniform_(generator=generator)
            top, left, turn, length, thick, depth, white, there = draws.unbind(1)
            angle = turn * math.pi
            down, right = rows - top * height, columns - left * width
            along, across = right * angle.cos() + down * angle.sin(), down * angle.cos() - right * angle.sin()
            half = length * max(height, width) / 2 if number % 2 else length * 2 * self.width  # a scratch, or a speck
            distance = (across**2 + (along.abs() - half).clamp(min=0) ** 2).sqrt()
            cover = (thick * 2 * self.width + 0.5 - distance).clamp(0, 1) * depth * (there < 0.7)
            result = result + cover[:, None] * ((white > 0.4).to(clean.dtype)[:, None] - result)
        return result.clamp(0, 1) if self.count else clean
