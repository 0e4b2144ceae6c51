"""Pictures: each function draws one figure and returns it as PNG bytes.

One look for all: no frames around images, few colours that are told apart without colour vision, labels beside the lines.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from isthmus.images import Array, to_unit

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the backend: there may be no screen

COLOURS = ("#0b5fa5", "#d1495b", "#2e8b57", "#8d6a9f", "#b8860b")
DPI = 110

plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.facecolor": "white"})


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
    figure, axes = plt.subplots(len(rows), count, figsize=size, squeeze=False)
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


def one(image: Array, title: str = "") -> bytes:
    """Draw one image `(C, H, W)`, its pixels large."""
    figure, axis = plt.subplots(figsize=(2.4, 2.6))
    _show(axis, image)
    axis.axis("off")
    axis.set_title(title)
    return _png(figure)


def error_map(clean: Array, restored: Array) -> bytes:
    """Draw images, what was made of them, and where they differ: `(n, C, H, W)` each, floats in [0, 1]."""
    count = len(clean)
    figure, axes = plt.subplots(3, count, figsize=(0.95 * count + 1.6, 3), squeeze=False)
    for column in range(count):
        _show(axes[0][column], clean[column])
        _show(axes[1][column], restored[column])
        difference = np.asarray(restored[column]).mean(0) - np.asarray(clean[column]).mean(0)
        picture = axes[2][column].imshow(difference, cmap="RdBu_r", vmin=-1, vmax=1)
        for row in range(3):
            axes[row][column].axis("off")
    for row, name in enumerate(("clean", "restored", "difference")):
        axes[row][0].text(-0.1, 0.5, name, transform=axes[row][0].transAxes, ha="right", va="center")
    figure.colorbar(picture, ax=axes.ravel().tolist(), ticks=(-1, 0, 1), fraction=0.02)
    return _png(figure)


def curves(histories: Mapping[str, Sequence[Mapping[str, Any]]], levels: Mapping[str, float] | None = None) -> bytes:
    """Draw the losses of trainings against time.

    Args:
        histories: For each training, its records as in metrics.jsonl.
        levels: For each training, a loss to mark with a dotted line: the book's.
    """
    figure, axes = plt.subplots(1, len(histories), figsize=(3.6 * len(histories) + 0.4, 2.9), squeeze=False)
    for axis, (name, history), colour in zip(axes[0], histories.items(), COLOURS, strict=False):
        seconds = [record["seconds"] for record in history]
        axis.plot(seconds, [record["train_loss"] for record in history], color=colour, marker=".", label="training")
        axis.plot(seconds, [record["held_out_loss"] for record in history], color=colour, ls="--", marker=".", label="held out")
        lowest = min(min(record["train_loss"], record["held_out_loss"]) for record in history)
        if levels:
            axis.axhline(levels[name], color="#666", ls=":", label=f"the book: {levels[name]:.4f}")
            lowest = min(lowest, levels[name])
        axis.set_ylim(lowest * 0.97, lowest * 1.35)
        axis.set_title(name)
        axis.set_xlabel("seconds of training")
        axis.legend(frameon=False, fontsize=8)
    axes[0][0].set_ylabel("loss (nats per pixel)")
    figure.tight_layout()
    return _png(figure)


def _show(axis: Any, image: Array) -> None:
    pixels = np.clip(np.moveaxis(to_unit(np.asarray(image)), 0, -1), 0, 1)
    axis.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight", pad_inches=0.05, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()
