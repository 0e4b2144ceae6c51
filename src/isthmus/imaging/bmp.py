"""BMP with what Pillow does not write: alpha that the header tells, and the color space.

Source: Microsoft, BITMAPV4HEADER and BITMAPV5HEADER (Windows GDI).
"""

from __future__ import annotations

import struct

import numpy as np

from isthmus.errors import DataError
from isthmus.imaging.arrays import Array
from isthmus.imaging.content import Picture, check_size
from isthmus.imaging.notes import CUT_OFF

V4_BYTES, V5_BYTES = 108, 124
"""Length of the two headers that tell the color space."""

SPACE = slice(14 + 56, 14 + 56 + 52)
"""Where in a file the kind of the color space, its primaries and its gamma lie."""

EMBEDDED, LINKED, SRGB = b"DEBM", b"KNIL", b"BGRs"
"""Kinds of color space: a profile within the file, or the name of one beside it; sRGB."""

UNCOMPRESSED, MASKS, MASKS_WITH_ALPHA = 0, 3, 6


def color_space(content: bytes) -> tuple[bytes, bytes]:
    """Return 52 bytes that tell a BMP file's color space, and its color profile or the name of one; empty where there is none."""
    header = int.from_bytes(content[14:18], "little")
    if header < V4_BYTES or len(content) < 14 + header:
        return b"", b""
    space, profile = content[SPACE], b""
    if header >= V5_BYTES and space[:4] in (EMBEDDED, LINKED):
        start, length = struct.unpack_from("<II", content, 14 + 112)
        profile = content[14 + start : 14 + start + length]
    return space, profile


def space_options(content: bytes) -> dict[str, bytes]:
    """Return a BMP file's color space, and its profile, or the name of one as "linked"."""
    space, profile = color_space(content)
    return {"space": space, "linked" if space[:4] == LINKED else "profile": profile}


def pixels_per_inch(content: bytes) -> tuple[float, float] | None:
    """Return a BMP file's resolution, across and down; None where it tells none."""
    across, down = struct.unpack_from("<ii", content, 38)
    return (across * 0.0254, down * 0.0254) if across > 0 and down > 0 else None


def read_fields(content: bytes) -> tuple[Array, Array | None] | None:
    """Return (RGB `(H, W, 3)`, alpha `(H, W)` or None) of a BMP of 16 or 32 bits whose header tells which bits are which color.

    None for other kinds. A color of fewer than 8 bits gets the whole range.

    Raises:
        DataError: If a color has more than 8 bits, or the pixels are cut off.
    """
    if len(content) < 54 or int.from_bytes(content[14:18], "little") < 40:
        return None
    start, length, width, signed, _, bits, way = struct.unpack_from("<IIii2HI", content, 10)
    if way not in (MASKS, MASKS_WITH_ALPHA) or bits not in (16, 32) or width < 1 or not signed:
        return None
    height = abs(signed)
    check_size(height, width)
    masks = list(struct.unpack_from("<4I", content, 54))
    if length < 56 and way == MASKS:
        masks[3] = 0  # it has three, and the pixels come next
    if any(mask.bit_count() > 8 for mask in masks) or not all(masks[:3]):
        raise DataError("a BMP whose colors have more than 8 bits, or none, is not read: save it as a PNG.")
    row = -(-width * bits // 32) * 4
    if len(content) < start + row * height:
        raise DataError(CUT_OFF % (f"{len(content):,}", f"{start + row * height:,}"))
    values = np.frombuffer(content, np.uint8, row * height, start).reshape(height, row)[:, : width * bits // 8]
    words = np.ascontiguousarray(values).view(f"<u{bits // 8}").astype(np.uint32)
    words = words[::-1] if signed > 0 else words
    planes = []
    for mask in masks:
        shift, top = (mask & -mask).bit_length() - 1 if mask else 0, (1 << mask.bit_count()) - 1 if mask else 1
        planes.append((((words & mask) >> shift) * 255 + top // 2) // top)
    whole = np.stack(planes, -1).astype(np.uint8)
    return whole[:, :, :3], whole[:, :, 3] if masks[3] else None


def write_bmp(picture: Picture, space: bytes = b"", linked: bytes = b"") -> bytes:
    """Return a BMP file of 24 bits, or of 32 with alpha, whose header tells its color space.

    Args:
        picture: Of uint8 pixels.
        space: The source's, as `color_space` returns it; by default, sRGB.
        linked: The name of a profile; by default, the picture's own profile is embedded, if it has one.
    """
    profile = picture.icc_profile or linked
    if picture.icc_profile:
        space = EMBEDDED + space[4:].ljust(48, b"\0")
    elif not space or space[:4] == EMBEDDED:
        space = SRGB + bytes(48)
    rgb = np.repeat(picture.pixels, 3, 2) if picture.pixels.shape[2] == 1 else picture.pixels
    alpha = picture.alpha
    values = (rgb[:, :, ::-1] if alpha is None else np.dstack([rgb[:, :, ::-1], alpha]))[::-1]
    height, width, channels = values.shape
    rows = np.zeros((height, -(-width * channels // 4) * 4), np.uint8)
    rows[:, : width * channels] = values.reshape(height, -1)
    across, down = (round(side / 0.0254) for side in picture.resolution or (0, 0))
    way, masks = (UNCOMPRESSED, (0, 0, 0, 0)) if alpha is None else (MASKS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    length = V5_BYTES if profile else V4_BYTES
    header = struct.pack("<III2H6I", length, width, height, 1, 8 * channels, way, rows.size, across, down, 0, 0)
    header += struct.pack("<4I", *masks) + space
    if profile:
        header += struct.pack("<4I", 4, length + rows.size, len(profile), 0)  # 4: the intent is that of pictures
    start = 14 + length
    return b"BM" + struct.pack("<III", start + rows.size + len(profile), 0, start) + header + rows.tobytes() + profile
