"""Pictures of more than 8 bits outside TIFF: PNG, PNM, JPEG, JPEG 2000, AVIF and JPEG XL, by imagecodecs, which cuts nothing."""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from isthmus.errors import DataError
from isthmus.imaging import boxes, notes
from isthmus.imaging.arrays import Array, check_values
from isthmus.imaging.content import Coding, Picture, check_size, fewer_bits, to_bits, to_full_range
from isthmus.imaging.film import composed, png_film, write_film
from isthmus.imaging.pillow import coding_of, resolution_of, settled, values_of, xmp_of
from isthmus.imaging.png import coded_png, is_note, png_losses, profile_of, with_png_notes, without_notes

MOST_BITS = {"PNG": 16, "PPM": 16, "JPEG": 12, "JP2": 16, "AVIF": 12, "JXL": 16, "TIFF": 16, "HEIC": 12}
"""Bits of a value that each format can hold; the others hold 8."""


def bits_of(content: bytes, kind: str) -> int:
    """Return how many bits a value has, by a file's header; 8 where that is not told."""
    if kind == "PNG":
        return content[24] if len(content) > 24 else 8
    if kind == "PPM":
        header = _pnm_header(content)
        return int(header[3]).bit_length() if header else 8
    if kind == "JPEG":
        return next((data[0] for marker, data in notes.jpeg_segments(content) if 0xC0 <= marker <= 0xC2 and data), 8)
    if kind == "JP2":
        place = content.find(b"\xff\x4f\xff\x51")
        return (content[place + 42] & 127) + 1 if 0 <= place < len(content) - 42 else 8
    if kind == "AVIF":
        place = content.find(b"av1C")
        flags = content[place + 6] if 0 <= place < len(content) - 6 else 0
        return 12 if flags & 0x60 == 0x60 else 10 if flags & 0x40 else 8
    return _jxl_bits(content) if kind == "JXL" else 8


class _Bits:
    """A header of bits, the first of each byte the lowest, or the highest."""

    def __init__(self, content: bytes, *, lowest: bool):
        self.number, self.left, self.lowest = int.from_bytes(content, "little" if lowest else "big"), 8 * len(content), lowest

    def take(self, count: int) -> int:
        """Return the next bits as a number; beyond the end, zeros."""
        self.left -= count
        if self.lowest:
            value, self.number = self.number & ((1 << count) - 1), self.number >> count
            return value
        return (self.number >> max(0, self.left)) & ((1 << count) - 1)


def _jxl_bits(content: bytes) -> int:
    """Return how many bits a value has in a JPEG XL file (ISO/IEC 18181-1, annex D); 16 where that is not told."""
    starts = {b"jxlc": 0, b"jxlp": 4}
    start = next((at + starts[kind] for kind, _, at, _ in boxes.boxes(content) if kind in starts), 0)
    head = _Bits(content[start + 2 : start + 40], lowest=True)
    _jxl_size(head)
    if head.take(1):  # all as usual
        return 8
    if head.take(1):
        head.take(3)  # the orientation, which the decoder applies
        if head.take(1):
            _jxl_size(head)
        if head.take(2):  # a preview, or a film, whose headers come next
            return 16
    if head.take(1):  # floats, which have their own type
        return 16
    choice = head.take(2)
    return (8, 10, 12)[choice] if choice < 3 else 1 + head.take(6)


def _jxl_size(head: _Bits) -> None:
    small = head.take(1)
    for side in range(2):
        head.take(5 if small else (9, 13, 18, 30)[head.take(2)])
        if not side and head.take(3):  # the width follows from the height
            return


def check_avif(content: bytes) -> None:
    """Refuse an AVIF that claims a picture much larger than it holds: the decoder would fill it up, which takes long.

    Source: AV1 Bitstream & Decoding Process Specification (2019), 5.5.
    """
    place, claimed = content.find(b"av1C"), content.find(b"ispe")
    if b"grid" in content[:4096] or min(place, claimed) < 0 or len(content) < claimed + 16:
        return
    height, width = int.from_bytes(content[claimed + 12 : claimed + 16]), int.from_bytes(content[claimed + 8 : claimed + 12])
    held = 0
    for match in re.finditer(rb"\x0a[\x06-\x20](?=[\x18-\x1f\x38-\x3f\x58-\x5f])", content):  # headers of single pictures
        head = _Bits(content[match.end() : match.end() + 32], lowest=False)
        head.take(10)
        across, down = head.take(4) + 1, head.take(4) + 1
        held = max(held, (head.take(across) + 1) * (head.take(down) + 1))
    if height * width > 16 * held > 0:
        raise DataError(f"it claims {height:,} x {width:,} pixels, and holds {held:,}.")


