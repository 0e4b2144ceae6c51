import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from isthmus.inference.density import MAX_PARTS, VECTORS_PER_PART, Mixture


def one_heap(count=150, seed=0):
    """Vectors of 3 numbers, normal and correlated: too few for a second part."""
    mixing = np.array([[1.0, 0.4, 0.0], [0.0, 0.8, -0.3], [0.2, 0.0, 1.2]])
    return np.random.default_rng(seed).normal(size=(count, 3)) @ mixing + [1, -2, 5]


def two_heaps(count=500, seed=0):
    """Vectors of 2 numbers, in two heaps that lie apart."""
    rng = np.random.default_rng(seed)
    heap = rng.integers(0, 2, count)[:, None]
    return rng.normal(size=(count, 2)) * np.where(heap, 0.5, 1.0) + heap * [8, 5]


def flat_heap(count=3000, seed=0):
    """Vectors of 10 numbers, wide in two directions only."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(np.random.default_rng(9).normal(size=(10, 10)))[0]
    deviations = np.array([5, 4, *[0.1] * 8])
    return rng.normal(size=(count, 10)) * deviations @ rotation, rotation.T @ np.diag(deviations**2) @ rotation


def test_the_surprise_of_one_heap_is_that_of_the_normal_distribution():
    vectors, others = one_heap(), one_heap(50, seed=1)
    fitted = Mixture.fit(vectors)
    expected = -multivariate_normal(vectors.mean(0), np.cov(vectors.T, bias=True)).logpdf(others)
    assert len(fitted.weights) == 1
    assert fitted.axes.shape == (3, 3)
    assert fitted.surprise(others) == pytest.approx(expected, rel=1e-3)


def test_the_surprise_of_two_heaps_is_that_of_the_mixture():
    vectors, others = two_heaps(), two_heaps(50, seed=1)
    fitted = Mixture.fit(vectors)
    mixture = GaussianMixture(2, random_state=3).fit(vectors)
    assert len(fitted.weights) == 2
    assert fitted.surprise(others) == pytest.approx(-mixture.score_samples(others), rel=2e-3)


def test_what_the_axes_leave_out_counts_in_the_surprise():
    vectors, covariance = flat_heap()
    fitted = Mixture.fit(vectors[:VECTORS_PER_PART])
    assert fitted.axes.shape == (2, 10)
    others = vectors[1000:]
    expected = -multivariate_normal(np.zeros(10), covariance).logpdf(others)
    assert fitted.surprise(others).mean() == pytest.approx(expected.mean(), abs=0.3)
    off = others + np.linalg.svd(fitted.axes)[2][2]  # one unit along a direction that is left out: ten deviations
    assert (fitted.surprise(off) > fitted.surprise(others) + 10).all()


@pytest.mark.parametrize("count", [100, 1000])
def test_the_density_of_one_number_has_the_integral_one(count):
    vectors = two_heaps(count)[:, :1]
    places = np.linspace(-30, 40, 70_001)[:, None]
    total = np.exp(-Mixture.fit(vectors).surprise(places)).sum() * 0.001
    assert total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("vectors", [one_heap(), two_heaps()], ids=["one heap", "two heaps"])
def test_drawn_codes_have_the_codes_moments(vectors):
    drawn = Mixture.fit(vectors).sample(60_000)
    assert drawn.dtype == np.float32
    assert np.allclose(drawn.mean(0), vectors.mean(0), atol=0.05)
    assert np.allclose(np.cov(drawn.T), np.cov(vectors.T, bias=True), rtol=0.05, atol=0.05)


def test_drawn_codes_lie_on_the_axes():
    fitted = Mixture.fit(flat_heap()[0])
    offsets = fitted.sample(20) - fitted.mean
    assert np.allclose(offsets @ fitted.axes.T @ fitted.axes, offsets, atol=1e-4)


def test_the_same_seed_draws_the_same_codes():
    fitted = Mixture.fit(two_heaps())
    assert np.array_equal(fitted.sample(5, seed=2), fitted.sample(5, seed=2))
    assert not np.array_equal(fitted.sample(5, seed=2), fitted.sample(5, seed=3))


def test_the_parts_grow_with_the_codes_up_to_a_limit():
    rng = np.random.default_rng(0)
    parts = [len(Mixture.fit(rng.normal(size=(count, 1))).weights) for count in (2, 399, 400, 8400)]
    assert parts == [1, 1, 2, MAX_PARTS]


@pytest.mark.parametrize("vectors", [np.zeros((30, 4)), np.ones((2, 3)), np.eye(2)], ids=["zeros", "ones", "two"])
def test_codes_that_hardly_differ_have_a_density_too(vectors):
    fitted = Mixture.fit(vectors)
    assert np.isfinite(fitted.surprise(vectors)).all()
    assert np.allclose(fitted.sample(3), fitted.mean, atol=1.5 * np.ptp(vectors) + 1e-4)
    assert (fitted.surprise(vectors + 10) > fitted.surprise(vectors)).all()
