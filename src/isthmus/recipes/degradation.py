"""What a model learns from and is measured on: clean images, and what has become of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from isthmus.corruptions import parse
from isthmus.imaging.arrays import Array, in_channels, middle, to_unit
from isthmus.recipes import Recipe
from isthmus.recipes.tasks import TASKS


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


class ExampleMaker:
    """Makes examples as a recipe says: prepares images, and damages them.

    Args:
        recipe: What is learnt, and how.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.preparation = parse(recipe.prepare)
        self.corruption = parse(recipe.corruption)

    def prepare(self, images: Array, seed: int = 0) -> Array:
        """Return what the model should give for images: the recipe's preparation, applied to them.

        Args:
            images: `(n, C, H, W)`, as images have it.
            seed: The same seed gives the same chance.

        Returns:
            `(n, C, H, W)` float32.
        """
        generator = torch.Generator().manual_seed(seed)
        return self.preparation(torch.from_numpy(to_unit(images)), generator).numpy()

    def corrupt(self, clean: Array, seed: int = 0) -> Array:
        """Return what the model would see of clean images: the corruption that it has learnt to undo, applied to them.

        Args:
            clean: `(n, C, H, W)` floats in [0, 1].
            seed: The same seed gives the same corruption.

        Returns:
            `(n, C', H, W)` float32.
        """
        generator = torch.Generator().manual_seed(seed)
        return self.corruption(torch.from_numpy(np.ascontiguousarray(clean, np.float32)), generator).numpy()

    def at_work(self, images: Array, seed: int = 0) -> Array:
        """Return what a person would have of images `(n, C, H, W)` in [0, 1]: mostly, what the corruption makes of them."""
        return self._example(images, seed, at_work=True).damaged

    def example(self, images: Array, seed: int = 0, *, at_work: bool = True) -> Example:
        """Return what becomes of a data set's images.

        Args:
            images: `(n, C, H, W)`, as images have it.
            seed: The same seed gives the same chance.
            at_work: Damage them as the model meets them at work, where that is another thing than what it learns from.
        """
        return self._example(self.prepare(images, seed), seed, at_work=at_work)

    def _example(self, clean: Array, seed: int, *, at_work: bool) -> Example:
        if at_work and TASKS[self.recipe.task].clean_at_work:
            return Example(clean=clean, damaged=clean, seen=clean)
        generator = torch.Generator().manual_seed(seed)
        damaged, wanted = self.corruption.examples(torch.from_numpy(np.ascontiguousarray(clean, np.float32)), generator)
        seen = self.corruption.as_seen(damaged)[..., : wanted.shape[-2], : wanted.shape[-1]]
        parts = {name: part.contiguous().numpy() for name, part in (("clean", wanted), ("damaged", damaged), ("seen", seen))}
        return Example(**parts, enlarges=self.corruption.enlarges)