def read_deep(content: bytes, kind: str) -> Picture:
    """Return a picture of more than 8 bits."""
    bits, remarks = bits_of(content, kind), tuple[str, ...]()
    exif = profile = xmp = resolution = None
    options: dict[str, Any] = {}
    if kind == "PNG":
        check_size(int.from_bytes(content[20:24]), int.from_bytes(content[16:20]))
        notes.check_png(content)
        kept = [chunk for chunk in notes.png_chunks(content) if is_note(chunk[0])]
        options = {"chunks": [chunk for chunk in kept if chunk[0] != b"eXIf"]}
        exif, profile = next((data for name, data in kept if name == b"eXIf"), None), profile_of(kept)
        xmp, resolution, remarks = xmp_of({}, kept), resolution_of({}, kept), png_losses(list(notes.png_chunks(content)))
    elif kind in ("JPEG", "AVIF"):
        exif, profile, xmp, resolution, options = _notes(content, kind)
    elif kind == "JP2":
        size = np.frombuffer(content, ">u4", 2, content.find(b"\xff\x4f\xff\x51") + 8)
        check_size(int(size[1]), int(size[0]))
        exif, profile, xmp = boxes.jp2_notes(content)
        options = {"boxes": boxes.jp2_boxes(content)}
    elif kind == "PPM":
        options = {"comments": notes.pnm_comments(content)}
    elif kind == "JXL":
        has_notes = b"Exif" in content or b"xml " in content
        remarks = ("its metadata does not come back: JPEG XL is written without.",) if has_notes else ()
    film = png_film(without_notes(content)) if kind == "PNG" else None
    if film:
        stills = (_with_channels(_decoded(still, kind)) for still in film.stills)
        arrays = list(composed(stills, film.places, (int.from_bytes(content[20:24]), int.from_bytes(content[16:20]))))
        options |= {"loop": film.loops, "hidden": film.hidden}
        each = [{**options, "duration": time} for time in film.times]
    else:
        arrays = [_read_pnm(content) if kind == "PPM" else _decoded(without_notes(content) if kind == "PNG" else content, kind)]
        each = [options]
        if arrays[0].ndim == 4 and kind in ("AVIF", "JXL"):
            deep = " of more than 8 bits" if kind == "AVIF" else ""
            raise DataError(f"a film in {kind}{deep} is not read: save its frames one by one.")
    frames = [_frame(_with_channels(array), kind, bits, own) for array, own in zip(arrays, each, strict=True)]
    if bits < 8 and frames[0].pixels.dtype == np.uint8:
        remarks += (fewer_bits(bits),)
    return settled(frames, exif, profile, xmp, resolution, remarks)


def _with_channels(array: Array) -> Array:
    return array if array.ndim == 3 else array[:, :, None]


def _frame(array: Array, kind: str, bits: int, options: dict[str, Any]) -> Picture:
    """Return an array as a picture, in the whole range of its type."""
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise DataError(f"a picture of {array.shape[-1]} channels is neither gray nor RGB.")
    coding = Coding(kind=kind, options=options)
    if array.dtype == np.uint8 and bits < 8:
        array = to_full_range(array, bits)
    if array.dtype == np.uint16:
        coding = dataclasses.replace(coding, bits=bits if 8 < bits < 16 else 0)
        array = array if kind == "PPM" else to_full_range(array, bits) if bits > 8 else array
    elif array.dtype.kind == "f":
        coding = dataclasses.replace(coding, dtype=array.dtype.name)
        array = array.astype(np.float32)
        check_values(array)
    elif array.dtype != np.uint8:
        raise DataError(f"a picture of {array.dtype} is not read in this format: save it as a TIFF of 16 bits.")
    has_alpha = array.shape[2] in (2, 4)
    return Picture(pixels=array[:, :, :-1] if has_alpha else array, alpha=array[:, :, -1] if has_alpha else None, coding=coding)


def _decoded(content: bytes, kind: str) -> Array:
    import imagecodecs

    read_png = _read_interlaced if content[28:29] == b"\1" else imagecodecs.png_decode
    decode = {
        "PNG": read_png, "JPEG": imagecodecs.jpeg_decode, "JP2": imagecodecs.jpeg2k_decode, "AVIF": imagecodecs.avif_decode,
        "JXL": imagecodecs.jpegxl_decode,
    }  # fmt: skip
    array: Array = decode[kind](content)
    return array


def _read_interlaced(content: bytes) -> Array:
    """Return an interlaced PNG's pixels, each of its passes decoded as a picture: libpng prints warnings of whole ones."""
    import imagecodecs

    chunks = list(notes.png_chunks(content))
    header, place = chunks[0][1], 0
    passes = list(notes.png_passes(header, header[:8]))
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    rows_of_all = zlib.decompressobj().decompress(packed, sum(length for *_, length in passes))  # it may go on for gigabytes
    beside = [chunk for chunk in chunks[1:] if chunk[0] == b"tRNS"]
    whole: Array | None = None
    for (left, top, across, down), columns, rows, length in passes:
        head = struct.pack(">II", columns, rows) + header[8:12] + b"\0"
        data = zlib.compress(rows_of_all[place : place + length], 1)
        part: Array = imagecodecs.png_decode(notes.png_of([(b"IHDR", head), *beside, (b"IDAT", data), (b"IEND", b"")]))
        if whole is None:
            height, width = int.from_bytes(header[4:8]), int.from_bytes(header[:4])
            whole = np.empty((height, width, *part.shape[2:]), part.dtype)
        whole[top::down, left::across] = part
        place += length
    assert whole is not None
    return whole


