"""FAULTS 3, 5, 74: files that are cut off, or claim more than they hold, are refused before their pixels are decoded."""

import io
import struct
import tracemalloc
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from isthmus.datasets.arrays import read_npz
from isthmus.errors import DataError
from isthmus.imaging import notes
from isthmus.imaging.picture import decode_picture

Y, X = np.mgrid[0:40, 0:56]
RGB = np.stack([X * 4, Y * 6, 255 - X - Y], -1).astype(np.uint8)
DEEP = RGB.astype(np.uint16) * 257


def pillow(kind, **options):
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, kind, **options)
    return out.getvalue()


def tiff(*pages, **options):
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        for page in pages:
            file.write(page, photometric="rgb", metadata=None, **options)
    return out.getvalue()


FILES = {
    "png": lambda: pillow("PNG"),
    "film.png": lambda: pillow("PNG", save_all=True, append_images=[Image.fromarray(RGB[::-1])]),
    "deep.png": lambda: imagecodecs.png_encode(DEEP),
    "jpg": lambda: pillow("JPEG"),
    "deep.jpg": lambda: imagecodecs.jpeg_encode(DEEP >> 4, level=95, bitspersample=12),
    "gif": lambda: pillow("GIF"),
    "webp": lambda: pillow("WEBP"),
    "bmp": lambda: pillow("BMP"),
    "tga": lambda: pillow("TGA"),
    "ppm": lambda: pillow("PPM"),
    "jp2": lambda: pillow("JPEG2000"),
    "avif": lambda: pillow("AVIF"),
    "jxl": lambda: imagecodecs.jpegxl_encode(RGB, lossless=True),
    "tif": lambda: tiff(RGB),
    "pages.tif": lambda: tiff(RGB, RGB[::-1], RGB[:, ::-1]),
    "tiled.tif": lambda: tiff(RGB, tile=(16, 16)),
    **{f"{name}.tif": (lambda name=name: tiff(RGB, compression=name)) for name in ("lzw", "zlib", "jpeg", "jpegxr", "packbits")},
    "end.tif": lambda: pillow("TIFF"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_03_of_a_truncated_file_nothing_is_made_up(name):
    content = bytes(FILES[name]())
    whole = decode_picture(content, f"a.{name}")
    for length in {*range(len(content) // 10, len(content), max(1, len(content) // 40)), len(content) - 20}:
        try:
            part = decode_picture(content[:length], f"a.{name}")
        except DataError:
            continue
        assert part.frames == whole.frames  # what is missing were notes, or the end's mark
        assert np.array_equal(part.pixels, whole.pixels)
        assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(part.pages, whole.pages, strict=True))


def claiming(content, width, height):
    """Return a PNG of which the header claims another size."""
    (_, header), *others = notes.png_chunks(content)
    return notes.png_of([(b"IHDR", struct.pack(">II", width, height) + header[8:]), *others])


@pytest.mark.parametrize("name", ["png", "film.png", "deep.png"])
def test_05_a_png_that_claims_megapixels_is_refused_before_they_take_memory(name):
    content = claiming(FILES[name](), 7000, 6200)
    decode_picture(FILES[name](), "warm.png")
    tracemalloc.start()
    with pytest.raises(DataError, match=r"the picture is cut off: it holds [\d,]+ of [\d,]+ bytes\."):
        decode_picture(content, "a.png")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_05_a_jpeg_that_claims_megapixels_is_refused():
    content = FILES["jpg"]().replace(struct.pack(">HH", 40, 56), struct.pack(">HH", 6200, 7000))
    with pytest.raises(DataError, match=r"cut off: it holds [\d,]+ of at least 84,765 bytes"):
        decode_picture(content, "a.jpg")


def test_05_a_tiff_that_claims_more_rows_than_it_has_strips_for_is_refused():
    content = tiff(RGB, compression="zlib").replace(struct.pack("<HHII", 257, 4, 1, 40), struct.pack("<HHII", 257, 4, 1, 1 << 20))
    with pytest.raises(DataError, match=r"cut off: it holds 1 of 26,215 strips or tiles"):
        decode_picture(content, "a.tif")


@pytest.mark.parametrize("depth", [8, 16])
def test_an_interlaced_png_is_whole_with_all_its_passes(depth, capfd):
    values = RGB[:5, :3] if depth == 8 else DEEP[:5, :3]
    passes = [values[top::down, left::across] for left, top, across, down in notes.ADAM7]
    rows = [b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for part in passes if part.size for row in part]
    header = struct.pack(">IIBBBBB", 3, 5, depth, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b"")]
    assert np.array_equal(decode_picture(notes.png_of(chunks), "a.png").pixels, values)
    assert capfd.readouterr().err == ""  # libpng's warnings go to the file descriptor
    with pytest.raises(DataError, match="cut off"):
        decode_picture(notes.png_of([chunks[0], (b"IDAT", zlib.compress(b"".join(rows[:-1]))), chunks[2]]), "a.png")


def test_74_an_npz_that_inflates_a_thousandfold_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 11, 1024, 1024)})
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte, head = bytes(1 << 20), header.getvalue()
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    once = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)  # the same for each megabyte
    whole = packed + once * (1 << 11) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    size, name = len(head) + (1 << 31), b"images.npy"
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(whole), size, len(name), 0)
    central = b"PK\1\2" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    local = b"PK\3\4" + fields + name
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(whole), 0)
    path.write_bytes(local + whole + central + end)
    with pytest.raises(DataError, match=r"bomb\.npz inflates to 2\.1 GB, [\d,]+ times its size"):
        read_npz(path)


