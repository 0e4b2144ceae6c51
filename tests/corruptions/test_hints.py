"""Hints: what is told beside an image, in training and by a person."""

import numpy as np
import pytest
import torch

import isthmus
from isthmus.corruptions import Downscale, GaussianNoise, Grayscale, Hints, Mask, parse
from isthmus.corruptions.hints import AB_SPAN
from isthmus.imaging.color import gray_of, to_lab


def told(corruption, clean, seed=0):
    return corruption.damage(clean, torch.Generator().manual_seed(seed))


def random_images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def test_hints_tell_the_mean_color_of_squares_and_gray_elsewhere():
    clean = random_images(4, 3, 40, 60)
    seen = told(Hints(count=1, size=0.2, without=0) | Grayscale(), clean)
    assert seen.shape == (4, 4, 40, 60)
    assert torch.equal(seen[:, :1], gray_of(clean))
    for image, (_, a, b, there) in zip(clean, seen, strict=True):
        assert there.sum() == 64  # a square of 8 x 8: a fifth of 40 pixels
        square = image[:, there > 0].mean(1)
        expected = to_lab(square[None, :, None, None])[0, 1:].flatten()
        assert torch.allclose((torch.stack([a, b])[:, there > 0] - 0.5) * AB_SPAN, expected[:, None].expand(2, 64), atol=1e-2)
        assert (torch.stack([a, b])[:, there == 0] == 0.5).all()


def test_as_many_images_as_it_says_have_no_hints():
    seen = told(Hints(without=0.3), torch.zeros(2000, 3, 8, 8))
    assert 0.26 < (seen[:, 5].flatten(1).sum(1) == 0).float().mean() < 0.34


def test_a_number_of_hints_is_drawn_evenly_in_its_logarithm():
    seen = told(Hints(count=(1, 30), size=0.001, without=0), torch.zeros(1000, 3, 100, 100))
    counts = seen[:, 5].flatten(1).sum(1)  # of single pixels, of which hardly any two fall together
    assert counts.min() == 1
    assert counts.max() <= 30
    expected = np.log(3) / np.log(30.999)  # below 3: of the numbers 1 and 2
    assert abs(float((counts < 3).float().mean()) - expected) < 0.04


def test_what_stands_beside_an_image_is_damaged_by_nothing_that_follows_but_moves_with_it():
    clean = random_images(2, 3, 16, 16)
    alone = told(Hints(without=0, size=0.3), clean)
    noisy = told(Hints(without=0, size=0.3) | GaussianNoise(0.3) | Grayscale(), clean)
    assert torch.equal(noisy[:, 1:], alone[:, 3:])
    assert not torch.allclose(noisy[:, :1], gray_of(clean), atol=0.1)
    masked = told(Mask() | GaussianNoise(0.3), clean)
    assert set(masked[:, -1].unique().tolist()) <= {0.0, 1.0}
    smaller = told(Hints(without=0, size=0.3) | Downscale(2), clean)
    assert smaller.shape == (2, 6, 8, 8)


def test_two_that_stand_beside_an_image_keep_their_order():
    chain = Mask() | Hints(without=0, size=0.3) | Grayscale()
    clean = random_images(2, 3, 20, 20)
    seen = told(chain, clean)
    assert seen.shape == (2, chain.input_channels(3), 20, 20) == (2, 5, 20, 20)
    assert set(seen[:, 1].unique().tolist()) <= {0.0, 1.0}  # the mask, then a, b and where
    assert set(seen[:, 4].unique().tolist()) <= {0.0, 1.0}
    assert chain.to_model_input(seen).shape == seen.shape


def test_a_chain_with_hints_is_read_back():
    text = "hints(count=(1, 30), size=(0.015, 0.06), without=0.5) | grayscale | gaussian-noise(std=(0, 0.03), clip=True)"
    assert str(parse(text)) == text


def dots(alpha=True):
    picture = np.zeros((6, 8, 4 if alpha else 3), np.uint8)
    picture[2:4, 3:5, :3] = (200, 30, 40)
    if alpha:
        picture[2:4, 3:5, 3] = 255
    return picture


@pytest.mark.parametrize("alpha", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_opaque_or_colored_pixels_of_a_picture_are_hints(alpha, dtype):
    picture = dots(alpha) / (255 if dtype == np.float32 else 1)
    picture = (picture * 257 if dtype == np.uint16 else picture).astype(dtype)
    beside = Hints().given(picture, (1, 1, 6, 8))
    assert beside.shape == (1, 3, 6, 8)
    assert beside[0, 2].sum() == 4
    expected = to_lab(torch.tensor([200, 30, 40])[None, :, None, None] / 255)[0, 1:, 0, 0].numpy()
    assert np.allclose((beside[0, :2, 2, 3].astype(np.float32) - 0.5) * AB_SPAN, expected, atol=0.2)
    assert (beside[0, :2, 0, 0] == 0.5).all()


def test_gray_is_a_color_where_it_is_opaque():
    picture = np.zeros((6, 8, 4), np.uint8)
    picture[0, 0] = (90, 90, 90, 255)
    beside = Hints().given(picture, (1, 1, 6, 8))
    assert np.abs(beside[0, :2, 0, 0] - 0.5).max() < 1e-3
    assert beside[0, 2].sum() == 1


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (
            np.zeros((6, 7, 4), np.uint8),
            r"Hints must be a picture of the same size, 8x6 pixels; an array of shape \(6, 7, 4\) does not",
        ),
        (
            np.zeros((6, 8), np.uint8),
            r"Hints must be a picture of the same size, 8x6 pixels; an array of shape \(6, 8\) does not",
        ),
        (np.zeros((6, 8, 1), np.uint8), "Hints must be an RGB or RGBA picture, not one of 1 channels"),
        (np.zeros((6, 8, 4), np.uint8), "The hints set no color: none of their pixels is opaque"),
        (np.full((6, 8, 3), 77, np.uint8), "The hints set no color: none of their pixels is colored"),
    ],
)
def test_hints_that_cannot_be_meant_are_refused(picture, message):
    with pytest.raises(isthmus.DataError, match=message):
        Hints().given(picture, (1, 1, 6, 8))
