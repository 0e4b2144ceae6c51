"""The results of a tuning: the frontier of code size against error, and the choice of a point on it.

Source: Satopää et al. (2011) for the knee.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from isthmus.recipes import Recipe


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A recipe whose training came to its end."""

    recipe: Recipe
    numbers: int
    """Numbers in the code of one image."""
    choosing_mse: float
    """Mean squared error on the images by which recipes are chosen, a tenth of the training images that trials do not see."""
    mse: float
    """Mean squared error on the test images, which neither training nor choice has seen."""
    seconds: float
    """Time for the training and its measuring."""

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {**asdict(self), "recipe": self.recipe.to_json()}


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a tuning has found."""

    chosen: Tried
    """The one whose recipe is written."""
    frontier: tuple[Tried, ...]
    """Those that none with as few numbers or fewer does better than, by `choosing_mse`; ascending in numbers."""
    tried: tuple[Tried, ...]
    """All whose trainings came to their end."""
    ended_early: int
    """Trials that lagged behind or diverged."""
    pca_mse: dict[int, float]
    """Mean squared error of principal components on the test images, by their number."""
    seconds: float
    """Time for all trials, those before a resume included."""
    skipped: tuple[str, ...] = ()
    """The files that could not be read."""

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "chosen": self.chosen.to_json(),
            "frontier": [tried.to_json() for tried in self.frontier],
            "tried": [tried.to_json() for tried in self.tried],
            "ended_early": self.ended_early,
            "pca_mse": {str(numbers): error for numbers, error in self.pca_mse.items()},
            "seconds": round(self.seconds, 1),
            "skipped": list(self.skipped),
        }


def find_frontier(tried: Iterable[Tried]) -> list[Tried]:
    """Return those that none with as few numbers or fewer does better than, ascending in numbers."""
    best: list[Tried] = []
    for candidate in sorted(tried, key=lambda candidate: (candidate.numbers, candidate.choosing_mse)):
        if not best or candidate.choosing_mse < best[-1].choosing_mse:
            best.append(candidate)
    return best


def choose(frontier: Sequence[Tried], code: int = 0) -> Tried:
    """Return the best of a frontier with at most `code` numbers; without it, the knee.

    The knee is the point farthest below the straight line between the frontier's ends, where errors are drawn against the
    logarithm of the numbers; where no point is below it, the end with the smallest error.
    """
    if code:
        return [tried for tried in frontier if tried.numbers <= code][-1]
    x, y = np.log([tried.numbers for tried in frontier]), np.array([tried.choosing_mse for tried in frontier])
    across, down = (x - x[0]) / ((x[-1] - x[0]) or 1), (y[0] - y) / ((y[0] - y[-1]) or 1)
    return frontier[max(range(len(frontier)), key=lambda index: (round(down[index] - across[index], 9), index))]
