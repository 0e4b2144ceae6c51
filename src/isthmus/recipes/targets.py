"""How (input, target) come from a dataset's images: from clean ones, from pairs, or from noisy ones alone.

A corruption says what happens to an image; a target says what the network has to predict. For most tasks the dataset is clean, so
the clean image is the target and the degraded one the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from isthmus.errors import DataError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from isthmus.corruptions import Corruption


@dataclass(frozen=True)
class CleanTarget:
    """Degrade clean images; the clean image is the target."""

    from_clean: ClassVar[bool] = True
    """Whether the dataset holds clean images, so that clean images alone can measure a model."""
    inputs_in_range: ClassVar[bool] = True
    """Whether inputs lie in [0, 1] as far as the target is concerned."""

    def sample(self, batch: Tensor, corruption: Corruption, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return (degraded images, targets) for a dataset's images `(B, C, H, W)`."""
        return corruption.degrade(batch, batch, generator)

    def image_channels(self, stored: int) -> int:
        """Return how many channels the targets have, when the dataset's images have `stored`."""
        return stored


@dataclass(frozen=True)
class PairTarget(CleanTarget):
    """Train on pairs: each stored image holds the degraded image's channels first, then those of the clean one."""

    from_clean: ClassVar[bool] = False

    def sample(self, batch: Tensor, corruption: Corruption, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the two halves of the channels, `(B, C, H, W)` each."""
        if batch.shape[1] % 2:
            raise DataError("The task pairs needs clean images beside the degraded ones: pass `clean`.")
        degraded, clean = batch.chunk(2, 1)
        return corruption.degrade(degraded, clean, generator)

    def image_channels(self, stored: int) -> int:
        """Return half of the channels."""
        return max(1, stored // 2)


@dataclass(frozen=True)
class NeighborTarget(CleanTarget):
    """Train on noisy images alone: predict a pixel from every second pixel of every second row.

    The noise of the neighbors is independent and its mean is zero, so only the image can be predicted. This fails where the noise
    of neighboring pixels is correlated. The target at a pixel is twice the mean of its four nearest neighbors less that of the
    four diagonal ones; the curvature of the image cancels to the fourth order.

    Source: Huang et al. (2021), Neighbor2Neighbor, for the idea of two half-size images; there one random neighbor is predicted,
    which blurs, and a second pass through the network corrects that.
    """

    from_clean: ClassVar[bool] = False
    inputs_in_range: ClassVar[bool] = False

    def sample(self, batch: Tensor, corruption: Corruption, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return half-size inputs and the targets at their pixels, `(B, C, H / 2, W / 2)` each, without the border."""
        import torch

        height, width = batch.shape[-2:]
        if min(height, width) < 4:
            raise DataError(f"The task noisy needs images of 4 x 4 pixels or more, not {height} x {width}.")
        top, left = torch.randint(1, 3, (2,), generator=generator, device=batch.device).tolist()
        rows, columns = (height - top) // 2, (width - left) // 2

        def every_second(down: int, right: int) -> Tensor:
            first, second = top + down, left + right
            return batch[..., first : first + 2 * rows : 2, second : second + 2 * columns : 2]

        nearest = every_second(-1, 0) + every_second(1, 0) + every_second(0, -1) + every_second(0, 1)
        diagonal = every_second(-1, -1) + every_second(-1, 1) + every_second(1, -1) + every_second(1, 1)
        return corruption.degrade(every_second(0, 0), nearest / 2 - diagonal / 4, generator)
