"""A U-Net that sees the whole picture at a working size: the color of a thing depends on the scene.

However large a picture is, its shorter side is brought to `WORKING` pixels; the output has a quarter of that resolution. Whoever
uses the output enlarges it and joins it with the picture's own detail (`isthmus.networks.losses` does, with the lightness).

Source: Ronneberger et al. (2015), U-Net; Iizuka et al. (2016), "Let there be color!", for features of the whole scene that are
given to every place; residual blocks without normalization as in `unet`.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isthmus.networks import NETWORKS
from isthmus.networks.base import Detail, Network, NetworkSpec

WORKING = NETWORKS["global"].working_size
"""Pixels of a picture's shorter side as the network sees it."""

LONGEST = 4
"""Times as many pixels as a square of the working size, at most: a longer strip is seen smaller."""

FOLD = 2
"""Pixels that become channels, on each side."""

STEM = 32
"""Channels at half the working size, where textures are told apart."""

OUTPUT_STRIDE = 4
"""Pixels of the working size for one place of the output, on each side."""


class GlobalUNet(Network):
    """Say something of each place of a picture of any size, by what the whole picture shows.

    Args:
        spec: What to build: `code` counts channels of a map; the first level has a quarter of the working size.

    >>> import torch
    >>> from isthmus.networks.bottlenecks import PointCode
    >>> sizes = {"image_shape": (2, 160, 160), "input_channels": 1, "code": 24, "hidden": (8, 16), "decoder_hidden": (16, 8)}
    >>> network = GlobalUNet(NetworkSpec(bottleneck=PointCode(rectified=False), **sizes))
    >>> code, detail = network.encode(torch.rand(1, 1, 1000, 1500))
    >>> code.shape, network.decode(code, (1000, 1500), detail).shape
    (torch.Size([1, 24, 8, 12]), torch.Size([1, 2, 32, 48]))
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.bottleneck = spec.bottleneck
        inward, outward = (*spec.hidden, spec.code), (spec.code, *spec.decoder_hidden)
        self.code = spec.code
        self.stride = OUTPUT_STRIDE * 2 ** len(spec.hidden)
        self.stem = _convolution(spec.input_channels * FOLD**2, STEM)
        self.enter = nn.Conv2d(STEM, inward[0], OUTPUT_STRIDE // FOLD, stride=OUTPUT_STRIDE // FOLD)
        depths = [1, *(min(2, level) for level in range(1, len(inward)))]
        self.inward = nn.ModuleList(_blocks(width, depth) for width, depth in zip(inward, depths, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(*widths, 2, stride=2) for widths in pairwise(inward))
        self.scene = nn.Sequential(nn.Linear(2 * spec.code, spec.code), nn.ReLU(), nn.Linear(spec.code, spec.code))
        self.coded = nn.Conv2d(spec.code, spec.code * spec.bottleneck.outputs_per_number, 1)
        self.outward = nn.ModuleList(_blocks(width, 1) for width in outward)
        self.up = nn.ModuleList(nn.ConvTranspose2d(*widths, 2, stride=2) for widths in pairwise(outward))
        self.beside = nn.ModuleList(
            nn.Conv2d(*widths, 1) for widths in zip(reversed(spec.hidden), spec.decoder_hidden, strict=True)
        )
        self.tail = _convolution(outward[-1], spec.image_shape[0], gain=0.1)

    def code_shape(self, input_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return (code, h / stride, w / stride), rounded up, of the working size (h, w)."""
        return (self.code, *(-(-side // self.stride) for side in working_size(input_shape[1:])))

    def encode(self, seen: Tensor) -> tuple[Tensor, Detail]:
        """Return what the bottleneck makes the code of, for a batch `(B, C', H, W)`, and each level's detail.

        The map is `(B, code, h, w)`, a place of it for `stride` pixels of the working size, rounded up.
        """
        x = to_working_size(seen)
        height, width = x.shape[-2:]
        x = F.pad(x - 0.5, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        x = self.enter(self.stem(F.pixel_unshuffle(x, FOLD)).relu_())  # (B, hidden[0], h/4, w/4)
        detail = []
        for blocks, down in zip(self.inward[:-1], self.down, strict=True):
            x = blocks(x)
            detail.append(x)
            x = down(x.relu())
        x = self.inward[-1](x)
        scene = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return self.coded(x + self.scene(scene)[:, :, None, None]), tuple(detail)

    def decode(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, h, w)` for a code map, the picture's size `(H, W)` and the detail that `encode` gave."""
        first, *others = self.outward
        x = first(code)
        for up, beside, level, blocks in zip(self.up, self.beside, reversed(detail), others, strict=True):
            x = blocks(up(x.relu()) + beside(level.relu()))
        height, width = (-(-side // OUTPUT_STRIDE) for side in working_size(size))
        output: Tensor = self.tail(x.relu_())
        return output[..., :height, :width].float()

    def start_from(self, mean: Tensor) -> None:
        """Begin near the mean."""
        with torch.no_grad():
            self.tail.bias.copy_(mean)  # type: ignore[union-attr]  # there is a bias


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (h, w) at which a picture of a size (H, W) is seen: as it is, or smaller, in its proportions.

    >>> working_size((4000, 6000)), working_size((100, 90)), working_size((100, 10000))
    ((128, 192), (100, 90), (26, 2560))
    """
    scale = min(1.0, WORKING / min(size), WORKING * math.sqrt(LONGEST / math.prod(size)))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def to_working_size(seen: Tensor) -> Tensor:
    """Return a batch `(B, C', H, W)` at its working size: each pixel the mean of those that it stands for."""
    size = working_size((seen.shape[-2], seen.shape[-1]))
    return seen if size == tuple(seen.shape[-2:]) else F.interpolate(seen, size, mode="area")


class _Residual(nn.Module):
    """Two convolutions of what is positive, their result added to what came in."""

    def __init__(self, width: int):
        super().__init__()
        self.first = _convolution(width, width)
        self.second = _convolution(width, width, gain=0.2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(self.first(x.relu()).relu_())
        return result


def _blocks(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(depth)))


def _convolution(inputs: int, outputs: int, gain: float = 1.0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight *= gain  # a block begins near the identity, so that a high rate does not throw it off
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is a bias
    return layer
