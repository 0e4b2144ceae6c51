"""One picture file, read whole and written back as it was: the door to all formats.

A file is what its contents say, whatever its name ends in. What comes back, format by format, stands in docs/files.md.
"""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from isthmus.errors import DataError, one_line, printable
from isthmus.imaging.camera import PACKAGES, has_camera, read_camera, write_heic
from isthmus.imaging.content import MAX_PIXELS, TOO_LARGE, Coding, Picture, quiet_libraries, to_type
from isthmus.imaging.deep import MOST_BITS, bits_of, check_avif, is_deep, read_deep, write_deep
from isthmus.imaging.pillow import WRITTEN_AS, read_with_pillow, write_with_pillow
from isthmus.storage.atomic import write_whole

__all__ = [
    "FORMATS", "MAX_PIXELS", "WRITABLE", "Coding", "Picture", "decode_picture", "encode_picture", "is_picture_name",
    "read_picture", "write_picture",
]  # fmt: skip

FORMATS = {
    ".png": "PNG", ".apng": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".tif": "TIFF",
    ".tiff": "TIFF", ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
    ".tga": "TGA", ".jp2": "JP2", ".avif": "AVIF", ".jxl": "JXL", ".heic": "HEIC", ".heif": "HEIC",
    **dict.fromkeys((".dng", ".nef", ".cr2", ".cr3", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"), "RAW"),
}  # fmt: skip
"""The formats that are read, by the end of a file's name; HEIC and RAW with the extra `[camera]`."""

UNREAD = tuple(end for end, kind in FORMATS.items() if kind in PACKAGES and not has_camera(kind))
"""The ends of names that cannot be read, as the extra `[camera]` is missing."""

OTHERS = (
    ".ai", ".cr3", ".cur", ".dcm", ".dds", ".djvu", ".emf", ".eps", ".exr", ".fits", ".hdr", ".icns", ".ico", ".jxr",
    ".mng", ".nii", ".pcx", ".pdf", ".pfm", ".psb", ".psd", ".ras", ".raw", ".sgi", ".svg", ".wmf", ".xbm", ".xcf",
    ".xpm",
)  # fmt: skip
"""Ends of names of pictures that are not read: they are counted, and named once."""

WRITABLE = tuple(end for end, kind in FORMATS.items() if kind != "RAW" and (kind != "HEIC" or has_camera("HEIC")))
"""The ends of names that can be written."""

WITHOUT_ALPHA = ("JPEG", "PPM")
WITHOUT_METADATA = ("BMP", "GIF", "JXL", "PPM", "TGA")
FILMS = ("TIFF", "GIF", "WEBP", "PNG", "AVIF")
"""Formats that hold several pages or frames; of more than 8 bits, TIFF and PNG."""

LOG = logging.getLogger("isthmus")


def is_picture_name(name: str) -> bool:
    """Tell whether a file's name ends like one of the formats."""
    return Path(name).suffix.lower() in FORMATS


def format_of(name: str) -> str:
    """Return the format that a file's name promises; "" for none."""
    return FORMATS.get(Path(name).suffix.lower(), "")


def read_picture(path: Path) -> Picture:
    """Read one picture file, with all its pages or frames.

    Raises:
        DataError: If it cannot be read, is damaged, has values that are not finite, or is larger than `MAX_PIXELS`.
    """
    name = printable(str(path))
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{name} is not a regular file.")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
    return decode_picture(content, name)


def decode_picture(content: bytes, name: str) -> Picture:
    """Return what a picture file's content holds; messages call it `name`.

    Raises:
        DataError: As `read_picture`.
    """
    try:
        if not content:
            raise DataError(f"{name} is empty (0 bytes).")
        with quiet_libraries():
            return _decode(content, name)
    except DataError as error:
        raise DataError(f"{name}: {error}" if name not in str(error) else str(error)) from None
    except Image.DecompressionBombError:
        raise DataError(f"{name}: {TOO_LARGE}") from None
    except UnidentifiedImageError:
        accepted = ", ".join(sorted({suffix[1:] for suffix in FORMATS}))
        raise DataError(f"{name} is not a picture in a known format ({accepted}).") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {one_line(error.strerror or error)}.") from None
    except MemoryError:
        raise DataError(f"{name} takes more memory than there is.") from None
    except Exception as error:  # decoders raise what they like on damaged files: ValueError, SyntaxError, struct.error, ...
        raise DataError(f"{name} is damaged: {one_line(error)}.") from None


def _decode(content: bytes, name: str) -> Picture:
    named = format_of(name)
    kind = _kind_of(content, named)
    if kind in ("HEIC", "RAW"):
        picture = read_camera(content, kind)
    elif kind == "TIFF":
        from isthmus.imaging.tiff import read_tiff

        picture = read_tiff(content)
    else:
        if kind == "AVIF":
            check_avif(content)
        try:
            picture = (
                read_deep(content, kind) if is_deep(content, kind) else read_with_pillow(content, kind, bits_of(content, kind))
            )
        except (UnidentifiedImageError, KeyError):
            raise DataError(f"it is damaged, or a kind of {kind} that is not read: save it as a PNG.") from None
    remarks = picture.remarks
    if named and named != kind:
        remarks += (f"it is named like {named}, and is {kind}.",)
    return dataclasses.replace(picture, remarks=remarks, coding=dataclasses.replace(picture.coding, named=named or kind))


def _kind_of(content: bytes, named: str) -> str:
    """Return the format of a file's content; by its name only where the content has no sign of its own."""
    head = content[:64]
    if named == "RAW":
        return named
    signs = {
        b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF",
        b"MM\0+": "TIFF", b"GIF8": "GIF", b"BM": "BMP", b"\xff\x0a": "JXL", b"\0\0\0\x0cJXL ": "JXL",
        b"\0\0\0\x0cjP  ": "JP2", b"\xff\x4f\xff\x51": "JP2",
    }  # fmt: skip
    kind = next((kind for sign, kind in signs.items() if head.startswith(sign)), "")
    if not kind and head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        kind = "WEBP"
    if not kind and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        kind = "PPM"
    if not kind and head[4:8] == b"ftyp":
        brands = head[8 : int.from_bytes(head[:4])]
        kind = "AVIF" if b"avif" in brands or b"avis" in brands else "HEIC"
    if not kind and named == "TGA":
        kind = named
    if not kind:
        raise UnidentifiedImageError
    return kind


def write_picture(path: Path, picture: Picture, quality: int = 0) -> None:
    """Write a picture in the format that the path's end names, whole or not at all.

    Raises:
        DataError: If the format cannot hold it.
        IsthmusError: If it cannot be written.
    """
    write_whole(path, encode_picture(picture, path.name, quality))


def encode_picture(picture: Picture, name: str, quality: int = 0) -> bytes:
    """Return the content of a picture file of the format that the name's end tells.

    A file that was named like another format than its own stays what it was, under that name.

    Args:
        picture: What to write.
        name: The file's name.
        quality: From 1 to 100, in formats that have one; 0 for the source's.

    Raises:
        DataError: If the format is unknown, or cannot hold it.
    """
    kind = format_of(name)
    if not kind or kind == "RAW" or (kind == "HEIC" and not has_camera(kind)):
        raise DataError(f"Cannot write {printable(name)}: the name must end in one of {', '.join(WRITABLE)}.")
    if picture.coding.kind and picture.coding.kind != "RAW" and kind == picture.coding.named:
        kind = picture.coding.kind
    dtype = picture.pixels.dtype
    deep = any(page.pixels.dtype != np.uint8 for page in (picture, *picture.pages))
    if picture.pages and (kind not in FILMS or (deep and kind not in ("TIFF", "PNG"))):
        of = " of more than 8 bits" if kind in FILMS else ""
        raise DataError(f"{kind} holds one picture{of}, not {picture.frames}: name the file .tif.")
    kinds = {(page.pixels.shape, page.pixels.dtype, page.alpha is None) for page in (picture, *picture.pages)}
    if len(kinds) > 1 and kind != "TIFF":
        raise DataError(f"{kind} holds frames of one size and kind, and these pages differ: name the file .tif.")
    if dtype.kind == "f" and kind not in ("TIFF", "JXL"):
        raise DataError(f"{kind} cannot hold {dtype} pixels: name the file .tif.")
    if dtype == np.uint16 and MOST_BITS.get(kind, 8) < (picture.coding.bits or 16):
        raise DataError(f"{kind} cannot hold {dtype} pixels: name the file .tif or .png.")
    try:
        with quiet_libraries():
            return _encode(picture, kind, quality)
    except DataError:
        raise
    except Exception as error:  # as coders do
        raise DataError(f"Cannot write {printable(name)} as {kind}: {one_line(error)}.") from None


def _encode(picture: Picture, kind: str, quality: int) -> bytes:
    if kind == "TIFF":
        from isthmus.imaging.tiff_writing import write_tiff

        return write_tiff(picture, quality)
    if kind == "HEIC":
        return write_heic(picture, quality)
    if kind == "JXL" or picture.pixels.dtype != np.uint8:
        return write_deep(picture, kind, quality)
    assert kind in WRITTEN_AS
    return write_with_pillow(picture, kind, quality)


def lost_in(picture: Picture, name: str) -> tuple[str, ...]:
    """Return what a picture loses in the format that a name's end tells, a sentence each."""
    kind = format_of(name)
    if kind == picture.coding.named and picture.coding.kind:
        kind = picture.coding.kind
    lost = []
    if picture.alpha is not None and kind in WITHOUT_ALPHA:
        lost.append(f"its transparency does not come back: {kind} has none.")
    if picture.coding.model and kind not in ("TIFF", picture.coding.kind):
        lost.append(f"its {picture.coding.model} becomes RGB.")
    if picture.bands is not None and kind != "TIFF":
        lost.append(f"its further values do not come back: {kind} has none.")
    held = {"EXIF": picture.exif, "XMP": picture.xmp, "color profile": picture.icc_profile}
    holds = {"BMP": ["color profile"], "GIF": ["XMP"] if picture.coding.kind == kind else []}.get(kind, [])
    names = [name for name, data in held.items() if data and name not in holds]
    deep_avif = kind == "AVIF" and picture.pixels.dtype != np.uint8
    if names and (deep_avif or kind in WITHOUT_METADATA):
        deep = " of more than 8 bits" if deep_avif else ""
        lost.append(f"metadata does not come back ({', '.join(names)}): {kind}{deep} is written without.")
    return tuple(lost)


def in_type(picture: Picture, dtype: str) -> Picture:
    """Return a picture in another type, without what described its own."""
    alpha = None if picture.alpha is None else to_type(picture.alpha, dtype)
    return dataclasses.replace(picture, pixels=to_type(picture.pixels, dtype), alpha=alpha)
