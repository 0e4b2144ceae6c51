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
