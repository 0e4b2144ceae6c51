"""Corruptions of cameras and film: blur, no color, sensor noise and its processing, grain, sharpening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from isthmus.corruptions.base import Corruption, Range, draw, ends_of, lies_within
from isthmus.errors import UsageError
from isthmus.imaging.color import gray_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

POWER = (1.8, 2.6)
"""The curve between a file's values and light: light is the value to this power. sRGB's is close to 2.2."""

GAINS = (1.2, 2.6)
"""By how much a camera multiplies red and blue, so that white is white."""

EXPOSURE = (0.5, 1.0)
"""Share of the sensor's range that white takes."""

SATURATION = (1.0, 2.5)
"""By how much a camera multiplies the differences between the colors that its sensor sees, which overlap; the noise's as well."""

SMOOTHING = {"lightness": (0.3, 1.1), "color": (0.6, 3.4)}
"""Blur of the noise, in pixels, by a camera that smooths: color more than lightness. The noise of real JPEGs is correlated from
pixel to pixel as by 0.65 and 2 to 3.2 (the crops of Nam et al., 2016)."""

SHIFT_SIGMA = 3.0
"""Pixels over which noise is averaged to know by how much it brightens or darkens a picture: its mean over some hundred."""


@dataclass(frozen=True)
class Grayscale(Corruption):
    """Take the color away: the gray of the same lightness (CIELAB's L) is left.

    Source: Zhang, Isola and Efros (2016), who predict a and b from L.
    """

    name: ClassVar = "grayscale"

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the batch in gray, `(B, 1, H, W)`; of channels that are not RGB, the mean."""
        return gray_of(clean) if clean.shape[1] == 3 else clean.mean(1, keepdim=True)

    def input_channels(self, channels: int) -> int:
        """Return 1."""
        return 1

    def to_model_input(self, damaged: Tensor) -> Tensor:
        """Return RGB's gray, and anything else as it is."""
        return gray_of(damaged) if damaged.shape[1] == 3 else damaged


@dataclass(frozen=True)
class Blur(Corruption):
    """Blur with a normal distribution's bell."""

    name: ClassVar = "blur"

    sigma: Range = 1.5
    """Standard deviation of the bell, in pixels; of a pair, each image gets one of its own, drawn evenly."""

    def __post_init__(self) -> None:
        """Check the strength."""
        if not lies_within(self.sigma, 0, 100):
            raise UsageError(f"The sigma of a blur must be between 0 and 100 pixels, or a pair (low, high), not {self.sigma}.")

    def damage(self, clean: Tensor, generator: Generator) -> Tensor:
        """Return the blurred batch; beyond the edges the image goes on as its last pixel."""
        return blur_each(clean, draw(self.sigma, clean, generator).flatten(), ends_of(self.sigma)[1])


def blur_each(images: Tensor, sigmas: Tensor, widest: float, *, unit_variance: bool = False) -> Tensor:
    """Return images `(B, C, H, W)` blurred, each with a bell of its own; beyond the edges they go on as their last pixels.

    Args:
        images: The batch.
        sigmas: Standard deviation of each bell, in pixels, `(B,)`.
        widest: The largest that there can be: it says how far the bells are followed.
        unit_variance: Whether the bells are scaled so that the variance of white noise stays, instead of the mean.
    """
    import torch
    from torch.nn import functional

    batch, channels, height, width = images.shape
    receptive_radius = int(np.ceil(3 * widest))
    steps = torch.arange(-receptive_radius, receptive_radius + 1, dtype=images.dtype, device=images.device)
    bells = torch.exp(-0.5 * (steps / sigmas[:, None].clamp(min=1e-3)) ** 2)  # (B, 2 reach + 1)
    bells = bells / (bells.square().sum(1, keepdim=True).sqrt() if unit_variance else bells.sum(1, keepdim=True))
    bells = bells.repeat_interleave(channels, 0)[:, None]
    x = functional.pad(images, (receptive_radius,) * 4, mode="replicate").flatten(0, 1)[
        None
    ]  # each channel of each image has its own bell
    x = functional.conv2d(x, bells[:, :, :, None], groups=batch * channels)
    x = functional.conv2d(x, bells[:, :, None, :], groups=batch * channels)
    return x.reshape(batch, channels, height, width)


