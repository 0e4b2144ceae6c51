"""The losses by name: how far an output is from the ground truth.

A loss also says what the model's output means: logits (the image is their sigmoid), the image's values themselves, or its colors.
Torch and NumPy are imported where they compute, so that the names are there without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, ClassVar

from isthmus.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from isthmus.imaging.arrays import Window


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
            raise UsageError("The loss psnr is no distribution, so it gives no likelihood. Use bce, mse or l1.")
        errors = self(output, clean, reduction="none").flatten(1)
        if self.log_volume is None:
            return errors.sum(1)
        return errors.sum(1) / beta + errors.shape[1] * self.log_volume(beta)

    def as_error(self, value: float) -> float:
        """Return the error, 0 or more, that a value of the loss stands for, so that two of them can be compared by their ratio."""
        return value

    def start(self, mean: Tensor) -> Tensor:
        """Return the output that a model begins with, where the images' mean is `mean` `(C,)`."""
        return mean.clamp(1e-3, 1 - 1e-3).logit() if self.logits else mean

    def image(self, output: Tensor, seen: Tensor | None = None, window: Window | None = None) -> Tensor:
        """Return the image in [0, 1], float32, that an output of the model stands for.

        Args:
            output: Logits or values.
            seen: What the model has seen of the image, in gray or RGB, without what stood beside it.
            window: Where that lies in a picture, where the output is of all of the picture and what is seen a part of it.
        """
        return _sigmoid(output.float()) if self.logits else output.float().clamp(0, 1)


def _sigmoid(logits: Tensor) -> Tensor:
    """Return the sigmoid of values, of each the same wherever it stands.

    torch computes the last few of many in another way than the others, to another last bit; NumPy does not.
    """
    import numpy as np
    import torch

    if logits.device.type != "cpu" or logits.requires_grad or torch.compiler.is_exporting():
        return logits.sigmoid()
    with np.errstate(over="ignore"):  # where the sigmoid is 0
        return torch.from_numpy(1 / (1 + np.exp(-logits.numpy())))


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

    def as_error(self, value: float) -> float:
        """Return the mean squared error."""
        return float(10**value)


AB_SCALE = 110.0
"""CIELAB's a and b in an output of 1."""


@dataclass(frozen=True)
class ColorLoss(Loss):
    """Compare colors alone: a and b of CIELAB. The lightness is what the model has seen."""

    needs_seen: ClassVar[bool] = True

    def outputs(self, channels: int) -> int:
        """Return 2, for a and b."""
        if channels != 3:
            raise UsageError(f"The losses {' and '.join(COLOR_LOSSES)} need images in color; these have {channels} channels.")
        return 2

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the error of a and b, as shares of `AB_SCALE`, at the resolution of the output."""
        return super().__call__(output, self.colors(output, clean) / AB_SCALE, reduction=reduction)

    def colors(self, output: Tensor, clean: Tensor) -> Tensor:
        """Return a and b of clean images `(B, 2, h, w)`: of each place of an output, those of the mean color there."""
        from torch.nn.functional import interpolate

        from isthmus.imaging.color import to_lab

        size = output.shape[-2:]
        return to_lab(clean if size == clean.shape[-2:] else interpolate(clean, size, mode="area"))[:, 1:]

    def start(self, mean: Tensor) -> Tensor:
        """Return gray."""
        return mean.new_zeros(2)

    def image(self, output: Tensor, seen: Tensor | None = None, window: Window | None = None) -> Tensor:
        """Return RGB images of the lightness seen."""
        return _colored(seen, self.decoded(output.float()), window)

    def decoded(self, output: Tensor) -> Tensor:
        """Return the a and b that an output stands for, `(B, 2, h, w)`."""
        return output * AB_SCALE


@dataclass(frozen=True)
class ColorHuberLoss(ColorLoss):
    """Huber's error: squared where it is small, absolute where it is large."""

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the error of a and b, as shares of `AB_SCALE`."""
        from torch.nn import functional

        return functional.smooth_l1_loss(output.float(), self.colors(output, clean) / AB_SCALE, reduction=reduction, beta=HUBER)


BIN_SIDE = 20
"""Width of a bin of colors, in a and in b."""

USUAL_CHROMA = 15.0
"""How fast colors get rarer with their distance from gray, in photographs: by a factor e in so much of a and b."""

UNIFORM_SHARE = 0.5
"""Of the weights' prior; the rest is how frequent a color is (Zhang et al.: lambda)."""

HUBER = 0.1
"""Difference of colors, as a share of `AB_SCALE`, from which on it counts by its size and no longer by its square."""

TEMPERATURE = 0.38
"""Of the annealed mean of Zhang et al."""

MOST_VIVID = 1.6
"""Times the mean's chroma, at most."""


