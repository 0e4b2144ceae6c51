"""What a model remembers of the images that it learnt from: where their codes lie, and how well it gave held-out ones back.

The density of the codes is what `generate` draws from where the code itself is no distribution, and what novelty measures
against. Numpy only; the fit is scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelFileError
from isthmus.images import Array

Numbers = NDArray[np.float64]

FIT_CODES = 10_000
"""Codes that a density is fitted on, at most."""

MAX_NUMBERS = 4096
"""Numbers in a code, above which no density is fitted: that of a large code map would say nothing."""

MAX_AXES = 64
MAX_PARTS = 20
CODES_PER_PART = 200


@dataclass(frozen=True, kw_only=True)
class CodeDensity:
    """A mixture of normal distributions over the codes' principal components; what these leave out is normal in all directions.

    Source: Tipping and Bishop (1999) for what is left out; the mixture is scikit-learn's GaussianMixture.

    >>> density = CodeDensity.fit(np.random.default_rng(0).normal(size=(400, 3)))
    >>> density.sample(5, seed=0).shape, density.surprise(np.zeros((2, 3))).shape
    ((5, 3), (2,))
    """

    mean: Array
    """`(d,)`: middle of the codes, each flattened to d numbers."""
    axes: Array
    """`(r, d)`: principal directions, orthonormal."""
    rest: Array
    """`(1,)`: variance in each of the other d - r directions."""
    weights: Array
    """`(k,)`: shares of the mixture's parts."""
    centres: Array
    """`(k, r)`: middles of the parts, along the axes."""
    factors: Array
    """`(k, r, r)`: lower triangles whose product with their transpose is a part's covariance."""

    @classmethod
    def fit(cls, codes: Array, seed: int = 0) -> CodeDensity:
        """Fit to codes `(n, d)`, of which there are two or more."""
        import warnings

        from sklearn import config_context
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        codes = codes.astype(np.float64)
        mean = codes.mean(0)
        _, deviations, axes = np.linalg.svd(codes - mean, full_matrices=False)
        variances = np.square(deviations) / len(codes)
        kept = int(np.clip(np.searchsorted(variances.cumsum(), 0.99 * variances.sum()) + 1, 1, min(MAX_AXES, len(variances))))
        floor = 1e-6 * max(float(variances.mean()), 1e-12)
        along = (codes - mean) @ axes[:kept].T
        parts = int(np.clip(len(codes) // CODES_PER_PART, 1, MAX_PARTS))
        with config_context(array_api_dispatch=False), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close is good enough; codes may be equal
            mixture = GaussianMixture(parts, reg_covar=10 * floor, max_iter=50, random_state=seed).fit(along)
        others = codes.shape[1] - kept
        rest = max(floor, float(variances[kept:].sum()) / others) if others else floor
        found = {
            "mean": mean,
            "axes": axes[:kept],
            "rest": np.array([rest]),
            "weights": mixture.weights_,
            "centres": mixture.means_,
            "factors": np.linalg.cholesky(mixture.covariances_),
        }
        return cls(**{name: array.astype(np.float32) for name, array in found.items()})

    def sample(self, count: int, seed: int = 0) -> Array:
        """Draw codes `(count, d)` float32, along the axes only: what these leave out is mostly noise."""
        chance = np.random.default_rng(seed)
        part = chance.choice(len(self.weights), count, p=self.weights.astype(np.float64) / self.weights.sum(dtype=np.float64))
        along = self.centres[part] + np.einsum(
            "nij,nj->ni", self.factors[part], chance.standard_normal((count, self.axes.shape[0]))
        )
        return np.asarray(self.mean + along @ self.axes, np.float32)

    def deviations(self) -> Numbers:
        """Return the standard deviation of each number of the code, `(d,)`."""
        covariances = self.factors @ self.factors.transpose(0, 2, 1) + np.einsum("ki,kj->kij", self.centres, self.centres)
        along = np.einsum("k,kij->ij", self.weights, covariances)  # (r, r): about the mean, where the parts' centres average to 0
        kept = np.einsum("id,ij,jd->d", self.axes, along, self.axes)
        return np.asarray(np.sqrt(kept + self.rest[0] * np.maximum(1 - np.square(self.axes).sum(0), 0)), np.float64)

    def surprise(self, codes: Array) -> Numbers:
        """Return how unlikely codes `(n, d)` are: minus the logarithm of the density, in nats, `(n,)`."""
        from scipy.linalg import solve_triangular
        from scipy.special import logsumexp

        offsets = codes.astype(np.float64) - self.mean
        along = offsets @ self.axes.T  # (n, r)
        left = np.square(offsets - along @ self.axes).sum(1)  # not a difference of squares, whose rounding the rest would magnify
        rest = float(self.rest[0])
        others = self.axes.shape[1] - self.axes.shape[0]
        parts = []
        for weight, centre, factor in zip(self.weights, self.centres, self.factors, strict=True):
            whitened = solve_triangular(factor.astype(np.float64), (along - centre).T, lower=True)  # (r, n)
            log_volume = np.log(np.diag(factor)).sum() + 0.5 * along.shape[1] * np.log(2 * np.pi)
            parts.append(np.log(weight) - log_volume - 0.5 * np.square(whitened).sum(0))
        return np.asarray(0.5 * (left / rest + others * np.log(2 * np.pi * rest)) - logsumexp(parts, axis=0))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What new images are compared with."""

    errors: Array
    """Error scores of held-out images, float32 as the file holds them, ascending."""
    surprises: Array | None = None
    """Surprises of their codes, likewise; None where the code is too large for a density."""
    density: CodeDensity | None = None
    """Of the training images' codes."""

    def to_tensors(self) -> dict[str, Array]:
        """Return the arrays by name, as a model file holds them; `of` reads them back."""
        arrays = {"reference.errors": self.errors}
        if self.density is not None and self.surprises is not None:
            arrays["reference.surprises"] = self.surprises
            arrays |= {f"density.{field.name}": getattr(self.density, field.name) for field in fields(CodeDensity)}
        return arrays

    @classmethod
    def of(cls, arrays: dict[str, Array], numbers: int) -> Reference | None:
        """Read what `to_tensors` gave; None where there is nothing.

        Args:
            arrays: By name.
            numbers: How many numbers a code has.

        Raises:
            ModelFileError: If an array is missing, extra, or of a shape that does not fit.
        """
        if not arrays:
            return None
        names = {"reference.errors"}
        if len(arrays) > 1:
            names |= {"reference.surprises", *(f"density.{field.name}" for field in fields(CodeDensity))}
        if arrays.keys() != names:
            raise ModelFileError(f"its reference lacks or adds {', '.join(sorted(names ^ arrays.keys()))}")
        errors = arrays["reference.errors"]
        if len(arrays) == 1:
            return cls(errors=_ascending("errors", errors))
        found: dict[str, Any] = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith("density.")}
        parts, kept = found["weights"].shape[:1], found["axes"].shape[:1]
        shapes = {"mean": (numbers,), "axes": (*kept, numbers), "rest": (1,), "weights": parts, "centres": (*parts, *kept)}
        for name, shape in {**shapes, "factors": (*parts, *kept, *kept)}.items():
            if found[name].shape != shape:
                raise ModelFileError(f"the density's {name} has shape {found[name].shape}, and {shape} fits the code")
        diagonals = np.diagonal(found["factors"], axis1=1, axis2=2)
        if not diagonals.size:
            raise ModelFileError("the density has no parts")
        if found["rest"][0] <= 0 or (found["weights"] <= 0).any() or (diagonals <= 0).any():
            raise ModelFileError("the density's variances and weights are not all positive")
        surprises = _ascending("surprises", arrays["reference.surprises"])
        return cls(errors=_ascending("errors", errors), surprises=surprises, density=CodeDensity(**found))


def _ascending(name: str, values: Array) -> Array:
    if values.ndim != 1 or not len(values) or (np.diff(values) < 0).any():
        raise ModelFileError(f"the reference's {name} are no ascending list")
    return values
