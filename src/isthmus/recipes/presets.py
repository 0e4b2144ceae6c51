"""The presets: recipes by name, such as `train mnist --recipe features`. docs/experiments.md has what was tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from isthmus.errors import UsageError, lookup, printable
from isthmus.recipes.chapter import CHAPTER
from isthmus.recipes.photographs import CAMERA_IN_GRAY, COLORIZING
from isthmus.recipes.recipe import Recipe
from isthmus.recipes.tasks import TASKS

_OF_PHOTOGRAPHS: dict[str, tuple[str, dict[str, Any]]] = {
    "denoise-gray": ("denoise", {"loss": "l1", "corruption": CAMERA_IN_GRAY}),
    "denoise-color": ("denoise", {"loss": "l1"}),
    "repair": ("repair", {"loss": "psnr"}),
    **{f"upscale-x{factor}": ("upscale", {"loss": "psnr", "factor": factor}) for factor in (2, 3, 4)},
}

PRESETS: dict[str, Recipe] = {
    **{f"chapter-{name}": chapter.recipe for name, chapter in CHAPTER.items()},
    "dense-best": Recipe(model="dense", code=32, hidden=(1024, 512), code_kind="linear", epochs=20, learning_rate=2e-3),
    "conv-best": Recipe(model="conv", code=32, hidden=(16, 32, 64), code_kind="linear", epochs=10, learning_rate=5e-3),
    "vae": Recipe(
        model="dense",
        code=50,
        hidden=(512, 512),
        code_kind="gaussian",
        prepare="binarize",
        epochs=80,
        learning_rate=2e-3,
    ),
    "features": Recipe(
        task="describe",
        model="conv",
        code=256,
        hidden=(16, 32, 64, 128),
        decoder_hidden=(64, 32, 16, 8),
        code_kind="invariant",
        beta=10.0,
        epochs=14,
        batch_size=256,
        learning_rate=2e-3,
    ),
    **{
        name: Recipe(task=task, model="photographic", ema=0.998, warm_up=0.08, learning_rate=1e-3, **more)
        for name, (task, more) in _OF_PHOTOGRAPHS.items()
    },
    "colorize": Recipe(task="colorize", **COLORIZING),
}
"""The book's three; the best codes of 32 and of 128 numbers (a map of 32 x 2 x 2); a VAE with 50; a code to describe with; and
those of the models that ship, by their names."""


REPLACED = {
    "epochs": ("budget",),
    "budget": ("epochs",),
    "noise": ("corruption", "factor"),
    "factor": ("corruption", "noise"),
    "corruption": ("noise", "factor"),
    "task": ("corruption", "noise", "factor"),
    "hidden": ("decoder_hidden",),
}
"""Fields of a preset that a given field replaces, besides itself."""


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a name, or of a JSON file such as `isthmus tune` writes.

    Raises:
        UsageError: If there is no such name or file, or the file holds no recipe.
    """
    if name in TASKS and name not in PRESETS:
        raise UsageError(f"'{name}' is a task, not a recipe. Pass it as `task`.")
    if not name.endswith(".json"):
        return lookup("recipe", name, PRESETS)
    try:
        values = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise UsageError(f"There is no recipe at {printable(name)}: {(error.strerror or str(error)).lower()}.") from None
    except ValueError as error:
        raise UsageError(f"{printable(name)} is no recipe: it is not valid JSON ({error}).") from None
    if not isinstance(values, dict):
        raise UsageError(f"{printable(name)} is no recipe: it is not a JSON object of fields.")
    return Recipe.from_json(values)


def base_fields(name: str, given: set[str]) -> dict[str, Any]:
    """Return the fields of the recipe of that name, without those that are given and those that what is given replaces.

    >>> "epochs" in base_fields("vae", given={"budget"})
    False
    """
    replaced = {*given, *(old for field in given for old in REPLACED.get(field, ()))}
    return {key: value for key, value in find_recipe(name).to_json().items() if key not in replaced}
