"""Novelty statistics: what a model remembers of its training set, and how it scores new images against that.

They hold the density of the training images' codes, and the scores of held-out images, sorted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from isthmus.errors import ModelFileError
from isthmus.imaging.arrays import Array
from isthmus.inference.density import CodeDensity
from isthmus.inference.engine import Engine, to_array

FIT_CODES = 20_000
"""Codes that a density is fitted on, at most."""

MAX_NUMBERS = 4096
"""Numbers in a code, above which no density is fitted: that of a large code map would say nothing."""


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
            arrays |= {"statistics.surprises": self.surprises, "statistics.either": self.either, **self.density.to_tensors()}
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
        density_names = {*CodeDensity.tensor_names(), "statistics.surprises", "statistics.either"}
        names = {"statistics.errors", *(density_names if len(arrays) > 1 else ())}
        if arrays.keys() != names:
            raise ModelFileError(f"its statistics lack or add {', '.join(sorted(names ^ arrays.keys()))}")
        errors = _ascending("errors", arrays["statistics.errors"])
        if len(arrays) == 1:
            return cls(errors=errors)
        density = CodeDensity.from_tensors(arrays, numbers)
        surprises, either = (_ascending(name, arrays[f"statistics.{name}"]) for name in ("surprises", "either"))
        return cls(errors=errors, surprises=surprises, either=either, density=density)


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
