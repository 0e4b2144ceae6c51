"""Where no clean image is damaged: two parts of what there is teach each other, or a person's own before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from isthmus.corruptions.base import Corruption
from isthmus.errors import DataError

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Neighbours(Corruption):
    """See every second pixel of every second row, and predict from it what its neighbours say of the same places.

    Their noise is another, and its mean is nothing: what can be predicted is the image. Only, the noise of one pixel must say
    nothing of the next one's. Twice the mean of the four nearest neighbours less that of the four diagonal ones stands for a pixel
    without its own noise; the image's own bend between them cancels to the fourth order.

    Source: Huang et al. (2021), Neighbor2Neighbor, for the idea of two half-size images; there one random neighbour is predicted,
    which blurs, and a second pass through the network corrects that.
    """

    name: ClassVar = "neighbours"
    of_clean: ClassVar = False

    def examples(self, batch: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return half-size images seen, and what is wanted at their places, `(B, C, H / 2, W / 2)` each, less the rim."""
        import torch

        height, width = batch.shape[-2:]
        if min(height, width) < 4:
            raise DataError(f"Neighbours can teach each other only in images of 4 x 4 pixels or more, not {height} x {width}.")
        top, left = torch.randint(1, 3, (2,), generator=generator, device=batch.device).tolist()
        rows, columns = (height - top) // 2, (width - left) // 2

        def every_second(down: int, right: int) -> Tensor:
            first, second = top + down, left + right
            return batch[..., first : first + 2 * rows : 2, second : second + 2 * columns : 2]

        nearest = every_second(-1, 0) + every_second(1, 0) + every_second(0, -1) + every_second(0, 1)
        diagonal = every_second(-1, -1) + every_second(-1, 1) + every_second(1, -1) + every_second(1, 1)
        return every_second(0, 0), nearest / 2 - diagonal / 4

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch itself: what a person has is what there is."""
        return clean

    @property
    def stays_in_range(self) -> bool:
        """Noise may lead outside."""
        return False


@dataclass(frozen=True)
class Given(Corruption):
    """Learn from a person's own damaged image for each clean one: the two stand in one image, the damaged one's channels first."""

    name: ClassVar = "given"
    of_clean: ClassVar = False

    def examples(self, batch: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return the two halves of the channels, `(B, C, H, W)` each."""
        if batch.shape[1] % 2:
            raise DataError("Pairs are learnt from, and these images hold no clean ones beside the damaged: give --clean.")
        damaged, clean = batch.chunk(2, 1)
        return damaged, clean

    def image_channels(self, stored: int) -> int:
        """Return half of the channels."""
        return max(1, stored // 2)

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch itself: nobody can say what would become of another image."""
        return clean
