"""How far an output is from the clean image, by name.

A loss also says what the model's output means: logits (the image is their sigmoid) or the image's values themselves.
Torch is imported where it computes, so that the names are there without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """One way to compare a model's output with the clean image."""

    summary: str
    """What it measures, for people."""
    function: str
    """Its name in `torch.nn.functional`."""
    logits: bool
    """Whether the model's output is logits."""
    log_volume: Callable[[float], float] | None = None
    """Logarithm of what normalises exp(-error / beta) for one value, given beta; None where the error is in nats as it is."""

    def __call__(self, output: Tensor, clean: Tensor, *, reduction: str = "mean") -> Tensor:
        """Return the error of an output `(B, C, H, W)`, in float32: its mean, or with "none" that of every value."""
        from torch.nn import functional

        error: Tensor = getattr(functional, self.function)(output.float(), clean, reduction=reduction)
        return error

    def nats(self, output: Tensor, clean: Tensor, beta: float) -> Tensor:
        """Return minus the log-likelihood of each image `(B,)`, in nats, under the distribution that the loss stands for.

        With a divergence of weight beta beside it, the mean squared error is that of a normal distribution with variance
        beta / 2, and the mean absolute error that of a Laplace distribution with scale beta.
        """
        errors = self(output, clean, reduction="none").flatten(1)
        if self.log_volume is None:
            return errors.sum(1)
        return errors.sum(1) / beta + errors.shape[1] * self.log_volume(beta)

    def output(self, image: Tensor) -> Tensor:
        """Return the output that stands for an image in [0, 1]; the inverse of `image`, away from black and white."""
        return image.clamp(1e-3, 1 - 1e-3).logit() if self.logits else image

    def image(self, output: Tensor) -> Tensor:
        """Return the image in [0, 1], float32, that an output of the model stands for."""
        return output.float().sigmoid() if self.logits else output.float().clamp(0, 1)


LOSSES: dict[str, Loss] = {
    "bce": Loss("binary cross-entropy of each pixel, from logits", "binary_cross_entropy_with_logits", logits=True),
    "mse": Loss("squared error", "mse_loss", logits=False, log_volume=lambda beta: 0.5 * math.log(math.pi * beta)),
    "l1": Loss("absolute error", "l1_loss", logits=False, log_volume=lambda beta: math.log(2 * beta)),
}