@dataclass(frozen=True)
class ColorBinsLoss(ColorLoss):
    """Predict how likely each of 99 colors is; rare colors count more, because most of any photograph is nearly gray.

    Source: Zhang, Isola and Efros (2016): classes over quantized a and b, rebalanced, and decoded by an annealed mean. Here the
    bins are twice as wide, the true color is shared among its four neighbors, and a color's frequency is an exponential in
    its distance from gray.
    """

    uniform_share: float = UNIFORM_SHARE
    """Of the weights' prior; 1 gives all colors the same weight."""
    mean_weight: float = 0.0
    """Weight of the mean color's own error beside the cross-entropy."""
    temperature: float = TEMPERATURE
    """Of the annealed mean: below 1, the likelier colors count more; 1 gives the mean."""
    vividness: float = 0.0
    """How much of the mean's chroma, where several hues are likely, is brought up to the mean of their chromas, from 0 to 1."""

    def outputs(self, channels: int) -> int:
        """Return how many bins there are."""
        return super().outputs(channels) and len(_bins())

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the weighted cross-entropy of each pixel, in nats: its mean, or with "none" `(B, H, W)`."""
        from torch.nn import functional as F

        ab = self.colors(output, clean).movedim(1, -1)  # (B, h, w, 2)
        centers = output.new_tensor(_bins(), dtype=ab.dtype)  # (Q, 2)
        shares = ab.new_ones(1)
        for axis in range(2):
            distance = (ab[..., axis, None] - centers[:, axis]).abs_().mul_(-1 / BIN_SIDE)
            shares = shares * distance.add_(1).clamp_(min=0)  # (B, h, w, Q)
        shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-6)
        frequency = (-centers.norm(dim=1) / USUAL_CHROMA).softmax(0)
        weights = 1 / ((1 - self.uniform_share) * frequency + self.uniform_share / len(centers))
        weights = weights / (weights * frequency).sum()
        logs = output.movedim(1, -1).float().log_softmax(-1)
        entropy: Tensor = -(shares * logs).sum(-1) * (shares @ weights)
        if self.mean_weight:
            mean = logs.exp() @ centers
            errors = F.smooth_l1_loss(mean / AB_SCALE, ab / AB_SCALE, reduction="none", beta=HUBER)
            entropy = entropy + self.mean_weight * errors.sum(-1)
        return entropy if reduction == "none" else entropy.mean()

    def start(self, mean: Tensor) -> Tensor:
        """Return the same for all bins."""
        return mean.new_zeros(len(_bins()))

    def decoded(self, output: Tensor) -> Tensor:
        """Return the annealed mean of the colors, `(B, 2, h, w)`, with some of the chroma that a mean of several hues lacks."""
        shares = (output / self.temperature).softmax(1).movedim(1, -1)  # (B, h, w, Q)
        centers = shares.new_tensor(_bins())
        mean = shares @ centers
        paler = (shares @ centers.norm(dim=1))[..., None] / mean.norm(dim=-1, keepdim=True).clamp(min=1e-3)  # 1 for a single hue
        colors: Tensor = mean * (paler**self.vividness).clamp(max=MOST_VIVID)
        return colors.movedim(-1, 1)


@cache
def _bins() -> tuple[tuple[float, float], ...]:
    """Return a and b of the bins' centers: those of a grid that a screen can show at some lightness, or that are next to one."""
    import torch

    from isthmus.imaging.color import to_lab

    steps = torch.linspace(0, 1, 33, device="cpu")  # also while a network is laid out on no device
    ab = to_lab(torch.cartesian_prod(steps, steps, steps).T[None, :, :, None])[0, 1:, :, 0]
    shown = {(a, b) for a, b in (ab / BIN_SIDE).floor().T.tolist()}
    corners = {(a + to_red, b + to_yellow) for a, b in shown for to_red in (0, 1) for to_yellow in (0, 1)}
    return tuple((a * BIN_SIDE, b * BIN_SIDE) for a, b in sorted(corners))


def _colored(seen: Tensor | None, ab: Tensor, window: Window | None) -> Tensor:
    """Return RGB images of the lightness seen, and of a and b of all the picture, which may be coarser."""
    from torch import cat

    from isthmus.imaging.arrays import Window
    from isthmus.imaging.color import from_lab, lightness_of

    assert seen is not None, "needs_seen"
    window = window or Window((seen.shape[-2], seen.shape[-1]), (slice(None), slice(None)))
    if ab.shape[-2:] != window.size:
        rows, columns = (
            _between(coarse, fine)[part].to(ab) for coarse, fine, part in zip(ab.shape[-2:], window.size, window.part, strict=True)
        )
        ab = rows @ ab @ columns.T
    return from_lab(cat([lightness_of(seen), ab], 1))


@lru_cache(maxsize=16)
def _between(coarse: int, fine: int) -> Tensor:
    """Return how much of each of the coarse places goes into each of the fine ones, linearly, `(fine, coarse)`."""
    import torch

    places = ((torch.arange(fine) + 0.5) * (coarse / fine) - 0.5).clamp(0, coarse - 1)
    return (1 - (places[:, None] - torch.arange(coarse)).abs()).clamp(min=0)


COLOR_LOSSES: dict[str, Loss] = {
    "ab": ColorLoss("squared error of the colors alone, CIELAB's a and b", "mse_loss"),
    "ab-huber": ColorHuberLoss("Huber's error of the colors alone", "smooth_l1_loss"),
    "ab-mixed": ColorBinsLoss(
        "ab-bins, hardly weighted, and the error of the mean color",
        "",
        uniform_share=0.9,
        mean_weight=30.0,
        temperature=0.6,
        vividness=0.7,
    ),
    "ab-bins": ColorBinsLoss("cross-entropy of a pixel's color among 99, the rare ones weighted up", ""),
}

LOSSES: dict[str, Loss] = {
    "bce": Loss("binary cross-entropy of each pixel, from logits", "binary_cross_entropy_with_logits", logits=True),
    "mse": Loss("squared error", "mse_loss", log_volume=lambda beta: 0.5 * math.log(math.pi * beta)),
    "psnr": PsnrLoss("logarithm of each image's squared error: what PSNR measures", ""),
    "l1": Loss("absolute error", "l1_loss", log_volume=lambda beta: math.log(2 * beta)),
    **COLOR_LOSSES,
}
