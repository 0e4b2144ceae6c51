"""Strips: a picture passes through a network from top to bottom, some rows at a time, and next to nothing is computed twice.

Tiles must overlap by all that a pixel depends on, on each side: 68 pixels for the photographic network. In strips, each layer keeps
the few rows that it needs again, so what comes out is late by some rows, and the last strip brings the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor


class Whole:
    """Passes a whole picture through layers."""

    def through(self, layer: Callable[[Tensor], Tensor], x: Tensor, radius: int) -> Tensor:
        """Return what a layer makes of rows `(B, C, h, W)`; a row of it depends on `radius` rows above and as many below."""
        return layer(x)

    def waiting(self, key: Hashable, x: Tensor, count: int) -> Tensor:
        """Return the first `count` rows of those that came and were not yet taken."""
        return x

    def pairs(self, key: Hashable, x: Tensor) -> Tensor:
        """Return the rows that came and were not yet taken; in all but the last strip, an even number of them."""
        return x


class Strips(Whole):
    """Passes a picture through layers in strips. One object serves one picture, and one pass through the network."""

    def __init__(self) -> None:
        self.last = False
        """Whether what passes now is the last strip."""
        self._kept: dict[Hashable, Tensor] = {}

    def through(self, layer: Callable[[Tensor], Tensor], x: Tensor, radius: int) -> Tensor:
        """Return the rows that a layer gives once those of this strip have come."""
        above = self._kept.get(layer)
        x = x if above is None else torch.cat((above, x), 2)
        self._keep(layer, x[:, :, -2 * radius :])
        return layer(x)[:, :, 0 if above is None else radius : None if self.last else -radius]

    def waiting(self, key: Hashable, x: Tensor, count: int) -> Tensor:
        """Return the first `count` rows of those that came and were not yet taken."""
        x = torch.cat((self._kept[key], x), 2) if key in self._kept else x
        self._keep(key, x[:, :, count:])
        return x[:, :, :count]

    def pairs(self, key: Hashable, x: Tensor) -> Tensor:
        """Return the rows that came and were not yet taken; in all but the last strip, an even number of them."""
        count = x.shape[2] + (self._kept[key].shape[2] if key in self._kept else 0)
        return self.waiting(key, x, count if self.last else count // 2 * 2)

    def _keep(self, key: Hashable, rows: Tensor) -> None:
        if not self.last:
            self._kept[key] = rows.clone()  # a part of a strip would keep all of it in memory
