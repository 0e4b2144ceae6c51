"""What a picture file holds: pixels as a model wants them, and all that is needed to write the file again as it was."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from isthmus.errors import DataError
from isthmus.imaging.arrays import Array, fill_hidden, from_unit, to_unit

MAX_PIXELS = 178_000_000
"""Pictures larger than this are refused before they are decoded: a few kilobytes can claim any size. Pillow's own limit is near."""

MAX_PAGES = 10_000
"""Files of more pages are refused: a damaged one can claim any number."""

TOO_LARGE = f"the picture has more than the {MAX_PIXELS:,} pixels that are accepted; scale it down first."


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How a file holds its pixels."""

    kind: str = ""
    """The format, by its contents: "PNG", "JPEG", ..."""
    named: str = ""
    """The format that the file's name promises."""
    bits: int = 0
    """Bits of a value, where they are fewer than the pixels' type has; else 0."""
    dtype: str = ""
    """The file's own type, where it is not the pixels'."""
    low: float = 0.0
    """The file's value of black, for floats and signed numbers."""
    span: float = 1.0
    """The file's value of white, less that of black."""
    premultiplied: bool = False
    """Whether the file's colors are multiplied by its alpha."""
    model: str = ""
    """The file's color model where it is not gray or RGB: "CMYK", "LAB", ..."""
    size: tuple[int, int] = (0, 0)
    """(H, W) of the upright picture, as it was read."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else the same format's writer needs: compression, tables, chunks, the time that a frame is shown."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture file's content, and what is needed to write it back as it was."""

    pixels: Array
    """`(H, W, C)`, C = 1 or 3; uint8, uint16 or float32."""
    alpha: Array | None = None
    """`(H, W)`, of the pixels' type; where there is transparency."""
    icc_profile: bytes | None = None
    """The color profile, as embedded."""
    exif: bytes | None = None
    """EXIF, as embedded."""
    xmp: bytes | None = None
    """XMP, as embedded."""
    resolution: tuple[float, float] | None = None
    """Pixels per inch, across and down."""
    coding: Coding = Coding()
    """How the file holds the pixels."""
    bands: Array | None = None
    """`(H, W, n)`, of the pixels' type: further values of each pixel, which come back as they are."""
    black: Array | None = None
    """`(H, W)` float32 in [0, 1]: the black ink of a CMYK picture."""
    pages: tuple[Picture, ...] = ()
    """The further pages or frames of the file."""
    remarks: tuple[str, ...] = ()
    """What does not come back as it was, a sentence each, without the file's name."""

    @property
    def frames(self) -> int:
        """How many pages or frames the file holds."""
        return 1 + len(self.pages)

    @functools.cached_property
    def gray_in_rgb(self) -> bool:
        """Whether the pixels are gray, stored as RGB."""
        return self.pixels.shape[2] == 3 and is_gray(self.pixels)

    @property
    def plain_shape(self) -> tuple[int, ...]:
        """The shape of `plain`."""
        return (1 if self.gray_in_rgb else self.pixels.shape[2], *self.pixels.shape[:2])

    def plain(self) -> Array:
        """Return the pixels `(C, H, W)` as a model mixes them: gray stored as RGB is gray, no color lies under alpha 0."""
        pixels = self.pixels
        if self.gray_in_rgb:
            pixels = pixels[:, :, :1]
        if self.alpha is not None:
            pixels = fill_hidden(pixels, self.alpha)
        return np.moveaxis(pixels, -1, 0)

    def changed(self, pixels: Array) -> Picture:
        """Return the same picture with other pixels `(H, W, C)`: what lies beside them is scaled with them."""
        channels = self.pixels.shape[2]
        if pixels.shape[2] == 1 and channels == 3:
            pixels = np.repeat(pixels, 3, 2)
        size = pixels.shape[:2]
        if self.alpha is not None and pixels.shape == self.pixels.shape and pixels.dtype == self.pixels.dtype:
            pixels = np.where((self.alpha == 0)[:, :, None], self.pixels, pixels)
        bands = self.bands
        if bands is not None:
            bands = np.dstack([_scaled(bands[:, :, place], size) for place in range(bands.shape[2])])
        return dataclasses.replace(
            self,
            pixels=pixels,
            alpha=None if self.alpha is None else _scaled(self.alpha, size),
            bands=bands,
            black=None if self.black is None else _scaled(self.black, size),
            icc_profile=self.icc_profile if pixels.shape[2] == channels else None,
        )

    def changed_by(self, change: Callable[[Array], Array]) -> Picture:
        """Return the same picture with all pages changed by what takes and gives `(n, C, H, W)`."""
        pages = [page.changed(np.moveaxis(change(page.plain()[None])[0], 0, -1)) for page in (self, *self.pages)]
        return dataclasses.replace(pages[0], pages=tuple(pages[1:]))


