"""A mixture of normal distributions over vectors of any length: fitted by scikit-learn, drawn from and measured with NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.imaging.arrays import Array

Numbers = NDArray[np.float64]

MAX_AXES = 64
MAX_PARTS = 40
VECTORS_PER_PART = 200
ROUNDS = 8
"""Of expectation and maximization: fifty fit the vectors better, and tell strange ones worse (docs/experiments.md)."""


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
        from scipy.linalg import solve_triangular
        from scipy.special import logsumexp

        offsets = vectors.astype(np.float64) - self.mean
        along = offsets @ self.axes.T  # (n, r)
        left = np.square(offsets - along @ self.axes).sum(1)  # not a difference of squares, whose rounding the rest would magnify
        rest = float(self.rest[0])
        others = self.axes.shape[1] - self.axes.shape[0]
        parts = []
        for weight, center, factor in zip(self.weights, self.centers, self.factors, strict=True):
            whitened = solve_triangular(factor.astype(np.float64), (along - center).T, lower=True)  # (r, n)
            log_volume = np.log(np.diag(factor)).sum() + 0.5 * along.shape[1] * np.log(2 * np.pi)
            parts.append(np.log(weight) - log_volume - 0.5 * np.square(whitened).sum(0))
        return np.asarray(0.5 * (left / rest + others * np.log(2 * np.pi * rest)) - logsumexp(parts, axis=0))
