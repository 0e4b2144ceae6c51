"""Codes as few bytes, and what that costs: a quantiser, an entropy coder, and both beside PCA, JPEG and WebP.

Lossy: a code is not the image, and a quantised code is not the code. The quantiser has one step for all numbers, so that numbers
that vary little cost little; the entropy coder is constriction's range coder. There are no tables to store: how probable a level
is, the encoder and the decoder both learn from the levels that came before.

Source: Gersho and Gray (1992) for the uniform quantiser; Rissanen and Langdon (1981) for learning while coding; Bamler (2022)
for the coder.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from constriction import stream as coders
from PIL import Image

from isthmus.datasets.arrays import npz_bytes
from isthmus.errors import DataError, UsageError
from isthmus.images import Array, from_unit, to_unit
from isthmus.metrics import mean_squared_error, psnr_db
from isthmus.restoring import Model

MAX_BITS = 12

MAX_NUMBERS = 1 << 27
"""Numbers in one stream: a million codes of 128."""

NUMBERS_PER_BYTE = 1024
"""At most so many in each byte, where all are alike: what a hostile stream can claim is limited by its size."""

MAX_MODELS = 4096
"""Groups of numbers in one stream whose levels are counted apart."""

WIDTHS = (0, 1, 3, 9, 27, 81)
"""Levels on either side that a level may make more probable; the encoder chooses one for each group."""

PRIOR_LEVELS = 2.0
"""As many levels of its own a group must have seen for them to count as much as those of the groups before it."""

VERSION = 1
HEADER = struct.Struct("<BBHIqd")
"""Version, axes, levels, groups, the lowest level, the step; the codes' shape follows, the coder's words, and a CRC-32."""

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


def compress(codes: Array, bits: int) -> bytes:
    """Return codes as few bytes; some of their precision is lost, which `decompress` does not bring back.

    Args:
        codes: `(n, numbers)` or `(n, channels, h, w)`, finite.
        bits: From 1 to 12: between the smallest and the largest number of all codes lie 2^bits levels.

    Raises:
        UsageError: If there are too few or too many bits.
        DataError: If the codes are empty, too many, or not finite.

    >>> codes = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    >>> stream = compress(codes, bits=4)
    >>> len(stream) < codes.nbytes / 10, bool(abs(decompress(stream) - codes).max() < 0.3)
    (True, True)
    """
    check_bits(bits)
    codes = np.asarray(codes, np.float64)
    if codes.ndim < 2 or not 0 < codes.size <= MAX_NUMBERS:
        raise DataError(f"Codes of shape {codes.shape} cannot be compressed: they hold from 1 to {MAX_NUMBERS:,} numbers at once.")
    low, high = float(codes.min()), float(codes.max())
    if not math.isfinite(high - low):
        raise DataError("The codes hold values that are NaN or infinite: train the model anew, with a lower --learning-rate.")
    step = (high - low) / (2**bits - 1) or abs(high) or 1.0
    steps = np.rint(codes / step)
    lowest = int(steps.min())
    levels = max(2, int(steps.max()) - lowest + 1)
    table = np.moveaxis((steps - lowest).astype(np.int32), 1, -1)  # (n, ..., channels): reshaped, each column is a group
    groups = sorted({1, codes.shape[1], math.prod(codes.shape[1:])})
    streams = {count: _encode(table.reshape(-1, count), levels) for count in groups if count <= MAX_MODELS}
    count = min(streams, key=lambda count: len(streams[count]))
    header = HEADER.pack(VERSION, codes.ndim, levels, count, lowest, step) + struct.pack(f"<{codes.ndim}I", *codes.shape)
    body = header + streams[count].ljust(4 * math.ceil(codes.size / NUMBERS_PER_BYTE / 4), b"\0")
    return body + zlib.crc32(body).to_bytes(4, "little")


def decompress(stream: bytes) -> Array:
    """Return the codes of what `compress` gave, of the same shape, float32.

    Raises:
        DataError: If the bytes are damaged, or are not those of codes.
    """
    body, checksum = stream[:-4], stream[-4:]
    if stream[:1] > bytes([VERSION]):
        raise DataError(f"The compressed codes have version {stream[0]}, and this isthmus knows {VERSION}: update it.")
    if zlib.crc32(body).to_bytes(4, "little") != checksum:
        raise DataError("The compressed codes are damaged: their checksum does not fit.")
    try:
        version, axes, levels, groups, lowest, step = HEADER.unpack_from(body)
        shape = struct.unpack_from(f"<{axes}I", body, HEADER.size)
    except struct.error:
        raise DataError("These are not codes that isthmus compressed: they are too short.") from None
    words = body[HEADER.size + 4 * axes :]
    numbers = math.prod(shape[1:])
    fits = axes >= 2 and 0 < numbers * shape[0] <= min(MAX_NUMBERS, NUMBERS_PER_BYTE * len(words)) and len(words) % 4 == 0
    divided = 0 < groups <= MAX_MODELS and numbers % groups == 0
    finite = 0 < step < math.inf and (abs(lowest) + levels) * step < float(np.finfo(np.float32).max)
    if not (version == VERSION and fits and divided and finite and 2 <= levels <= 1 << MAX_BITS + 1):
        raise DataError("These are not codes that isthmus compressed: what they say of themselves cannot be.")
    table = _decode(words, groups, shape[0] * numbers // groups, levels).reshape(shape[0], *shape[2:], shape[1])
    return np.moveaxis(((table + float(lowest)) * step).astype(np.float32), -1, 1)


def check_bits(bits: int) -> None:
    """Refuse what is no number of bits.

    Raises:
        UsageError: If it is not from 1 to 12.
    """
    if not 1 <= bits <= MAX_BITS:
        raise UsageError(f"--bits must be from 1 to {MAX_BITS}, not {bits}: the range of a code is cut into 2^bits levels.")


def _encode(table: Array, levels: int) -> bytes:
    """Return the coder's words for levels `(m, groups)`."""
    encoder = coders.queue.RangeEncoder()
    before = np.zeros(levels, np.int64)
    for index, series in enumerate(np.ascontiguousarray(table[_order(len(table))].T)):
        prior = _prior(before, index, len(series))
        width = _best_width(series, prior)
        encoder.encode(WIDTHS.index(width), coders.model.Uniform(len(WIDTHS)))
        counts = np.zeros(levels, np.int64)
        for part in _parts(len(series)):
            encoder.encode(series[part], coders.model.Categorical(_weights(counts, prior, width), perfect=False))
            counts += np.bincount(series[part], minlength=levels)
        before += counts
    return bytes(encoder.get_compressed().astype("<u4").tobytes())


