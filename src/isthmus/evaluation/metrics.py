"""Metrics of restored images: one value per image, from arrays `(n, C, H, W)` in [0, 1].

Each metric takes the restored and the clean images and returns `(n,)` float64. Numpy only, so that a model, PCA and a
classical filter are all measured by the same lines. However large an image is, little memory beside its own is needed.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.floating]
Scores = NDArray[np.float64]

PROBABILITY_FLOOR = 1e-3
"""Values are clipped to [floor, 1 - floor] before a logarithm: a sure and wrong pixel costs 6.9 nats, not infinity."""

PART_VALUES = 1 << 22
"""Values that are compared at once, in float64."""

WINDOW = 7
"""Side of the window in which structures are compared, in pixels."""

COLOR_PIXELS = 1 << 18
"""Pixels of an image whose colors are looked at, about: of a larger one, every second of each side, every third, and so on."""


def mean_squared_error(restored: Images, clean: Images) -> Scores:
    """Return the mean squared difference of each image."""
    return _per_image(lambda a, b: np.square(a - b), restored, clean)


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

    def error(a: Scores, b: Scores) -> Scores:
        p = np.clip(a, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
        nats: Scores = -(b * np.log(p) + (1 - b) * np.log1p(-p))
        return nats

    return _per_image(error, restored, clean)


def ssim(restored: Images, clean: Images) -> Scores:
    """Return the structural similarity of each image, in [-1, 1]; NaN where the image is smaller than 7 pixels.

    Source: Wang et al. (2004) with a uniform 7x7 window, as scikit-image computes it.
    """
    from skimage.metrics import structural_similarity

    height, width = clean.shape[-2:]
    if min(height, width) < WINDOW:
        return np.full(len(clean), np.nan)
    similarity: Any = structural_similarity
    edge = WINDOW // 2
    rows = max(1, PART_VALUES // clean[0, :, 0].size)
    sums = np.zeros(len(clean))
    for start in range(edge, height - edge, rows):  # the rows that a window can stand on
        stop = min(start + rows, height - edge)
        parts = (images[:, :, start - edge : stop + edge] for images in (restored, clean))
        for place, (a, b) in enumerate(zip(*parts, strict=True)):
            band = similarity(a.astype(np.float64), b.astype(np.float64), win_size=WINDOW, data_range=1.0, channel_axis=0)
            sums[place] += band * (stop - start)
    return np.asarray(sums / (height - 2 * edge))


def ciede2000(restored: Images, clean: Images) -> Scores:
    """Return how far the colors of each image are from the clean one's, as people see it: the mean over pixels of CIEDE2000.

    A difference of 1 can just be seen side by side. NaN where the images are not RGB.

    Source: Sharma, Wu and Dalal (2005), as scikit-image computes it; of large images, of every few pixels (`COLOR_PIXELS`).
    """
    if clean.shape[1] != 3:
        return np.full(len(clean), np.nan)
    return np.array([color_difference(_thinned(a), _thinned(b)).mean() for a, b in zip(restored, clean, strict=True)])


def color_difference(restored: Images, clean: Images) -> Scores:
    """Return the CIEDE2000 difference of every pixel `(H, W)` of two RGB images `(3, H, W)`."""
    from skimage import color

    convert: Any = color.rgb2lab
    difference: Any = color.deltaE_ciede2000
    restored_lab, clean_lab = (convert(np.moveaxis(image.astype(np.float64), 0, -1)) for image in (restored, clean))
    return np.asarray(difference(clean_lab, restored_lab))


def colorfulness(restored: Images, clean: Images) -> Scores:
    """Return how colorful people find each restored image, from 0 (gray) to about 110; the clean ones are of no account.

    NaN where the images are not RGB.

    Source: Hasler and Suesstrunk (2003), whose M3 is of values up to 255; of large images, of every few pixels.

    >>> gray, red = np.zeros((2, 1, 3, 4, 4))
    >>> red[0, 0] = 1
    >>> [float(colorfulness(image, gray)[0].round(1)) for image in (gray, red)]
    [0.0, 85.5]
    """
    if restored.shape[1] != 3:
        return np.full(len(restored), np.nan)
    values = []
    for image in restored:
        red, green, blue = 255 * _thinned(image).astype(np.float64)
        opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
        values.append(np.hypot(*opponents.std(1)) + 0.3 * np.hypot(*opponents.mean(1)))
    return np.array(values)


METRICS: dict[str, Callable[[Images, Images], Scores]] = {
    "bce": cross_entropy,
    "mse": mean_squared_error,
    "psnr_db": psnr_db,
    "ssim": ssim,
    "ciede2000": ciede2000,
    "colorfulness": colorfulness,
}


def _per_image(error: Callable[[Scores, Scores], Scores], restored: Images, clean: Images) -> Scores:
    """Return the mean over each image of an error of its values."""
    sums = np.zeros(len(clean))
    for rows in _rows(clean.shape):
        a, b = (images[:, :, rows].astype(np.float64).reshape(len(images), -1) for images in (restored, clean))
        sums += error(a, b).sum(1)
    return np.asarray(sums / max(1, clean[0].size))


def _rows(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut images `(n, C, H, W)` into bands of rows, each of `PART_VALUES`, about."""
    count, channels, height, width = shape
    step = max(1, PART_VALUES // max(1, count * channels * width))
    return (slice(start, start + step) for start in range(0, height, step))


def _thinned(image: Images) -> Images:
    step = int(np.ceil(np.sqrt(image[0].size / COLOR_PIXELS))) or 1
    return image[:, ::step, ::step]
