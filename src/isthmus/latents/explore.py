"""Exploring the latent space: walks, traversals, and the plane of the widest directions.

All give `(n, C, H, W)` float32 images, which `write_images` puts on disk: one sheet, an .npz, or a folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.datasets import open_data
from isthmus.datasets.arrays import write_npz
from isthmus.errors import DataError, UsageError
from isthmus.imaging.arrays import Array, from_unit
from isthmus.imaging.picture import Picture, is_picture_name, write_picture
from isthmus.model import Model
from isthmus.storage.atomic import check_output

GAP = 2
"""White pixels between the images of a sheet."""


def walk(model: Model, start: Array, end: Array, steps: int = 10) -> Array:
    """Return the images on the straight line between the codes of two images.

    Args:
        model: What encodes and decodes.
        start: One image, as `Model.restore` takes it.
        end: Another of the same size.
        steps: Images in all, from 2 up; the first and the last are the two as the model gives them.

    Returns:
        `(steps, C, H, W)` float32.

    Raises:
        UsageError: If there are fewer than two steps.
        DataError: If the images do not fit the model, or each other.
    """
    if steps < 2:
        raise UsageError(f"A walk needs 2 steps or more, not {steps}.")
    first, last = model.encode(start), model.encode(end)
    if first.shape != last.shape or len(first) != 1:
        raise DataError(f"A walk needs two images of one size; their codes have the shapes {first.shape} and {last.shape}.")
    shares = np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, *[1] * (first.ndim - 1))
    return model.decode(first * (1 - shares) + last * shares, _size_of(model, start))


def traverse(model: Model, image: Array, number: int, steps: int = 9, extent: float = 3.0) -> Array:
    """Return what an image becomes when one number of its code changes and the others stay.

    Args:
        model: What encodes and decodes.
        image: One image, as `Model.restore` takes it.
        number: Index of the number in the flattened code, from 0.
        steps: Images in all, from 2 up.
        extent: How far to go to both sides of the training codes' mean, in their standard deviations.

    Returns:
        `(steps, C, H, W)` float32.

    Raises:
        UsageError: If there is no number of that index, or there are fewer than two steps.
        DataError: If the image does not fit, or is not one, or the model does not know how its codes spread.
    """
    if steps < 2:
        raise UsageError(f"A traversal needs 2 steps or more, not {steps}.")
    code = model.encode(image)
    if len(code) != 1:
        raise DataError(f"A traversal takes one image, not {len(code)}.")
    if not 0 <= number < code[0].size:
        raise UsageError(f"The code has {code[0].size} numbers, from 0 to {code[0].size - 1}: there is no number {number}.")
    density = model.density(code.shape)
    mean, deviation = float(density.mean[number]), float(density.deviations[number])
    codes = np.repeat(code.reshape(1, -1), steps, 0)
    codes[:, number] = mean + np.linspace(-extent, extent, steps) * deviation
    return model.decode(codes.reshape(steps, *code.shape[1:]), _size_of(model, image))


def _size_of(model: Model, images: Array) -> tuple[int, int]:
    """Return (H, W) of images, as `Model.restore` takes them."""
    batch = model.input_spec.batch(np.asarray(images))[1]
    return batch.shape[2], batch.shape[3]


def traversals(model: Model, image: Array, rows: int = 10, steps: int = 9) -> Array:
    """Return the traversals of the numbers of the code that vary most, `(rows * steps, C, H, W)`, the widest first."""
    deviations = model.density(model.encode(image).shape).deviations
    return np.concatenate([traverse(model, image, int(number), steps) for number in np.argsort(-deviations)[:rows]])


def read_image(model: Model, path: Path) -> Array:
    """Read one picture in the size that a model takes, `(1, C, H, W)`.

    Raises:
        DataError: If it cannot be read.
    """
    dataset = open_data(path).read("all", None if model.architecture.any_size else model.image_shape[1:])
    return dataset.images


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The plane through the codes along their two widest directions: a map that can be walked on."""

    middle: Array
    """`(d,)`: mean of the codes."""
    directions: Array
    """`(2, d)`: orthonormal."""
    code_shape: tuple[int, ...]
    """Shape of one code, of d numbers."""

    @classmethod
    def of(cls, codes: Array) -> Plane:
        """Lay a plane through codes `(n, ...)`, of which there are two or more.

        Raises:
            DataError: If there are fewer, or a code has one number only.
        """
        flat = codes.reshape(len(codes), -1)
        if len(flat) < 2 or flat.shape[1] < 2:
            raise DataError(f"A map needs two codes or more of two numbers or more, not {len(flat)} of {flat.shape[1]}.")
        middle = flat.mean(0)
        directions = np.linalg.svd(flat - middle, full_matrices=False)[2][:2]
        return cls(middle=middle, directions=directions, code_shape=codes.shape[1:])

    def positions(self, codes: Array) -> Array:
        """Return where codes lie on the plane, `(n, 2)`."""
        return np.asarray((codes.reshape(len(codes), -1) - self.middle) @ self.directions.T)

    def codes(self, positions: Array) -> Array:
        """Return the codes of positions `(n, 2)`, `(n, ...)` float32."""
        flat = self.middle + positions @ self.directions
        return np.asarray(flat, np.float32).reshape(len(positions), *self.code_shape)

    def decoded(self, model: Model, low: Array, high: Array, side: int, size: tuple[int, int] | None = None) -> Array:
        """Return what the model gives for a grid of positions, `(side * side, C, H, W)`, row by row from the top left.

        Args:
            model: What decodes.
            low: `(2,)`: lower left corner.
            high: `(2,)`: upper right corner.
            side: Rows and columns.
            size: (H, W) of the images.
        """
        columns, rows = np.linspace(low[0], high[0], side), np.linspace(high[1], low[1], side)
        positions = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
        return model.decode(self.codes(positions), size)


def write_images(images: Array, out: Path, *, columns: int = 0, overwrite: bool = False) -> None:
    """Write images as the name of `out` says: one sheet of them (a picture), an .npz of `images`, or a folder of numbered pictures.

    Args:
        images: `(n, C, H, W)` floats in [0, 1].
        out: Where.
        columns: Images in a row of the sheet; without it, as many as there are rows.
        overwrite: Replace what is there.

    Raises:
        UsageError: If `out` exists.
    """
    check_output(out, overwrite=overwrite)
    pixels = from_unit(images, np.dtype(np.uint8))
    if out.suffix == ".npz":
        write_npz(out, {"images": pixels})
    elif is_picture_name(out.name):
        write_picture(out, Picture(pixels=sheet_of(pixels, columns or math.ceil(math.sqrt(len(pixels))))))
    else:
        digits = len(str(len(pixels) - 1))
        for index, image in enumerate(pixels):
            write_picture(out / f"{index:0{digits}}.png", Picture(pixels=np.moveaxis(image, 0, -1)))


def sheet_of(images: Array, columns: int) -> Array:
    """Return images `(n, C, H, W)` uint8 side by side on white, `(H', W', C)`, small ones enlarged."""
    count, channels, height, width = images.shape
    factor = max(1, 64 // max(height, width))
    images = images.repeat(factor, 2).repeat(factor, 3)
    images = np.pad(images, ((0, -count % columns), (0, 0), (0, GAP), (0, GAP)), constant_values=255)
    images[count:] = 255
    rows = images.reshape(-1, columns, channels, height * factor + GAP, width * factor + GAP)
    sheet = rows.transpose(0, 3, 1, 4, 2).reshape(len(rows) * (height * factor + GAP), columns * (width * factor + GAP), channels)
    return sheet[:-GAP, :-GAP]
