"""The commands that judge: `evaluate`, `info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.app import DONE_IN_PART, MAX_BAD, Data, app, load_model, open_source, show
from isthmus.progress import say


@app.command
def evaluate(
    model: Path,
    data: Data,
    /,
    *,
    split: str | None = None,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    seed: int = 1,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Measure a model beside what one would use instead.

    Example: `isthmus evaluate digits.safetensors mnist`

    Args:
        model: The model file.
        data: Clean images: a folder, .npz, .npy, an IDX file or folder, or a name.
        split: train, test or all; without it, what the model has not seen.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        seed: Start of the noise's chance.
        device: auto, cpu, cuda or mps.
        json: Print every number as one JSON object.
    """
    from isthmus.evaluating import evaluate as run
    from isthmus.tables import format_scorecard

    card = run(load_model(model, device), data, split=split, data_dir=data_dir, max_bad=max_bad, seed=seed).to_json()
    for reason in card["skipped"]:
        say(f"Skipped {reason}")
    show(card, format_scorecard(card), json)
    return DONE_IN_PART if card["skipped"] else 0


@app.command
def info(name: Annotated[str, Parameter(name="MODEL|DATA")], /, *, data_dir: Path | None = None, json: bool = False) -> int:
    """Say what a model file or data is.

    Example: `isthmus info digits.safetensors`

    Args:
        name: A model file (.safetensors), or data of any kind.
        data_dir: Folder that holds named data sets.
        json: Print it as one JSON object.
    """
    from isthmus.tables import format_data, format_model

    if name.endswith(".safetensors"):
        about = load_model(Path(name), "cpu").describe()
        show(about, format_model(about), json)
    else:
        about = open_source(name, data_dir, max_bad=1).read("all").describe()
        show(about, format_data(about), json)
        return DONE_IN_PART if about["skipped"] else 0
    return 0
