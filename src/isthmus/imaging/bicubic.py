"""Resizing of batches of tensors: cubic, as Matlab's imresize does it; and the weights of other kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from isthmus.imaging.arrays import Array

if TYPE_CHECKING:
    from torch import Tensor

CUBIC_RADIUS = 4
"""Pixels of a small picture on which its stretched form depends, to each side."""


def rescale(images: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """Return images `(B, C, H, W)` scaled by cubic interpolation, clipped to [0, 1], as Matlab's imresize does.

    Args:
        images: The batch.
        size: (H, W) of the result.
        scale: How many times the result's pixels are finer.
    """
    import torch

    rows, columns = (_weights(length, wanted, scale) for length, wanted in zip(images.shape[-2:], size, strict=True))
    down, across = (torch.from_numpy(part).to(images) for part in (rows, columns))
    return (down @ images @ across.T).clamp(0, 1)


def enlarge(images: Tensor, factor: int) -> Tensor:
    """Return images `(B, C, H, W)` a whole number of times as large, as `rescale` gives them: each pixel becomes a square of them.

    Only convolutions and moves of pixels, so that it takes any size where it is exported to.
    """
    from torch import cat, from_numpy
    from torch.nn import functional as F

    for axis in (-2, -1):
        length, columns = images.shape[axis], axis == -1
        edges = [images.narrow(axis, place, 1) for place in (1 % length, 0, length - 1, (length - 2) % length)]
        images = cat([*edges[:2], images, *edges[2:]], axis)  # two pixels mirrored at each end
        taps = from_numpy(_weights(16, 16 * factor, factor)[8 * factor : 9 * factor, 6:11]).to(images)  # far from the edges
        kernels = taps[:, None, None, :] if columns else taps[:, None, :, None]
        batch, channels, height, width = images.shape
        fine = F.conv2d(images.reshape(-1, 1, height, width), kernels)  # (B x C, factor, H, W)
        fine = fine.movedim(1, -1) if columns else fine.movedim(1, 2)
        height, width = (height, (width - 4) * factor) if columns else ((height - 4) * factor, width)
        images = fine.reshape(batch, channels, height, width)
    return images.clamp(0, 1)


@lru_cache(maxsize=64)
def _weights(length: int, wanted: int, scale: float) -> Array:
    return weights(length, wanted, scale)


def _cubic(x: Array) -> Array:
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


KERNELS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "box": (0.5, lambda x: (x <= 0.5).astype(float)),
    "triangle": (1.0, lambda x: np.clip(1 - x, 0, None)),
    "cubic": (2.0, _cubic),
    "lanczos": (3.0, lambda x: np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)),
}
"""Resampling kernels by name: how many pixels they reach to each side, and their weight at a distance."""


def weights(length: int, wanted: int, scale: float, kernel: str = "cubic", start: float = 0.0) -> Array:
    """Return how much of each old pixel goes into each new one, `(wanted, length)` float32.

    Shrinking widens the kernel, so that nothing is aliased. Beyond the ends the pixels are mirrored.

    Args:
        length: Old pixels.
        wanted: New pixels.
        scale: How many new pixels one old pixel becomes.
        kernel: A name in `KERNELS`.
        start: Where the first new pixel begins, in old pixels.
    """
    receptive_radius, weight_at = KERNELS[kernel]
    finer = min(scale, 1)
    width = 2 * receptive_radius / finer
    middle = (np.arange(wanted) + 0.5) / scale - 0.5 + start
    places = np.floor(middle - width / 2)[:, None] + np.arange(int(np.ceil(width)) + 2)
    shares = weight_at(np.abs(middle[:, None] - places) * finer)
    shares /= shares.sum(1, keepdims=True)
    mirrored = np.r_[np.arange(length), np.arange(length)[::-1]][places.astype(int) % (2 * length)]
    matrix = np.zeros((wanted, length))
    np.add.at(matrix, (np.arange(wanted)[:, None], mirrored), shares)
    return matrix.astype(np.float32)
