"""What `fuzz.py` does to a file: mutations of parts of its structure, where its format is known, and of any bytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np

ODD = (0, 1, 2, 3, 4, 7, 8, 16, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
"""Numbers at which code breaks."""

Span = tuple[int, int]


def mutated(content: bytes, name: str, chance: np.random.Generator) -> bytes:
    """Return an original with one to four mutations, made whole again where its format has checksums."""
    if name.endswith(".npz") and chance.random() < 0.8:
        return in_archive(content, chance)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        spans = parts_of(content)
        span = spans[chance.integers(len(spans))] if spans and chance.random() < 0.75 else (0, len(content))
        content = one_mutation(content, span, chance)
    return with_checksums(content) if content.startswith(b"\x89PNG") and chance.random() < 0.9 else content


def one_mutation(content: bytes, span: Span, chance: np.random.Generator) -> bytes:
    start, end = span[0], min(span[1], len(content))
    if end <= start:
        return content
    at = int(chance.integers(start, end))
    match chance.integers(8):
        case 0 | 1:  # a number at which code breaks
            width = int(chance.choice([1, 2, 4]))
            number = int(chance.choice(ODD)) % (1 << 8 * width)
            new = number.to_bytes(width, "little" if chance.random() < 0.5 else "big")
            return content[:at] + new + content[at + width :]
        case 2:
            return content[:at] + bytes((content[at] ^ 1 << int(chance.integers(8)),)) + content[at + 1 :]
        case 3:
            return content[:at] + chance.bytes(int(chance.integers(1, 9))) + content[at + int(chance.integers(9)) :]
        case 4:  # the part twice
            return content[:end] + content[start:end][: 1 << 12] + content[end:]
        case 5:  # without the part
            return content[:start] + content[end:] if (start, end) != (0, len(content)) else content[:at]
        case 6:
            return content[:at]
        case _:  # a digit, as texts and headers have them
            places = [place for place in range(start, min(end, start + 4096)) if 48 <= content[place] < 58]
            at = int(chance.choice(places)) if places else at
            return content[:at] + b"%d" % chance.choice(ODD) + content[at + 1 :]


def parts_of(content: bytes) -> list[Span]:
    """Return where the parts of a file's structure lie."""
    if content.startswith(b"\x89PNG"):
        return chunks(content, 8, ">I", 12)
    if content[:4] == b"RIFF":
        return chunks(content, 12, "<4xI", 8)
    if content[:4] in (b"II*\0", b"MM\0*"):
        return entries(content, "<" if content[:2] == b"II" else ">")
    if content.startswith(b"\xff\xd8"):
        return segments(content)
    if content[4:8] in (b"ftyp", b"jP  ", b"JXL "):
        return boxes(content, 0, len(content))
    if content[:6] == b"\x93NUMPY":
        return [(0, 10), (10, 10 + int.from_bytes(content[8:10], "little"))]
    if content[8:9] == b"{":  # a model file
        return [(0, 8), (8, 8 + min(int.from_bytes(content[:8], "little"), 1 << 16))]
    if content[:5] in (b"POST ", b"GET /"):
        line = content.find(b"\n")
        return [(0, line), (line + 1, min(len(content), line + 200))]
    return [(0, 64)]


def chunks(content: bytes, place: int, head: str, beside: int) -> list[Span]:
    found = []
    while place + beside <= len(content) and len(found) < 100:
        (length,) = struct.unpack_from(head, content, place)
        end = min(len(content), place + beside + length + (length % 2 if head[0] == "<" else 0))
        found.append((place, end))
        place = end
    return found


def entries(content: bytes, order: str) -> list[Span]:
    (place,) = struct.unpack_from(order + "I", content, 4) if len(content) >= 8 else (0,)
    found = [(0, min(8, len(content)))]
    while 0 < place < len(content) - 2 and len(found) < 200:
        (count,) = struct.unpack_from(order + "H", content, place)
        found.append((place, min(len(content), place + 2)))  # each directory counts, so that a circle of empty ones ends
        inner = range(place + 2, min(place + 2 + 12 * count, len(content) - 12), 12)
        found += [(at, at + 12) for at in inner]
        after = place + 2 + 12 * count
        (place,) = struct.unpack_from(order + "I", content, after) if after + 4 <= len(content) else (0,)
    return found


def segments(content: bytes) -> list[Span]:
    found, place = [], 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xDA and len(found) < 100:
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        found.append((place, min(len(content), place + 2 + length)))
        place += 2 + max(2, length)
    return found


def boxes(content: bytes, start: int, end: int, depth: int = 0) -> list[Span]:
    found: list[Span] = []
    while start + 8 <= end and len(found) < 100:
        length, kind = int.from_bytes(content[start : start + 4], "big") or end - start, content[start + 4 : start + 8]
        if length < 8:
            break
        last = min(end, start + length)
        found.append((start, last))
        if depth < 4 and kind in (b"meta", b"iprp", b"ipco", b"jp2h", b"iinf"):
            found += boxes(content, start + 8 + (4 if kind in (b"meta", b"iinf") else 0), last, depth + 1)
        start = last
    return found


def with_checksums(content: bytes) -> bytes:
    """Return a PNG whose chunks have right lengths and checksums, so that a decoder looks at what lies in them."""
    result = bytearray(content)
    for start, end in chunks(content, 8, ">I", 12):
        if end - start >= 12:
            result[end - 4 : end] = zlib.crc32(content[start + 4 : end - 4]).to_bytes(4, "big")
    return bytes(result)


def in_archive(content: bytes, chance: np.random.Generator) -> bytes:
    """Return an .npz with one of its members mutated, dropped, renamed or written twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        names = source.namelist()
        chosen, how = names[chance.integers(len(names))], chance.integers(5)
        for name in names:
            inner = source.read(name)
            if name == chosen and how == 0:
                continue
            if name == chosen and how < 4:
                spans = [*parts_of(inner), (0, len(inner))]
                inner = one_mutation(inner, spans[chance.integers(len(spans))], chance)
            target.writestr("images.npy" if name == chosen and how == 4 else name, inner)
    return out.getvalue()
