"""Figures: each function draws one and returns PNG bytes.

One look for all: no frames around images, few colors that are told apart without color vision, labels beside the lines.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import numpy as np
from PIL import Image

from isthmus.errors import require
from isthmus.evaluation.metrics import color_difference
from isthmus.imaging.arrays import Array, from_unit, to_unit

require("evaluate", "matplotlib", "skimage")

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

Arguments = ParamSpec("Arguments")

COLORS = ("#0b5fa5", "#d1495b", "#2e8b57", "#8d6a9f", "#b8860b")
DPI = 110

LEAST_LIMIT = 0.05
"""Of an error map: smaller differences are not blown up."""

STYLE: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.facecolor": "white"}


def _styled(draw: Callable[Arguments, bytes]) -> Callable[Arguments, bytes]:
    """Draw in our style, and leave the caller's matplotlib as it is: no pyplot, no backend, no global parameters."""

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> bytes:
        with matplotlib.rc_context(STYLE):
            return draw(*args, **kwargs)

    return drawn


def _subplots(rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], squeeze: bool = True) -> tuple[Figure, Any]:
    figure = Figure(figsize=figsize)
    return figure, figure.subplots(rows, columns, squeeze=squeeze)


@_styled
def grid(rows: Mapping[str, Array], captions: Sequence[Sequence[str]] | None = None, *, scale: float = 0.9) -> bytes:
    """Draw rows of images of one size, each row with its name.

    Args:
        rows: Name of each row and its images `(n, C, H, W)`, uint8, uint16 or floats in [0, 1].
        captions: For each row, a text under each image.
        scale: Height of an image in inches.
    """
    count = max(len(images) for images in rows.values())
    height, width = next(iter(rows.values())).shape[-2:]
    text = 0.22 if captions else 0
    label = 0.085 * max(map(len, rows)) + 0.15
    size = (label + count * scale * width / height * 1.06, len(rows) * (scale * 1.06 + text))
    figure, axes = _subplots(len(rows), count, figsize=size, squeeze=False)
    figure.subplots_adjust(
        left=label / size[0], right=1, top=1, bottom=text / size[1] if text else 0, wspace=0.06, hspace=0.06 + text / scale
    )
    for row, (name, images) in enumerate(rows.items()):
        for column in range(count):
            axis = axes[row][column]
            axis.axis("off")
            if column < len(images):
                _show(axis, images[column])
                if captions and captions[row]:
                    axis.text(0.5, -0.04, captions[row][column], transform=axis.transAxes, ha="center", va="top", fontsize=8)
        axes[row][0].text(-0.1, 0.5, name, transform=axes[row][0].transAxes, ha="right", va="center")
    return _png(figure)


@_styled
def one(image: Array, title: str = "") -> bytes:
    """Draw one image `(C, H, W)`, its pixels large."""
    figure, axis = _subplots(figsize=(2.4, 2.6))
    _show(axis, image)
    axis.axis("off")
    axis.set_title(title)
    return _png(figure)


