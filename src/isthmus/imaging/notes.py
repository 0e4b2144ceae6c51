"""The notes in picture files, byte for byte: TIFF's directories, PNG's chunks, JPEG's segments; and whether a file is whole.

Nothing is decoded that need not be: a text in any encoding, a maker's own notes and unknown tags come back as they were. Decoders
fill what a file lacks with black or gray, and some say nothing: the checks here come first, and take little memory.

Sources: TIFF 6.0 (1992), section 2; Exif 2.32 (2019), 4.6; PNG, third edition (2023), 5.3; ITU-T T.81 (1992), B.1; ITU-T T.800
(2019), annex I; XMP Specification, part 3 (2020), 1.1.6.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from isthmus.errors import DataError

ORIENTATION, WIDTH, HEIGHT, EXIF_WIDTH, EXIF_HEIGHT = 0x0112, 0x0100, 0x0101, 0xA002, 0xA003
EXIF_IFD, GPS_IFD, INTEROP_IFD = 0x8769, 0x8825, 0xA005
NESTED = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
"""Tags that point to a directory of their own."""

TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value, for each of TIFF's types."""

MOST_ENTRIES, MOST_BYTES = 4096, 1 << 24
"""A directory with more entries, or with a longer value, is damaged."""

Entry: TypeAlias = "tuple[int, bytes] | Directory"
Directory: TypeAlias = "dict[int, Entry]"
"""Values by tag, as (type, bytes in the file's order); or a directory."""

TIFF_STRUCTURE = frozenset((*range(254, 260), 262, 266, 273, *range(277, 281), 284, 317, *range(320, 326), 338, 339, 347))
"""Tags without which a TIFF's pixels are other ones."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced PNG: the first column and row, and the steps to the next."""

CUT_OFF = "the picture is cut off: it holds %s of %s bytes."

AT_ONCE, TIMES = 1 << 28, 100
"""Bytes of a PNG's pixels that are inflated at once, which is faster, if they are at most so many times as many as the file's."""

EXIF_MARK = b"Exif\0\0"

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
GEO = (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, 34735, 34736, 34737)
"""GeoTIFF's tags."""


def read_directory(content: bytes, offset: int, order: str, *, big: bool = False, depth: int = 0) -> Directory:
    """Return the entries of a TIFF directory; what is damaged is left out.

    Args:
        content: The whole file, or EXIF without its mark.
        offset: Where the directory begins.
        order: "<" or ">".
        big: Whether it is BigTIFF.
        depth: How many directories it lies in.
    """
    head, size, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    found: Directory = {}
    start = offset + struct.calcsize(head)
    if start > len(content):
        return found
    (count,) = struct.unpack_from(order + head, content, offset)
    for place in range(start, start + size * min(count, MOST_ENTRIES), size):
        if place + size > len(content):
            break
        tag, kind = struct.unpack_from(order + "HH", content, place)
        (values,) = struct.unpack_from(order + ("Q" if big else "I"), content, place + 4)
        length = TYPE_BYTES.get(kind, 0) * values
        if not 0 < length <= MOST_BYTES or tag in found:  # of two descriptions, the first is the user's
            continue
        at = place + size - inline
        if length > inline:
            (at,) = struct.unpack_from(order + ("Q" if big else "I"), content, at)
        raw = content[at : at + length]
        if len(raw) != length:
            continue
        if tag in NESTED:
            if depth < 2 and length in (4, 8):
                (inner,) = struct.unpack(order + ("I" if length == 4 else "Q"), raw)
                found[tag] = read_directory(content, inner, order, big=big, depth=depth + 1)
        else:
            found[tag] = (kind, raw)
    return found


