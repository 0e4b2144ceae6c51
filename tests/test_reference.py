import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

import isthmus
from isthmus.novelty import novelty
from isthmus.reference import CODES_PER_PART, MAX_NUMBERS, MAX_PARTS, CodeDensity, Reference
from isthmus.restoring import Model

FIELDS = ("mean", "axes", "rest", "weights", "centres", "factors")


def one_heap(count=150, seed=0):
    """Codes of 3 numbers, normal and correlated: too few for a second part."""
    mixing = np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.3], [0.2, 0.0, 1.2]])
    return np.random.default_rng(seed).normal(size=(count, 3)) @ mixing + [1, -2, 5]


def two_heaps(count=500, seed=0):
    """Codes of 2 numbers, in two heaps that lie apart."""
    chance = np.random.default_rng(seed)
    heap = chance.integers(0, 2, count)[:, None]
    return chance.normal(size=(count, 2)) * np.where(heap, 0.5, 1.0) + heap * [8, 5]


def flat_heap(count=3000, seed=0):
    """Codes of 10 numbers, wide in two directions only."""
    chance = np.random.default_rng(seed)
    rotation = np.linalg.qr(np.random.default_rng(9).normal(size=(10, 10)))[0]
    deviations = np.array([5, 4, *[0.1] * 8])
    return chance.normal(size=(count, 10)) * deviations @ rotation, rotation.T @ np.diag(deviations**2) @ rotation


def test_the_surprise_of_one_heap_is_that_of_the_normal_distribution():
    codes, others = one_heap(), one_heap(50, seed=1)
    density = CodeDensity.fit(codes)
    expected = -multivariate_normal(codes.mean(0), np.cov(codes.T, bias=True)).logpdf(others)
    assert len(density.weights) == 1
    assert density.axes.shape == (3, 3)
    assert density.surprise(others) == pytest.approx(expected, rel=1e-3)


def test_the_surprise_of_two_heaps_is_that_of_the_mixture():
    codes, others = two_heaps(), two_heaps(50, seed=1)
    density = CodeDensity.fit(codes)
    mixture = GaussianMixture(2, random_state=3).fit(codes)
    assert len(density.weights) == 2
    assert density.surprise(others) == pytest.approx(-mixture.score_samples(others), rel=2e-3)


def test_what_the_axes_leave_out_counts_in_the_surprise():
    codes, covariance = flat_heap()
    density = CodeDensity.fit(codes[:CODES_PER_PART])
    assert density.axes.shape == (2, 10)
    others = codes[1000:]
    expected = -multivariate_normal(np.zeros(10), covariance).logpdf(others)
    assert density.surprise(others).mean() == pytest.approx(expected.mean(), abs=0.3)
    off = others + np.linalg.svd(density.axes)[2][2]  # one unit along a direction that is left out: ten deviations
    assert (density.surprise(off) > density.surprise(others) + 10).all()


@pytest.mark.parametrize("count", [100, 1000])
def test_the_density_of_one_number_has_the_integral_one(count):
    codes = two_heaps(count)[:, :1]
    places = np.linspace(-30, 40, 70_001)[:, None]
    total = np.exp(-CodeDensity.fit(codes).surprise(places)).sum() * 0.001
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("codes", [one_heap(), two_heaps()], ids=["one heap", "two heaps"])
def test_drawn_codes_have_the_codes_moments(codes):
    drawn = CodeDensity.fit(codes).sample(60_000)
    assert drawn.dtype == np.float32
    assert np.allclose(drawn.mean(0), codes.mean(0), atol=0.05)
    assert np.allclose(np.cov(drawn.T), np.cov(codes.T, bias=True), rtol=0.05, atol=0.05)


def test_drawn_codes_lie_on_the_axes():
    density = CodeDensity.fit(flat_heap()[0])
    offsets = density.sample(20) - density.mean
    assert np.allclose(offsets @ density.axes.T @ density.axes, offsets, atol=1e-4)


def test_the_same_seed_draws_the_same_codes():
    density = CodeDensity.fit(two_heaps())
    assert np.array_equal(density.sample(5, seed=2), density.sample(5, seed=2))
    assert not np.array_equal(density.sample(5, seed=2), density.sample(5, seed=3))


