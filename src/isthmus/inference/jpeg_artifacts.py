"""Whether an image was a JPEG, and of which quality, told from its pixels.

A picture that is a PNG now may have been a JPEG. That rounds the cosine coefficients of each block of 8 x 8 pixels to multiples of
a step. In the pixels that come back, they still lie close to these multiples, unless the image was resized, or cropped so that the
blocks lie elsewhere.
Source: Fan and de Queiroz (2003), Identification of bitmap compression history: JPEG detection and quantizer estimation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from isthmus.imaging.arrays import Array, to_unit

REPAIRED_QUALITY = 92
"""JPEG quality up to which artifacts are worth repairing."""

BLOCK = 8
"""Height and width of a block in pixels."""

MOST_BLOCKS = 4096
"""Blocks that are looked at of a large image, spread over it."""

LOOKED_AT = ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (0, 3), (1, 2), (2, 1), (3, 0))
"""Coefficients that are looked at (cycles down, cycles across): the lowest ones, of which few are rounded to zero."""

USUAL_STEPS = (11, 12, 10, 12, 14, 16, 14, 13, 14)
"""Their steps at quality 50 in the JPEG standard's example (ITU-T T.81, table K.1), by which qualities are counted."""

FEWEST_BLOCKS, FEWEST_STEPS = 12, 4
"""Nothing is told of a step below so many different blocks where the coefficient is not zero, of an image below so many steps."""

CLEAR = 0.5
"""Mean of the cosine of coefficients, a step being one turn, from which it is their step: 1 if all lie on its multiples, about 0
for other images. Rounding to 8 bits leaves 0.8 of a step of 2, and hides a step of 1."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""JPEG's weights of red, green and blue (ITU-R BT.601)."""

_CYCLES, _PLACES = np.mgrid[:BLOCK, :BLOCK]
COSINES = np.cos((2 * _PLACES + 1) * _CYCLES * np.pi / (2 * BLOCK)) * np.where(_CYCLES == 0, math.sqrt(0.5), 1) / 2
"""The orthonormal cosine transform of a row of a block, one cycle a row."""


def jpeg_quality(image: Array) -> int | None:
    """Return the quality of the JPEG that an image was, 1 to about 92; None if it shows none, or a better one.

    Args:
        image: `(C, H, W)`, gray or RGB.
    """
    coefficients = _coefficients(image)
    steps = [_step(coefficients[:, down, across]) for down, across in LOOKED_AT]
    scales = [100 * step / usual for step, usual in zip(steps, USUAL_STEPS, strict=True) if step]
    if len(scales) < FEWEST_STEPS:
        return None
    scale = float(np.median(scales))
    return max(1, round(100 - scale / 2 if scale <= 100 else 5000 / scale))  # as libjpeg counts qualities


def without_artifacts(images: Array, repair: Callable[[Array], Array]) -> Array:
    """Return images `(n, C, H, W)`, those that show JPEG artifacts repaired: `repair` takes and returns such a batch."""
    shown = [index for index, image in enumerate(images) if (jpeg_quality(image) or 100) <= REPAIRED_QUALITY]
    repaired = images.copy() if shown else images
    for index in shown:
        repaired[index : index + 1] = repair(images[index : index + 1])
    return repaired


def _coefficients(image: Array) -> Array:
    """Return the cosine coefficients of the luminance of blocks, `(n, 8, 8)`, where the range is 255."""
    channels, down, across = len(image), image.shape[1] // BLOCK, image.shape[2] // BLOCK
    blocks = image[:, : down * BLOCK, : across * BLOCK].reshape(channels, down, BLOCK, across, BLOCK)
    every = max(1, math.ceil(math.sqrt(down * across / MOST_BLOCKS)))
    chosen = 255 * to_unit(blocks[:, ::every, :, ::every])
    luma = np.tensordot(LUMA, chosen, 1) if channels == len(LUMA) else chosen.mean(0)
    coefficients: Array = COSINES @ luma.swapaxes(1, 2).reshape(-1, BLOCK, BLOCK) @ COSINES.T
    return coefficients


def _step(values: Array) -> int:
    """Return the step of whose multiples one coefficient's values are; 0 if there is none.

    A step's divisors fit as well as it does, so the largest that fits is taken. Blocks that are alike, as in drawings, count once.
    """
    values = np.unique(values.round(2))
    found = 0
    for step in range(2, 256):
        rounded_up = values[np.abs(values) > step / 2]
        if len(rounded_up) < FEWEST_BLOCKS:
            break
        if np.cos(2 * np.pi / step * rounded_up).mean() > CLEAR:
            found = step
    return found
