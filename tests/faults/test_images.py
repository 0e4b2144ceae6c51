"""FAULTS.md, Images: each test makes one of its lines happen, with real files."""

import io
import json
import os
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

import isthmus
from isthmus.datasets import Folder
from isthmus.errors import DataError
from isthmus.imaging.picture import read_picture, write_picture


@pytest.fixture
def noisy(tmp_path, digits):
    """A folder of four good pictures."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    for index in range(4):
        Image.fromarray(digits[index]).save(folder / f"good{index}.png")
    return folder


def gradient(height, width, channels, dtype):
    """Return a picture that uses its type's whole range."""
    values = np.linspace(0, np.iinfo(dtype).max, height * width * channels)
    return values.reshape(height, width, channels).astype(dtype)


def damaged(content):
    """Return a PNG's first half."""
    return content[: len(content) // 2]


def test_01_an_empty_folder_is_refused(tmp_path, model_files, run):
    (tmp_path / "empty").mkdir()
    status, out, err = run("restore", model_files["conv"], tmp_path / "empty", "--out", tmp_path / "out")
    assert status == 3
    assert f"There are no pictures in {tmp_path / 'empty'} (looked for png, " in err
    assert out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("zero.png", lambda png: b"", "is empty (0 bytes)."),
        ("truncated.png", damaged, "cannot be read: "),
        ("text.png", lambda png: b"This is no picture.\n", "is not a picture in a known format ("),
    ],
    ids=["02_a_zero_byte_file", "03_a_truncated_file", "04_text_named_png"],
)
def test_02_03_04_a_bad_file_is_skipped_and_named_and_counted(name, make, reason, noisy, tmp_path, model_files, run):
    (noisy / name).write_bytes(make((noisy / "good0.png").read_bytes()))
    status, out, err = run("restore", model_files["conv"], noisy, "--out", tmp_path / "out")
    assert status == 5
    assert f"isthmus: Skipped: {noisy / name} {reason}" in err
    assert f"1 skipped: {name}" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"good{index}.png" for index in range(4)]
    status, out, _ = run("info", noisy, "--json")
    assert status == 5
    about = json.loads(out)
    assert about["images"] == 4
    assert len(about["skipped"]) == 1
    assert f"{name} {reason}" in about["skipped"][0]


def test_02_training_skips_a_bad_file_names_it_and_says_so_in_its_status(noisy, tmp_path, run):
    (noisy / "zero.png").write_bytes(b"")
    status, out, err = run("train", noisy, "--out", tmp_path / "m.safetensors", "--epochs", "1", "--json")
    assert status == 5
    assert f"isthmus: Skipped: {noisy / 'zero.png'} is empty (0 bytes)." in err
    assert json.loads(out)["skipped"] == 1


def test_02_03_04_more_bad_files_than_max_bad_are_refused(noisy, tmp_path, model_files, run):
    (noisy / "zero.png").write_bytes(b"")
    (noisy / "text.png").write_bytes(b"text")
    status, _, err = run("restore", model_files["conv"], noisy, "--out", tmp_path / "out", "--max-bad", "0.2")
    assert status == 3
    assert f"2 of the 6 pictures in {noisy} cannot be used, more than --max-bad 0.2 allows; the first: " in err


def test_04_only_bad_files_are_refused(tmp_path, model_files, run):
    (tmp_path / "text.png").write_bytes(b"text")
    status, _, err = run("restore", model_files["conv"], tmp_path / "text.png", "--out", tmp_path / "out.png", "--max-bad", "1")
    assert status == 3
    assert "No picture could be read, so nothing was written to " in err
    status, _, err = run("info", tmp_path / "text.png")
    assert status == 3
    assert f"None of the 1 pictures in {tmp_path / 'text.png'} can be read: " in err


def eight_bit_bomb():
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return buffer.getvalue()


