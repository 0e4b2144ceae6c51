"""The architectures, by name; one file each.

Every network maps what it sees, `(B, C', H, W)`, to logits or values `(B, C, H, W)` through `encode`, a code and `decode`.
A network may also carry detail around the code: then the code alone is no image.
The table holds what the other rooms ask about an architecture, and loads it (and torch) only when one is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.errors import UsageError, lookup
from isthmus.networks.bottlenecks import BOTTLENECKS
from isthmus.plugins import Registry

if TYPE_CHECKING:
    from isthmus.networks.base import Autoencoder


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
    working_size: int = 0
    """Pixels of the shorter side at which it sees a whole picture, however large; its output is then coarser than the image, and
    only a loss of colors fits. 0, where it sees the pixels themselves."""
    upright: bool = False
    """Whether it matters to it what is above: it learns from pictures that are mirrored at most."""
    carries_detail: bool = False
    """Whether detail goes around the code, so that the code alone is no image."""
    bfloat16: bool
    """Whether bfloat16 and channels_last make it faster (measured by benchmarks/chapter.py)."""
    code_kind: str = "relu"
    """Default kind of code."""
    loss: str = "bce"
    """Default of what is made small."""
    batch_size: int | None = None
    """Default images per step; None for as many as have `batch_pixels`."""
    batch_pixels: int = 1 << 16
    """Pixels per step, where no number of images is given."""
    learning_rate: float
    """Default peak of the one-cycle schedule."""
    patch: int = 0
    """Default side of the squares that it learns from; 0 for whole images."""


NETWORKS: Registry[Architecture] = Registry(
    "model",
    "isthmus.networks",
    {
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
        "global": Architecture(
            summary="a U-Net that sees the whole picture at a working size of 128 pixels, for its colors; any image size",
            location="isthmus.networks.global_unet:GlobalUNet",
            code=232,
            hidden=(48, 96, 176),
            widths=(16, 256),
            any_size=True,
            working_size=128,
            upright=True,
            carries_detail=True,
            bfloat16=True,
            code_kind="linear",
            loss="ab-mixed",
            batch_size=16,
            learning_rate=8e-4,
            patch=160,
        ),
    },
)


def register_network(name: str, architecture: Architecture) -> None:
    """Add a network.

    Raises:
        UsageError: If the name is taken.
    """
    NETWORKS.add(name, architecture)


def build(
    name: str,
    *,
    image_shape: tuple[int, int, int],
    input_channels: int,
    code: int,
    hidden: tuple[int, ...],
    decoder_hidden: tuple[int, ...],
    code_kind: str,
) -> Autoencoder:
    """Build a network with fresh weights.

    Args:
        name: A name in `MODELS`.
        image_shape: (C, H, W) of the images that it gives.
        input_channels: C' of the images that it sees.
        code: Numbers of the code ("dense") or channels of the code map ("conv").
        hidden: Widths of the encoder's hidden layers, from the image inward.
        decoder_hidden: Widths of the decoder's, from the code outward; as many.
        code_kind: A name in `BOTTLENECKS`.

    Raises:
        UsageError: If a name is unknown or a size is not positive.
    """
    location = lookup("model", name, NETWORKS).location
    bottleneck = lookup("kind of code", code_kind, BOTTLENECKS)
    if min((code, *hidden, *decoder_hidden, *image_shape)) < 1:
        raise UsageError(f"Sizes must be positive, not code {code}, hidden {hidden} and {decoder_hidden}, image {image_shape}.")
    module, _, attribute = location.partition(":")
    network: Autoencoder = getattr(importlib.import_module(module), attribute)(
        image_shape=image_shape,
        input_channels=input_channels,
        code=code,
        hidden=hidden,
        decoder_hidden=decoder_hidden,
        bottleneck=bottleneck,
    )
    return network
