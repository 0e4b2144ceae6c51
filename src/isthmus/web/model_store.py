"""The models that a server offers, by name; each is read when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import pretrained
from isthmus.errors import ModelFileError, UsageError, nearest, printable
from isthmus.imaging.picture import Picture
from isthmus.improve import CROP_SIDE, Improver
from isthmus.model import Model, load

IMPROVE = "improve"
"""What finds out by itself what a picture needs; it is no model, and stands beside those that ship."""

FIRST = (IMPROVE, "denoise", "repair")
"""What restores a picture where a request names no model."""

DIGITS = Path(__file__).parent / "samples" / "digits.safetensors"
"""A small autoencoder of digits, so that there is always one to look inside."""


class ModelStore:
    """Models by name. A name may stand for several, of which each picture gets the one of its channels.

    Args:
        files: Model files, or names of models that ship. They are read now, so that a wrong one is told before anything is served.
        device: Where they compute.
    """

    def __init__(self, files: list[str], device: str = "auto"):
        self.device = device
        self.models: dict[str, Model] = {}
        self.groups: Mapping[str, tuple[str, ...]] = {}
        self.own: set[str] = set()
        """Names of the models that do not ship."""
        self.improvers: dict[bool, Improver] = {}
        self.reading = threading.Lock()
        for file in files:
            name = Path(file).stem
            if name in self.models:
                raise UsageError(f"Two models are called {printable(name)}: rename one of the files.")
            self.models[name] = load(file, device=device)
            if Path(file).exists():
                self.own.add(name)
        self.waiting = {"digits": DIGITS}
        if not files:
            self.groups = pretrained.GROUPS
            self.waiting |= {name: pretrained.locate(name) for name in pretrained.names()}

    def names(self) -> list[str]:
        """Return the names of all models; a group stands for those in it."""
        inside = {name for group in self.groups.values() for name in group}
        first = (IMPROVE,) if self.groups else ()
        return [name for name in dict.fromkeys((*first, *self.groups, *self.models, *self.waiting)) if name not in inside]

    def warm_up(self) -> None:
        """Load what the page asks for first, so that nobody waits for it: the models that ship, and what improves pictures."""
        if IMPROVE in self.names():
            self.improver().find(Picture(pixels=np.zeros((CROP_SIDE, CROP_SIDE, 3), np.uint8)))
            for name in self.names():
                self.describe(name)

    def improver(self, *, self_ensemble: bool = False) -> Improver:
        """Return what improves pictures."""
        with self.reading:
            if self_ensemble not in self.improvers:
                self.improvers[self_ensemble] = Improver(self_ensemble=self_ensemble, device=self.device)
        return self.improvers[self_ensemble]

    def get(self, name: str) -> Model:
        """Return a model; of a group, the one that takes any picture.

        Raises:
            ModelFileError: If there is none of that name.
        """
        return self.all_of(name)[-1]

    def all_of(self, name: str) -> list[Model]:
        """Return the models that a name stands for.

        Raises:
            ModelFileError: If there is none of that name.
        """
        if name in self.groups and name not in self.models:
            return [self._read(one) for one in self.groups[name]]
        return [self._read(name)]

    def usual(self) -> str:
        """Return the name of what restores a picture where a request names no model; "" if that is not clear."""
        known = [name for name in self.names() if name != "digits"]
        return next((name for name in FIRST if name in known), known[0] if len(known) == 1 else "")

    def default(self) -> str:
        """Return the name of what restores a picture where a request names no model.

        Raises:
            UsageError: If there are several, and none comes first.
        """
        name = self.usual()
        if not name:
            raise UsageError(f"The field model is missing. There are {', '.join(self.names())}.")
        return name

    def add(self, path: Path) -> str:
        """Offer one model more; return its name."""
        self.waiting[path.stem] = path
        self.models.pop(path.stem, None)
        self.own.add(path.stem)
        return path.stem

    def remove(self, name: str) -> None:
        """Offer a model no longer."""
        for names in (self.waiting, self.models):
            names.pop(name, None)
        self.own.discard(name)

    def describe(self, name: str) -> dict[str, Any]:
        """Return what the page and programs need to know of a model."""
        if name == IMPROVE:
            return {
                **self.describe("denoise"),
                "name": name,
                "task": name,
                "undoes": "noise and JPEG artifacts, as far as they are found",
            }
        model = self.get(name)
        recipe, images = model.recipe, model.image_shape
        return {
            "name": name,
            "own": name in self.own,
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

    def _read(self, name: str) -> Model:
        with self.reading:
            if name not in self.models and name in self.waiting:
                self.models[name] = load(self.waiting[name], device=self.device)
        if name not in self.models:
            raise ModelFileError(f"There is no model {printable(name)}.{nearest(name, self.names())}")
        return self.models[name]