@dataclass(frozen=True)
class CameraNoise(Corruption):
    """Photograph the image again, with a noisy sensor; what is wanted is the mean of many such photographs.

    The image's values become light, in the camera's own color balance; each of the sensor's pixels sees one color (a Bayer
    mosaic), with noise of variance `shot * light + read**2` and, from row to row, an offset; the missing colors are interpolated;
    in some cameras the noise is smoothed; color, balance and curve are put back. A gray image has no mosaic. The curve makes noise
    darken a picture, and black, below which nothing is, makes it brighten one: it does so in the mean as well, so that what is
    learned does not change the brightness.

    Source: Brooks et al. (2019), Unprocessing images for learned raw denoising, for the steps; Foi et al. (2008) for the variance;
    Malvar et al. (2004) for the interpolation; Wei et al. (2020) for rows; Guo et al. (2019), CBDNet, for learning from it.
    """

    name: ClassVar = "camera-noise"

    shot: Range = (5e-5, 3e-2)
    """Variance of the photons' noise where the light is 1; each image gets one of a pair's, drawn evenly in the logarithm."""
    read: Range = (1e-4, 2e-2)
    """Standard deviation of the sensor's own noise, in light; drawn in the same way."""
    rows: float = 0.1
    """Standard deviation of a row's offset, as a share of `read`."""
    mosaic: float = 0.75
    """Share of the images that are mosaicked, in [0, 1]."""
    smoothed: float = 0.7
    """Share of the images whose noise the camera smooths, in [0, 1]."""

    def __post_init__(self) -> None:
        """Check the strengths."""
        if not (lies_within(self.shot, 1e-9, 10) and lies_within(self.read, 1e-9, 10) and 0 <= self.rows <= 10):
            raise UsageError(
                f"Camera noise takes shot and read from 1e-9 to 10, or pairs of them, and rows from 0 to 10, not {self}."
            )
        if not (0 <= self.mosaic <= 1 and 0 <= self.smoothed <= 1):
            raise UsageError(f"The shares of camera noise, mosaic and smoothed, must be between 0 and 1, not {self}.")

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
        saturation = draw(SATURATION, damaged, generator) if channels == 3 else 1.0

        def exposed(part: Tensor) -> Tensor:
            return _spread(part.clamp(0, 1) ** power, 1 / saturation) * gains  # light on the sensor, (B, C, H, W)

        def developed(part: Tensor) -> Tensor:
            return _spread(part / gains, saturation).clamp(0, 1) ** (1 / power)

        same = wanted.shape == damaged.shape
        light = exposed(damaged)
        aim = light if wanted is damaged or not same else exposed(wanted)
        shot, read = (draw(value, damaged, generator, log=True) for value in (self.shot, self.read))
        noise = damaged.new_empty(damaged.shape).normal_(generator=generator) * (shot * light + read**2).sqrt()
        noise += self.rows * read * damaged.new_empty((*damaged.shape[:3], 1)).normal_(generator=generator)
        if channels == 3:
            mosaicked = _some(self.mosaic, damaged, generator)
            phase, kind = torch.randint(4, (2,), generator=generator, device=damaged.device).tolist()
            method = list(INTERPOLATIONS)[kind % 2]
            light, aim, noise = (torch.where(mosaicked, demosaic(part, phase, method), part) for part in (light, aim, noise))
        clean = developed(light)
        difference = developed(light + noise) - clean
        shift = (difference + developed(light - noise) - clean) / 2  # what noise of either sign has in common
        shift = blur_each(shift, shift.new_full((batch,), SHIFT_SIGMA), SHIFT_SIGMA)
        if self.smoothed:
            smoothed = _some(self.smoothed, damaged, generator)
            difference = torch.where(smoothed, _smoothed(difference, generator), difference)
        return (clean + difference).clamp(0, 1), (developed(aim) + shift).clamp(0, 1) if same else wanted


def _some(share: float, batch: Tensor, generator: Generator) -> Tensor:
    """Return which images of a batch are among a share of them, `(B, 1, 1, 1)` bool."""
    return batch.new_empty((len(batch), 1, 1, 1)).uniform_(generator=generator) < share


def _smoothed(noise: Tensor, generator: Generator) -> Tensor:
    """Return noise `(B, C, H, W)` blurred: what all channels share by a little, what differs between them by more."""
    shared = noise.mean(1, keepdim=True)
    lightness, color = (draw(sigmas, noise, generator) for sigmas in SMOOTHING.values())
    smooth = blur_each(shared, lightness.flatten(), SMOOTHING["lightness"][1]).expand_as(noise)
    return smooth if noise.shape[1] == 1 else smooth + blur_each(noise - shared, color.flatten(), SMOOTHING["color"][1])


