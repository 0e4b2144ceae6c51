"""From clean images to (clean, degraded, network input), in training and at inference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor

from isthmus.corruptions import parse
from isthmus.imaging.arrays import Array, in_channels, middle, to_unit
from isthmus.recipes.recipe import Recipe
from isthmus.recipes.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Images of one size: clean, degraded, and as the network gets them."""

    clean: Array
    """`(n, C, H, W)` float32 in [0, 1]: the target."""
    degraded: Array
    """`(n, C', h, w)` float32: what a user has; for an upscaler, smaller."""
    model_input: Array
    """`(n, C', H, W)` float32: what the network gets."""
    beside: int = 0
    """How many of the network's last input channels stand beside the image, such as a mask."""
    scale: int = 1
    """How many times longer the sides of the network's input are than those of the degraded image, before cropping."""

    def __len__(self) -> int:
        return len(self.clean)

    def take(self, chosen: slice | Array) -> Sample:
        """Return some of the images."""
        return replace(self, clean=self.clean[chosen], degraded=self.degraded[chosen], model_input=self.model_input[chosen])

    def middle(self, side: int) -> Sample:
        """Return center crops, at most so many pixels high and wide; the degraded images become the network's inputs."""
        clean, model_input = (middle(images, side) for images in (self.clean, self.model_input))
        return Sample(clean=clean, degraded=model_input, model_input=model_input, beside=self.beside)

    @cached_property
    def input_as_image(self) -> Array:
        """The network's input in the target's channels, `(n, C, H, W)`, without a mask or hints."""
        return in_channels(self.model_input[:, : self.model_input.shape[1] - self.beside], self.clean.shape[1])

    @cached_property
    def degraded_as_image(self) -> Array:
        """The same, clipped to [0, 1]."""
        return np.clip(self.input_as_image, 0, 1)

    @cached_property
    def strengths(self) -> Array:
        """How strong the degradation is, `(n,)`: root mean squared difference from the clean image."""
        return np.array([np.sqrt(np.square(a - b).mean()) for a, b in zip(self.input_as_image, self.clean, strict=True)])


class Degradation:
    """What a recipe does to images before the network gets them.

    Args:
        recipe: A complete recipe.
    """

    def __init__(self, recipe: Recipe):
        self.task = TASKS[recipe.task]
        self.target = self.task.target
        self.preparation = parse(recipe.prepare)
        self.corruption = parse(recipe.corruption or "nothing")

    @property
    def in_range(self) -> bool:
        """Whether the network's inputs lie in [0, 1]."""
        return self.corruption.stays_in_range and self.target.inputs_in_range

    def training_pair(self, batch: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return (network inputs `(B, C', H, W)`, targets `(B, C, H, W)`) for a prepared batch of the dataset."""
        degraded, target = self.target.sample(batch, self.corruption, generator)
        return self.corruption.to_model_input(degraded)[..., : target.shape[-2], : target.shape[-1]], target

    def prepare(self, images: Array, seed: int = 0) -> Array:
        """Return the targets for images: the recipe's preparation, applied to them.

        Args:
            images: `(n, C, H, W)`, as images have it.
            seed: Random seed.

        Returns:
            `(n, C, H, W)` float32.
        """
        return self.preparation(torch.from_numpy(to_unit(images)), Generator().manual_seed(seed)).numpy()

    def corrupt(self, clean: Array, seed: int = 0) -> Array:
        """Return the network's inputs for clean images.

        Args:
            clean: `(n, C, H, W)` floats in [0, 1].
            seed: Random seed.

        Returns:
            `(n, C', H, W)` float32.
        """
        return self.corruption(_floats(clean), Generator().manual_seed(seed)).numpy()

    def at_inference(self, images: Array, seed: int = 0) -> Array:
        """Return what a user would have of images `(n, C, H, W)` in [0, 1]: mostly, the corrupted ones."""
        return self._sample(images, seed, at_inference=True).degraded

    def sample(self, images: Array, seed: int = 0, *, at_inference: bool = True) -> Sample:
        """Return clean, degraded and input images for a dataset's images.

        Args:
            images: `(n, C, H, W)`, as images have it.
            seed: Random seed.
            at_inference: Degrade them as a user's images are, where that differs from training.
        """
        return self._sample(self.prepare(images, seed), seed, at_inference=at_inference)

    def _sample(self, clean: Array, seed: int, *, at_inference: bool) -> Sample:
        if at_inference and self.task.clean_input:
            return Sample(clean=clean, degraded=clean, model_input=clean)
        degraded, target = self.target.sample(_floats(clean), self.corruption, Generator().manual_seed(seed))
        model_input = self.corruption.to_model_input(degraded)[..., : target.shape[-2], : target.shape[-1]]
        parts = {"clean": target, "degraded": degraded, "model_input": model_input}
        arrays = {name: part.contiguous().numpy() for name, part in parts.items()}
        return Sample(**arrays, beside=self.corruption.beside, scale=self.corruption.scale_factor)


def _floats(images: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images, np.float32))
