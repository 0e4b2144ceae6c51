"""Anomalies: scores of how unlike the training set images are, and their p-values among held-out images.

Two scores are those of `Model.compare`: the error of what the model gives back, and the surprise of the code. An autoencoder may
give back well what it has never seen, if it is simple enough; a code may lie among the others although the image is strange. The
third is the surprise, or the error where that is far beyond the usual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.datasets import MAX_BAD, SPLITS, Data, Dataset, open_data
from isthmus.errors import DataError, lookup, printable
from isthmus.imaging.arrays import Array
from isthmus.model import Model

SCORES = {
    "either": "how unusual the surprise is, or the error where it is beyond what 1 % of held-out images exceed",
    "surprise": "how unlikely the image's code is, in nats, under the density of the training images' codes",
    "error": "the mean squared difference between the image and what the model gives for it",
}


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """How strange each image is."""

    data: str
    """What images."""
    score: str
    """A name in `SCORES`."""
    scores: Array
    """`(n,)`, in the order of the data; higher is stranger."""
    p_values: Array
    """`(n,)`: the share of images like the training's, held out of it, that are as strange or stranger, in (0, 1]."""
    names: tuple[str, ...] | None
    """The files' names, where there are files."""
    held_out: int
    """Images that the p-values rest on."""
    nothing_held_out: bool
    """Whether the model has learned from those, as there were too few to keep some apart: p-values are too low then."""
    dataset: Dataset
    """The images."""

    @property
    def strangest(self) -> Array:
        """Indices of the images, strangest first."""
        return np.argsort(-self.scores, kind="stable")

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold; `strangest` is the 100 strangest, `strange` the number of p-values up to 0.01."""
        fields = {key: value for key, value in vars(self).items() if key != "dataset"}
        skipped = [printable(skipped.reason) for skipped in self.dataset.skipped]
        arrays = {"scores": self.scores.tolist(), "p_values": self.p_values.tolist(), "strangest": self.strangest[:100].tolist()}
        names = None if self.names is None else [printable(name) for name in self.names]
        strange = int(np.sum(self.p_values <= 0.01))
        return {**fields, **arrays, "strange": strange, "names": names, "images": len(self.scores), "skipped": skipped}


def novelty(
    model: Model,
    data: Data,
    *,
    score: str | None = None,
    split: str = "all",
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
) -> Novelty:
    """Score how unlike a model's training set images are.

    Args:
        model: A model trained on the usual images.
        data: Images as the model gets them at inference, as `open_data` takes them.
        score: "either", "surprise" or "error"; by default, "either" if the model has a density of codes of this size, else "error".
        split: "train", "test" or "all".
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's images that may be unreadable.

    Raises:
        UsageError: If the score or the split is unknown.
        DataError: If the data does not fit the model, or the model has no novelty statistics.
    """
    lookup("split", split, dict.fromkeys(SPLITS))
    source = open_data(data, data_dir, max_bad=max_bad)
    dataset = source.read(split, None if model.architecture.any_size else model.image_shape[1:])
    found = model.novelty_scores(dataset.images)
    score, usual = choose_score(model, found, score)
    return Novelty(
        data=f"{dataset.title} ({split}, {len(dataset):,} images)",
        score=score,
        scores=found[score],
        p_values=p_values(usual, found[score]),
        names=dataset.names,
        held_out=len(usual),
        nothing_held_out=model.info.nothing_held_out,
        dataset=dataset,
    )


def choose_score(model: Model, found: Iterable[str], score: str | None = None) -> tuple[str, Array]:
    """Return a score's name, and the scores of the held-out images, ascending.

    Args:
        model: The model.
        found: The scores that it gives for the images.
        score: The wanted one; by default, the first in `SCORES`.

    Raises:
        UsageError: If it is unknown.
        DataError: If the model has none for the images.
    """
    if score:
        lookup("score", score, SCORES)
    held_out = model.statistics.held_out() if model.statistics else {}
    known = [name for name in SCORES if name in set(found) and name in held_out]
    score = score or (known[0] if known else "error")
    if score not in known:
        raise DataError(
            f"This model has no {score} score for these images: it is untrained, or was trained on images of another size. "
            f"Scores it has: {', '.join(known) or 'none'}."
        )
    return score, held_out[score]


def p_values(usual: Array, scores: Array) -> Array:
    """Return the share of held-out images whose scores, ascending, are as high or higher, in (0, 1]."""
    stranger = len(usual) - np.searchsorted(usual, scores.astype(np.float32), side="left")
    shares: Array = (stranger + 1) / (len(usual) + 1)
    return shares
