"""The command line: the doors' names, what they print, and how they exit. The work is done elsewhere.

Results go to stdout, progress and remarks to stderr. Exit status: 0 done, 1 failed, 2 wrong usage, 3 bad data, 4 bad model
file, 5 done in part, 130 interrupted, 143 terminated. What takes time to load (torch, above all) is loaded by the command that
needs it, so that help is quick.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from isthmus import __version__
from isthmus.errors import DataError, Interrupted, IsthmusError, UsageError, printable
from isthmus.progress import Progress, say
from isthmus.recipes import Recipe

if TYPE_CHECKING:
    from isthmus.datasets import Rewritten, Source
    from isthmus.restoring import Model

DONE_IN_PART = 5

MAX_BAD = 0.5
"""As `isthmus.datasets.MAX_BAD`, which takes NumPy to load; a test compares them."""

app = App(
    name="isthmus",
    version=__version__,
    help="""Autoencoders for your own images: learn from them on this machine, then clean, compress and compare images like them.

    isthmus train photos/ --task denoise --budget 10m --out clean.safetensors

    isthmus restore clean.safetensors noisy/ --out cleaned/
    """,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main() tells the signals apart
    default_parameter=Parameter(
        negative="",
        consume_multiple=True,
        show_default=False,  # the texts name them: 0 or nothing would only puzzle
        parse=re.compile(r"^(?!data$)"),
    ),
)

Data = Annotated[str, Parameter(name="DATA", parse=True)]
"""DATA means the same everywhere: a picture, a folder, .npz, .npy, an IDX file or folder, or a name."""


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
    _print(results, f"{chapter_table(results)}\n\n{results['seconds']} seconds in all. The page: {results['report']}", json)
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
    _print(result, f"{result['out']}\n{format_model(result)}", json)
    return DONE_IN_PART if result["skipped"] else 0


@app.command
def restore(
    model: Path,
    data: Data,
    /,
    *,
    out: Path,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Undo what a model has learnt to undo: write the same images again, without it.

    Example: `isthmus restore scans.safetensors noisy/ --out clean/`

    As many images come out as go in, of the same size, type and order, with the same names and labels.

    Args:
        model: The model file.
        data: What to restore: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        out: Where to; the same kind as DATA.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing more is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
        quiet: No remarks.
    """
    trained = _load(model, device)
    began = time.perf_counter()
    rewritten = _open(data, data_dir, max_bad).rewrite(out, trained.restore, overwrite=overwrite)
    return _report_rewritten(rewritten, out, time.perf_counter() - began, json, quiet)


@app.command
def encode(
    model: Path,
    data: Data,
    /,
    *,
    out: Path,
    split: str = "all",
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write the codes of images: what the model keeps of them.

    Example: `isthmus encode digits.safetensors mnist --out codes.npz`

    Args:
        model: The model file.
        data: The images: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        out: An .npz with codes, and labels and names where there are any.
        split: train, test or all.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.coding import encode_data

    trained = _load(model, device)
    began = time.perf_counter()
    written = encode_data(trained, _open(data, data_dir, max_bad), out, split=split, overwrite=overwrite)
    return _report_rewritten(written, out, time.perf_counter() - began, json)


@app.command
def decode(model: Path, codes: Path, /, *, out: Path, device: str = "auto", overwrite: bool = False, json: bool = False) -> int:
    """Write the images that codes stand for.

    Example: `isthmus decode digits.safetensors codes.npz --out pictures/`

    Args:
        model: The model file that made the codes.
        codes: The .npz of `isthmus encode`.
        out: A folder for PNG pictures, or an .npz.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.coding import decode_file

    trained = _load(model, device)
    began = time.perf_counter()
    written = decode_file(trained, codes, out, overwrite=overwrite)
    return _report_rewritten(written, out, time.perf_counter() - began, json)


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

    card = run(_load(model, device), data, split=split, data_dir=data_dir, max_bad=max_bad, seed=seed).to_json()
    for reason in card["skipped"]:
        say(f"Skipped {reason}")
    _print(card, format_scorecard(card), json)
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
        about = _load(Path(name), "cpu").describe()
        _print(about, format_model(about), json)
    else:
        about = _open(name, data_dir, max_bad=1).read("all").describe()
        _print(about, format_data(about), json)
        return DONE_IN_PART if about["skipped"] else 0
    return 0


def main() -> None:
    """Run the command line, and leave with its exit status."""
    try:
        status = app(sys.argv[1:], exit_on_error=False, print_error=True, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError:
        status = UsageError.exit_status
    except Interrupted as interrupted:
        say(str(interrupted))
        status = interrupted.exit_status
    except IsthmusError as error:
        say(str(error))
        status = error.exit_status
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader of our output has left, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except MemoryError:
        say("Out of memory: take fewer or smaller images (--size), or a smaller --batch-size.")
        status = 1
    sys.exit(status if isinstance(status, int) else 0)


def _load(path: Path, device: str) -> Model:
    from isthmus.restoring import load

    return load(path, device=device)


def _open(data: str, data_dir: Path | None, max_bad: float) -> Source:
    from isthmus.datasets import open_data

    return open_data(data, data_dir, max_bad=max_bad)


def _print(result: dict[str, Any], text: str, as_json: bool) -> None:
    print(json.dumps(result) if as_json else text)


def _report_rewritten(rewritten: Rewritten, out: Path, seconds: float, as_json: bool, quiet: bool = False) -> int:
    name = printable(str(out))
    for skipped in rewritten.skipped:
        if not quiet:
            say(f"Skipped {skipped.reason}")
    if not rewritten.count:
        raise DataError(f"None of the pictures could be read: nothing was written to {name}.")
    skipped_names = [printable(skipped.name) for skipped in rewritten.skipped]
    result = {
        "images": rewritten.count,
        "out": name,
        "seconds": round(seconds, 3),
        "images_per_second": round(rewritten.count / seconds, 1),
        "skipped": skipped_names,
    }
    text = f"{rewritten.count:,} images in {seconds:.2f} s ({rewritten.count / seconds:,.0f} a second): {name}"
    if rewritten.skipped:
        text += f"\n{len(skipped_names):,} skipped: {', '.join(skipped_names[:10])}{' ...' if len(skipped_names) > 10 else ''}"
    _print(result, text, as_json)
    return DONE_IN_PART if rewritten.skipped else 0
