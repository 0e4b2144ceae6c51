"""What a person does with a trained model: kinds, strengths, masks, memory, and the verbs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import isthmus
from isthmus.imaging.arrays import to_unit
from isthmus.imaging.color import gray_of
from isthmus.imaging.picture import Picture, read_picture, write_picture
from isthmus.model import Model


def born(channels=3, **fields):
    """Return a small model with fresh weights that does more than nothing."""
    torch.manual_seed(0)
    model = Model(isthmus.Recipe(model="photographic", hidden=(8,), code=8, **fields), (channels, 16, 16), device="cpu")
    with torch.no_grad():
        model.network.tail.bias += 0.05 * torch.arange(len(model.network.tail.bias)) % 0.13
    return model


def photograph(height=20, width=26, channels=3, dtype=np.uint8):
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(rows / (3 + channel)) * np.cos(columns / (4 + channel)) for channel in range(channels)], -1)
    return ((waves * 0.4 + 0.5) * np.iinfo(dtype).max).astype(dtype)


def test_gray_pictures_become_gray_ones_with_a_model_of_colors():
    model = born(task="denoise")
    gray = photograph(channels=1)[:, :, 0]
    restored = model.restore(gray)
    assert restored.shape == gray.shape
    in_color = model.restore(np.repeat(gray[:, :, None], 3, 2) / 255)
    assert np.allclose(restored / 255, in_color.mean(2), atol=1 / 255)


def test_a_colorizer_gives_colors_to_gray_and_takes_those_of_others_anew():
    model = born(task="colorize")
    gray = photograph(channels=1)[:, :, 0]
    assert model.restore(gray).shape == (20, 26, 3)
    assert model.restore(np.stack([gray, gray])).shape == (2, 20, 26, 3)
    assert model.restore(Image.fromarray(gray)).mode == "RGB"
    assert model.restore(Image.fromarray(np.dstack([gray, gray]), "LA")).mode == "RGBA"
    color = photograph()
    left = gray_of(torch.from_numpy(to_unit(np.moveaxis(color, -1, 0)[None])))[0, 0].numpy()
    assert np.allclose(model.restore(color) / 255, model.restore(left), atol=2 / 255)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_upscaled_picture_keeps_depth_alpha_and_notes(dtype, tmp_path, run):
    born(task="upscale", factor=3).save(tmp_path / "m.safetensors")
    alpha = photograph(channels=1, dtype=dtype)[:, :, 0]
    small = Picture(pixels=photograph(dtype=dtype), alpha=alpha, icc_profile=b"colors")
    write_picture(tmp_path / "small.png", small)
    status, out, _ = run(
        "upscale", tmp_path / "small.png", "--model", tmp_path / "m.safetensors", "--out", tmp_path / "large.png", "--json"
    )
    assert status == 0
    assert json.loads(out)["images"] == 1
    large = read_picture(tmp_path / "large.png")
    assert large.pixels.shape == (60, 78, 3)
    assert large.pixels.dtype == large.alpha.dtype == dtype
    assert large.alpha.shape == (60, 78)
    assert np.abs(large.alpha[1::3, 1::3] / np.iinfo(dtype).max - alpha / np.iinfo(dtype).max).max() < 0.05
    assert large.icc_profile == b"colors"


@pytest.mark.parametrize("factor", [2, 3])
def test_a_large_picture_is_enlarged_in_tiles_without_seams(factor):
    model = born(task="upscale", factor=factor)
    picture = photograph(90, 71) / np.float32(255)
    whole = model.restore(picture)
    model.engine.tile_side = 96
    assert np.abs(model.restore(picture) - whole).max() < 1e-5


def test_care_is_the_mean_over_all_orientations():
    model = born(task="denoise")
    picture = photograph() / np.float32(400)  # nothing is clipped: the mean is that of the outputs
    turned = [np.rot90(model.restore(np.rot90(picture, turns).copy()), -turns) for turns in range(4)]
    mirrored = [model.restore(np.rot90(picture, turns)[:, ::-1].copy())[:, ::-1] for turns in range(4)]
    mirrored = [np.rot90(image, -turns) for turns, image in enumerate(mirrored)]
    assert np.allclose(model.restore(picture, self_ensemble=True), np.mean(turned + mirrored, 0), atol=1e-5)
    with pytest.raises(isthmus.UsageError, match="A dense model takes one image size only"):
        Model(isthmus.Recipe(model="dense"), (1, 4, 4), device="cpu").restore(np.zeros((4, 4)), self_ensemble=True)


def test_what_a_mask_does_not_hide_is_kept(tmp_path, run):
    born(task="inpaint").save(tmp_path / "m.safetensors")
    hidden = np.zeros((20, 26), np.uint8)
    hidden[5:9, 3:20] = 255
    Image.fromarray(photograph()).save(tmp_path / "torn.png")
    Image.fromarray(hidden).save(tmp_path / "mask.png")
    options = ("--mask", tmp_path / "mask.png", "--model", tmp_path / "m.safetensors", "--out", tmp_path / "whole.png")
    assert run("inpaint", tmp_path / "torn.png", *options)[0] == 0
    whole = np.asarray(Image.open(tmp_path / "whole.png"))
    assert np.array_equal(whole[hidden == 0], photograph()[hidden == 0])
    assert (whole[hidden > 0] != photograph()[hidden > 0]).any()


@pytest.mark.parametrize(
    ("task", "mask", "message"),
    [
        ("inpaint", None, "An inpainting model needs a mask that is white where the image is missing"),
        ("inpaint", np.zeros((5, 5)), r"A mask of shape \(5, 5\) does not fit 1 images of 20 x 26 pixels"),
        ("inpaint", np.zeros((2, 20, 26)), r"A mask of shape \(2, 20, 26\) does not fit 1 images of 20 x 26 pixels"),
        (
            "denoise",
            np.zeros((20, 26)),
            "This model takes no mask: only a model trained with",
        ),
    ],
)
def test_masks_that_do_not_fit_are_refused(task, mask, message):
    with pytest.raises(isthmus.DataError, match=message):
        born(task=task).restore(photograph(), mask=mask)


def test_memory_makes_tiles_smaller_and_changes_nothing(tmp_path, run):
    model = born(task="denoise")
    picture = photograph(300, 320)
    whole = model.restore(picture)
    model.limit_memory(10_000_000_000)
    assert model.engine.tile_side == 1024
    with pytest.raises(isthmus.UsageError, match=r"5 MB of memory are too little. isthmus needs [\d,]+ MB for this, in"):
        model.limit_memory(5_000_000)
    model.engine.tile_side = 256
    assert np.array_equal(model.restore(picture), whole)
    model.save(tmp_path / "m.safetensors")
    Image.fromarray(picture).save(tmp_path / "in.png")
    options = ("--model", tmp_path / "m.safetensors", "--out", tmp_path / "out.png", "--memory")
    for memory, status, text in (("much", 2, "--memory must be a size such as 1.5GB or 800MB, not much."), ("4GB", 0, "")):
        found, _, err = run("denoise", tmp_path / "in.png", *options, memory)
        assert found == status
        assert text in err
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png")), whole)


def test_keep_going_skips_however_many(tmp_path, run):
    born(task="denoise").save(tmp_path / "m.safetensors")
    (tmp_path / "in").mkdir()
    Image.fromarray(photograph()).save(tmp_path / "in" / "good.png")
    for index in range(3):
        (tmp_path / "in" / f"bad{index}.png").write_bytes(b"bad")
    options = ("--model", tmp_path / "m.safetensors", "--out", tmp_path / "out")
    assert run("denoise", tmp_path / "in", *options)[0] == 3
    status, out, _ = run("denoise", tmp_path / "in", *options, "--keep-going", "--overwrite", "--json")
    assert status == 5
    assert json.loads(out)["images"] == 1
    assert len(json.loads(out)["skipped"]) == 3


def test_half_precision_takes_half_the_room_and_gives_nearly_the_same(tmp_path):
    model = born(task="denoise")
    model.save(tmp_path / "whole.safetensors")
    model.save(tmp_path / "half.safetensors", half=True)
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half"))
    assert half < 0.65 * whole
    again = isthmus.load(tmp_path / "half.safetensors", device="cpu")
    picture = photograph() / np.float32(255)
    assert np.abs(again.restore(picture) - model.restore(picture)).max() < 1e-2
    assert all(parameter.dtype == torch.float32 for parameter in again.network.parameters())


def test_unknown_factors_and_models_are_refused(tmp_path, run):
    Image.fromarray(photograph()).save(tmp_path / "in.png")
    status, _, err = run("upscale", tmp_path / "in.png", "--factor", "5", "--out", tmp_path / "out.png")
    assert status == 2
    assert "--factor must be 2, 3 or 4, not 5. For others, train a model: --task upscale --factor 5." in err
    status, _, err = run("restore", "denoise-grey", tmp_path / "in.png", "--out", tmp_path / "out.png")
    assert status == 4
    assert "There is no model at denoise-grey." in err


@pytest.mark.parametrize("name", ["conv", "dense", "denoise-gray", "colorize"])
def test_an_image_becomes_the_same_alone_or_among_others(name, request, digits):
    model = isthmus.load(name, device="cpu") if "-" in name or name == "colorize" else request.getfixturevalue(name)
    images = digits[:12].astype(np.float32) / 255
    together, codes = model.restore(images), model.encode(images)
    for index in range(12):
        np.testing.assert_array_equal(model.restore(images[index : index + 1])[0], together[index])
        np.testing.assert_array_equal(model.encode(images[index : index + 1])[0], codes[index])
