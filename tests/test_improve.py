"""Improving: each picture gets what it needs, and nothing else."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from skimage import data

import isthmus
from isthmus.errors import IsthmusWarning, UsageError
from isthmus.evaluation.metrics import psnr_db
from isthmus.imaging.picture import read_picture
from isthmus.improve import crops
from isthmus.inference.noise_level import noise_level


@pytest.fixture(scope="module")
def cat():
    """A photograph that no model has learned from, without artifacts of its own, `(H, W, 3)` uint8."""
    image = Image.fromarray(data.chelsea()).resize((225, 150), Image.Resampling.LANCZOS)
    return np.asarray(image)


@pytest.fixture(scope="module")
def album(tmp_path_factory, cat):
    """Pictures that need different things."""
    folder = tmp_path_factory.mktemp("album")
    noisy = np.clip(cat + np.random.default_rng(0).normal(0, 20, cat.shape), 0, 255).astype(np.uint8)
    Image.fromarray(cat).save(folder / "clean.png")
    Image.fromarray(cat).save(folder / "compressed.jpg", quality=30)
    Image.fromarray(noisy).save(folder / "noisy.png")
    Image.fromarray(noisy).save(folder / "noisy-jpeg.jpg", quality=85)
    Image.fromarray(cat).convert("L").save(folder / "gray.png")
    return folder


NEEDS = {
    "clean.png": [],
    "compressed.jpg": ["repair"],
    "gray.png": [],
    "noisy-jpeg.jpg": ["denoise", "repair"],
    "noisy.png": ["denoise"],
}


@pytest.fixture(scope="module")
def improved(album, tmp_path_factory):
    """What becomes of the album: what is said of each picture, and the folder."""
    out = tmp_path_factory.mktemp("improved") / "out"
    return [file.to_json() for file in isthmus.improve(album, out).files], out


def test_each_picture_gets_what_it_needs(improved):
    found = {picture["name"]: picture for picture in improved[0]}
    assert {name: picture["done"] for name, picture in found.items()} == NEEDS
    assert found["compressed.jpg"]["jpeg_quality"] == 30
    assert found["noisy.png"]["jpeg_quality"] is None
    assert found["noisy.png"]["noise"] == pytest.approx(19, abs=2)
    assert found["clean.png"]["noise"] < 1.5
    assert found["gray.png"]["gray"]
    assert found["gray.png"]["size"] == [150, 225]


def test_what_needs_something_becomes_better(album, improved, cat):
    clean = np.moveaxis(cat, -1, 0)[None] / np.float32(255)
    for name, least in {"compressed.jpg": 0.4, "noisy-jpeg.jpg": 4, "noisy.png": 6}.items():
        before, after = (
            np.moveaxis(read_picture(folder / name).pixels, -1, 0)[None] / np.float32(255) for folder in (album, improved[1])
        )
        assert psnr_db(after, clean)[0] > psnr_db(before, clean)[0] + least, name


def test_what_needs_nothing_is_copied(album, improved):
    for name in ("clean.png", "gray.png"):
        assert (improved[1] / name).read_bytes() == (album / name).read_bytes()


def test_the_owner_is_told_what_to_decide(improved):
    suggestions = {picture["name"]: " ".join(picture["suggestions"]) for picture in improved[0]}
    assert "small (225 x 150)" in suggestions["clean.png"]
    assert "isthmus colorize" in suggestions["gray.png"]
    assert "colorize" not in suggestions["clean.png"]


def test_python_says_the_same_in_sentences(album, tmp_path):
    improvements = isthmus.improve(album / "compressed.jpg", tmp_path / "out.jpg")
    assert [file.done for file in improvements.files] == [("repair",)]
    assert "JPEG of quality 30. JPEG artifacts removed." in str(improvements)
    nothing = isthmus.improve(album / "clean.png", tmp_path / "out.png")
    assert "Nothing to improve: left unchanged." in str(nothing)
    with pytest.raises(UsageError, match="exists already"):
        isthmus.improve(album / "clean.png", tmp_path / "out.png")


def test_another_format_is_written_even_where_nothing_was_done(album, tmp_path, run):
    status, out, err = run("improve", album / "clean.png", "--out", tmp_path / "out.bmp", "--json")
    assert status == 0, err
    assert json.loads(out)["pictures"][0]["done"] == []
    assert (tmp_path / "out.bmp").read_bytes().startswith(b"BM")
    np.testing.assert_array_equal(read_picture(tmp_path / "out.bmp").pixels, read_picture(album / "clean.png").pixels)


def test_arrays_are_no_pictures(tmp_path, run):
    np.save(tmp_path / "images.npy", np.zeros((3, 28, 28), np.uint8))
    status, _, err = run("improve", tmp_path / "images.npy", "--out", tmp_path / "out.npy")
    assert status == UsageError.exit_status
    assert "Only pictures can be improved" in err
    assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (15, 15)])
def test_tiny_pictures_need_nothing(size, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(buffer, "PNG")
    (tmp_path / "tiny.png").write_bytes(buffer.getvalue())
    assert isthmus.improve(tmp_path / "tiny.png", tmp_path / "out.png").files[0].done == ()


def test_crops_do_not_overlap_and_reach_the_edges():
    image = np.arange(1000 * 400).reshape(1, 1000, 400)
    parts = crops(image)
    assert len(parts) == 3 * 2
    assert len(np.unique(np.concatenate([part.ravel() for part in parts]))) == 6 * 192 * 192
    assert (parts[0][0, 0, 0], parts[-1][0, -1, -1]) == (image[0, 0, 0], image[0, -1, -1])


@pytest.mark.parametrize("std", [0.05, 0.1])
def test_the_noise_level_is_that_of_white_noise(std, cat):
    noisy = np.moveaxis(cat, -1, 0)[None] / np.float32(255)
    noisy = noisy + np.random.default_rng(0).normal(0, std, noisy.shape).astype(np.float32)
    assert noise_level(noisy)[0] == pytest.approx(std, rel=0.2)
    assert noise_level(np.zeros((2, 1, 9, 8), np.uint8)).tolist() == [0, 0]


def test_a_noisy_picture_that_hardly_changes_is_remarked_on(album, tmp_path, run):
    with pytest.warns(IsthmusWarning, match="looks noisy or finely textured, and hardly changed"):
        isthmus.restore_file("repair", album / "noisy.png", tmp_path / "out.png")
    for verb, count in {"repair": 1, "denoise": 0}.items():
        _, out, _ = run(verb, album / "noisy.png", "--out", tmp_path / f"{verb}.png", "--json")
        assert json.loads(out)["hardly_changed"] == count
    [file] = isthmus.restore_folder("repair", one(album, tmp_path), tmp_path / "folder")
    assert file.hardly_changed


def one(album, tmp_path):
    """A folder with the noisy picture alone."""
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "noisy.png").write_bytes((album / "noisy.png").read_bytes())
    return folder
