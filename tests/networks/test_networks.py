from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

import isthmus
from isthmus.errors import DataError, UsageError
from isthmus.model import Model
from isthmus.networks import build
from isthmus.networks.base import NetworkSpec
from isthmus.networks.bottlenecks import BOTTLENECKS
from isthmus.networks.convolutional import Enlarging, FewOutputs, halve
from isthmus.recipes.chapter import CHAPTER

SPEC = NetworkSpec(image_shape=(1, 8, 8), input_channels=1, code=4, hidden=(), decoder_hidden=(), bottleneck=BOTTLENECKS["relu"])


@pytest.mark.parametrize(("name", "parameters"), [("dense", 50_992), ("convolutional", 4_385), ("denoising", 30_689)])
def test_the_chapters_models_have_the_books_parameters(name, parameters):
    model = Model(CHAPTER[name].recipe, (1, 28, 28), device="cpu")
    assert model.num_parameters == parameters == CHAPTER[name].parameters
    assert np.prod(model.code_shape()) == CHAPTER[name].code_numbers


def test_an_unknown_model_is_told_the_nearest():
    with pytest.raises(
        UsageError, match=r"Unknown model 'dence'\. Did you mean 'dense'\? There are: dense, conv, photographic, global\."
    ):
        build("dence", SPEC)


def test_sizes_must_be_positive():
    with pytest.raises(UsageError, match=r"Sizes must be positive, not code 4, hidden \(0,\) and \(1,\), image \(1, 8, 8\)\."):
        build("dense", replace(SPEC, hidden=(0,), decoder_hidden=(1,)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1), (5, 28, 28), (5, 1, 28, 28), (5, 28, 28, 1)])
def test_restore_keeps_shape_and_type(dtype, shape, conv, digits):
    count = shape[0] if len(shape) > 3 or shape[0] == 5 else 1
    unit = (digits[:count] / 255).reshape(shape)
    images = (
        unit.astype(dtype) if np.dtype(dtype).kind == "f" else (unit * (1 if dtype is bool else np.iinfo(dtype).max)).astype(dtype)
    )
    restored = conv.restore(images)
    assert restored.shape == shape
    assert restored.dtype == dtype


def test_restore_takes_tensors_pictures_paths_and_lists(conv, digits, tmp_path):
    expected = conv.restore(digits[0])
    assert torch.equal(conv.restore(torch.from_numpy(digits[0])), torch.from_numpy(expected))
    picture = conv.restore(Image.fromarray(digits[0]))
    assert isinstance(picture, Image.Image)
    assert np.array_equal(np.asarray(picture), expected)
    Image.fromarray(digits[0]).save(tmp_path / "digit.png")
    assert np.array_equal(conv.restore(tmp_path / "digit.png"), expected)
    several = conv.restore([digits[0], digits[1][:20]])
    assert isinstance(several, list)
    assert [image.shape for image in several] == [(28, 28), (20, 28)]


def test_restore_takes_values_a_little_outside_of_the_range(denoiser, digits):
    noisy = digits[:5] / np.float32(255) + np.random.default_rng(0).normal(0, 0.5, (5, 28, 28)).astype(np.float32)
    restored = denoiser.restore(noisy)
    assert np.array_equal(restored, denoiser.restore(np.clip(noisy, 0, 1)))


def test_codes_that_do_not_fit_are_refused(dense, conv):
    with pytest.raises(DataError, match=r"Codes of shape \(2, 31\) do not fit\. For 28 x 28 pixels, this model needs \(n, 32\)\."):
        dense.decode(np.zeros((2, 31)))
    with pytest.raises(DataError, match=r"This model decodes to 28 x 28 pixels, not 30 x 28\."):
        dense.decode(np.zeros((2, 32)), (30, 28))
    with pytest.raises(DataError, match=r"For 28 x 28 pixels, this model needs \(n, 8, 4, 4\)"):
        conv.decode(np.zeros((2, 8, 5, 4)))


def test_corrupt_is_seeded(denoiser, digits):
    clean = digits[:3, None] / np.float32(255)
    assert np.array_equal(denoiser.degradation.corrupt(clean, 1), denoiser.degradation.corrupt(clean, 1))
    assert not np.array_equal(denoiser.degradation.corrupt(clean, 1), denoiser.degradation.corrupt(clean, 2))


def test_a_model_describes_itself(dense):
    about = dense.describe()
    assert about["parameters"] == 50_992
    assert about["code_shape"] == [32]
    assert about["code_numbers"] == 32
    assert about["image_shape"] == [1, 28, 28]
    assert about["steps"] == 2 * 3
    assert len(about["history"]) == 2
    assert about["recipe"] == isthmus.Recipe(model="dense", epochs=2).complete().to_json()


@pytest.mark.parametrize(("channels", "outputs"), [(9, 1), (32, 3), (8, 1)])
@pytest.mark.parametrize("size", [(3, 4), (1, 1), (7, 5)])
def test_few_outputs_are_those_of_a_convolution(size, channels, outputs, monkeypatch):
    layer = FewOutputs(channels, outputs, 3, padding=1).double()
    image = torch.randn(2, channels, *size, dtype=torch.float64).to(memory_format=torch.channels_last)
    expected = layer(image)
    with torch.no_grad():
        torch.testing.assert_close(layer(image), expected)
        convolved = []
        monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: convolved.append(x))
        layer(image)
    assert len(convolved) == (channels < 9 * outputs)
    assert expected.requires_grad


def test_few_outputs_in_bfloat16_are_as_near_as_a_convolutions():
    layer, image = FewOutputs(32, 1, 3, padding=1), torch.rand(2, 32, 9, 8).to(memory_format=torch.channels_last)
    exact = layer.double()(image.double())
    layer.float()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found, usual = layer(image), nn.Conv2d.forward(layer, image)
    assert (found.dtype, usual.dtype) == (torch.float32, torch.bfloat16)
    assert 0 < (found - exact).abs().mean() < 1.5 * (usual - exact).abs().mean()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(4, 6), (1, 1), (7, 4), (4, 5)])
def test_halving_without_a_gradient_is_pooling(size, kind):
    image = torch.randn(2, 5, *size).to(kind).contiguous(memory_format=torch.channels_last)
    image[0, 0, 0, 0], image[1, 1, -1, -1] = float("nan"), float("inf")
    expected = halve(image.requires_grad_())
    with torch.no_grad():
        torch.testing.assert_close(halve(image), expected.detach(), rtol=0, atol=0, equal_nan=True)
        assert halve(image).is_contiguous(memory_format=torch.channels_last)
    assert "MaxPool" in type(expected.grad_fn).__name__


@pytest.mark.parametrize("size", [(3, 4), (1, 1), (7, 5)])
def test_enlarging_is_copying_each_pixel_and_convolving(size):
    layer = Enlarging(5, 6, 3, padding=1).double()
    image = torch.randn(2, 5, *size, dtype=torch.float64)
    for less in (0, 1):
        doubled = tuple(2 * side - less for side in size)
        expected = nn.Conv2d.forward(layer, functional.interpolate(image, size=doubled))
        torch.testing.assert_close(layer(image, doubled), expected)
