"""The commands that learn: `reproduce`, `train`, `tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter, config

from isthmus.cli.app import DONE_IN_PART, MAX_BAD, Data, app, show
from isthmus.cli.progress import Progress, say
from isthmus.errors import printable
from isthmus.recipes import Recipe, base_fields


@app.command
def reproduce(
    *,
    out: Path,
    quick: bool = False,
    as_in_the_book: bool = False,
    beyond: bool = False,
    data_dir: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Train the textbook chapter's three autoencoders and write a page about them.

    Example: `isthmus reproduce --quick --out chapter/`, then open `chapter/report.html`.

    Args:
        out: Folder for report.html, its figures, results.json and the three models.
        quick: Learn from 5,000 digits that come along, in about a minute.
        as_in_the_book: Train with the book's schedule: 140 epochs instead of 28.
        beyond: Also train what lies beyond the chapter: a better denoiser, one that enlarges digits, and one that completes them.
        data_dir: Folder with mnist/*.gz; else the cache, else a download.
        seed: Start of all chance.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what the folder holds.
        resume: Go on with an unfinished run.
        json: Print every number as one JSON object.
        quiet: No progress.
    """
    from isthmus.report.chapter import reproduce as run
    from isthmus.report.tables import chapter_table

    with Progress(quiet) as progress:
        results = run(
            out,
            quick=quick,
            as_in_the_book=as_in_the_book,
            beyond=beyond,
            data_dir=data_dir,
            device=device,
            seed=seed,
            overwrite=overwrite,
            resume=resume,
            watch=progress.watch,
            warn=say,
        )
    show(results, f"{chapter_table(results)}\n\n{results['seconds']} seconds in all. The page: {results['report']}", json)
    return 0


def _fill_from_recipe(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Let the recipe that --recipe names give what the command line leaves out."""
    tokens = {argument.name: argument.tokens for argument in arguments if argument.tokens}
    if "--recipe" not in tokens:
        return
    given = {name.removeprefix("--").replace("-", "_") for name in tokens}
    fields = base_fields(tokens["--recipe"][0].value, given)
    config.Dict(fields, source="--recipe", use_commands_as_keys=False)(app, commands, arguments)


@app.command(config=_fill_from_recipe)
def train(
    data: Data,
    /,
    *,
    out: Path,
    base: Annotated[str, Parameter(name="--recipe")] = "",
    recipe: Annotated[Recipe | None, Parameter(name="*")] = None,
    data_dir: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    max_bad: float = MAX_BAD,
    checkpoint_seconds: float = 10.0,
    tensorboard: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Learn from images and write a model file.

    Example: `isthmus train scans/ --task denoise --noise 0.1 --budget 10m --out scans.safetensors`

    Args:
        data: Images to learn from: a folder, .npz, .npy, an IDX file or folder, or a name (mnist, fashion-mnist,
            binary-mnist, digits, mnist-5k).
        base: A recipe to begin from, which the other options change: features, dense-best, conv-best, vae, chapter-dense,
            chapter-convolutional or chapter-denoising; or a JSON file, as `isthmus tune` writes it.
        recipe: What is learnt, and how.
        out: The model file; NAME.run/ beside it holds checkpoints and metrics.jsonl.
        data_dir: Folder that holds named data sets, as in mnist/*.gz.
        device: auto, cpu, cuda or mps.
        overwrite: Begin anew although the model exists.
        resume: Go on with an unfinished training.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        checkpoint_seconds: Time between checkpoints.
        tensorboard: Also write TensorBoard's files into the run's folder.
        json: Print the result as one JSON object.
        quiet: No progress.
    """
    from dataclasses import replace

    from isthmus.report.tables import format_model
    from isthmus.training.train import train as run

    with Progress(quiet) as progress:
        model = run(
            replace(recipe or Recipe(), data=data),
            out=out,
            data_dir=data_dir,
            device=device,
            overwrite=overwrite,
            resume=resume,
            max_bad=max_bad,
            checkpoint_seconds=checkpoint_seconds,
            tensorboard=tensorboard,
            watch=progress.watch(out.stem),
            warn=say,
        )
    result = {"out": printable(str(out)), **model.describe()}
    show(result, f"{result['out']}\n{format_model(result)}", json)
    return DONE_IN_PART if result["skipped"] else 0


@app.command
def tune(
    data: Data,
    /,
    *,
    out: Path,
    budget: str = "",
    trials: int = 0,
    code: int = 0,
    recipe: str = "",
    task: str | None = None,
    noise: float | None = None,
    corruption: str | None = None,
    model: str | None = None,
    code_kind: str | None = None,
    epochs: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    max_bad: float = MAX_BAD,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Look for the best recipe: the smallest error for the size of its code, beside PCA.

    Example: `isthmus tune scans/ --out tuned/ --budget 20m`, then
    `isthmus train scans/ --recipe tuned/recipe.json --out scans.safetensors`

    Layers, units, loss and learning rate are tried for five sizes of code. Needs Optuna: `pip install 'isthmus[tune]'`.

    Args:
        data: Images to learn from: a folder, .npz, .npy, an IDX file or folder, or a name (mnist, fashion-mnist,
            binary-mnist, digits, mnist-5k).
        out: Folder for recipe.json, frontier.png, report.html, and trials.run/, which --resume needs.
        budget: Time for all trials together: 90s, 20m or 1h.
        trials: Trials in all, instead of a budget or beside it; for the same seed, the same recipes are found.
        code: Numbers that the chosen code may have; without it, the knee of the frontier is chosen.
        recipe: A recipe to begin from, as for `isthmus train`.
        task: As for train: reconstruct, denoise or describe.
        noise: As for train: the strength of the noise for denoise.
        corruption: As for train: something else to undo.
        model: As for train: conv (the default) or dense.
        code_kind: As for train: relu (the default), linear, gaussian or invariant.
        epochs: Length of every training (10).
        size: Height and width in pixels to bring the images to.
        seed: Start of all chance.
        data_dir: Folder that holds named data sets, as in mnist/*.gz.
        device: auto, cpu, cuda or mps.
        overwrite: Begin anew although the folder holds something.
        resume: Go on with the tuning in the folder; what it has spent of the budget counts.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        json: Print the result as one JSON object.
        quiet: No progress.
    """
    from isthmus.report.tables import frontier_table
    from isthmus.tuning import tune as run

    fields: dict[str, Any] = {"task": task, "noise": noise, "corruption": corruption, "model": model, "code_kind": code_kind}
    fields |= {"epochs": epochs, "size": size, "seed": seed}
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
        tell=(lambda sentence: None) if quiet else say,
        warn=say,
        **{name: value for name, value in fields.items() if value is not None},
    )
    result = {"out": printable(str(out)), **tuned.to_json()}
    text = f"{frontier_table(result)}\n\nThe chosen recipe: {out / 'recipe.json'}. The page: {out / 'report.html'}"
    show(result, text, json)
    return DONE_IN_PART if result["skipped"] else 0
