import warnings

import numpy as np
import pytest
from PIL import Image

from isthmus.errors import DataError, IsthmusWarning
from isthmus.imaging.content import quiet_libraries
from isthmus.imaging.picture import Picture, is_picture_name, read_picture, write_picture


def some(channels, dtype, shape=(13, 17)):
    rng = np.random.default_rng(3)
    values = rng.random((*shape, channels))
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else (values * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("dtype", "end"), [("uint8", "png"), ("uint8", "tif"), ("uint16", "png"), ("uint16", "tif"), ("float32", "tif")]
)
def test_a_picture_comes_back_as_it_was(dtype, end, channels, has_alpha, tmp_path):
    alpha = some(1, dtype)[:, :, 0] if has_alpha else None
    picture = Picture(pixels=some(channels, dtype), alpha=alpha)
    write_picture(tmp_path / f"picture.{end}", picture)
    again = read_picture(tmp_path / f"picture.{end}")
    assert again.pixels.dtype == dtype
    assert np.array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(again.alpha, alpha)


@pytest.mark.parametrize("end", ["bmp", "webp", "ppm", "tga", "jp2"])
def test_other_lossless_formats_keep_color(end, tmp_path):
    picture = Picture(pixels=some(3, "uint8"))
    write_picture(tmp_path / f"picture.{end}", picture)
    assert np.array_equal(read_picture(tmp_path / f"picture.{end}").pixels, picture.pixels)


@pytest.mark.parametrize("end", ["jpg", "jpeg", "avif"])
def test_lossy_formats_come_close(end, tmp_path):
    smooth = np.repeat(np.linspace(0, 255, 32).astype(np.uint8)[:, None], 32, 1)[:, :, None]
    write_picture(tmp_path / f"picture.{end}", Picture(pixels=np.repeat(smooth, 3, 2)))
    assert np.abs(read_picture(tmp_path / f"picture.{end}").pixels.astype(int) - smooth).max() < 8


