import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Independent, Laplace, Normal

import isthmus
from isthmus.evaluation.likelihood import importance_weighted_bound
from isthmus.model import Model
from isthmus.training.validation import losses as training_losses

LIKELIHOODS = {
    "bce": lambda output, beta: Bernoulli(logits=output),
    "mse": lambda output, beta: Normal(output, math.sqrt(beta / 2)),
    "l1": lambda output, beta: Laplace(output, beta),
}
IMAGES = {"bce": [[0, 0], [0, 1], [1, 1]], "mse": [[0.1, 0.9], [0.5, 0.4]], "l1": [[0.1, 0.9], [0.5, 0.4]]}

losses = pytest.mark.parametrize("loss", LIKELIHOODS)


def tiny(loss, beta=0.7, seed=1, **fields):
    """Return a model of images of 1 x 2 pixels with a code of one number, its weights random but not small."""
    recipe = isthmus.Recipe(model="dense", code=1, hidden=(5,), code_kind="gaussian", loss=loss, beta=beta, **fields)
    model = Model(recipe, (1, 1, 2), device="cpu")
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=rng))
    return model


def images_for(loss):
    return np.array(IMAGES[loss], np.float32)[:, None, None]


def exact_nats(model, images):
    """Return minus the log-likelihood of each image: the integral over the prior, on a grid."""
    places = torch.linspace(-9, 9, 9001)[:, None]
    with torch.no_grad():
        output = model.network.decode(places, (1, 2))
        likelihood = Independent(LIKELIHOODS[model.recipe.loss](output, model.recipe.beta), 3, validate_args=False)
        joint = likelihood.log_prob(torch.from_numpy(images)[:, None]) + Normal(0.0, 1.0).log_prob(places[:, 0])
    return -(joint.double().logsumexp(1) + math.log(18 / 9000)).numpy()


@losses
def test_many_samples_approach_the_exact_likelihood(loss):
    model, images = tiny(loss), images_for(loss)
    bound = importance_weighted_bound(model, images, 20_000)
    assert bound.bound_nats == pytest.approx(exact_nats(model, images).mean(), abs=0.02)
    assert (bound.images, bound.samples) == (len(images), 20_000)
    assert bound.bits_per_value == pytest.approx(bound.bound_nats / math.log(2) / 2)


@losses
def test_the_bound_tightens_with_samples_and_is_never_looser_than_the_evidence_bound(loss):
    model, image = tiny(loss), images_for(loss)[1:2]
    images = image.repeat(300, 0)  # each with chance of its own
    bounds = [importance_weighted_bound(model, images, samples) for samples in (1, 10, 100)]
    assert bounds[0].bound_nats == pytest.approx(bounds[0].elbo_nats, rel=1e-6)
    assert all(bound.bound_nats <= bound.elbo_nats + 1e-6 for bound in bounds)
    assert bounds[0].bound_nats > bounds[1].bound_nats > bounds[2].bound_nats > exact_nats(model, image)[0] - 0.02
    assert bounds[2].elbo_nats == pytest.approx(bounds[0].elbo_nats, rel=0.1), "more samples do not change the evidence bound"


@losses
def test_the_evidence_bound_is_the_training_loss_but_for_a_factor_and_a_constant(loss):
    beta = 1.0 if loss == "bce" else 0.7
    model, images = tiny(loss, beta), images_for(loss)
    seen = images.repeat(4000, 0)
    loss_nats = 2 * training_losses(model, seen, seen).mean()  # of two values
    constant = {"bce": 0, "mse": math.log(math.pi * beta), "l1": 2 * math.log(2 * beta)}[loss]
    assert importance_weighted_bound(model, images, 4000).elbo_nats == pytest.approx(loss_nats / beta + constant, abs=0.05)


def test_more_samples_than_fit_at_once_are_all_counted():
    model, images = tiny("bce"), images_for("bce")
    few, many = (importance_weighted_bound(model, images, samples) for samples in (500, 1001))
    assert many.bound_nats == pytest.approx(few.bound_nats, abs=0.1)
    assert many.elbo_nats == pytest.approx(few.elbo_nats, abs=0.2)


def test_the_same_seed_gives_the_same_bound():
    model, images = tiny("bce"), images_for("bce")
    first = importance_weighted_bound(model, images, 10, seed=1)
    assert first == importance_weighted_bound(model, images, 10, seed=1)
    assert first != importance_weighted_bound(model, images, 10, seed=2)


def test_whoever_watches_sees_the_share():
    shares = []
    importance_weighted_bound(tiny("bce"), images_for("bce").repeat(10, 0), 1, on_progress=shares.append)
    assert shares == [0, 10 / 30, 20 / 30]


def test_a_point_has_no_bound(dense):
    with pytest.raises(isthmus.UsageError, match=r"this model's is relu\. Train one with `code_kind=gaussian`\."):
        importance_weighted_bound(dense, np.zeros((1, 1, 28, 28), np.float32))


@pytest.mark.parametrize("samples", [0, -3])
def test_a_bound_needs_a_sample(samples):
    with pytest.raises(isthmus.UsageError, match=f"The likelihood bound needs 1 sample or more per image, not {samples}."):
        importance_weighted_bound(tiny("bce"), images_for("bce"), samples)


def test_gray_images_have_no_bound_under_a_model_of_black_and_white():
    with pytest.raises(isthmus.DataError, match="Train with `prepare=binarize`, or pass images of 0 and 1"):
        importance_weighted_bound(tiny("bce"), images_for("mse"))


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_a_likelihood_without_width_has_no_bound(loss):
    with pytest.raises(isthmus.UsageError, match="Train with `beta` above 0"):
        importance_weighted_bound(tiny(loss, beta=0.0), images_for(loss), 10)
    assert math.isfinite(importance_weighted_bound(tiny("bce", beta=0.0), images_for("bce"), 10).bound_nats)
