"""Latent codes in few bytes: a quantizer and an entropy coder.

Lossy: a code is not the image, and a quantized code is not the code. The quantizer has one step for all numbers, so that numbers
that vary little cost little; the entropy coder is constriction's range coder. There are no tables to store: how probable a level
is, the encoder and the decoder both learn from the levels that came before.

Source: Gersho and Gray (1992) for the uniform quantizer; Rissanen and Langdon (1981) for learning while coding; Bamler (2022)
for the coder.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from isthmus.errors import DataError, UsageError, require
from isthmus.imaging.arrays import Array

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
        raise DataError(f"Codes of shape {codes.shape} cannot be compressed. Accepted are 1 to {MAX_NUMBERS:,} numbers at once.")
    low, high = float(codes.min()), float(codes.max())
    if not math.isfinite(high - low):
        raise DataError("The codes hold NaN or infinite values. Train the model again, with a lower `learning_rate`.")
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
        raise DataError(f"The compressed codes have version {stream[0]}, and this isthmus reads {VERSION}. Update isthmus.")
    if zlib.crc32(body).to_bytes(4, "little") != checksum:
        raise DataError("The compressed codes are damaged: their checksum does not match.")
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
        raise DataError("These are not codes that isthmus compressed: their header is invalid.")
    table = _decode(words, groups, shape[0] * numbers // groups, levels).reshape(shape[0], *shape[2:], shape[1])
    return np.moveaxis(((table + float(lowest)) * step).astype(np.float32), -1, 1)


def check_bits(bits: int) -> None:
    """Refuse what is no number of bits.

    Raises:
        UsageError: If it is not from 1 to 12.
    """
    if not 1 <= bits <= MAX_BITS:
        raise UsageError(f"`bits` must be between 1 and {MAX_BITS}, not {bits}.")


def _encode(table: Array, levels: int) -> bytes:
    """Return the coder's words for levels `(m, groups)`."""
    encoder = _coders().queue.RangeEncoder()
    before = np.zeros(levels, np.int64)
    for index, series in enumerate(np.ascontiguousarray(table[_order(len(table))].T)):
        prior = _prior(before, index, len(series))
        width = _best_width(series, prior)
        encoder.encode(WIDTHS.index(width), _coders().model.Uniform(len(WIDTHS)))
        counts = np.zeros(levels, np.int64)
        for part in _parts(len(series)):
            encoder.encode(series[part], _coders().model.Categorical(_weights(counts, prior, width), perfect=False))
            counts += np.bincount(series[part], minlength=levels)
        before += counts
    return bytes(encoder.get_compressed().astype("<u4").tobytes())


def _decode(words: bytes, groups: int, length: int, levels: int) -> Array:
    """Return the levels `(length, groups)` that words stand for: `_encode` step by step."""
    decoder = _coders().queue.RangeDecoder(np.frombuffer(words, "<u4").astype(np.uint32))
    table = np.empty((groups, length), np.int32)
    before = np.zeros(levels, np.int64)
    try:
        for index, series in enumerate(table):
            prior = _prior(before, index, length)
            width = WIDTHS[decoder.decode(_coders().model.Uniform(len(WIDTHS)))]
            counts = np.zeros(levels, np.int64)
            for part in _parts(length):
                model = _coders().model.Categorical(_weights(counts, prior, width), perfect=False)
                series[part] = decoder.decode(model, part.stop - part.start)
                counts += np.bincount(series[part], minlength=levels)
            before += counts
    except AssertionError:  # what the decoder raises on words that no encoder wrote
        raise DataError("These are not codes that isthmus compressed: the decoder cannot read them.") from None
    return table.T[np.argsort(_order(length))]


def _order(length: int) -> Array:
    """Return an order for a series that jumps about: neighbors are often alike, and what is learned early must hold later."""
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
    """Return the weights of levels: those counted, nine tenths of each spread over its neighbors, and the prior's.

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


def _coders() -> Any:
    """Return constriction's coders."""
    require("compress", "constriction")
    from constriction import stream

    return stream


def compressed_arrays(stream: bytes, shape: tuple[int, ...]) -> dict[str, Array]:
    """Return what a file of compressed codes holds, for a stream and the shape of the images, `(..., H, W)`."""
    return {"compressed": np.frombuffer(stream, np.uint8), "image_size": np.array(shape[-2:], np.int64)}
