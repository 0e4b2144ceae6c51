"""Noise on single values: Gaussian, Poisson, salt and pepper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from isthmus.corruptions.base import Corruption, Range, draw, lies_within
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Add independent normal noise to every value.

    Source: the textbook's denoising autoencoder (std 0.5, clipped); Vincent et al. (2008) for the idea.
    """

    name: ClassVar = "gaussian-noise"

    std: Range = 0.5
    """Standard deviation, where the image's range is [0, 1]; with two values, each image gets one between them."""
    clip: bool = True
    """Whether the result is clipped to [0, 1], as a stored picture would be."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not lies_within(self.std, 0, 10):
            raise UsageError(
                f"The standard deviation of noise must be between 0 and 10 (the textbook's is 0.5), not {self.std}. "
                "A pair is (low, high)."
            )

    @property
    def stays_in_range(self) -> bool:
        """Whether the noise is clipped."""
        return self.clip

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return clean + std x standard normal noise."""
        noise = clean.new_empty(clean.shape)
        if isinstance(self.std, tuple):
            noise.normal_(generator=generator).mul_(draw(self.std, clean, generator))
        else:
            noise.normal_(0, self.std, generator=generator)
        noisy = noise.add_(clean)
        return noisy.clamp_(0, 1) if self.clip else noisy


@dataclass(frozen=True)
class PoissonNoise(Corruption):
    """Count photons: noise that grows with the root of the brightness, and the sensor's own beside it.

    Source: Foi et al. (2008), Poissonian-Gaussian noise of raw image sensors.
    """

    name: ClassVar = "poisson-noise"

    peak: Range = 50.0
    """Photons that a white value stands for; fewer are noisier. Two values are drawn between evenly in the logarithm."""
    read: float = 0.01
    """Standard deviation of the sensor's noise, where the image's range is [0, 1]."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        if not lies_within(self.peak, 1e-6, 1e6) or not 0 <= self.read <= 10:
            raise UsageError(f"Poisson noise takes a peak above 0 (or a pair of them) and a read noise from 0 to 10, not {self}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return Poisson(clean x peak) / peak + read x standard normal noise, clipped."""
        import torch

        peaks = draw(self.peak, clean, generator, log=True)
        counted = torch.poisson(clean.clamp(min=0) * peaks, generator=generator) / peaks
        return counted.add_(clean.new_empty(clean.shape).normal_(generator=generator), alpha=self.read).clamp_(0, 1)


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Set single pixels, in all their channels, to black or white."""

    name: ClassVar = "salt-and-pepper"

    share: float = 0.1
    """Share of the pixels that are lost, half of them to black and half to white, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not 0 <= self.share <= 1:
            raise UsageError(f"The share of replaced pixels must be between 0 and 1, not {self.share}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch with its lost pixels."""
        batch, _, height, width = clean.shape
        draws = clean.new_empty((batch, 1, height, width)).uniform_(generator=generator)
        return clean.masked_fill(draws < self.share / 2, 0.0).masked_fill(draws >= 1 - self.share / 2, 1.0)


@dataclass(frozen=True)
class Binarize(Corruption):
    """Draw every value as black or white, white with the probability that its brightness names.

    Source: dynamic binarization, as Burda et al. (2016) train and measure on MNIST.
    """

    name: ClassVar = "binarize"

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch in 0 and 1; what is 0 or 1 stays so."""
        return (clean.new_empty(clean.shape).uniform_(generator=generator) < clean).to(clean.dtype)
