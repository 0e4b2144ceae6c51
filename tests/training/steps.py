"""A few steps of several recipes in 64 bits, as one of several processes; tests/training/test_processes.py sets the capitals.

All but the loss is in 64 bits, where rounding is too small for Adam to make anything of it, so what differs is a fault. The recipes
ask for float32, so that no processor's bfloat16 comes in between.
"""

import os

os.environ.update(ENVIRONMENT)  # noqa: F821

from dataclasses import replace

import numpy as np
import torch

from isthmus.datasets import open_data, training_data
from isthmus.datasets.catalog import embedded
from isthmus.recipes import Recipe
from isthmus.training.trainer import Trainer

RECIPES = {
    "dense": Recipe(model="dense", batch_size=10, learning_rate=0.01),
    "conv, noise, mean over time": Recipe(
        model="conv", task="denoise", noise=0.3, hidden=(4, 4), batch_size=7, ema=0.9, optimizer="muon"
    ),
    "gaussian code, clipped": Recipe(model="dense", code_kind="gaussian", beta=1.0, clip=0.01, batch_size=9),
    "photographic": Recipe(model="photographic", task="repair", corruption="jpeg((10, 80))", hidden=(8,), code=8, batch_size=7),
    "global": Recipe(model="global", task="colorize", hidden=(4, 6, 8), code=6, batch_size=10),
}

torch.set_num_threads(1)
digits = embedded("mnist-5k")[0][:23, ::2, ::2]
colors = digits[:, None].repeat(3, 1) // np.array([1, 2, 3], np.uint8)[:, None, None]
weights = {}
for name, plain in RECIPES.items():
    recipe = replace(plain, precision="float32")
    torch.set_default_dtype(torch.float32 if recipe.code_kind == "gaussian" else torch.float64)  # which has 32 bits in any case
    learned, held_out = training_data(open_data(colors if recipe.task == "colorize" else digits), None, 0, 10)
    trainer = Trainer(recipe, learned, held_out, device="cpu")  # of 21 images: the last batches hold 1, 7, 3, 7 and 1
    for _ in range(2 * trainer.steps_per_epoch):
        trainer.step()
        trainer.state.position %= trainer.steps_per_epoch
    weights |= {f"{name}: {key}": value for key, value in trainer.model.network.state_dict().items()}
    weights[f"{name}: loss"] = trainer.processes.mean(trainer.loss_sum)
    with trainer.processes.together():
        pass
torch.save(weights, OUT)  # noqa: F821
