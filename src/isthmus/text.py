"""Results as text for a terminal: aligned columns, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is aligned left and the others right.

    >>> print(columns(("name", "n"), [("a", "10"), ("bcdef", "2")]))
    name    n
    a      10
    bcdef   2
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), *map(line, rows)])


def pairs(facts: dict[str, object]) -> str:
    """Return one line per fact, the values aligned; empty ones are left out."""
    kept = {key: str(value) for key, value in facts.items() if value not in (None, "", [], {})}
    width = max(map(len, kept))
    return "\n".join(f"{key.ljust(width)}  {value}" for key, value in kept.items())


def format_scorecard(card: dict[str, Any]) -> str:
    """Return a scorecard, as its JSON, as text."""

    def number(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:,.{digits}f}"

    header = ("method", "numbers", "images", "bce", "mse", "psnr dB", "ssim", "ms/image")
    digits = {"numbers": 0, "images": 0, "bce": 4, "mse": 5, "psnr_db": 2, "ssim": 3, "milliseconds": 3}
    rows = [(score["method"], *(number(score[key], places) for key, places in digits.items())) for score in card["scores"]]
    table = columns(header, rows)
    notes = "".join(f"\n{note}" for note in card["notes"])
    return f"{card['data']}, task: {card['task']}\n\n{table}\n\nThe model's own loss on them: {card['loss']:.4f}{notes}"


def format_chapter(results: dict[str, Any]) -> str:
    """Return the numbers of `reproduce` as text."""
    header = ("model", "parameters", "code", "book (train)", "train", "test", "PCA", "PSNR dB", "seconds")
    rows = [
        (
            row["title"],
            f"{row['parameters']:,}",
            str(row["code_numbers"]),
            *(f"{row[key]:.4f}" for key in ("book_loss", "train_loss", "test_loss", "pca_loss")),
            f"{row['test_psnr_db']:.2f}",
            f"{row['seconds']:.1f}",
        )
        for row in results["models"].values()
    ]
    return f"{columns(header, rows)}\n\n{results['seconds']} seconds in all. The page: {results['report']}"


def format_model(about: dict[str, Any]) -> str:
    """Return what `Model.describe` says, as text."""
    recipe = about["recipe"]
    hidden = " ".join(map(str, recipe["hidden"])) or "none"
    history = about["history"]
    return pairs(
        {
            "learnt to undo": f"{recipe['corruption']} ({recipe['task']})",
            "model": f"{recipe['model']}, hidden {hidden}, code {recipe['code']} ({recipe['code_kind']})",
            "parameters": f"{about['parameters']:,}",
            "images": f"{' x '.join(map(str, about['image_shape'][1:]))} pixels, {'gray' if about['image_shape'][0] == 1 else 'RGB'}"
            + (", any other size as well" if about["any_size"] else ", this size only"),
            "code of an image": f"{about['code_numbers']} numbers for {about['image_numbers']}",
            "learnt from": f"{about['data'].get('title')}, {about['data'].get('shape', ['?'])[0]:,} images" if about["data"] else "",
            "trained": f"{len(history)} epochs, {about['steps']:,} steps, {about['train_seconds']:.1f} s" if history else "",
            "loss": f"{recipe['loss']}: training {history[-1]['train_loss']:.4f}, held out {history[-1]['held_out_loss']:.4f}" if history else "",
        }
    )


def format_data(about: dict[str, Any]) -> str:
    """Return what `Dataset.describe` says, as text."""
    channels, height, width = about["image_shape"]
    labels = ", ".join(f"{label} ({count:,})" for label, count in list(about["labels"].items())[:12])
    return pairs(
        {
            "data": about["title"],
            "images": f"{about['images']:,}, {height} x {width} pixels, {'gray' if channels == 1 else f'{channels} channels'}, {about['dtype']}",
            "values": f"{about['low']:g} to {about['high']:g}, mean {about['mean']:.3f} (black 0, white 1)",
            "labels": labels + (" ..." if len(about["labels"]) > 12 else ""),
            "cannot be read": "\n".join(about["skipped"]),
        }
    )
