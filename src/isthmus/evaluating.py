"""The scorecard: how good a model is, always beside what a person would use instead.

For a code, the alternative is principal components with as many numbers; for noise, it is non-local means, a median filter and
wavelets from scikit-image. All are measured on the same images, and the filters are told the noise's true strength.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.bounds import Bound, importance_weighted_bound
from isthmus.compression import RATE_NOTES, RatePoint, rate_distortion
from isthmus.datasets import MAX_BAD, open_data, train_and_test
from isthmus.errors import look_up, printable
from isthmus.images import Array
from isthmus.metrics import METRICS
from isthmus.restoring import Model

SLOW_IMAGES = 1000
"""Filters that take a millisecond an image, and SSIM, are measured on at most as many."""

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
    source = open_data(data, Path(data_dir) if data_dir is not None else None, max_bad=max_bad)
    size = model.recipe.size or (None if model.architecture.any_size else model.image_shape[1:])
    train, test = train_and_test(source, size)
    if split is None:
        trained_on_the_rest = train.fingerprint()["sha256"] == model.about.get("data", {}).get("sha256")
        split = "test" if source.has_test or trained_on_the_rest else "all"
    dataset = look_up("split", split, {"train": train, "test": test, "all": None}) or source.read("all", train.image_shape[1:])
    notes = []
    reference = train if split == "test" else dataset
    if reference is dataset:
        notes.append("PCA was fitted on the very images that it is measured on, which flatters it.")
    clean = model.prepare(dataset.images, seed)
    seen = model.at_work(clean, seed)
    loss = float(model.losses(seen, clean).mean())
    bound = importance_weighted_bound(model, clean, bound_samples, seed) if bound_samples else None
    numbers = math.prod(model.code_shape(dataset.image_shape[1:]))
    learnt = clean if reference is dataset else model.prepare(reference.images, seed)
    methods: list[tuple[str, int | None, int, Callable[[Array], Array]]] = [
        (f"isthmus {model.recipe.model}", numbers, len(clean), model.restore_seen),
        _principal_components(learnt, numbers, len(clean)),
    ]
    if np.array_equal(seen, clean):
        mean = learnt.mean(0)
        methods.append(("mean image", 0, len(clean), lambda batch: np.broadcast_to(mean, batch.shape)))
    else:
        strength = float(np.sqrt(np.mean(np.square(seen - clean))))
        methods += [(name, None, SLOW_IMAGES, partial(_each, restore, strength)) for name, restore in FILTERS.items()]
        methods.append(("as it is", None, len(clean), lambda batch: batch))
        notes.append(f"The filters were told the true strength of the noise ({strength:.3f}).")
    scores = tuple(_score(name, size, method, seen[:count], clean[:count]) for name, size, count, method in methods)
    points = tuple(rate_distortion(model, learnt, clean)) if rates else ()
    notes += RATE_NOTES if rates else ()
    described = f"{dataset.title} ({split}, {len(dataset):,} images)"
    skipped = tuple(printable(skipped.reason) for skipped in dataset.skipped)
    return Scorecard(
        data=described,
        task=model.recipe.corruption,
        loss=loss,
        scores=scores,
        notes=tuple(notes),
        bound=bound,
        rates=points,
        skipped=skipped,
    )


def _score(method: str, numbers: int | None, restore: Callable[[Array], Array], seen: Array, clean: Array) -> Score:
    began = time.perf_counter()
    restored = np.clip(restore(seen), 0, 1)
    milliseconds = 1000 * (time.perf_counter() - began) / len(seen)
    few = slice(SLOW_IMAGES)
    means = {name: float(np.mean(metric(restored, clean))) for name, metric in METRICS.items() if name != "ssim"}
    ssim = float(np.mean(METRICS["ssim"](restored[few], clean[few])))
    return Score(method=method, numbers=numbers, images=len(seen), ssim=ssim, milliseconds=milliseconds, **means)


def _principal_components(learnt: Array, numbers: int, count: int) -> tuple[str, int, int, Callable[[Array], Array]]:
    from sklearn.decomposition import PCA

    table = learnt.reshape(len(learnt), -1)
    numbers = min(numbers, *table.shape)
    with np.errstate(invalid="ignore"):  # its shares of the variance, where all images are the same
        pca = PCA(numbers, random_state=0).fit(table)

    def project(batch: Array) -> Array:
        restored: Array = pca.inverse_transform(pca.transform(batch.reshape(len(batch), -1))).reshape(batch.shape)
        return restored

    return f"PCA {numbers}", numbers, count, project


def _each(restore: Callable[[Array, float], Array], strength: float, batch: Array) -> Array:
    return np.stack([restore(image, strength).reshape(image.shape) for image in batch])


def _non_local_means(image: Array, strength: float) -> Array:
    from skimage.restoration import denoise_nl_means

    options = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * strength, "sigma": strength, "fast_mode": True}
    return np.asarray(denoise_nl_means(image, channel_axis=0, **options))


def _median(image: Array, strength: float) -> Array:
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(image, (1, 3, 3)))


def _wavelet(image: Array, strength: float) -> Array:
    from skimage.restoration import denoise_wavelet

    return np.asarray(denoise_wavelet(image, sigma=strength, channel_axis=0, rescale_sigma=True))


FILTERS: dict[str, Callable[[Array, float], Array]] = {
    "non-local means": _non_local_means,
    "median 3x3": _median,
    "wavelet": _wavelet,
}
"""What scikit-image and SciPy offer against noise: `(C, H, W)` and the noise's deviation to `(C, H, W)`."""
