"""Training: a recipe becomes a model. `train` is the door; what learns is a `Trainer`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.datasets import MAX_BAD, open_pairs, to_learn_from
from isthmus.errors import UsageError, printable
from isthmus.imaging.arrays import Array
from isthmus.model import Model, load
from isthmus.recipes import Recipe, base_fields
from isthmus.storage.atomic import check_output
from isthmus.storage.run_dir import Run, stop_requests
from isthmus.training.trainer import VALIDATION_IMAGES, Moment, Trainer

LOG = logging.getLogger("isthmus")


def train(
    data: Recipe | str | Path | Array,
    *,
    recipe: str = "",
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    checkpoint_seconds: float = 10.0,
    tensorboard: bool = False,
    watch: Callable[[Moment], None] | None = None,
    warn: Callable[[str], None] = LOG.warning,
    **fields: Any,
) -> Model:
    """Learn from images.

    Args:
        data: A recipe; or the images (a folder, file, array or name), the recipe's other fields being keywords.
        recipe: Name or JSON file of a recipe to begin from, which the fields change.
        out: Where the model file goes; `NAME.run/` beside it holds checkpoints and metrics. Without it, nothing is written.
        resume: Go on with the unfinished training of `out`; where there is none, begin.
        overwrite: Begin anew although `out` exists.
        device: "auto", "cpu", "cuda" or "mps".
        data_dir: A folder that may hold the named data sets.
        max_bad: Share of a folder's pictures that may be unreadable; they are skipped and named.
        checkpoint_seconds: Time between checkpoints.
        tensorboard: Also write TensorBoard's event files into the run's folder (needs `isthmus[track]`).
        watch: Called after steps, some ten times a second at most, and after each epoch.
        warn: Called with a sentence where something deserves attention.
        **fields: Fields of `Recipe`.

    Returns:
        The trained model.

    Raises:
        IsthmusError: A sentence for whatever is wrong with the options, the data, the disk, or the loss.
        Interrupted: After SIGINT or SIGTERM, once the step is done and saved.
    """
    if isinstance(data, Recipe):
        if fields or recipe:
            raise UsageError(f"Give either a recipe or its fields ({', '.join(fields) or 'recipe'}), not both.")
        complete = data
    else:
        base = base_fields(recipe, set(fields)) if recipe else {}
        complete = Recipe.of({**base, "data": str(data) if isinstance(data, str | Path) else "", **fields})
    path = Path(out) if out is not None else None
    if path is not None and resume and path.exists() and not Run(path).has_checkpoint():
        warn(f"{printable(str(path))} is finished: there is nothing to resume.")
        return load(path, device=device)
    if path is not None:
        _check_out(path, resume=resume, overwrite=overwrite)
    folder = Path(data_dir) if data_dir is not None else None
    source = open_pairs(complete.data if isinstance(data, Recipe) else data, complete.clean, folder, max_bad=max_bad)
    dataset, held_out = to_learn_from(source, complete.size, complete.patch, VALIDATION_IMAGES)
    for skipped in dataset.skipped:
        warn(f"Skipped {skipped.reason}")
    trainer = Trainer(complete, dataset, held_out, device=device, watch=watch)
    if path is None:
        return trainer.fit()
    run = Run(path)
    with run.held(), stop_requests() as stop:
        if resume and run.has_checkpoint():
            warning = trainer.resume(run)
            if warning:
                warn(warning)
        else:
            run.discard_checkpoints()
        run.begin(trainer.state.step, tensorboard=tensorboard)
        model = trainer.fit(run, stop, checkpoint_seconds)
        model.save(path)
        run.discard_checkpoints()
    return model


def _check_out(path: Path, *, resume: bool, overwrite: bool) -> None:
    run = Run(path)
    if path.suffix != ".safetensors":
        raise UsageError(f"A model's name must end in .safetensors, and {printable(str(path))} does not.")
    if run.has_checkpoint() and not resume and not overwrite:
        name = printable(str(run.folder))
        raise UsageError(f"{name} holds an unfinished training: add --resume to go on, or --overwrite to begin anew.")
    check_output(path, overwrite=overwrite or resume)
