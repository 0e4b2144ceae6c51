"""How noisy an image is, told without a model."""

from __future__ import annotations

import numpy as np

from isthmus.imaging.arrays import Array, to_unit

NORMAL_MEDIAN = 0.6745
"""The median of the absolute value of a standard normal variable."""

MOST_NOISE = 1 / NORMAL_MEDIAN
"""The largest level that an image in [0, 1] can have: that of a chessboard."""


def noise_level(images: Array) -> Array:
    """Return the standard deviation of each image's noise, `(n,)`, where the image's range is [0, 1].

    It is the median size of the finest diagonal details, which few edges reach. Fine texture counts as noise, and noise that was
    smoothed, as by JPEG, counts less than it is.

    Args:
        images: `(n, C, H, W)`, at least 2 x 2 pixels.

    Source: Donoho and Johnstone (1994), Ideal spatial adaptation by wavelet shrinkage, with Haar's wavelet.
    """
    height, width = (length // 2 * 2 for length in images.shape[2:])
    x = to_unit(images[..., :height, :width])
    details = (x[..., ::2, ::2] - x[..., ::2, 1::2] - x[..., 1::2, ::2] + x[..., 1::2, 1::2]) / 2  # (n, C, H/2, W/2)
    level: Array = np.median(np.abs(details), axis=(1, 2, 3)) / NORMAL_MEDIAN
    return level
