"""What every corruption is: a small value object, which composes with `|` and can be written as text."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from isthmus.errors import UsageError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from isthmus.imaging.arrays import Array

Range: TypeAlias = float | tuple[float, float]
"""One value for all images, or the ends `(low, high)` between which each image gets a value of its own."""


def ends_of(value: Range) -> tuple[float, float]:
    """Return (low, high) of a range; of one value, that value twice."""
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)


def lies_within(value: Range, low: float, high: float) -> bool:
    """Tell whether a range is in order, and lies between two values."""
    return (not isinstance(value, tuple) or len(value) == 2) and low <= ends_of(value)[0] <= ends_of(value)[1] <= high


def draw(value: Range, batch: Tensor, generator: Generator, *, log: bool = False) -> Tensor:
    """Return one value of a range for each image of a batch, `(B, 1, 1, 1)`, drawn evenly, or evenly in the logarithm.

    One value costs no random number.
    """
    low, high = ends_of(value)
    if low == high:
        return batch.new_full((len(batch), 1, 1, 1), low)
    share = batch.new_empty((len(batch), 1, 1, 1)).uniform_(generator=generator)
    return low * (high / low) ** share if log else low + (high - low) * share


class Corruption:
    """What every corruption can do; subclasses are frozen dataclasses that say how they `damage`."""

    name: ClassVar[str] = ""
    """What it is called in text."""
    companion: ClassVar[str] = ""
    """What a person gives beside an image: "mask" or "hints"; mostly nothing."""
    moves: ClassVar[bool] = False
    """Whether it moves pixels, so that what stands beside the image moves along."""

    def __call__(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return what the model sees, `(B, C', H, W)`, of a clean batch `(B, C, H, W)`."""
        return self.to_model_input(self.damage(clean, generator))[..., : clean.shape[-2], : clean.shape[-1]]

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return what a person has of a clean batch `(B, C, H, W)`: mostly of the same size."""
        return self.degrade(clean, clean, generator)[0]

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return what becomes of a damaged batch `(B, C, H, W)`, and of what is wanted of it.

        Mostly what is wanted stays as it was. Where a corruption also does what nobody wants undone (a camera's own processing,
        another size), it does that to both. A subclass says what it does here or in `damage`.
        """
        if type(self).damage is Corruption.damage:
            raise TypeError(f"{type(self).__name__} does not say what it does to an image.")
        return self.damage(damaged, generator), wanted

    def input_channels(self, channels: int) -> int:
        """Return C', how many channels the model sees when the images have `channels`."""
        return channels

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Return what the model sees of damaged images, `(B, C', H, W)`: stretched or without color, as it has learned."""
        return damaged

    @property
    def beside(self) -> int:
        """Channels that it adds after the image's own, such as a mask: what comes after it in a chain leaves them as they are."""
        return 0

    def given(self, told: Array | None, shape: tuple[int, ...]) -> Array:
        """Return what stands beside a person's images, `(1 or n, beside, H, W)`.

        Args:
            told: What the person tells, as the subclass says; None for nothing.
            shape: (n, C, H, W) of the images.

        Raises:
            DataError: If it does not fit the images, or something must be told.
        """
        raise TypeError(f"Nothing stands beside an image for {type(self).__name__}.")

    @property
    def scale_factor(self) -> int:
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

    @classmethod
    def from_text(cls, text: str, parse: Callable[[str], Corruption]) -> Corruption:
        """Return the corruption of this kind whose arguments a text holds: `value, ...` or `field=value, ...`.

        Args:
            text: What stands between the parentheses.
            parse: Reads a corruption, for a kind that holds others.

        Raises:
            UsageError: If there is no such field, or a value is not a number, a pair of numbers, True, False or a quoted word.
        """
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]  # every subclass is a dataclass
        values: dict[str, object] = {}
        for position, argument in enumerate(arguments_of(text)):
            name, _, written = argument.rpartition("=")
            name = name.strip() or (names[position] if position < len(names) else "?")
            try:
                value = ast.literal_eval(written.strip())
            except (ValueError, SyntaxError):
                value = None
            parts = value if isinstance(value, tuple) else (value,)
            numbers = all(isinstance(part, int | float) for part in parts)
            if name not in names or not (numbers or isinstance(value, str)):
                raise UsageError(
                    f"Cannot read '{argument}' in '{cls.name}({text})': {cls.name} takes {', '.join(names) or 'no values'}."
                )
            values[name] = value
        try:
            return cls(**values)
        except TypeError:  # a word where a number is compared
            raise UsageError(f"Cannot read '{cls.name}({text})': a value is of the wrong kind.") from None

    def __str__(self) -> str:
        """Return the text that `parse` reads back."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]  # as above
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

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Apply the parts in order, to both; what stands beside the image stays as it is, unless it moves with the image."""
        from torch import cat

        beside = 0
        for part in self.parts:
            if part.moves or not beside:
                damaged, wanted = part.degrade(damaged, wanted, generator)
            else:
                image, wanted = part.degrade(damaged[:, :-beside], wanted, generator)
                own = image.shape[1] - part.beside
                damaged = cat([image[:, :own], damaged[:, -beside:], image[:, own:]], 1)
            beside += part.beside
        return damaged, wanted

    def input_channels(self, channels: int) -> int:
        """Return C' after the last part."""
        beside = 0
        for part in self.parts:
            channels = part.input_channels(channels - beside) + beside
            beside += part.beside
        return channels

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Apply the parts' in order: each to the image and what it has set beside it itself, or to all if it moves pixels."""
        from torch import cat, split

        sizes = [damaged.shape[1] - self.beside, *(part.beside for part in self.parts)]
        for number, part in enumerate(self.parts, 1):
            if part.moves or not self.beside:
                damaged = part.to_model_input(damaged)
                continue
            pieces = list(split(damaged, sizes, 1))
            seen = part.to_model_input(cat([pieces[0], pieces[number]], 1))
            sizes[0] = seen.shape[1] - part.beside
            pieces[0], pieces[number] = seen[:, : sizes[0]], seen[:, sizes[0] :]
            damaged = cat(pieces, 1)
        return damaged

    @property
    def beside(self) -> int:
        """The sum of the parts'."""
        return sum(part.beside for part in self.parts)

    @property
    def scale_factor(self) -> int:
        """The product of the parts'."""
        return math.prod(part.scale_factor for part in self.parts)

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


def arguments_of(text: str) -> list[str]:
    """Return the arguments of which a text consists: what stands between its commas, those within parentheses and quotes apart.

    >>> arguments_of("(0, 2), kernel='cubic', jpeg(5, 9)")
    ['(0, 2)', "kernel='cubic'", 'jpeg(5, 9)']
    """
    return [part.strip() for part in split_outside(text, ",") if part.strip()]


def split_outside(text: str, mark: str) -> list[str]:
    """Return the parts of a text between marks that stand outside of all parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
