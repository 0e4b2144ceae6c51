"""The likelihood of images under a VAE: the evidence lower bound, and the importance-weighted bound.

Source: Kingma and Welling (2014) for the bound; Burda, Grosse and Salakhutdinov (2016), equation 8, for the weighted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from isthmus.errors import DataError, UsageError
from isthmus.imaging.arrays import Array
from isthmus.model import Model
from isthmus.networks.bottlenecks import GaussianCode

SAMPLES_AT_ONCE = 500
"""Codes of one image that are decoded together, at most."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Upper bounds of the mean negative log-likelihood of an image; lower is better."""

    samples: int
    """Importance samples for each image."""
    images: int
    """How many images it is the mean over."""
    elbo_nats: float
    """The evidence bound: the mean over the samples."""
    bound_nats: float
    """The importance-weighted bound, in nats for an image."""
    bits_per_value: float
    """The weighted bound in bits for a value of the image; comparable only where the values are black and white."""


def importance_weighted_bound(
    model: Model, images: Array, samples: int = 5000, seed: int = 0, on_progress: Callable[[float], None] | None = None
) -> Bound:
    """Measure the bound of a model with a Gaussian code.

    The likelihood is the one that the loss stands for: Bernoulli for bce; normal with variance beta / 2 for mse, and Laplace
    with scale beta for l1, of which the training's objective is the evidence bound, but for a factor.

    Args:
        model: A model with a Gaussian code.
        images: `(n, C, H, W)` floats, as the recipe's preparation leaves them; for bce, 0 and 1 only.
        samples: Importance samples for each image; the bound gets tighter with them.
        seed: Of the samples.
        on_progress: Called now and then with the share that is done.

    Raises:
        UsageError: If the model's code is a point, its likelihood has no width, or the number of samples is not positive.
        DataError: If the loss is bce and the images are not black and white.
    """
    bottleneck = model.bottleneck
    if not isinstance(bottleneck, GaussianCode):
        raise UsageError(
            f"A likelihood bound needs a Gaussian bottleneck, and this model's is {model.recipe.code_kind}. "
            "Train one with `code_kind=gaussian`."
        )
    if not model.decodes_codes:
        raise UsageError(
            f"A {model.recipe.network} model passes detail around its code: no likelihood bound. Use a conv or dense model."
        )
    if model.loss.log_volume and not model.recipe.beta:
        raise UsageError(
            f"With the loss {model.recipe.loss}, beta is the likelihood's variance, and it is 0. Train with `beta` above 0."
        )
    if samples < 1:
        raise UsageError(f"The likelihood bound needs 1 sample or more per image, not {samples}.")
    if model.recipe.loss == "bce" and not np.isin(images, (0, 1)).all():
        raise DataError(
            "The loss bce is a likelihood for black and white images only, and these are gray. "
            "Train with `prepare=binarize`, or pass images of 0 and 1."
        )
    generator = torch.Generator(model.device).manual_seed(seed)
    means, bounds = [], []
    for image in range(len(images)):
        wanted = torch.from_numpy(images[image : image + 1]).to(model.device)
        mean, log_variance = bottleneck.distribution(model.engine.encode(model.corruption(wanted, generator))[0])
        weights = []
        for start in range(0, samples, SAMPLES_AT_ONCE):
            count = min(SAMPLES_AT_ONCE, samples - start)
            noise = torch.empty((count, *mean.shape[1:]), device=model.device).normal_(generator=generator)
            code = mean + (0.5 * log_variance).exp() * noise
            output = model.engine.output(code, (wanted.shape[-2], wanted.shape[-1]))
            log_likelihood = -model.loss.nats(output, wanted.expand(output.shape), model.recipe.beta)
            log_ratio = 0.5 * (noise.square() - code.square() + log_variance).flatten(1).sum(1)  # log p(z) / q(z | x)
            weights.append((log_likelihood + log_ratio).double())
        log_weights = torch.cat(weights)
        means.append(-log_weights.mean().item())
        bounds.append(math.log(samples) - log_weights.logsumexp(0).item())
        if on_progress and image % 10 == 0:
            on_progress(image / len(images))
    bound = float(np.mean(bounds))
    return Bound(
        samples=samples,
        images=len(images),
        elbo_nats=float(np.mean(means)),
        bound_nats=bound,
        bits_per_value=bound / math.log(2) / images[0].size,
    )
