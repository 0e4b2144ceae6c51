"""Batches on the device: images of a dataset as floats, whole or cropped from larger ones."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from isthmus.datasets import Dataset, Patches
from isthmus.imaging.arrays import to_unit


class Batches(Protocol):
    """Images by number."""

    def batch(self, numbers: Tensor, seed: int) -> Tensor:
        """Return the images of some numbers `(B,)`, `(B, C, H, W)` float32 in [0, 1]; the same seed gives the same."""


def make_batches(dataset: Dataset | Patches, device: torch.device) -> Batches:
    """Return what supplies a data set's images on a device."""
    return _Cut(dataset, device) if isinstance(dataset, Patches) else _WholeImages(dataset, device)


class _WholeImages:
    """All images on the device, as bytes where they are bytes: a batch is a slice, and nothing is read twice."""

    def __init__(self, dataset: Dataset, device: torch.device):
        images = dataset.images
        self.images = torch.tensor(images if images.dtype == "uint8" else to_unit(images)).to(device)

    def batch(self, numbers: Tensor, seed: int) -> Tensor:
        """Return whole images; there is no chance in it."""
        chosen = self.images.index_select(0, numbers)  # ten times faster than images[numbers]
        return chosen.div(255) if chosen.dtype == torch.uint8 else chosen  # float32 in one pass


class _Cut:
    """Squares cut from pictures of any size."""

    def __init__(self, patches: Patches, device: torch.device):
        self.patches, self.device = patches, device

    def batch(self, numbers: Tensor, seed: int) -> Tensor:
        """Return squares."""
        return torch.from_numpy(to_unit(self.patches.cut(numbers.tolist(), seed))).to(self.device)
