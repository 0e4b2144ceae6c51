"""The density of latent codes: a Gaussian mixture over their directions and lengths.

scikit-learn fits the mixture. `generate` samples from it where the bottleneck is no distribution; novelty is measured against it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import ModelFileError
from isthmus.imaging.arrays import Array

Numbers = NDArray[np.float64]

MAX_AXES = 64
MAX_PARTS = 40
VECTORS_PER_PART = 200
ROUNDS = 8
"""Of expectation and maximization: fifty fit the vectors better, and tell strange ones worse (docs/experiments.md)."""

MOMENTS = ("mean", "deviations", "smallest")
"""The arrays of `CodeDensity` besides its mixture's."""

SMALLEST = 1e-3
"""Length added to every code's, as a share of the mean length, so that the logarithm of a code of zeros is finite."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixture of normal distributions over vectors' principal components; what these leave out is normal in all directions.

    Source: Tipping and Bishop (1999) for what is left out; the mixture is scikit-learn's GaussianMixture.

    >>> mixture = Mixture.fit(np.random.default_rng(0).normal(size=(400, 3)))
    >>> mixture.sample(5, seed=0).shape, mixture.surprise(np.zeros((2, 3))).shape
    ((5, 3), (2,))
    """

    mean: Array
    """`(d,)`: middle of the vectors."""
    axes: Array
    """`(r, d)`: principal directions, orthonormal."""
    rest: Array
    """`(1,)`: variance in each of the other d - r directions."""
    weights: Array
    """`(k,)`: shares of the mixture's parts."""
    centers: Array
    """`(k, r)`: middles of the parts, along the axes."""
    factors: Array
    """`(k, r, r)`: lower triangles whose product with their transpose is a part's covariance."""

    @classmethod
    def fit(cls, vectors: Array, seed: int = 0) -> Mixture:
        """Fit to vectors `(n, d)`, of which there are two or more."""
        import warnings

        from sklearn import config_context
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        vectors = vectors.astype(np.float64)
        mean = vectors.mean(0)
        _, deviations, axes = np.linalg.svd(vectors - mean, full_matrices=False)
        variances = np.square(deviations) / len(vectors)
        kept = int(np.clip(np.searchsorted(variances.cumsum(), 0.99 * variances.sum()) + 1, 1, min(MAX_AXES, len(variances))))
        floor = 1e-6 * max(float(variances.mean()), 1e-12)
        along = (vectors - mean) @ axes[:kept].T
        parts = int(np.clip(len(vectors) // VECTORS_PER_PART, 1, MAX_PARTS))
        with config_context(array_api_dispatch=False), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # close is good enough; vectors may be equal
            mixture = GaussianMixture(parts, init_params="k-means++", reg_covar=10 * floor, max_iter=ROUNDS, random_state=seed).fit(
                along
            )
        others = vectors.shape[1] - kept
        rest = max(floor, float(variances[kept:].sum()) / others) if others else floor
        found = {
            "mean": mean,
            "axes": axes[:kept],
            "rest": np.array([rest]),
            "weights": mixture.weights_,
            "centers": mixture.means_,
            "factors": np.linalg.cholesky(mixture.covariances_),
        }
        return cls(**{name: array.astype(np.float32) for name, array in found.items()})

    def sample(self, count: int, seed: int = 0) -> Array:
        """Draw vectors `(count, d)` float32, along the axes only: what these leave out is mostly noise."""
        rng = np.random.default_rng(seed)
        part = rng.choice(len(self.weights), count, p=self.weights.astype(np.float64) / self.weights.sum(dtype=np.float64))
        along = self.centers[part] + np.einsum("nij,nj->ni", self.factors[part], rng.standard_normal((count, self.axes.shape[0])))
        return np.asarray(self.mean + along @ self.axes, np.float32)

    def surprise(self, vectors: Array) -> Numbers:
        """Return how unlikely vectors `(n, d)` are: minus the logarithm of the density, in nats, `(n,)`."""
        offsets = vectors.astype(np.float64) - self.mean
        along = offsets @ self.axes.T  # (n, r)
        left = np.square(offsets - along @ self.axes).sum(1)  # not a difference of squares, whose rounding the rest would magnify
        rest = float(self.rest[0])
        others = self.axes.shape[1] - self.axes.shape[0]
        parts = []
        for weight, center, factor in zip(self.weights, self.centers, self.factors, strict=True):
            whitened = np.linalg.solve(factor.astype(np.float64), (along - center).T)  # (r, n)
            log_volume = np.log(np.diag(factor)).sum() + 0.5 * along.shape[1] * np.log(2 * np.pi)
            parts.append(np.log(weight) - log_volume - 0.5 * np.square(whitened).sum(0))
        return np.asarray(0.5 * (left / rest + others * np.log(2 * np.pi * rest)) - np.logaddexp.reduce(parts, axis=0))


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

    @classmethod
    def tensor_names(cls) -> set[str]:
        """Return the names that its arrays have in a model file."""
        return {*(f"density.{name}" for name in MOMENTS), *(f"mixture.{field.name}" for field in fields(Mixture))}

    def to_tensors(self) -> dict[str, Array]:
        """Return its arrays by those names; `from_tensors` reads them."""
        arrays = {f"density.{name}": getattr(self, name) for name in MOMENTS}
        return arrays | {f"mixture.{field.name}": getattr(self.mixture, field.name) for field in fields(Mixture)}

    @classmethod
    def from_tensors(cls, arrays: dict[str, Array], numbers: int) -> CodeDensity:
        """Return the density of arrays by name, for codes of so many numbers.

        Raises:
            ModelFileError: If a shape does not fit, or a variance or a weight is not positive.
        """
        moments = {name: arrays[f"density.{name}"] for name in MOMENTS}
        mixed = {field.name: arrays[f"mixture.{field.name}"] for field in fields(Mixture)}
        parts, kept = mixed["weights"].shape[:1], mixed["axes"].shape[:1]
        shapes = {"mean": (numbers + 1,), "axes": (*kept, numbers + 1), "rest": (1,), "weights": parts, "centers": (*parts, *kept)}
        for group, wanted in (
            (moments, {"mean": (numbers,), "deviations": (numbers,), "smallest": (1,)}),
            (mixed, {**shapes, "factors": (*parts, *kept, *kept)}),
        ):
            for name, shape in wanted.items():
                if group[name].shape != shape:
                    raise ModelFileError(f"the density's {name} has shape {group[name].shape}, and {shape} fits the code")
        diagonals = np.diagonal(mixed["factors"], axis1=1, axis2=2)
        if not diagonals.size:
            raise ModelFileError("the density has no parts")
        if min(mixed["rest"][0], moments["smallest"][0], mixed["weights"].min(), diagonals.min()) <= 0:
            raise ModelFileError("the density's variances and weights are not all positive")
        return cls(**moments, mixture=Mixture(**mixed))

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
