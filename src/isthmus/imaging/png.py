"""The notes in a PNG file: its color profile and the camera's EXIF, which the coder of 16-bit pictures leaves out.

Source: the PNG specification, third edition (2023), 5.3 (chunks), 11.3.2.3 (iCCP) and 11.3.4.5 (eXIf).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

SIGNATURE_BYTES, HEADER_BYTES = 8, 25
"""What stands before the first chunk, and the first chunk, which tells the size, whole."""

MAX_NOTE_BYTES = 1 << 24
"""Longer profiles are left out: a compressed one can claim any size."""


def read_notes(content: bytes) -> tuple[bytes | None, bytes | None]:
    """Return (color profile, EXIF) of a PNG file, or None where there is none, or it is damaged."""
    profile = exif = None
    for kind, data in _chunks(content):
        if kind == b"iCCP":
            profile = _inflated(data[data.find(b"\0") + 2 :])
        elif kind == b"eXIf":
            exif = data
    return profile, exif


def with_notes(content: bytes, profile: bytes | None, exif: bytes | None) -> bytes:
    """Return a PNG file with a color profile and EXIF put into it."""
    notes = b"".join(
        [
            *([_chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))] if profile else []),
            *([_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))] if exif else []),
        ]
    )
    start = SIGNATURE_BYTES + HEADER_BYTES
    return content[:start] + notes + content[start:]


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = SIGNATURE_BYTES
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4])
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        result = inflater.decompress(data, MAX_NOTE_BYTES)
    except zlib.error:
        return None
    return result if inflater.eof else None