@pytest.mark.parametrize("codes", [one_heap(), two_heaps(), flat_heap()[0]], ids=["one heap", "two heaps", "flat heap"])
def test_deviations_are_the_codes(codes):
    assert CodeDensity.fit(codes).deviations() == pytest.approx(codes.std(0), rel=0.02)


def test_deviations_count_what_the_axes_leave_out():
    codes = np.random.default_rng(0).normal(size=(2000, 5)) * [5, 4, 0.1, 0.1, 0.1]
    density = CodeDensity.fit(codes)
    assert len(density.axes) == 2
    assert density.deviations() == pytest.approx(codes.std(0), rel=0.05)


def test_the_parts_grow_with_the_codes_up_to_a_limit():
    chance = np.random.default_rng(0)
    parts = [len(CodeDensity.fit(chance.normal(size=(count, 1))).weights) for count in (2, 399, 400, 4400)]
    assert parts == [1, 1, 2, MAX_PARTS]


@pytest.mark.parametrize("codes", [np.zeros((30, 4)), np.ones((2, 3)), np.eye(2)], ids=["zeros", "ones", "two"])
def test_codes_that_hardly_differ_have_a_density_too(codes):
    density = CodeDensity.fit(codes)
    assert np.isfinite(density.surprise(codes)).all()
    assert np.allclose(density.sample(3), density.mean, atol=1.5 * np.ptp(codes) + 1e-4)
    assert (density.surprise(codes + 10) > density.surprise(codes)).all()


def test_a_reference_round_trips_through_a_model_file_to_the_last_bit(vae, dense, tmp_path, digits):
    for model in (vae, dense):
        model.save(tmp_path / "model.safetensors")
        again = isthmus.load(tmp_path / "model.safetensors", device="cpu")
        assert model.reference is not None
        assert again.reference is not None
        for field in FIELDS:
            kept, read = getattr(model.reference.density, field), getattr(again.reference.density, field)
            assert kept.dtype == read.dtype == np.float32
            assert kept.tobytes() == read.tobytes(), field
        assert model.reference.errors.tobytes() == again.reference.errors.tobytes()
        assert model.reference.surprises.tobytes() == again.reference.surprises.tobytes()
    for score in ("surprise", "error"):
        before, after = (novelty(model, digits, score=score).p_values for model in (dense, again))
        assert np.array_equal(before, after)


def test_held_out_images_are_kept_in_order(dense):
    reference = dense.reference
    assert len(reference.errors) == len(reference.surprises) == 31  # every tenth of 313
    assert (np.diff(reference.errors) >= 0).all()
    assert (np.diff(reference.surprises) >= 0).all()


def test_a_model_that_has_learnt_nothing_remembers_nothing(colour, tmp_path):
    assert colour.reference is None
    colour.save(tmp_path / "model.safetensors")
    assert isthmus.load(tmp_path / "model.safetensors", device="cpu").reference is None
    assert Reference.of({}, 5) is None


def test_a_code_too_large_for_a_density_is_compared_by_its_error_alone(tmp_path):
    model = Model(isthmus.Recipe(), (1, 184, 184), device="cpu")
    images = np.random.default_rng(0).random((4, 1, 184, 184), np.float32)
    assert math.prod(model.code_shape()) > MAX_NUMBERS
    model.remember(images[:2], images[2:])
    model.save(tmp_path / "model.safetensors")
    again = isthmus.load(tmp_path / "model.safetensors", device="cpu")
    assert again.reference.density is None
    assert again.reference.surprises is None
    assert list(again.compare(images)) == ["error"]
    with pytest.raises(isthmus.DataError, match=r"remembers no codes of shape \(8, 23, 23\): none were learnt, or they have more"):
        again.generate(2)


def test_a_density_belongs_to_codes_of_one_shape(conv):
    assert conv.density((5, 8, 4, 4)) is conv.reference.density
    for shape in ((5, 8, 2, 8), (5, 8, 4, 5), (5, 128)):  # the first and the last have as many numbers
        with pytest.raises(isthmus.DataError, match="or belong to images of another size"):
            conv.density(shape)
