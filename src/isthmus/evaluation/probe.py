"""The probe: simple classifiers that see only the latent code, compared with pixels and PCA.

Labels are used here and nowhere else: to fit the classifiers, after all learning of the autoencoder is done.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.datasets import MAX_BAD, Arrays, Data, Dataset, open_data, train_and_test
from isthmus.errors import DataError, lookup, printable
from isthmus.evaluation.test_data import corruptions_at_work, example_of, in_channels_of, restore_sample, size_for, takes_clean
from isthmus.imaging.arrays import Array, to_unit
from isthmus.model import Model

CLASSIFIERS = ("logistic", "neighbors", "forest")
"""Logistic regression, 5 nearest neighbors, and a random forest of 100 trees."""

NEIGHBOURS = 5

MAX_NUMBERS = 1 << 28
"""Numbers in all codes, at most: with their copies, a few gigabytes."""

SEED = 1
"""Of the noise, as in a scorecard."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to describe images, and how well the classifiers do with it."""

    trained_on: str
    """What the classifiers learned from: "pixels", "PCA 32", "code"."""
    tested_on: str
    """What they were given then: the same of clean test images, or of noisy or restored ones."""
    numbers: int
    """Numbers that describe an image."""
    accuracy: dict[str, float]
    """Share of the test images that each classifier names rightly, in [0, 1]."""
    seconds: float
    """Time to fit and test the classifiers, on this machine."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The rows, and what they were measured on."""

    data: str
    """What images, how many to fit and how many to test."""
    rows: tuple[Row, ...]
    skipped: tuple[str, ...] = ()
    """The files that could not be read."""

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "skipped": list(self.skipped)}


def probe(
    model: Model,
    data: Data,
    labels: Array | None = None,
    *,
    classifiers: Sequence[str] = CLASSIFIERS[:2],
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    seed: int = SEED,
) -> Probe:
    """Compare simple classifiers on a model's latent codes with those on pixels, and on PCA of the same size.

    For a model that restores (`denoise`), classifiers trained on clean pixels are also tested on the degraded test images and
    on the restored ones. Its codes are those of clean images, or of degraded ones if degrading changes the size or the channels.

    Args:
        model: The model whose codes are probed.
        data: Clean images with labels, as `open_data` takes them; without a test set, every tenth is one.
        labels: `(n,)`, if the data is an array.
        classifiers: Names in `CLASSIFIERS`.
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's images that may be unreadable.
        seed: Random seed of the corruption.

    Raises:
        UsageError: If a classifier is unknown.
        DataError: If there are too few images, no labels, fewer than two classes, or labels that are no classes.
    """
    source = open_data(data, data_dir, max_bad=max_bad)
    if labels is not None and isinstance(source, Arrays):
        source = replace(source, arrays={**source.arrays, "labels": np.asarray(labels)})
    return compare_codes(
        model,
        *train_and_test(source, size_for(model)),
        classifiers=classifiers,
        seed=seed,
    )


def compare_codes(
    model: Model, train: Dataset, test: Dataset, *, classifiers: Sequence[str] = CLASSIFIERS[:2], seed: int = SEED
) -> Probe:
    """Do what `probe` does, for images in memory: fit the classifiers on `train`, and test them on `test`."""
    for classifier in classifiers:
        lookup("classifier", classifier, dict.fromkeys(CLASSIFIERS))
    known = _labels(train, test)
    pixels = [in_channels_of(model, to_unit(part.images)) for part in (train, test)]
    _check_size(model, train, test)
    codes = [_flat(model.encode(part if takes_clean(model) else model.degradation.at_inference(part, seed))) for part in pixels]
    components = _principal_components(_flat(pixels[0]), _flat(pixels[1]), codes[0].shape[1])
    rows = []
    for name, (learned, given) in {
        "pixels": (_flat(pixels[0]), _flat(pixels[1])),
        f"PCA {components[0].shape[1]}": components,
        "code": (codes[0], codes[1]),
    }.items():
        tests = {name: given}
        if name == "pixels" and corruptions_at_work(model):
            example = example_of(model, pixels[1], seed)
            tests |= {"damaged pixels": _flat(example.degraded_as_image), "restored pixels": _flat(restore_sample(model, example))}
        rows += _classify(name, learned, tests, known, classifiers)
    described = f"{train.title}: {len(train):,} images to fit, {len(test):,} to test"
    skipped = tuple(printable(skipped.reason) for skipped in train.skipped)
    return Probe(data=described, rows=tuple(rows), skipped=skipped)


def _classify(
    name: str, learned: Array, tests: dict[str, Array], labels: tuple[Array, Array], classifiers: Sequence[str]
) -> list[Row]:
    """Fit every classifier once, and return a row for each thing it is tested on."""
    accuracy: dict[str, dict[str, float]] = {tested_on: {} for tested_on in tests}
    seconds = dict.fromkeys(tests, 0.0)
    for classifier in classifiers:
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # 300 rounds are enough for a comparison; classes may be many
            fitted = _build(classifier).fit(learned, labels[0])
        fit_seconds = time.perf_counter() - began
        for tested_on, given in tests.items():
            began = time.perf_counter()
            accuracy[tested_on][classifier] = float(np.mean(fitted.predict(given) == labels[1]))
            seconds[tested_on] += fit_seconds + time.perf_counter() - began
    return [
        Row(
            trained_on=name,
            tested_on=tested_on,
            numbers=learned.shape[1],
            accuracy=accuracy[tested_on],
            seconds=round(seconds[tested_on], 3),
        )
        for tested_on in tests
    ]


def _build(classifier: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if classifier == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    if classifier == "neighbors":
        return KNeighborsClassifier(NEIGHBOURS)
    return RandomForestClassifier(100, n_jobs=-1, random_state=0)


def _principal_components(train: Array, test: Array, numbers: int) -> tuple[Array, Array]:
    from sklearn.decomposition import PCA

    pca = PCA(min(numbers, *train.shape), random_state=0).fit(train)
    return pca.transform(train), pca.transform(test)


def _labels(train: Dataset, test: Dataset) -> tuple[Array, Array]:
    if train.labels is None or test.labels is None:
        raise DataError(
            f"{train.title} has no labels, and a probe needs them. Pass an .npz with images and labels, IDX files with their "
            "label files beside them, a folder with a subfolder per class, or a dataset's name."
        )
    if train.labels.dtype.kind == "f" and (train.labels % 1).any():
        value = train.labels[train.labels % 1 != 0][0]
        raise DataError(f"The labels of {train.title} are no classes, but numbers such as {value:.4g}. Pass integers or names.")
    if len(train) < NEIGHBOURS:
        raise DataError(f"{train.title}: {len(train)} images are too few to fit classifiers. Pass {NEIGHBOURS} or more.")
    if len(np.unique(train.labels)) < 2:
        raise DataError(f"All images of {train.title} have the same label ({train.labels[0]}): there is nothing to classify.")
    return train.labels, test.labels


def _check_size(model: Model, train: Dataset, test: Dataset) -> None:
    numbers = math.prod(model.code_shape(train.image_shape[1:]))
    if numbers * (len(train) + len(test)) > MAX_NUMBERS:
        raise DataError(
            f"The codes of {len(train) + len(test):,} images of {train.title} have {numbers:,} numbers each, too many for "
            "these classifiers. Pass fewer or smaller images, or use a model with a smaller code."
        )


def _flat(images: Array) -> Array:
    return images.reshape(len(images), math.prod(images.shape[1:]))
