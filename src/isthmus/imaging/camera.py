"""Pictures of phones and cameras, HEIC and RAW, by the libraries of the extra `[camera]`."""

from __future__ import annotations

import importlib.util
import io
from typing import Any, cast

import numpy as np

from isthmus.errors import DataError
from isthmus.imaging import notes
from isthmus.imaging.content import Coding, Picture, check_size, to_full_range
from isthmus.imaging.pillow import settled

PACKAGES = {"HEIC": "pillow_heif", "RAW": "rawpy"}


def has_camera(kind: str) -> bool:
    """Tell whether the package that reads a format is installed."""
    return importlib.util.find_spec(PACKAGES[kind]) is not None


def read_camera(content: bytes, kind: str) -> Picture:
    """Return a HEIC or a RAW picture.

    Raises:
        DataError: If the extra is missing, or the picture is damaged.
    """
    if not has_camera(kind):
        raise DataError(f"{kind} is read with the extra [camera]: pip install 'isthmus[camera]'.")
    return _read_heic(content) if kind == "HEIC" else _read_raw(content)


def _read_heic(content: bytes) -> Picture:
    import pillow_heif

    file = pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=False)
    image = file[file.primary_index]
    check_size(image.size[1], image.size[0])
    bits = cast(int, image.info.get("bit_depth", 8))
    array = np.asarray(image)
    array = array if array.ndim == 3 else array[:, :, None]
    if bits > 8:
        array = (array >> (16 - bits)).astype(np.uint16) if image.mode.endswith(";16") else array
        array = to_full_range(array, bits)
    has_alpha = array.shape[2] in (2, 4)
    info: dict[str, Any] = image.info
    picture = Picture(
        pixels=np.ascontiguousarray(array[:, :, :-1] if has_alpha else array),
        alpha=array[:, :, -1] if has_alpha else None,
        coding=Coding(kind="HEIC", bits=bits if bits > 8 else 0),
    )
    exif = info.get("exif")
    if exif and notes.open_exif(exif)[0]:
        exif = notes.settle_exif(exif, (image.size[1], image.size[0]))  # libheif has turned it upright
    remarks = ("the file's further pictures do not come back.",) if len(file) > 1 else ()
    return settled([picture], exif, info.get("icc_profile"), info.get("xmp") or None, None, remarks)


def _read_raw(content: bytes) -> Picture:
    import rawpy

    with rawpy.imread(io.BytesIO(content)) as raw:
        check_size(raw.sizes.height, raw.sizes.width)
        array = raw.postprocess(output_bps=16, use_camera_wb=True, gamma=(2.4, 12.92))
    coding = Coding(kind="RAW", size=array.shape[:2])
    return Picture(pixels=array, coding=coding, remarks=("a RAW comes back as a TIFF of 16 bits.",))


def write_heic(picture: Picture, quality: int = 0) -> bytes:
    """Return a HEIC file; of more than 8 bits, its values have 10 or 12."""
    if not has_camera("HEIC"):
        raise DataError("HEIC is written with the extra [camera]: pip install 'isthmus[camera]'.")
    import pillow_heif

    gray = picture.pixels.shape[2] == 1 and picture.alpha is None and picture.pixels.dtype == np.uint8
    pixels = np.repeat(picture.pixels, 3, 2) if picture.pixels.shape[2] == 1 and not gray else picture.pixels
    array = np.ascontiguousarray(pixels if picture.alpha is None else np.dstack([pixels, picture.alpha]))
    mode = "L" if gray else ("RGB" if picture.alpha is None else "RGBA") + (";16" if array.dtype == np.uint16 else "")
    file = pillow_heif.from_bytes(mode, (array.shape[1], array.shape[0]), array.tobytes())
    exif = notes.settle_exif(picture.exif, array.shape[:2]) if picture.exif else None
    save: dict[str, Any] = {"exif": notes.EXIF_MARK + exif} if exif else {}
    save |= {"icc_profile": picture.icc_profile} if picture.icc_profile else {}
    save |= {"xmp": picture.xmp} if picture.xmp else {}
    save |= {"bit_depth": 10 if picture.coding.bits <= 10 else 12} if array.dtype == np.uint16 else {}
    out = io.BytesIO()
    file.save(out, quality=quality or 90, **save)
    return out.getvalue()
