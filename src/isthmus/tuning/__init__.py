"""Tuning hyperparameters: the recipe with the smallest error for its code size."""

from isthmus.tuning.frontier import Tried, Tuned, choose, find_frontier
from isthmus.tuning.search import Search
from isthmus.tuning.tune import tune

__all__ = ["Search", "Tried", "Tuned", "choose", "find_frontier", "tune"]
