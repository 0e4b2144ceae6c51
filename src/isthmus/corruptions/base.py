"""What every corruption is: a small value object, which composes with `|` and can be written as text."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Generator, Tensor


class Corruption:
    """What every corruption can do; subclasses are frozen dataclasses that say how they `damage`."""

    name: ClassVar[str] = ""
    """What it is called in text."""
    of_clean: ClassVar[bool] = True
    """Whether it is done to clean images; else examples come from what a person has, and a clean image alone makes none."""

    def __call__(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return what the model sees, `(B, C', H, W)`, of a clean batch `(B, C, H, W)`."""
        return self.as_seen(self.damage(clean, generator))[..., : clean.shape[-2], : clean.shape[-1]]

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return what a person has of a clean batch `(B, C, H, W)`: mostly of the same size."""
        raise TypeError(f"{type(self).__name__} does not say what it does to an image.")

    def seen_channels(self, channels: int) -> int:
        """Return C', how many channels the model sees when the images have `channels`."""
        return channels

    def examples(self, batch: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return what is learnt from a data set's images `(B, C, H, W)`: (damaged ones, what is wanted of them).

        Mostly the batch is clean, so that it is what is wanted.
        """
        return self.damage(batch, generator), batch

    def image_channels(self, stored: int) -> int:
        """Return C, how many channels the model gives, when a data set's images have `stored`."""
        return stored

    def as_seen(self, damaged: Tensor) -> Tensor:
        """Return what the model sees of damaged images, `(B, C', H, W)`: stretched or without colour, as it has learnt."""
        return damaged

    @property
    def enlarges(self) -> int:
        """How many times as long the sides of what the model gives are as those of what a person has at work."""
        return 1

    @property
    def stays_in_range(self) -> bool:
        """Whether a clean image's corruption lies in [0, 1], as what the model sees later then should."""
        return True

    def __or__(self, then: Corruption) -> Corruption:
        """Return the corruption that applies this one first, then the other.

        >>> str(Nothing() | Nothing())
        'nothing | nothing'
        """
        return Chain((*parts_of(self), *parts_of(then)))

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        given = [f"{key}={value!r}" for key, value in values.items() if value is not None]
        return f"{self.name}({', '.join(given)})" if given else self.name


@dataclass(frozen=True)
class Nothing(Corruption):
    """Leave the image as it is: the plain autoencoder's task."""

    name: ClassVar = "nothing"

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch itself."""
        return clean


@dataclass(frozen=True)
class Chain(Corruption):
    """Several corruptions, one after the other; made by `|`."""

    parts: tuple[Corruption, ...]
    """The corruptions, in the order in which they are applied."""

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Apply the parts in order: what comes after an image has been shrunk happens to the small one."""
        for part in self.parts:
            clean = part.damage(clean, generator)
        return clean

    def seen_channels(self, channels: int) -> int:
        """Return C' after the last part."""
        for part in self.parts:
            channels = part.seen_channels(channels)
        return channels

    def examples(self, batch: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the first part's, the damaged ones damaged further by the others."""
        damaged, wanted = self.parts[0].examples(batch, generator)
        for part in self.parts[1:]:
            damaged = part.damage(damaged, generator)
        return damaged, wanted

    def image_channels(self, stored: int) -> int:
        """Return the first part's."""
        return self.parts[0].image_channels(stored)

    def as_seen(self, damaged: Tensor) -> Tensor:
        """Apply the parts' in order."""
        for part in self.parts:
            damaged = part.as_seen(damaged)
        return damaged

    @property
    def enlarges(self) -> int:
        """The product of the parts'."""
        return math.prod(part.enlarges for part in self.parts)

    @property
    def stays_in_range(self) -> bool:
        """Whether every part does."""
        return all(part.stays_in_range for part in self.parts)

    def __str__(self) -> str:
        """Return the parts' texts, joined as they compose."""
        return " | ".join(map(str, self.parts))


def parts_of(corruption: Corruption) -> tuple[Corruption, ...]:
    """Return the corruptions of which one consists, in order: itself, mostly."""
    return corruption.parts if isinstance(corruption, Chain) else (corruption,)
