"""The convolutional autoencoder: 3x3 convolutions, 2x2 pooling inward, nearest-neighbor upsampling outward.

Source: the textbook's second and third model (4,385 and 30,689 parameters); here with any depth, width and image size.
"""

import itertools
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isthmus.networks.base import Detail, Network, NetworkSpec


class Convolutional(Network):
    """Convolve and halve, down to the code map; double and convolve, back to the image.

    Sizes are halved upward (28, 14, 7, 4), and the way back visits the same sizes (4, 7, 14, 28), so any size works.

    Args:
        spec: What to build: `code` counts channels of a map whose sides are the image's, halved for each layer.

    >>> import torch
    >>> from isthmus.networks.bottlenecks import PointCode
    >>> sizes = {"code": 8, "hidden": (16, 8), "decoder_hidden": (8, 16)}
    >>> network = Convolutional(NetworkSpec(image_shape=(1, 28, 28), input_channels=1, bottleneck=PointCode(), **sizes))
    >>> sum(p.numel() for p in network.parameters()), network.encode(torch.rand(2, 1, 28, 28))[0].shape
    (4385, torch.Size([2, 8, 4, 4]))
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.bottleneck = spec.bottleneck
        inward = (spec.input_channels, *spec.hidden, spec.code * spec.bottleneck.outputs_per_number)
        outward = (spec.code, spec.code, *spec.decoder_hidden)
        self.encoder = nn.ModuleList(_convolution(*channels) for channels in pairwise(inward))
        self.decoder = nn.ModuleList(_convolution(*channels, Enlarging) for channels in pairwise(outward))
        self.output = _convolution(outward[-1], spec.image_shape[0], FewOutputs)
        self.code = spec.code
        self.stride = 2 ** len(self.encoder)
        self.receptive_radius = 4 * self.stride  # each scale has a convolution and a change of scale, twice, of a pixel each

    def start_from(self, mean: Tensor) -> None:
        """Let the output begin at the images' mean.

        Otherwise the first steps push everything towards black and leave filters dead: 0.1081 instead of 0.1003 after an epoch.
        """
        assert self.output.bias is not None, "every convolution here has one"
        with torch.no_grad():
            self.output.bias.copy_(mean)

    def code_shape(self, input_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return (code, H / stride, W / stride), rounded up."""
        return (self.code, *(-(-side // self.stride) for side in input_shape[1:]))

    def encode(self, seen: Tensor) -> tuple[Tensor, Detail]:
        """Return what the bottleneck makes the code map of, for a batch `(B, C', H, W)`.

        The map is `(B, code, H / 2^layers, W / 2^layers)`, rounded up.
        """
        *inner, last = self.encoder
        for layer in inner:
            seen = halve(layer(seen)).relu_()  # the largest, then the rectifier: the same as the other way round, and cheaper
        return halve(last(seen)), ()

    def decode(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)` of the given size `(H, W)` for a code map."""
        sizes = [size]
        for _ in range(len(self.decoder) - 1):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        x = code
        for layer, doubled in zip(self.decoder, reversed(sizes), strict=True):
            x = layer(x, doubled).relu_()
        output: Tensor = self.output(x)
        return output


def halve(x: Tensor) -> Tensor:
    """Return the largest of each 2 x 2 pixels, `(B, C, H / 2, W / 2)`, rounded up."""
    if torch.is_grad_enabled() or torch.compiler.is_exporting() or x.shape[2] % 2 or x.shape[3] % 2:
        return F.max_pool2d(x, 2, ceil_mode=True)
    rows = torch.maximum(x[:, :, ::2], x[:, :, 1::2])  # torch's pooling also notes where each largest is, for the gradient
    return torch.maximum(rows[:, :, :, ::2], rows[:, :, :, 1::2])


class Enlarging(nn.Conv2d):
    """Enlarge to a size, each pixel to its neighbors, and convolve.

    Of three neighboring pixels in an image of twice the size, two are copies of one: there, a transposed convolution with sums of
    the weights gives the same for 4/9 of the products.
    """

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:  # type: ignore[override]  # a layer's call is not checked
        """Return `(B, channels, H, W)` of the given size `(H, W)`."""
        if torch.compiler.is_exporting() or size != (2 * x.shape[2], 2 * x.shape[3]):  # an exported network takes any size
            return super().forward(F.interpolate(x, size=size))
        weight = _summed(_summed(self.weight).mT).mT.transpose(0, 1).contiguous(memory_format=torch.channels_last)
        return F.conv_transpose2d(x, weight, self.bias, stride=2, padding=1)


class FewOutputs(nn.Conv2d):
    """Convolve many channels to a few.

    Processors are quicker at it as one product of matrices, of all pixels with all weights, and nine shifted sums of that; but not
    at its gradient.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return `(B, C, H, W)`."""
        count, channels, height, width = x.shape
        elsewhere = x.device.type != "cpu" or torch.compiler.is_exporting()
        if elsewhere or torch.is_grad_enabled() or 9 * self.out_channels > channels:
            return super().forward(x)
        weights = self.weight.permute(2, 3, 0, 1).reshape(-1, channels)  # (9 C, channels)
        products = weights @ x.permute(0, 2, 3, 1).reshape(-1, channels).mT
        products = products.to(torch.promote_types(products.dtype, torch.float32))  # of bfloat16, only the products are rounded
        products = products.view(3, 3, self.out_channels, count, height, width)
        sums = products.new_zeros(self.out_channels, count, height + 2, width + 2)
        for row, column in itertools.product(range(3), repeat=2):
            sums[:, :, 2 - row : 2 - row + height, 2 - column : 2 - column + width] += products[row, column]
        assert self.bias is not None
        return (sums[:, :, 1:-1, 1:-1] + self.bias.view(-1, 1, 1, 1)).transpose(0, 1)


def _summed(weight: Tensor) -> Tensor:
    """Return `(..., 3)` weights along one direction as the four with which a pixel reaches the pixels of twice the size."""
    first, middle, last = weight.unbind(-1)
    return torch.stack((last, middle + last, first + middle, first), -1)


def _convolution(inputs: int, outputs: int, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    layer = kind(inputs, outputs, 3, padding=1)
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # there is a bias
    return layer
