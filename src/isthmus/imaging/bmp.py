"""BMP with what Pillow does not write: alpha that the header tells, and the color space.

Source: Microsoft, BITMAPV4HEADER and BITMAPV5HEADER (Windows GDI).
"""

from __future__ import annotations

import struct

import numpy as np

from isthmus.imaging.content import Picture

V4_BYTES, V5_BYTES = 108, 124
"""Length of the two headers that tell the color space."""

SPACE = slice(14 + 56, 14 + 56 + 52)
"""Where in a file the kind of the color space, its primaries and its gamma lie."""

EMBEDDED, LINKED, SRGB = b"DEBM", b"KNIL", b"BGRs"
"""Kinds of color space: a profile within the file, or the name of one beside it; sRGB."""

UNCOMPRESSED, MASKS = 0, 3


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
