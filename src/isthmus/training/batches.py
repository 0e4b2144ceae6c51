"""Batches on the device: images of a dataset as floats, whole or cropped from larger ones, in memory or read again."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from isthmus.datasets import Dataset, Images, Patches
from isthmus.imaging.arrays import Array, to_unit


class Batches(Protocol):
    """Images by number."""

    def batch(self, numbers: Tensor, seed: int) -> Tensor:
        """Return the images of some numbers `(B,)`, `(B, C, H, W)` float32 in [0, 1]; the same seed gives the same."""


def make_batches(dataset: Dataset | Images | Patches, device: torch.device) -> Batches:
    """Return what supplies a data set's images on a device."""
    return _InMemory(dataset, device) if isinstance(dataset, Dataset) else _Cut(dataset, device)


class _InMemory:
    """All images on the device, as bytes where they are bytes: a batch is a slice, and nothing is read twice."""

    def __init__(self, dataset: Dataset, device: torch.device):
        self.images = _compact(dataset.images).to(device)

    def batch(self, numbers: Tensor, seed: int) -> Tensor:
        """Return whole images; there is no chance in it."""
        return _as_floats(self.images.index_select(0, numbers))  # ten times faster than images[numbers]


class _Cut:
    """Images that are read from files, or squares cut from pictures."""

    def __init__(self, dataset: Images | Patches, device: torch.device):
        self.dataset, self.device = dataset, device

    def batch(self, numbers: Tensor, seed: int) -> Tensor:
        """Return images or squares."""
        return _as_floats(_compact(self.dataset.cut(numbers.tolist(), seed)).to(self.device))


def _compact(images: Array) -> Tensor:
    return torch.tensor(images if images.dtype == "uint8" else to_unit(images))


def _as_floats(images: Tensor) -> Tensor:
    return images.div(255) if images.dtype == torch.uint8 else images  # float32 in one pass
