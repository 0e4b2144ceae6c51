"""The chapter's three models in plain PyTorch, and the loop that a good engineer would train them with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isthmus.recipes.chapter import CHAPTER

NOISE_STD = {"dense": 0.0, "convolutional": 0.0, "denoising": 0.5}


def plain_dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(inplace=True), nn.Linear(32, 784), nn.Unflatten(1, (1, 28, 28)))


def plain_convolutional(encoder: tuple[int, ...], decoder: tuple[int, ...]) -> nn.Module:
    """Build the network with these filters; 28, 14, 7, 4 pixels a side, and back."""
    layers: list[nn.Module] = []
    channels = 1
    for filters in encoder:
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2, ceil_mode=True)]
        channels = filters
    for filters, side in zip(decoder, (7, 14, 28), strict=True):
        layers += [nn.Upsample(size=side), nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(inplace=True)]
        channels = filters
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, 3, padding=1))


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "dense": plain_dense,
    "convolutional": lambda: plain_convolutional((16, 8, 8), (8, 8, 16)),
    "denoising": lambda: plain_convolutional((32, 32, 16), (16, 32, 32)),
}


class PlainLoop:
    """The training loop that a good engineer would write in PyTorch, one step at a time.

    Args:
        name: Which of the chapter's models.
        images: `(n, 1, 28, 28)` uint8, in memory.
        batch_size: Images per step.
        bfloat16: Compute in bfloat16 under autocast, with channels last; else in float32, as torch does by default.
    """

    def __init__(self, name: str, images: Tensor, *, batch_size: int, bfloat16: bool):
        self.images, self.batch_size, self.noise_std, self.bfloat16 = images, batch_size, NOISE_STD[name], bfloat16
        self.network = PLAIN[name]()
        assert sum(parameter.numel() for parameter in self.network.parameters()) == CHAPTER[name].parameters
        if bfloat16:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.adam = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        self.batches: list[Tensor] = []

    def step(self) -> None:
        if not self.batches:
            self.batches = list(torch.randperm(len(self.images)).split(self.batch_size))
        clean = self.images[self.batches.pop()].float().div_(255)  # (B, 1, 28, 28)
        seen = torch.randn_like(clean).mul_(self.noise_std).add_(clean).clamp_(0, 1) if self.noise_std else clean
        seen = seen.to(memory_format=torch.channels_last) if self.bfloat16 else seen
        with torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext():
            logits = self.network(seen)
        loss = F.binary_cross_entropy_with_logits(logits.float(), clean)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