@_styled
def error_map(clean: Array, restored: Array, *, colors: bool = False, scale: float = 0.95) -> bytes:
    """Draw images, what was made of them, and where they differ: in brightness, red where it is too high; or in color (CIEDE2000).

    Args:
        clean: `(n, C, H, W)` floats in [0, 1].
        restored: The same of what was made of them.
        colors: Whether it is colors that differ, of RGB images.
        scale: Width of an image in inches.
    """
    count = len(clean)
    height = scale * clean.shape[2] / clean.shape[3] + 0.05
    figure, axes = _subplots(3, count, figsize=(scale * count + 1.6, 3 * height), squeeze=False)
    figure.subplots_adjust(wspace=0.06, hspace=0.06)
    if colors:
        differences = np.stack([color_difference(a, b) for a, b in zip(restored, clean, strict=True)])
    else:
        differences = restored.mean(1) - clean.mean(1)  # (n, H, W)
    limit = max(float(np.quantile(abs(differences), 0.999)), LEAST_LIMIT)
    look = {"cmap": "magma", "vmin": 0, "vmax": limit} if colors else {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    for column in range(count):
        _show(axes[0][column], clean[column])
        _show(axes[1][column], restored[column])
        picture = axes[2][column].imshow(differences[column], **look)
        for row in range(3):
            axes[row][column].axis("off")
    for row, name in enumerate(("clean", "restored", "CIEDE2000" if colors else "difference")):
        axes[row][0].text(-0.1, 0.5, name, transform=axes[row][0].transAxes, ha="right", va="center")
    figure.colorbar(
        picture, ax=axes.ravel().tolist(), ticks=(0, limit) if colors else (-limit, 0, limit), format="%.2g", fraction=0.02
    )
    return _png(figure)


@_styled
def curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], levels: Mapping[str, float] | None = None, *, loss: str = "loss"
) -> bytes:
    """Draw the losses of trainings against epochs.

    Args:
        histories: For each training, its records as in metrics.jsonl.
        levels: For each training, a loss to mark with a dotted line: the book's.
        loss: What the loss is, and in which unit.
    """
    figure, axes = _subplots(1, len(histories), figsize=(3.6 * len(histories) + 0.4, 2.9), squeeze=False)
    for axis, (name, history), color in zip(axes[0], histories.items(), COLORS, strict=False):
        epochs = [record["epoch"] for record in history]
        axis.plot(epochs, [record["train_loss"] for record in history], color=color, marker=".", label="training")
        axis.plot(epochs, [record["held_out_loss"] for record in history], color=color, ls="--", marker=".", label="held out")
        lowest = min(min(record["train_loss"], record["held_out_loss"]) for record in history)
        if levels:
            axis.axhline(levels[name], color="#666", ls=":", label=f"the book: {levels[name]:.4f}")
            lowest = min(lowest, levels[name])
        axis.set_ylim(lowest * 0.97, lowest * 1.35)
        axis.set_title(name)
        axis.set_xlabel("epochs")
        axis.legend(frameon=False, fontsize=8)
    axes[0][0].set_ylabel(loss)
    figure.tight_layout()
    return _png(figure)


