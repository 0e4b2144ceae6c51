"""What a model learns from and is measured on: clean images, and what has become of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from isthmus.images import Array, in_channels, middle


@dataclass(frozen=True, kw_only=True)
class Example:
    """Images of one size: clean, damaged, and as the model sees them."""

    clean: Array
    """`(n, C, H, W)` float32 in [0, 1]: what the model should give."""
    damaged: Array
    """`(n, C', h, w)` float32: what a person has at work; for a model that enlarges, smaller."""
    seen: Array
    """`(n, C', H, W)` float32: what the model sees of that."""
    enlarges: int = 1
    """How many times as long the sides of what is seen are as those of what a person has, before what is too much is cut off."""

    def __len__(self) -> int:
        return len(self.clean)

    def take(self, chosen: slice | Array) -> Example:
        """Return some of the images."""
        return replace(self, clean=self.clean[chosen], damaged=self.damaged[chosen], seen=self.seen[chosen])

    def middle(self, side: int) -> Example:
        """Return the middles of the images, at most so many pixels high and wide; of damaged ones, what is seen."""
        clean, seen = (middle(images, side) for images in (self.clean, self.seen))
        return Example(clean=clean, damaged=seen, seen=seen)

    @cached_property
    def as_it_is(self) -> Array:
        """What is seen, `(n, C, H, W)`: gray in as many channels as are wanted, without a mask, clipped to what an image holds."""
        return np.clip(in_channels(self.seen, self.clean.shape[1]), 0, 1)

    @cached_property
    def strengths(self) -> Array:
        """How strong the damage is, `(n,)`: the root of the mean squared difference from the clean image."""
        seen = in_channels(self.seen, self.clean.shape[1])
        return np.array([np.sqrt(np.square(a - b).mean()) for a, b in zip(seen, self.clean, strict=True)])
