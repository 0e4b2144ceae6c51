"""The architectures, by name; one file each.

Every network maps what it sees, `(B, C', H, W)`, to logits or values `(B, C, H, W)` through `encode`, a code and `decode`.
The table holds what the other rooms ask about an architecture, and loads it (and torch) only when one is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from isthmus.codes import CODES
from isthmus.errors import UsageError, look_up

if TYPE_CHECKING:
    from torch import Tensor

    from isthmus.codes import Code


class Network(Protocol):
    """What every architecture offers, besides being a `torch.nn.Module` that maps (seen, generator) to (output, divergence)."""

    bottleneck: Code
    """What makes the code `(B, numbers)` or `(B, channels, h, w)` of what `encode` gives."""

    def encode(self, seen: Tensor) -> Tensor:
        """Return what the bottleneck makes the code of, for a batch `(B, C', H, W)`."""

    def decode(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a code and the image's size `(H, W)` in pixels."""

    def start_from(self, mean: Tensor) -> None:
        """Prepare fresh weights for images whose mean is `mean` `(C,)`, in logits or values as the output will be."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What is known of an architecture before it is built."""

    summary: str
    """One line for help and docs."""
    location: str
    """Module and class, `package.module:Class`."""
    code: int
    """Default size of the code."""
    hidden: tuple[int, ...]
    """Default widths of the encoder's hidden layers; the decoder mirrors them."""
    widths: tuple[int, int]
    """Narrowest and widest hidden layers that are worth a try."""
    any_size: bool
    """Whether it takes images of any height and width, not only the one that it was trained on."""
    bfloat16: bool
    """Whether bfloat16 and channels_last make it faster (measured by benchmarks/chapter.py)."""
    batch_size: int
    """Default images per step."""
    learning_rate: float
    """Default peak of the one-cycle schedule."""


MODELS: dict[str, Architecture] = {
    "dense": Architecture(
        summary="fully connected layers; one fixed image size",
        location="isthmus.models.dense:Dense",
        code=32,
        hidden=(),
        widths=(64, 1024),
        any_size=False,
        bfloat16=False,
        batch_size=100,
        learning_rate=1e-2,
    ),
    "conv": Architecture(
        summary="convolutions, pooling and upsampling; any image size",
        location="isthmus.models.convolutional:Convolutional",
        code=8,
        hidden=(16, 8),
        widths=(8, 64),
        any_size=True,
        bfloat16=True,
        batch_size=50,
        learning_rate=1e-2,
    ),
}


def build(
    name: str,
    *,
    image_shape: tuple[int, int, int],
    seen_channels: int,
    code: int,
    hidden: tuple[int, ...],
    decoder_hidden: tuple[int, ...],
    code_kind: str,
) -> Network:
    """Build a network with fresh weights.

    Args:
        name: A name in `MODELS`.
        image_shape: (C, H, W) of the images that it gives.
        seen_channels: C' of the images that it sees.
        code: Numbers of the code ("dense") or channels of the code map ("conv").
        hidden: Widths of the encoder's hidden layers, from the image inward.
        decoder_hidden: Widths of the decoder's, from the code outward; as many.
        code_kind: A name in `CODES`.

    Raises:
        UsageError: If a name is unknown or a size is not positive.
    """
    location = look_up("model", name, MODELS).location
    bottleneck = look_up("kind of code", code_kind, CODES)
    if min((code, *hidden, *decoder_hidden, *image_shape)) < 1:
        raise UsageError(f"Sizes must be positive, not code {code}, hidden {hidden} and {decoder_hidden}, image {image_shape}.")
    module, _, attribute = location.partition(":")
    network: Network = getattr(importlib.import_module(module), attribute)(
        image_shape=image_shape,
        seen_channels=seen_channels,
        code=code,
        hidden=hidden,
        decoder_hidden=decoder_hidden,
        bottleneck=bottleneck,
    )
    return network
