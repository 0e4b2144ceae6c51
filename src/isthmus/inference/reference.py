"""What a model remembers of the images that it learned from: where their codes lie, and how well it gave held-out ones back.

The density of the codes is what `generate` draws from where the code itself is no distribution, and what novelty measures
against.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from isthmus.errors import ModelFileError
from isthmus.imaging.arrays import Array
from isthmus.inference.density import Mixture, Numbers
from isthmus.inference.engine import Engine, to_array

FIT_CODES = 20_000
"""Codes that a density is fitted on, at most."""

MAX_NUMBERS = 4096
"""Numbers in a code, above which no density is fitted: that of a large code map would say nothing."""

MOMENTS = ("mean", "deviations", "smallest")
"""The density's own arrays, besides the mixture's."""

SMALLEST = 1e-3
"""Length that is added to every code's, as a share of the mean length: the logarithm of a code of zeros is finite."""


@dataclass(frozen=True, kw_only=True)
class CodeDensity:
    """Where codes lie: a mixture over their polar coordinates, a direction and the logarithm of the length.

    How much ink an image has moves its code outward and in, and says little of whether it is strange: apart from the length, the
    directions lie closer together, and strange images stand out (docs/experiments.md).

    >>> density = CodeDensity.fit(np.random.default_rng(0).normal(size=(400, 3)))
    >>> density.sample(5, seed=0).shape, density.surprise(np.zeros((2, 3))).shape
    ((5, 3), (2,))
    """

    mean: Array
    """`(d,)`: middle of the codes, each flattened to d numbers."""
    deviations: Array
    """`(d,)`: standard deviation of each of their numbers."""
    smallest: Array
    """`(1,)`: length that is added to every code's."""
    mixture: Mixture
    """Over d + 1 numbers: the direction, and the length's logarithm, divided by the root of d to be of the same order."""

    @classmethod
    def fit(cls, codes: Array, seed: int = 0) -> CodeDensity:
        """Fit to codes `(n, d)`, of which there are two or more."""
        codes = codes.astype(np.float64)
        smallest = max(SMALLEST * float(np.linalg.norm(codes, axis=1).mean()), 1e-9)
        moments = {"mean": codes.mean(0), "deviations": codes.std(0), "smallest": np.array([smallest])}
        mixture = Mixture.fit(_polar(codes, smallest), seed)
        return cls(**{name: array.astype(np.float32) for name, array in moments.items()}, mixture=mixture)

    def sample(self, count: int, seed: int = 0) -> Array:
        """Draw codes `(count, d)` float32."""
        drawn = self.mixture.sample(count, seed).astype(np.float64)
        directions, logarithms = drawn[:, :-1], drawn[:, -1:] * np.sqrt(len(self.mean))
        lengths = np.maximum(np.exp(logarithms) - float(self.smallest[0]), 0)
        return np.asarray(directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9) * lengths, np.float32)

    def surprise(self, codes: Array) -> Numbers:
        """Return how unlikely codes `(n, d)` are: minus the log-density of their polar coordinates, in nats, `(n,)`."""
        return self.mixture.surprise(_polar(codes.astype(np.float64), float(self.smallest[0])))


def _polar(codes: Array, smallest: float) -> Array:
    """Return (direction, scaled logarithm of the length) of codes `(n, d)`, `(n, d + 1)`."""
    lengths = np.linalg.norm(codes, axis=1, keepdims=True) + smallest
    return np.hstack([codes / lengths, np.log(lengths) / np.sqrt(codes.shape[1])])


