"""What formats say beside the pixels comes back, or is named: what other programs put there, and what ExifTool finds."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from isthmus.errors import DataError
from isthmus.imaging import notes
from isthmus.imaging.bmp import color_space
from isthmus.imaging.film import gif_blocks
from isthmus.imaging.picture import decode_picture, encode_picture, lost_in

Y, X = np.mgrid[0:16, 0:24]
RGB = np.stack([X * 10, Y * 15, 255 - X - Y], -1).astype(np.uint8)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
PROFILE = b"a profile of colors " * 8


def again(content, end):
    picture = decode_picture(content, f"a.{end}")
    return picture, encode_picture(picture, f"b.{end}")


def saved(kind, **options):
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, kind, **options)
    return out.getvalue()


def test_comments_and_xmp_of_a_gif_come_back_wherever_they_stand():
    comment = b"!\xfe\x05after\0"
    xmp = b"!\xff\x0bXMP DataXMP" + XMP + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    content = saved("GIF", comment=b"before")[:-1] + comment + xmp + b";"
    picture, result = again(content, "gif")
    kept = [block for label, block in gif_blocks(result) if label in (0xFE, 0xFF)]
    assert kept == [b"!\xfe\x06before\0", comment, xmp]
    assert picture.xmp == XMP
    assert lost_in(picture, "b.gif") == ()
    assert lost_in(picture, "b.bmp") == ("metadata does not come back (XMP): BMP is written without.",)
    with Image.open(io.BytesIO(result)) as opened:
        assert opened.size == (24, 16)
    assert XMP in encode_picture(picture, "b.png")


@pytest.mark.parametrize("deep", [False, True])
def test_comments_of_a_pnm_come_back(deep):
    top, kind = (65535, ">u2") if deep else (255, "u1")
    pixels = (RGB.astype(np.uint32) * top // 255).astype(kind).tobytes()
    content = b"P6\n# by somebody\n24 16\n# and somebody else\n%d\n" % top + pixels
    _, result = again(content, "ppm")
    assert result.startswith(b"P6\n# by somebody\n# and somebody else\n24 16")
    assert result.endswith(pixels)
    assert decode_picture(result, "b.ppm").pixels.shape == (16, 24, 3)


def bmp(space, profile=b"", alpha=False):
    """Return a BMP of one of the headers that tell the color space."""
    values = np.dstack([RGB[::-1, :, ::-1], np.full(RGB.shape[:2], 77, np.uint8)] if alpha else [RGB[::-1, :, ::-1]]).tobytes()
    length = 124 if profile else 108
    header = struct.pack("<III2H6I", length, 24, 16, 1, 32 if alpha else 24, 3 if alpha else 0, len(values), 0, 0, 0, 0)
    header += struct.pack("<4I", *((0xFF0000, 0xFF00, 0xFF, 0xFF000000) if alpha else (0, 0, 0, 0))) + space
    header += struct.pack("<4I", 4, length + len(values), len(profile), 0) if profile else b""
    return b"BM" + struct.pack("<III", 14 + length + len(values) + len(profile), 0, 14 + length) + header + values + profile


@pytest.mark.parametrize("alpha", [False, True])
def test_the_profile_of_a_bmp_comes_back(alpha):
    picture, result = again(bmp(b"DEBM" + bytes(48), PROFILE, alpha), "bmp")
    assert picture.icc_profile == PROFILE
    assert result == bmp(b"DEBM" + bytes(48), PROFILE, alpha)
    with Image.open(io.BytesIO(result)) as opened:
        assert np.array_equal(np.asarray(opened)[:, :, :3], RGB)
    assert decode_picture(encode_picture(picture, "b.png"), "b.png").icc_profile == PROFILE
    from_png = decode_picture(saved("PNG", icc_profile=PROFILE), "a.png")
    assert color_space(encode_picture(from_png, "b.bmp")) == (b"DEBM" + bytes(48), PROFILE)
    assert lost_in(from_png, "b.bmp") == ()


def test_the_primaries_of_a_bmp_and_the_name_of_its_profile_come_back():
    primaries = bytes(4) + struct.pack("<12I", *range(100, 112))
    assert again(bmp(primaries), "bmp")[1] == bmp(primaries)
    linked = b"KNIL" + bytes(48)
    assert color_space(again(bmp(linked, b"C:\\a.icc\0"), "bmp")[1]) == (linked, b"C:\\a.icc\0")


def test_chunks_of_a_png_that_are_safe_to_copy_come_back_and_others_are_named():
    """PNG, 5.4: the fourth letter of a chunk's name says whether it may be copied when the pixels change."""
    chunks = [(b"vpAg", bytes(9)), (b"oFFs", bytes(9)), (b"caBX", b"?"), (b"iDOT", bytes(28))]
    picture, result = again(notes.with_chunks(saved("PNG"), chunks), "png")
    assert [chunk for chunk in notes.png_chunks(result) if chunk[0] in dict(chunks)] == chunks[:2]
    assert picture.remarks == ("what its chunks caBX say does not come back.",)


def in_tiff(array, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, array, photometric="rgb", metadata=None, **options)
    return out.getvalue()


def test_tags_of_a_tiff_come_back_or_are_named():
    content = in_tiff(RGB, extratags=[(50735, 2, 4, b"123\0", True), (50714, 3, 1, 9, True), (65001, 3, 1, 9, True)])
    picture, result = again(content, "tif")
    assert picture.remarks == ("what its tags BlackLevel, 65001 say does not come back.",)
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[0].tags[50735].value == "123"
    many = [(65100 + place, 3, 1, 9, True) for place in range(11)]
    assert again(in_tiff(RGB, extratags=many), "tif")[0].remarks[0].endswith("65107 say does not come back, and 3 more.")


