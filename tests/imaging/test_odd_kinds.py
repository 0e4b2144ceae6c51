"""Odd kinds of sound files, as other programs read them."""

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from isthmus.errors import DataError
from isthmus.imaging.picture import decode_picture, encode_picture

Y, X = np.mgrid[0:16, 0:24]
RGB = np.stack([X * 10, Y * 15, 255 - X - Y], -1).astype(np.uint8)


def in_tiff(array, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, array, metadata=None, **{"photometric": "rgb", **options})
    return out.getvalue()


def again(content, end):
    return encode_picture(decode_picture(content, f"a.{end}"), f"b.{end}")


def test_what_lies_beside_the_colors_of_a_tiff_keeps_its_order():
    values = np.dstack([RGB, X * 11, Y * 16]).astype(np.uint8)
    result = again(in_tiff(values, extrasamples=["unassalpha", "unspecified"]), "tif")
    with tifffile.TiffFile(io.BytesIO(result)) as file:
        assert file.pages[0].extrasamples == (2, 0)
        assert np.array_equal(file.asarray(), values)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_becomes_rgb_of_as_many_bits_as_its_colors_have(bits):
    colors = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    colors = colors if bits == 16 else colors // 257 * 257
    indices = (X * 10).astype(np.uint8)
    result = tifffile.imread(io.BytesIO(again(in_tiff(indices, photometric="palette", colormap=colors), "tif")))
    assert result.dtype == f"uint{bits}"
    assert np.array_equal(result, np.moveaxis(colors[:, indices] // (257 if bits == 8 else 1), 0, -1))


def test_a_palette_with_transparency_keeps_that_in_its_own_depth():
    colors = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
    values = np.stack([X * 10, Y * 17], -1).astype(np.uint8)
    entry = ((320, "H", colors.size, colors.ravel().tolist(), True),)
    content = in_tiff(values, photometric="minisblack", extrasamples=["unassalpha"], extratags=entry)
    kind, palette = (np.array([262, 3, 1, 0, code, 0], "<u2").tobytes() for code in (1, 3))
    assert kind in content
    picture = decode_picture(content.replace(kind, palette), "a.tif")
    np.testing.assert_array_equal(picture.pixels, np.moveaxis(colors[:, values[:, :, 0]], 0, -1))
    np.testing.assert_array_equal(picture.alpha.squeeze(), values[:, :, 1].astype(np.uint16) * 257)


@pytest.mark.parametrize("number", [33003, 33004])
def test_jpeg2000_in_tiff_as_slide_scanners_and_libvips_write_it_is_ycbcr(number):
    ycbcr = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    content = in_tiff(ycbcr, compression="jpeg2000", compressionargs={"level": 0})
    assert np.array_equal(decode_picture(content, "a.tif").pixels, ycbcr)
    own, foreign = (np.array([259, 3, 1, 0, code, 0], "<u2").tobytes() for code in (34712, number))
    assert own in content
    assert np.abs(decode_picture(content.replace(own, foreign), "a.tif").pixels.astype(int) - RGB).max() <= 3


def test_a_bmp_without_a_resolution_gets_none():
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, "BMP", dpi=(0, 0))
    assert again(out.getvalue(), "bmp")[38:46] == bytes(8)


def test_a_lossless_jpeg_is_refused_in_a_sentence():
    content = imagecodecs.ljpeg_encode(RGB[:, :, 0].astype(np.uint16) * 257, bitspersample=16)
    with pytest.raises(DataError, match=r"it is damaged, or a kind of JPEG that is not read: save it as a PNG\."):
        decode_picture(content, "a.jpg")


def test_the_white_point_of_a_tiff_comes_back():
    white = ((318, 5, 2, (3127, 10000, 3290, 10000), True),)
    with tifffile.TiffFile(io.BytesIO(again(in_tiff(RGB, extratags=white), "tif"))) as file:
        assert file.pages[0].tags.valueof(318) == (3127, 10000, 3290, 10000)


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("bits", [4, 9, 10, 12, 14])
def test_jpeg_xl_of_any_depth_fills_the_range_and_keeps_its_depth(bits, container):
    top = (1 << bits) - 1
    values = (RGB.astype(np.uint32) * top // 255).astype(np.uint8 if bits < 8 else np.uint16)
    content = bytes(imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits, usecontainer=container))
    picture = decode_picture(content, "a.jxl")
    white = 255 if bits < 8 else 65535
    assert np.abs(picture.pixels - values * (white / top)).max() <= 0.5
    assert picture.remarks == (("its 4 bits become 8.",) if bits < 8 else ())
    result = imagecodecs.jpegxl_decode(encode_picture(picture, "b.jxl"))
    assert np.array_equal(result, picture.pixels if bits < 8 else values)


@pytest.mark.parametrize("white", [7, 15, 100])
@pytest.mark.parametrize("kind", [2, 5])
def test_a_pnm_of_fewer_bits_becomes_eight_and_says_so(kind, white):
    values = (X * white // 23).astype(np.uint8)
    body = values.tobytes() if kind == 5 else b" ".join(b"%d" % value for value in values.ravel())
    picture = decode_picture(b"P%d 24 16 %d\n" % (kind, white) + body, "a.pgm")
    assert np.abs(picture.pixels[:, :, 0] - values * (255 / white)).max() <= 0.5
    assert picture.remarks == (f"its {white.bit_length()} bits become 8.",)


def test_an_avif_that_claims_more_than_it_holds_is_refused_before_it_is_filled_up():
    out = io.BytesIO()
    Image.fromarray(RGB).save(out, "AVIF")
    content = out.getvalue()
    place = content.find(b"ispe") + 8
    large = content[:place] + (9000).to_bytes(4) + (10000).to_bytes(4) + content[place + 8 :]
    with pytest.raises(DataError, match=r"it claims 10,000 x 9,000 pixels, and holds 384\."):
        decode_picture(large, "a.avif")


def test_pages_of_sixteen_bits_are_refused_where_only_frames_of_eight_are_held():
    deep = RGB.astype(np.uint16) * 257
    picture = decode_picture(in_tiff(np.stack([deep, deep]), photometric="rgb"), "a.tif")
    with pytest.raises(DataError, match=r"AVIF holds one picture of more than 8 bits, not 2: name the file .tif"):
        encode_picture(picture, "b.avif")


def test_the_profile_of_a_png_that_is_damaged_is_named_and_so_is_what_does_not_come_back():
    from isthmus.imaging.notes import with_chunks

    out = io.BytesIO()
    Image.fromarray(RGB).save(out, "PNG")
    chunks = [(b"iCCP", b"a\0\0damaged"), (b"oFFs", bytes(9)), (b"sCAL", b"\0011\0002")]
    picture = decode_picture(with_chunks(out.getvalue(), chunks), "a.png")
    assert np.array_equal(picture.pixels, RGB)
    assert picture.remarks == (
        "its color profile is damaged, and does not come back.",
        "what its chunks sCAL say does not come back.",
    )