def sixteen_bit_bomb():
    def chunk(kind, content):
        return len(content).to_bytes(4) + kind + content + zlib.crc32(kind + content).to_bytes(4)

    header = (20_000).to_bytes(4) * 2 + bytes((16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def tiff_bomb():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((20, 20), np.uint16))
    small = (20).to_bytes(2, "little")
    content = buffer.getvalue()
    for tag in (256, 257):  # width and height
        for kind in (3, 4):
            entry = tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
            content = content.replace(entry + small, entry + (20_000).to_bytes(2, "little"))
    return content


@pytest.mark.parametrize(
    ("name", "make"),
    [("bomb.png", eight_bit_bomb), ("deep.png", sixteen_bit_bomb), ("bomb.tif", tiff_bomb)],
    ids=["8_bit_png", "16_bit_png", "tiff"],
)
def test_05_a_decompression_bomb_is_refused_before_decoding(name, make, tmp_path):
    (tmp_path / name).write_bytes(make())
    with pytest.raises(isthmus.DataError) as refused:
        read_picture(tmp_path / name)
    assert str(refused.value) == (
        f"{tmp_path / name}: the picture has more than the 178,000,000 pixels that are accepted; scale it down first."
    )


@pytest.mark.parametrize("end", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_06_sixteen_bits_keep_their_range_and_come_back(end, channels, tmp_path, model_files, run):
    pixels = gradient(20, 24, channels, np.uint16)
    flat = pixels[:, :, 0] if channels == 1 else pixels
    path = tmp_path / f"deep.{end}"
    if end == "png":
        path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(flat)))
    else:
        tifffile.imwrite(path, flat, photometric="rgb" if channels == 3 else "minisblack")
    assert np.array_equal(read_picture(path).pixels, pixels)
    model = model_files["conv" if channels == 1 else "color"]
    assert run("restore", model, path, "--out", tmp_path / f"out.{end}")[0] == 0
    restored = (imagecodecs.png_decode if end == "png" else tifffile.imread)(
        (tmp_path / "out.png").read_bytes() if end == "png" else tmp_path / "out.tif"
    )
    assert restored.dtype == np.uint16
    assert restored.shape == flat.shape
    assert np.array_equal(restored, isthmus.load(model, device="cpu").restore(flat))
    assert (restored % 257 != 0).any(), "eight bits, blown up"


@pytest.mark.parametrize("name", ["deep.pgm", "deep.jp2", "deep.tif"])
def test_06_sixteen_bits_in_other_formats_keep_their_range(name, tmp_path):
    pixels = gradient(20, 24, 1, np.uint16)[:, :, 0]
    if name == "deep.pgm":
        (tmp_path / name).write_bytes(b"P5 24 20 65535\n" + pixels.astype(">u2").tobytes())
    elif name == "deep.jp2":
        Image.fromarray(pixels).save(tmp_path / name)
    else:
        tifffile.imwrite(tmp_path / name, pixels.astype(np.int32))
    picture = read_picture(tmp_path / name)
    write_picture(tmp_path / f"again{name}", picture)
    again = read_picture(tmp_path / f"again{name}")
    assert np.array_equal(again.pixels, picture.pixels)
    if name == "deep.tif":
        assert np.array_equal(tifffile.imread(tmp_path / f"again{name}"), pixels)
        assert tifffile.imread(tmp_path / f"again{name}").dtype == np.int32
    else:
        assert np.array_equal(again.pixels[:, :, 0], pixels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_07_a_float_tiff_with_nan_or_inf_is_refused_and_named(value, tmp_path, model_files, run):
    pixels = np.full((8, 8), 0.5, np.float32)
    pixels[3, 4] = value
    tifffile.imwrite(tmp_path / "odd.tif", pixels)
    status, _, err = run("restore", model_files["conv"], tmp_path / "odd.tif", "--out", tmp_path / "out.tif")
    assert status == 3
    assert f"{tmp_path / 'odd.tif'}: The images hold 1 values that are NaN or infinite" in err


def test_08_cmyk_and_palette_become_rgb(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    Image.fromarray(red).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(red).quantize(4).save(tmp_path / "palette.png")
    Image.fromarray(red).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    for name in ("cmyk.tif", "palette.png", "cmyk.jpg"):
        picture = read_picture(tmp_path / name)
        assert picture.alpha is None
        assert picture.pixels.shape == (8, 8, 3)
        assert np.abs(picture.pixels.astype(int) - red).max() <= 3


@pytest.mark.parametrize(
    ("mode", "end"),
    [("LA", "png"), ("LA", "tif"), ("RGBA", "png"), ("RGBA", "tif"), ("RGBA", "webp")],  # WebP has no gray
)
def test_08_alpha_comes_back_untouched(mode, end, tmp_path, model_files, run):
    alpha = gradient(16, 16, 1, np.uint8)[:, :, 0]
    picture = Image.fromarray(np.full((16, 16), 90, np.uint8)).convert(mode)
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / f"in.{end}", **({"lossless": True, "exact": True} if end == "webp" else {}))
    assert (
        run("restore", model_files["conv" if mode == "LA" else "color"], tmp_path / f"in.{end}", "--out", tmp_path / f"out.{end}")[
            0
        ]
        == 0
    )
    with Image.open(tmp_path / f"out.{end}") as restored:
        assert restored.mode == mode
        assert np.array_equal(np.asarray(restored)[:, :, -1], alpha)
        assert not np.array_equal(np.asarray(restored)[:, :, 0], np.asarray(picture)[:, :, 0])


def test_08_one_bit_becomes_eight_bit_gray(tmp_path):
    bits = np.indices((9, 9)).sum(0) % 2 == 0
    Image.fromarray(bits).save(tmp_path / "bits.png")
    picture = read_picture(tmp_path / "bits.png")
    assert picture.pixels.dtype == np.uint8
    assert np.array_equal(picture.pixels[:, :, 0], bits * np.uint8(255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_09_exif_rotation_is_applied(orientation, tmp_path, model_files, run):
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8] = 255  # a white corner, top left
    # what a camera stores, so that the orientation makes it upright
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "photo.png").pixels[:, :, 0], upright)
    tifffile.imwrite(tmp_path / "deep.tif", stored.astype(np.uint16) * 257, extratags=[(274, "H", 1, orientation, True)])
    assert np.array_equal(read_picture(tmp_path / "deep.tif").pixels[:, :, 0], upright.astype(np.uint16) * 257)
    assert run("restore", model_files["conv"], tmp_path / "photo.png", "--out", tmp_path / "out.png")[0] == 0
    with Image.open(tmp_path / "out.png") as restored:
        assert restored.size == (24, 16)
        assert restored.getexif().get(0x0112, 1) == 1, "it would be rotated twice"


