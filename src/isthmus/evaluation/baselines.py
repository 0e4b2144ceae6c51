"""The baselines: PCA for a code, classical filters for each kind of degradation.

Which filter is fair against what was measured, on photographs: non-local means also make JPEG's blocks weaker (0.2 to 0.7 dB), a
median and wavelets make them worse, unless there is noise as well. All filters that want a strength are told the true one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from isthmus.evaluation.test_data import corruptions_at_work
from isthmus.imaging.arrays import Array, in_channels
from isthmus.model import Model
from isthmus.recipes.degradation import Sample

SLOW_IMAGES = 1000
"""Filters that take a millisecond an image are measured on at most as many."""

SLOW_PIXELS = 1 << 24
"""Filters that take a second for a million pixels are measured on at most as many."""

FEW_PIXELS = 1 << 21
"""What solves a system of equations, whose memory grows with the holes, is measured on at most as many."""

NOISE = frozenset({"gaussian-noise", "poisson-noise", "salt-and-pepper", "noise"})
"""What leaves every pixel in its place, and changes it by chance; and what is learned from images that have suffered that."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way to undo what was done to images."""

    name: str
    restore: Callable[[Sample], Array]
    """Gives `(n, C, H, W)`."""
    numbers: int | None = None
    """Numbers in its code of one image, where it has one."""
    images: float = math.inf
    """How many images it is measured on, at most."""
    pixels: float = math.inf
    """How many pixels they have in all, at most."""
    told: bool = False
    """Whether it is told how strong the damage is."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """One row of the table."""

    suits: Callable[[frozenset[str]], bool]
    """Tells whether one would use it against corruptions, of which there is one or more; by name."""
    restore: Callable[[Sample], Array]
    images: float = math.inf
    pixels: float = math.inf
    told: bool = False


def alternatives(model: Model, learned: Array | None, *, paired: bool = False) -> list[Method]:
    """Return what one would use instead of a model, in the order in which it is shown.

    Args:
        model: Any model.
        learned: `(m, C, H, W)` floats that components may be fitted on; None where images have several sizes.
        paired: Whether the images are a person's own damaged ones.
    """
    done = corruptions_at_work(model, paired=paired)
    methods = []
    if learned is not None and not model.architecture.carries_detail:
        methods.append(_principal_components(learned, math.prod(model.code_shape(learned.shape[2:]))))
    if learned is not None and not done:
        mean = learned.mean(0)
        methods.append(Method(name="mean image", numbers=0, restore=lambda example: np.broadcast_to(mean, example.clean.shape)))
    for name, row in ALTERNATIVES.items() if done else ():
        if row.suits(done):
            methods.append(Method(name=name, restore=row.restore, images=row.images, pixels=row.pixels, told=row.told))
    return methods


def _principal_components(learned: Array, numbers: int) -> Method:
    from sklearn.decomposition import PCA

    table = learned.reshape(len(learned), -1)
    numbers = min(numbers, *table.shape)
    with np.errstate(invalid="ignore"):  # its shares of the variance, where all images are the same
        pca = PCA(numbers, random_state=0).fit(table)

    def project(example: Sample) -> Array:
        images = example.input_as_image
        restored: Array = pca.inverse_transform(pca.transform(images.reshape(len(images), -1))).reshape(images.shape)
        return restored

    return Method(name=f"PCA {numbers}", numbers=numbers, restore=project)


def _each(restore: Callable[[Array, float], Array]) -> Callable[[Sample], Array]:
    """Return what applies a filter to every image, told how strong its damage is."""

    def restore_all(example: Sample) -> Array:
        images = example.input_as_image
        pairs = zip(images, np.maximum(example.strengths, 1e-4), strict=True)
        return np.stack([restore(image, float(strength)).reshape(image.shape) for image, strength in pairs])

    return restore_all


def _non_local_means(image: Array, strength: float) -> Array:
    from skimage.restoration import denoise_nl_means

    options = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * strength, "sigma": strength, "fast_mode": True}
    given = np.moveaxis(image, 0, -1)  # of a single channel in front, scikit-image would give the transposed image
    return np.moveaxis(np.asarray(denoise_nl_means(given, channel_axis=-1, **options)).reshape(given.shape), -1, 0)


def _median(image: Array, strength: float) -> Array:
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(image, (1, 3, 3)))


def _wavelet(image: Array, strength: float) -> Array:
    from skimage.restoration import denoise_wavelet

    return np.asarray(denoise_wavelet(image, sigma=strength, channel_axis=0, rescale_sigma=True))


FILTERS: dict[str, Callable[[Array, float], Array]] = {
    "non-local means": _non_local_means,
    "median 3x3": _median,
    "wavelet": _wavelet,
}
"""What scikit-image and SciPy offer against noise: `(C, H, W)` and the noise's deviation to `(C, H, W)`."""


def _unsharp_mask(image: Array, strength: float) -> Array:
    from skimage import filters

    sharpen: Any = filters.unsharp_mask
    return np.asarray(sharpen(image, radius=2, amount=1, channel_axis=0))


def _as_it_is(example: Sample) -> Array:
    return example.degraded_as_image


def _lanczos(example: Sample) -> Array:
    """Enlarge what a person has by Pillow's Lanczos filter."""
    height, width = example.clean.shape[2:]
    small = in_channels(example.degraded, example.clean.shape[1])
    size = (small.shape[3] * example.scale, small.shape[2] * example.scale)
    planes = [Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS) for image in small for plane in image]
    return np.stack([np.asarray(plane) for plane in planes]).reshape(*small.shape[:2], *size[::-1])[:, :, :height, :width]


def _biharmonic(example: Sample) -> Array:
    """Fill what is hidden with the smoothest surface that fits around it."""
    from skimage.restoration import inpaint_biharmonic

    pairs = zip(example.degraded_as_image, example.model_input[:, -1] >= 0.5, strict=True)
    return np.stack([inpaint_biharmonic(image, hidden, channel_axis=0) if hidden.any() else image for image, hidden in pairs])


ALTERNATIVES: dict[str, Alternative] = {
    "non-local means": Alternative(
        suits=lambda done: done <= NOISE | {"jpeg"},
        restore=_each(_non_local_means),
        images=SLOW_IMAGES,
        pixels=SLOW_PIXELS,
        told=True,
    ),
    "median 3x3": Alternative(
        suits=lambda done: bool(done & NOISE) and done <= NOISE | {"jpeg"},
        restore=_each(_median),
        images=SLOW_IMAGES,
        pixels=SLOW_PIXELS,
    ),
    "wavelet": Alternative(
        suits=lambda done: bool(done & NOISE) and done <= NOISE | {"jpeg"},
        restore=_each(_wavelet),
        images=SLOW_IMAGES,
        pixels=SLOW_PIXELS,
        told=True,
    ),
    "unsharp mask": Alternative(
        suits=lambda done: done == {"blur"}, restore=_each(_unsharp_mask), images=SLOW_IMAGES, pixels=SLOW_PIXELS
    ),
    "biharmonic": Alternative(suits=lambda done: done == {"mask"}, restore=_biharmonic, images=SLOW_IMAGES, pixels=FEW_PIXELS),
    "Lanczos": Alternative(suits=lambda done: "downscale" in done, restore=_lanczos),
    "bicubic": Alternative(suits=lambda done: "downscale" in done, restore=_as_it_is),
    "as it is": Alternative(suits=lambda done: "downscale" not in done, restore=_as_it_is),
}
"""What needs to learn nothing, by name. An image that was shrunk is seen stretched by cubic interpolation, so that is bicubic."""
