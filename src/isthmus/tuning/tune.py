"""`tune`: search for the recipe with the smallest error for its code size.

Optuna keeps a study for every size of code that is tried, all in one journal: in each, TPE proposes layers, units, loss and rate,
and the median rule ends trainings that lag behind. (One study with two aims could end none early.) What is best for a size is
tried for the next larger and the next smaller one, so that the studies learn from each other.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from pathlib import Path
from typing import Any

from isthmus.datasets import MAX_BAD, Data, open_data, train_and_test
from isthmus.errors import Interrupted, IsthmusError, UsageError, printable
from isthmus.recipes import Recipe
from isthmus.report import figures
from isthmus.report.page import Figure, Section, write_report
from isthmus.report.tables import Table, frontier_table
from isthmus.storage.atomic import check_output, write_whole
from isthmus.storage.run_dir import Run
from isthmus.training.stopping import stop_requests
from isthmus.training.train import merge
from isthmus.tuning.frontier import Tuned, choose, find_frontier
from isthmus.tuning.search import OutOfTimeError, Search

LOG = logging.getLogger(__name__)


def tune(
    data: Data,
    *,
    out: str | Path,
    recipe: Recipe | str | None = None,
    code: int | None = None,
    budget: str | None = None,
    trials: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    stop: threading.Event | None = None,
    **fields: Any,
) -> Tuned:
    """Search for the recipe with the smallest error, for several code sizes.

    One error compares all losses: the mean squared error of the output.

    Args:
        data: The images, as `train` takes them.
        out: The folder for `recipe.json`, `frontier.png`, `report.html`, and `trials.run/`, which resuming needs.
        recipe: The recipe to start from, its name or its JSON file, which the fields change.
        code: Numbers of the chosen code; the search also tries a quarter, half, twice and four times as many. Without it, isthmus
            chooses the knee of the frontier: the point farthest below the straight line between its ends, with the error drawn
            against the logarithm of the numbers.
        budget: Time for all trials: 90s, 20m or 1h. It also ends the running training.
        trials: Number of trials, including those that end early; the first limit that is reached ends the search.
        resume: Continue the tuning in `out`; where there is none, start.
        overwrite: Start over although `out` exists.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's images that may be unreadable; isthmus skips and logs them.
        stop: Set it, from any thread, to stop after the current step.
        **fields: Fields of `Recipe`, which all trials share; hidden, loss and learning_rate are those of the first trial.

    Raises:
        UsageError: If an option is invalid, or Optuna is missing.
        IsthmusError: If `out` holds another tuning, or no training finished.
        Interrupted: After SIGINT or SIGTERM, or when `stop` is set, once the step is done and the results are written.
    """
    base = merge(recipe, fields).complete()
    budget_seconds = Recipe(budget=budget).budget_seconds or math.inf
    _check_options(base, code, trials, budget)
    folder = Path(out)
    check_output(folder, overwrite=overwrite or resume)
    source = open_data(data, data_dir, max_bad=max_bad)
    dataset, test = train_and_test(source, base.size)
    for skipped in dataset.skipped:
        LOG.warning("Skipped: %s", skipped.reason)
    search = Search(base, dataset, test, code=code or 0, device=device)
    run = Run(folder / "trials.run")
    with run.held(), stop_requests(stop) as request:
        search.open(run.folder / "journal", resume=resume)
        try:
            while search.spent_seconds() < budget_seconds and (not trials or search.finished() < trials):
                search.attempt(budget_seconds, request)
        except OutOfTimeError:
            pass
        except Interrupted as interrupted:
            if search.tried():
                _write(search, folder)
            raise Interrupted(
                f"Stopped in {printable(str(folder))}. Pass `resume=True` to continue.", interrupted.exit_status
            ) from None
        if not search.tried():
            raise IsthmusError(
                f"No training of {base.epochs} epochs finished in {search.spent_seconds():.0f} seconds. "
                "Pass a larger budget, or fewer `epochs` with `overwrite=True`."
            )
        return _write(search, folder)


def _check_options(base: Recipe, code: int | None, trials: int | None, budget: str | None) -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("This needs the extra 'tune'. Install it: pip install 'isthmus[tune]'.") from None
    if base.budget:
        raise UsageError(
            f"Trials need the same number of epochs each. Pass `epochs` instead of the recipe's budget of {base.budget}."
        )
    for name, value in {"code": code, "trials": trials}.items():
        if value is not None and value < 1:
            raise UsageError(f"`{name}` must be 1 or more, not {value}.")
    if not budget and not trials:
        raise UsageError('A search needs a limit. Pass `budget="20m"` or `trials=50`.')


def _write(search: Search, folder: Path) -> Tuned:
    """Write the chosen recipe and a page about the frontier."""
    tried = search.tried()
    frontier = find_frontier(tried)
    tuned = Tuned(
        chosen=choose(frontier, search.code),
        frontier=tuple(frontier),
        tried=tuple(tried),
        ended_early=search.finished() - len(tried),
        pca_mse=search.principal_components([*search.sizes, *(best.numbers for best in frontier)]),
        seconds=search.spent_seconds(),
        skipped=search.skipped,
    )
    recipe = json.dumps(tuned.chosen.recipe.to_json(), indent=2)
    write_whole(folder / "recipe.json", recipe.encode())
    write_report(folder, "Code size against error", _sections(search, tuned))
    return tuned


def _sections(search: Search, tuned: Tuned) -> list[Section]:
    data = search.about["data"]
    finished = search.finished()
    trials = f"{finished:,} trials in {tuned.seconds:,.0f} seconds, {tuned.ended_early:,} of them ended early."
    return [
        Section(
            "",
            [
                f"Trained on {len(search.learned):,} images ({data['title']}), for {search.base.epochs} epochs each, "
                f"to undo {search.base.corruption} with {search.base.model} models. {trials}",
                f"isthmus chooses a recipe by its mean squared error on {len(search.measured['choose']):,} other training images. "
                f"All errors here are measured on {len(search.measured['test']):,} test images, which neither training nor "
                "selection used. The baseline is PCA with as many components, fitted to the same training images.",
            ],
            tables=[frontier_table(tuned.to_json())],
            figures=[
                Figure(
                    "frontier",
                    figures.frontier(
                        [(one.numbers, one.mse) for one in tuned.tried],
                        [(one.numbers, one.mse) for one in tuned.frontier],
                        sorted(tuned.pca_mse.items()),
                        (tuned.chosen.numbers, tuned.chosen.mse),
                    ),
                    "Every finished trial. The line joins the best for each size; the ring marks the chosen recipe.",
                )
            ],
        ),
        Section(
            "The chosen recipe",
            ["Train with it: isthmus train DATA --recipe recipe.json --out model.safetensors"],
            tables=[Table(("field", "value"), [(name, str(value)) for name, value in tuned.chosen.recipe.to_json().items()])],
        ),
    ]
