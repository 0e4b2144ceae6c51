"""What a model learns from and is measured on: clean images, and what has become of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isthmus.images import Array


@dataclass(frozen=True)
class Example:
    """Some images."""

    clean: Array
    """`(n, C, H, W)` floats, as the model should give them."""
    damaged: Array
    """`(n, C', h, w)`, as a person would have them."""
    seen: Array
    """`(n, C'', H, W)`, as the network sees them."""

    @property
    def strength(self) -> float:
        """Root of the mean squared difference between what is seen and what is clean; 0 where they are no images of one kind."""
        if self.seen.shape != self.clean.shape:
            return 0.0
        return float(np.sqrt(np.mean(np.square(self.seen - self.clean))))

    def first(self, count: int) -> Example:
        """Return so many of the images."""
        return Example(self.clean[:count], self.damaged[:count], self.seen[:count])
