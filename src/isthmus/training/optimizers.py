"""Optimizers by name: Adam, and Muon, whose steps turn all directions of a matrix equally far."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
"""Of the polynomial that draws all singular values towards 1, as Jordan chose them: within 0.3 of it."""

AS_LARGE_AS_ADAMS = 0.2
"""The root mean square of a step of Adam, as a share of its learning rate: so both take the same rates (Liu et al. 2025)."""


class Muon(torch.optim.Adam):
    """Adam for vectors; for matrices, and kernels as matrices of one row for each output, orthogonal steps.

    The momentum of a matrix's gradient has a few large singular values. A step along the nearest matrix whose singular values are
    all equal learns from the others, too: an autoencoder of digits needs half of Adam's epochs or fewer (docs/experiments.md).

    Source: Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; the gradients of matrices are used up."""
        for group in self.param_groups:
            beta = group["betas"][0]
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is None or gradient.dim() < 2:
                    continue
                memory = self.state[parameter]
                if not memory:
                    memory["momentum"] = torch.zeros_like(parameter)
                memory["momentum"].lerp_(gradient, 1 - beta)
                matrix = gradient.lerp_(memory["momentum"], beta).flatten(1)  # Nesterov's
                rate = group["lr"] * AS_LARGE_AS_ADAMS * math.sqrt(max(matrix.shape))
                parameter.sub_(orthogonal(matrix).reshape(parameter.shape), alpha=rate)
                parameter.grad = None
        return super().step(closure)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors, and singular values between 0.7 and 1.2, but for those near 0.

    Newton and Schulz's iteration, on the products of the shorter side's vectors alone: the matrix itself is multiplied twice.

    Args:
        matrix: `(rows, columns)`.

    >>> values = torch.linalg.svdvals(orthogonal(torch.tensor([[3.0, 1.0], [1.0, 0.5]])))
    >>> bool(values.min() > 0.6), bool(values.max() < 1.3)
    (True, True)
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.mT).mT
    products = matrix @ matrix.mT
    length = products.trace().sqrt_().add_(1e-12)
    products = products / length.square()
    one = torch.eye(len(products), dtype=matrix.dtype, device=matrix.device)
    first, third, fifth = COEFFICIENTS
    applied = one / length
    for _ in range(ITERATIONS):
        factor = torch.addmm(products, products, products, beta=third, alpha=fifth).add_(one, alpha=first)
        applied = factor @ applied
        products = factor @ products @ factor
    return applied @ matrix


OPTIMIZERS: dict[str, Callable[..., torch.optim.Adam]] = {
    "adam": functools.partial(torch.optim.Adam, fused=True),
    "muon": functools.partial(Muon, fused=True),
}
"""From the parameters, `lr` and `betas`."""
