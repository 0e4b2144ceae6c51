"""What stands between encoder and decoder.

An encoder ends in plain numbers; the code says how many of them make one number of the code (`outputs_per_number`), and turns
them into the code that the decoder reads. A point is the plain autoencoder's code; a distribution would be a VAE's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class PointCode:
    """A code that is one point: what the encoder says, through a rectifier or as it is."""

    rectified: bool = True
    """Whether negative numbers become 0, as in the textbook, where the code is a ReLU layer like the others."""

    outputs_per_number = 1

    def __call__(self, encoded: torch.Tensor) -> torch.Tensor:
        """Return the code, of the shape of `encoded`."""
        return encoded.relu() if self.rectified else encoded


CODES = {"relu": PointCode(rectified=True), "linear": PointCode(rectified=False)}