def _notes(content: bytes, kind: str) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    if kind == "JPEG":  # which Pillow does not open
        segments = list(notes.jpeg_segments(content))
        exif = next((data for marker, data in segments if marker == 0xE1 and data.startswith(notes.EXIF_MARK)), None)
        kept = [(marker, data) for marker, data in segments if marker in (0xE1, 0xED, 0xFE) and data is not exif]
        parts = sorted(data for marker, data in segments if marker == 0xE2 and data.startswith(b"ICC_PROFILE\0"))
        height, width = next(
            ((int.from_bytes(data[1:3]), int.from_bytes(data[3:5])) for marker, data in segments if 0xC0 <= marker <= 0xC2), (0, 0)
        )
        check_size(height, width)
        notes.check_jpeg(content)
        profile = b"".join(part[14:] for part in parts)
        return exif, profile or None, None, None, {"segments": kept, "quality": 95}
    with Image.open(io.BytesIO(content), formats=[kind]) as opened:
        check_size(opened.height, opened.width)
        options = coding_of(opened, content, kind, [])
        return (
            opened.info.get("exif"),
            opened.info.get("icc_profile"),
            xmp_of(opened.info, []),
            resolution_of(opened.info, []),
            options,
        )


def _pnm_header(content: bytes) -> tuple[bytes, int, int, int, int] | None:
    """Return (kind, width, height, value of white, where the pixels begin) of a PNM file."""
    token = rb"(?:\s|#[^\n]*\n)+(\d+)"
    match = re.match(rb"(P[2356])" + token * 3 + rb"\s", content[:4096])
    return (match[1], int(match[2]), int(match[3]), int(match[4]), match.end()) if match else None


def _read_pnm(content: bytes) -> Array:
    header = _pnm_header(content)
    if header is None or not 0 < header[3] < 65536:
        raise DataError("the header of the PNM file is damaged.")
    kind, width, height, top, start = header
    check_size(height, width)
    channels = 3 if kind in (b"P3", b"P6") else 1
    count = width * height * channels
    if kind in (b"P2", b"P3"):
        values = np.array(content[start:].split()[:count], np.int64)
    else:
        values = np.frombuffer(content, ">u2", min(count, (len(content) - start) // 2), start).astype(np.int64)
    if len(values) < count:
        raise DataError(f"the picture is cut off: it holds {len(values):,} of {count:,} values.")
    scaled: Array = ((np.clip(values, 0, top) * 65535 + top // 2) // top).astype(np.uint16)
    return scaled.reshape(height, width, channels)


def write_deep(picture: Picture, kind: str, quality: int = 0) -> bytes:
    """Return the content of a file of a format, of uint16 or, in JPEG XL, of floats or uint8."""
    import imagecodecs

    array = _plane(values_of(picture, kind))
    bits, options = picture.coding.bits or 16, picture.coding.options if picture.coding.kind == kind else {}
    exif = notes.settle_exif(picture.exif, picture.pixels.shape[:2]) if picture.exif else None
    if kind == "PNG":
        content = write_film(picture, kind, coded_png) if picture.pages else coded_png(values_of(picture, kind))
        return with_png_notes(content, picture, exif)
    if kind == "PPM":
        told = b"".join(options.get("comments", []))
        told = b"\n" + told if told else b" "
        head = f"{array.shape[1]} {array.shape[0]} {(1 << bits) - 1}\n".encode()
        return (b"P6" if array.ndim == 3 else b"P5") + told + head + to_bits(array, bits).astype(">u2").tobytes()
    if kind == "JP2":
        content = bytes(imagecodecs.jpeg2k_encode(to_bits(array, bits), level=0, bitspersample=bits, codecformat="jp2"))
        return boxes.with_jp2_notes(content, exif, picture.icc_profile, picture.xmp, options.get("boxes", b""))
    if kind == "JXL":
        lossless = not quality or quality == 100
        if array.dtype == np.uint16 and bits < 16:
            array = to_bits(array, bits)
        held = bits if array.dtype == np.uint16 else None
        return bytes(imagecodecs.jpegxl_encode(array, lossless=lossless, level=None if lossless else quality, bitspersample=held))
    bits = min(bits, MOST_BITS[kind])
    if kind == "AVIF":
        level = quality or (100 if picture.alpha is not None else 90)
        return bytes(imagecodecs.avif_encode(to_bits(array, bits), level=level, bitspersample=bits))
    level = quality or max(75, options.get("quality", 95))
    content = bytes(imagecodecs.jpeg_encode(to_bits(array, 12), level=level, bitspersample=12))
    segments = [(0xE1, notes.EXIF_MARK + exif)] if exif else []
    return notes.with_segments(content, [*segments, *options.get("segments", [])])


def _plane(array: Array) -> Array:
    return np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)


def is_deep(content: bytes, kind: str) -> bool:
    """Tell whether a file is one of these, and not Pillow's."""
    return kind == "JXL" or (kind in MOST_BITS and kind not in ("TIFF", "HEIC") and bits_of(content, kind) > 8)
