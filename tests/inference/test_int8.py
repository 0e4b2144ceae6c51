"""Computing in 8 bits: what it costs, and when it is refused."""

import numpy as np
import pytest
import torch

import isthmus
from isthmus.errors import UsageError
from isthmus.inference import int8
from isthmus.inference.int8 import compute_in_int8, has_fast_int8, measured
from isthmus.model import Model
from isthmus.networks.unet import Residual
from isthmus.recipes import Recipe
from isthmus.restore import Restorer

needs_int8 = pytest.mark.skipif(not has_fast_int8(), reason="this processor has no instructions for 8-bit products")


def picture(side=96, channels=3):
    """A smooth picture with noise of 10 of 255."""
    rng = np.random.default_rng(0)
    smooth = 128 + 60 * np.sin(np.arange(side)[:, None, None] / 9) * np.cos(np.arange(side)[None, :, None] / 13)
    clean = np.broadcast_to(smooth, (side, side, channels))
    return np.clip(clean + rng.normal(0, 10, clean.shape), 0, 255).round().astype(np.uint8), clean


def psnr(image, clean):
    return 10 * np.log10(255**2 / np.square(image.astype(float) - clean).mean())


def in_floats(name, bfloat16=False):
    """A model that ships, in float32 where it would compute in bfloat16, or the other way round."""
    model = isthmus.load(name, device="cpu")
    model.engine.bfloat16 = bfloat16
    return model


@pytest.fixture
def without_amx(monkeypatch):
    monkeypatch.setattr(int8, "has_amx", lambda: False)


@needs_int8
@pytest.mark.usefixtures("without_amx")
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("name", ["denoise-gray", "denoise-color"])
def test_the_models_that_ship_lose_little(name, bfloat16):
    noisy, clean = picture(channels=3 if name == "denoise-color" else 1)
    float_way = in_floats(name, bfloat16).restore(noisy)
    fast_way = Restorer(in_floats(name, bfloat16), fast=True).restore(noisy)
    assert psnr(float_way, clean) > psnr(noisy, clean) + 5
    assert psnr(fast_way, clean) > psnr(float_way, clean) - 0.2
    assert not np.array_equal(fast_way, float_way)


@needs_int8
def test_a_block_is_what_its_whole_numbers_say():
    """Against the same sums in double precision, from the numbers rounded by hand."""
    torch.manual_seed(0)
    block = Residual(8)
    x = torch.randn(1, 8, 12, 10)
    with torch.inference_mode(), measured(block):
        block(x)
    low, high, highest = block.seen.tolist()
    assert (low, high) == (x.min().item(), x.max().item())
    assert highest == pytest.approx(block.first(x).max().item())

    def rounded(values, low, high):
        scale = (high - low) / 255
        zero = round(-low / scale)
        return (torch.clamp(torch.floor(values.double() / scale + zero + 0.5), 0, 255) - zero) * scale

    def convolved(layer, values):
        scale = layer.weight.double().abs().amax((1, 2, 3), keepdim=True) / 127
        weight = (layer.weight.double() / scale).round() * scale
        return torch.nn.functional.conv2d(values, weight, layer.bias.double(), padding=1)

    between = convolved(block.first, rounded(x, low, high)).relu()
    expected = convolved(block.second, rounded(between, 0.0, highest)) + x
    with torch.inference_mode():
        found = int8._in_int8(block)(x.contiguous(memory_format=torch.channels_last))
    difference = (found - expected).abs()
    assert difference.median() < 1e-5
    assert difference.max() < 0.05  # a number between two steps may become either


def test_of_many_images_a_tenth_may_lie_beyond():
    block = Residual(2)
    with torch.inference_mode(), measured(block):
        for size in range(11):
            block(torch.tensor([-2.0 * size, float(size)]).view(1, 2, 1, 1))
    assert block.seen[:2].tolist() == pytest.approx([-18, 9])


@needs_int8
def test_what_is_saved_stays_as_it_was(tmp_path):
    model = in_floats("denoise-gray")
    before = model.to_bytes()
    compute_in_int8(model.engine)
    assert model.to_bytes() == before


@needs_int8
def test_tiles_give_what_the_whole_gives():
    noisy, _ = picture(400, 1)
    restorer = Restorer(in_floats("denoise-gray"), fast=True)
    whole = restorer.restore(noisy)
    restorer.other.engine.tile_side = 256
    np.testing.assert_array_equal(restorer.restore(noisy), whole)


@needs_int8
@pytest.mark.parametrize("amx", [True, False])
def test_with_amx_what_computes_in_bfloat16_goes_on_to(amx, monkeypatch):
    monkeypatch.setattr(int8, "has_amx", lambda: amx)
    noisy, _ = picture(64, 1)
    model = in_floats("denoise-gray", bfloat16=True)
    half = model.restore(noisy)
    assert np.array_equal(Restorer(model, fast=True).restore(noisy), half) is amx


def test_a_training_that_restores_measures_what_8_bits_need(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32), np.uint8)
    model = isthmus.train(images, task="denoise", noise=0.1, model="photographic", code=16, hidden=(16,), epochs=1, patch=0)
    assert all(module.seen[1] > module.seen[0] for module in model.network.modules() if isinstance(module, Residual))


def test_what_cannot_compute_in_8_bits_says_so(monkeypatch):
    untrained = Model(Recipe(task="denoise", noise=0.1, model="photographic"), (1, 64, 64), device="cpu")
    with pytest.raises(UsageError, match="photographic models that were trained"):
        compute_in_int8(untrained.engine)
    with pytest.raises(UsageError, match="photographic models"):
        Restorer("colorize", fast=True)
    monkeypatch.setattr(int8, "has_fast_int8", lambda: False)
    with pytest.raises(UsageError, match="AVX-512 VNNI"):
        Restorer("denoise-gray", fast=True)
