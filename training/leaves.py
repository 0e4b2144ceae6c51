"""Squares of invented things that cover each other like leaves on the ground: sharp edges of every size, curvature and contrast.

    python training/leaves.py --photographs PHOTOS [--count 1500] [--seed 0]

Adds to the squares of training/photographs.py, whose landscapes have few such edges. The colors of a square are those of one or
two of the photographs' squares.

Source: Lee, Mumford and Huang (2001), Occlusion models for natural images, for sizes whose density falls with the cube; Achddou,
Gousseau and Ladjal (2021), Synthetic images as a regularity prior for image restoration neural networks, for learning from them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from isthmus.imaging.arrays import Array
from photographs import SIDE, save_square

FINE = 4
"""Pixels that become one, on each side, so that no edge is jagged."""

COVERED = 3.0
"""How often the leaves of a square would cover it, side by side."""

SMALLEST, LARGEST = (1.5, 8.0), 80.0
"""Radius of the leaves, in pixels of the square; that of the smallest differs from square to square."""

PLAIN = 6.0
"""A leaf of a smaller radius has one color."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True, help="what training/photographs.py has written")
    parser.add_argument("--count", type=int, default=1500, help="squares")
    parser.add_argument("--seed", type=int, default=0, help="start of all chance")
    options = parser.parse_args()
    photographed = sorted(
        path for path in (options.photographs / "squares-color").glob("*.png") if not path.name.startswith("leaves")
    )
    for index in range(options.count):
        rng = np.random.default_rng((options.seed, index))
        sources = [np.asarray(Image.open(path)).reshape(-1, 3) for path in rng.choice(photographed, rng.integers(1, 3))]
        square = leaves(rng, np.concatenate([source[rng.integers(len(source), size=12)] for source in sources]))
        save_square(square, options.photographs, f"leaves{index:04}.png")
    print(f"{options.count} squares of leaves in {options.photographs}")


def leaves(rng: np.random.Generator, colors: Array) -> Image.Image:
    """Return a square of leaves, of colors from `(n, 3)` uint8."""
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), color(rng, colors))
    draw = ImageDraw.Draw(image)
    smallest = np.exp(rng.uniform(*np.log(SMALLEST)))
    area = 2 * np.pi * np.log(LARGEST / smallest) / (smallest**-2 - LARGEST**-2)  # of a leaf, on average
    share = rng.random(int(COVERED * SIDE**2 / area))
    radii = (share * smallest**-2 + (1 - share) * LARGEST**-2) ** -0.5
    for radius in radii * FINE:
        points = outline(rng, radius) + rng.uniform(0, SIDE * FINE, 2)
        if radius < PLAIN * FINE or rng.random() < 0.4:
            draw.polygon(list(map(tuple, points)), fill=color(rng, colors))
            continue
        left, top = np.floor(points.min(0)).astype(int)
        right, bottom = np.ceil(points.max(0)).astype(int) + 1
        mask = Image.new("1", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon(list(map(tuple, points - (left, top))), fill=1)
        image.paste(surface(rng, colors, bottom - top, right - left), (left, top), mask)
    if rng.random() < 0.3:  # out of focus
        image = image.filter(ImageFilter.GaussianBlur(FINE * rng.uniform(0.3, 1.2)))
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def outline(rng: np.random.Generator, radius: float) -> Array:
    """Return the points `(n, 2)` of a closed line around the origin: rounded, or with a few corners."""
    corners = int(rng.choice((3, 4, 4, 5, 40, 40, 40)))
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 2 * np.pi)
    distance = np.ones(corners)
    if corners < 10:
        angle, distance = angle + rng.normal(0, 0.25, corners), rng.uniform(0.6, 1, corners)
    else:
        for waves in (2, 3, 5):
            distance = distance + rng.normal(0, 0.5 / waves) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    points = radius * np.clip(distance, 0.2, 2)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    stretch, turn = np.exp(rng.uniform(0, 1.6)) ** 0.5, rng.uniform(0, np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned: Array = points * (stretch, 1 / stretch) @ rotation
    return turned


def surface(rng: np.random.Generator, colors: Array, height: int, width: int) -> Image.Image:
    """Return what a large leaf looks like: from one color to another along it, in stripes, or by chance."""
    first, second = (np.array(color(rng, colors), np.float32) for _ in range(2))
    turn = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    along = rows * np.sin(turn) + columns * np.cos(turn)
    kind = rng.choice(3, p=(0.35, 0.25, 0.4))
    if kind == 0:
        share = (along - along.min()) / max(1e-3, float(np.ptp(along)))
    elif kind == 1:
        waves = np.sin(along * 2 * np.pi / (FINE * rng.uniform(3, 14)))
        share = 0.5 + 0.5 * np.tanh(waves * rng.uniform(0.5, 6))
    else:
        share = np.zeros((height, width), np.float32)
        for scale in (0.5, 1, 2, 4):
            field = gaussian_filter(rng.normal(size=(height, width)).astype(np.float32), FINE * scale / 2)
            share += field / max(1e-6, float(field.std())) * rng.uniform(0.2, 1) * scale**0.5
        share = 0.5 + 0.12 * share
    mixed = first + np.clip(share, 0, 1)[:, :, None] * (second - first)
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def color(rng: np.random.Generator, colors: Array) -> tuple[int, int, int]:
    """Return one of the colors `(n, 3)`, as Pillow takes it."""
    red, green, blue = colors[rng.integers(len(colors))]
    return int(red), int(green), int(blue)


if __name__ == "__main__":
    main()