@dataclass(frozen=True, kw_only=True)
class TrainingStatistics:
    """What new images are compared with."""

    errors: Array
    """Error scores of held-out images, float32 as the file holds them, ascending."""
    surprises: Array | None = None
    """Surprises of their codes, likewise; None where the code is too large for a density."""
    either: Array | None = None
    """How unusual each of them is by either score, likewise."""
    density: CodeDensity | None = None
    """Of the training images' codes."""

    @classmethod
    def remember(cls, scores: dict[str, Array], density: CodeDensity | None) -> TrainingStatistics:
        """Keep the scores of held-out images, by name, each `(m,)`."""
        arrays = {name: values.astype(np.float32) for name, values in scores.items()}
        errors = np.sort(arrays.get("error", np.zeros(1, np.float32)))
        if density is None:
            return cls(errors=errors)
        known = cls(errors=errors, surprises=np.sort(arrays["surprise"]), density=density)
        either = known.either_of(arrays) if "error" in arrays else np.zeros(1, np.float32)
        return replace(known, either=np.sort(either))

    def held_out(self) -> dict[str, Array]:
        """Return the scores of held-out images by name, each ascending."""
        scores = {"either": self.either, "surprise": self.surprises, "error": self.errors}
        return {name: values for name, values in scores.items() if values is not None}

    def are_exceeded(self, scores: dict[str, Array]) -> bool:
        """Tell whether images are mostly stranger, by any of their scores, than all held-out ones."""
        usual = self.held_out()
        return any(np.median(values) > usual[name][-1] for name, values in scores.items() if name in usual)

    def either_of(self, scores: dict[str, Array]) -> Array:
        """Return how unusual images are `(n,)`, by their surprise or by their error, whichever says more.

        On the surprise's scale, 0 is the median of the held-out images, and 1 what a hundredth of them exceeds. The error, which
        tells less among images of one kind and more between kinds, counts from there on: 0 is what a hundredth exceeds.
        """
        unusual = []
        for name, held_out in (("error", self.errors), ("surprise", self.surprises)):
            middle, high = np.quantile(held_out, (0.5, 0.99)) if held_out is not None else (0, 1)
            unusual.append((scores[name].astype(np.float32) - middle) / max(high - middle, 1e-9))
        error, surprise = unusual
        return np.asarray(np.maximum(error - 1, surprise), np.float32)

    def to_tensors(self) -> dict[str, Array]:
        """Return the arrays by name, as a model file holds them; `from_tensors` reads them back."""
        arrays = {"statistics.errors": self.errors}
        if self.density is not None and self.surprises is not None and self.either is not None:
            arrays |= {"statistics.surprises": self.surprises, "statistics.either": self.either}
            arrays |= {f"density.{name}": getattr(self.density, name) for name in MOMENTS}
            arrays |= {f"mixture.{field.name}": getattr(self.density.mixture, field.name) for field in fields(Mixture)}
        return arrays

    @classmethod
    def from_tensors(cls, arrays: dict[str, Array], numbers: int) -> TrainingStatistics | None:
        """Read what `to_tensors` gave; None where there is nothing.

        Args:
            arrays: By name.
            numbers: How many numbers a code has.

        Raises:
            ModelFileError: If an array is missing, extra, or of a shape that does not fit.
        """
        if not arrays:
            return None
        names = {"statistics.errors"}
        if len(arrays) > 1:
            names |= {"statistics.surprises", "statistics.either", *(f"density.{name}" for name in MOMENTS)}
            names |= {f"mixture.{field.name}" for field in fields(Mixture)}
        if arrays.keys() != names:
            raise ModelFileError(f"its statistics lack or add {', '.join(sorted(names ^ arrays.keys()))}")
        errors = arrays["statistics.errors"]
        if len(arrays) == 1:
            return cls(errors=_ascending("errors", errors))
        moments = {name: arrays[f"density.{name}"] for name in MOMENTS}
        mixed = {field.name: arrays[f"mixture.{field.name}"] for field in fields(Mixture)}
        parts, kept = mixed["weights"].shape[:1], mixed["axes"].shape[:1]
        shapes = {"mean": (numbers + 1,), "axes": (*kept, numbers + 1), "rest": (1,), "weights": parts, "centers": (*parts, *kept)}
        for of, wanted in (
            (moments, {"mean": (numbers,), "deviations": (numbers,), "smallest": (1,)}),
            (mixed, {**shapes, "factors": (*parts, *kept, *kept)}),
        ):
            for name, shape in wanted.items():
                if of[name].shape != shape:
                    raise ModelFileError(f"the density's {name} has shape {of[name].shape}, and {shape} fits the code")
        diagonals = np.diagonal(mixed["factors"], axis1=1, axis2=2)
        if not diagonals.size:
            raise ModelFileError("the density has no parts")
        if min(mixed["rest"][0], moments["smallest"][0], mixed["weights"].min(), diagonals.min()) <= 0:
            raise ModelFileError("the density's variances and weights are not all positive")
        density = CodeDensity(**moments, mixture=Mixture(**mixed))
        surprises, either = (_ascending(name, arrays[f"statistics.{name}"]) for name in ("surprises", "either"))
        return cls(errors=_ascending("errors", errors), surprises=surprises, either=either, density=density)


def _ascending(name: str, values: Array) -> Array:
    if values.ndim != 1 or not len(values) or (np.diff(values) < 0).any():
        raise ModelFileError(f"the statistics' {name} are no ascending list")
    return values


def novelty_scores(
    engine: Engine,
    statistics: TrainingStatistics | None,
    batch: Array,
    beside: Array | None,
    code_shape: tuple[int, ...] | None,
) -> dict[str, Array]:
    """Return how strange images are, by name of the score, each `(n,)` float64.

    Args:
        engine: The network.
        statistics: Of the training images, if there are any.
        batch: `(n, C', h, w)`, the images.
        beside: What stands beside them, `(1 or n, K, h, w)`.
        code_shape: Of the training images' codes.
    """
    scores: dict[str, list[Array]] = {"error": [], "surprise": []}
    density = statistics.density if statistics else None
    for _, degraded in engine.chunks(batch, beside):
        inputs = engine.degradation.corruption.to_model_input(degraded)
        code, restored = engine.code_and_image(inputs)
        if restored.shape == inputs.shape:
            scores["error"].append(to_array((restored - inputs).square().mean((1, 2, 3))))
        if density and code.shape[1:] == code_shape:
            scores["surprise"].append(density.surprise(code.float().flatten(1).cpu().numpy()))
    found = {name: np.concatenate(parts).astype(np.float64) for name, parts in scores.items() if parts}
    if statistics and statistics.either is not None and len(found) == len(scores):
        found["either"] = statistics.either_of(found)
    return found
