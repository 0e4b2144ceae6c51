"""Results as tables, for a page or a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A table of texts: the first column is aligned left, the others right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        """Return the table for a terminal.

        >>> print(Table(("name", "n"), [("a", "10"), ("bcdef", "2")]))
        name    n
        a      10
        bcdef   2
        """
        widths = [max(len(row[i]) for row in (self.columns, *self.rows)) for i in range(len(self.columns))]

        def line(row: Sequence[str]) -> str:
            cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
            return "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()

        return "\n".join(map(line, (self.columns, *self.rows)))


SCORE_COLUMNS = {
    "numbers": ("numbers in code", 0),
    "images": ("images", 0),
    "bce": ("BCE", 4),
    "mse": ("MSE", 5),
    "psnr_db": ("PSNR dB", 2),
    "ahead_db": ("isthmus ahead, dB", 2),
    "ssim": ("SSIM", 3),
    "ciede2000": ("CIEDE2000", 2),
    "colorfulness": ("colorfulness", 1),
    "milliseconds": ("ms/image", 3),
}
"""What is shown of a score where there is any: heading, and digits after the point."""


def score_table(card: dict[str, Any], title: str = "method") -> Table:
    """Return the rows of a scorecard, given as its JSON."""
    known = {key for score in card["scores"] for key, value in score.items() if value is not None}
    columns = {key: column for key, column in SCORE_COLUMNS.items() if key in known}
    rows = [(score["method"], *(_number(score[key], digits) for key, (_, digits) in columns.items())) for score in card["scores"]]
    return Table((title, *(name for name, _ in columns.values())), rows)


def rate_table(rates: Sequence[dict[str, Any]]) -> Table:
    """Return the model's points of a scorecard's rates, with the PSNR of the other methods at as many bytes."""
    own = [point for point in rates if point["beside_db"]]
    columns = (f"{own[0]['method']}, bits", "bytes", "bits per pixel", "PSNR dB", *own[0]["beside_db"])
    rows = [(*_rate(point), *(_number(value, 2) for value in point["beside_db"].values())) for point in own]
    return Table(columns, rows)


def chapter_table(results: dict[str, Any]) -> Table:
    """Return the chapter's models beside the book's numbers, from the results of `reproduce`."""
    digits = {
        "parameters": 0,
        "epochs": 0,
        "code_numbers": 0,
        "book_loss": 4,
        "train_loss": 4,
        "test_loss": 4,
        "pca_loss": 4,
        "test_psnr_db": 2,
    }
    columns = (
        "model",
        "parameters",
        "epochs",
        "numbers in code",
        "book, train",
        "ours, train",
        "ours, test",
        "PCA, test",
        "PSNR dB",
        "seconds",
    )
    models = results["models"].values()
    rows = [(row["title"], *(_number(row[key], n) for key, n in digits.items()), _number(row["seconds"], 1)) for row in models]
    return Table(columns, rows)


def probe_table(result: dict[str, Any]) -> Table:
    """Return the rows of a probe, given as its JSON: accuracies in percent."""
    classifiers = list(result["rows"][0]["accuracy"])
    rows = [
        (row["trained_on"], row["tested_on"], str(row["numbers"]), *(f"{100 * row['accuracy'][name]:.2f}" for name in classifiers))
        for row in result["rows"]
    ]
    return Table(("trained on", "tested on", "numbers", *(f"{name} %" for name in classifiers)), rows)


def format_probe(result: dict[str, Any]) -> str:
    """Return a probe, given as its JSON, as text."""
    return f"{result['data']}\n\n{probe_table(result)}"


def format_novelty(result: dict[str, Any], shown: int = 10) -> str:
    """Return what `Novelty.to_json` says, as text: the strangest images first."""
    names = result["names"] or [f"image {index}" for index in range(result["images"])]
    rows = [(names[i], f"{result['scores'][i]:.6g}", f"{result['p_values'][i]:.4f}") for i in result["strangest"][:shown]]
    which = "training images (none were held out)" if result["nothing_held_out"] else "held-out images"
    head = f"{result['data']}: {result['strange']:,} of {result['images']:,} are stranger than 99 % of the {which}"
    note = f"p: the share of {result['held_out']:,} {which} that are as strange or stranger"
    return f"{head}\n\n{Table(('strangest', result['score'], 'p'), rows)}\n\n{note}"


def format_scorecard(card: dict[str, Any]) -> str:
    """Return a scorecard, given as its JSON, as text."""
    notes = "".join(f"\n{note}" for note in card["notes"])
    head = f"{card['data']}, task: {card['task']}"
    rates = f"\n\n{rate_table(card['rates'])}\n\n{_smallest(card['rates'])}" if card["rates"] else ""
    loss = f"Loss on them: {card['loss']:.4f}{_bound(card['bound'])}"
    return f"{head}\n\n{score_table(card)}{rates}\n\n{loss}{notes}"


def _smallest(rates: Sequence[dict[str, Any]]) -> Table:
    """Return the smallest that each method other than the model's gets."""
    methods = dict.fromkeys(point["method"] for point in rates if not point["beside_db"])
    points = [min((point for point in rates if point["method"] == method), key=lambda point: point["bytes"]) for method in methods]
    columns = ("as small as it gets", "bits or quality", "bytes", "bits per pixel", "PSNR dB")
    return Table(columns, [(point["method"], *_rate(point)) for point in points])


