"""Animated PNG, GIF and WebP, written frame by frame as they are given.

A coder of still pictures codes each frame, or the part of it that changed; here they are put together. The film writers of Pillow
and libwebp join frames that are the same, and Pillow takes a PNG's first picture, which a film may hide, for a frame.

Sources: PNG, third edition (2023), 4.7 and 11.3.6; GIF89a Specification (1990); WebP Container Specification (2023).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from isthmus.errors import DataError
from isthmus.imaging import notes
from isthmus.imaging.arrays import Array
from isthmus.imaging.content import MAX_PAGES, MAX_PIXELS, TOO_LARGE, Picture

USUAL_MILLISECONDS = 100.0
"""How long a frame is shown that comes from pages, which have no times."""

GIF_CONTROL, GIF_APPLICATION, GIF_COMMENT, GIF_IMAGE = 0xF9, 0xFF, 0xFE, 0x2C

PREVIOUS = 2
"""What becomes of an animated PNG's part afterwards: what was there before it comes back."""

EXTENSION = 0x21
"""The byte with which a GIF's extensions begin."""

OF_A_FILM = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
"""GIF's application extensions that say how often a film is repeated."""

GIF_XMP = b"XMP DataXMP"

Coder = Callable[[Array], bytes]
"""Codes an array `(H, W, C)` as a file of one picture."""


class Part(NamedTuple):
    """What a frame changes of the one before it, coded as a picture of its own."""

    left: int
    top: int
    width: int
    height: int
    content: bytes
    milliseconds: float


def write_film(picture: Picture, kind: str, encode: Coder, **more: bytes | None) -> bytes:
    """Return a film's content.

    Args:
        picture: With its pages; what is beside the pixels of each is alpha.
        kind: "PNG", "GIF" or "WEBP".
        encode: Codes one picture in this format.
        more: Of WebP: what its chunks ICCP, EXIF and XMP hold.
    """
    frames = [picture, *picture.pages]
    arrays = [frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha]) for frame in frames]
    options = picture.coding.options if picture.coding.kind in ("PNG", "GIF", "WEBP", "AVIF") else {}
    times = [float(frame.coding.options.get("duration") or 0) if options else USUAL_MILLISECONDS for frame in frames]
    loops = options.get("loop", 1 if picture.coding.kind == "GIF" else 0)
    has_alpha = picture.alpha is not None
    if kind == "PNG":
        return _png(arrays, times, encode, loops, hidden=options.get("hidden", False))
    if kind == "GIF":
        repeated = options.get("loop", None if picture.coding.kind == "GIF" else 0)
        return _gif(_parts(arrays, times, encode, whole=has_alpha), repeated, has_alpha=has_alpha)
    return _webp(_parts(arrays, times, encode, step=2), loops, has_alpha=has_alpha, **more)


