"""The commands that train: `train`, `tune`, `reproduce`. The options of `train` are the fields of `Recipe`."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import logging
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from cyclopts import Group, Parameter

from isthmus.cli.app import (
    MAX_BAD,
    PARTLY_DONE,
    Data,
    DataDir,
    Device,
    Json,
    MaxBad,
    Overwrite,
    Quiet,
    Seed,
    parse_bytes,
    show,
)
from isthmus.cli.messages import messages
from isthmus.errors import printable
from isthmus.recipes import Recipe

GROUPS = {
    "Task": ("task", "noise", "factor", "corruption", "prepare"),
    "Network": ("model", "code", "hidden", "decoder_hidden", "code_kind", "beta", "beta_warm_up", "loss"),
    "Schedule": ("epochs", "budget", "batch_size", "optimizer", "learning_rate", "schedule", "warm_up", "ema", "clip"),
    "Images": ("size", "patch"),
    "Reproducibility": ("precision", "seed"),
}
"""The groups in which help shows the recipe's fields."""


def _field_texts() -> dict[str, str]:
    """Return the docstring under each field of `Recipe`."""
    body = ast.parse(inspect.getsource(Recipe)).body[0]
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            texts[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return texts


def _recipe_options() -> type[Any]:
    """Return the dataclass of the recipe's options: the same fields, texts and defaults, in groups."""
    hints, texts = get_type_hints(Recipe), _field_texts()
    hints["noise"] = tuple[float, ...] | None  # one number, or a range
    places = {name: Group(title, sort_key=place) for place, (title, names) in enumerate(GROUPS.items(), 1) for name in names}
    fields = [
        (
            field.name,
            Annotated[hints[field.name], Parameter(help=texts[field.name], group=places[field.name])],
            dataclasses.field(default=field.default),
        )
        for field in dataclasses.fields(Recipe)
    ]
    namespace = {"__module__": __name__}  # cyclopts looks into no class of the standard library
    return dataclasses.make_dataclass("RecipeOptions", fields, kw_only=True, frozen=True, namespace=namespace)


RecipeOptions = _recipe_options()


def _fields_of(options: Any) -> dict[str, Any]:
    given = {} if options is None else dataclasses.asdict(options)
    if given.get("noise"):
        given["noise"] = given["noise"][0] if len(given["noise"]) == 1 else given["noise"]
    return {name: value for name, value in given.items() if value is not None}


RecipeName = Annotated[
    str | None,
    Parameter(
        name="--recipe",
        help="Start from a preset, which the other options change: features, dense-best, conv-best, vae, chapter-dense, "
        "chapter-convolutional or chapter-denoising; those of the models that ship, denoise-gray, denoise-color, repair, "
        "upscale-x2, upscale-x3, upscale-x4 or colorize; or from a JSON file of `isthmus tune`.",
    ),
]


def train(
    data: Data,
    /,
    *,
    out: Annotated[Path, Parameter(help="The model file; NAME.run/ beside it holds checkpoints and metrics.jsonl.")],
    preset: RecipeName = None,
    recipe: Annotated[RecipeOptions | None, Parameter(name="*")] = None,  # type: ignore[valid-type]  # made above
    clean: Annotated[str | None, Parameter(help="For --task pairs: the clean images, same names or order.")] = None,
    init_from: Annotated[str | None, Parameter(help="A model to start from: its weights, as far as shapes agree.")] = None,
    resume: Annotated[bool, Parameter(help="Continue an unfinished training.", show_default=False)] = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    device: Device = "auto",
    devices: Annotated[int, Parameter(help="Processes to train with on this machine, or GPUs.")] = 1,
    memory: Annotated[str | None, Parameter(help="For decoded pictures, such as 1.5GB; by default, a quarter.")] = None,
    disk: Annotated[str | None, Parameter(help="For those beyond it; by default, half of what is free.")] = None,
    checkpoint_seconds: Annotated[float, Parameter(help="Time between checkpoints.")] = 10.0,
    tensorboard: Annotated[bool, Parameter(help="Also log to TensorBoard, in the run's folder.", show_default=False)] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a model on your images.

    Example: `isthmus train scans/ --task denoise --noise 0.1 --budget 10m --out scans.safetensors`
    """
    from isthmus.report.tables import format_model
    from isthmus.training.callbacks import TensorBoard
    from isthmus.training.distributed import is_first
    from isthmus.training.train import train as run

    with messages(quiet or not is_first(), logging.INFO):
        model = run(
            data,
            Recipe.from_json(_fields_of(recipe)),
            clean=clean,
            init_from=init_from,
            out=out,
            data_dir=data_dir,
            device=device,
            devices=devices,
            overwrite=overwrite,
            resume=resume,
            max_bad=max_bad,
            memory=parse_bytes(memory) if memory else None,
            disk=parse_bytes(disk, "--disk") if disk else None,
            checkpoint_seconds=checkpoint_seconds,
            callbacks=[TensorBoard(out.with_suffix(".run") / "tensorboard")] if tensorboard else [],
            progress=not quiet,
        )
    if not is_first():
        return 0
    result = {"out": printable(str(out)), **model.describe()}
    show(result, f"{result['out']}\n{format_model(result)}", json)
    return PARTLY_DONE if result["skipped"] else 0


def tune(
    data: Data,
    /,
    *,
    out: Annotated[Path, Parameter(help="Folder for recipe.json, frontier.png, report.html, and trials.run/ for --resume.")],
    budget: Annotated[str | None, Parameter(help="Time for all trials together: 90s, 20m or 1h.")] = None,
    trials: Annotated[int | None, Parameter(help="Number of trials, instead of a budget or beside it.")] = None,
    code: Annotated[int | None, Parameter(help="Numbers of the chosen code; by default, the knee of the frontier.")] = None,
    recipe: RecipeName = None,
    task: Annotated[str | None, Parameter(help="As for train: reconstruct, denoise or describe.")] = None,
    noise: Annotated[float | None, Parameter(help="As for train: the noise level for denoise.")] = None,
    corruption: Annotated[str | None, Parameter(help="As for train: another corruption to undo.")] = None,
    model: Annotated[str | None, Parameter(help="As for train: conv or dense.")] = None,
    code_kind: Annotated[str | None, Parameter(help="As for train: relu, linear, gaussian or invariant.")] = None,
    epochs: Annotated[int | None, Parameter(help="Length of every training.")] = None,
    size: Annotated[tuple[int, int] | None, Parameter(help="Height and width to resize images to.")] = None,
    seed: Annotated[int | None, Parameter(help="Random seed.")] = None,
    resume: Annotated[bool, Parameter(help="Continue; time already spent counts.", show_default=False)] = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search for good hyperparameters: the smallest error for each code size.

    Example: `isthmus tune scans/ --out tuned/ --budget 20m`, then
    `isthmus train scans/ --recipe tuned/recipe.json --out scans.safetensors`

    Tries layers, units, losses and learning rates for five code sizes, and compares with PCA. Needs `pip install 'isthmus[tune]'`.
    """
    from isthmus.report.tables import frontier_table
    from isthmus.tuning import tune as run

    fields: dict[str, Any] = {"task": task, "noise": noise, "corruption": corruption, "model": model, "code_kind": code_kind}
    fields |= {"epochs": epochs, "size": size, "seed": seed}
    with messages(quiet, logging.INFO):
        tuned = run(
            data,
            out=out,
            recipe=recipe,
            code=code,
            budget=budget,
            trials=trials,
            resume=resume,
            overwrite=overwrite,
            device=device,
            data_dir=data_dir,
            max_bad=max_bad,
            **{name: value for name, value in fields.items() if value is not None},
        )
    result = {"out": printable(str(out)), **tuned.to_json()}
    text = f"{frontier_table(result)}\n\nChosen recipe: {out / 'recipe.json'}. Report: {out / 'report.html'}"
    show(result, text, json)
    return PARTLY_DONE if result["skipped"] else 0


def reproduce(
    *,
    out: Annotated[Path, Parameter(help="Folder for report.html, its figures, results.json and the models.")],
    quick: Annotated[bool, Parameter(help="Train on the 5,000 digits that ship, for a minute.", show_default=False)] = False,
    budget: Annotated[str | None, Parameter(help="Time for the three: five sixths of it train. With --quick 60s.")] = None,
    as_in_the_book: Annotated[bool, Parameter(help="Use the book's schedule: 140 epochs, not 23.", show_default=False)] = False,
    beyond: Annotated[bool, Parameter(help="Also train a better denoiser, an upscaler, an inpainter.", show_default=False)] = False,
    data_dir: DataDir = None,
    seed: Seed = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    resume: Annotated[bool, Parameter(help="Continue an unfinished run.", show_default=False)] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train the textbook chapter's three autoencoders, and write a report.

    Example: `isthmus reproduce --quick --out chapter/`, then open `chapter/report.html`.
    """
    from isthmus.report.chapter import reproduce as run
    from isthmus.report.tables import chapter_table

    with messages(quiet):
        results = run(
            out,
            quick=quick,
            budget=budget,
            as_in_the_book=as_in_the_book,
            beyond=beyond,
            data_dir=data_dir,
            device=device,
            seed=seed,
            overwrite=overwrite,
            resume=resume,
            progress=not quiet,
        )
    show(results, f"{chapter_table(results)}\n\n{results['seconds']} seconds in all. Report: {results['report']}", json)
    return 0