def _rate(point: dict[str, Any]) -> tuple[str, str, str, str]:
    return str(point["setting"]), f"{point['bytes']:,}", f"{point['bits_per_pixel']:.4f}", _number(point["psnr_db"], 2)


def _bound(bound: dict[str, Any] | None) -> str:
    if bound is None:
        return ""
    return (
        f"\nNegative log-likelihood at most {bound['bound_nats']:.2f} nats an image ({bound['samples']:,} samples); "
        f"evidence bound {bound['elbo_nats']:.2f}"
    )


def format_model(about: dict[str, Any]) -> str:
    """Return what `Model.describe` says, as text."""
    return _pairs(_model_facts(about))


def model_table(about: dict[str, Any]) -> Table:
    """Return what `Model.describe` says, as a table of two columns."""
    return Table(("", ""), [(key, value) for key, value in _model_facts(about).items() if value])


def _model_facts(about: dict[str, Any]) -> dict[str, str]:
    recipe = about["recipe"]
    hidden = " ".join(map(str, recipe["hidden"])) or "none"
    history = about["history"]
    last = history[-1] if history else {}
    held_out = "" if about["nothing_held_out"] or not last else f", held out {last['held_out_loss']:.4f}"
    size = " x ".join(map(str, about["image_shape"][1:]))
    squares, color = about["trained_on_patches"], _color(about["image_shape"][0])
    other = f"{size} pixels, {color}, {'or any' if about['any_size'] else 'no'} other size"
    passes = min(len(history), recipe.get("epochs") or math.inf)
    return {
        "trained to undo": f"{recipe['corruption']} ({recipe['task']})",
        "model": f"{recipe['model']}, hidden {hidden}, code {recipe['code']} ({recipe['code_kind']})",
        "parameters": f"{about['parameters']:,}",
        "images": f"of any size, {color}; trained on patches of {size} pixels" if squares else other,
        f"code of {'a patch' if squares else 'an image'}": f"{about['code_numbers']} numbers for {about['image_numbers']}",
        "training set": f"{about['data']['title']}, {about['data']['shape'][0]:,} images" if about["data"] else "",
        "trained": f"{passes:g} epochs, {about['steps']:,} steps, {about['train_seconds']:.1f} s" if history else "",
        "loss": f"{recipe['loss']}: training {last['train_loss']:.4f}{held_out}" if last else "",
    }


def frontier_table(result: dict[str, Any]) -> Table:
    """Return the frontier that `tune` found, given as its JSON."""
    columns = ("numbers in code", "hidden", "loss", "rate", "MSE", "PCA's MSE", "MSE / PCA's", "seconds")
    rows = []
    for best in result["frontier"]:
        recipe, pca_mse = best["recipe"], result["pca_mse"][str(best["numbers"])]
        rows.append(
            (
                f"{best['numbers']:,}{' (chosen)' if best == result['chosen'] else ''}",
                " ".join(map(str, recipe["hidden"])) or "none",
                recipe["loss"],
                f"{recipe['learning_rate']:.2g}",
                _number(best["mse"], 5),
                _number(pca_mse, 5),
                _number(best["mse"] / pca_mse if pca_mse else None, 2),
                _number(best["seconds"], 1),
            )
        )
    return Table(columns, rows)


def format_data(about: dict[str, Any]) -> str:
    """Return what `Dataset.describe` says, as text."""
    channels, height, width = about["image_shape"]
    labels = ", ".join(f"{label} ({count:,})" for label, count in list(about["labels"].items())[:12])
    return _pairs(
        {
            "data": about["title"],
            "images": f"{about['images']:,}, {height} x {width} pixels, {_color(channels)}, {about['dtype']}",
            "values": f"{about['low']:g} to {about['high']:g}, mean {about['mean']:.3f} (black 0, white 1)",
            "labels": labels + (" ..." if len(about["labels"]) > 12 else ""),
            "cannot be read": "\n".join(about["skipped"]),
        }
    )


def _pairs(facts: Mapping[str, object]) -> str:
    """Return one line per fact, the values aligned; empty ones are left out."""
    kept = {key: str(value) for key, value in facts.items() if value not in (None, "", [], {})}
    width = max(map(len, kept))
    return "\n".join(f"{key.ljust(width)}  {value}" for key, value in kept.items())


def _color(channels: int) -> str:
    return {1: "gray", 3: "RGB"}.get(channels, f"{channels} channels")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
