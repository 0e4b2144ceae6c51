"""Learning rate schedules by name; each depends only on the share of the training that is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """One way to set Adam's learning rate and its first beta."""

    betas: tuple[float, float]
    """Adam's betas at the start. A short memory follows a rate that changes within a few thousand steps (docs/experiments.md)."""
    course: Callable[[float, float], tuple[float, float]]
    """From (share done, share of warm-up) to (rate as a share of its peak, first beta)."""


def one_cycle(share: float, warm_up: float) -> tuple[float, float]:
    """Return (height of the rate in [0, 1], floor it starts from or falls to, as a share of the peak).

    The rate rises along a cosine during the share `warm_up` of the training and falls along another to almost nothing.
    Adam's first beta mirrors it.

    Source: Smith and Topin (2018), with the shape and the numbers of torch's OneCycleLR.

    >>> [round(one_cycle(share, 0.15)[0], 2) for share in (0, 0.15, 1)]
    [0.0, 1.0, 0.0]
    """
    if share < warm_up:
        return (1 - math.cos(math.pi * share / warm_up)) / 2, 1 / 25
    return (1 + math.cos(math.pi * min(1.0, (share - warm_up) / (1 - warm_up)))) / 2, 4e-6


def _one_cycle_course(share: float, warm_up: float) -> tuple[float, float]:
    height, floor = one_cycle(share, warm_up)
    return floor + (1 - floor) * height, 0.95 - 0.1 * height


SCHEDULES: dict[str, Schedule] = {
    "one-cycle": Schedule((0.9, 0.99), _one_cycle_course),
    "constant": Schedule((0.9, 0.999), lambda share, warm_up: (1.0, 0.9)),
}
