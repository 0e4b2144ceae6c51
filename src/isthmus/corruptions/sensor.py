"""What cameras and film do: noise as a sensor makes it and a camera's own processing shapes it, grain, sharpening."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

from isthmus.corruptions.base import Corruption, Range, draw, ends_of, lies_within
from isthmus.corruptions.camera import blur_each
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from torch import Generator, Tensor

POWER = (1.8, 2.6)
"""The curve between a file's values and light: light is the value to this power. sRGB's is close to 2.2."""

GAINS = (1.2, 2.6)
"""By how much a camera multiplies red and blue, so that white is white."""

EXPOSURE = (0.5, 1.0)
"""Share of the sensor's range that white takes."""

SMOOTHING = {"lightness": (0.0, 0.8), "color": (0.0, 2.0)}
"""Blur of the noise, in pixels, by a camera that smooths: color more than lightness."""


@dataclass(frozen=True)
class CameraNoise(Corruption):
    """Photograph the image again, with a noisy sensor; what is wanted is the same photograph without the noise.

    The image's values become light, in the camera's own color balance; each of the sensor's pixels sees one color (a Bayer
    mosaic), with noise of variance `shot * light + read**2` and, from row to row, an offset; the missing colors are interpolated;
    in some cameras the noise is smoothed; balance and curve are put back. A gray image has no mosaic; smoothing stands for it.

    Source: Brooks et al. (2019), Unprocessing images for learned raw denoising, for the steps; Foi et al. (2008) for the variance;
    Malvar et al. (2004) for the interpolation; Wei et al. (2020) for rows; Guo et al. (2019), CBDNet, for learning from it.
    """

    name: ClassVar = "camera-noise"

    shot: Range = (3e-5, 2e-2)
    """Variance of the photons' noise where the light is 1; each image gets one of a pair's, drawn evenly in the logarithm."""
    read: Range = (1e-4, 1e-2)
    """Standard deviation of the sensor's own noise, in light; drawn in the same way."""
    rows: float = 0.1
    """Standard deviation of a row's offset, as a share of `read`."""
    mosaic: float = 0.75
    """Share of the images that are mosaicked, in [0, 1]."""
    smoothed: float = 0.5
    """Share of the images whose noise the camera smooths, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        if not (lies_within(self.shot, 1e-9, 10) and lies_within(self.read, 1e-9, 10) and 0 <= self.rows <= 10):
            raise UsageError(
                f"Camera noise takes shot and read from 1e-9 to 10, or pairs of them, and rows from 0 to 10, not {self}."
            )
        if not (0 <= self.mosaic <= 1 and 0 <= self.smoothed <= 1):
            raise UsageError(f"The shares of camera noise, mosaic and smoothed, lie between 0 and 1, not {self}.")

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return both as the camera gives them, the first with its noise; what is wanted in another size stays as it is."""
        import torch

        batch, channels = damaged.shape[:2]
        power = draw(POWER, damaged, generator)
        gains = damaged.new_ones((batch, channels, 1, 1))
        gains *= draw(EXPOSURE, damaged, generator)
        if channels == 3:
            gains[:, 0:1] /= draw(GAINS, damaged, generator)
            gains[:, 2:3] /= draw(GAINS, damaged, generator)
        light = damaged.clamp(0, 1) ** power * gains  # (B, C, H, W), of the sensor
        same = wanted.shape == damaged.shape
        aim = light if wanted is damaged or not same else wanted.clamp(0, 1) ** power * gains
        shot, read = (draw(value, damaged, generator, log=True) for value in (self.shot, self.read))
        noise = damaged.new_empty(damaged.shape).normal_(generator=generator) * (shot * light + read**2).sqrt()
        noise += self.rows * read * damaged.new_empty((*damaged.shape[:3], 1)).normal_(generator=generator)
        if channels == 3:
            mosaicked = _some(self.mosaic, damaged, generator)
            phase = torch.randint(4, (1,), generator=generator, device=damaged.device).item()
            light, aim, noise = (
                torch.where(mosaicked, demosaic(part, int(phase)), part) if self.mosaic else part for part in (light, aim, noise)
            )

        def developed(part: Tensor) -> Tensor:
            return (part / gains).clamp(0, 1) ** (1 / power)

        clean = developed(light)
        difference = developed(light + noise) - clean
        if self.smoothed:
            smoothed = _some(self.smoothed, damaged, generator)
            difference = torch.where(smoothed, _smoothed(difference, generator), difference)
        return (clean + difference).clamp(0, 1), developed(aim) if same else wanted


def _some(share: float, batch: Tensor, generator: Generator) -> Tensor:
    """Return which images of a batch are among a share of them, `(B, 1, 1, 1)` bool."""
    return batch.new_empty((len(batch), 1, 1, 1)).uniform_(generator=generator) < share


def _smoothed(noise: Tensor, generator: Generator) -> Tensor:
    """Return noise `(B, C, H, W)` blurred: what all channels share by a little, what differs between them by more."""
    shared = noise.mean(1, keepdim=True)
    lightness, color = (draw(sigmas, noise, generator) for sigmas in SMOOTHING.values())
    smooth = blur_each(shared, lightness.flatten(), SMOOTHING["lightness"][1]).expand_as(noise)
    return smooth if noise.shape[1] == 1 else smooth + blur_each(noise - shared, color.flatten(), SMOOTHING["color"][1])


