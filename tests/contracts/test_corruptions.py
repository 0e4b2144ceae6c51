"""What every entry of CORRUPTIONS promises, by being registered."""

import pytest
import torch

from isthmus.corruptions import CORRUPTIONS, parse

SHAPES = [(2, 1, 28, 28), (1, 3, 1, 1), (3, 1, 1, 7), (1, 4, 5, 4)]

corruptions = pytest.mark.parametrize("corruption", [kind() for kind in CORRUPTIONS.values()], ids=list(CORRUPTIONS))
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def corrupt(corruption, clean, seed=0):
    return corruption(clean, torch.Generator().manual_seed(seed))


def some(shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(7))


@corruptions
@shapes
def test_keeps_count_height_and_width_and_tells_its_channels(corruption, shape):
    seen = corrupt(corruption, some(shape))
    batch, channels, height, width = shape
    assert seen.shape == (batch, corruption.input_channels(channels), height, width)
    assert seen.dtype == torch.float32
    assert torch.isfinite(seen).all()


@corruptions
@shapes
def test_same_seed_gives_the_same_result(corruption, shape):
    assert torch.equal(corrupt(corruption, some(shape), 3), corrupt(corruption, some(shape), 3))


@corruptions
@shapes
def test_what_a_person_has_is_seen_as_in_training(corruption, shape):
    damaged = corruption.damage(some(shape), torch.Generator().manual_seed(3))
    seen = corruption.to_model_input(damaged)
    assert seen.shape[-2:] == tuple(side * corruption.scale_factor for side in damaged.shape[-2:])
    assert torch.equal(seen[..., : shape[-2], : shape[-1]], corrupt(corruption, some(shape), 3))


@corruptions
def test_leaves_the_clean_images_untouched(corruption):
    clean = some((2, 1, 28, 28))
    corrupt(corruption, clean)
    assert torch.equal(clean, some((2, 1, 28, 28)))


@corruptions
def test_stays_in_range_if_it_says_so(corruption):
    seen = corrupt(corruption, some((4, 1, 28, 28)))
    assert not corruption.stays_in_range or (seen.min() >= 0 and seen.max() <= 1)


@corruptions
def test_text_round_trip(corruption):
    assert parse(str(corruption)) == corruption


@corruptions
def test_name_alone_is_the_default(corruption):
    name = next(name for name, kind in CORRUPTIONS.items() if kind is type(corruption))
    assert parse(name) == corruption


@corruptions
@pytest.mark.parametrize("then", [kind() for kind in CORRUPTIONS.values()], ids=list(CORRUPTIONS))
def test_any_two_compose_and_read_back(corruption, then):
    both = corruption | then
    assert parse(str(both)) == both
    clean = some((2, 3, 6, 5))
    generator = torch.Generator().manual_seed(1)
    first = corruption.damage(clean, generator)
    kept = 0 if then.moves else corruption.beside  # what stands beside the image stays as it is, unless it moves with it
    image = then.damage(first[:, : first.shape[1] - kept], generator)
    own = image.shape[1] - (then.beside if kept else 0)
    damaged = torch.cat([image[:, :own], first[:, first.shape[1] - kept :], image[:, own:]], 1) if kept else image
    assert torch.equal(both.damage(clean, torch.Generator().manual_seed(1)), damaged)
    if both.beside:
        assert both(clean, torch.Generator().manual_seed(1)).shape[1] == both.input_channels(3)
        return
    expected = then.to_model_input(corruption.to_model_input(damaged))[..., :6, :5]
    assert torch.equal(both(clean, torch.Generator().manual_seed(1)), expected)
    assert both.stays_in_range == (corruption.stays_in_range and then.stays_in_range)
    assert expected.shape[1] == both.input_channels(3)
