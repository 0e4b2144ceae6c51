"""scikit-learn estimators: `Autoencoder` and `Denoiser`, for pipelines, grid searches and tables.

A row of a table is an image of one line, unless `image_shape` says otherwise. Values may have any range: `fit` learns it, and
outputs have it again. scikit-learn's conventions hold: `__init__` stores, fitted attributes end in an underscore.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from isthmus.datasets import Dataset, hold_out
from isthmus.errors import DataError, UsageError
from isthmus.imaging.arrays import Array
from isthmus.model import Model
from isthmus.recipes import Recipe
from isthmus.training.trainer import Trainer

FLOATS = (np.float32, np.float64)

SEED = 1
"""Of the corruption that `score` adds, so that every estimator is measured on the same."""

SHAPING = ("model", "code", "hidden", "decoder_hidden", "code_kind", "corruption")
"""The recipe's fields on which the shapes of the weights depend."""

PARTIAL_FIT_SHARE = 0.3
"""Of the model's own learning rate, the peak of a cycle: the constant rate at which `partial_fit` learns unless told."""


@dataclass(kw_only=True, eq=False, repr=False)
class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A short code of each row or image, as a scikit-learn transformer.

    X is a table `(n, values)`, or images `(n, H, W)` or `(n, C, H, W)`. Its values may have any range, which `fit` learns over
    all of X. Scale columns that mean different things first, for example with scikit-learn's MinMaxScaler.

    After `fit`: `model_`, the `isthmus.Model`, with `save`; `low_` and `high_`, the range; `image_shape_`, as (C, H, W).

    >>> X = np.random.default_rng(0).normal(size=(100, 6))
    >>> Autoencoder(code=2, random_state=0).fit_transform(X).shape
    (100, 2)
    """

    task: str = "reconstruct"
    """Task: reconstruct (a short code), denoise, or describe (a code of what an image shows)."""
    noise: float | tuple[float, float] | None = None
    """Noise level for denoise: standard deviation as a share of the value range, or a range (low, high)."""
    corruption: str | None = None
    """Another corruption to undo, such as "salt-and-pepper(0.05)"."""
    prepare: str = "nothing"
    """Change applied to every image first, input and target alike: binarize makes it black and white."""
    model: str = "dense"
    """Network: dense (fully connected) or conv (convolutional, for images)."""
    code: int | None = None
    """Size of the latent code: numbers (dense 32) or channels of a map (conv 8)."""
    hidden: tuple[int, ...] | None = None
    """Units (dense, none) or filters (conv, 16 and 8) of the layers before the code; the decoder mirrors them."""
    decoder_hidden: tuple[int, ...] | None = None
    """Units or filters of the decoder's layers instead, from the code outward; as many as before the code."""
    code_kind: str | None = None
    """Bottleneck: relu (from 0 up; the default), linear, gaussian (a VAE's; codes are the means) or invariant."""
    beta: float = 1.0
    """Weight of the bottleneck's own cost, which gaussian and invariant have."""
    beta_warm_up: float = 0.1
    """Share of the training over which that weight rises from 0 to beta."""
    loss: str | None = None
    """Loss: bce (cross-entropy, the default), mse (squared error), psnr or l1 (absolute error)."""
    epochs: float | None = None
    """Passes over the data: 10, unless there is a budget."""
    budget: str | None = None
    """Training time instead of epochs: 90s, 10m or 1h."""
    batch_size: int | None = None
    """Rows per step (dense 100, conv 50)."""
    optimizer: str | None = None
    """Optimizer: adam (the default), or muon, which needed fewer epochs on digits; slow where a layer has hundreds of units."""
    learning_rate: float | None = None
    """Peak learning rate in `fit` (0.01, with muon 0.03), constant in `partial_fit` (three tenths of it)."""
    schedule: str = "one-cycle"
    """Learning rate schedule: one-cycle (up, then down to nothing) or constant."""
    warm_up: float = 0.25
    """Share of a one-cycle training over which the rate rises: from 0 up, below 1."""
    ema: float | None = None
    """Decay of the moving average of the weights that the model ends with."""
    clip: float | None = None
    """Largest norm of a step's gradient."""
    precision: str = "auto"
    """Arithmetic of the layers: auto (bfloat16 where it is faster), float32 or bfloat16."""
    image_shape: tuple[int, ...] | None = None
    """(H, W) or (C, H, W) of the image that a row of a table holds; without it, an image of one line."""
    value_range: tuple[float, float] | None = None
    """(low, high) of the values, such as (0, 255); without it, the minimum and maximum of X."""
    hold_out: bool = True
    """Whether to hold out every tenth row, for the losses in `model_.info` and the novelty statistics; with False, `fit` trains on
    all rows."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:1 or mps."""
    random_state: int | np.random.RandomState | None = None
    """Random seed: an integer, or None for one from NumPy's global state."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on X, from fresh weights.

        Args:
            X: `(n, values)`, `(n, H, W)` or `(n, C, H, W)`; clean, also for a denoiser, which adds the noise itself.
            y: Ignored.

        Raises:
            UsageError: If a parameter is invalid.
            DataError: If X does not fit the parameters.
        """
        recipe = self._recipe()
        dataset = self._dataset(X, is_new=True)
        learned, held_out = (hold_out(dataset, split) if self.hold_out else dataset for split in ("train", "test"))
        self.model_ = Trainer(recipe, learned, held_out, device=self.device).fit()
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Train for one more pass over X, from the present weights, at a constant learning rate.

        The first call sets the range, and later values are clamped to it; pass `value_range` if that matters. No row is held out.

        Args:
            X: As for `fit`.
            y: Ignored.

        Raises:
            UsageError: If a parameter is invalid, or does not fit the weights.
            DataError: If X does not fit the parameters.
        """
        before: Model | None = getattr(self, "model_", None)
        recipe = self._recipe(epochs=1, budget=None, schedule="constant", beta_warm_up=0.0)
        recipe = dataclasses.replace(
            recipe,
            learning_rate=(recipe.complete().learning_rate or 0.0) * (1 if self.learning_rate else PARTIAL_FIT_SHARE),
            seed=(before.recipe.seed + 1) % (1 << 31) if before else recipe.seed,  # every pass has chance of its own
        )
        dataset = self._dataset(X, is_new=before is None)
        trainer = Trainer(recipe, dataset, dataset, device=self.device)
        if before:
            try:
                trainer.model.network.load_state_dict(before.network.state_dict())
            except RuntimeError:
                old, new = before.recipe.to_json(), recipe.complete().to_json()
                changed = [f"{name} was {old[name]} and is {new[name]}" for name in SHAPING if old[name] != new[name]]
                raise UsageError(
                    f"The weights of the last fit have another shape: {', '.join(changed)}. Set it back, or call fit to start over."
                ) from None
        self.model_ = trainer.fit()
        return self

    def transform(self, X: Any) -> Array:
        """Return the latent codes of X, `(n, numbers)` float32; a code map is flattened."""
        images = self._seen(X)
        if self.model_.corruption.stays_in_range:  # then the model cuts what is outside all the same
            images = images.clip(0, 1)
        return self.model_.encode(images).reshape(len(images), -1)

    def inverse_transform(self, X: Any) -> Array:
        """Decode codes `(n, numbers)`: float32 with the shape and the range that X had in `fit`.

        Raises:
            DataError: If the codes do not have as many numbers as this model's.
        """
        check_is_fitted(self, "model_")
        codes = check_array(X, dtype=FLOATS, force_writeable=True)
        if codes.shape[1] != self._n_features_out:
            raise DataError(f"Codes of {codes.shape[1]} numbers do not fit: this model's have {self._n_features_out}.")
        return self._values(self.model_.decode(codes.reshape(len(codes), *self.model_.code_shape())))

    def predict(self, X: Any) -> Array:
        """Return the model's output for X: float32, with X's shape and range."""
        seen = self._seen(X)
        return self._values(self.model_.engine.restore_inputs(seen))

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the mean squared error between X and the model's output; higher is better.

        If the task has a corruption, X is corrupted first, always with the same random seed.

        Args:
            X: As for `fit`: clean.
            y: Ignored.
        """
        images = self._seen(X)
        clean = self.model_.degradation.prepare(images, SEED)
        restored = self.model_.engine.restore_inputs(self.model_.degradation.corrupt(clean, SEED))
        return -float(np.square(restored - clean).mean(dtype=np.float64)) * (self.high_ - self.low_) ** 2

    @property
    def _n_features_out(self) -> int:
        return math.prod(self.model_.code_shape())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _recipe(self, **changes: Any) -> Recipe:
        """Return the recipe of those parameters that are its fields; NumPy's numbers become Python's."""
        fields = {field.name for field in dataclasses.fields(Recipe)}
        params = {name: value for name, value in self.get_params().items() if name in fields and value is not None}
        values = {name: np.asarray(value).tolist() for name, value in params.items()}
        state = self.random_state
        seed = state if isinstance(state, Integral) else check_random_state(state).randint(np.iinfo(np.int32).max)
        given = {**values, "seed": int(seed), **changes}
        return Recipe.from_json({name: value for name, value in given.items() if value is not None})

    def _dataset(self, X: Any, *, is_new: bool) -> Dataset:
        """Return the images to learn from, in [0, 1]; what is new settles form and range."""
        X = validate_data(self, X, reset=is_new, dtype=FLOATS, allow_nd=True)
        if is_new:
            self.image_shape_ = self._shape_of_images(X)
            self.input_shape_ = X.shape[1:]
            self.low_, self.high_ = self._range(X)
        images = self._images(X).clip(0, 1)
        return Dataset(images=images, title=f"{len(images)} rows of {' x '.join(map(str, self.input_shape_))}")

    def _seen(self, X: Any) -> Array:
        """Return what the model is given for X."""
        check_is_fitted(self, "model_")
        return self._images(validate_data(self, X, reset=False, dtype=FLOATS, allow_nd=True))

    def _images(self, X: Array) -> Array:
        """Return X as images `(n, C, H, W)` float32, where `low_` is 0 and `high_` is 1."""
        if X.shape[1:] != self.input_shape_:
            raise DataError(
                f"X has shape {X.shape}, and the estimator was fitted to (n, {', '.join(map(str, self.input_shape_))})."
            )
        unit = (X - self.low_) / (self.high_ - self.low_ or 1.0)
        return unit.astype(np.float32).reshape(len(X), *self.image_shape_)

    def _values(self, images: Array) -> Array:
        """Return images `(n, C, H, W)` in X's form and range; the inverse of `_images`."""
        values = self.low_ + (self.high_ - self.low_) * images
        return values.reshape(len(images), *self.input_shape_)

    def _shape_of_images(self, X: Array) -> tuple[int, ...]:
        own = (1,) * (4 - X.ndim) + X.shape[1:]  # (1, 1, values), (1, H, W) or (C, H, W)
        if self.image_shape is None and X.ndim == 4 and own[2] in (1, 3, 4) and own[0] not in (1, 3, 4):
            raise DataError(
                f"X of shape {X.shape} looks like (n, H, W, C). Pass np.moveaxis(X, -1, 1); or, if it is (n, C, H, W), "
                f"image_shape={own}."
            )
        given = own if self.image_shape is None else tuple(np.atleast_1d(self.image_shape).tolist())
        given = (1,) * (3 - len(given)) + given
        are_counts = len(given) == 3 and all(isinstance(side, int) and side > 0 for side in given)
        if not are_counts or (given != own and (X.ndim > 2 or math.prod(given) != X.shape[1])):
            raise DataError(
                f"X of shape {X.shape} and image_shape={self.image_shape} do not fit: X is (n, values), (n, H, W) or (n, C, H, W), "
                "image_shape is (H, W) or (C, H, W), with as many values."
            )
        return given

    def _range(self, X: Array) -> tuple[float, float]:
        low, high = float(X.min()), float(X.max())
        if self.value_range is None:
            return low, high
        given = np.asarray(self.value_range)
        if given.shape != (2,) or given.dtype.kind not in "iuf" or not given[0] < given[1]:
            raise UsageError(f"value_range must be (low, high), two numbers with low below high, not {self.value_range}.")
        if low < given[0] or high > given[1]:
            raise DataError(f"X has values from {low:g} to {high:g}, outside of value_range={self.value_range}.")
        return float(given[0]), float(given[1])


@dataclass(kw_only=True, eq=False, repr=False)
class Denoiser(Autoencoder):
    """Denoises rows or images: an `Autoencoder` whose task is to denoise.

    `fit` takes clean X and adds the noise itself, `predict` denoises noisy X, `score` adds noise and measures the error.

    >>> X = np.random.default_rng(0).uniform(size=(100, 6))
    >>> Denoiser(noise=0.2, random_state=0).fit(X).predict(X).shape
    (100, 6)
    """

    task: str = "denoise"
    """The task."""
