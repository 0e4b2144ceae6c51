import math

import pytest
import torch
from torch.distributions import Bernoulli, Laplace, Normal

import isthmus
from isthmus.networks import losses
from isthmus.networks.losses import LOSSES

LIKELIHOODS = {
    "bce": lambda output, beta: Bernoulli(logits=output),
    "mse": lambda output, beta: Normal(output, math.sqrt(beta / 2)),
    "l1": lambda output, beta: Laplace(output, beta),
}


@pytest.mark.parametrize("beta", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("loss", LIKELIHOODS)
def test_nats_are_minus_the_log_likelihood(loss, beta):
    rng = torch.Generator().manual_seed(0)
    output = torch.randn((4, 3, 5, 2), generator=rng)
    clean = torch.rand((4, 3, 5, 2), generator=rng)
    clean = (clean > 0.5).float() if loss == "bce" else clean
    expected = -LIKELIHOODS[loss](output, beta).log_prob(clean).flatten(1).sum(1)
    assert torch.allclose(LOSSES[loss].nats(output, clean, beta), expected, rtol=1e-4)


def test_a_model_of_color_bins_is_read_in_a_process_that_has_not_counted_them(pictures, tmp_path):
    fields = {"model": "photographic", "hidden": (8,), "code": 8, "patch": 16, "epochs": 1, "device": "cpu"}
    isthmus.train(pictures, task="colorize", loss="ab-bins", out=tmp_path / "m.safetensors", **fields)
    losses._bins.cache_clear()
    assert isthmus.load(tmp_path / "m.safetensors").recipe.loss == "ab-bins"
