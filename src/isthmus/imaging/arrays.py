"""One image as an array: its axes, its range, its size.

Everything inside isthmus is a batch `(n, C, H, W)` of floats in [0, 1]; this room brings a user's array there and back.
Numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isthmus.errors import DataError

Array = NDArray[Any]


@dataclass(frozen=True)
class Window:
    """Where a part of a picture lies in the whole."""

    size: tuple[int, int]
    """(H, W) of the whole."""
    part: tuple[slice, slice]
    """Its rows and columns."""


def to_unit(array: Array) -> NDArray[np.float32]:
    """Return an array's values as float32 where 0 is black and 1 is white.

    >>> to_unit(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    values: NDArray[np.float32] = array.astype(np.float32)
    if array.dtype.kind not in "fb":
        values /= np.float32(np.iinfo(array.dtype).max)
    return values


def from_unit(values: NDArray[np.floating], dtype: np.dtype[Any]) -> Array:
    """Return values in [0, 1] as `dtype`, rounded to the nearest step; the inverse of `to_unit`."""
    if dtype.kind == "f":
        return np.asarray(values.astype(dtype))
    if dtype.kind == "b":
        return np.asarray(values >= 0.5)
    top = np.iinfo(dtype).max
    steps: Array = np.rint(np.clip(values, 0, 1) * np.float32(top)).astype(dtype)
    return steps


def widest(dtypes: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the type that keeps most of an image: floats before integers, long before short."""
    return max(dtypes, key=lambda dtype: (dtype.kind == "f", dtype.itemsize))


def alike(image: Array, channels: int, dtype: np.dtype[Any]) -> Array:
    """Return an image `(C, H, W)` with another type, and with as many channels as are wanted: gray becomes RGB, in pairs too."""
    image = image if image.dtype == dtype else from_unit(to_unit(image), dtype)
    return image if len(image) == channels else np.repeat(image, channels // len(image), 0)


def check_values(array: Array) -> None:
    """Refuse values that are not those of images, with the fix.

    Accepted are bool, uint8, uint16, and floats in [0, 1] or around it, as noise leaves them.

    Raises:
        DataError: If the type is another, a value is not finite, or the floats have another range.
    """
    if array.dtype.kind == "b" or array.dtype in (np.uint8, np.uint16):
        return
    if array.dtype.kind != "f":
        raise DataError(
            f"The images have type {array.dtype}; accepted are uint8, uint16, bool, and floats in [0, 1]. "
            "If the values lie in 0..255, convert with .astype('uint8')."
        )
    if array.size == 0:
        return
    low, high = float(array.min()), float(array.max())
    if not np.isfinite((low, high)).all():
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise DataError(f"The images hold {bad} values that are NaN or infinite: replace them, for example with np.nan_to_num.")
    if low >= 0 and high <= 1:
        return
    outside = array[(array < 0) | (array > 1)][:100_000]
    repeated = outside.size > 3 and np.unique(outside).size <= outside.size // 2  # noise hardly repeats a value, scaling does
    if -1.001 <= low < -0.9 and high <= 1.001:
        fix = "they look like [-1, 1]: use (x + 1) / 2"
    elif high > 6 and low >= -0.5 * high:
        top = 255 if high < 300 else 65535
        fix = f"they look like 0..{top}: divide by {top}, or convert to uint{8 if top == 255 else 16}"
    elif low < -5 or high > 6 or repeated:
        fix = "they look standardised: undo it (x * std + mean), so that 0 is black and 1 is white"
    else:
        return
    raise DataError(f"The images are floats from {low:.4g} to {high:.4g}, not in [0, 1]; {fix}.")


@dataclass(frozen=True)
class Layout:
    """How an array's axes are arranged, so that a batch `(n, C, H, W)` can go back to where it came from."""

    axes: str
    """One of "HW", "HWC", "CHW", "NHW", "NCHW", "NHWC"."""

    @classmethod
    def of(cls, shape: tuple[int, ...], channels: int | None = None) -> Layout:
        """Recognise the layout of an array of images.

        Args:
            shape: `(H, W)`, `(H, W, C)`, `(n, H, W)`, `(n, C, H, W)` or `(n, H, W, C)`; `(C, H, W)` where C is known and not 1.
            channels: C, where it is known; else 1, 3 or 4 count as channels.

        Raises:
            DataError: If the shape is none of these.

        >>> Layout.of((28, 28)).axes, Layout.of((10, 28, 28)).axes, Layout.of((32, 32, 3)).axes
        ('HW', 'NHW', 'HWC')
        """
        known = (channels, 1) if channels else (1, 3, 4)
        if len(shape) == 2:
            return cls("HW")
        if len(shape) == 3:
            if channels is not None and channels > 1 and shape[0] == channels != shape[-1]:
                return cls("CHW")
            return cls("HWC" if shape[-1] in (known if channels != 1 else (1, 3)) else "NHW")
        if len(shape) == 4 and shape[1] in known:
            return cls("NCHW")
        if len(shape) == 4 and shape[3] in known:
            return cls("NHWC")
        wanted = f"C = {channels}" if channels else "C = 1 or 3"
        raise DataError(
            f"An array of shape {tuple(shape)} is not one of (H, W), (H, W, C), (n, H, W), (n, C, H, W), "
            f"(n, H, W, C) with {wanted}."
        )

    def to_batch(self, array: Array) -> Array:
        """Return the array as `(n, C, H, W)`, without a copy."""
        match self.axes:
            case "HW":
                return array[None, None]
            case "HWC":
                return np.moveaxis(array, -1, 0)[None]
            case "CHW":
                return array[None]
            case "NHW":
                return array[:, None]
            case "NHWC":
                return np.moveaxis(array, -1, 1)
        return array

    def from_batch(self, batch: Array) -> Array:
        """Return a batch `(n, C, H, W)` in this layout, with an axis more if colors have come in; the inverse of `to_batch`."""
        axes = self.axes if "C" in self.axes or batch.shape[1] == 1 else f"{self.axes}C"
        match axes:
            case "HW":
                return np.asarray(batch[0, 0])
            case "HWC":
                return np.moveaxis(batch[0], 0, -1)
            case "CHW":
                return np.asarray(batch[0])
            case "NHW":
                return batch[:, 0]
            case "NHWC":
                return np.moveaxis(batch, 1, -1)
        return batch


def resize(image: Array, size: tuple[int, int]) -> Array:
    """Scale an image to cover a size and cut its middle out: nothing is stretched, nothing is added.

    Args:
        image: `(C, H, W)`, uint8, uint16 or float32.
        size: (H, W) in pixels.
    """
    height, width = image.shape[1:]
    if (height, width) == size:
        return image
    scale = max(size[0] / height, size[1] / width)
    scaled = (max(size[1], round(width * scale)), max(size[0], round(height * scale)))
    across, down = width / scaled[0], height / scaled[1]
    left, top = (scaled[0] - size[1]) // 2 * across, (scaled[1] - size[0]) // 2 * down
    box = (left, top, min(width, left + size[1] * across), min(height, top + size[0] * down))  # a thin one's whole would be huge
    planes = [np.asarray(Image.fromarray(p).resize(size[::-1], Image.Resampling.BICUBIC, box)) for p in to_unit(image)]
    return from_unit(np.clip(np.stack(planes), 0, 1), image.dtype)


def fill_hidden(pixels: Array, alpha: Array) -> Array:
    """Return pixels `(H, W, C)` where the colors under alpha 0, which nobody sees, are those of the nearest that are seen.

    A model mixes neighbors: without this, black from under a transparent sky darkens the edge of what stands before it. Colors
    are averaged premultiplied, in a pyramid of ever larger squares.

    >>> fill_hidden(np.array([[[200], [0]]], np.uint8), np.array([[255, 0]], np.uint8)).tolist()
    [[[200], [200]]]
    """
    if alpha.all() or not alpha.any():
        return pixels
    weights = to_unit(alpha)[:, :, None]
    filled = _filled(to_unit(pixels) * weights, weights)
    return np.where(alpha[:, :, None] == 0, from_unit(filled, pixels.dtype), pixels)


def _filled(colors: Array, weights: Array) -> Array:
    seen = weights > 0
    own = np.divide(colors, weights, out=np.zeros_like(colors), where=seen)
    if seen.all():
        return own
    height, width = weights.shape[:2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    halves = [np.pad(part, odd).reshape(-(-height // 2), 2, -(-width // 2), 2, -1).sum((1, 3)) for part in (colors, weights)]
    coarse = _filled(*halves).repeat(2, 0).repeat(2, 1)[:height, :width]
    return np.where(seen, own, coarse)


def in_channels(images: Array, count: int) -> Array:
    """Return the first channels of images `(n, C, H, W)`, the last one repeated where there are too few."""
    if images.shape[1] == count:
        return images
    return images[:, [min(channel, images.shape[1] - 1) for channel in range(count)]]


def middle(images: Array, height: int, width: int | None = None) -> Array:
    """Return the middles of images `(..., H, W)`, at most so large."""
    top, left = (max(0, (have - want) // 2) for have, want in zip(images.shape[-2:], (height, width or height), strict=True))
    return images[..., top : top + height, left : left + (width or height)]