def test_profile_and_notes_are_kept(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "a maker of cameras"
    exif[0x0112] = 6
    Image.fromarray(some(3, "uint8")).save(tmp_path / "photo.jpg", exif=exif, icc_profile=b"a profile of colors")
    picture = read_picture(tmp_path / "photo.jpg")
    assert picture.pixels.shape == (17, 13, 3)
    write_picture(tmp_path / "again.jpg", picture)
    with Image.open(tmp_path / "again.jpg") as again:
        assert again.info["icc_profile"] == b"a profile of colors"
        assert again.getexif()[0x010F] == "a maker of cameras"
        assert again.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_profile_and_notes_of_deep_pictures_are_kept(channels, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "a maker of cameras"
    exif[0x0112] = 6
    pixels = some(channels, "uint16")
    write_picture(tmp_path / "deep.png", Picture(pixels=pixels, icc_profile=b"a profile of colors", exif=exif.tobytes()))
    with Image.open(tmp_path / "deep.png") as file:  # as others read it
        file.load()
        assert file.info["icc_profile"] == b"a profile of colors"
        assert file.getexif()[0x010F] == "a maker of cameras"
        assert file.getexif().get(0x0112, 1) == 1, "the pixels that are given stand upright"
    picture = read_picture(tmp_path / "deep.png")
    assert np.array_equal(picture.pixels, pixels)
    write_picture(tmp_path / "again.png", picture)
    again = read_picture(tmp_path / "again.png")
    assert np.array_equal(again.pixels, picture.pixels)
    assert again.icc_profile == b"a profile of colors"
    assert b"a maker of cameras" in again.exif


def test_notes_that_are_damaged_are_left_out(tmp_path):
    pixels = some(3, "uint16")
    write_picture(tmp_path / "deep.png", Picture(pixels=pixels, icc_profile=b"colors", exif=b"no notes at all"))
    content = (tmp_path / "deep.png").read_bytes()
    place = content.index(b"iCCP") + 14
    (tmp_path / "deep.png").write_bytes(content[:place] + b"????" + content[place + 4 :])
    picture = read_picture(tmp_path / "deep.png")
    assert np.array_equal(picture.pixels, pixels)
    assert picture.icc_profile is None
    assert picture.exif is None


def test_other_pixels_keep_what_still_fits():
    picture = Picture(pixels=some(1, "uint16"), alpha=some(1, "uint16")[:, :, 0], icc_profile=b"gray", exif=b"notes")
    larger = picture.changed(some(1, "uint16", (26, 34)))
    assert larger.alpha.shape == (26, 34)
    assert larger.alpha.dtype == np.uint16
    assert np.abs(larger.alpha[::2, ::2] / 65535 - picture.alpha / 65535).mean() < 0.2
    assert (larger.icc_profile, larger.exif) == (b"gray", b"notes")
    colored = picture.changed(some(3, "uint16"))
    assert colored.icc_profile is None
    assert np.array_equal(colored.alpha, picture.alpha)


def test_a_transparent_palette_becomes_color_and_alpha(tmp_path):
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=1)
    picture = read_picture(tmp_path / "palette.png")
    assert picture.pixels.tolist() == [[[255, 0, 0], [0, 0, 255]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


def test_cmyk_is_restored_as_rgb_and_comes_back_as_inks_with_their_profile(tmp_path):
    inks = some(4, "uint8")
    Image.fromarray(inks, "CMYK").save(tmp_path / "inks.tif", icc_profile=b"of inks")
    picture = read_picture(tmp_path / "inks.tif")
    expected = np.asarray(Image.open(tmp_path / "inks.tif").convert("RGB")).astype(int)
    assert np.abs(picture.pixels - expected).max() <= 1
    write_picture(tmp_path / "again.tif", picture)
    with Image.open(tmp_path / "again.tif") as again:
        assert again.mode == "CMYK"
        assert again.info["icc_profile"] == b"of inks"
        assert np.abs(np.asarray(again.convert("RGB")) - expected).max() <= 2
        assert np.abs(np.asarray(again)[:, :, 3].astype(int) - inks[:, :, 3]).max() <= 1, "as much black as before"


def test_a_white_is_zero_tiff_is_not_inverted(tmp_path):
    import tifffile

    stored = some(1, "uint16")[:, :, 0]
    tifffile.imwrite(tmp_path / "negative.tif", stored, photometric="miniswhite")
    assert np.array_equal(read_picture(tmp_path / "negative.tif").pixels[:, :, 0], 65535 - stored)


def test_formats_are_known_by_the_names_end():
    assert is_picture_name("A.PNG")
    assert is_picture_name("b.c.jpeg")
    assert not is_picture_name("png")
    assert not is_picture_name("notes.txt")


@pytest.mark.parametrize(
    ("name", "dtype", "message"),
    [
        ("picture.xyz", "uint8", "Cannot write picture.xyz: the name must end in one of .png, .apng, .jpg, "),
        ("picture.jpg", "uint16", "JPEG cannot hold uint16 pixels: name the file .tif or .png."),
        ("picture.png", "float32", "PNG cannot hold float32 pixels: name the file .tif."),
    ],
)
def test_what_a_format_cannot_hold_is_refused(name, dtype, message, tmp_path):
    with pytest.raises(DataError) as refused:
        write_picture(tmp_path / name, Picture(pixels=some(1, dtype)))
    assert str(refused.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none.png cannot be read: No such file or directory\."):
        read_picture(tmp_path / "none.png")


def test_while_one_thread_decodes_others_can_warn():
    """Warnings' filters are of the whole process."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet_libraries():
            warnings.warn_explicit("odd EXIF", UserWarning, "Image.py", 1, module="PIL.Image")
            warnings.warn_explicit("invalid value", RuntimeWarning, "color.py", 1, module="isthmus.imaging.color")
            warnings.warn("the images look odd", IsthmusWarning, stacklevel=1)
        warnings.warn_explicit("odd EXIF", UserWarning, "Image.py", 1, module="PIL.Image")
    assert [str(warning.message) for warning in heard] == ["the images look odd", "odd EXIF"]
