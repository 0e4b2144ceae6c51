"""How far an output is from the clean image, by name.

A loss also says what the model's output means: logits (the image is their sigmoid), the image's values themselves, or its colors.
Torch is imported where it computes, so that the names are there without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from isthmus.errors import UsageError
from isthmus.imaging.color import from_lab, lightness_of, to_lab

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """One way to compare a model's output with the clean image, value by value."""

    summary: str
    """What it measures, for people."""
    function: str
    """Its name in `torch.nn.functional`."""
    logits: bool = False
    """Whether the model's output is logits."""
    log_volume: Callable[[float], float] | None = None
    """Logarithm of what normalizes exp(-error / beta) for one value, given beta; None where the error is in nats as it is."""

    likelihood: ClassVar[bool] = True
    """Whether it is minus the logarithm of a likelihood, up to a constant."""
    needs_seen: ClassVar[bool] = False
    """Whether the output is an image only with what the model has seen beside it."""

    def outputs(self, channels: int) -> int:
        """Return how many channels the model's output has for images of some channels.

        Raises:
            UsageError: If the loss is not one for such images.
        """
        return channels

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the error of an output, in float32: its mean, or with "none" `(B, ...)`, that of every value."""
        from torch.nn import functional

        error: Tensor = getattr(functional, self.function)(output.float(), clean, reduction=reduction)
        return error

    def nats(self, output: Tensor, clean: Tensor, beta: float) -> Tensor:
        """Return minus the log-likelihood of each image `(B,)`, in nats, under the distribution that the loss stands for.

        With a divergence of weight beta beside it, the mean squared error is that of a normal distribution with variance
        beta / 2, and the mean absolute error that of a Laplace distribution with scale beta.
        """
        if not self.likelihood:
            raise UsageError("The loss psnr stands for no distribution, so it gives no likelihood: take bce, mse or l1.")
        errors = self(output, clean, reduction="none").flatten(1)
        if self.log_volume is None:
            return errors.sum(1)
        return errors.sum(1) / beta + errors.shape[1] * self.log_volume(beta)

    def start(self, mean: Tensor) -> Tensor:
        """Return the output that a model begins with, where the images' mean is `mean` `(C,)`."""
        return mean.clamp(1e-3, 1 - 1e-3).logit() if self.logits else mean

    def image(self, output: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return the image in [0, 1], float32, that an output of the model stands for, beside what it has seen."""
        return output.float().sigmoid() if self.logits else output.float().clamp(0, 1)


SMALLEST_MSE = 1e-4
"""Mean squared error (40 dB) below which an image counts no more by how close it is to perfect."""


@dataclass(frozen=True)
class PsnrLoss(Loss):
    """Compare images by the logarithm of their squared error: each counts by its ratio, the mildly damaged as much as the ruined.

    Source: Chen et al. (2022), Simple baselines for image restoration (NAFNet), who train on PSNR.
    """

    likelihood: ClassVar[bool] = False

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return minus the PSNR as shares of 10 dB: the mean over the images, or with "none" `(B, 1)`, that of each."""
        from torch.nn import functional

        squared = functional.mse_loss(output.float(), clean, reduction="none").flatten(1).mean(1, keepdim=True)
        ratio: Tensor = (squared + SMALLEST_MSE).log10()
        return ratio if reduction == "none" else ratio.mean()


AB_SCALE = 110.0
"""CIELAB's a and b in an output of 1."""


@dataclass(frozen=True)
class ColorLoss(Loss):
    """Compare colors alone: a and b of CIELAB. The lightness is what the model has seen."""

    needs_seen: ClassVar[bool] = True

    def outputs(self, channels: int) -> int:
        """Return 2, for a and b."""
        if channels != 3:
            raise UsageError(f"The losses {' and '.join(COLOR_LOSSES)} are for images in color; these have {channels} channels.")
        return 2

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the error of a and b, as shares of `AB_SCALE`."""
        return super().__call__(output, to_lab(clean)[:, 1:] / AB_SCALE, reduction=reduction)

    def start(self, mean: Tensor) -> Tensor:
        """Return gray."""
        return mean.new_zeros(2)

    def image(self, output: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return RGB images of the lightness seen."""
        return _colored(seen, output.float() * AB_SCALE)


BIN_SIDE = 20
"""Width of a bin of colors, in a and in b."""

USUAL_CHROMA = 15.0
"""How fast colors get rarer with their distance from gray, in photographs: by a factor e in so much of a and b."""

UNIFORM_SHARE = 0.5
"""Of the weights' prior; the rest is how frequent a color is (Zhang et al.: lambda)."""

TEMPERATURE = 0.38
"""Of the annealed mean: below 1, the likelier colors count more (Zhang et al.)."""


@dataclass(frozen=True)
class ColorBinsLoss(ColorLoss):
    """Predict how likely each of some ninety colors is; rare colors count more, because most of any photograph is nearly gray.

    Source: Zhang, Isola and Efros (2016): classes over quantized a and b, rebalanced, and decoded by an annealed mean. Here the
    bins are twice as wide, the true color is shared among its four neighbors, and a color's frequency is an exponential in
    its distance from gray.
    """

    def outputs(self, channels: int) -> int:
        """Return how many bins there are."""
        return super().outputs(channels) and len(_bins())

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the weighted cross-entropy of each pixel, in nats: its mean, or with "none" `(B, H, W)`."""
        ab = to_lab(clean)[:, 1:]  # (B, 2, H, W)
        centers = output.new_tensor(_bins(), dtype=ab.dtype)  # (Q, 2)
        shares = output.new_ones(1, dtype=ab.dtype)
        for axis in range(2):
            distance = (ab[:, axis, None] - centers[:, axis, None, None]).abs() / BIN_SIDE
            shares = shares * (1 - distance).clamp(min=0)  # (B, Q, H, W)
        shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-6)
        frequency = (-centers.norm(dim=1) / USUAL_CHROMA).softmax(0)
        weights = 1 / ((1 - UNIFORM_SHARE) * frequency + UNIFORM_SHARE / len(centers))
        weights = weights / (weights * frequency).sum()
        entropy: Tensor = -(shares * output.float().log_softmax(1)).sum(1) * (shares * weights[:, None, None]).sum(1)
        return entropy if reduction == "none" else entropy.mean()

    def start(self, mean: Tensor) -> Tensor:
        """Return the same for all bins."""
        return mean.new_zeros(len(_bins()))

    def image(self, output: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return RGB images of the lightness seen, with the annealed mean of the colors."""
        shares = (output.float() / TEMPERATURE).softmax(1)
        centers = shares.new_tensor(_bins())
        return _colored(seen, (centers.T[None, :, :, None, None] * shares[:, None]).sum(2))


@cache
def _bins() -> tuple[tuple[float, float], ...]:
    """Return a and b of the bins' centers: those of a grid that a screen can show at some lightness, or that are next to one."""
    import torch

    steps = torch.linspace(0, 1, 33, device="cpu")  # also while a network is laid out on no device
    ab = to_lab(torch.cartesian_prod(steps, steps, steps).T[None, :, :, None])[0, 1:, :, 0]
    shown = {(a, b) for a, b in (ab / BIN_SIDE).floor().T.tolist()}
    corners = {(a + to_red, b + to_yellow) for a, b in shown for to_red in (0, 1) for to_yellow in (0, 1)}
    return tuple((a * BIN_SIDE, b * BIN_SIDE) for a, b in sorted(corners))


def _colored(seen: Tensor | None, ab: Tensor) -> Tensor:
    from torch import cat

    assert seen is not None, "needs_seen"
    return from_lab(cat([lightness_of(seen), ab], 1))


COLOR_LOSSES: dict[str, Loss] = {
    "ab": ColorLoss("squared error of the colors alone, CIELAB's a and b", "mse_loss"),
    "ab-bins": ColorBinsLoss("cross-entropy of a pixel's color among ninety, the rare ones weighted up", ""),
}

LOSSES: dict[str, Loss] = {
    "bce": Loss("binary cross-entropy of each pixel, from logits", "binary_cross_entropy_with_logits", logits=True),
    "mse": Loss("squared error", "mse_loss", log_volume=lambda beta: 0.5 * math.log(math.pi * beta)),
    "psnr": PsnrLoss("logarithm of each image's squared error: what PSNR measures", ""),
    "l1": Loss("absolute error", "l1_loss", log_volume=lambda beta: math.log(2 * beta)),
    **COLOR_LOSSES,
}
