"""Recipes for photographs: realistic corruptions, and when to use the network for photographs.

The corruptions here are those that the models that ship were trained to undo. Each is one line of text, which anyone can change.

Source: Zhang et al. (2021), BSRGAN, and Zhang et al. (2023), SCUNet, for chains of damage drawn anew for each image.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

from isthmus.networks.registry import NETWORKS, OPTIMIZERS

if TYPE_CHECKING:
    from isthmus.recipes.recipe import Recipe

_ANY_JPEG = "jpeg(({low}, {high}), subsampling='any', shifted={shifted})"

_NOISE = (
    "either({white} * gaussian-noise((0, 0.2157), clip=False), 0.03 * nothing, "
    "{smoothed} * either(0.8 * resize((1.3, 3)), 0.2 * nothing) | camera-noise((1e-4, 3e-2), (2e-4, 2e-2), smoothed=0.85) "
    "| either(0.2 * sharpen, 0.8 * nothing) | either(0.2 * resize((0.5, 1.5)), 0.8 * nothing) "
    "| either(0.65 * jpeg((60, 99), subsampling='any', shifted=0.1), 0.35 * nothing), "
    "{left} * either(0.3 * resize((1.2, 2.5)), 0.7 * nothing) | camera-noise((1e-4, 2e-2), (1e-4, 2e-2), smoothed=0.15) "
    "| either(0.35 * resize((0.5, 1.5)), 0.65 * nothing) "
    "| either(0.65 * jpeg((50, 98), subsampling='any', shifted=0.1), 0.35 * nothing), "
    "{grain} * either(0.35 * film-grain((0.01, 0.12)), 0.35 * film-grain((0.01, 0.12), color=0), 0.3 * gaussian-noise((0, 0.14))) "
    "| either(0.3 * resize((0.5, 1.5)), 0.7 * nothing) "
    "| either(0.75 * jpeg((60, 98), subsampling='any', shifted=0.15), 0.25 * nothing))"
)
"""Noise that is white, of any strength up to 55 of 255; a camera's, which smooths it (on content as soft as a full-size
photograph's) or leaves it to the file's JPEG; grain of film, or white noise, resized and saved since."""

CAMERA = _NOISE.format(white=0.34, smoothed=0.27, left=0.20, grain=0.16)
"""A third is white, half a camera's."""

CAMERA_IN_GRAY = _NOISE.format(white=0.42, smoothed=0.26, left=0.18, grain=0.11)
"""More is white: without color, less tells noise from what is shown."""

JPEG = (
    "either(0.3 * jpeg((5, 95)), 0.05 * nothing, 0.03 * webp((10, 95)), "
    "0.35 * jpeg((15, 85), subsampling='any', shifted=0.3) | resize((0.55, 1.5)) "
    "| either(0.25 * jpeg((50, 98), subsampling='any', shifted=0.3), 0.75 * nothing), "
    "0.27 * jpeg((15, 75), subsampling='any', shifted=0.3) | jpeg((60, 95), subsampling='any', shifted=0.9))"
)
"""Compression: a third as it was written, a little of it WebP; a third resized since; a quarter cropped and saved again."""

SMALL = (
    "either(0.08 * blur((0.2, 0.8)), 0.92 * nothing) | downscale({factor}) | either(0.08 * gaussian-noise((0, 0.03)), "
    "0.92 * nothing) | either(0.38 * nothing, 0.62 * jpeg((60, 96), subsampling='any'))"
)
"""Small pictures, most of them saved as JPEG."""

COLORIZING: dict[str, Any] = {
    "model": "global",
    "loss": "ab-mixed",
    "prepare": "resize((1, 1.6), kernel='triangle')",
    "corruption": "hints | grayscale | fade((0.6, 1), tint=0) | gaussian-noise((0, 0.03))",
    "warm_up": 0.05,
    "ema": 0.999,
    "clip": 2.0,
}
"""How the colorizer that ships was trained: whole pictures, in part cut, faded and noisy, mostly without hints."""

CHOSEN: dict[str, dict[str, Any]] = {
    **{task: {"model": "photographic"} for task in ("denoise", "repair", "upscale", "pairs", "noisy", "inpaint")},
    "colorize": COLORIZING,
}
"""Tasks for which photographs get a network of their own, unless another one is named, and the fields that go with it."""

STARTS = {
    "denoise": "denoise-{kind}",
    "noisy": "denoise-{kind}",
    "pairs": "denoise-{kind}",
    "repair": "repair",
    "colorize": "colorize",
}
"""The model that ships whose weights a training for a task begins with; upscale-x{factor} for upscale."""

LARGE, SMALLEST = 96, 48
"""Short side in pixels from which images are photographs; the same where they have several sizes."""

FINE_TUNING_RATE = 4e-4
"""Peak learning rate of Adam where the weights of a model that ships are the first ones."""


def corruption_for(task: str, factor: int | None) -> str | None:
    """Return what photographs have been through, as text, for a task; None where the task's own corruption is the right one."""
    return {"denoise": CAMERA, "repair": JPEG, "upscale": SMALL.format(factor=factor or 2)}.get(task)


def are_photographs(sizes: Counter[tuple[int, int]]) -> bool:
    """Tell from the sizes (H, W) of images whether they are photographs: large, or of several sizes.

    >>> are_photographs(Counter({(28, 28): 1000})), are_photographs(Counter({(600, 800): 9}))
    (False, True)
    """
    short = sorted(min(size) for size in sizes.elements())
    return bool(short) and short[len(short) // 2] >= (SMALLEST if len(sizes) > 1 else LARGE)


def suited(recipe: Recipe, sizes: Counter[tuple[int, int]]) -> Recipe:
    """Return a recipe with the network that suits images of these sizes, where it names none."""
    shaped = recipe.code or recipe.hidden or recipe.decoder_hidden or recipe.code_kind or recipe.size
    if recipe.model or shaped or recipe.task not in CHOSEN or not are_photographs(sizes):
        return recipe
    defaults = {field.name: field.default for field in dataclasses.fields(recipe)}
    chosen = {name: value for name, value in CHOSEN[recipe.task].items() if getattr(recipe, name) == defaults[name]}
    optimizer = recipe.optimizer or NETWORKS[chosen["model"]].optimizer
    return dataclasses.replace(recipe, **chosen, learning_rate=recipe.learning_rate or FINE_TUNING_RATE * OPTIMIZERS[optimizer])


def start_for(recipe: Recipe, channels: int) -> str | None:
    """Return the name of the model that ships whose weights suit a training, for images of so many channels."""
    if recipe.task == "upscale":
        return f"upscale-x{recipe.factor or 2}" if recipe.corruption is None and recipe.factor in (None, 2, 3, 4) else None
    name = STARTS.get(recipe.task)
    return name.format(kind="gray" if channels == 1 else "color") if name else None