def _spread(light: Tensor, by: Tensor | float) -> Tensor:
    """Return RGB with the differences from the mean of its channels multiplied; of one channel, that channel."""
    if light.shape[1] == 1:
        return light
    mean = light.mean(1, keepdim=True)
    return mean + (light - mean) * by


def demosaic(light: Tensor, phase: int = 0, method: str = "malvar") -> Tensor:
    """Return RGB images `(B, 3, H, W)` as a sensor with a Bayer mosaic sees them: one color a pixel, the others interpolated.

    Linear, so that the noise may go through it apart from the image.

    Args:
        light: Linear RGB.
        phase: Which of the four places of a 2 x 2 square of pixels is red: 0 to 3, row by row.
        method: "bilinear", or "malvar", which uses the color that is seen at a place as well.

    Source: Malvar, He and Cutler (2004), High-quality linear interpolation for demosaicing of Bayer-patterned color images.
    """
    import torch
    from torch.nn import functional

    height, width = light.shape[-2:]
    down, right = divmod(phase, 2)
    rows = ((torch.arange(height, device=light.device) - down) % 2)[:, None]
    columns = ((torch.arange(width, device=light.device) - right) % 2)[None]
    red, blue = (rows == 0) & (columns == 0), (rows == 1) & (columns == 1)
    green_by_red = (rows == 0) & (columns == 1)  # the other green stands in blue's rows
    seen = torch.where(red, light[:, 0], torch.where(blue, light[:, 2], light[:, 1]))[:, None]  # (B, 1, H, W): the mosaic
    padded = functional.pad(seen, (2, 2, 2, 2), mode="reflect" if min(height, width) > 2 else "replicate")
    green, in_row, in_column, across = functional.conv2d(padded, seen.new_tensor(INTERPOLATIONS[method])).unbind(1)
    own = seen[:, 0]
    by_red, by_blue = torch.where(green_by_red, in_row, in_column), torch.where(green_by_red, in_column, in_row)
    return torch.stack(
        [
            torch.where(red, own, torch.where(blue, across, by_red)),
            torch.where(red | blue, green, own),
            torch.where(blue, own, torch.where(red, across, by_blue)),
        ],
        1,
    )


def _filters(own: Sequence[float], *others: tuple[str, Sequence[float]]) -> list[list[list[list[float]]]]:
    """Return four filters `(4, 1, 5, 5)`: green at red or blue; another color at green, in its row or its column; and across.

    Args:
        own: Weight of the place itself in the first, the second and third, and the last.
        others: Places, as marked in `_PLACES`, and their weights in all four.
    """
    middle = [own[0], own[1], own[1], own[2]]
    weights = dict(others)
    return [
        [[[middle[k] if mark == "." else weights.get(mark, (0.0,) * 4)[k] for mark in row] for row in _PLACES]] for k in range(4)
    ]


_PLACES = ("  N  ", " xnx ", "Ww.wW", " xnx ", "  N  ")
"""Where the places of a 5 x 5 filter lie: beside (w, n), two away (W, N), diagonal (x)."""

INTERPOLATIONS = {
    "bilinear": _filters((0, 0, 0), ("w", (1 / 4, 1 / 2, 0, 0)), ("n", (1 / 4, 0, 1 / 2, 0)), ("x", (0, 0, 0, 1 / 4))),
    "malvar": _filters(
        (4 / 8, 5 / 8, 6 / 8),
        *(("w", (2 / 8, 4 / 8, 0, 0)), ("n", (2 / 8, 0, 4 / 8, 0)), ("x", (0, -1 / 8, -1 / 8, 2 / 8))),
        *(("W", (-1 / 8, -1 / 8, 1 / 16, -1.5 / 8)), ("N", (-1 / 8, 1 / 16, -1 / 8, -1.5 / 8))),
    ),
}
"""How a missing color is made of the seen ones around it, by name: filters for its four cases."""


@dataclass(frozen=True)
class FilmGrain(Corruption):
    """Add grain as film has it: blurred noise, in all channels alike or in each its own.

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
    """Sharpen as cameras do, with an unsharp mask: what is wanted as well, but the noise gets stronger by it."""

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
