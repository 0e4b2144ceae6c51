"""FAULTS 59 to 90: files and folders, each made to happen with inputs built here."""

import os
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import isthmus
from isthmus.datasets import open_data
from isthmus.errors import DataError
from isthmus.imaging.picture import decode_picture, encode_picture, read_picture, write_picture

Y, X = np.mgrid[0:32, 0:48]
RGB = np.stack([X * 5, Y * 7, 255 - X - Y], -1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, digits):
    (tmp_path / "in").mkdir()
    for name, image in zip("ab", digits, strict=False):
        Image.fromarray(image).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def again(path):
    """Return a file's picture, and what is read after it was written to another file."""
    picture = read_picture(path)
    target = path.with_name(f"again{path.suffix}")
    write_picture(target, picture)
    return picture, target


@pytest.mark.parametrize("how", ["planar", "jpeg", "cmyk", "palette", "lab", "lzw", "bigtiff", "lzw_predictor"])
def test_59_tiffs_keep_their_colors_as_others_read_them(how, tmp_path):
    path, image = tmp_path / f"{how}.tif", Image.fromarray(RGB)
    match how:
        case "planar":
            tifffile.imwrite(path, np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate")
        case "jpeg":
            tifffile.imwrite(path, RGB, photometric="rgb", compression="jpeg", subsampling=(2, 2))
        case "cmyk" | "lab":
            image.convert(how.upper()).save(path)
        case "palette":
            image.quantize(16).save(path)
        case "lzw":
            image.save(path, compression="tiff_lzw")
        case "bigtiff":
            tifffile.imwrite(path, RGB, photometric="rgb", bigtiff=True)
        case _:
            tifffile.imwrite(path, RGB, photometric="rgb", compression="lzw", predictor=True)
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB")).astype(int)
    picture, target = again(path)
    assert np.abs(picture.pixels - expected).mean() < 1.5
    with Image.open(target) as opened:
        assert np.abs(np.asarray(opened.convert("RGB")) - expected).mean() < 1.5
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(target) as after:
        assert after.is_bigtiff == before.is_bigtiff
        if how != "palette":
            assert after.pages[0].compression == before.pages[0].compression
            assert after.pages[0].photometric == before.pages[0].photometric


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_61_nine_to_fifteen_bits_fill_the_range_and_come_back(bits, tmp_path):
    stored = (np.arange(32 * 48).reshape(32, 48) % (1 << bits)).astype(np.uint16)
    stored[0, 0] = (1 << bits) - 1
    tifffile.imwrite(tmp_path / "deep.tif", stored, photometric="minisblack", bitspersample=bits)
    picture, target = again(tmp_path / "deep.tif")
    assert picture.pixels.max() == 65535
    with tifffile.TiffFile(target) as file:
        assert file.pages[0].bitspersample == bits
        assert np.array_equal(file.asarray(), stored)


def test_61_an_avif_of_ten_bits_stays_one(tmp_path):
    stored = (RGB.astype(np.uint16) << 2) | 3
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(stored, level=95, bitspersample=10))
    picture, target = again(tmp_path / "a.avif")
    assert picture.pixels.max() > 60_000
    assert imagecodecs.avif_decode(target.read_bytes()).max() in range(900, 1024)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int16"])
def test_61_76_other_types_come_back_and_their_range_with_them(dtype, tmp_path):
    stored = (X * 30 - 700).astype(dtype)
    tifffile.imwrite(tmp_path / "wide.tif", stored)
    picture, target = again(tmp_path / "wide.tif")
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 1)
    assert picture.remarks == ("its values from -700 to 710 were scaled to [0, 1], and back.",)
    result = tifffile.imread(target)
    assert result.dtype == dtype
    assert np.allclose(result, stored, atol=1e-3)


