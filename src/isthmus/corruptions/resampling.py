"""Other sizes: pictures are resized by programs, with one kernel or another, before and after they are compressed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isthmus.corruptions.base import Corruption, Range, ends_of, lies_within
from isthmus.errors import UsageError
from isthmus.imaging.arrays import Array

if TYPE_CHECKING:
    from torch import Generator, Tensor


def _cubic(x: Array) -> Array:
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


KERNELS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "box": (0.5, lambda x: (x <= 0.5).astype(float)),
    "triangle": (1.0, lambda x: np.clip(1 - x, 0, None)),
    "cubic": (2.0, _cubic),
    "lanczos": (3.0, lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}
"""Resampling kernels by name: how many pixels they reach to each side, and their weight at a distance."""


@dataclass(frozen=True)
class Resize(Corruption):
    """Resize each image, and what is wanted of it alike, by a factor, kernel and place of its own.

    The batch keeps its shape: of a larger image a part is taken, and a smaller one goes on as in a mirror. What is in the image
    by now (noise, JPEG's blocks) is resized with it, which makes noise smooth and moves blocks off the grid.
    """

    name: ClassVar = "resize"

    scale: Range = (0.5, 1.5)
    """How many times as large it becomes; of a pair, each image gets one of its own, drawn evenly in the logarithm."""
    kernel: str = "any"
    """Resampling kernel: box, triangle, cubic, lanczos, or any of them but the box when it enlarges."""

    def __post_init__(self) -> None:
        """Check the scale and the kernel."""
        if not lies_within(self.scale, 0.05, 20):
            raise UsageError(f"The scale of resize lies between 0.05 and 20, the smaller of a pair first, not {self.scale}.")
        if self.kernel not in (*KERNELS, "any"):
            raise UsageError(f"The kernel of resize is one of {', '.join(KERNELS)}, any; not {self.kernel!r}.")

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return both, resized in the same way."""
        import torch

        low, high = map(math.log, ends_of(self.scale))
        draws = torch.rand((len(damaged), 4), generator=generator, device=damaged.device, dtype=torch.float64).tolist()
        pairs = []
        for image, aim, (share, kind, top, left) in zip(damaged, wanted, draws, strict=True):
            scale = math.exp(low + (high - low) * share)
            kernels = [name for name in KERNELS if scale < 1 or name != "box"] if self.kernel == "any" else [self.kernel]
            kernel = kernels[int(kind * len(kernels))]
            pairs.append([resample(part, scale, kernel, (top, left)) for part in (image, aim)])
        return torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])


def resample(image: Tensor, scale: float, kernel: str, place: tuple[float, float]) -> Tensor:
    """Return an image `(C, H, W)` resized, clipped to [0, 1]: a part of the result that has the image's own height and width.

    Args:
        image: The image; beyond its edges it goes on as in a mirror.
        scale: How many times as large.
        kernel: A name in `KERNELS`.
        place: Where the part lies vertically and horizontally: from 0 (the beginning) to 1 (the end).
    """
    import torch

    matrices = [
        torch.from_numpy(weights(length, length, scale, kernel, share * max(0.0, length - length / scale))).to(image)
        for length, share in zip(image.shape[-2:], place, strict=True)
    ]
    return (matrices[0] @ image @ matrices[1].T).clamp(0, 1)


def weights(length: int, wanted: int, scale: float, kernel: str = "cubic", start: float = 0.0) -> Array:
    """Return how much of each old pixel goes into each new one, `(wanted, length)` float32.

    Shrinking widens the kernel, so that nothing is aliased. Beyond the ends the pixels are mirrored.

    Args:
        length: Old pixels.
        wanted: New pixels.
        scale: How many new pixels one old pixel becomes.
        kernel: A name in `KERNELS`.
        start: Where the first new pixel begins, in old pixels.
    """
    receptive_radius, weight_at = KERNELS[kernel]
    finer = min(scale, 1)
    width = 2 * receptive_radius / finer
    middle = (np.arange(wanted) + 0.5) / scale - 0.5 + start
    places = np.floor(middle - width / 2)[:, None] + np.arange(int(np.ceil(width)) + 2)
    shares = weight_at(np.abs(middle[:, None] - places) * finer)
    shares /= shares.sum(1, keepdims=True)
    mirrored = np.r_[np.arange(length), np.arange(length)[::-1]][places.astype(int) % (2 * length)]
    matrix = np.zeros((wanted, length))
    np.add.at(matrix, (np.arange(wanted)[:, None], mirrored), shares)
    return matrix.astype(np.float32)
