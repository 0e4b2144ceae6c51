"""A model's codes to walk among: where the images that one brings lie, what is between them, and which the model knows least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.datasets import Dataset, hold_out
from isthmus.errors import DataError
from isthmus.evaluation.probe import compare_codes
from isthmus.evaluation.test_data import in_channels_of
from isthmus.imaging.arrays import Array
from isthmus.latents.explore import Plane, traversals, walk
from isthmus.model import Model

SHOWN = 2000
"""Images on the map, at most."""

WORST = 10


@dataclass(frozen=True, kw_only=True)
class LatentMap:
    """Images, and where their codes lie."""

    dataset: Dataset
    codes: Array
    plane: Plane
    positions: Array
    """`(n, 2)`."""
    errors: Array
    """`(n,)`: the squared difference between an image and what the model gives for it."""

    @classmethod
    def of(cls, model: Model, dataset: Dataset) -> LatentMap:
        """Lay the codes of images out, of the first `SHOWN`.

        Raises:
            DataError: If the model's codes are no images, or there are fewer than two images, or they do not fit.
        """
        if not model.decodes_codes:
            raise DataError("This model carries detail around its code: there is no map of codes that are images.")
        dataset = dataset.take(slice(SHOWN))
        images = in_channels_of(model, dataset.images)
        codes = model.encode(images)
        plane = Plane.of(codes)
        errors = model.novelty_scores(images).get("error", np.zeros(len(images)))
        return cls(dataset=dataset, codes=codes, plane=plane, positions=plane.positions(codes), errors=errors)

    def to_json(self) -> dict[str, Any]:
        """Return the map, and the images that the model gives back worst."""
        worst = np.argsort(-self.errors, kind="stable")[:WORST]
        labels = self.dataset.labels
        return {
            "title": self.dataset.title,
            "points": np.round(self.positions, 4).tolist(),
            "labels": None if labels is None else [str(label) for label in labels],
            "names": None if self.dataset.names is None else list(self.dataset.names),
            "low": self.positions.min(0).tolist(),
            "high": self.positions.max(0).tolist(),
            "worst": [{"index": int(index), "error": float(self.errors[index])} for index in worst],
        }

    def image(self, index: int) -> Array:
        """Return one image, `(C, H, W)`.

        Raises:
            DataError: If there is none of that index.
        """
        if not 0 <= index < len(self.dataset):
            raise DataError(f"There are {len(self.dataset):,} images, from 0: none is number {index}.")
        return np.asarray(self.dataset.images[index])

    def at(self, model: Model, x: float, y: float) -> Array:
        """Return what the model gives for a place on the map, `(C, H, W)` in [0, 1]."""
        return np.asarray(model.decode(self.plane.codes(np.array([[x, y]])), self.dataset.image_shape[1:])[0])

    def between(self, model: Model, start: int, end: int, steps: int) -> Array:
        """Return the way from one image to another, `(steps, C, H, W)`."""
        first, last = (in_channels_of(model, self.image(index)[None]) for index in (start, end))
        return walk(model, first, last, steps)

    def around(self, model: Model, index: int) -> Array:
        """Return what an image becomes along the widest numbers of its code, `(rows * 9, C, H, W)`."""
        return traversals(model, in_channels_of(model, self.image(index)[None]))

    def probe(self, model: Model) -> dict[str, Any]:
        """Return what simple classifiers make of the codes.

        Raises:
            DataError: If there are no labels.
        """
        parts = (hold_out(self.dataset, split) for split in ("train", "test"))
        return compare_codes(model, *parts, classifiers=("logistic", "neighbors")).to_json()
