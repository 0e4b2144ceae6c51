"""Color as people see it: CIELAB's lightness L and the two axes a (green to red) and b (blue to yellow), as tensors.

Source: CIE 1976; sRGB and its white D65 as IEC 61966-2-1 defines them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isthmus.imaging.arrays import Array, from_unit, to_unit

if TYPE_CHECKING:
    from torch import Tensor

RGB_TO_XYZ = (
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)
"""From linear sRGB, in shares of the white's X, Y, Z."""

XYZ_TO_RGB = (
    (3.240479 * 0.95047, -1.537150, -0.498535 * 1.08883),
    (-0.969256 * 0.95047, 1.875992, 0.041556 * 1.08883),
    (0.055648 * 0.95047, -0.204043, 1.057311 * 1.08883),
)

DARK = 6 / 29
"""Of the cube root, below which CIELAB goes on as a line."""


def to_lab(rgb: Tensor) -> Tensor:
    """Return L in [0, 100] and a, b in about [-110, 110], `(B, 3, H, W)`, of sRGB images in [0, 1]."""
    xyz = _mix(RGB_TO_XYZ, _linear(rgb))
    x, y, z = _root(xyz).unbind(1)
    return _stack(116 * y - 16, 500 * (x - y), 200 * (y - z))


def from_lab(lab: Tensor) -> Tensor:
    """Return sRGB images `(B, 3, H, W)` in [0, 1].

    A color that no screen shows loses as much of its chroma as it must, and none of its lightness.
    """
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    roots = _stack(y + a / 500, y, y - b / 200)
    light = _mix(XYZ_TO_RGB, (roots**3).where(roots > DARK, (roots - 4 / 29) * 3 * DARK**2))
    gray = _mix(RGB_TO_XYZ[1:2], light).clamp(0, 1)
    apart = light - gray
    room = (1 - gray).where(apart > 0, gray) / apart.abs().clamp(min=1e-9)  # until a channel is as light or as dark as can be
    return _gamma(gray + apart * room.amin(1, keepdim=True).clamp(max=1)).clamp(0, 1)


def lightness_of(images: Tensor) -> Tensor:
    """Return L in [0, 100], `(B, 1, H, W)`, of sRGB images, or of gray ones; further channels are of no account."""
    light = _linear(images[:, :3] if images.shape[1] >= 3 else images[:, :1])
    return 116 * _root(_mix(RGB_TO_XYZ[1:2], light) if light.shape[1] == 3 else light) - 16


def gray_of(rgb: Tensor) -> Tensor:
    """Return the gray of the same lightness, `(B, 1, H, W)`, of sRGB images."""
    return _gamma(_mix(RGB_TO_XYZ[1:2], _linear(rgb)))


def _root(shares: Tensor) -> Tensor:
    return (shares.clamp(min=1e-9) ** (1 / 3)).where(shares > DARK**3, shares / (3 * DARK**2) + 4 / 29)


def _linear(values: Tensor) -> Tensor:
    return (((values + 0.055).clamp(min=0) / 1.055) ** 2.4).where(values > 0.04045, values / 12.92)


def _gamma(light: Tensor) -> Tensor:
    return (1.055 * light.clamp(min=1e-9) ** (1 / 2.4) - 0.055).where(light > 0.0031308, light * 12.92)


def _mix(matrix: tuple[tuple[float, float, float], ...], channels: Tensor) -> Tensor:
    x, y, z = channels.unbind(1)
    return _stack(*(first * x + second * y + third * z for first, second, third in matrix))


def _stack(*channels: Tensor) -> Tensor:
    from torch import stack

    return stack(channels, 1)


# What follows takes arrays of files, `(H, W, C)` of uint8, uint16 or float32, and is computed by NumPy.

D50_WHITE = (0.96422, 1.0, 0.82521)
"""What files that hold LAB mean by white (ICC.1:2010, TIFF 6.0)."""

RGB_TO_XYZ_D50 = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
"""From linear sRGB to the XYZ of D50, adapted by Bradford's matrix."""


def cmyk_to_rgb(inks: Array) -> tuple[Array, Array]:
    """Return RGB of the inks' type, and the black ink `(H, W)` float32: each ink takes its share of what paper reflects."""
    unit = to_unit(inks)
    black = unit[:, :, 3]
    return from_unit((1 - unit[:, :, :3]) * (1 - black[:, :, None]), inks.dtype), black


