"""The scorecard: a model's scores, always compared with baselines.

What that is, `alternatives` says for each kind of damage. All are measured on the same images, and filters are told how strong the
damage is. Images of one size are measured together, pictures of several sizes one by one; a score is the mean over images.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.datasets import MAX_BAD, Data, open_pairs
from isthmus.errors import UsageError, printable, require
from isthmus.evaluation.baselines import Method, alternatives
from isthmus.evaluation.likelihood import Bound, importance_weighted_bound
from isthmus.evaluation.metrics import METRICS
from isthmus.evaluation.rate_distortion import RATE_NOTES, RatePoint, rate_distortion
from isthmus.evaluation.test_data import InMemoryImages, StreamedImages, choose, example_of, pair_of, restore_sample
from isthmus.imaging.arrays import Array
from isthmus.model import Model
from isthmus.recipes.degradation import Sample
from isthmus.training.validation import losses

SLOW_METRICS = ("ssim", "ciede2000")
METRIC_IMAGES = 1000
"""These are measured on at most as many images."""

LOSS_SIDE = 1024
"""Of a larger picture, the loss is that of its middle: a network's output for all of it at once may not fit into memory."""

SEED = 1
"""Of the noise that a scorecard adds, so that every model is measured on the same."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One method's row: means over images. NaN where a metric says nothing of such images."""

    method: str
    """What was used."""
    numbers: int | None
    """Numbers in its code of one image, where it has one, and images have one size."""
    images: int
    """How many images it was measured on."""
    bce: float
    """Binary cross-entropy, nats per value."""
    mse: float
    """Squared error, range [0, 1]."""
    psnr_db: float
    """Peak signal-to-noise ratio, in dB."""
    ahead_db: float
    """By how much the model's ratio is higher on the same images, in dB: what is slow is measured on fewer than the model is."""
    ssim: float
    """Structural similarity, of the first images only; NaN where images are too small."""
    ciede2000: float
    """Difference of the colors as people see it, of the first images only; NaN where they are not RGB."""
    colorfulness: float
    """Of what it gives, from 0 (gray) to about 110; NaN where images are not RGB."""
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
    """The model's own training loss on them, exact, from its raw output; of pictures above `LOSS_SIDE`, on their middles."""
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
    data: Data,
    *,
    clean: Data | None = None,
    split: str | None = None,
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    seed: int = SEED,
    bound_samples: int = 0,
    rates: bool = False,
) -> Scorecard:
    """Measure a model and the baselines on the same images.

    Args:
        model: What to measure.
        data: The clean images, as `open_data` takes them.
        clean: The clean images, if `data` holds your own degraded ones: with the same names, or in the same order.
        split: "train", "test" or "all". Without it: the test set if the data has one; the held-out tenth if the model was
            trained on the rest; else all.
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's images that may be unreadable.
        seed: Random seed of the corruption.
        bound_samples: Importance samples per image for the likelihood bound of a Gaussian bottleneck; 0 for none.
        rates: Also compare as compressors with PCA, JPEG and WebP.

    Returns:
        The scorecard; its first row is the model.

    Raises:
        DataError: If the data cannot be read or does not fit the model.
        UsageError: If the split is unknown, or bounds or rates are asked of a model for images of any size.
    """
    require("evaluate", "skimage", "pywt")
    source = open_pairs(data, clean, data_dir, max_bad=max_bad)
    if (bound_samples or rates) and model.trained_on_patches:
        raise UsageError(
            "Likelihood bounds and rates need images of one size, and this model was trained on patches of larger pictures."
        )
    return measure(model, choose(model, source, split), seed=seed, bound_samples=bound_samples, rates=rates)


