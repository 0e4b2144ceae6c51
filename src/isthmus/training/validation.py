"""The training loss on held-out images."""

from __future__ import annotations

import numpy as np
import torch

from isthmus.imaging.arrays import Array
from isthmus.model import Model


def losses(model: Model, inputs: Array, clean: Array, seed: int = 0) -> Array:
    """Return the training loss of each image `(n,)`: the error of the network's own output, and its code's cost.

    Args:
        model: The model.
        inputs: `(n, C', H, W)`, the network's inputs.
        clean: `(n, C, H, W)` floats in [0, 1].
        seed: Random seed of the code, where it is a distribution.
    """
    parts = []
    generator = torch.Generator(model.device).manual_seed(seed)
    for chosen, batch in model.engine.chunks(inputs):
        copies = batch.repeat(model.bottleneck.views, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        with model.engine.at_inference():
            output, divergence = model.network.training_pass(copies, generator)
        errors = model.loss(output, torch.from_numpy(clean[chosen]).to(model.device), reduction="none").flatten(1)
        parts.append((errors.mean(1) + model.recipe.beta * divergence / errors.shape[1]).cpu().numpy())
    return np.concatenate(parts)
