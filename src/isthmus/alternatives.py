"""What a person would use instead of a model, for each thing that an image may have suffered: filters of well-kept libraries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from isthmus.corruptions import Chain, Corruption, GaussianNoise, Mask, PoissonNoise, SaltAndPepper
from isthmus.images import Array

Restore = Callable[[Array, Array, float], Array]
"""From what a person has `(C', h, w)`, what a model would see of it `(C'', H, W)`, and the noise's deviation, to `(C, H, W)`."""


@dataclass(frozen=True)
class Alternative:
    """One method."""

    name: str
    restore: Restore
    images: int
    """How many images it is measured on, at most: some are slow."""


def alternatives(corruption: Corruption) -> list[Alternative]:
    """Return what there is against a corruption; nothing, where only a model helps."""
    parts = corruption.parts if isinstance(corruption, Chain) else (corruption,)
    if all(isinstance(part, GaussianNoise | PoissonNoise | SaltAndPepper) for part in parts):
        return [Alternative(name, restore, 1000) for name, restore in FILTERS.items()]
    if corruption.enlarges > 1:
        return [Alternative("Lanczos", _lanczos, 1000)]
    if any(isinstance(part, Mask) for part in parts):
        return [Alternative("biharmonic", _biharmonic, 10)]
    return []


def _non_local_means(damaged: Array, seen: Array, strength: float) -> Array:
    from skimage.restoration import denoise_nl_means

    options = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * strength, "sigma": strength, "fast_mode": True}
    return np.asarray(denoise_nl_means(seen, channel_axis=0, **options))


def _median(damaged: Array, seen: Array, strength: float) -> Array:
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(seen, (1, 3, 3)))


def _wavelet(damaged: Array, seen: Array, strength: float) -> Array:
    from skimage.restoration import denoise_wavelet

    return np.asarray(denoise_wavelet(seen, sigma=strength, channel_axis=0, rescale_sigma=True))


def _lanczos(damaged: Array, seen: Array, strength: float) -> Array:
    factor = -(-seen.shape[1] // damaged.shape[1])
    size = damaged.shape[2] * factor, damaged.shape[1] * factor
    planes = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS)) for plane in damaged]
    return np.stack(planes)[:, : seen.shape[1], : seen.shape[2]]


def _biharmonic(damaged: Array, seen: Array, strength: float) -> Array:
    from skimage.restoration import inpaint_biharmonic

    return np.asarray(inpaint_biharmonic(seen[:-1], seen[-1] > 0.5, channel_axis=0, split_into_regions=True))


FILTERS: dict[str, Restore] = {
    "non-local means": _non_local_means,
    "median 3x3": _median,
    "wavelet": _wavelet,
}
"""What scikit-image and SciPy offer against noise, given its true deviation."""
