"""Rate against distortion: a model's codes compared with PCA, JPEG and WebP, in real bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from isthmus.datasets.arrays import npz_bytes
from isthmus.evaluation.metrics import mean_squared_error, psnr_db
from isthmus.imaging.arrays import Array, from_unit, to_unit
from isthmus.latents.codec import compress, compressed_arrays, decompress
from isthmus.model import Model

BITS = (8, 6, 5, 4, 3, 2)
QUALITIES = (1, 5, 10, 20, 35, 50, 70, 85, 95)
PICTURE_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"optimize": True, "progressive": True}, "WebP": {"method": 6}}
"""The slowest and smallest that Pillow offers of each format."""

MOSAIC_SIDE = 4096
"""Images share a picture file of at most so many pixels a side."""

RATE_NOTES = (
    "Compression is lossy. Bytes are those of whole files; the weights of the model and of PCA, needed to decode, are not counted.",
    "PSNR in the table of bytes is that of the mean squared error over all images, rounded to 8 bits.",
    "JPEG and WebP hold all images in mosaics that share headers, unless it says a file each; '-': they cannot be so small.",
)


@dataclass(frozen=True, kw_only=True)
class RatePoint:
    """One method at one setting: how many bytes, how near to the images."""

    method: str
    """What was used: "isthmus dense", "PCA 32", "JPEG", "WebP, a file each"."""
    setting: int
    """Bits, or the picture format's quality."""
    bytes: int
    """Of the files, headers and all."""
    bits_per_pixel: float
    """Of all channels together."""
    psnr_db: float
    """Peak signal-to-noise ratio of the mean squared error over all images, after rounding to 8 bits."""
    mean_psnr_db: float
    """Mean of the images' ratios, as in a scorecard."""
    beside_db: dict[str, float | None] = field(default_factory=dict)
    """For the model: `psnr_db` of each other method at as many bytes, between two of its points; None where it needs more."""


def rate_distortion(
    model: Model, train: Array, test: Array, *, bits: Sequence[int] = BITS, qualities: Sequence[int] = QUALITIES
) -> list[RatePoint]:
    """Compress images by a model and by what one would use instead, and measure the bytes and the loss.

    PCA has as many numbers as the model's code, the same quantizer and the same entropy coder. JPEG and WebP are Pillow's, of
    mosaics; at the lowest quality also of a file for each image.

    Args:
        model: What encodes and decodes.
        train: `(m, C, H, W)`, what PCA is fitted on.
        test: `(n, C, H, W)`, what is compressed; rounded to 8 bits first.
        bits: For the model and PCA, as `compress` takes them.
        qualities: For JPEG and WebP, from 0 to 100.

    Returns:
        The model's points first.
    """
    from sklearn.decomposition import PCA

    images = from_unit(to_unit(test), np.dtype(np.uint8))
    size = (images.shape[2], images.shape[3])
    codes = model.encode(images)
    own = _coded(f"isthmus {model.recipe.network}", codes, lambda some: model.decode(some, size), images, bits)
    table = to_unit(train).reshape(len(train), -1)
    with np.errstate(invalid="ignore"):  # its shares of the variance, where all images are the same
        pca = PCA(min(math.prod(codes.shape[1:]), *table.shape), random_state=0).fit(table)
    components = pca.transform(to_unit(images).reshape(len(images), -1))
    others = _coded(f"PCA {pca.n_components_}", components, pca.inverse_transform, images, bits)
    alone = []
    if images.shape[1] in (1, 3):  # what JPEG and WebP can hold
        for kind in PICTURE_OPTIONS:
            others += [_pictured(kind, kind, quality, images, MOSAIC_SIDE) for quality in qualities]
            alone.append(_pictured(f"{kind}, a file each", kind, min(qualities), images, 1))
    return [*(replace(point, beside_db=_beside(point, others)) for point in own), *others, *alone]


def _coded(method: str, codes: Array, decode: Callable[[Array], Array], images: Array, bits: Sequence[int]) -> list[RatePoint]:
    points = []
    for setting in bits:
        stream = compress(codes, setting)
        restored = from_unit(decode(decompress(stream)).reshape(images.shape), images.dtype)
        content = npz_bytes(compressed_arrays(stream, images.shape), deflate=True)
        points.append(_point(method, setting, len(content), restored, images))
    return points


def _pictured(method: str, kind: str, quality: int, images: Array, side: int) -> RatePoint:
    """Compress images as pictures of a kind, as many in one as fit into `side` pixels squared, or else one."""
    count, channels, height, width = images.shape
    across = min(max(1, side // width), math.ceil(math.sqrt(count)))
    down = min(max(1, side // height), math.ceil(count / across))
    length, restored = 0, []
    for start in range(0, count, across * down):
        tiles = np.zeros((across * down, channels, height, width), np.uint8)
        part = images[start : start + len(tiles)]
        tiles[: len(part)] = part
        grid = tiles.reshape(down, across, channels, height, width).transpose(0, 3, 1, 4, 2)  # (down, H, across, W, C)
        mosaic = grid.reshape(down * height, across * width, channels)
        buffer = io.BytesIO()
        Image.fromarray(mosaic[:, :, 0] if channels == 1 else mosaic).save(buffer, kind, quality=quality, **PICTURE_OPTIONS[kind])
        length += buffer.tell()
        pixels = np.asarray(Image.open(buffer).convert("L" if channels == 1 else "RGB")).reshape(grid.shape)
        restored.append(pixels.transpose(0, 2, 4, 1, 3).reshape(tiles.shape)[: len(part)])
    return _point(method, quality, length, np.concatenate(restored), images)


def _point(method: str, setting: int, length: int, restored: Array, images: Array) -> RatePoint:
    restored, clean = to_unit(restored), to_unit(images)
    error = float(mean_squared_error(restored, clean).mean())
    return RatePoint(
        method=method,
        setting=setting,
        bytes=length,
        bits_per_pixel=8 * length / (len(images) * math.prod(images.shape[2:])),
        psnr_db=-10 * math.log10(max(error, 1e-10)),
        mean_psnr_db=float(psnr_db(restored, clean).mean()),
    )


def _beside(point: RatePoint, others: Sequence[RatePoint]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for method in dict.fromkeys(other.method for other in others):
        lengths, ratios = zip(*sorted((other.bytes, other.psnr_db) for other in others if other.method == method), strict=True)
        found[method] = float(np.interp(math.log(point.bytes), np.log(lengths), ratios)) if point.bytes >= lengths[0] else None
    return found
