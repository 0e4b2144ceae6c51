"""How good a restored image is: one value per image, from arrays `(n, C, H, W)` in [0, 1].

Each metric takes the restored and the clean images and returns `(n,)` float64. Numpy only, so that a model, PCA and a
classical filter are all measured by the same lines.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.floating]
Scores = NDArray[np.float64]

PROBABILITY_FLOOR = 1e-3
"""Values are clipped to [floor, 1 - floor] before a logarithm: a sure and wrong pixel costs 6.9 nats, not infinity."""


def mean_squared_error(restored: Images, clean: Images) -> Scores:
    """Return the mean squared difference of each image."""
    return _per_image(np.square(restored.astype(np.float64) - clean))


def psnr_db(restored: Images, clean: Images) -> Scores:
    """Return the peak signal-to-noise ratio of each image in dB, for a range of 1; 100 dB where they are equal.

    >>> float(psnr_db(np.full((1, 1, 2, 2), 0.6), np.full((1, 1, 2, 2), 0.5))[0].round(6))
    20.0
    """
    return -10 * np.log10(np.maximum(mean_squared_error(restored, clean), 1e-10))


def cross_entropy(restored: Images, clean: Images) -> Scores:
    """Return the binary cross-entropy of each image, the mean over its values, in nats.

    Values are read as probabilities, clipped by `PROBABILITY_FLOOR`. For a model that gives logits, its own loss is exact
    and this is within rounding of it.
    """
    p = np.clip(restored.astype(np.float64), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return _per_image(-(clean * np.log(p) + (1 - clean) * np.log1p(-p)))


def ssim(restored: Images, clean: Images) -> Scores:
    """Return the structural similarity of each image, in [-1, 1]; NaN where the image is smaller than 7 pixels.

    Source: Wang et al. (2004) with a uniform 7x7 window, as scikit-image computes it.
    """
    from skimage.metrics import structural_similarity

    if min(clean.shape[-2:]) < 7:
        return np.full(len(clean), np.nan)
    pairs = zip(restored.astype(np.float64), clean.astype(np.float64), strict=True)
    similarity: Any = structural_similarity
    return np.array([similarity(a, b, data_range=1.0, channel_axis=0) for a, b in pairs])


def ciede2000(restored: Images, clean: Images) -> Scores:
    """Return the mean difference in colour of each image as people see it, 1 being just noticeable; NaN where they are not RGB.

    Source: CIE 2000, as scikit-image computes it.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    if clean.shape[1] != 3:
        return np.full(len(clean), np.nan)
    pairs = zip(restored.astype(np.float64), clean.astype(np.float64), strict=True)
    difference: Any = deltaE_ciede2000
    return np.array([difference(rgb2lab(a, channel_axis=0), rgb2lab(b, channel_axis=0), channel_axis=0).mean() for a, b in pairs])


def colorfulness(restored: Images, clean: Images) -> Scores:
    """Return how colourful each image is, as a share of the clean one; NaN where they are not RGB.

    Source: Hasler and Suesstrunk (2003).
    """
    if clean.shape[1] != 3:
        return np.full(len(clean), np.nan)
    own, true = (_colorfulness(images.astype(np.float64)) for images in (restored, clean))
    return own / np.maximum(true, 1e-6)


def _colorfulness(images: NDArray[np.float64]) -> Scores:
    red, green, blue = images.reshape(len(images), 3, -1).swapaxes(0, 1)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    scores: Scores = np.hypot(*opponents.std(2)) + 0.3 * np.hypot(*opponents.mean(2))
    return scores


METRICS: dict[str, Callable[[Images, Images], Scores]] = {
    "bce": cross_entropy,
    "mse": mean_squared_error,
    "psnr_db": psnr_db,
    "ssim": ssim,
    "ciede2000": ciede2000,
    "colorfulness": colorfulness,
}


def _per_image(errors: NDArray[np.float64]) -> Scores:
    means: Scores = errors.reshape(len(errors), -1).mean(1)
    return means
