"""The scorecard: how good a model is, always beside what a person would use instead.

For a code, the alternative is principal components with as many numbers; for a damage, what well-kept libraries offer against it
(`alternatives.py`). All are measured on the same images, and the filters are told the noise's true strength.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.alternatives import FILTERS, Restore, alternatives
from isthmus.bounds import Bound, importance_weighted_bound
from isthmus.compression import RATE_NOTES, RatePoint, rate_distortion
from isthmus.datasets import MAX_BAD, SPLITS, Dataset, Pairs, Patches, Skipped, Source, open_pairs, read_patches, train_and_test
from isthmus.errors import look_up, printable
from isthmus.examples import Example
from isthmus.images import Array, to_unit
from isthmus.metrics import METRICS
from isthmus.restoring import Model

SLOW_IMAGES = 1000
"""Metrics that take a millisecond an image are measured on at most as many."""

SLOW_METRICS = ("ssim", "ciede2000")

ALL = slice(None)

SEED = 1
"""Of the noise that a scorecard adds, so that every model is measured on the same."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One method's row."""

    method: str
    """What was used."""
    numbers: int | None
    """Numbers in its code of one image, where it has one."""
    images: int
    """How many images it was measured on."""
    bce: float
    """Mean binary cross-entropy, nats per value."""
    mse: float
    """Mean squared error, range [0, 1]."""
    psnr_db: float
    """Mean of the images' peak signal-to-noise ratios, in dB."""
    ssim: float
    """Mean structural similarity, on the first images only; NaN where images are too small."""
    ciede2000: float
    """Mean difference in colour, 1 being just noticeable, on the first images only; NaN for gray images."""
    colorfulness: float
    """Mean colourfulness, as a share of the clean images'; NaN for gray images."""
    milliseconds: float
    """Time for one image, in this run, on this machine."""


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """A model and its alternatives, measured on the same images."""

    data: str
    """What images, and which of them."""
    task: str
    """What had been done to them."""
    loss: float
    """The model's own training loss on them, exact, from its raw output."""
    scores: tuple[Score, ...]
    """The model first."""
    notes: tuple[str, ...] = ()
    """What a reader must know to be fair."""
    bound: Bound | None = None
    """How likely the model finds the images, where its code is a distribution and the bound was asked for."""
    rates: tuple[RatePoint, ...] = ()
    """Bytes and loss of the model and its alternatives as compressors, where that was asked for."""
    skipped: tuple[str, ...] = ()
    """The files that could not be read."""

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold: NaN becomes null."""
        rows = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(s).items()} for s in self.scores
        ]
        lists = {"notes": list(self.notes), "rates": [asdict(point) for point in self.rates], "skipped": list(self.skipped)}
        return {**asdict(self), "scores": rows, **lists}


def evaluate(
    model: Model,
    data: str | Path | Array,
    *,
    clean: str | Path | Array = "",
    split: str | None = None,
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    seed: int = SEED,
    bound_samples: int = 0,
    rates: bool = False,
) -> Scorecard:
    """Measure a model and what one would use instead.

    Args:
        model: What to measure.
        data: The images, clean; as `isthmus.datasets.open_data` takes them.
        clean: The clean images, where `data` is your own damaged ones: with the same names, or in the same order.
        split: "train", "test" or "all". Without it: the test set if the data has one; the held-out tenth if the model was
            trained on the rest; else all.
        data_dir: A folder that may hold the named data sets.
        max_bad: Share of a folder's pictures that may be unreadable.
        seed: Of the corruption.
        bound_samples: Importance samples for each image of the bound on its likelihood, which only a Gaussian code has; 0 for none.
        rates: Also compress the clean images, by the model and by PCA, JPEG and WebP.

    Returns:
        The scorecard; its first row is the model.

    Raises:
        DataError: If the data cannot be read or does not fit the model.
    """
    if split:
        look_up("split", split, dict.fromkeys(SPLITS))
    source = open_pairs(data, clean, Path(data_dir) if data_dir is not None else None, max_bad=max_bad)
    chosen = _choose(model, source, split)
    notes = []
    make = _pair if isinstance(source, Pairs) else model.example
    learnt = None if chosen.learnt is None else make(chosen.learnt, seed).clean
    if chosen.learnt is chosen.images[0]:
        notes.append("PCA was fitted on the very images that it is measured on, which flatters it.")
    example = make(chosen.images[0], seed)
    numbers = math.prod(model.code_shape(example.clean.shape[2:]))
    methods = [Method(f"isthmus {model.recipe.model}", numbers, None, lambda example: model.restore_seen(example.seen))]
    if learnt is not None:
        methods.append(_principal_components(learnt, numbers))
    if np.array_equal(example.seen, example.clean):
        if learnt is not None:
            mean = learnt.mean(0)
            methods.append(Method("mean image", 0, None, lambda example: np.broadcast_to(mean, example.clean.shape)))
    else:
        filters = alternatives(model.corruption)
        methods += [Method(other.name, None, other.images, partial(_each, other.restore)) for other in filters]
        as_it_is = "bicubic" if model.corruption.enlarges > 1 else "as it is"
        methods.append(Method(as_it_is, None, None, lambda example: model.as_it_is(example.seen)))
        if any(other.name in FILTERS for other in filters):
            notes.append(f"The filters were told the true strength of the noise ({example.strength:.3f}).")
    tallies = [_Tally(method) for method in methods]
    losses = []
    for place, images in enumerate(chosen.images):
        example = make(images, seed + place)
        losses.append(model.losses(example.seen, example.clean))
        for tally in tallies:
            tally.add(example)
    first = make(chosen.images[0], seed).clean
    points = tuple(rate_distortion(model, first if learnt is None else learnt, first)) if rates else ()
    notes += RATE_NOTES if rates else ()
    return Scorecard(
        data=chosen.title,
        task=model.recipe.corruption,
        loss=float(np.concatenate(losses).mean()),
        scores=tuple(tally.score() for tally in tallies),
        notes=tuple(notes),
        bound=importance_weighted_bound(model, first, bound_samples, seed) if bound_samples else None,
        rates=points,
        skipped=tuple(printable(skipped.reason) for skipped in chosen.skipped),
    )


def _pair(images: Array, seed: int) -> Example:
    """Return pairs as what they are: there is no chance in it."""
    damaged, clean = np.split(to_unit(images), 2, 1)
    return Example(clean, damaged, damaged)


@dataclass(frozen=True)
class _Chosen:
    """The images to measure on."""

    images: Sequence[Array]
    """`(n, C, H, W)` each: all of one size, or pictures one by one."""
    title: str
    skipped: tuple[Skipped, ...]
    learnt: Array | None
    """The images that PCA is fitted on; None where they are of many sizes, or too large for it."""


def _choose(model: Model, source: Source, split: str | None) -> _Chosen:
    patch = model.recipe.patch
    if patch and any(max(shape) > patch for shape in source.sizes()):
        return _choose_pictures(model, source, split, patch)
    size = model.recipe.size or (None if model.architecture.any_size else model.image_shape[1:])
    train, test = train_and_test(source, size)
    split = split or _own_split(model, source, train)
    dataset = {"train": train, "test": test}.get(split) or source.read("all", train.image_shape[1:])
    learnt = None if model.architecture.carries_detail else train.images if split == "test" else dataset.images
    return _Chosen([dataset.images], f"{dataset.title} ({split}, {len(dataset):,} images)", dataset.skipped, learnt)


def _choose_pictures(model: Model, source: Source, split: str | None, patch: int) -> _Chosen:
    """Take pictures in their own sizes, as a model that has learnt from squares of them is used."""
    train, test = read_patches(source, patch)
    split = split or _own_split(model, source, train)
    pictures = {"train": train.pictures, "test": test.pictures}.get(split) or (*train.pictures, *test.pictures)
    return _Chosen(
        [picture[None] for picture in pictures], f"{train.title} ({split}, {len(pictures):,} images)", train.skipped, None
    )


def _own_split(model: Model, source: Source, train: Dataset | Patches) -> str:
    """Return "test" if there are images that the model has not seen, or "all" if it has seen none of them."""
    trained_on_the_rest = train.fingerprint()["sha256"] == model.about.get("data", {}).get("sha256")
    return "test" if source.has_test or trained_on_the_rest else "all"


@dataclass(frozen=True)
class Method:
    """A way to restore images."""

    name: str
    numbers: int | None
    most: int | None
    """How many images it is measured on, at most; None for all."""
    restore: Callable[[Example], Array]
    """To `(n, C, H, W)`."""


class _Tally:
    """Adds up what a method reaches, image after image."""

    def __init__(self, method: Method):
        self.method = method
        self.values: dict[str, list[Array]] = {name: [] for name in METRICS}
        self.images, self.seconds = 0, 0.0

    def add(self, example: Example) -> None:
        """Measure a method on an example, or on as much of it as it may have."""
        left = len(example.clean) if self.method.most is None else self.method.most - self.images
        if left <= 0:
            return
        part = example.first(left)
        began = time.perf_counter()
        restored = np.clip(self.method.restore(part), 0, 1)
        self.seconds += time.perf_counter() - began
        few = slice(max(0, SLOW_IMAGES - self.images))
        self.images += len(restored)
        for name, metric in METRICS.items():
            chosen = few if name in SLOW_METRICS else ALL
            self.values[name].append(metric(restored[chosen], part.clean[chosen]))

    def score(self) -> Score:
        """Return the row."""
        means = {name: float(np.mean(np.concatenate(values))) for name, values in self.values.items()}
        method = self.method
        return Score(
            method=method.name, numbers=method.numbers, images=self.images, milliseconds=1000 * self.seconds / self.images, **means
        )


def _principal_components(learnt: Array, numbers: int) -> Method:
    from sklearn.decomposition import PCA

    table = learnt.reshape(len(learnt), -1)
    numbers = min(numbers, *table.shape)
    with np.errstate(invalid="ignore"):  # its shares of the variance, where all images are the same
        pca = PCA(numbers, random_state=0).fit(table)

    def project(example: Example) -> Array:
        batch = example.seen
        restored: Array = pca.inverse_transform(pca.transform(batch.reshape(len(batch), -1))).reshape(batch.shape)
        return restored

    return Method(f"PCA {numbers}", numbers, None, project)


def _each(restore: Restore, example: Example) -> Array:
    triples = zip(example.damaged, example.seen, example.clean, strict=True)
    return np.stack([restore(damaged, seen, example.strength).reshape(clean.shape) for damaged, seen, clean in triples])