def check_directory(content: bytes, offset: int, order: str, *, big: bool = False) -> None:
    """Refuse a TIFF if values that the pixels need, or the next directory, lie beyond the file's end."""
    head, size, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    place, wide = order + ("Q" if big else "I"), struct.calcsize(order + head)
    (count,) = struct.unpack_from(order + head, content, offset)
    end = offset + wide + size * count
    last = end
    for at in range(offset + wide, min(end, len(content) - size), size):
        tag, kind = struct.unpack_from(order + "HH", content, at)
        length = TYPE_BYTES.get(kind, 0) * struct.unpack_from(place, content, at + 4)[0]
        if tag in TIFF_STRUCTURE and length > inline:
            last = max(last, length + struct.unpack_from(place, content, at + size - inline)[0])
    following: int = struct.unpack_from(place, content, end)[0] if end + inline <= len(content) else 0
    last = max(last, following + wide if following else 0)
    if last > len(content):
        raise DataError(CUT_OFF % (f"{len(content):,}", f"at least {last:,}"))


def pack_directory(directory: Directory, order: str, start: int, *, big: bool = False) -> bytes:
    """Return a directory, and what it points to, as it stands at an offset of a TIFF, or of a BigTIFF."""
    head, place, inline = ("Q", "Q", 8) if big else ("H", "I", 4)
    entries, tail = b"", b""
    after = start + struct.calcsize(order + head) + (12 + 2 * inline - 8) * len(directory) + inline
    for tag, entry in sorted(directory.items()):
        if isinstance(entry, dict):
            kind, count, value = 4, 1, struct.pack(order + "I", after + len(tail))
            tail += pack_directory(entry, order, after + len(tail), big=big)
        else:
            kind, raw = entry
            count, value = len(raw) // TYPE_BYTES[kind], raw
            if len(raw) > inline:
                value = struct.pack(order + place, after + len(tail))
                tail += raw + b"\0" * (len(raw) % 2)
        entries += struct.pack(order + "HH" + place, tag, kind, count) + value.ljust(inline, b"\0")
    return struct.pack(order + head, len(directory)) + entries + bytes(inline) + tail


def open_exif(exif: bytes) -> tuple[Directory, str]:
    """Return the first directory of EXIF, with or without its mark, and its byte order; an empty one where it is damaged."""
    block = exif.removeprefix(EXIF_MARK)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return {}, "<"
    return read_directory(block, struct.unpack_from(order + "I", block, 4)[0], order), order


def pack_exif(directory: Directory, order: str) -> bytes:
    """Return a directory as EXIF, without its mark."""
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8) + pack_directory(directory, order, 8)


def exif_orientation(exif: bytes | None) -> int:
    """Return how the camera was held, 1 to 8; 1 where EXIF does not say it, or nonsense."""
    directory, order = open_exif(exif) if exif else ({}, "<")
    entry = directory.get(ORIENTATION)
    if not isinstance(entry, tuple):
        return 1
    value = int.from_bytes(entry[1], "little" if order == "<" else "big")
    return value if 1 <= value <= 8 else 1


def settle_exif(exif: bytes, size: tuple[int, int]) -> bytes | None:
    """Return EXIF, without its mark, of a picture that has been turned upright, and has another size; None where it is damaged.

    Values are replaced where they stand, so that a maker's notes, which point into the whole, stay valid. The thumbnail goes: it
    shows the old picture.

    Args:
        exif: With or without its mark.
        size: (H, W) in pixels.
    """
    block = exif.removeprefix(EXIF_MARK)
    directory, order = open_exif(block)
    if not directory:
        return None
    result = bytearray(block)
    (first,) = struct.unpack_from(order + "I", block, 4)
    _settle(result, first, order, size, thumbnail=True)
    entry = next((at for tag, at in _places(block, first, order) if tag == EXIF_IFD), None)
    if entry is not None:
        _settle(result, struct.unpack_from(order + "I", block, entry + 8)[0], order, size)
    return bytes(result)


def _places(block: bytes | bytearray, offset: int, order: str) -> Iterator[tuple[int, int]]:
    if offset + 2 > len(block):
        return
    (count,) = struct.unpack_from(order + "H", block, offset)
    for place in range(offset + 2, offset + 2 + 12 * min(count, MOST_ENTRIES), 12):
        if place + 12 > len(block):
            return
        yield struct.unpack_from(order + "H", block, place)[0], place