@pytest.mark.parametrize("name", ["film.gif", "film.png", "film.webp", "pages.tif", "deep.tif"])
def test_10_65_all_pages_and_frames_come_back(name, tmp_path, digits, model_files, run):
    frames = list(digits[:3])
    if name == "deep.tif":
        tifffile.imwrite(tmp_path / name, np.stack(frames).astype(np.uint16) * 257, photometric="minisblack")
    else:
        first, *others = map(Image.fromarray, frames)
        more = {} if name == "pages.tif" else {"duration": [100, 200, 300]}
        first.save(tmp_path / name, save_all=True, append_images=others, **more, **({"lossless": True} if "webp" in name else {}))
    picture = read_picture(tmp_path / name)
    assert picture.frames == 3
    for page, frame in zip((picture, *picture.pages), frames, strict=True):
        assert np.array_equal(page.pixels[:, :, 0] // (257 if name == "deep.tif" else 1), frame)
    status, _, err = run("restore", model_files["conv"], tmp_path / name, "--out", tmp_path / f"out{name}")
    assert (status, err) == (0, "")
    restored = read_picture(tmp_path / f"out{name}")
    assert restored.frames == 3
    model = isthmus.load(model_files["conv"], device="cpu")
    for page, before in zip((restored, *restored.pages), (picture, *picture.pages), strict=True):
        expected = model.restore(before.pixels[:, :, 0])
        assert np.abs(page.pixels[:, :, 0].astype(int) - expected).max() <= 1
    if "film" in name:
        with Image.open(tmp_path / f"out{name}") as film:
            shown = []
            for place in range(3):
                film.seek(place)
                film.load()
                shown.append(film.info["duration"])
        assert shown == [100, 200, 300]


def test_10_one_frame_gives_no_warning(noisy, caplog):
    read_picture(noisy / "good0.png")
    assert caplog.messages == []


def test_11_other_sizes_are_skipped_and_named_by_a_model_of_one_size(noisy, tmp_path, model_files, run):
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(noisy / "other.png")
    status, _, err = run("restore", model_files["dense"], noisy, "--out", tmp_path / "out")
    assert status == 5
    rule = "The images have 30 x 20 pixels, and this dense model takes 28 x 28 only. Resize them, or train a conv model"
    assert f"isthmus: Skipped: other.png: {rule}" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"good{index}.png" for index in range(4)]


def test_11_mixed_sizes_are_brought_to_the_commonest_for_training(noisy):
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(noisy / "other.png")
    assert Folder.scan(noisy).read("all").images.shape == (5, 1, 28, 28)


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (3, 2)])
def test_12_pictures_smaller_than_the_stride_work(size, tmp_path, model_files, run):
    Image.fromarray(np.full(size, 200, np.uint8)).save(tmp_path / "tiny.png")
    assert run("restore", model_files["conv"], tmp_path / "tiny.png", "--out", tmp_path / "out.png")[0] == 0
    assert read_picture(tmp_path / "out.png").pixels.shape == (*size, 1)


