"""The models that a server offers, by name; each is read when it is first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isthmus import pretrained
from isthmus.errors import ModelFileError, UsageError, nearest, printable
from isthmus.model import Model, load


class ModelStore:
    """Models by name.

    Args:
        files: Model files, or names of models that ship. They are read now, so that a wrong one is told before anything is served.
        device: Where they compute.
    """

    def __init__(self, files: list[str], device: str = "auto"):
        self.device = device
        self.models: dict[str, Model] = {}
        for file in files:
            name = Path(file).stem
            if name in self.models:
                raise UsageError(f"Two models are called {printable(name)}: rename one of the files.")
            self.models[name] = load(file, device=device)
        self.waiting = {} if files else {name: pretrained.locate(name) for name in pretrained.names()}

    def names(self) -> list[str]:
        """Return the names of all models."""
        return [*self.models, *(name for name in self.waiting if name not in self.models)]

    def get(self, name: str) -> Model:
        """Return a model.

        Raises:
            ModelFileError: If there is none of that name.
        """
        if name not in self.models and name in self.waiting:
            self.models[name] = load(self.waiting[name], device=self.device)
        if name not in self.models:
            raise ModelFileError(f"There is no model {printable(name)}.{nearest(name, self.names())}")
        return self.models[name]

    def add(self, path: Path) -> str:
        """Offer one model more; return its name."""
        self.waiting[path.stem] = path
        self.models.pop(path.stem, None)
        return path.stem

    def describe(self, name: str) -> dict[str, Any]:
        """Return what the page and programs need to know of a model."""
        model = self.get(name)
        recipe, images = model.recipe, model.image_shape
        return {
            "name": name,
            "task": recipe.task,
            "undoes": str(model.corruption),
            "model": recipe.network,
            "channels": images[0],
            "size": None if model.architecture.any_size else list(images[1:]),
            "image_size": list(images[1:]),
            "any_size": model.architecture.any_size,
            "of_photographs": model.trained_on_patches,
            "scale": model.corruption.scale_factor,
            "takes_mask": model.takes_mask,
            "takes_hints": model.takes_hints,
            "codes_are_images": model.decodes_codes,
            "code_shape": list(model.code_shape()),
            "parameters": model.num_parameters,
            "learned_from": model.info.data.get("title", ""),
        }
