"""The registry of networks: what is known of each architecture before it is built.

Every network maps its input `(B, C', H, W)` to logits or values `(B, C, H, W)` through `encode`, a code and `decode`. A network may
also pass detail around the code; then the code alone gives no image. An architecture, and torch, load only when one is built.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.errors import UsageError, lookup
from isthmus.plugins import Registry

if TYPE_CHECKING:
    from isthmus.networks.base import Network, NetworkSpec


OPTIMIZERS = {"adam": 1, "muon": 3}
"""Optimizers by name, and their peak learning rates, as multiples of Adam's."""


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
    """Narrowest and widest hidden layers that `tune` tries."""
    any_size: bool
    """Whether it takes images of any height and width, not only those of the training set."""
    working_size: int = 0
    """Pixels of the shorter side at which it sees a whole picture, however large; its output is then coarser than the image, and
    only a loss of colors fits. 0, where it sees the pixels themselves."""
    upright: bool = False
    """Whether orientation matters to it: training mirrors patches, and does not rotate them."""
    carries_detail: bool = False
    """Whether detail goes around the code, so that the code alone is no image."""
    bfloat16: bool
    """Whether bfloat16 and channels_last make it faster (measured by benchmarks/chapter.py)."""
    code_kind: str = "relu"
    """Default kind of code."""
    loss: str = "bce"
    """Default loss."""
    batch_size: int | None = None
    """Default images per step; None for as many as have `batch_pixels`."""
    batch_pixels: int = 1 << 16
    """Pixels per step, where no number of images is given."""
    optimizer: str = "adam"
    """Default optimizer."""
    learning_rate: float
    """Default peak learning rate, with Adam."""
    chunk_pixels: int = 1 << 16
    """Pixels of small images that go through it at once: what they become inside still fits a processor's cache."""
    fixed_bytes: int = 96 << 20
    """Memory that a pass takes besides that of a tile, at most, with what is loaded for the first one."""
    patch: int = 0
    """Default side of the training patches; 0 for whole images."""


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
            chunk_pixels=1 << 17,
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
            optimizer="muon",
            learning_rate=1e-3,
            chunk_pixels=1 << 15,
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
            chunk_pixels=1 << 13,
            fixed_bytes=320 << 20,
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


def build(name: str, spec: NetworkSpec) -> Network:
    """Build a network with fresh weights.

    Args:
        name: A name in `NETWORKS`.
        spec: What it is for.

    Raises:
        UsageError: If the name is unknown or a size is not positive.
    """
    location = lookup("model", name, NETWORKS).location
    if min((spec.code, *spec.hidden, *spec.decoder_hidden, *spec.image_shape)) < 1:
        raise UsageError(
            f"Sizes must be positive, not code {spec.code}, hidden {spec.hidden} and {spec.decoder_hidden}, "
            f"image {spec.image_shape}."
        )
    module, _, attribute = location.partition(":")
    network: Network = getattr(importlib.import_module(module), attribute)(spec)
    return network
