"""The dense autoencoder: every pixel to every unit.

Source: the textbook's first model, 784 - 32 - 784 with a ReLU code (50,992 parameters); here with any number of hidden layers,
which the decoder mirrors.
"""

import math
from itertools import pairwise

from torch import Tensor, nn

from isthmus.networks.base import Detail, Network, NetworkSpec


class Dense(Network):
    """Fully connected encoder and decoder with ReLU between layers.

    Args:
        spec: What to build: the code is that many numbers.

    >>> import torch
    >>> from isthmus.networks.bottlenecks import PointCode
    >>> sizes = {"code": 32, "hidden": (), "decoder_hidden": ()}
    >>> network = Dense(NetworkSpec(image_shape=(1, 28, 28), input_channels=1, bottleneck=PointCode(), **sizes))
    >>> sum(p.numel() for p in network.parameters()), network.encode(torch.rand(2, 1, 28, 28))[0].shape
    (50992, torch.Size([2, 32]))
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.code = spec.code
        self.image_shape = spec.image_shape
        self.stride = self.receptive_radius = max(spec.image_shape)
        self.bottleneck = spec.bottleneck
        values = math.prod(spec.image_shape)
        inward = (spec.input_channels * values // spec.image_shape[0], *spec.hidden, spec.code * spec.bottleneck.outputs_per_number)
        outward = (spec.code, *spec.decoder_hidden, values)
        gains = (2.0, *[1.0] * len(spec.hidden))  # images are mostly black: with twice the weights, fewer units start silent
        self.encoder = nn.ModuleList(_linear(*widths, gain) for widths, gain in zip(pairwise(inward), gains, strict=True))
        self.decoder = nn.ModuleList(_linear(*widths) for widths in pairwise(outward))

    def code_shape(self, input_shape: tuple[int, int, int]) -> tuple[int, ...]:
        """Return (code,)."""
        return (self.code,)

    def encode(self, seen: Tensor) -> tuple[Tensor, Detail]:
        """Return what the bottleneck makes the code `(B, code)` of, for a batch `(B, C', H, W)`."""
        return _layers(self.encoder, seen.flatten(1)), ()

    def decode(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)`; `size` can only be the one that the network was built for."""
        return _layers(self.decoder, code).reshape(-1, *self.image_shape)


def _layers(layers: nn.ModuleList, x: Tensor) -> Tensor:
    *inner, last = layers
    for layer in inner:
        x = layer(x).relu_()
    output: Tensor = last(x)
    return output


def _linear(inputs: int, outputs: int, gain: float = 1.0) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight, gain)  # torch's own bounds leave units dead at our learning rates: 0.1025, not 0.0922
    nn.init.zeros_(layer.bias)
    return layer