def demosaic(light: Tensor, phase: int = 0) -> Tensor:
    """Return RGB images `(B, 3, H, W)` as a sensor with a Bayer mosaic sees them: one color a pixel, the others interpolated.

    Linear, so that the noise may go through it apart from the image.

    Args:
        light: Linear RGB.
        phase: Which of the four places of a 2 x 2 square of pixels is red: 0 to 3, row by row.

    Source: Malvar, He and Cutler (2004), High-quality linear interpolation for demosaicing of Bayer-patterned color images.
    """
    import torch
    from torch.nn import functional

    height, width = light.shape[-2:]
    down, right = divmod(phase, 2)
    rows = ((torch.arange(height, device=light.device) - down) % 2)[:, None]
    columns = ((torch.arange(width, device=light.device) - right) % 2)[None]
    red, blue = (rows == 0) & (columns == 0), (rows == 1) & (columns == 1)
    green_by_red, green_by_blue = (rows == 0) & (columns == 1), (rows == 1) & (columns == 0)
    seen = torch.where(red, light[:, 0], torch.where(blue, light[:, 2], light[:, 1]))[:, None]  # (B, 1, H, W): the mosaic
    padded = functional.pad(seen, (2, 2, 2, 2), mode="reflect" if min(height, width) > 2 else "replicate")
    at_green, along_row, along_column, across = functional.conv2d(padded, seen.new_tensor(_malvar())).unbind(1)
    own = seen[:, 0]
    return torch.stack(
        [
            torch.where(red, own, torch.where(green_by_red, along_row, torch.where(green_by_blue, along_column, across))),
            torch.where(red | blue, at_green, own),
            torch.where(blue, own, torch.where(green_by_blue, along_row, torch.where(green_by_red, along_column, across))),
        ],
        1,
    )


@lru_cache
def _malvar() -> list[list[list[list[float]]]]:
    """Return the four filters `(4, 1, 5, 5)`: green at red or blue; another color at green, in its row or its column; across."""
    cross = [(0, 2), (2, 0), (2, 4), (4, 2)]
    near, diagonal = [(1, 2), (2, 1), (2, 3), (3, 2)], [(1, 1), (1, 3), (3, 1), (3, 3)]

    def filled(middle: float, *others: tuple[float, list[tuple[int, int]]]) -> list[list[list[float]]]:
        weights = [[0.0] * 5 for _ in range(5)]
        weights[2][2] = middle / 8
        for value, places in others:
            for row, column in places:
                weights[row][column] = value / 8
        return [weights]

    in_row = filled(5, (4, [(2, 1), (2, 3)]), (-1, [*diagonal, (2, 0), (2, 4)]), (0.5, [(0, 2), (4, 2)]))
    in_column = [[list(row) for row in zip(*in_row[0], strict=True)]]
    return [filled(4, (2, near), (-1, cross)), in_row, in_column, filled(6, (2, diagonal), (-1.5, cross))]


@dataclass(frozen=True)
class FilmGrain(Corruption):
    """Add grain as film has it: blurred noise, shared by the channels or not, stronger in the dark or the same everywhere.

    Source: Newson et al. (2017), Realistic film grain rendering, for what grain depends on; here a normal field with a bell's blur.
    """

    name: ClassVar = "film-grain"

    std: Range = (0.005, 0.1)
    """Standard deviation, where the image's range is [0, 1]; of a pair, each image gets one of its own, evenly in the logarithm."""
    size: Range = (0.3, 1.4)
    """Standard deviation of the blur, in pixels: how large the grains are."""
    color: Range = (0.0, 1.0)
    """Share of the variance that is each channel's own, in [0, 1]: 0 is grain of black-and-white film."""
    dark: Range = (0.0, 1.0)
    """By which share it is weaker in white than in black, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        fits = lies_within(self.std, 1e-6, 10) and lies_within(self.size, 0, 10)
        if not (fits and lies_within(self.color, 0, 1) and lies_within(self.dark, 0, 1)):
            raise UsageError(
                f"Film grain takes a std above 0, a size from 0 to 10 pixels, and color and dark from 0 to 1, or pairs; not {self}."
            )

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch with grain, clipped."""
        std = draw(self.std, clean, generator, log=True)
        size, color, dark = (draw(value, clean, generator) for value in (self.size, self.color, self.dark))
        shared = clean.new_empty((len(clean), 1, *clean.shape[2:])).normal_(generator=generator)
        own = clean.new_empty(clean.shape).normal_(generator=generator)
        noise = (1 - color).sqrt() * shared + color.sqrt() * own if clean.shape[1] > 1 else shared
        grain = blur_each(noise, size.flatten(), ends_of(self.size)[1], unit_variance=True)
        brightness = clean.mean(1, keepdim=True).clamp(0, 1)
        return (clean + std * (1 - dark * brightness) * grain).clamp(0, 1)


@dataclass(frozen=True)
class Sharpen(Corruption):
    """Sharpen as cameras do, with an unsharp mask: what is wanted is sharpened too, and noise gets stronger."""

    name: ClassVar = "sharpen"

    amount: Range = (0.0, 1.0)
    """How much of the difference from a blurred image is added."""
    sigma: Range = (0.5, 1.5)
    """Standard deviation of that blur, in pixels."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        if not (lies_within(self.amount, 0, 10) and lies_within(self.sigma, 0, 20)):
            raise UsageError(f"Sharpening takes an amount from 0 to 10 and a sigma from 0 to 20 pixels, or pairs; not {self}.")

    def degrade(self, damaged: Tensor, wanted: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return both, sharpened in the same way and clipped."""
        amount, sigma = draw(self.amount, damaged, generator), draw(self.sigma, damaged, generator).flatten()
        widest = ends_of(self.sigma)[1]
        given, aim = (part + amount * (part - blur_each(part, sigma, widest)) for part in (damaged, wanted))
        return given.clamp(0, 1), aim.clamp(0, 1)
