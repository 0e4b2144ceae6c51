"""PNG: its pixels, coded and decoded by imagecodecs, and which of its chunks come back."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from isthmus.imaging import notes
from isthmus.imaging.arrays import Array
from isthmus.imaging.content import Picture

COLOR_NOTES = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"iCCP")
"""PNG's chunks that say what the values mean, which restoring does not change."""

PNG_LEVELS, WELL_COMPRESSED = (2, 4), 1 / 4
"""Of compression: for what stays more than this share of its values, such as photographs, and for the rest (docs/files.md)."""

BANDS, BAND_ROWS, LARGE_PNG = 3, 32, 1 << 20
"""Of a PNG of more values than this, so many bands of rows are coded by each filter, to choose one for all."""


def decoded_png(content: bytes) -> Array | None:
    """Return the values `(H, W)` or `(H, W, C)` of a PNG that is not interlaced, in half of Pillow's time.

    None if libpng refuses it, which it does for a wrong sum of the compressed bytes as well.
    """
    from imagecodecs import PngError, png_decode

    try:
        array: Array = png_decode(_with_chunks_that(content, lambda kind: kind in (b"IHDR", b"IDAT", b"IEND")))
    except PngError:
        return None
    return array


def coded_png(array: Array) -> bytes:
    """Return a PNG file of an array `(H, W, C)` of 8 or 16 bits, in half of Pillow's time or less.

    Programs choose a filter for each row; one for all is as good for a photograph, and better for a drawing.
    """
    from imagecodecs import PNG, png_encode

    plane = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
    fast, thorough = PNG_LEVELS
    if plane.size < LARGE_PNG:
        return bytes(png_encode(plane, level=thorough))
    tops = (max(0, (2 * band + 1) * len(plane) // (2 * BANDS) - BAND_ROWS // 2) for band in range(BANDS))
    some = np.concatenate([plane[top : top + BAND_ROWS] for top in tops])
    filters = (PNG.FILTER.NONE, PNG.FILTER.AVG, PNG.FILTER.PAETH)
    size, chosen = min((len(png_encode(some, level=fast, filter=each)), each) for each in filters)
    return bytes(png_encode(plane, level=thorough if size < some.nbytes * WELL_COMPRESSED else fast, filter=chosen))


def is_note(kind: bytes) -> bool:
    """Tell whether a PNG's chunk comes back: it says what the values mean, or is marked as safe to copy with other pixels."""
    return kind in COLOR_NOTES or (kind.isalpha() and kind[:1].islower() and kind[3:].islower())


def without_notes(content: bytes) -> bytes:
    """Return a PNG file without its notes, so that an odd one cannot keep its pixels from being read; the rest untouched."""
    return _with_chunks_that(content, lambda kind: not is_note(kind))


def _with_chunks_that(content: bytes, stay: Callable[[bytes], bool]) -> bytes:
    parts, place = [content[:8]], 8
    while place + 12 <= len(content):
        length = 12 + int.from_bytes(content[place : place + 4])
        if stay(content[place + 4 : place + 8]):
            parts.append(content[place : place + length])
        place += length
    return b"".join(parts) + content[place:]


def png_losses(chunks: list[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """Return which of a PNG's chunks do not come back, a sentence each."""
    remarks: tuple[str, ...] = ()
    if any(kind == b"iCCP" for kind, _ in chunks) and not profile_of(chunks):
        remarks += ("its color profile is damaged, and does not come back.",)
    layout = {b"IDAT", b"fcTL", b"fdAT", b"acTL", b"tRNS", b"bKGD", b"hIST", b"sBIT", b"sPLT", b"iDOT"}
    lost = sorted({kind.decode("latin-1") for kind, _ in chunks if kind[:1].islower() and not is_note(kind) and kind not in layout})
    return (*remarks, f"what its chunks {', '.join(lost)} say does not come back.") if lost else remarks


def profile_of(chunks: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return the color profile among a PNG's chunks; None where there is none, or it is damaged."""
    data = next((data for name, data in chunks if name == b"iCCP"), b"")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(data[data.find(b"\0") + 2 :], notes.MOST_BYTES)  # a compressed one can claim any size
    except zlib.error:
        return None
    return profile if inflater.eof else None


def with_png_notes(content: bytes, picture: Picture, exif: bytes | None) -> bytes:
    """Return a PNG file with a picture's notes put into it."""
    same = picture.coding.kind == "PNG"
    chunks = list(picture.coding.options.get("chunks", [])) if same else []
    if picture.icc_profile is None:
        chunks = [chunk for chunk in chunks if chunk[0] != b"iCCP"]
    elif all(kind != b"iCCP" for kind, _ in chunks):
        chunks.append((b"iCCP", b"profile\0\0" + zlib.compress(picture.icc_profile)))
    if picture.resolution:
        across, down = (round(side / 0.0254) for side in picture.resolution)
        chunks = [chunk for chunk in chunks if chunk[0] != b"pHYs"]
        chunks.append((b"pHYs", across.to_bytes(4) + down.to_bytes(4) + b"\1"))
    if picture.xmp and not same:
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + picture.xmp))
    if exif:
        chunks.append((b"eXIf", exif))
    return notes.with_chunks(content, chunks) if chunks else content
