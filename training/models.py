"""The models that ship for restoring: how each is trained, and how any model's file is made.

    python training/photographs.py squares PHOTOS --out SQUARES
    python training/models.py train repair SQUARES --out TRAINED --budget 20m
    python training/models.py mix repair --out TRAINED --of TRAINED/repair.safetensors 0.6 --of repair 0.4
    python training/models.py ship repair --out TRAINED --scores SCORES.jsonl

`train` is `isthmus.train` with the preset of the model's name, from the weights that ship now; it continues where it was. `mix`
averages the weights of trainings and of models that ship, by shares: what one of them has lost, the mean often keeps; the first
one's recipe goes with it. `ship` writes the weights in 16
bits into the package, with the sources of the photographs and the rows of SCORES.jsonl that are about the model: what
`benchmarks/photos.py` and `benchmarks/real.py` print with `--models TRAINED`. docs/experiments.md tells each file's history.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import isthmus
from isthmus.pretrained import FOLDER
from isthmus.recipes.training_info import MOST_JPEGS
from photographs import PhotoSource, sources

SQUARES = {
    "denoise-gray": "gray",
    "denoise-color": "color",
    "upscale-x2": "color",
    "upscale-x3": "color",
    "upscale-x4": "color",
    "repair": "color",
}
"""The folder of training/photographs.py's squares that each model is trained on."""

JPEGS_UNDONE = {"upscale": 0, "repair": 1}
"""JPEGs one after the other that models of a task undo; what shows more passes through `repair` first."""

BATCH_SIZE = 6
"""Squares of 128 pixels a step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    acts = parser.add_subparsers(dest="act", required=True)
    training, mixing, shipping = (acts.add_parser(act) for act in ("train", "mix", "ship"))
    for act in (training, mixing, shipping):
        act.add_argument("name", choices=SQUARES)
        act.add_argument("--out", type=Path, required=True, help="folder of the trained models")
    training.add_argument("squares", type=Path, help="what training/photographs.py has written")
    training.add_argument("--budget", default="30m", help="time to train for")
    mixing.add_argument("--of", nargs=2, action="append", required=True, metavar=("MODEL", "SHARE"), help="once for each model")
    shipping.add_argument("--scores", type=Path, required=True, help="what the benchmarks have printed")
    options = parser.parse_args()
    path = options.out / f"{options.name}.safetensors"
    if options.act == "train":
        train(options.name, options.squares, path, options.budget)
    elif options.act == "mix":
        mix({model: float(share) for model, share in options.of}, path)
    else:
        rows = [json.loads(line) for line in options.scores.read_text().splitlines()]
        title = f"training/photographs.py, squares in {SQUARES[options.name]}"
        rows = [row for row in rows if row["method"] == f"isthmus {options.name}" and "psnr_db" in row]
        ship(path, title, rows, [source for source in sources() if source.large or source.earlier])


def train(name: str, squares: Path, path: Path, budget: str) -> None:
    """Train a model, or continue."""
    isthmus.train(
        squares / SQUARES[name],
        name,
        budget=budget,
        batch_size=BATCH_SIZE,
        init_from=name,
        out=path,
        resume=True,
        checkpoint_seconds=60,
    )


def mix(shares: dict[str, float], path: Path) -> None:
    """Write the mean of several models' weights, by their shares."""
    models = {isthmus.load(name, device="cpu"): share / sum(shares.values()) for name, share in shares.items()}
    first = next(iter(models))
    weights = {model: model.network.state_dict() for model in models}
    mean = {key: sum(share * weights[model][key] for model, share in models.items()) for key in weights[first]}
    first.network.load_state_dict(mean)
    first.save(path)


def ship(path: Path, title: str, rows: list[dict[str, object]], taken: list[PhotoSource]) -> None:
    """Write a model's file into the package, with its sources and scores; what took how long is the machine's.

    Wherever it was trained, it computes in what is fastest where it is used.
    """
    model = isthmus.load(path, device="cpu")
    model.recipe = dataclasses.replace(model.recipe, precision="auto")
    scores = [{key: value for key, value in row.items() if key not in ("part", "seconds_per_megapixel")} for row in rows]
    named = [str(source) for source in taken]
    facts = {"data": model.info.data | {"title": title}, "sources": named, "scores": scores}
    model.info = dataclasses.replace(model.info, **facts, jpegs_undone=JPEGS_UNDONE.get(model.recipe.task, MOST_JPEGS))
    model.save(FOLDER / path.name, half=True)
    print(f"{path.stem}: {(FOLDER / path.name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