def test_13_formats_not_on_the_list_are_refused(tmp_path, model_files, run):
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Image.new("RGB", (8, 8)).save(tmp_path / "drawing.eps")
    for name in ("drawing.svg", "drawing.eps"):
        status, _, err = run("restore", model_files["conv"], tmp_path / name, "--out", tmp_path / "out")
        assert status == 3
        assert f"{tmp_path / name} is no data that isthmus reads. Its name must end in one of .npz, .npy, " in err
    (tmp_path / "drawing.eps").rename(tmp_path / "disguised.png")
    with pytest.raises(isthmus.DataError, match="is not a picture in a known format"):
        read_picture(tmp_path / "disguised.png")


def test_14_odd_names_round_trip(tmp_path, digits, model_files, run):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = [b"two\nlines.png", b"not utf-8 \xff\xfe.png", b"n" * 250 + b".png", "Übung 数.png".encode(), b"--out.png"]
    for name, image in zip(names, digits, strict=False):
        Image.fromarray(image).save(folder / os.fsdecode(name))
    (folder / "two\nlines again.png").write_bytes(b"")
    status, printed, err = run("restore", model_files["conv"], folder, "--out", out, "--json")
    assert status == 5
    assert json.loads(printed)["skipped"] == ["two\\nlines again.png"]
    assert "two\\nlines again.png is empty" in err
    assert sorted(os.listdir(os.fsencode(out))) == sorted(names)  # noqa: PTH208
    codes, decoded = tmp_path / "codes.npz", tmp_path / "decoded"
    assert run("encode", model_files["conv"], folder, "--out", codes)[0] == 5
    assert run("decode", model_files["conv"], codes, "--out", decoded)[0] == 0
    assert sorted(os.listdir(os.fsencode(decoded))) == sorted(names)  # noqa: PTH208


def test_15_links_that_loop_or_lead_out_are_not_followed(noisy, tmp_path, model_files, run):
    (tmp_path / "outside").mkdir()
    (noisy / "good3.png").rename(tmp_path / "outside" / "secret.png")
    (noisy / "loop").symlink_to(noisy, target_is_directory=True)
    (noisy / "self.png").symlink_to(noisy / "self.png")
    (noisy / "leads_out.png").symlink_to(tmp_path / "outside" / "secret.png")
    (noisy / "folder_out").symlink_to(tmp_path / "outside", target_is_directory=True)
    status, _, err = run("restore", model_files["conv"], noisy, "--out", tmp_path / "out", "--json")
    assert (status, err) == (5, f"isthmus: Skipped: {noisy / 'self.png'} cannot be read: Too many levels of symbolic links.\n")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["good0.png", "good1.png", "good2.png"]


def test_15_a_folder_of_nothing_but_links_that_lead_out_says_so(tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "links" / "a.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"There are no pictures in .*Links that lead out of it are not followed: 1\."):
        Folder.scan(tmp_path / "links")


def test_16_a_file_that_vanishes_meanwhile_is_skipped(noisy, tmp_path, conv):
    source = Folder.scan(noisy)
    (noisy / "good1.png").unlink()
    rewritten = source.rewrite(tmp_path / "out", conv.restore)
    assert rewritten.count == 3
    assert [skipped.name for skipped in rewritten.skipped] == ["good1.png"]
    assert rewritten.skipped[0].reason == f"{noisy / 'good1.png'} cannot be read: No such file or directory."


def test_17_same_stem_in_two_formats_gives_two_files(tmp_path, digits, model_files, run):
    (tmp_path / "in").mkdir()
    for end, image in zip(("png", "jpg"), digits, strict=False):
        Image.fromarray(image).save(tmp_path / "in" / f"a.{end}")
    assert run("restore", model_files["conv"], tmp_path / "in", "--out", tmp_path / "out")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "a.png"]
    assert run("encode", model_files["conv"], tmp_path / "in", "--out", tmp_path / "codes.npz")[0] == 0
    assert run("decode", model_files["conv"], tmp_path / "codes.npz", "--out", tmp_path / "decoded")[0] == 0
    assert sorted(path.name for path in (tmp_path / "decoded").iterdir()) == ["a.jpg", "a.png"]


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("name", ["conv", "denoiser"])
def test_18_a_constant_image_gives_finite_output_and_scores(value, name, tmp_path, request, model_files, run):
    images = np.full((20, 28, 28), value, np.uint8)
    assert np.isfinite(request.getfixturevalue(name).restore(images / np.float32(255))).all()
    np.save(tmp_path / "flat.npy", images)
    status, out, _ = run("evaluate", model_files[name], tmp_path / "flat.npy", "--json")
    assert status == 0
    card = json.loads(out)
    assert np.isfinite(card["loss"])
    for score in card["scores"]:
        numbers = [value for key, value in score.items() if key not in ("method", "numbers", "ciede2000", "colorfulness")]
        assert np.isfinite(np.array(numbers, float)).all(), score
