"""Whether an image was a JPEG, and of which quality, told from its pixels.

A picture that is a PNG now may have been a JPEG. That rounds the cosine coefficients of each block of 8 x 8 pixels to multiples of
a step. In the pixels that come back, they still lie close to these multiples, unless the image was resized. Where the blocks lie
after cropping, the small steps in brightness between them tell.
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

LARGEST = 512
"""Height and width in pixels of what is looked at: the middle of a larger image."""

LOOKED_AT = ((0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (0, 3), (1, 2), (2, 1), (3, 0))
"""Coefficients that are looked at (cycles down, cycles across): the lowest ones, of which few are rounded to zero."""

USUAL_STEPS = (11, 12, 10, 12, 14, 16, 14, 13, 14)
"""Their steps at quality 50 in the JPEG standard's example (ITU-T T.81, table K.1), by which qualities are counted."""

MOST_STEP = 255
"""The largest step that 8 bits hold."""

FEWEST_BLOCKS, FEWEST_STEPS = 12, 4
"""How many different blocks with a nonzero coefficient it takes to tell its step, and how many steps to tell the quality."""

APART = 10
"""How much lower an earlier JPEG's quality must be. Other traces of about the same quality come from the one JPEG."""

CLEAR = 0.5
"""Mean of the cosine of coefficients, a step being one turn, from which it is their step: 1 if all lie on its multiples, about 0
for other images. Rounding to 8 bits leaves 0.8 of a step of 2, and hides a step of 1."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""JPEG's weights of red, green and blue (ITU-R BT.601)."""

_CYCLES, _PLACES = np.mgrid[:BLOCK, :BLOCK]
COSINES = np.cos((2 * _PLACES + 1) * _CYCLES * np.pi / (2 * BLOCK)) * np.where(_CYCLES == 0, math.sqrt(0.5), 1) / 2
"""The orthonormal cosine transform of a row of a block, one cycle a row."""


def jpeg_qualities(image: Array) -> list[int]:
    """Return the quality of the JPEG that an image was, 1 to about 92, and of an earlier one on other blocks.

    Better ones leave nothing. An earlier one shows only through one that was clearly better.

    Args:
        image: `(C, H, W)`, gray or RGB.
    """
    luma = _luma(image)
    corner = _quality(luma)
    places = [(top, left) for top in (0, _first_row(luma)) for left in (0, _first_row(luma.T)) if top or left]
    others = {quality for top, left in places if (quality := _quality(luma[top:, left:]))}
    if corner is None:
        return [min(others)] if others else []
    return [corner, *(quality for quality in sorted(others)[:1] if quality < corner - APART)]


def without_artifacts(images: Array, repair: Callable[[Array], Array], kept: int) -> Array:
    """Return images `(n, C, H, W)`, repaired where they show more than `kept` JPEGs.

    Args:
        images: The images.
        repair: Takes and returns such a batch.
        kept: How many JPEGs are left to what comes next.
    """
    shown = [place for place, image in enumerate(images) if sum(q <= REPAIRED_QUALITY for q in jpeg_qualities(image)) > kept]
    repaired = images.copy() if shown else images
    for place in shown:
        repaired[place : place + 1] = repair(images[place : place + 1])
    return repaired


def _luma(image: Array) -> Array:
    """Return the luminance of an image's middle, whose corner is that of a block, where the range is 255."""
    places = [max(0, (side - LARGEST) // 2 // BLOCK * BLOCK) for side in image.shape[1:]]
    middle = 255 * to_unit(image[:, places[0] : places[0] + LARGEST, places[1] : places[1] + LARGEST])
    luma: Array = np.tensordot(LUMA, middle, 1) if len(image) == len(LUMA) else middle.mean(0)
    return luma


def _first_row(luma: Array) -> int:
    """Return where blocks may begin that are not those of the corner, 0 to 7: where neighboring rows differ most."""
    steps = np.abs(np.diff(luma, axis=0)).mean(1)
    if len(steps) < 3 * BLOCK:
        return 0
    excess = steps[1:-1] - (steps[:-2] + steps[2:]) / 2  # of the step from row i + 1 to row i + 2
    whole = len(excess) // BLOCK * BLOCK
    means = np.roll(excess[:whole].reshape(-1, BLOCK).mean(0), 2)
    return 1 + int(means[1:].argmax())


def _quality(luma: Array) -> int | None:
    """Return the quality of the JPEG whose blocks begin at the corner, if there is one."""
    down, across = (side // BLOCK for side in luma.shape)
    blocks = luma[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)
    coefficients = COSINES @ blocks @ COSINES.T
    steps = [_step(coefficients[:, row, column]) for row, column in LOOKED_AT]
    scales = [100 * step / usual for step, usual in zip(steps, USUAL_STEPS, strict=True) if step]
    if len(scales) < FEWEST_STEPS:
        return None
    scale = float(np.median(scales))
    return max(1, round(100 - scale / 2 if scale <= 100 else 5000 / scale))  # as libjpeg counts qualities


def _step(values: Array) -> int:
    """Return the step of whose multiples one coefficient's values are; 0 if there is none.

    A step's divisors fit as well as it does, so the largest that fits is taken. Blocks that are alike, as in drawings, count once.
    """
    values = np.sort(np.abs(np.unique(values.round(2))))
    if len(values) < FEWEST_BLOCKS:
        return 0
    steps = np.arange(2, min(MOST_STEP, int(2 * values[-FEWEST_BLOCKS])) + 1, dtype=np.float32)  # (n,)
    turned = np.cos(2 * np.pi * values.astype(np.float32)[:, None] / steps)  # (values, n)
    beyond = values[:, None] > steps / 2  # those that are not rounded to zero
    fits = (turned * beyond).sum(0) > CLEAR * beyond.sum(0)
    return int(steps[fits].max(initial=0))
