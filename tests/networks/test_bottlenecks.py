import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from isthmus.networks.bottlenecks import BOTTLENECKS, LOG_VARIANCE_LIMIT, GaussianCode, InvariantCode, PointCode


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def some(*shape, seed=1):
    return torch.randn(shape, generator=rng(seed))


def test_a_rectified_point_has_no_negative_numbers_and_costs_nothing():
    encoded = some(5, 4)
    code, cost = PointCode(rectified=True).draw(encoded, rng())
    assert torch.equal(code, encoded.clamp(min=0))
    assert cost == 0
    assert torch.equal(PointCode(rectified=False).point(encoded), encoded)


def test_a_gaussian_sample_has_the_mean_and_the_variance_that_the_encoder_says():
    mean, log_variance = torch.tensor([0.5, -2.0, 3.0]), torch.tensor([0.0, 1.0, -3.0])
    code, _ = GaussianCode().draw(torch.cat([mean, log_variance]).expand(40_000, -1), rng())
    deviation = (0.5 * log_variance).exp()
    assert torch.allclose(code.mean(0), mean, atol=0.02 * deviation.max().item())
    assert torch.allclose(code.std(0), deviation, rtol=0.02)
    assert torch.corrcoef(code.T).fill_diagonal_(0).abs().max() < 0.02


@pytest.mark.parametrize("size", [(), (3, 2)], ids=str)
def test_a_gaussian_codes_cost_is_its_divergence_from_the_standard_normal(size):
    encoded = 2 * some(6, 8, *size)
    mean, log_variance = encoded.chunk(2, 1)
    divergence = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).flatten(1).sum(1)
    assert torch.allclose(GaussianCode().draw(encoded, rng())[1], divergence, rtol=1e-4)


def test_a_gaussian_code_at_work_is_its_mean():
    encoded = some(6, 8)
    assert torch.equal(GaussianCode().point(encoded), encoded[:, :4])


def test_a_gaussian_code_learns_its_mean_and_its_variance_through_the_sample():
    encoded = some(3, 8).requires_grad_()
    GaussianCode().draw(encoded, rng())[0].square().sum().backward()
    assert encoded.grad is not None
    assert (encoded.grad != 0).all()


def test_a_gaussian_codes_variance_stays_within_its_limits():
    encoded = torch.tensor([[0.0, 0.0, 1000.0, -1000.0]])
    assert GaussianCode().distribution(encoded)[1].tolist() == [[LOG_VARIANCE_LIMIT, -LOG_VARIANCE_LIMIT]]
    assert all(torch.isfinite(part).all() for part in GaussianCode().draw(encoded, rng()))


def test_the_same_generator_gives_the_same_sample():
    encoded = some(3, 8)
    assert torch.equal(GaussianCode().draw(encoded, rng(3))[0], GaussianCode().draw(encoded, rng(3))[0])
    assert not torch.equal(GaussianCode().draw(encoded, rng(3))[0], GaussianCode().draw(encoded, rng(4))[0])


def test_a_gaussian_code_invents_from_the_prior():
    code = GaussianCode().invent((20_000, 2), rng(), lambda: torch.zeros(20_000, 2))
    assert code.mean().abs() < 0.02
    assert code.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("kind", [kind for kind in BOTTLENECKS if kind != "gaussian"])
def test_other_codes_invent_from_what_was_fitted(kind):
    fitted = some(5, 12)
    code = BOTTLENECKS[kind].invent((5, 3, 2, 2), rng(), lambda: fitted)
    expected = fitted.clamp(min=0) if kind == "relu" else fitted
    assert torch.equal(code, expected.reshape(5, 3, 2, 2))


def invariant_cost(first, second):
    return InvariantCode().draw(torch.cat([first, second]), rng())[1].item()


def test_an_invariant_code_is_that_of_the_first_copy():
    encoded = some(10, 4)
    assert torch.equal(InvariantCode().draw(encoded, rng())[0], encoded[:5])


def test_an_invariant_code_pays_for_the_distance_between_its_copies():
    code = some(50, 4)
    equal = invariant_cost(code, code)
    for distance in (0.1, 0.5):  # a shift of all codes changes neither their spread nor their correlation
        assert invariant_cost(code, code + distance) - equal == pytest.approx(25 * distance**2, rel=1e-3)


def test_an_invariant_code_pays_for_collapse_and_not_for_spread():
    assert invariant_cost(torch.ones(50, 4), torch.ones(50, 4)) == pytest.approx(25 * (1 - 0.01), rel=1e-4)
    spread = torch.from_numpy(np.linalg.qr(some(50, 5).numpy() - some(50, 5).numpy().mean(0))[0]).float()
    spread = 8 * (spread - spread.mean(0))  # deviations above 1, nearly uncorrelated
    assert invariant_cost(spread, spread) < 0.2 * invariant_cost(0.1 * spread, 0.1 * spread)


def test_an_invariant_code_pays_for_saying_the_same_twice():
    number = some(50, 1)
    number = 2 * (number - number.mean()) / number.std(correction=0)
    variance = number.var().item()
    twice = number.expand(-1, 2)
    assert invariant_cost(number, number) == pytest.approx(0, abs=1e-4)
    assert invariant_cost(twice, twice) == pytest.approx(variance**2, rel=1e-4)  # 0.5 x (2 covariances squared / 2) x 2 copies


def test_an_invariant_codes_cost_is_that_of_the_paper():
    first, second = 0.7 * some(20, 3, seed=1), 1.2 * some(20, 3, seed=2)
    spreads, correlations = [], []
    for code in (first.double().numpy(), second.double().numpy()):
        spreads.append(np.maximum(0, 1 - np.sqrt(code.var(0) + 1e-4)).mean())
        covariance = np.cov(code.T)
        correlations.append((covariance[~np.eye(3, dtype=bool)] ** 2).sum() / 3)
    distance = (first - second).square().mean().item()
    expected = 25 * distance + 25 * sum(spreads) / 2 + sum(correlations) / 2
    assert invariant_cost(first, second) == pytest.approx(expected, rel=1e-4)


def test_an_invariant_code_takes_a_single_image_and_a_map():
    assert np.isfinite(invariant_cost(some(1, 4), some(1, 4)))
    assert InvariantCode().draw(some(6, 2, 3, 3), rng())[0].shape == (3, 2, 3, 3)
