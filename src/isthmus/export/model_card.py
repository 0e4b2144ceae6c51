"""The model card that goes to a hub with a model: everything in it comes from the model file."""

from __future__ import annotations

import json
from typing import Any

from isthmus.model import Model
from isthmus.recipes.tasks import TASKS


def model_card(model: Model, name: str) -> str:
    """Return a model card as Markdown, with the metadata that a hub reads on top.

    Args:
        model: The model.
        name: OWNER/NAME on the hub.
    """
    about, recipe, file = model.describe(), model.recipe, f"{name.rpartition('/')[2]}.safetensors"
    fields = {key: value for key, value in about["recipe"].items() if value not in (None, "", [])}
    lines = [
        "---",
        "library_name: isthmus",
        "tags:",
        *(f"- {tag}" for tag in ("autoencoder", "image-to-image", recipe.task)),
        "pipeline_tag: image-to-image",
        "---",
        "",
        f"# {name.rpartition('/')[2]}",
        "",
        f"A {recipe.network} autoencoder, trained with isthmus. It predicts {TASKS[recipe.task].learns}.",
        "",
        "```",
        f"isthmus pull {name} --out {file}",
        f"isthmus restore {file} PICTURES --out RESTORED",
        "```",
        "",
        "It works best on images similar to its training set. Detail that it adds is plausible, not recovered.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in _facts(about).items()),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(fields, indent=1),
        "```",
    ]
    if model.info.scores:
        lines += ["", "## Scores", "", *_table(model.info.scores)]
    if about["history"]:
        lines += ["", "## Training curve", "", "![Loss against epochs](curves.png)"]
    if model.info.sources:
        lines += ["", "## Training set", "", *(f"- {one}" for one in model.info.sources)]
    return "\n".join(lines) + "\n"


def _facts(about: dict[str, Any]) -> dict[str, str]:
    channels, height, width = about["image_shape"]
    size = "any" if about["any_size"] else f"{height} x {width}"
    data = about["data"]
    shape = data.get("shape", [0])
    return {
        "images": f"{size} size, {'RGB' if channels == 3 else 'gray' if channels == 1 else f'{channels} channels'}",
        "parameters": f"{about['parameters']:,}",
        "latent code": f"{' x '.join(map(str, about['code_shape']))} numbers for {about['image_numbers']:,}",
        "training set": f"{data.get('title', 'images')}: {shape[0]:,} images",
        "training": f"{about['steps']:,} steps, {about['train_seconds']:,.0f} seconds",
    }


def _table(scores: list[dict[str, Any]]) -> list[str]:
    """Return rows of any scores as a table with every column that a row has."""
    columns = list(dict.fromkeys(key for row in scores for key in row))
    rows = [" | ".join(_shown(row.get(column, "")) for column in columns) for row in scores]
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *(f"| {row} |" for row in rows)]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
