"""Changes of size: downscaling for super-resolution, and the resizing that correlates noise and moves JPEG's blocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from isthmus.corruptions.base import Corruption, Range, ends_of, lies_within
from isthmus.errors import UsageError
from isthmus.imaging.bicubic import KERNELS, enlarge, rescale, weights

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Downscale(Corruption):
    """Shrink the image by cubic interpolation as in Matlab's imresize; the model sees it stretched back in the same way.

    With others around it, it makes real small pictures: `blur((0, 2)) | downscale(2) | gaussian-noise(0.02) | jpeg(50)`.

    Source: Keys (1981) for the cubic (a = -1/2); shrinking widens it, so that nothing is aliased.
    """

    name: ClassVar = "downscale"
    moves: ClassVar = True

    factor: int = 2
    """How many times the sides are shortened."""

    def __post_init__(self) -> None:
        """Check the factor."""
        if self.factor not in range(1, 17):
            raise UsageError(f"The factor of downscale must be an integer from 1 to 16, not {self.factor}.")

    @property
    def scale_factor(self) -> int:
        """The factor."""
        return self.factor

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the small batch; sides that are no multiple of the factor are rounded up."""
        height, width = clean.shape[-2:]
        return rescale(clean, (-(-height // self.factor), -(-width // self.factor)), 1 / self.factor)

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Return the images `factor` times as large."""
        return enlarge(damaged, self.factor)


@dataclass(frozen=True)
class Resize(Corruption):
    """Resize each image, and what is wanted of it alike, by a factor, kernel and place of its own.

    The batch keeps its shape: of a larger image a part is taken, and a smaller one goes on as in a mirror. What is in the image
    by now (noise, JPEG's blocks) is resized with it, which makes noise smooth and moves blocks off the grid.
    """

    name: ClassVar = "resize"
    moves: ClassVar = True

    scale: Range = (0.5, 1.5)
    """How many times as large it becomes; of a pair, each image gets one of its own, drawn evenly in the logarithm."""
    kernel: str = "any"
    """Resampling kernel: box, triangle, cubic, lanczos, or any of them but the box when it enlarges."""

    def __post_init__(self) -> None:
        """Check the scale and the kernel."""
        if not lies_within(self.scale, 0.05, 20):
            raise UsageError(f"The scale of resize must be between 0.05 and 20, or a pair (low, high), not {self.scale}.")
        if self.kernel not in (*KERNELS, "any"):
            raise UsageError(f"The kernel of resize must be one of {', '.join(KERNELS)}, any; not {self.kernel!r}.")

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
