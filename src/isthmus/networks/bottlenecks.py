"""The bottleneck between encoder and decoder: a point or a distribution.

An encoder ends in plain numbers; the code says how many of them make one number of the code (`outputs_per_number`), and turns
them into what the decoder reads: `point` for work, where an image has one code, and `draw` for learning, where chance may enter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor

LOG_VARIANCE_LIMIT = 12.0
"""A Gaussian code's log-variances are clipped to plus and minus this: a deviation between 0.0025 and 400."""


class Bottleneck(Protocol):
    """What every kind of code offers."""

    @property
    def outputs_per_number(self) -> int:
        """How many numbers the encoder gives for one number of the code."""

    @property
    def views(self) -> int:
        """How many differently corrupted copies of each image it learns from at once."""

    def point(self, encoded: Tensor) -> Tensor:
        """Return an image's code `(B, numbers, ...)` for what the encoder gave, `(B, numbers x outputs_per_number, ...)`."""

    def draw(self, encoded: Tensor, generator: Generator, part: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return a code to learn from, and its cost in nats, for each image or for all.

        Args:
            encoded: Of `views` copies of each image, one copy of all images after the other.
            generator: Of the code's chance.
            part: Where these images begin in a batch, and the length of that, if they are a part of one: they get their own chance.

        Returns:
            (the code of each image, of its first copy; what is added to the image's error).
        """

    def invent(self, shape: tuple[int, ...], generator: Generator, fitted: Callable[[], Tensor]) -> Tensor:
        """Return new codes of a shape `(n, ...)`: from the prior, or where there is none, of those that `fitted` gives."""


@dataclass(frozen=True)
class PointCode:
    """A code that is one point: what the encoder says, through a rectifier or as it is."""

    rectified: bool = True
    """Whether negative numbers become 0, as in the textbook, where the code is a ReLU layer like the others."""

    outputs_per_number = 1
    views = 1

    def point(self, encoded: Tensor) -> Tensor:
        """Return the code, of the shape of `encoded`."""
        return encoded.relu() if self.rectified else encoded

    def draw(self, encoded: Tensor, generator: Generator, part: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return the code; it costs nothing."""
        return self.point(encoded), encoded.new_zeros(())

    def invent(self, shape: tuple[int, ...], generator: Generator, fitted: Callable[[], Tensor]) -> Tensor:
        """Return codes like those of the training images, as the rectifier leaves them."""
        return self.point(fitted().reshape(shape))


@dataclass(frozen=True)
class GaussianCode:
    """A code that is a normal distribution with independent numbers, drawn towards the standard normal one: a VAE's.

    Source: Kingma and Welling (2014), equation 10 and appendix B.
    """

    outputs_per_number = 2
    views = 1

    def point(self, encoded: Tensor) -> Tensor:
        """Return the distribution's mean."""
        return self.distribution(encoded)[0]

    def draw(self, encoded: Tensor, generator: Generator, part: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return a reparametrized sample, and the divergence of the distribution from the standard normal one, `(B,)`."""
        mean, log_variance = self.distribution(encoded)
        first, length = part or (0, len(mean))
        noise = mean.new_empty((length, *mean.shape[1:])).normal_(generator=generator)[first : first + len(mean)]
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)
        return mean + (0.5 * log_variance).exp() * noise, divergence

    def invent(self, shape: tuple[int, ...], generator: Generator, fitted: Callable[[], Tensor]) -> Tensor:
        """Return codes of the standard normal distribution."""
        import torch

        return torch.randn(shape, generator=generator)

    def distribution(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Return (mean, logarithm of the variance), float32, each of the code's shape."""
        mean, log_variance = encoded.float().chunk(2, 1)
        return mean, log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)


@dataclass(frozen=True)
class InvariantCode:
    """A code that is the same for two differently corrupted copies of an image, and wastes none of its numbers.

    Its cost is the distance between the copies' codes, plus what keeps every number's deviation near 1 and the numbers
    uncorrelated, so that the code does not collapse.

    Source: Bardes, Ponce and LeCun (2022), VICReg, equations 1 to 6 with their weights; here on the code itself, beside the
    reconstruction, instead of behind an expander.
    """

    outputs_per_number = 1
    views = 2

    def point(self, encoded: Tensor) -> Tensor:
        """Return what the encoder says."""
        return encoded

    def draw(self, encoded: Tensor, generator: Generator, part: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return the first copies' codes, and what the two copies' codes cost together."""
        first, second = encoded.float().flatten(1).chunk(2)
        distance = (first - second).square().mean()
        spreads, correlations = zip(*map(_waste, (first, second)), strict=True)
        return encoded.chunk(2)[0], 25 * distance + 12.5 * sum(spreads) + 0.5 * sum(correlations)

    def invent(self, shape: tuple[int, ...], generator: Generator, fitted: Callable[[], Tensor]) -> Tensor:
        """Return codes like those of the training images."""
        return fitted().reshape(shape)


def _waste(code: Tensor) -> tuple[Tensor, Tensor]:
    """Return (how far the deviations of numbers `(B, d)` fall short of 1, how far the numbers are correlated)."""
    deviations = (code.var(0, correction=0) + 1e-4).sqrt()
    centerd = code - code.mean(0)
    covariances = centerd.T @ centerd / max(1, len(code) - 1)  # (d, d)
    return (1 - deviations).relu().mean(), (covariances.square().sum() - covariances.diagonal().square().sum()) / code.shape[1]


BOTTLENECKS: dict[str, PointCode | GaussianCode | InvariantCode] = {
    "relu": PointCode(rectified=True),
    "linear": PointCode(rectified=False),
    "gaussian": GaussianCode(),
    "invariant": InvariantCode(),
}