@_styled
def bars(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw a probe: for every row a bar for each classifier, its length the share of errors in percent, on a logarithmic axis.

    Args:
        rows: As in a probe's JSON: "tested_on", "numbers", and "accuracy" by classifier.
    """
    classifiers = list(rows[0]["accuracy"])
    figure, axis = _subplots(figsize=(6.4, 0.42 * len(rows) * len(classifiers) + 0.9))
    height = 0.8 / len(classifiers)
    for place, (classifier, color) in enumerate(zip(classifiers, COLORS, strict=False)):
        errors = [max(100 * (1 - row["accuracy"][classifier]), 0.01) for row in rows]
        positions = [row + place * height for row in range(len(rows))]
        axis.barh(positions, errors, height * 0.9, color=color, label=classifier)
        for position, error in zip(positions, errors, strict=True):
            axis.text(error * 1.05, position, f"{error:.2f} %", va="center", fontsize=8)
    labels = [f"{row['tested_on']} ({row['numbers']})" for row in rows]
    axis.set_yticks([row + (len(classifiers) - 1) * height / 2 for row in range(len(rows))], labels)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.margins(x=0.15)
    axis.set_xlabel("test images named wrongly (%)")
    axis.legend(frameon=False, fontsize=8)
    return _png(figure)


@_styled
def code_map(positions: Array, labels: Array | None, decoded: Array, extent: tuple[float, float, float, float]) -> bytes:
    """Draw where codes lie on a plane, beside what the model gives for a grid of places on it.

    Args:
        positions: `(n, 2)` of codes.
        labels: `(n,)`, drawn as colors, or None.
        decoded: `(side * side, C, H, W)` images of the grid, row by row from the top left.
        extent: (left, right, bottom, top) of the grid.
    """
    figure, (left, right) = _subplots(1, 2, figsize=(10.6, 5.2))
    _scatter(left, positions, labels)
    left.set_title("codes")
    _show(right, _mosaic(decoded), extent)
    right.set_title("what the model gives there")
    for axis in (left, right):
        axis.set_xlim(extent[:2])
        axis.set_ylim(extent[2:])
        axis.set_aspect("auto")
    figure.tight_layout()
    return _png(figure)


@_styled
def scatter(positions: Array, labels: Array | None) -> bytes:
    """Draw positions `(n, 2)`, colored by labels `(n,)` where there are some, without axes: they mean nothing."""
    figure, axis = _subplots(figsize=(5.6, 5.2))
    _scatter(axis, positions, labels)
    if legend := axis.get_legend():
        legend.set_loc("upper left")
        legend.set_bbox_to_anchor((1, 1))  # beside the points
    axis.axis("off")
    return _png(figure)


@_styled
def ground(positions: Array, labels: Array | None, extent: tuple[float, float, float, float]) -> bytes:
    """Draw positions `(n, 2)` on a square that is all of the picture, so that a place on it is a share of its sides.

    Args:
        positions: Of codes.
        labels: `(n,)`, drawn as colors, or None.
        extent: (left, right, bottom, top) of the square.
    """
    figure = Figure(figsize=(5.2, 5.2))
    axis = figure.add_axes((0, 0, 1, 1))
    _scatter(axis, positions, labels)
    axis.axis((*extent[:2], *extent[2:]))
    axis.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


@_styled
def sheet(images: Array, cell: int = 64) -> bytes:
    """Return images `(side * side, C, H, W)` edge to edge as a square sheet, the longer side of each at most `cell` pixels."""
    height, width = images.shape[2:]
    shrink = max(1, math.ceil(max(height, width) / cell))
    pixels = _mosaic(from_unit(images[:, :, ::shrink, ::shrink], np.dtype(np.uint8)))
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels[:3], 0, -1)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


@_styled
def rate_distortion(points: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw PSNR against bits per pixel, on a logarithmic axis: a line for each method.

    Args:
        points: As in a scorecard's JSON, under "rates".
    """
    figure, axis = _subplots(figsize=(6.4, 4.2))
    colors: dict[str, str] = {}
    for method in dict.fromkeys(point["method"] for point in points):
        curve = sorted((point["bits_per_pixel"], point["psnr_db"]) for point in points if point["method"] == method)
        color = colors.setdefault(method.partition(",")[0], COLORS[len(colors) % len(COLORS)])
        width = 2.4 if len(colors) == 1 else 1.2  # the model's comes first
        style = ".-" if len(curve) > 1 else "x"
        axis.plot(*zip(*curve, strict=True), style, color=color, lw=width, label=method)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("bits per pixel")
    axis.set_ylabel("PSNR (dB)")
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    return _png(figure)


@_styled
def frontier(
    tried: Sequence[tuple[int, float]],
    best: Sequence[tuple[int, float]],
    pca: Sequence[tuple[int, float]],
    chosen: tuple[int, float],
) -> bytes:
    """Draw errors against sizes of code, both on logarithmic axes; each point is (numbers in the code, mean squared error).

    Args:
        tried: Of every training.
        best: Those that none with as few numbers does better than, which are joined.
        pca: Of principal components.
        chosen: One of the best, which gets a ring.
    """
    figure, axis = _subplots(figsize=(6.4, 4))
    axis.plot(*zip(*tried, strict=True), color="#999", ls="", marker=".", label="tried")
    for points, color, name in ((pca, COLORS[1], "PCA"), (best, COLORS[0], "isthmus")):
        axis.plot(*zip(*points, strict=True), color=color, marker=".")
        axis.annotate(name, points[-1], xytext=(8, 0), textcoords="offset points", va="center", color=color)
    axis.plot(*chosen, color=COLORS[0], ls="", marker="o", ms=11, fillstyle="none", label="chosen")
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("numbers in the code of an image")
    axis.set_ylabel("mean squared error on test images")
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    return _png(figure)


def _mosaic(images: Array) -> Array:
    """Return images `(side * side, C, H, W)` edge to edge, `(C, side * H, side * W)`."""
    side = math.isqrt(len(images))
    channels, height, width = images.shape[1:]
    rows = images.reshape(side, side, channels, height, width)
    return rows.transpose(2, 0, 3, 1, 4).reshape(channels, side * height, side * width)


def _scatter(axis: Any, positions: Array, labels: Array | None) -> None:
    kinds = () if labels is None else tuple(np.unique(labels))
    if labels is None or not 1 < len(kinds) <= 20:
        axis.scatter(*positions.T, s=4, color=COLORS[0])
        return
    palette = matplotlib.colormaps.get_cmap("tab20" if len(kinds) > 10 else "tab10")
    for index, kind in enumerate(kinds):
        axis.scatter(*positions[labels == kind].T, s=4, color=palette(index), label=str(kind))
    axis.legend(frameon=False, fontsize=8, markerscale=3, loc="upper right")


def _show(axis: Any, image: Array, extent: tuple[float, float, float, float] | None = None) -> None:
    pixels = np.clip(np.moveaxis(to_unit(np.asarray(image)), 0, -1), 0, 1)
    axis.imshow(
        pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent
    )


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.05, metadata={"Software": None})
    return buffer.getvalue()
