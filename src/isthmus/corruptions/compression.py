"""Corruptions of image files: JPEG and WebP artifacts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from isthmus.corruptions.base import Corruption, Range, ends_of, lies_within
from isthmus.errors import UsageError
from isthmus.imaging.arrays import Array

if TYPE_CHECKING:
    from torch import Generator, Tensor

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
"""How JPEG files keep color: at full resolution, at half the columns, at half the rows and columns. Pillow numbers them so."""

GRID = 8
"""Pixels on a side of JPEG's blocks."""


@dataclass(frozen=True)
class Jpeg(Corruption):
    """Compress as JPEG and decode again."""

    name: ClassVar = "jpeg"

    quality: int | tuple[int, int] = 30
    """The encoder's setting, from 1 (coarsest) to 100. Of a pair, each image gets one of its own: the steps to which numbers are
    rounded are as likely to lie between 1 and 2 as between 2 and 4."""
    subsampling: str = "4:2:0"
    """How color is kept: 4:4:4, 4:2:2, 4:2:0, or any of them, 4:2:0 as often as the two others."""
    shifted: float = 0.0
    """Share of the images whose blocks begin anywhere, as if the picture had been cropped since; in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the settings."""
        whole = all(isinstance(quality, int) for quality in ends_of(self.quality))
        if not (whole and lies_within(self.quality, 1, 100)):
            raise UsageError(f"JPEG's quality must be an integer from 1 to 100, or a pair (low, high), not {self.quality}.")
        if self.subsampling not in (*SUBSAMPLINGS, "any"):
            raise UsageError(f"JPEG's subsampling must be one of {', '.join(SUBSAMPLINGS)}, any; not {self.subsampling!r}.")
        if not 0 <= self.shifted <= 1:
            raise UsageError(f"The share of shifted JPEGs must be between 0 and 1, not {self.shifted}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image through an encoder and a decoder in 8 bits."""
        import torch

        coarsest, finest = (_step(int(quality)) for quality in ends_of(self.quality))
        shares = torch.rand(len(clean), generator=generator, device=clean.device).tolist()
        settings = [{"quality": _quality(coarsest ** (1 - share) * finest**share)} for share in shares]
        kinds = [SUBSAMPLINGS.index(self.subsampling)] * len(clean) if self.subsampling in SUBSAMPLINGS else [0, 1, 2, 2]
        shifts = [(0, 0)] * len(clean)
        if self.subsampling == "any":
            drawn = torch.randint(len(kinds), (len(clean),), generator=generator, device=clean.device)
            kinds = [kinds[number] for number in drawn.tolist()]
        if self.shifted:
            moved = torch.rand(len(clean), generator=generator, device=clean.device) < self.shifted
            places = torch.randint(GRID, (len(clean), 2), generator=generator, device=clean.device)
            shifts = [(top, left) for top, left in (places * moved[:, None]).tolist()]
        return _through_files(clean, "JPEG", [s | {"subsampling": kind} for s, kind in zip(settings, kinds, strict=True)], shifts)


def _step(quality: int) -> float:
    """Return to how coarse steps numbers are rounded, in percent of those of quality 50; as libjpeg reckons them."""
    return 5000 / quality if quality < 50 else max(1.0, 200.0 - 2 * quality)


def _quality(step: float) -> int:
    """Return the setting whose steps are nearest."""
    return round(5000 / step if step > 100 else (200 - step) / 2)


@dataclass(frozen=True)
class Webp(Corruption):
    """Compress as WebP with loss and decode again."""

    name: ClassVar = "webp"

    quality: Range = 50
    """The encoder's setting, from 0 to 100; of a pair, each image gets one of its own."""

    def __post_init__(self) -> None:
        """Check the setting."""
        if not lies_within(self.quality, 0, 100):
            raise UsageError(f"WebP's quality must be between 0 and 100, or a pair (low, high), not {self.quality}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch, each image through an encoder and a decoder in 8 bits."""
        import torch

        low, high = ends_of(self.quality)
        shares = torch.rand(len(clean), generator=generator, device=clean.device).tolist()
        settings = [{"quality": round(low + (high - low) * share), "method": 2} for share in shares]
        return _through_files(clean, "WEBP", settings, [(0, 0)] * len(clean))


def _through_files(clean: Tensor, kind: str, settings: list[dict[str, Any]], shifts: list[tuple[int, int]]) -> Tensor:
    """Code each image of `(B, C, H, W)` with settings of its own, its corner moved within a block."""
    import torch

    pixels = clean.clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
    coded = np.stack([_coded(*each, kind) for each in zip(pixels, settings, shifts, strict=True)])
    return torch.from_numpy(coded).to(clean.device).to(clean.dtype) / 255


def _coded(image: Array, settings: dict[str, Any], shift: tuple[int, int], kind: str) -> Array:
    """Code `(C, H, W)` uint8: RGB together, anything else a channel at a time."""
    top, left = shift
    padded = np.pad(image, ((0, 0), (top, 0), (left, 0)), mode="symmetric") if top or left else image

    def through(pixels: Array) -> Array:
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, kind, **settings)
        with Image.open(file) as decoded:
            return np.asarray(decoded.convert("L" if pixels.ndim == 2 else "RGB"))

    result = np.moveaxis(through(np.moveaxis(padded, 0, -1)), -1, 0) if len(image) == 3 else np.stack([*map(through, padded)])
    return result[:, top:, left:]
