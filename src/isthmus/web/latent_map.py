"""A model's codes to walk among: where the images that one brings lie, what is between them, and which the model knows least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.datasets import Dataset, hold_out
from isthmus.errors import DataError
from isthmus.evaluation.probe import compare_codes
from isthmus.evaluation.test_data import in_channels_of
from isthmus.imaging.arrays import Array, to_unit
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
        """Lay the codes of images out, of at most `SHOWN`, which are drawn evenly from all classes.

        Raises:
            DataError: If the model's codes are no images, or there are fewer than two images, or they do not fit.
        """
        if not model.decodes_codes:
            raise DataError("This model carries detail around its code: there is no map of codes that are images.")
        dataset = dataset.take(evenly(dataset.labels, len(dataset), SHOWN))
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

    def differences(self, model: Model, index: int) -> Array:
        """Return where an image differs from what the model gives for it, `(1, 1, H, W)` in [0, 1]: the largest error is white."""
        image = in_channels_of(model, self.image(index)[None])
        errors = np.abs(to_unit(image) - to_unit(model.restore(image))).mean(1, keepdims=True)
        return np.asarray(errors / max(float(errors.max()), 1e-6))

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


def evenly(labels: Array | None, count: int, most: int) -> Array:
    """Return the indices of at most so many of some images, in order: as many of each class as there are, else evenly spread."""
    if count <= most:
        return np.arange(count)
    kinds = np.zeros(count, int) if labels is None else np.unique(labels, return_inverse=True)[1]
    rank = np.empty(count)
    for kind in range(kinds.max() + 1):
        (places,) = np.nonzero(kinds == kind)
        rank[places[_spread(len(places))]] = np.arange(len(places))
    return np.sort(np.argsort(rank, kind="stable")[:most])


def _spread(count: int) -> Array:
    """Return the numbers below a count in an order whose every beginning is spread evenly over them."""
    return np.argsort((np.arange(count) * 0.6180339887498949) % 1, kind="stable")