def rgb_to_cmyk(rgb: Array, black: Array) -> Array:
    """Return CMYK of the same color, with as much black `(H, W)` as before, or as little as the color needs."""
    unit = to_unit(rgb).clip(0, 1)
    most = np.minimum(black, 1 - unit.max(2))
    paper = (1 - most)[:, :, None]
    inks = 1 - np.divide(unit, paper, out=np.zeros_like(unit), where=paper > 0)
    inks = np.where(paper > 0, inks, 0)
    return from_unit(np.dstack([inks, most]).clip(0, 1), rgb.dtype)


def ycbcr_to_rgb(values: Array) -> Array:
    """Return RGB of JPEG's Y, Cb, Cr in full range (ITU-T T.871)."""
    luma, blue, red = np.moveaxis(to_unit(values), -1, 0)
    blue, red = blue - np.float32(128 / 255), red - np.float32(128 / 255)
    mixed = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
    return from_unit(np.stack(mixed, -1).clip(0, 1), values.dtype)


LAB_ROUNDING = 3
"""By how much a and b of 8 bits change on the way to RGB and back, at most, where no color is lost."""


def lab_to_rgb(values: Array, *, signed: bool) -> Array:
    """Return sRGB of a file's LAB of 8 or 16 bits, in the same type.

    Args:
        values: `(H, W, 3)` uint8 or uint16, as stored.
        signed: Whether a and b are signed, as in TIFF's CIELAB; else their middle is 0, as in ICC's.
    """
    step = 1 if values.dtype == np.uint8 else 256
    lightness = values[:, :, 0].astype(np.float64) * (100 / (255 * step if signed or step == 1 else 0xFF00))
    if signed and step > 1:
        lightness = values[:, :, 0] * (100 / 65535)
    kind = np.int8 if step == 1 else np.int16
    axes = values[:, :, 1:].view(kind).astype(np.float64) / step if signed else values[:, :, 1:] / step - 128.0
    y = (lightness + 16) / 116
    roots = np.stack([y + axes[:, :, 0] / 500, y, y - axes[:, :, 1] / 200], -1)
    xyz = np.where(roots > DARK, roots**3, (roots - 4 / 29) * 3 * DARK**2) * D50_WHITE
    light = (xyz @ np.linalg.inv(RGB_TO_XYZ_D50).T).clip(0, 1)
    return from_unit(np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light), values.dtype)


def rgb_to_lab(rgb: Array, *, signed: bool) -> Array:
    """Return a file's LAB of sRGB uint8 or uint16, in the same type: the inverse of `lab_to_rgb`."""
    unit = to_unit(rgb).astype(np.float64)
    light = np.where(unit > 0.04045, ((unit + 0.055) / 1.055) ** 2.4, unit / 12.92)
    xyz = light @ np.array(RGB_TO_XYZ_D50).T / D50_WHITE
    roots = np.where(xyz > DARK**3, np.cbrt(xyz), xyz / (3 * DARK**2) + 4 / 29)
    step, top = (1, 255) if rgb.dtype == np.uint8 else (256, 65535)
    lightness = (116 * roots[:, :, 1] - 16) * (top if signed or step == 1 else 0xFF00) / 100
    axes = np.stack([500 * (roots[:, :, 0] - roots[:, :, 1]), 200 * (roots[:, :, 1] - roots[:, :, 2])], -1) * step
    axes = np.rint(axes).astype(np.int32) + (0 if signed else 128 * step)
    kept = np.clip(axes, -128 * step, 128 * step - 1) & top if signed else np.clip(axes, 0, top)
    return np.dstack([np.rint(lightness).clip(0, top), kept]).astype(rgb.dtype)


def beyond_srgb(stored: Array, rgb: Array, *, signed: bool) -> bool:
    """Tell whether a file's LAB has colors that its sRGB, as `lab_to_rgb` returns it, lacks: by more than rounding, in a or b."""
    step, kind = (1, np.int8) if rgb.dtype == np.uint8 else (256, np.int16)
    there, back = (
        np.ascontiguousarray(values[:, :, 1:]).view(kind if signed else values.dtype).astype(np.int32)
        for values in (stored, rgb_to_lab(rgb, signed=signed))
    )
    return bool(np.abs(there - back).max(initial=0) > LAB_ROUNDING * step)