def test_remarks_are_those_of_all_pages():
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as file:
        file.write(RGB, photometric="rgb", subfiletype=2)
        file.write(RGB[:, :, 0] > 99, photometric="minisblack", subfiletype=2)
    picture, result = again(out.getvalue(), "tif")
    assert picture.remarks == ("its 1 bit becomes 8.",)
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert [page.subfiletype for page in file.pages] == [2, 2]


def test_a_fourth_value_that_is_not_told_is_alpha():
    """As Pillow and libtiff read it."""
    whole = np.dstack([RGB, (X * 10).astype(np.uint8)])
    content = bytearray(in_tiff(whole, extrasamples=["unassalpha"], byteorder="<"))
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    entries = [bytes(content[start + 2 + 12 * place :][:12]) for place in range(count)]
    kept = [entry for entry in entries if struct.unpack_from("<H", entry)[0] != 338]
    assert len(kept) == count - 1
    content[start : start + 2 + 12 * count] = struct.pack("<H", len(kept)) + b"".join(kept) + bytes(12)
    picture, result = again(bytes(content), "tif")
    assert picture.remarks == ()
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[0].extrasamples == (2,)
        assert np.array_equal(file.pages[0].asarray(), whole)


def test_colors_of_lab_that_srgb_lacks_are_told():
    green = np.broadcast_to(np.array([128, 156, 0], np.uint8), (8, 8, 3))  # a = -100
    out = io.BytesIO()
    tifffile.imwrite(out, green, photometric="cielab")
    assert decode_picture(out.getvalue(), "a.tif").remarks == ("its colors that sRGB lacks come back as others that it has.",)
    out = io.BytesIO()
    tifffile.imwrite(out, green * np.array([1, 0, 1], np.uint8), photometric="cielab")
    assert decode_picture(out.getvalue(), "a.tif").remarks == ()


def test_iptc_and_texts_of_a_jpeg_2000_come_back():
    boxes = b"".join(
        (8 + len(data)).to_bytes(4) + kind + data
        for kind, data in (
            (b"uuid", bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38") + b"\x1c\x02\x05\0\x05a day"),
            (b"xml ", b"<a>text</a>"),
        )
    )
    content = encode_picture(decode_picture(saved("PNG"), "a.png"), "a.jp2") + boxes
    _, result = again(content, "jp2")
    assert result.endswith(boxes)
    assert result.count(boxes) == 1


def test_what_lies_between_the_segments_of_a_jpeg_hides_none():
    content = saved("JPEG", xmp=XMP, comment=b"a comment")
    place = content.index(b"\xff\xfe")
    picture, result = again(content[:place] + b"\0" * 16 + content[place:], "jpg")
    assert picture.xmp == XMP
    assert b"a comment" in result
    assert XMP in result


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("masks", [(0xF00, 0xF0, 0xF, 0xF000), (0x7C00, 0x3E0, 0x1F, 0), (0xF800, 0x7E0, 0x1F, 0)])
def test_bmps_that_tell_which_bits_are_which_color_are_read(bits, down, masks):
    rng = np.random.default_rng(0)
    words = rng.integers(0, 1 << 16, (5, 7)).astype(f"<u{bits // 8}")
    rows = b"".join(row.tobytes().ljust(-(-7 * bits // 32) * 4, b"\0") for row in (words if down else words[::-1]))
    header = struct.pack("<Iii2H6I4I", 56, 7, -5 if down else 5, 1, bits, 3, len(rows), 2835, 2835, 0, 0, *masks)
    content = b"BM" + struct.pack("<III", 14 + 56 + len(rows), 0, 14 + 56) + header + rows
    picture = decode_picture(content, "a.bmp")
    found = [*np.moveaxis(picture.pixels, -1, 0), *([] if picture.alpha is None else [picture.alpha])]
    assert len(found) == sum(map(bool, masks))
    for plane, mask in zip(found, masks, strict=False):
        value = (words & mask) // (mask & -mask)
        assert np.array_equal(plane, np.floor(value * 255.0 / (mask // (mask & -mask)) + 0.5))
    assert picture.resolution == pytest.approx((72, 72), abs=0.1)
    if masks[1] == 0x7E0 and bits == 16:
        with Image.open(io.BytesIO(content)) as opened:
            assert np.abs(np.asarray(opened).astype(int) - picture.pixels).max() <= 1
    with pytest.raises(DataError, match="cut off"):
        decode_picture(content[:-1], "a.bmp")


def test_a_bmp_of_more_than_eight_bits_a_color_is_refused():
    header = struct.pack("<Iii2H6I4I", 56, 1, 1, 1, 32, 3, 4, 0, 0, 0, 0, 0x7FF, 0x3FF800, 0xFFC00000, 0)
    with pytest.raises(DataError, match="more than 8 bits"):
        decode_picture(b"BM" + struct.pack("<III", 74, 0, 70) + header + bytes(4), "a.bmp")


def test_a_list_of_pages_that_leads_back_to_itself_ends_there():
    content = bytearray(in_tiff(RGB, byteorder="<"))
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    struct.pack_into("<I", content, start + 2 + 12 * count, start)
    picture = decode_picture(bytes(content), "a.tif")
    assert picture.frames == 1
    assert picture.remarks == ("its list of pages leads back to itself, and ends there.",)
