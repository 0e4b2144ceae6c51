import math

import pytest
import torch
from torch.distributions import Bernoulli, Laplace, Normal

import isthmus
from isthmus.errors import UsageError
from isthmus.networks import losses
from isthmus.networks.losses import LOSSES

LIKELIHOODS = {
    "bce": lambda output, beta: Bernoulli(logits=output),
    "mse": lambda output, beta: Normal(output, math.sqrt(beta / 2)),
    "l1": lambda output, beta: Laplace(output, beta),
}


@pytest.mark.parametrize("beta", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.likelihood and not loss.needs_seen])
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


def test_psnr_counts_each_image_by_its_ratio():
    clean = torch.zeros(2, 1, 4, 4)
    output = clean + torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    each = LOSSES["psnr"](output, clean, reduction="none")
    assert torch.allclose(each.flatten(), torch.tensor([1e-2 + 1e-4, 1e-4 + 1e-4]).log10())
    assert LOSSES["psnr"](output, clean) == pytest.approx(each.mean().item())


def test_psnr_gives_no_likelihood():
    with pytest.raises(UsageError, match="The loss psnr is no distribution"):
        LOSSES["psnr"].nats(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), 1.0)


def test_a_value_has_the_same_image_wherever_it_stands():
    logits = torch.linspace(-200, 200, 1003).repeat(40)[torch.randperm(40_120, generator=torch.Generator().manual_seed(1))]
    whole = LOSSES["bce"].image(logits)
    torch.testing.assert_close(whole, logits.double().sigmoid().float(), rtol=1e-6, atol=1e-12)
    for length in (1, 15, 33, 1000):
        parts = torch.cat([LOSSES["bce"].image(part) for part in logits.split(length)])
        assert torch.equal(parts, whole), length
