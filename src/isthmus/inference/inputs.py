"""What a person gives a model: checked, and brought into a batch of the channels that the model takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.corruptions import Corruption
from isthmus.errors import DataError
from isthmus.imaging.arrays import Array, Layout, check_values, to_unit


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What fits a model."""

    model: str
    """The architecture's name, for messages."""
    channels: int
    """Of the images that it gives."""
    size: tuple[int, int] | None
    """(H, W) of the images that it takes; None for any."""
    corruption: Corruption
    """What it has learnt to undo."""

    def batch(self, array: Array, mask: Array | None = None) -> tuple[Layout, Array]:
        """Return an array's layout, and the array as `(n, C, H, W)`, a mask as its last channel, gray as RGB where that is needed.

        Raises:
            DataError: If it does not fit the model.
        """
        seen = self.corruption.seen_channels(self.channels)
        more = max(0, seen - self.channels)  # a mask's
        layout = Layout.of(array.shape, self.channels if mask is not None else max(self.channels, seen))
        batch = layout.to_batch(array)
        if mask is not None:
            batch = np.concatenate([to_unit(batch), self._hidden(mask, batch)], 1)
        elif more and batch.shape[1] <= self.channels:
            raise DataError("The model completes images: it needs a mask that is white where something is missing.")
        if self.channels == 3 and batch.shape[1] == 1 + more and seen >= self.channels:
            batch = np.concatenate([np.repeat(batch[:, :1], self.channels, 1), batch[:, 1:]], 1)
        if batch.shape[1] not in (self.channels + more, seen):
            kind = "gray" if self.channels == 1 else "RGB"
            raise DataError(f"The images have {batch.shape[1] - more} channels, and this model takes {self.channels} ({kind}).")
        if 0 in batch.shape:
            raise DataError(f"There is nothing in an array of shape {array.shape}.")
        if self.size and batch.shape[2:] != self.size:
            raise DataError(
                f"The images have {times(batch.shape[2:])} pixels, and this {self.model} model takes {times(self.size)} only; "
                "a conv model takes any size."
            )
        check_values(array)
        return layout, batch

    def gives_gray(self, given: int) -> bool:
        """Tell whether images of so many channels are gray ones for a model of colours: gray is what they become."""
        return self.channels > 1 and given == 1 and self.corruption.seen_channels(self.channels) >= self.channels

    def _hidden(self, mask: Array, batch: Array) -> Array:
        """Return where images are to be completed, `(n, 1, H, W)` float32 of 0 and 1."""
        if self.corruption.seen_channels(self.channels) <= self.channels:
            raise DataError(f"The model does not complete images, so it takes no mask: it has learnt to undo {self.corruption}.")
        mask = np.asarray(mask)
        if mask.ndim not in (2, 3) or mask.shape[-2:] != batch.shape[2:] or mask.size not in (batch[0, 0].size, batch[:, 0].size):
            raise DataError(f"A mask of shape {mask.shape} does not fit {len(batch)} images of {times(batch.shape[2:])} pixels.")
        hidden = (to_unit(mask) >= 0.5).astype(np.float32).reshape(-1, 1, *batch.shape[2:])
        return np.broadcast_to(hidden, (len(batch), 1, *batch.shape[2:]))


def times(size: tuple[int, ...]) -> str:
    """Return a size for people.

    >>> times((28, 20))
    '28 x 20'
    """
    return " x ".join(map(str, size))
