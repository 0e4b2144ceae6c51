"""The commands that learn: `reproduce`, `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.app import DONE_IN_PART, MAX_BAD, Data, app, show
from isthmus.errors import printable
from isthmus.progress import Progress, say
from isthmus.recipes import Recipe


@app.command
def reproduce(
    *,
    out: Path,
    quick: bool = False,
    as_in_the_book: bool = False,
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
        data_dir: Folder with mnist/*.gz; else the cache, else a download.
        seed: Start of all chance.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what the folder holds.
        resume: Go on with an unfinished run.
        json: Print every number as one JSON object.
        quiet: No progress.
    """
    from isthmus.reproducing import reproduce as run
    from isthmus.tables import chapter_table

    with Progress(quiet) as progress:
        results = run(
            out,
            quick=quick,
            as_in_the_book=as_in_the_book,
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


@app.command
def train(
    data: Data,
    /,
    *,
    out: Path,
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
        data: Images to learn from: a folder, .npz, .npy, an IDX file or folder, or a name (mnist, fashion-mnist, digits, mnist-5k).
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

    from isthmus.tables import format_model
    from isthmus.training import train as run

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
