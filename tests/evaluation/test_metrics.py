import math

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab
from sklearn.decomposition import PCA

from isthmus.datasets import open_data
from isthmus.evaluation import metrics
from isthmus.evaluation.metrics import METRICS, ciede2000, colorfulness, cross_entropy, mean_squared_error, psnr_db, ssim
from isthmus.imaging.arrays import to_unit

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
def test_every_metric_gives_a_value_per_image_in_color_too(name):
    rng = np.random.default_rng(0)
    scores = METRICS[name](rng.random((3, 3, 9, 11), np.float32), rng.random((3, 3, 9, 11), np.float32))
    assert scores.shape == (3,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", ["bce", "mse", "psnr_db", "ssim"])
def test_large_images_are_compared_in_parts_with_the_same_result(name, monkeypatch):
    rng = np.random.default_rng(0)
    pair = [rng.random((2, 3, 41, 30), np.float32) for _ in range(2)]
    whole = METRICS[name](*pair)
    monkeypatch.setattr(metrics, "PART_VALUES", 1000)
    assert METRICS[name](*pair) == pytest.approx(whole, rel=1e-12)


def test_ciede2000_is_that_of_scikit_image_and_none_of_gray(monkeypatch):
    restored, clean = np.random.default_rng(0).random((2, 2, 3, 12, 10))
    expected = deltaE_ciede2000(rgb2lab(clean[1], channel_axis=0), rgb2lab(restored[1], channel_axis=0), channel_axis=0).mean()
    assert ciede2000(restored, clean)[1] == pytest.approx(expected)
    assert ciede2000(clean, clean) == pytest.approx([0, 0])
    assert np.isnan(ciede2000(GRAY, GRAY)).all()
    monkeypatch.setattr(metrics, "COLOR_PIXELS", 30)
    assert ciede2000(restored, clean) == pytest.approx(ciede2000(restored[:, :, ::2, ::2], clean[:, :, ::2, ::2]))


def test_colorfulness_is_nothing_for_gray_and_grows_with_the_colors():
    gray = np.random.default_rng(0).random((1, 1, 16, 16)).repeat(3, 1)
    tinted = gray * np.array([1, 0.8, 0.6]).reshape(3, 1, 1)
    assert colorfulness(gray, gray) == pytest.approx([0])
    assert 5 < colorfulness(tinted, gray)[0] < colorfulness(gray * np.array([1, 0.4, 0]).reshape(3, 1, 1), gray)[0]
    assert np.isnan(colorfulness(GRAY, GRAY)).all()


def test_pca_with_32_numbers_has_its_known_error_on_mnist(shared_data):
    source = open_data("mnist", shared_data)
    train, test = (to_unit(source.read(split).images).reshape(-1, 784) for split in ("train", "test"))
    pca = PCA(32, random_state=0).fit(train)
    restored = pca.inverse_transform(pca.transform(test))
    error = mean_squared_error(restored.reshape(-1, 1, 28, 28), test.reshape(-1, 1, 28, 28)).mean()
    assert error == pytest.approx(0.01683, abs=1e-5)