def _parts(frames: Sequence[Array], times: Sequence[float], encode: Coder, *, whole: bool = False, step: int = 1) -> Iterator[Part]:
    """Yield the first frame whole, and of each other one what it changes.

    Args:
        frames: `(H, W, C)` each.
        times: Milliseconds that each is shown for.
        encode: Codes an array as a picture.
        whole: Whether all frames are coded whole.
        step: What the first row and column must be a multiple of.
    """
    before: Array | None = None
    for frame, milliseconds in zip(frames, times, strict=True):
        top, left, bottom, right = 0, 0, *frame.shape[:2]
        if before is not None and not whole:
            differs = (frame != before).any(2)
            rows, columns = differs.any(1).nonzero()[0], differs.any(0).nonzero()[0]
            top, bottom = (int(rows[0]) // step * step, int(rows[-1]) + 1) if len(rows) else (0, 1)
            left, right = (int(columns[0]) // step * step, int(columns[-1]) + 1) if len(columns) else (0, 1)
        content = encode(np.ascontiguousarray(frame[top:bottom, left:right]))
        yield Part(left, top, right - left, bottom - top, content, milliseconds)
        before = frame


def _png(frames: Sequence[Array], times: Sequence[float], encode: Coder, loops: int, *, hidden: bool) -> bytes:
    shown = slice(1 if hidden else 0, None)
    parts = list(_parts(frames[shown], times[shown], encode))
    first = list(notes.png_chunks(encode(frames[0]) if hidden else parts[0].content))
    chunks, number = [first[0], (b"acTL", struct.pack(">II", len(parts), loops))], itertools.count()
    if hidden:
        chunks += [chunk for chunk in first[1:] if chunk[0] != b"IEND"]
    for place, part in enumerate(parts):
        delay = Fraction(part.milliseconds / 1000).limit_denominator(65535)
        if delay.numerator > 65535:
            delay = Fraction(65535)
        size = (part.width, part.height, part.left, part.top)
        chunks.append((b"fcTL", struct.pack(">5I2H2B", next(number), *size, delay.numerator, delay.denominator, 0, 0)))
        for kind, data in notes.png_chunks(part.content):
            if kind == b"IDAT":
                chunks.append((b"fdAT", struct.pack(">I", next(number)) + data) if hidden or place else (kind, data))
    return notes.png_of([*chunks, (b"IEND", b"")])


class PngFilm(NamedTuple):
    """An animated PNG's frames as they lie in the file."""

    stills: list[bytes]
    """Each frame's part as a PNG of its own; a hidden first picture is the first."""
    places: list[tuple[int, int, int, int]]
    """(left, top, what becomes of the part afterwards, whether it lies over what is there) for each, as the file counts them."""
    times: list[float]
    """Milliseconds for each."""
    loops: int
    hidden: bool


def png_film(content: bytes) -> PngFilm | None:
    """Return the frames of an animated PNG; None where it has none.

    Raises:
        DataError: If it claims more frames or pixels than are read, or they are damaged.
    """
    (_, header), *chunks = notes.png_chunks(content)
    kinds = [kind for kind, _ in chunks]
    claim = chunks[kinds.index(b"acTL")][1] if b"acTL" in kinds else b""
    claimed, loops = struct.unpack(">II", claim) if len(claim) == 8 else (0, 0)
    if not 0 < claimed < 1 << 31 or b"IDAT" in kinds[: kinds.index(b"acTL")]:
        return None  # a picture, whatever else the file holds
    size: tuple[int, int] = struct.unpack_from(">II", header)
    controls = [(size, (0, 0), 0, 1, 1, 0)]  # what is hidden leaves nothing for the film to lie over
    packed: list[list[bytes]] = [[]]
    number = itertools.count()
    for kind, data in chunks:
        if kind in (b"fcTL", b"fdAT") and int.from_bytes(data[:4]) != next(number):
            raise DataError("its frames are out of order.")
        if kind == b"fcTL" and len(data) == 26:
            width, height, left, top, over, under, after, blended = struct.unpack(">4x4I2H2B", data)
            controls.append(((width, height), (left, top), over, under or 100, after, blended))
            packed.append([])
        elif kind in (b"IDAT", b"fdAT"):
            packed[-1].append(data if kind == b"IDAT" else data[4:])
    hidden = bool(packed[0])
    last = claimed + 1
    controls, packed = (controls[:last], packed[:last]) if hidden else (controls[1:last], packed[1:last])
    if len(controls) > MAX_PAGES or len(controls) * size[0] * size[1] > MAX_PIXELS:
        raise DataError(TOO_LARGE)
    if len(controls) < claimed + hidden or not all(packed):
        raise DataError(f"the picture is cut off: it holds {sum(map(bool, packed)) - hidden:,} of {claimed:,} frames.")
    if any(left + own[0] > size[0] or top + own[1] > size[1] for own, (left, top), *_ in controls):
        raise DataError("one of its frames is larger than the whole.")
    beside = [chunk for chunk in chunks if chunk[0] in (b"PLTE", b"tRNS")]
    heads = [(b"IHDR", struct.pack(">II", *own) + header[8:]) for own, *_ in controls]
    stills = [
        notes.png_of([head, *beside, (b"IDAT", b"".join(parts)), (b"IEND", b"")]) for head, parts in zip(heads, packed, strict=True)
    ]
    places = [(*corner, after, blended) for _, corner, _, _, after, blended in controls]
    times = [1000 * over / under for _, _, over, under, _, _ in controls]
    return PngFilm(stills, places, times, loops, hidden)


def composed(parts: Iterable[Array], places: Sequence[tuple[int, int, int, int]], size: tuple[int, int]) -> Iterator[Array]:
    """Yield a film's whole frames `(H, W, C)`, of unsigned numbers, from what lies in an animated PNG.

    Args:
        parts: `(h, w, C)` each.
        places: Of each, as in `PngFilm`.
        size: (H, W).
    """
    canvas: Array | None = None
    for part, (left, top, after, blended) in zip(parts, places, strict=True):
        if canvas is None:
            canvas = np.zeros((*size, part.shape[2]), part.dtype)
        here = canvas[top : top + part.shape[0], left : left + part.shape[1]]
        before = here.copy()
        here[:] = _over(part, here) if blended and part.shape[2] in (2, 4) else part
        yield canvas.copy()
        if after:
            here[:] = before if after == PREVIOUS else 0


def _over(part: Array, below: Array) -> Array:
    top = np.iinfo(part.dtype).max
    alpha, under = part[:, :, -1:] / top, below[:, :, -1:] / top * (1 - part[:, :, -1:] / top)
    both = alpha + under
    sums = alpha * part[:, :, :-1] + under * below[:, :, :-1]
    colors = np.divide(sums, both, out=np.zeros(sums.shape), where=both > 0)
    whole: Array = np.rint(np.dstack([colors, both * top])).astype(part.dtype)
    return whole


def gif_blocks(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield a GIF's extensions, by their labels, and its images, GIF_IMAGE, as they stand in the file; as far as they are whole."""
    place = 13 + _table_bytes(content[10])
    while place + 1 < len(content):
        start = place
        if content[place] == EXTENSION:
            label, place = content[place + 1], place + 2
        elif content[place] == GIF_IMAGE and place + 10 <= len(content):
            label, place = GIF_IMAGE, place + 11 + _table_bytes(content[place + 9])
        else:
            return
        while place < len(content) and content[place]:
            place += 1 + content[place]
        place += 1
        if place > len(content):
            return
        yield label, content[start:place]


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def gif_notes(content: bytes) -> list[bytes]:
    """Return a GIF's extensions that say something about the picture: comments, and what programs have put there, such as XMP."""
    return [
        block
        for label, block in gif_blocks(content)
        if label == GIF_COMMENT or (label == GIF_APPLICATION and block[3:14] not in OF_A_FILM)
    ]


def xmp_in(extensions: Sequence[bytes]) -> bytes | None:
    """Return the XMP among a GIF's extensions; None where there is none."""
    found = next((block for block in extensions if block[3:14] == GIF_XMP), b"")
    return found[14:-258] or None  # behind it are 258 bytes, which lead any reader to the extension's end


def with_gif_notes(content: bytes, extensions: Sequence[bytes]) -> bytes:
    """Return a GIF with extensions put before its first image."""
    start = 13 + _table_bytes(content[10])
    return b"GIF89a" + content[6:start] + b"".join(extensions) + content[start:] if extensions else content


def _gif(parts: Iterator[Part], repeated: int | None, *, has_alpha: bool) -> bytes:
    result, disposal = b"", 2 if has_alpha else 1  # what is seen through is the background's, so it has to be there again
    for part in parts:
        if not result:
            again = b"" if repeated is None else b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", repeated, 0)
            result = b"GIF89a" + struct.pack("<HH3B", part.width, part.height, 0x70, 0, 0) + again
        blocks = dict(gif_blocks(part.content))
        control = blocks.get(GIF_CONTROL, bytes(8))
        image, start = blocks[GIF_IMAGE], 10 + _table_bytes(blocks[GIF_IMAGE][9])
        flags = image[9] & 0x40 | part.content[10] & 0x87
        table = part.content[13 : 13 + _table_bytes(part.content[10])]
        if image[9] & 0x80:
            flags, table = image[9], image[10:start]
        hundredths = min(round(part.milliseconds / 10), 65535)
        result += struct.pack("<4BHBB", EXTENSION, GIF_CONTROL, 4, disposal << 2 | control[3] & 1, hundredths, control[6], 0)
        result += struct.pack("<B4HB", GIF_IMAGE, part.left, part.top, part.width, part.height, flags) + table + image[start:]
    return result + b";"


def _webp(
    parts: Iterator[Part],
    loops: int,
    *,
    has_alpha: bool,
    ICCP: bytes | None = None,  # noqa: N803  # the chunks' own names
    EXIF: bytes | None = None,  # noqa: N803
    XMP: bytes | None = None,  # noqa: N803
) -> bytes:
    frames, size = b"", (0, 0)
    for part in parts:
        size = size if frames else (part.width, part.height)
        kept = b"".join(_chunk(kind, data) for kind, data in _riff(part.content) if kind in (b"ALPH", b"VP8 ", b"VP8L"))
        numbers = (part.left // 2, part.top // 2, part.width - 1, part.height - 1, min(round(part.milliseconds), (1 << 24) - 1))
        head = b"".join(number.to_bytes(3, "little") for number in numbers) + b"\2"  # in place of what was there, not over it
        frames += _chunk(b"ANMF", head + kept)
    flags = 2 | 16 * has_alpha | 32 * bool(ICCP) | 8 * bool(EXIF) | 4 * bool(XMP)
    canvas = bytes((flags, 0, 0, 0)) + b"".join((side - 1).to_bytes(3, "little") for side in size)
    whole = _chunk(b"VP8X", canvas) + (_chunk(b"ICCP", ICCP) if ICCP else b"")
    whole += _chunk(b"ANIM", bytes(4) + min(loops, 65535).to_bytes(2, "little")) + frames
    whole += (_chunk(b"EXIF", EXIF) if EXIF else b"") + (_chunk(b"XMP ", XMP) if XMP else b"")
    return _chunk(b"RIFF", b"WEBP" + whole)


def _riff(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 12
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        yield content[place : place + 4], content[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
