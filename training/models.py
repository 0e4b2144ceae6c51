"""The models that ship: how each is trained, and how its file is made.

    python training/photographs.py --out PHOTOS
    python training/leaves.py --photographs PHOTOS
    python training/models.py train denoise-gray --photographs PHOTOS --out TRAINED
    python training/models.py ship denoise-gray --out TRAINED --scores SCORES.jsonl

`train` goes on where it was. `ship` writes the model's numbers in 16 bits into the package, with what it was trained on, the
photographers, their licenses, and the rows of SCORES.jsonl that are about it: what `benchmarks/photos.py --models TRAINED` prints.
Every model but the first starts from another one's weights. The files that ship have longer histories than this, in several
sittings: docs/experiments.md tells them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import isthmus
from isthmus.pretrained import FOLDER
from photographs import SOURCES


@dataclass(frozen=True)
class Shipped:
    """How a model that ships is trained."""

    pictures: str
    """The folder of training/photographs.py's and training/leaves.py's."""
    start: str
    """The model whose weights it begins with."""
    epochs: int
    fields: dict[str, Any]
    """Of the recipe."""


NOISE = "gaussian-noise((0, 0.2157), clip=False)"
"""Any strength up to 55 of 255."""

QUALITY = ("denoise", "upscale", "repair", "colorize")
"""The parts of benchmarks/photos.py that say how good a model is, not how fast."""

MODELS = {
    "denoise-gray": Shipped("squares-gray", "", 24, {"task": "denoise", "corruption": NOISE}),
    "denoise-color": Shipped("squares-color", "denoise-gray", 16, {"task": "denoise", "corruption": NOISE}),
    "upscale-x2": Shipped("squares-color", "denoise-color", 7, {"task": "upscale", "factor": 2}),
    "upscale-x3": Shipped("squares-color", "upscale-x2", 3, {"task": "upscale", "factor": 3}),
    "upscale-x4": Shipped("squares-color", "upscale-x3", 3, {"task": "upscale", "factor": 4}),
    "repair": Shipped("squares-both", "denoise-color", 5, {"task": "repair", "corruption": "jpeg((5, 95))"}),
    "colorize": Shipped("color", "denoise-color", 3, {"task": "colorize"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=["train", "ship"])
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained models")
    parser.add_argument("--photographs", type=Path, help="what training/photographs.py and leaves.py have written")
    parser.add_argument("--scores", type=Path, help="what benchmarks/photos.py has printed")
    parser.add_argument("--epochs", type=int, help="instead of the model's own")
    options = parser.parse_args()
    if options.act == "train":
        train(options.name, options.photographs, options.out, options.epochs)
    else:
        ship(options.name, options.out, options.scores)


def train(name: str, photographs: Path, out: Path, epochs: int | None = None) -> None:
    """Train a model, or go on with it."""
    shipped = MODELS[name]
    isthmus.train(
        str(photographs / shipped.pictures),
        model="photographic",
        out=out / f"{name}.safetensors",
        start=str(out / f"{shipped.start}.safetensors") if shipped.start else "",
        epochs=epochs or shipped.epochs,
        warm_up=0.1,
        resume=True,
        checkpoint_seconds=60,
        on_progress=lambda moment: print(moment, flush=True) if moment.validation is not None else None,
        **shipped.fields,
    )


def ship(name: str, out: Path, scores: Path) -> None:
    """Write a model's file into the package."""
    model = isthmus.load(out / f"{name}.safetensors", device="cpu")
    shipped = MODELS[name]
    rows = [json.loads(line) for line in scores.read_text().splitlines()]
    start = shipped.start or ("an earlier training of the same" if model.recipe.start else "")
    model.recipe = dataclasses.replace(model.recipe, data=f"training/photographs.py and leaves.py, {shipped.pictures}", start=start)
    model.info.data |= {"title": model.recipe.data}
    model.about |= {
        "scores": [scored(row) for row in rows if row["method"].split(",")[0] == f"isthmus {name}" and row["part"] in QUALITY],
        "photographs": [f"{source.name}, {source.license}, Debian's {source.package}" for source in SOURCES],
    }
    FOLDER.mkdir(exist_ok=True)
    model.save(FOLDER / f"{name}.safetensors", half=True)
    print(f"{name}: {(FOLDER / f'{name}.safetensors').stat().st_size:,} bytes")


def scored(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without the time that it took: that is the machine's."""
    return {key: value for key, value in row.items() if key not in ("part", "seconds_per_megapixel")}


if __name__ == "__main__":
    main()
