"""The models that come along: they load by name, say where they are from, and help."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import isthmus
from isthmus import pretrained
from isthmus.corruptions import parse
from isthmus.evaluation.metrics import ciede2000, colorfulness, psnr_db
from isthmus.imaging.color import gray_of, to_lab

HELPS = {
    "denoise-gray": ("gaussian-noise(0.1, clip=False)", 7.0),
    "denoise-color": ("gaussian-noise(0.1, clip=False)", 8.0),
    "upscale-x2": ("downscale(2)", 0.5),
    "upscale-x3": ("downscale(3)", 0.3),
    "upscale-x4": ("downscale(4)", 0.3),
    "repair": ("jpeg(10)", 0.5),
}
"""What each model undoes, and by how many dB the picture of a cat is better for it, at least."""

ship = pytest.mark.parametrize("name", pretrained.names())


@pytest.fixture(scope="module")
def cat():
    """A photograph that no model has learned from, `(C, H, W)` in [0, 1]."""
    return np.moveaxis(data.chelsea()[40:232, 100:292].astype(np.float32) / np.float32(255), -1, 0)


def test_all_together_are_small():
    assert sum(pretrained.locate(name).stat().st_size for name in pretrained.names()) < 28e6
    assert pretrained.locate("colorize").stat().st_size < 12e6
    assert set(pretrained.names()) <= {*HELPS, "colorize"}


@ship
def test_a_model_computes_in_what_is_fastest_wherever_it_was_trained(name):
    assert isthmus.load(name).recipe.precision == "auto"


@ship
def test_a_model_says_where_it_is_from(name):
    model = isthmus.load(name)
    assert (model.recipe.model, model.num_parameters < 1.1e6) in (("photographic", True), ("global", False))
    assert model.num_parameters < 6e6
    assert any("CC-BY" in line for line in model.info.sources)
    assert all("psnr_db" in row for row in model.info.scores)
    assert model.info.scores
    assert model.info.train_seconds > 60
    assert not model.info.data["title"].startswith("/"), "no path of the machine that it was trained on"


@pytest.mark.parametrize("name", [name for name in pretrained.names() if name in HELPS])
def test_a_model_helps(name, cat):
    corruption, least = HELPS[name]
    model, damage = isthmus.load(name), parse(corruption)
    clean = torch.from_numpy(cat[None] if model.image_shape[0] == 3 else cat[None].mean(1, keepdims=True))
    damaged = damage.damage(clean, torch.Generator().manual_seed(0))
    before, after = damage.to_model_input(damaged).clamp(0, 1).numpy(), model.restore(damaged.numpy())
    assert psnr_db(after, clean.numpy())[0] > psnr_db(before, clean.numpy())[0] + least
    assert psnr_db(model.restore(damaged.numpy(), self_ensemble=True), clean.numpy())[0] > psnr_db(after, clean.numpy())[0] - 0.02


@pytest.mark.skipif("colorize" not in pretrained.names(), reason="no colorizer ships yet")
def test_the_colorizer_gives_colors(cat):
    gray = parse("grayscale").damage(torch.from_numpy(cat[None]), torch.Generator()).numpy()
    colored = isthmus.load("colorize").restore(gray)
    assert ciede2000(colored, cat[None])[0] < ciede2000(np.repeat(gray, 3, 1), cat[None])[0]


def test_the_verbs_take_them(tmp_path, run):
    Image.fromarray(data.chelsea()[:96, :128]).save(tmp_path / "cat.png")
    Image.fromarray(data.camera()[:96, :128]).save(tmp_path / "camera.png")
    for verb, needs, factor in (("denoise", "denoise-color", 1), ("upscale", "upscale-x2", 2), ("repair", "repair", 1)):
        if needs not in pretrained.names():
            continue
        for name, mode in (("cat", "RGB"), ("camera", "L")):
            out = tmp_path / f"{verb}-{name}.png"
            assert run(verb, tmp_path / f"{name}.png", "--out", out)[0] == 0
            with Image.open(out) as picture:
                assert picture.size == (128 * factor, 96 * factor)
                assert picture.mode == mode


def test_the_colorizer_gives_a_cat_colors_and_carries_a_hint_on(cat):
    model = isthmus.load("colorize", device="cpu")
    gray = gray_of(torch.from_numpy(cat[None]))[0, 0].numpy()
    picture = np.repeat(gray[None, None], 3, 1)
    colored = np.moveaxis(model.restore(gray), -1, 0)[None]
    assert psnr_db(colored, cat[None])[0] > psnr_db(picture, cat[None])[0]
    assert colorfulness(colored, cat[None])[0] > 0.3 * colorfulness(cat[None], cat[None])[0]
    green = np.zeros((*gray.shape, 4), np.uint8)
    green[90:104, 90:104] = (60, 160, 70, 255)
    lab = to_lab(torch.from_numpy(np.moveaxis(model.restore(gray, hints=green), -1, 0)[None]))[0]
    wanted = to_lab(torch.tensor([60, 160, 70])[None, :, None, None] / 255)[0, 1:, 0, 0]
    around = lab[1:, 60:134, 60:134].mean((1, 2))  # thirty times the hint's area
    plain = to_lab(torch.from_numpy(colored))[0, 1:, 60:134, 60:134].mean((1, 2))
    assert (around - wanted).norm() < 0.5 * wanted.norm() < 0.6 * (plain - wanted).norm()
