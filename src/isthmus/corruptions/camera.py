"""What lenses, sensors and files do to a whole image: blur, fewer pixels, no colour, JPEG's blocks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image

from isthmus.corruptions.base import Corruption
from isthmus.errors import UsageError
from isthmus.imaging.arrays import Array
from isthmus.imaging.bicubic import enlarge, rescale
from isthmus.imaging.color import gray_of

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

    sigma: float = 1.5
    """Standard deviation of the bell, in pixels."""
    least: float | None = None
    """Smallest standard deviation, where each image is to get one of its own, drawn evenly between this and `sigma`."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not 0 <= self.sigma <= 100 or (self.least is not None and not 0 <= self.least <= self.sigma):
            raise UsageError(f"A blur's deviation lies between 0 and 100 pixels, the least below it, not {self}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the blurred batch; beyond the edges the image goes on as its last pixel."""
        import torch
        from torch.nn import functional

        batch, channels, height, width = clean.shape
        least = self.sigma if self.least is None else self.least
        sigmas = clean.new_empty((batch, 1)).uniform_(generator=generator) * (self.sigma - least) + least
        reach = int(np.ceil(3 * self.sigma))
        steps = torch.arange(-reach, reach + 1, dtype=clean.dtype, device=clean.device)
        bells = torch.exp(-0.5 * (steps / sigmas.clamp(min=1e-3)) ** 2)  # (B, 2 reach + 1)
        bells = (bells / bells.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
        x = functional.pad(clean, (reach,) * 4, mode="replicate").flatten(0, 1)[None]  # each channel of each image has its own bell
        x = functional.conv2d(x, bells[:, :, :, None], groups=batch * channels)
        x = functional.conv2d(x, bells[:, :, None, :], groups=batch * channels)
        return x.reshape(batch, channels, height, width)


@dataclass(frozen=True)
class Jpeg(Corruption):
    """Compress as JPEG, colours at half the resolution, and decode again."""

    name: ClassVar = "jpeg"

    quality: int = 30
    """The encoder's setting, from 1 (coarsest) to 100."""
    best: int | None = None
    """Highest setting, where each image is to get one of its own between `quality` and this: the steps to which numbers are rounded
    are as likely to lie between 1 and 2 as between 2 and 4."""

    def __post_init__(self) -> None:
        """Check the settings."""
        top = self.quality if self.best is None else self.best
        if not (isinstance(self.quality, int) and isinstance(top, int) and 1 <= self.quality <= top <= 100):
            raise UsageError(f"JPEG's quality is a whole number from 1 to 100, and the best not below it, not {self}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image through an encoder and a decoder in 8 bits."""
        import torch

        coarsest, finest = _step(self.quality), _step(self.quality if self.best is None else self.best)
        shares = torch.rand(len(clean), generator=generator, device=clean.device).tolist()
        settings = [_quality(coarsest ** (1 - share) * finest**share) for share in shares]
        pixels = clean.clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
        coded = np.stack([_through_jpeg(image, quality) for image, quality in zip(pixels, settings, strict=True)])
        return torch.from_numpy(coded).to(clean.device).to(clean.dtype) / 255


def _step(quality: int) -> float:
    """Return to how coarse steps numbers are rounded, in percent of those of quality 50; as libjpeg reckons them."""
    return 5000 / quality if quality < 50 else max(1.0, 200.0 - 2 * quality)


def _quality(step: float) -> int:
    """Return the setting whose steps are nearest."""
    return round(5000 / step if step > 100 else (200 - step) / 2)


def _through_jpeg(image: Array, quality: int) -> Array:
    """Code `(C, H, W)` uint8: RGB together, anything else a channel at a time."""
    if len(image) != 3:
        return np.stack([_coded(Image.fromarray(plane), quality) for plane in image])
    return np.moveaxis(_coded(Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1))), quality), -1, 0)


def _coded(image: Image.Image, quality: int) -> Array:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@dataclass(frozen=True)
class Downscale(Corruption):
    """Shrink the image by cubic interpolation as in Matlab's imresize; the model sees it stretched back in the same way.

    With others around it, it makes real small pictures: `blur(2, least=0) | downscale(2) | gaussian-noise(0.02) | jpeg(50)`.

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
