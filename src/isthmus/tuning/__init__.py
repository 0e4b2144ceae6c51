"""Tuning: which recipe has the smallest error for its size of code."""

from isthmus.tuning.frontier import Tried, Tuned, choose, find_frontier
from isthmus.tuning.search import Search
from isthmus.tuning.tune import tune

__all__ = ["Search", "Tried", "Tuned", "choose", "find_frontier", "tune"]