def test_05_an_interlaced_png_that_inflates_beyond_its_size_takes_no_memory():
    header = struct.pack(">IIBBBBB", 1, 1, 16, 0, 0, 0, 1)
    row = b"\0\x12\x34"
    content = notes.png_of([(b"IHDR", header), (b"IDAT", zlib.compress(row + bytes(64 << 20))), (b"IEND", b"")])
    tracemalloc.start()
    assert decode_picture(content, "a.png").pixels.tolist() == [[[0x1234]]]
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_what_a_library_says_of_damage_stays_one_short_line(tmp_path):
    """zipfile's message holds whatever lies where a member's name should be."""
    path = tmp_path / "digits.npz"
    np.savez(path, images=np.zeros((4, 8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    content[26:28] = (4000).to_bytes(2, "little")  # the length of the name
    path.write_bytes(content + bytes(4000))
    with pytest.raises(DataError) as refused:
        read_npz(path)
    assert "is not a NumPy file, or is damaged" in str(refused.value)
    assert len(str(refused.value)) < 300 + len(str(path)) + 60
    assert str(refused.value).isprintable()


def test_a_palette_without_three_colors_is_refused(tmp_path):
    path = tmp_path / "palette.tif"
    colors = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, np.zeros((12, 16), np.uint8), photometric="palette", colormap=colors)
    content = path.read_bytes()
    tag = b"\x40\x01\x03\x00"  # ColorMap, SHORT
    assert content.count(tag + (768).to_bytes(4, "little")) == 1
    path.write_bytes(content.replace(tag + (768).to_bytes(4, "little"), tag + (8).to_bytes(4, "little")))
    with pytest.raises(DataError, match="lacks its colors"):
        decode_picture(path.read_bytes(), path.name)


def test_a_size_of_many_numbers_is_refused_in_a_sentence():
    """A tag holds as many numbers as it says; tifffile hands them all on."""
    content = tiff(RGB)
    width, length = (tag + b"\x01\x04\x00\x01\x00\x00\x00" for tag in (b"\x00", b"\x01"))  # one LONG each
    assert content.count(width) == content.count(length + bytes((40, 0, 0, 0))) == 1
    content = content.replace(width, width[:4] + (200).to_bytes(4, "little")).replace(length + b"\x28", length + b"\x00")
    with pytest.raises(DataError, match=r"^a\.tif: a TIFF whose size is not two numbers is damaged\.$"):
        decode_picture(content, "a.tif")
