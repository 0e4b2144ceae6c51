"""What lenses and small sensors do to a whole image: blur, fewer pixels, no color."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isthmus.corruptions.base import Corruption, Range, draw, ends_of, lies_within
from isthmus.errors import UsageError
from isthmus.imaging.bicubic import enlarge, rescale
from isthmus.imaging.color import gray_of

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Grayscale(Corruption):
    """Take the color away: the gray of the same lightness (CIELAB's L) is left.

    Source: Zhang, Isola and Efros (2016), who predict a and b from L.
    """

    name: ClassVar = "grayscale"

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch in gray, `(B, 1, H, W)`; of channels that are not RGB, the mean."""
        return gray_of(clean) if clean.shape[1] == 3 else clean.mean(1, keepdim=True)

    def input_channels(self, channels: int) -> int:
        """Return 1."""
        return 1

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Return RGB's gray, and anything else as it is."""
        return gray_of(damaged) if damaged.shape[1] == 3 else damaged


@dataclass(frozen=True)
class Blur(Corruption):
    """Blur with a normal distribution's bell."""

    name: ClassVar = "blur"

    sigma: Range = 1.5
    """Standard deviation of the bell, in pixels; of a pair, each image gets one of its own, drawn evenly."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not lies_within(self.sigma, 0, 100):
            raise UsageError(f"A blur's deviation lies between 0 and 100 pixels, the smaller of a pair first, not {self.sigma}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the blurred batch; beyond the edges the image goes on as its last pixel."""
        return blur_each(clean, draw(self.sigma, clean, generator).flatten(), ends_of(self.sigma)[1])


def blur_each(images: Tensor, sigmas: Tensor, widest: float, *, unit_variance: bool = False) -> Tensor:
    """Return images `(B, C, H, W)` blurred, each with a bell of its own; beyond the edges they go on as their last pixels.

    Args:
        images: The batch.
        sigmas: Standard deviation of each bell, in pixels, `(B,)`.
        widest: The largest that there can be: it says how far the bells are followed.
        unit_variance: Whether the bells are scaled so that the variance of white noise stays, instead of the mean.
    """
    import torch
    from torch.nn import functional

    batch, channels, height, width = images.shape
    receptive_radius = int(np.ceil(3 * widest))
    steps = torch.arange(-receptive_radius, receptive_radius + 1, dtype=images.dtype, device=images.device)
    bells = torch.exp(-0.5 * (steps / sigmas[:, None].clamp(min=1e-3)) ** 2)  # (B, 2 reach + 1)
    bells = bells / (bells.square().sum(1, keepdim=True).sqrt() if unit_variance else bells.sum(1, keepdim=True))
    bells = bells.repeat_interleave(channels, 0)[:, None]
    x = functional.pad(images, (receptive_radius,) * 4, mode="replicate").flatten(0, 1)[
        None
    ]  # each channel of each image has its own bell
    x = functional.conv2d(x, bells[:, :, :, None], groups=batch * channels)
    x = functional.conv2d(x, bells[:, :, None, :], groups=batch * channels)
    return x.reshape(batch, channels, height, width)


@dataclass(frozen=True)
class Downscale(Corruption):
    """Shrink the image by cubic interpolation as in Matlab's imresize; the model sees it stretched back in the same way.

    With others around it, it makes real small pictures: `blur((0, 2)) | downscale(2) | gaussian-noise(0.02) | jpeg(50)`.

    Source: Keys (1981) for the cubic (a = -1/2); shrinking widens it, so that nothing is aliased.
    """

    name: ClassVar = "downscale"

    factor: int = 2
    """How many times the sides are shortened."""

    def __post_init__(self) -> None:
        """Check the factor."""
        if self.factor not in range(1, 17):
            raise UsageError(f"An image is shrunk by a whole number from 1 to 16, not {self.factor}.")

    @property
    def scale_factor(self) -> int:
        """The factor."""
        return self.factor

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the small batch; sides that are no multiple of the factor are rounded up."""
        height, width = clean.shape[-2:]
        return rescale(clean, (-(-height // self.factor), -(-width // self.factor)), 1 / self.factor)

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Return the images `factor` times as large."""
        return enlarge(damaged, self.factor)
