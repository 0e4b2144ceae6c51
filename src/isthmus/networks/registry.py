"""The architectures, by name; one file each.

Every network maps what it sees, `(B, C', H, W)`, to logits or values `(B, C, H, W)` through `encode`, a code and `decode`.
A network may also carry detail around the code: then the code alone is no image.
The table holds what the other rooms ask about an architecture, and loads it (and torch) only when one is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from isthmus.errors import UsageError, look_up
from isthmus.networks.bottlenecks import CODES

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from isthmus.networks.bottlenecks import Code


Detail: TypeAlias = "tuple[Tensor, ...]"
"""What a network carries around its code, each of them `(B, ...)`; nothing, for most."""


class Network(Protocol):
    """What every architecture offers, besides being a `torch.nn.Module`."""

    bottleneck: Code
    """What makes the code `(B, numbers)` or `(B, channels, h, w)` of what `encode` gives."""
    stride: int
    """Pixels on a side for one place of a code map: a part of a picture that begins at a multiple is coded as in the whole."""
    reach: int
    """How many pixels away a pixel's value may still depend on another."""

    def encode(self, seen: Tensor) -> tuple[Tensor, Detail]:
        """Return what the bottleneck makes the code of, for a batch `(B, C', H, W)`, and the detail beside it."""

    def decode(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a code, the image's size `(H, W)` in pixels, and the detail."""

    def start_from(self, mean: Tensor) -> None:
        """Prepare fresh weights for images whose mean is `mean` `(C,)`, in logits or values as the output will be."""


def propagate(network: Network, seen: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Let a network draw its codes, as it does to learn.

    Args:
        network: Any network.
        seen: `(views x B, C', H, W)`: as many copies of a batch as its code learns from, one after the other.
        generator: Of the codes' chance.

    Returns:
        (logits or values `(B, C, H, W)`, what the codes cost in nats, for each image `(B,)` or for all).
    """
    encoded, detail = network.encode(seen)
    code, divergence = network.bottleneck.draw(encoded, generator)
    return network.decode(code, (seen.shape[-2], seen.shape[-1]), tuple(part[: len(code)] for part in detail)), divergence


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
    carries_detail: bool = False
    """Whether detail goes around the code, so that the code alone is no image."""
    bfloat16: bool
    """Whether bfloat16 and channels_last make it faster (measured by benchmarks/chapter.py)."""
    code_kind: str = "relu"
    """Default kind of code."""
    loss: str = "bce"
    """Default of what is made small."""
    batch_size: int = 0
    """Default images per step; 0 for as many as have `batch_pixels`."""
    batch_pixels: int = 1 << 16
    """Pixels per step, where no number of images is given."""
    learning_rate: float
    """Default peak of the one-cycle schedule."""
    patch: int = 0
    """Default side of the squares that it learns from; 0 for whole images."""


MODELS: dict[str, Architecture] = {
    "dense": Architecture(
        summary="fully connected layers; one fixed image size",
        location="isthmus.networks.dense:Dense",
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
        location="isthmus.networks.convolutional:Convolutional",
        code=8,
        hidden=(16, 8),
        widths=(8, 64),
        any_size=True,
        bfloat16=True,
        batch_size=50,
        learning_rate=1e-2,
    ),
    "photographic": Architecture(
        summary="residual convolutions that correct what they see, with detail around the code; any image size",
        location="isthmus.networks.unet:Photographic",
        code=96,
        hidden=(64,),
        widths=(16, 96),
        any_size=True,
        carries_detail=True,
        bfloat16=True,
        code_kind="linear",
        loss="mse",
        learning_rate=1e-3,
        patch=128,
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