def test_62_the_notes_of_a_tiff_come_back_byte_for_byte(tmp_path):
    author = "Zo\u00eb".encode() + b"\0"
    tags = [(315, 2, len(author), author, True), (33550, 12, 3, (2.0, 2.0, 0.0), True)]
    tifffile.imwrite(
        tmp_path / "a.tif", RGB, photometric="rgb", description="a scan", extratags=tags, resolution=(300, 300), resolutionunit=2
    )
    picture, target = again(tmp_path / "a.tif")
    with tifffile.TiffFile(target) as file:
        tags = file.pages[0].tags
        assert (tags[270].value, tags[282].value, tags[296].value) == ("a scan", (300, 1), 2)
        assert author in target.read_bytes()
        assert tags[33550].value == (2.0, 2.0, 0.0)
    write_picture(target, picture.changed(picture.pixels.repeat(2, 0).repeat(2, 1)))
    with tifffile.TiffFile(target) as file:
        assert file.pages[0].tags[33550].value == (1.0, 1.0, 0.0), "a pixel is half as large on the ground"


def test_62_64_the_notes_and_coding_of_a_jpeg_come_back(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    Image.fromarray(RGB).save(
        tmp_path / "a.jpg", exif=exif, dpi=(300, 300), comment=b"hello", xmp=b"<x/>", quality=85, subsampling=0
    )
    _, target = again(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as before, Image.open(target) as after:
        assert after.getexif()[0x010F] == "maker"
        assert (after.info["dpi"], after.info["comment"], after.info["xmp"]) == ((300, 300), b"hello", b"<x/>")
        assert after.layer == before.layer, "4:4:4"
        assert after.quantization == before.quantization


def test_62_the_notes_of_a_png_come_back_and_long_ones_do_no_harm(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Title", "a sunset")
    info.add_text("Long", "x" * (1 << 21), zip=True)
    info.add(b"gAMA", (45455).to_bytes(4))
    Image.fromarray(RGB).save(tmp_path / "a.png", pnginfo=info, dpi=(300, 300))
    _, target = again(tmp_path / "a.png")
    content = target.read_bytes()
    assert b"Title\0a sunset" in content
    assert b"Long\0" in content
    assert b"gAMA\0\0\xb1\x8f" in content
    assert b"pHYs" in content
    assert np.array_equal(read_picture(target).pixels, RGB)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_63_a_white_disc_on_transparent_black_stays_white(factor):
    distance = np.hypot(*(np.mgrid[0:40, 0:40] - 19.5))
    alpha = (np.clip(14 - distance, 0, 1) * 255).astype(np.uint8)
    disc = np.dstack([np.where(alpha[:, :, None] > 0, 255, 0).astype(np.uint8).repeat(3, 2), alpha])
    content = Image.fromarray(disc)
    larger = np.asarray(isthmus.load(f"upscale-x{factor}", device="cpu").restore(content)).astype(float)
    share = larger[:, :, 3:] / 255
    assert (larger[:, :, :3] * share + 255 * (1 - share)).min() >= 245
    picture = decode_picture(encode_picture(_of(disc), "disc.png"), "disc.png")
    assert (picture.plain() == 255).all()


def _of(rgba):
    from isthmus.imaging.picture import Picture

    return Picture(pixels=rgba[:, :, :3], alpha=rgba[:, :, 3])


def test_63_the_alpha_of_a_bmp_and_of_an_avif_is_kept(tmp_path):
    rgba = np.dstack([RGB, (X * 5).astype(np.uint8)])
    for name in ("a.bmp", "a.avif"):
        write_picture(tmp_path / name, _of(rgba))
        assert np.array_equal(read_picture(tmp_path / name).alpha, rgba[:, :, 3])


def test_64_a_lossy_webp_stays_lossy(tmp_path):
    chance = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(chance).save(tmp_path / "a.webp", quality=80)
    _, target = again(tmp_path / "a.webp")
    assert target.stat().st_size < 2 * (tmp_path / "a.webp").stat().st_size


def test_66_a_png_named_jpg_stays_a_png_and_says_so(tmp_path, model_files, run):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    status, _, err = run("restore", model_files["color"], tmp_path / "a.jpg", "--out", tmp_path / "out.jpg")
    assert (status, err) == (0, "isthmus: a.jpg: it is named like JPEG, and is PNG.\n")
    assert (tmp_path / "out.jpg").read_bytes().startswith(b"\x89PNG")


def test_67_a_format_that_cannot_be_written_is_refused_before_work_begins(folder, tmp_path, model_files, run):
    for more, message in (
        (("--out", tmp_path / "x.svg"), "x.svg cannot be written"),
        (("--out", tmp_path / "x", "--format", "svg"), "--format svg cannot be written. Accepted are png"),
    ):
        status, _, err = run("restore", model_files["conv"], folder / "a.png", *more)
        assert status == 2
        assert message in err
    assert not (tmp_path / "x").exists()
    assert run("restore", model_files["conv"], folder, "--out", tmp_path / "x", "--format", "tif")[0] == 0
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["a.tif", "b.tif"]


def test_68_unknown_formats_are_counted_and_named_once(folder, tmp_path, model_files, run):
    for name in ("c.svg", "d.ico", "e.svg"):
        (folder / name).write_bytes(b"whatever")
    status, out, err = run("restore", model_files["conv"], folder, "--out", tmp_path / "out")
    assert status == 5
    assert f"{folder} holds pictures that isthmus does not read: 1 ico, 2 svg." in err
    assert "3 skipped: c.svg, d.ico, e.svg" in out


def test_69_a_picture_that_cannot_be_written_does_not_end_the_rest(folder, tmp_path, model_files, run):
    (tmp_path / "out" / "a.png").mkdir(parents=True)
    status, out, err = run("restore", model_files["conv"], folder, "--out", tmp_path / "out", "--overwrite")
    assert status == 5
    assert "1 skipped: a.png" in out
    assert "is a directory" in err
    assert (tmp_path / "out" / "b.png").is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_70_a_named_pipe_is_skipped(folder, tmp_path, model_files, run):
    os.mkfifo(folder / "pipe.png")
    status, out, err = run("restore", model_files["conv"], folder, "--out", tmp_path / "out")
    assert status == 5
    assert "pipe.png is not a regular file." in err
    assert "1 skipped: pipe.png" in out


def test_71_the_output_inside_the_input_is_left_out(folder, model_files, run):
    for _ in range(2):
        assert run("restore", model_files["conv"], folder, "--out", folder / "clean", "--resume")[0] == 0
    assert sorted(path.name for path in (folder / "clean").rglob("*")) == ["a.png", "b.png"]


def test_73_gray_stored_as_rgb_stays_gray(tmp_path, model_files, run):
    dithered = ((X + Y) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, 2)
    Image.fromarray(dithered).save(tmp_path / "a.png")
    assert run("restore", model_files["color"], tmp_path / "a.png", "--out", tmp_path / "o.png")[0] == 0
    result = np.asarray(Image.open(tmp_path / "o.png"))
    assert result.shape == dithered.shape
    assert np.array_equal(result[:, :, 0], result[:, :, 1])
    assert np.array_equal(result[:, :, 0], result[:, :, 2])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": (9, 8, 8), "x_test": (3, 9, 9)}, "holds a training and a test set of different images"),
        ({"images": (9, 8, 8), "labels": (4,)}, "holds 9 images in images and 4 labels in labels."),
        ({"images": (9, 0, 8)}, "holds images of 0 x 8 pixels in images."),
        ({"x_train": (9, 8, 8), "train_images": (9, 8, 8)}, "both of the train set. Keep one of them."),
    ],
)
def test_82_arrays_that_do_not_fit_are_refused_in_a_sentence(arrays, message, tmp_path):
    np.savez(tmp_path / "odd.npz", **{key: np.zeros(shape, np.uint8) for key, shape in arrays.items()})
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "odd.npz").read("all")


def test_87_a_closed_or_narrow_stdout_does_not_spoil_the_work(folder, tmp_path, model_files):
    command = [sys.executable, "-m", "isthmus", "restore", model_files["conv"], folder / "a.png", "--device", "cpu", "--out"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*command, tmp_path / "\u5199.png"], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u5199.png" in done.stdout
    shell = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *map(str, command), str(tmp_path / "b.png")], capture_output=True, check=False
    )
    assert (shell.returncode, shell.stderr) == (0, b"")


def test_90_several_inputs_and_patterns_are_taken(folder, tmp_path, model_files, run):
    assert run("restore", model_files["conv"], folder / "a.png", folder / "b.png", "--out", tmp_path / "two")[0] == 0
    assert run("restore", model_files["conv"], folder / "*.png", "--out", tmp_path / "globbed")[0] == 0
    for name in ("two", "globbed"):
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["a.png", "b.png"]
    status, _, err = run("restore", model_files["conv"], folder / "*.jpg", "--out", tmp_path / "none")
    assert status == 3
    assert "No file matches" in err
