"""The photographic autoencoder: residual 3x3 convolutions at half and quarter resolution, with detail passed around the code.

Made for a processor: dense 3x3 convolutions on few, wide pixels are what it computes fastest. The image's 2 x 2 pixels become
channels, so that no layer works at full resolution; the output is what it sees plus a correction.

Source: Zhang et al. (2021), DRUNet: a U-Net of residual blocks without normalization, strided 2x2 convolutions between its
levels, detail added on the way out; Shi et al. (2016) for pixels as channels, as Zhang et al. (2018), FFDNet, apply it. Here two
levels, and a thirtieth of DRUNet's parameters.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isthmus.networks.base import Detail, Network, NetworkSpec
from isthmus.networks.strips import Strips, Whole

FOLD = 2
"""Pixels that become channels, on each side."""

BLOCKS = 2
"""Residual blocks at each level, on the way in and again on the way out."""


class Photographic(Network):
    """Correct an image of any size, by what a code map says and the detail beside it.

    Args:
        spec: What to build: `code` counts channels of a map whose sides are the image's, halved once and again for each level.

    >>> import torch
    >>> from isthmus.networks.bottlenecks import PointCode
    >>> sizes = {"image_shape": (3, 64, 64), "input_channels": 3, "code": 96, "hidden": (64,), "decoder_hidden": (64,)}
    >>> network = Photographic(NetworkSpec(bottleneck=PointCode(rectified=False), **sizes))
    >>> sum(p.numel() for p in network.parameters()), network.encode(torch.rand(2, 3, 63, 41))[0].shape
    (1036437, torch.Size([2, 96, 16, 11]))
    """

    takes_strips = True

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.bottleneck = spec.bottleneck
        channels = spec.image_shape[0]
        inward, outward = (*spec.hidden, spec.code), (spec.code, *spec.decoder_hidden)
        self.code = spec.code
        self.stride = FOLD * 2 ** len(spec.hidden)
        scales = [FOLD * 2**level for level in range(len(inward))]
        blocks = sum((4 * BLOCKS + 2) * scale for scale in scales)
        self.receptive_radius = 4 * FOLD + blocks  # of head and tail, and of the blocks in the encoder and the decoder
        self.head = _convolution(spec.input_channels * FOLD**2, inward[0])
        self.inward = nn.ModuleList(_blocks(width) for width in inward)
        self.down = nn.ModuleList(nn.Conv2d(*widths, 2, stride=2) for widths in pairwise(inward))
        self.coded = nn.Conv2d(spec.code, spec.code * spec.bottleneck.outputs_per_number, 1)
        self.outward = nn.ModuleList(_blocks(width) for width in outward)
        self.up = nn.ModuleList(nn.ConvTranspose2d(*widths, 2, stride=2) for widths in pairwise(outward))
        self.beside = nn.ModuleList(
            nn.Conv2d(*widths, 1) for widths in zip(reversed(spec.hidden), spec.decoder_hidden, strict=True)
        )
        self.tail = _convolution(outward[-1], channels * FOLD**2, gain=0.1)
        self.through = nn.Parameter(torch.zeros(channels, spec.input_channels))  # share of each input channel in each output
        with torch.no_grad():
            for channel in range(channels):
                self.through[channel, min(channel, spec.input_channels - 1)] = 1

    def code_shape(self, input_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return (code, H / stride, W / stride), rounded up."""
        return (self.code, *(-(-side // self.stride) for side in input_shape[1:]))

    def encode(self, seen: Tensor) -> tuple[Tensor, Detail]:
        """Return what the bottleneck makes the code map of, for a batch `(B, C', H, W)`, and each level's detail, the image first.

        The map is `(B, code, H / stride, W / stride)`, rounded up.
        """
        return self._encode(seen, Whole())

    def decode(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a code map, a size `(H, W)` and the detail that `encode` gave beside it."""
        return self._decode(code, size, detail, Whole())

    def strip(self, seen: Tensor, left: int, strips: Strips) -> Tensor:
        """Return the next rows `(B, C, h, W)`, as the base class says."""
        encoded, detail = self._encode(seen, strips)
        return self._decode(self.bottleneck.point(encoded), (left, seen.shape[-1]), detail, strips)

    def _encode(self, seen: Tensor, rows: Whole) -> tuple[Tensor, Detail]:
        height, width = seen.shape[-2:]
        edges = (0, -width % self.stride, 0, -height % self.stride)
        x = rows.through(self.head, F.pixel_unshuffle(F.pad(seen, edges, mode="replicate"), FOLD), 1)  # (B, hidden[0], H/2, W/2)
        detail = [seen]
        for blocks, down in zip(self.inward[:-1], self.down, strict=True):
            x = _through(blocks, x, rows)
            detail.append(x)
            x = down(rows.pairs(down, x))
        return self.coded(_through(self.inward[-1], x, rows)), tuple(detail)

    def _decode(self, code: Tensor, size: tuple[int, int], detail: Detail, rows: Whole) -> Tensor:
        seen, *levels = detail
        first, *others = self.outward
        x = _through(first, code, rows)
        for up, beside, level, blocks in zip(self.up, self.beside, reversed(levels), others, strict=True):
            x = up(x)
            x = _through(blocks, x.add_(beside(rows.waiting(beside, level, x.shape[2]))), rows)
        correction = F.pixel_shuffle(rows.through(self.tail, x, 1), FOLD)[..., : size[0], : size[1]].float()  # as the image is
        seen = rows.waiting(self, seen, correction.shape[2])
        kept = [(weights[:, None, None] * seen).sum(1) for weights in self.through]
        return correction + torch.stack(kept, 1)

    def start_from(self, mean: Tensor) -> None:
        """Change nothing: the output begins as what is seen."""


class Residual(nn.Module):
    """Two convolutions, their result added to what came in.

    Args:
        width: Channels in and out.
    """

    seen: Tensor
    """The smallest and the largest number that came in, and the largest between the convolutions, of most images; once measured."""

    def __init__(self, width: int):
        super().__init__()
        self.first = _convolution(width, width)
        self.second = _convolution(width, width, gain=0.1)
        self.register_buffer("seen", torch.zeros(3))
        self.instead: Callable[[Tensor], Tensor] | None = None  # what computes the same in another arithmetic

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, width, H, W)` for a batch of the same shape."""
        if self.instead:
            return self.instead(x)
        result: Tensor = self.second(self.first(x).relu_()).add_(x)
        return result


def _through(blocks: nn.Module, x: Tensor, rows: Whole) -> Tensor:
    for block in blocks.children():  # not all at once, which would keep the first one's input in memory
        x = rows.through(block, x, 2)
    return x


def _blocks(width: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width) for _ in range(BLOCKS)))


def _convolution(inputs: int, outputs: int, gain: float = 1.0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight *= gain  # a block begins near the identity, so that a high rate does not throw it off
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is a bias
    return layer