def _decode(words: bytes, groups: int, length: int, levels: int) -> Array:
    """Return the levels `(length, groups)` that words stand for: `_encode` step by step."""
    decoder = coders.queue.RangeDecoder(np.frombuffer(words, "<u4").astype(np.uint32))
    table = np.empty((groups, length), np.int32)
    before = np.zeros(levels, np.int64)
    try:
        for index, series in enumerate(table):
            prior = _prior(before, index, length)
            width = WIDTHS[decoder.decode(coders.model.Uniform(len(WIDTHS)))]
            counts = np.zeros(levels, np.int64)
            for part in _parts(length):
                model = coders.model.Categorical(_weights(counts, prior, width), perfect=False)
                series[part] = decoder.decode(model, part.stop - part.start)
                counts += np.bincount(series[part], minlength=levels)
            before += counts
    except AssertionError:  # what the decoder raises on words that no encoder wrote
        raise DataError("These are not codes that isthmus compressed: no encoder wrote such bytes.") from None
    return table.T[np.argsort(_order(length))]


def _order(length: int) -> Array:
    """Return an order for a series that jumps about: neighbours are often alike, and what is learnt early must hold later."""
    stride = length * 618 // 1000 + 1  # the golden section, which spreads best
    while math.gcd(stride, length) > 1:
        stride += 1
    return np.arange(length, dtype=np.int64) * stride % length


def _parts(length: int) -> Iterator[slice]:
    """Yield the parts of a series, each half as long as all before it: after each, the encoder and the decoder learn."""
    start = 0
    while start < length:
        stop = min(length, max(start + 2, start * 3 // 2))
        yield slice(start, stop)
        start = stop


def _prior(before: Array, groups: int, length: int) -> Array:
    """Return the weights of levels in a group of which nothing is known, from the counts in the groups before it."""
    return np.asarray(PRIOR_LEVELS * (before / length + 1 / len(before)) / (groups + 1))


def _weights(counts: Array, prior: Array, width: int) -> Array:
    """Return the weights of levels: those counted, nine tenths of each spread over its neighbours, and the prior's.

    Sums are of whole numbers, the rest is done number by number: every machine finds the same to the last bit.
    """
    lag = width + 1
    sums = np.pad(counts, (lag + 1, width)).cumsum().cumsum()
    spread = sums[2 * lag :] - 2 * sums[lag:-lag] + sums[: -2 * lag]  # counts times a triangle that falls to 0 at the lag
    return np.asarray(0.9 * (spread / (width + 1) ** 2) + 0.1 * counts + prior)


def _best_width(series: Array, prior: Array) -> int:
    """Return the width with which the first third of a series tells most about the rest."""
    third = len(series) // 3
    counts, rest = (np.bincount(part, minlength=len(prior)) for part in (series[:third], series[third:]))

    def cost(width: int) -> float:
        weights = _weights(counts, prior, width)
        return -float((rest * np.log(weights / weights.sum())).sum())

    return min(WIDTHS, key=cost)


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

    PCA has as many numbers as the model's code, the same quantiser and the same entropy coder. JPEG and WebP are Pillow's, of
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
    own = _coded(f"isthmus {model.recipe.model}", codes, lambda some: model.decode(some, size), images, bits)
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


def compressed_arrays(stream: bytes, shape: tuple[int, ...]) -> dict[str, Array]:
    """Return what a file of compressed codes holds, for a stream and the shape of the images, `(..., H, W)`."""
    return {"compressed": np.frombuffer(stream, np.uint8), "image_size": np.array(shape[-2:], np.int64)}


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
