"""Strips: what comes out of a network in strips is what comes out of it whole."""

import numpy as np
import pytest
import torch

from isthmus import Recipe
from isthmus.model import Model
from isthmus.networks.strips import Strips

LATE = 54
"""Rows by which the result of the photographic network's default depth is late."""


def model_of(channels: int = 1, **options) -> Model:
    """Return an untrained model whose every layer matters, in float32, also where bfloat16 is the default."""
    torch.manual_seed(0)
    recipe = Recipe(**{"task": "denoise", **options}, model="photographic", hidden=(8,), code=8, precision="float32")
    model = Model(recipe, (channels, 32, 32), device="cpu")
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5 / 2)
    return model


def in_strips(network, image, lengths):
    strips, done, parts = Strips(), 0, []
    for count, strip in enumerate(image.split(lengths, 2), 1):
        strips.last = count == len(lengths)
        parts.append(network.strip(strip, image.shape[2] - done, strips))
        done += parts[-1].shape[2]
    return parts


@pytest.mark.parametrize(
    "lengths", [(72, 72, 72), (72, 4, 8, 72, 1), (100, 3), (72, 72, 2), (300, 299)], ids=lambda lengths: "-".join(map(str, lengths))
)
@torch.inference_mode()
def test_strips_of_any_length_give_what_the_whole_gives(lengths):
    network = model_of().network.eval()
    image = torch.rand(1, 1, sum(lengths), 21)
    parts = in_strips(network, image, lengths)
    assert parts[0].shape[2] == lengths[0] - LATE
    whole = network(image)
    assert whole.std() > 0.1
    assert (torch.cat(parts, 2) - whole).abs().max() < 1e-5


def test_nothing_is_computed_again_but_two_rows_on_each_side_of_a_block():
    network, seen = model_of().network, []
    first = network.inward[0][0].first
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[2]))
    with torch.inference_mode():
        in_strips(network, torch.rand(1, 1, 400, 16), (100, 100, 100, 100))
    assert seen == [49, 54, 54, 55]  # of half as many rows; the head's are late by one


@pytest.mark.parametrize("options", [{}, {"factor": 3, "task": "upscale"}, {"task": "inpaint"}], ids=str)
@pytest.mark.parametrize("size", [(400, 30), (30, 700), (311, 505)], ids=str)
def test_a_large_picture_is_restored_as_if_it_were_small(size, options):
    model = model_of(**options)
    picture = np.random.default_rng(0).random(size, np.float32)
    mask = {"mask": np.random.default_rng(1).random(size) < 0.1} if options.get("task") == "inpaint" else {}
    model.engine.tile_side = 1 << 20
    whole = model.restore(picture, **mask)
    model.engine.tile_side = 256
    shares = []
    restored = model.restore(picture, on_progress=shares.append, **mask)
    assert len(shares) > 1
    assert whole.std() > 0.01
    np.testing.assert_allclose(restored, whole, rtol=0, atol=1e-6)
    assert shares == sorted(shares)