def is_gray(pixels: Array) -> bool:
    """Tell whether the three colors of pixels `(H, W, 3)` are the same everywhere."""
    first = pixels[: 1 + len(pixels) // 64]
    return all(
        np.array_equal(part[:, :, 0], part[:, :, 1]) and np.array_equal(part[:, :, 0], part[:, :, 2]) for part in (first, pixels)
    )


def check_size(height: int, width: int) -> None:
    """Refuse a picture that is larger than `MAX_PIXELS`, or has no pixels."""
    if height < 1 or width < 1:
        raise DataError(f"a picture of {height} x {width} pixels holds nothing.")
    if height * width > MAX_PIXELS:
        raise DataError(TOO_LARGE)


def upright(array: Array, orientation: int) -> Array:
    """Apply EXIF's orientation, 1 to 8, to `(H, W, ...)`."""
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def upright_picture(picture: Picture, orientation: int) -> Picture:
    """Return a picture turned as the camera was held; a camera's resolutions across and down are swapped with its sides."""
    if orientation not in range(2, 9):
        return picture
    parts: dict[str, Any] = {
        name: upright(part, orientation)
        for name in ("pixels", "alpha", "bands", "black")
        if (part := getattr(picture, name)) is not None
    }
    resolution = picture.resolution
    if resolution and orientation >= 5:
        resolution = (resolution[1], resolution[0])
    return dataclasses.replace(picture, **parts, resolution=resolution)


def to_full_range(array: Array, bits: int) -> Array:
    """Return values of so many bits as uint8 (up to 8 bits) or uint16, where all bits set is white."""
    top = (1 << bits) - 1
    if bits in (8, 16):
        return array.astype(np.uint8 if bits == 8 else np.uint16, copy=False)
    wide, kind = (255, np.uint8) if bits < 8 else (65535, np.uint16)
    scaled: Array = ((np.minimum(array, top).astype(np.uint32) * wide + top // 2) // top).astype(kind)
    return scaled


def fewer_bits(bits: int) -> str:
    """Return what is said of a picture of fewer than 8 bits."""
    return "its 1 bit becomes 8." if bits == 1 else f"its {bits} bits become 8."


def to_bits(array: Array, bits: int) -> Array:
    """Return uint16 values, where all bits set is white, as so many bits: the inverse of `to_full_range`."""
    top = (1 << bits) - 1
    scaled: Array = ((array.astype(np.uint32) * top + 32767) // 65535).astype(np.uint16)
    return scaled


def to_type(array: Array, dtype: str) -> Array:
    """Return an image's values in another type, in the same part of its range."""
    return array if array.dtype == dtype else from_unit(to_unit(array).clip(0, 1), np.dtype(dtype))


def _scaled(plane: Array, size: tuple[int, ...]) -> Array:
    if plane.shape == size:
        return plane
    if plane.min() == plane.max():
        return np.full(size, plane.flat[0], plane.dtype)
    scaled = Image.fromarray(to_unit(plane)).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return from_unit(np.asarray(scaled).clip(0, 1), plane.dtype)


class _Mute(logging.Filter):
    """Drops what libraries log while this thread is within `quiet_libraries`."""

    here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is kept."""
        return not getattr(self.here, "on", False)


_MUTE, _LOCK = _Mute(), threading.Lock()
_inside = 0
_before: Any = None


_DECODERS = r"(PIL|pillow_heif|rawpy|tifffile|imagecodecs|isthmus\.imaging)(\.|$)"
"""Modules whose warnings are of files; what others warn of meanwhile, in another thread, is heard."""


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within it, libraries say nothing about odd notes and old formats, in any thread; what matters is raised."""
    global _inside, _before  # warnings' filters belong to the whole process: the first to come in saves them, the last restores
    for name in ("tifffile", "PIL"):
        logging.getLogger(name).addFilter(_MUTE)
    outer = getattr(_MUTE.here, "on", False)
    _MUTE.here.on = True
    with _LOCK:
        if not _inside:
            _before = warnings.catch_warnings()
            _before.__enter__()
            warnings.filterwarnings("ignore", module=_DECODERS)
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if not _inside:
                _before.__exit__(None, None, None)
        _MUTE.here.on = outer
