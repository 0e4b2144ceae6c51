import math

import numpy as np
import pytest
from sklearn.decomposition import PCA

from isthmus.datasets import open_data
from isthmus.images import to_unit
from isthmus.metrics import METRICS, ciede2000, colorfulness, cross_entropy, mean_squared_error, psnr_db, ssim

GRAY = np.full((2, 1, 8, 8), 0.5)


def test_mean_squared_error_is_one_value_per_image():
    restored = GRAY.copy()
    restored[1] += 0.1
    assert mean_squared_error(restored, GRAY) == pytest.approx([0, 0.01])


def test_psnr_of_a_tenth_is_20_db_and_of_equals_100():
    restored = GRAY.copy()
    restored[1] += 0.1
    assert psnr_db(restored, GRAY) == pytest.approx([100, 20])


def test_cross_entropy_of_an_even_guess_is_log_2():
    for clean in (0.0, 0.3, 1.0):
        assert cross_entropy(GRAY, np.full_like(GRAY, clean)) == pytest.approx([math.log(2)] * 2)


def test_cross_entropy_of_a_sure_and_wrong_pixel_is_finite():
    assert cross_entropy(np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))) == pytest.approx([-math.log(1e-3)])


def test_ssim_is_one_for_equals_less_for_noise_and_nan_where_too_small(digits):
    clean = to_unit(digits[:5, None])
    assert ssim(clean, clean) == pytest.approx([1] * 5)
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 0.3, clean.shape), 0, 1)
    assert (ssim(noisy, clean) < 0.8).all()
    assert np.isnan(ssim(clean[:, :, :6], clean[:, :, :6])).all()


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_gives_a_value_per_image_in_colour_too(name):
    chance = np.random.default_rng(0)
    scores = METRICS[name](chance.random((3, 3, 9, 11), np.float32), chance.random((3, 3, 9, 11), np.float32))
    assert scores.shape == (3,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


def test_pca_with_32_numbers_has_its_known_error_on_mnist(shared_data):
    source = open_data("mnist", shared_data)
    train, test = (to_unit(source.read(split).images).reshape(-1, 784) for split in ("train", "test"))
    pca = PCA(32, random_state=0).fit(train)
    restored = pca.inverse_transform(pca.transform(test))
    error = mean_squared_error(restored.reshape(-1, 1, 28, 28), test.reshape(-1, 1, 28, 28)).mean()
    assert error == pytest.approx(0.01683, abs=1e-5)


def test_colours_differ_as_people_see_them():
    red, gray = np.zeros((2, 3, 8, 8))
    red[0] = 1
    pair = np.stack([red, gray])
    assert ciede2000(pair, pair) == pytest.approx([0, 0])
    assert ciede2000(pair[:1], pair[1:])[0] > 40
    assert np.isnan(ciede2000(GRAY, GRAY)).all()


def test_colourfulness_is_a_share_of_the_truths():
    chance = np.random.default_rng(0)
    colours = chance.random((2, 3, 16, 16))
    gray = np.repeat(colours.mean(1, keepdims=True), 3, 1)
    assert colorfulness(colours, colours) == pytest.approx([1, 1])
    assert colorfulness(gray, colours) == pytest.approx([0, 0])
    assert colorfulness((colours + gray) / 2, colours) == pytest.approx([0.5, 0.5])
    assert np.isnan(colorfulness(GRAY, GRAY)).all()
