"""What is done to a clean image, so that a model can learn to undo it.

A corruption is a small value object: called with a batch `(B, C, H, W)` in [0, 1] and a `torch.Generator`, it returns the
corrupted batch `(B, C', H, W)`. Height and width never change. Corruptions compose with `|`, left to right, and are written
the same way as text, on the command line and in the model file: `gaussian-noise(0.5) | salt-and-pepper(0.1)`.
They use only methods of the batch itself, so that this room loads without torch.
"""

from __future__ import annotations

import ast
import dataclasses
import math
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
        given = [f"{key}={value!r}" for key, value in values.items() if value is not None]
        return f"{name}({', '.join(given)})" if given else name


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
    least: float | None = None
    """Smallest standard deviation, where each image is to get one of its own, drawn evenly between this and `std`."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not 0 <= self.std <= 10:
            raise UsageError(f"The noise's standard deviation must lie between 0 and 10 (the textbook's is 0.5), not {self.std}.")
        if self.least is not None and not 0 <= self.least <= self.std:
            raise UsageError(
                f"The noise's smallest standard deviation must lie between 0 and the largest, {self.std}, not {self.least}."
            )

    @property
    def stays_in_range(self) -> bool:
        """Whether the noise is clipped."""
        return self.clip

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return clean + std x standard normal noise."""
        noise = clean.new_empty(clean.shape).normal_(0, self.std if self.least is None else 1, generator=generator)
        if self.least is not None:
            noise *= clean.new_empty((len(clean), 1, 1, 1)).uniform_(self.least, self.std, generator=generator)
        noisy = noise.add_(clean)
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
class Binarize(Corruption):
    """Draw every value as black or white, white with the probability that its brightness names.

    Source: dynamic binarization, as Burda et al. (2016) train and measure on MNIST.
    """

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the batch in 0 and 1; what is 0 or 1 stays so."""
        return (clean.new_empty(clean.shape).uniform_(generator=generator) < clean).to(clean.dtype)


@dataclass(frozen=True)
class Erase(Corruption):
    """Paint a square of each image black, anywhere, also partly outside.

    Source: DeVries and Taylor (2017), cutout; Pathak et al. (2016) for undoing it.
    """

    side: float = 0.4
    """Side of the square, as a share of the image's shorter side, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the size."""
        if not 0 <= self.side <= 1:
            raise UsageError(f"The side of the erased square must lie between 0 and 1 of the image's, not {self.side}.")

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the batch with a square of each image at 0."""
        batch, _, height, width = clean.shape
        middle = clean.new_empty((batch, 2, 1, 1)).uniform_(generator=generator)
        rows = clean.new_ones((height, width)).cumsum(0) - 0.5  # (H, W): each pixel's middle, in pixels
        columns = clean.new_ones((height, width)).cumsum(1) - 0.5
        reach = self.side * min(height, width) / 2
        near = ((rows - middle[:, :1] * height).abs() < reach) & ((columns - middle[:, 1:] * width).abs() < reach)
        return clean.masked_fill(near, 0.0)


@dataclass(frozen=True)
class Warp(Corruption):
    """Turn, stretch, slant and shift each image a little, and bend it; what comes in from outside is black.

    Source: Simard et al. (2003), affine and elastic distortions of digits; here the bending field is cubic over a 5 x 5 grid.
    """

    turn: float = 15.0
    """Largest turn, in degrees to both sides."""
    stretch: float = 0.15
    """Largest stretch of each side and largest slant, as a share."""
    shift: float = 0.08
    """Largest shift, as a share of the side."""
    bend: float = 0.03
    """Deviation of the bending, as a share of the side."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        if not (0 <= self.turn <= 180 and 0 <= self.stretch < 1 and 0 <= self.shift <= 1 and 0 <= self.bend <= 1):
            raise UsageError(f"A warp turns by 0 to 180 degrees; it stretches, shifts and bends by shares from 0 to 1; not {self}.")

    def __call__(self, clean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the batch, every image warped in its own way."""
        from torch.nn import functional

        batch, _, height, width = clean.shape
        lot = clean.new_empty((batch, 7)).uniform_(-1, 1, generator=generator)
        angle = lot[:, 0] * math.radians(self.turn)
        wide, high = 1 + self.stretch * lot[:, 1], 1 + self.stretch * lot[:, 2]
        affine = clean.new_empty((batch, 2, 3))  # rows: where each output pixel comes from, in [-1, 1]
        affine[:, 0, 0], affine[:, 0, 1] = angle.cos() * wide, -angle.sin() * high + self.stretch * lot[:, 3]
        affine[:, 1, 0], affine[:, 1, 1] = angle.sin() * wide, angle.cos() * high + self.stretch * lot[:, 4]
        affine[:, :, 2] = 2 * self.shift * lot[:, 5:]
        grid = functional.affine_grid(affine, [batch, 1, height, width], align_corners=False)
        field = clean.new_empty((batch, 2, 5, 5)).normal_(0, 2 * self.bend, generator=generator)
        bending = functional.interpolate(field, size=(height, width), mode="bicubic", align_corners=True)
        return functional.grid_sample(clean, grid + bending.movedim(1, -1), align_corners=False).clamp_(0, 1)


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
    "erase": Erase,
    "warp": Warp,
    "binarize": Binarize,
}


def parse(text: str) -> Corruption:
    """Return the corruption that a text names.

    Args:
        text: One or more of `name`, `name(value, ...)` or `name(field=value, ...)`, joined by `|`.

    Raises:
        UsageError: If a name is unknown, or its values do not fit.

    >>> parse("salt-and-pepper(0.2)")
    SaltAndPepper(share=0.2)
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
