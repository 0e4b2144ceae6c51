"""Color as people see it: CIELAB's lightness L and the two axes a (green to red) and b (blue to yellow), as tensors.

Source: CIE 1976; sRGB and its white D65 as IEC 61966-2-1 defines them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
