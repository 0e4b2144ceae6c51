"""What every network is: encoder, bottleneck, decoder, as one `torch.nn.Module`."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Generator, Tensor, nn

from isthmus.networks.bottlenecks import Bottleneck
from isthmus.networks.strips import Strips

Detail: TypeAlias = tuple[Tensor, ...]
"""What a network carries around its code, each tensor `(B, ...)`; empty for most."""


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What a network is built for."""

    image_shape: tuple[int, int, int]
    """(C, H, W) of the output; a network for any size uses C only."""
    input_channels: int
    """C' of the input."""
    code: int
    """Size of the code: its numbers, or the channels of a code map."""
    hidden: tuple[int, ...]
    """Widths of the encoder's hidden layers, from the image inward."""
    decoder_hidden: tuple[int, ...]
    """Widths of the decoder's hidden layers, from the code outward; as many."""
    bottleneck: Bottleneck
    """Turns the encoder's output into the code."""


class Network(nn.Module, ABC):
    """An encoder, a bottleneck and a decoder.

    Subclasses take a `NetworkSpec`, set the attributes below, and define `encode` and `decode`.

    `forward` maps network inputs `(B, C', H, W)` to logits or values `(B, C, H, W)`, as the loss defines them, so hooks,
    torch.compile, torchinfo and distributed wrappers work as on any module.
    """

    bottleneck: Bottleneck
    """Turns what `encode` returns into the code, `(B, numbers)` or `(B, channels, h, w)`."""
    stride: int = 1
    """Pixels on a side for one place of a code map: a tile that begins at a multiple is encoded as in the whole image."""
    receptive_radius: int = 1
    """How many pixels away a pixel's value may still depend on another."""
    takes_strips: bool = False
    """Whether a picture may come in strips, through `strip`."""

    @abstractmethod
    def encode(self, images: Tensor) -> tuple[Tensor, Detail]:
        """Return the bottleneck's input for a batch `(B, C', H, W)`, and the detail beside it."""

    @abstractmethod
    def decode(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a code, the image's size `(H, W)` in pixels, and the detail."""

    def strip(self, seen: Tensor, left: int, strips: Strips) -> Tensor:
        """Return the next rows of logits or values, `(B, C, h, W)`, of a picture that comes in strips.

        Args:
            seen: The next rows of the picture, `(B, C', h', W)`; in all strips but the last, a multiple of `stride`, and of the
                first, more than `receptive_radius`.
            left: How many rows the picture still has that were not returned.
            strips: What is kept between its strips.
        """
        raise NotImplementedError

    def start_from(self, mean: Tensor) -> None:
        """Prepare fresh weights for images whose mean is `mean` `(C,)`, in logits or values; by default, change nothing."""

    def code_shape(self, input_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the shape of the code of an input (C', H, W).

        By default, a copy without numbers encodes one, for which torch loads its compiler: that takes seconds. A network that knows
        its code's shape says it.
        """
        empty = copy.deepcopy(self).to("meta")
        encoded, _ = empty.encode(torch.empty((1, *input_shape), device="meta"))
        return tuple(empty.bottleneck.point(encoded).shape[1:])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a batch `(B, C', H, W)`, through the point that the bottleneck gives."""
        encoded, detail = self.encode(images)
        return self.decode(self.bottleneck.point(encoded), (images.shape[-2], images.shape[-1]), detail)

    def training_pass(self, images: Tensor, generator: Generator, part: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """Return the output for a code drawn as in training, and what the code costs.

        Args:
            images: `(views x B, C', H, W)`: as many copies of a batch as the bottleneck compares, one after the other.
            generator: Random numbers of the code.
            part: Where these images begin in a batch, and the length of that, if they are a part of one.

        Returns:
            (logits or values `(B, C, H, W)`, the bottleneck's cost in nats, for each image `(B,)` or for all).
        """
        encoded, detail = self.encode(images)
        code, divergence = self.bottleneck.draw(encoded, generator, part)
        size = (images.shape[-2], images.shape[-1])
        return self.decode(code, size, tuple(part[: len(code)] for part in detail)), divergence
