"""One corruption or another, or several in random order: real pictures differ in their history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from isthmus.corruptions.base import Corruption, Nothing, arguments_of
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from torch import Generator, Tensor


class _Mixture(Corruption):
    """What a corruption made of several others promises, whichever of them happens."""

    parts: tuple[Corruption, ...]

    def _check(self) -> None:
        if not self.parts:
            raise UsageError(f"{self.name} needs at least one corruption, such as {self.name}(jpeg(50), nothing).")
        for part in self.parts:
            if part.scale_factor != 1 or any(part.input_channels(channels) != channels for channels in (1, 3)):
                raise UsageError(
                    f"{part} cannot be a part of {self.name}: it changes the size or the channels of a model's input. "
                    "Write it before or after, joined by |."
                )

    @property
    def stays_in_range(self) -> bool:
        """Whether every part does."""
        return all(part.stays_in_range for part in self.parts)


@dataclass(frozen=True)
class Either(_Mixture):
    """Apply one of several corruptions to each image, drawn by their weights.

    >>> from isthmus.corruptions import parse
    >>> str(parse("either(3 * blur(1), blur(2) | webp(80))"))
    'either(3 * blur(sigma=1), blur(sigma=2) | webp(quality=80))'
    """

    name: ClassVar = "either"

    parts: tuple[Corruption, ...] = (Nothing(),)
    """What may happen."""
    weights: tuple[float, ...] = ()
    """How likely each is, in any unit; without them, all alike."""

    def __post_init__(self) -> None:
        """Check the parts and weights."""
        object.__setattr__(self, "weights", self.weights or (1,) * len(self.parts))
        self._check()
        if len(self.weights) != len(self.parts) or min(self.weights) < 0 or sum(self.weights) <= 0:
            raise UsageError(f"The weights of either are numbers from 0 up, one for each corruption, not {self.weights}.")

    @classmethod
    def from_text(cls, text: str, parse: Callable[[str], Corruption]) -> Either:
        """Return the corruption whose arguments a text holds: `weight * chain`, or a chain alone, separated by commas."""
        parts, weights = [], []
        for argument in arguments_of(text):
            weight, times, chain = argument.partition("*")
            try:
                weights.append(float(weight) if times else 1.0)
            except ValueError:
                raise UsageError(f"Cannot read '{argument}' in either: write it like 0.3 * jpeg(50).") from None
            parts.append(parse(chain if times else argument))
        return cls(tuple(parts), tuple(weights)) if parts else cls()

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the batch and what is wanted of it, a part applied to each image."""
        import torch

        weights = torch.tensor(self.weights, dtype=torch.float64, device=damaged.device)
        chosen = torch.multinomial(weights, len(damaged), replacement=True, generator=generator)
        given, aim = damaged.clone(), wanted.clone()
        for number, part in enumerate(self.parts):
            places = (chosen == number).nonzero().flatten()
            if len(places):
                given[places], aim[places] = part.degrade(damaged[places], wanted[places], generator)
        return given, aim

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        pairs = zip(self.weights, self.parts, strict=True)
        return f"{self.name}({', '.join(str(part) if weight == 1 else f'{weight:g} * {part}' for weight, part in pairs)})"


@dataclass(frozen=True)
class Shuffled(_Mixture):
    """Apply several corruptions, in an order of its own to each image.

    Source: Zhang et al. (2021), BSRGAN: the order in which a picture was blurred, shrunk, made noisy and compressed is not known.
    """

    name: ClassVar = "shuffled"

    parts: tuple[Corruption, ...] = (Nothing(),)
    """What happens."""

    def __post_init__(self) -> None:
        """Check the parts."""
        self._check()

    @classmethod
    def from_text(cls, text: str, parse: Callable[[str], Corruption]) -> Shuffled:
        """Return the corruption whose arguments a text holds: chains, separated by commas."""
        parts = tuple(parse(argument) for argument in arguments_of(text))
        return cls(parts) if parts else cls()

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the batch and what is wanted of it, all parts applied to each image."""
        import torch

        pairs = []
        for place in range(len(damaged)):
            pair = damaged[place : place + 1], wanted[place : place + 1]
            for number in torch.randperm(len(self.parts), generator=generator, device=damaged.device).tolist():
                pair = self.parts[number].degrade(*pair, generator)
            pairs.append(pair)
        return torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs])

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        return f"{self.name}({', '.join(map(str, self.parts))})"
