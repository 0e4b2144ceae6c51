"""The network that sees the whole picture, and how a model works with it."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import isthmus
from isthmus.imaging.color import lightness_of, to_lab
from isthmus.model import Model
from isthmus.networks.global_unet import working_size


def born(**fields):
    """Return a small colorizer with fresh weights that gives colors."""
    torch.manual_seed(0)
    fields = {"task": "colorize", "loss": "ab-mixed", "hidden": (8, 8), "code": 8, **fields}
    model = Model(isthmus.Recipe(model="global", **fields), (3, 160, 160), device="cpu")
    with torch.no_grad():
        model.network.tail.weight.normal_(0, 0.3)
        model.network.tail.bias.normal_(0, 1)
    return model


def gray_picture(height=300, width=420, dtype=np.uint8):
    rows, columns = np.mgrid[:height, :width]
    values = 0.5 + 0.5 * np.sin(rows / 17) * np.cos(columns / (9 + rows / 40))
    return (values * (np.iinfo(dtype).max if dtype != np.float32 else 1)).astype(dtype)


def lab_of(picture):
    return to_lab(torch.from_numpy(np.moveaxis(picture.astype(np.float32) / np.float32(255), -1, 0))[None])[0]


@pytest.mark.parametrize("loss", ["ab", "ab-huber", "ab-bins", "ab-mixed"])
def test_the_lightness_stays_also_where_a_color_cannot_be_shown(loss):
    gray = gray_picture()
    model = born(loss=loss)
    with torch.no_grad():
        model.network.tail.bias[0] += 20  # far beyond what a screen shows
    restored = model.restore(gray)
    expected = lightness_of(torch.from_numpy(gray / np.float32(255))[None, None])[0, 0]
    assert (lab_of(restored)[0] - expected).abs().max() < 100 / 255
    assert lab_of(restored)[1:].abs().mean() > 3


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (130, 129), (300, 420), (1100, 560)])
def test_tiles_change_nothing(size):
    model = born()
    gray = gray_picture(*size)
    whole = model.restore(gray)
    assert whole.shape == (*size, 3)
    model.engine.tile_side = 100
    assert np.array_equal(model.restore(gray), whole)


def test_every_depth_and_layout_gives_the_same_colors():
    model = born()
    gray = gray_picture(dtype=np.float32)
    expected = model.restore(gray)
    assert expected.dtype == np.float32
    eight = model.restore((gray * 255).round().astype(np.uint8))
    assert np.abs(eight / 255 - expected).mean() < 0.005
    sixteen = model.restore((gray * 65535).round().astype(np.uint16))
    assert sixteen.dtype == np.uint16
    assert np.abs(sixteen / 65535 - expected).mean() < 1e-3
    assert np.allclose(model.restore(np.repeat(gray[..., None], 3, 2)), expected, atol=1e-4)
    assert np.allclose(model.restore(gray[None, None])[0], np.moveaxis(expected, -1, 0), atol=1e-6)
    one_bit = model.restore(gray > 0.5)  # one bit holds no color
    assert one_bit.dtype == np.uint8
    assert one_bit.shape == (*gray.shape, 3)


def test_strength_sets_how_much_color():
    model = born()
    chroma = [lab_of(model.restore(gray_picture(), strength=strength))[1:].norm(dim=0).mean() for strength in (0, 0.5, 1)]
    assert chroma[0] < 0.2
    assert 0.3 * chroma[2] < chroma[1] < 0.7 * chroma[2]


def test_a_picture_is_seen_whole_however_large_it_is():
    model = born(loss="ab")
    small = gray_picture(200, 256)
    large = np.repeat(np.repeat(small, 4, 0), 4, 1)
    coarse = np.asarray(model.restore(large)).reshape(200, 4, 256, 4, 3).mean((1, 3))
    assert np.abs(coarse - model.restore(small)).mean() < 2


def test_hints_reach_the_network_and_none_are_the_same_as_not_to_give_any():
    model = born()
    gray = gray_picture()
    plain = model.restore(gray)
    dots = np.zeros((*gray.shape, 4), np.uint8)
    dots[100:130, 200:240] = (255, 0, 0, 255)
    hinted = model.restore(gray, hints=dots)
    assert np.abs(hinted.astype(int) - plain).max() > 3
    both = model.restore(np.stack([gray, gray]), hints=np.stack([dots, dots]))
    assert np.array_equal(both[1], hinted)
    assert np.array_equal(model.restore(np.stack([gray, gray]), hints=dots)[0], hinted)


def test_a_colorizer_learns_to_carry_hints_on():
    colors = np.random.default_rng(0).integers(0, 256, (120, 3, 1, 1), np.uint8)
    pictures = np.broadcast_to(colors, (120, 3, 32, 32)).copy()  # only a hint tells which
    fields = {"model": "global", "hidden": (16, 16), "code": 16, "loss": "ab", "device": "cpu", "batch_size": 10}
    corruption = "hints(count=4, size=0.3, without=0) | grayscale"
    model = isthmus.train(pictures, task="colorize", corruption=corruption, epochs=60, learning_rate=4e-3, **fields)
    truth = np.zeros((32, 32, 3), np.uint8) + np.array((190, 90, 60), np.uint8)
    gray = np.full((32, 32), 117, np.uint8)
    dots = np.dstack([truth, np.zeros((32, 32), np.uint8)])
    dots[10:20, 10:20, 3] = 255
    wanted = lab_of(truth)[1:].mean((1, 2))
    given = lab_of(model.restore(gray, hints=dots))[1:]
    for place in (given[:, 10:20, 10:20], given[:, :4, :4]):  # where it was set, and far from there
        assert torch.cosine_similarity(place.mean((1, 2)), wanted, 0) > 0.9
        assert (place.mean((1, 2)) - wanted).norm() < 0.75 * wanted.norm()  # without the hint, 1


def test_care_looks_into_a_mirror_only():
    model = born(loss="ab")
    gray = gray_picture(128, 160, np.float32)
    mirrored = model.restore(np.ascontiguousarray(gray[:, ::-1]), self_ensemble=True)[:, ::-1]
    assert np.allclose(model.restore(gray, self_ensemble=True), mirrored, atol=1e-5)


def test_other_models_take_no_hints_and_other_losses_are_refused():
    denoiser = Model(isthmus.Recipe(model="conv", task="denoise"), (3, 16, 16), device="cpu")
    with pytest.raises(isthmus.DataError, match='This model takes no hints: only a model trained with `task="colorize"` does'):
        denoiser.restore(np.zeros((16, 16, 3)), hints=np.zeros((16, 16, 4)))
    with pytest.raises(isthmus.UsageError, match="The network global predicts colors only, so the loss cannot be mse"):
        isthmus.Recipe(model="global", loss="mse").complete()


def test_hints_are_given_as_a_picture_on_the_command_line(tmp_path, run):
    born().save(tmp_path / "m.safetensors")
    gray = gray_picture(90, 120)
    Image.fromarray(gray).save(tmp_path / "in.png")
    dots = np.zeros((90, 120, 4), np.uint8)
    dots[10:30, 10:30] = (0, 0, 255, 255)
    Image.fromarray(dots).save(tmp_path / "dots.png")
    Image.fromarray(dots[:50]).save(tmp_path / "short.png")
    options = ("--model", tmp_path / "m.safetensors", "--out", tmp_path / "out.png", "--overwrite")
    assert run("colorize", tmp_path / "in.png", *options)[0] == 0
    plain = np.asarray(Image.open(tmp_path / "out.png"))
    assert run("colorize", tmp_path / "in.png", *options, "--hints", tmp_path / "dots.png")[0] == 0
    hinted = np.asarray(Image.open(tmp_path / "out.png"))
    assert np.abs(hinted.astype(int) - plain).max() > 3
    status, _, err = run("colorize", tmp_path / "in.png", *options, "--hints", tmp_path / "short.png")
    assert status != 0
    assert "Hints must be a picture of the same size, 120x90 pixels" in err


def test_a_strip_is_seen_small_and_a_square_at_the_working_size():
    assert working_size((500, 500)) == (128, 128)
    height, width = working_size((50, 100_000))
    assert height * width <= 5 * 128**2


MEASURED = """
import resource, numpy as np, torch, isthmus
from isthmus.model import Model
torch.set_num_threads(1)
model = Model(isthmus.Recipe(task="colorize", model="global"), (3, 160, 160), device="cpu")
model.restore(np.zeros((2000, 1000), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
gray = np.zeros((5000, 8000), np.uint8)
restored = model.restore(gray)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_a_picture_of_40_megapixels_takes_hardly_more_memory_than_it_has_itself():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MEASURED], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 160 + 550  # MB: the picture and its colors, and a tile, of whatever picture