def _settle(block: bytearray, offset: int, order: str, size: tuple[int, int], *, thumbnail: bool = False) -> None:
    wanted = {ORIENTATION: 1, HEIGHT: size[0], WIDTH: size[1], EXIF_HEIGHT: size[0], EXIF_WIDTH: size[1]}
    end = offset + 2
    for tag, place in list(_places(block, offset, order)):
        end = place + 12
        if tag in wanted:
            struct.pack_into(order + "HII", block, place + 2, 4, 1, wanted[tag])
    if thumbnail and end + 4 <= len(block):
        block[end : end + 4] = bytes(4)


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file, (kind, data), as far as they are whole."""
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4])
        if place + 12 + length > len(content):
            return
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length


def png_passes(header: bytes, size: bytes) -> Iterator[tuple[tuple[int, int, int, int], int, int, int]]:
    """Yield the passes of a PNG or of one of its frames, by IHDR and the frame's size: a place in ADAM7, columns, rows, bytes."""
    width, height = struct.unpack(">II", size)
    bits = header[8] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(header[9], 0)
    for place in ADAM7 if header[12] else ((0, 0, 1, 1),):
        columns, rows = -((place[0] - width) // place[2]), -((place[1] - height) // place[3])
        if columns > 0 and rows > 0:
            yield place, columns, rows, rows * (1 + (columns * bits + 7) // 8)


def check_png(content: bytes) -> bool:
    """Refuse a PNG if the pixels of one of its frames are cut off; tell whether its compressed data is faultless otherwise."""
    header, size, parts, faultless = b"", b"", list[bytes](), True
    for kind, data in (*png_chunks(content), (b"fcTL", bytes(12))):
        if kind == b"IHDR" and len(data) == 13:
            header, size = data, data[:8]
        elif kind == b"IDAT":  # always of the whole picture's size, whatever a frame's header says
            size = header[:8]
            parts.append(data)
        elif kind == b"fdAT":
            parts.append(data[4:])
        elif kind == b"fcTL" and len(data) >= 12:
            if parts and header:
                faultless &= _inflates(parts, sum(last for *_, last in png_passes(header, size)))
            size, parts = data[4:12], []
    return faultless


def _inflates(parts: Sequence[bytes], wanted: int) -> bool:
    """Tell whether compressed data becomes so many bytes and no more, with the right sum; refuse it where it becomes fewer.

    It is inflated at once, or, where that fails or they are many, in pieces of a megabyte.
    """
    from imagecodecs import DeflateError, deflate_decode

    if wanted <= min(AT_ONCE, TIMES * sum(map(len, parts))):
        with contextlib.suppress(DeflateError):
            if len(deflate_decode(b"".join(parts), out=wanted)) == wanted:
                return True
    inflater, total = zlib.decompressobj(), 0
    for part in parts:
        while part and total < wanted:
            try:
                total += len(inflater.decompress(part, 1 << 20))
            except zlib.error:
                raise DataError("its compressed pixels are damaged.") from None
            part = inflater.unconsumed_tail
    if total < wanted:
        raise DataError(CUT_OFF % (f"{total:,}", f"{wanted:,}"))
    return False


def with_chunks(content: bytes, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG file with chunks put behind its header, in place of its own of the same kinds."""
    kinds = {kind for kind, _ in chunks}
    own = list(png_chunks(content))
    whole = [own[0], *chunks, *(chunk for chunk in own[1:] if chunk[0] not in kinds)]
    return png_of(whole)


def png_of(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the PNG file of some chunks, (kind, data)."""
    parts = (len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a JPEG file before its pixels, (marker, data)."""
    place = 2
    while 0 <= place < len(content) - 3:
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xDA:
            return
        length = int.from_bytes(content[place + 2 : place + 4])
        yield marker, content[place + 4 : place + 2 + length]
        place = content.find(b"\xff", place + 2 + length)  # what lies between segments is skipped, as by decoders


def check_jpeg(content: bytes) -> None:
    """Refuse a JPEG that is too short for its size, or does not end: each block of 8 x 8 pixels takes a bit at least."""
    segments = list(jpeg_segments(content))
    size = next((struct.unpack(">HH", data[1:5]) for marker, data in segments if 0xC0 <= marker <= 0xC2 and len(data) > 5), (0, 0))
    wanted = -(-size[0] // 8) * -(-size[1] // 8) // 8
    if len(content) < wanted:
        raise DataError(CUT_OFF % (f"{len(content):,}", f"at least {wanted:,}"))
    if content.rfind(b"\xff\xd9") < sum(4 + len(data) for _, data in segments):
        raise DataError("the picture is cut off: it has no end.")


def with_segments(content: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    """Return a JPEG file with segments put behind its first one, JFIF's; those that are too long are left out."""
    place = 2 + 2 + int.from_bytes(content[4:6]) if content[2:4] == b"\xff\xe0" else 2
    new = b"".join(bytes((0xFF, marker)) + (len(data) + 2).to_bytes(2) + data for marker, data in segments if len(data) < 0xFFFE)
    return content[:place] + new + content[place:]


def pnm_comments(content: bytes) -> list[bytes]:
    """Return the comments in a PNM file's header, a line each."""
    header = re.match(rb"P[1-6](?:(?:\s|#[^\n]*\n)+\d+){2}(?:\s|#[^\n]*\n)+", content[: 1 << 16])
    return re.findall(rb"#[^\n]*\n", header[0]) if header else []


def only(directory: Directory, tags: frozenset[int]) -> Directory:
    """Return the entries of some tags."""
    return {tag: entry for tag, entry in directory.items() if tag in tags}


def geo_scaled(directory: Directory, old: tuple[int, ...], new: tuple[int, ...], order: str) -> Directory:
    """Return a TIFF's notes where the size of a pixel on the ground is that of the new pixels.

    Args:
        directory: The notes.
        old: (H, W) that they speak of; (0, 0) for none.
        new: (H, W) that they will.
        order: "<" or ">".
    """
    if not all(old) or old == new:
        return directory
    down, across = new[0] / old[0], new[1] / old[1]
    factors = {
        PIXEL_SCALE: (1 / across, 1 / down, 1),
        TIE_POINTS: (across, down, 1, 1, 1, 1),
        TRANSFORMATION: (1 / across, 1 / down, 1, 1) * 4,
    }
    result = dict(directory)
    for tag, factor in factors.items():
        entry = result.get(tag)
        if isinstance(entry, tuple) and entry[0] == 12 and not len(entry[1]) % (8 * len(factor)):
            values = struct.unpack(f"{order}{len(entry[1]) // 8}d", entry[1])
            scaled = [value * factor[place % len(factor)] for place, value in enumerate(values)]
            result[tag] = (12, struct.pack(f"{order}{len(scaled)}d", *scaled))
    return result


def with_nested(content: bytes, nested: list[dict[int, Directory]], order: str, *, big: bool = False) -> bytes:
    """Return a TIFF or BigTIFF whose pages point to further directories, such as EXIF's, one mapping by tag for each page.

    A page's own directory is written again, at the end, with the new entries in their places.
    """
    if not any(nested):
        return content
    head, place, size = ("Q", "Q", 20) if big else ("H", "I", 12)
    wide, link = struct.calcsize(order + head), 8 if big else 4
    result = bytearray(content)
    for directories in nested:
        (offset,) = struct.unpack_from(order + place, result, link)
        (count,) = struct.unpack_from(order + head, result, offset)
        end = offset + wide + size * count
        entries = [bytes(result[at : at + size]) for at in range(offset + wide, end, size)]
        following = bytes(result[end : end + struct.calcsize(place)])
        for tag, directory in directories.items():
            result += bytes(-len(result) % 8)
            entries.append(struct.pack(order + "HH" + place + "I", tag, 4, 1, len(result)).ljust(size, b"\0"))
            result += pack_directory(directory, order, len(result), big=big)
        result += bytes(-len(result) % 8)
        struct.pack_into(order + place, result, link, len(result))
        entries.sort(key=lambda entry: struct.unpack_from(order + "H", entry))
        result += struct.pack(order + head, len(entries)) + b"".join(entries) + following
        link = len(result) - len(following)
    return bytes(result)
