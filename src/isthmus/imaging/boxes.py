"""The boxes of JPEG 2000 and JPEG XL files, and the notes in them.

Source: ITU-T T.800 (2019), annex I; XMP Specification, part 3 (2020), 1.1.6.
"""

from __future__ import annotations

from collections.abc import Iterator

EXIF_UUID, XMP_UUID = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
GEO_UUID = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
"""Which of JPEG 2000's boxes hold EXIF, XMP and GeoTIFF."""


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield the boxes of a JPEG 2000 file, or of one of its boxes: (kind, where it begins, where its data do, where it ends)."""
    end = len(content) if end is None else end
    while start + 8 <= end:
        length, kind, head = int.from_bytes(content[start : start + 4]), content[start + 4 : start + 8], 8
        if length == 1:
            length, head = int.from_bytes(content[start + 8 : start + 16]), 16
        length = length or end - start
        if length < head or start + length > end:
            return
        yield kind, start, start + head, start + length
        start += length


def jp2_notes(content: bytes) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return EXIF, color profile and XMP of a JPEG 2000 file."""
    exif = profile = xmp = None
    for kind, _, data, end in boxes(content):
        if kind == b"uuid" and content.startswith((EXIF_UUID, XMP_UUID), data):
            found = content[data + 16 : end]
            exif, xmp = (found, xmp) if content.startswith(EXIF_UUID, data) else (exif, found)
        for inner, _, at, last in boxes(content, data, end) if kind == b"jp2h" else ():
            if inner == b"colr" and content[at] in (2, 3):
                profile = content[at + 3 : last]
    return exif, profile, xmp


def jp2_boxes(content: bytes) -> bytes:
    """Return the boxes of a JPEG 2000 file that say something else: texts in XML, IPTC and others; all but GeoTIFF's."""
    return b"".join(
        content[start:end]
        for kind, start, data, end in boxes(content)
        if kind == b"xml " or (kind == b"uuid" and not content.startswith((EXIF_UUID, XMP_UUID, GEO_UUID), data))
    )


def with_jp2_notes(content: bytes, exif: bytes | None, profile: bytes | None, xmp: bytes | None, further: bytes = b"") -> bytes:
    """Return a JPEG 2000 file with EXIF, without its mark, color profile, XMP and further boxes put into it."""
    content += further
    for mark, data in ((EXIF_UUID, exif), (XMP_UUID, xmp)):
        content += _box(b"uuid", mark + data) if data else b""
    for kind, start, at, end in boxes(content) if profile else ():
        if kind == b"jp2h":
            kept = b"".join(content[begin:last] for inner, begin, _, last in boxes(content, at, end) if inner != b"colr")
            whole = _box(kind, kept + _box(b"colr", b"\2\0\0" + (profile or b"")))
            return content[:start] + whole + content[end:]
    return content


def _box(kind: bytes, data: bytes) -> bytes:
    return (8 + len(data)).to_bytes(4) + kind + data
