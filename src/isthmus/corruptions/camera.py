"""What lenses and small sensors do to a whole image: blur, fewer pixels, no color."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isthmus.colors import gray_of
from isthmus.corruptions.corruption import Corruption, Range, draw, ends_of, lies_within
from isthmus.errors import UsageError
from isthmus.images import Array

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Grayscale(Corruption):
    """Take the colour away: the gray of the same lightness (CIELAB's L) is left.

    Source: Zhang, Isola and Efros (2016), who predict a and b from L.
    """

    name: ClassVar = "grayscale"

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch in gray, `(B, 1, H, W)`; of channels that are not RGB, the mean."""
        return gray_of(clean) if clean.shape[1] == 3 else clean.mean(1, keepdim=True)

    def seen_channels(self, channels: int) -> int:
        """Return 1."""
        return 1

    def as_seen(self, damaged: Tensor) -> Tensor:
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
    reach = int(np.ceil(3 * widest))
    steps = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    bells = torch.exp(-0.5 * (steps / sigmas[:, None].clamp(min=1e-3)) ** 2)  # (B, 2 reach + 1)
    bells = bells / (bells.square().sum(1, keepdim=True).sqrt() if unit_variance else bells.sum(1, keepdim=True))
    bells = bells.repeat_interleave(channels, 0)[:, None]
    x = functional.pad(images, (reach,) * 4, mode="replicate").flatten(0, 1)[None]  # each channel of each image has its own bell
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
    def enlarges(self) -> int:
        """The factor."""
        return self.factor

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the small batch; sides that are no multiple of the factor are rounded up."""
        height, width = clean.shape[-2:]
        return rescale(clean, (-(-height // self.factor), -(-width // self.factor)), 1 / self.factor)

    def as_seen(self, damaged: Tensor) -> Tensor:
        """Return the images `factor` times as large."""
        return enlarge(damaged, self.factor)


def rescale(images: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """Return images `(B, C, H, W)` scaled by cubic interpolation, clipped to [0, 1], as Matlab's imresize does.

    Args:
        images: The batch.
        size: (H, W) of the result.
        scale: How many times the result's pixels are finer.
    """
    import torch

    rows, columns = (_weights(length, wanted, scale) for length, wanted in zip(images.shape[-2:], size, strict=True))
    down, across = (torch.from_numpy(part).to(images) for part in (rows, columns))
    return (down @ images @ across.T).clamp(0, 1)


def enlarge(images: Tensor, factor: int) -> Tensor:
    """Return images `(B, C, H, W)` a whole number of times as large, as `rescale` gives them: each pixel becomes a square of them.

    Only convolutions and moves of pixels, so that it takes any size where it is exported to.
    """
    from torch import cat, from_numpy
    from torch.nn import functional as F

    for axis in (-2, -1):
        length, columns = images.shape[axis], axis == -1
        edges = [images.narrow(axis, place, 1) for place in (1 % length, 0, length - 1, (length - 2) % length)]
        images = cat([*edges[:2], images, *edges[2:]], axis)  # two pixels mirrored at each end
        taps = from_numpy(_weights(16, 16 * factor, factor)[8 * factor : 9 * factor, 6:11]).to(images)  # far from the edges
        kernels = taps[:, None, None, :] if columns else taps[:, None, :, None]
        batch, channels, height, width = images.shape
        fine = F.conv2d(images.reshape(-1, 1, height, width), kernels)  # (B x C, factor, H, W)
        fine = fine.movedim(1, -1) if columns else fine.movedim(1, 2)
        height, width = (height, (width - 4) * factor) if columns else ((height - 4) * factor, width)
        images = fine.reshape(batch, channels, height, width)
    return images.clamp(0, 1)


@lru_cache(maxsize=64)
def _weights(length: int, wanted: int, scale: float) -> Array:
    """Return how much of each old pixel goes into each new one, `(wanted, length)` float32."""
    width = 4 / min(scale, 1)
    middle = (np.arange(wanted) + 0.5) / scale - 0.5
    places = np.floor(middle - width / 2)[:, None] + np.arange(int(np.ceil(width)) + 2)
    distance = np.abs(middle[:, None] - places) * min(scale, 1)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    shares = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    shares /= shares.sum(1, keepdims=True)
    mirrored = np.r_[np.arange(length), np.arange(length)[::-1]][places.astype(int) % (2 * length)]
    weights = np.zeros((wanted, length))
    np.add.at(weights, (np.arange(wanted)[:, None], mirrored), shares)
    return weights.astype(np.float32)
