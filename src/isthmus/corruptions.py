"""What is done to a clean image, so that a model can learn to undo it.

A corruption is a small value object: called with a batch `(B, C, H, W)` in [0, 1] and a `torch.Generator`, it returns the
corrupted batch `(B, C', H, W)`. Height and width never change. Corruptions compose with `|`, left to right, and are written
the same way as text, on the command line and in the model file: `gaussian-noise(0.5) | salt-and-pepper(0.1)`.
They use only methods of the batch itself, so that this room loads without torch.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.errors import UsageError, look_up

if TYPE_CHECKING:
    import torch


class Corruption:
    """What every corruption can do; subclasses are frozen dataclasses with a `__call__`."""

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the corrupted batch `(B, C', H, W)` of a clean one `(B, C, H, W)`."""
        raise TypeError(f"{type(self).__name__} does not say what it does to an image.")

    def seen_channels(self, channels: int) -> int:
        """Return C', how many channels the model sees when the images have `channels`."""
        return channels

    @property
    def stays_in_range(self) -> bool:
        """Whether a clean image's corruption lies in [0, 1], as what the model sees later then should."""
        return True

    def __or__(self, then: Corruption) -> Corruption:
        """Return the corruption that applies this one first, then the other.

        >>> str(GaussianNoise(0.1) | SaltAndPepper(0.05))
        'gaussian-noise(std=0.1, clip=True) | salt-and-pepper(share=0.05)'
        """
        return Chain((*_parts(self), *_parts(then)))

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        name = next(name for name, kind in CORRUPTIONS.items() if kind is type(self))
        values = dataclasses.asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        return f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})" if values else name


@dataclass(frozen=True)
class Nothing(Corruption):
    """Leave the image as it is: the plain autoencoder's task."""

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the batch itself."""
        return clean


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Add independent normal noise to every value.

    Source: the textbook's denoising autoencoder (std 0.5, clipped); Vincent et al. (2008) for the idea.
    """

    std: float = 0.5
    """Standard deviation, where the image's range is [0, 1]."""
    clip: bool = True
    """Whether the result is clipped to [0, 1], as a stored picture would be."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not 0 <= self.std <= 10:
            raise UsageError(f"The noise's standard deviation must lie between 0 and 10 (the textbook's is 0.5), not {self.std}.")

    @property
    def stays_in_range(self) -> bool:
        """Whether the noise is clipped."""
        return self.clip

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return clean + std x standard normal noise."""
        noisy = clean.new_empty(clean.shape).normal_(0, self.std, generator=generator).add_(clean)
        return noisy.clamp_(0, 1) if self.clip else noisy


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Set single pixels, in all their channels, to black or white."""

    share: float = 0.1
    """Share of the pixels that are lost, half of them to black and half to white, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not 0 <= self.share <= 1:
            raise UsageError(f"The share of lost pixels must lie between 0 and 1, not {self.share}.")

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the batch with its lost pixels."""
        batch, _, height, width = clean.shape
        lot = clean.new_empty((batch, 1, height, width)).uniform_(generator=generator)
        return clean.masked_fill(lot < self.share / 2, 0.0).masked_fill(lot >= 1 - self.share / 2, 1.0)


@dataclass(frozen=True)
class Chain(Corruption):
    """Several corruptions, one after the other; made by `|`."""

    parts: tuple[Corruption, ...]
    """The corruptions, in the order in which they are applied."""

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Apply the parts in order."""
        for part in self.parts:
            clean = part(clean, generator)
        return clean

    def seen_channels(self, channels: int) -> int:
        """Return C' after the last part."""
        for part in self.parts:
            channels = part.seen_channels(channels)
        return channels

    @property
    def stays_in_range(self) -> bool:
        """Whether every part does."""
        return all(part.stays_in_range for part in self.parts)

    def __str__(self) -> str:
        """Return the parts' texts, joined as they compose."""
        return " | ".join(map(str, self.parts))


CORRUPTIONS: dict[str, type[Corruption]] = {
    "nothing": Nothing,
    "gaussian-noise": GaussianNoise,
    "salt-and-pepper": SaltAndPepper,
}


def parse(text: str) -> Corruption:
    """Return the corruption that a text names.

    Args:
        text: One or more of `name`, `name(value, ...)` or `name(field=value, ...)`, joined by `|`.

    Raises:
        UsageError: If a name is unknown, or its values do not fit.

    >>> parse("gaussian-noise(0.2)")
    GaussianNoise(std=0.2, clip=True)
    >>> parse("gaussian-noise(0.2) | salt-and-pepper") == GaussianNoise(0.2) | SaltAndPepper()
    True
    """
    parts = [_parse_one(part.strip()) for part in text.split("|")]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _parse_one(text: str) -> Corruption:
    match = re.fullmatch(r"([\w-]+)(?:\((.*)\))?", text)
    if not match:
        raise UsageError(f"Cannot read the corruption '{text}': write it like gaussian-noise(0.5).")
    kind = look_up("corruption", match[1], CORRUPTIONS)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # as above
    values: dict[str, object] = {}
    for position, item in enumerate(filter(None, (item.strip() for item in (match[2] or "").split(",")))):
        name, _, value = item.rpartition("=")
        name = name.strip() or (names[position] if position < len(names) else "?")
        try:
            number = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            number = None
        if name not in names or not isinstance(number, bool | int | float):
            raise UsageError(f"Cannot read '{item}' in '{text}': {match[1]} takes {', '.join(names) or 'no values'}.")
        values[name] = number
    return kind(**values)


def _parts(corruption: Corruption) -> tuple[Corruption, ...]:
    return corruption.parts if isinstance(corruption, Chain) else (corruption,)