def measure(
    model: Model, subjects: InMemoryImages | StreamedImages, *, seed: int = SEED, bound_samples: int = 0, rates: bool = False
) -> Scorecard:
    """Do what `evaluate` does, for images that have been chosen; bounds and rates are of `InMemoryImages` ones."""
    whole = subjects if isinstance(subjects, InMemoryImages) else None

    def example_at(place: int, images: Array) -> Sample:
        return pair_of(model, images) if subjects.paired else example_of(model, images, seed + place)

    learned = example_at(0, whole.learned.images).clean if whole else None
    own = Method(
        name=f"isthmus {model.recipe.network}",
        numbers=math.prod(model.code_shape(whole.dataset.image_shape[1:]))
        if whole and not model.architecture.carries_detail
        else None,
        restore=lambda example: restore_sample(model, example),
    )
    others = alternatives(model, learned, paired=subjects.paired)
    first, *rest = tallies = [_Tally(method) for method in (own, *others)]
    own_losses, strengths, colors = [], [], []
    for place, images in enumerate(subjects):
        example = example_at(place, images)
        middle = example.middle(LOSS_SIDE)
        own_losses.append(losses(model, middle.model_input, middle.clean))
        strengths.append(example.strengths)
        colors.append(METRICS["colorfulness"](example.clean, example.clean))
        psnr_db = first.add(example)
        for tally in rest:
            tally.add(example, psnr_db)
    scores = tuple(tally.score() for tally in tallies if tally.images)
    bound, points = None, list[RatePoint]()
    if whole and learned is not None and (bound_samples or rates):
        clean = example_at(0, whole.dataset.images).clean
        bound = importance_weighted_bound(model, clean, bound_samples, seed) if bound_samples else None
        points = rate_distortion(model, learned, clean) if rates else []
    notes = []
    if whole and whole.learned is whole.dataset and any(method.name.startswith("PCA") for method in others):
        notes.append("PCA was fitted to the same images that it is measured on, which favors it.")
    if any(tally.method.told and tally.images for tally in tallies):
        notes.append(f"The filters know the true strength of each image's degradation (mean {_mean(strengths):.3f}).")
    left_out = [tally.method.name for tally in tallies if not tally.images]
    if left_out:
        notes.append(f"Not measured, too slow on images of this size: {', '.join(left_out)}.")
    if math.isfinite(_mean(colors)):
        notes.append(f"The colorfulness of the clean images is {_mean(colors):.1f}.")
    return Scorecard(
        data=f"{subjects.title} ({subjects.split}, {first.images:,} images)",
        task=str(model.corruption),
        loss=float(np.concatenate(own_losses).mean()),
        scores=scores,
        notes=(*notes, *(RATE_NOTES if rates else ())),
        bound=bound,
        rates=tuple(points),
        skipped=tuple(printable(skipped.reason) for skipped in subjects.skipped),
    )


class _Tally:
    """What a method has reached so far, image by image."""

    def __init__(self, method: Method):
        self.method = method
        self.values: dict[str, list[Array]] = {name: [] for name in (*METRICS, "ahead_db")}
        self.images = self.pixels = 0
        self.seconds = 0.0

    def add(self, example: Sample, model_psnr_db: Array | None = None) -> Array:
        """Measure the first images of a example, as many as the method may take; return their PSNR in dB.

        Args:
            example: The images.
            model_psnr_db: `(n,)`: what the model reached on them; None for the model itself.
        """
        pixels = math.prod(example.clean.shape[2:])
        room = min(self.method.images - self.images, (self.method.pixels - self.pixels) // pixels, len(example))
        if room < 1:
            return np.empty(0)
        example = example if room == len(example) else example.take(slice(int(room)))
        began = time.perf_counter()
        restored = np.clip(self.method.restore(example), 0, 1)
        self.seconds += time.perf_counter() - began
        few = slice(max(0, METRIC_IMAGES - self.images))
        for name, metric in METRICS.items():
            chosen = few if name in SLOW_METRICS else slice(None)
            self.values[name].append(metric(restored[chosen], example.clean[chosen]))
        psnr_db = self.values["psnr_db"][-1]
        self.values["ahead_db"].append((psnr_db if model_psnr_db is None else model_psnr_db[: len(example)]) - psnr_db)
        self.images += len(example)
        self.pixels += len(example) * pixels
        return psnr_db

    def score(self) -> Score:
        """Return the row."""
        means = {name: _mean(parts) for name, parts in self.values.items()}
        milliseconds = 1000 * self.seconds / self.images
        return Score(method=self.method.name, numbers=self.method.numbers, images=self.images, milliseconds=milliseconds, **means)


def _mean(parts: Sequence[Array]) -> float:
    """Return the mean of what can be measured; NaN where nothing can."""
    values = np.concatenate(parts)
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
