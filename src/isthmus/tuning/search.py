"""The search: Optuna proposes a recipe; isthmus trains, measures and compares it.

What a trial is depends on the seed and on the trials before it only, so that a tuning that was killed and resumed tries the same
recipes.

Source: Bergstra et al. (2011) for TPE; Golovin et al. (2017) for the median rule.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.datasets import Dataset, hold_out
from isthmus.errors import DivergenceError, IsthmusError, UsageError, printable
from isthmus.evaluation.metrics import mean_squared_error
from isthmus.evaluation.scorecard import SEED
from isthmus.evaluation.test_data import check_measurable, example_of, restore_sample
from isthmus.imaging.arrays import in_channels
from isthmus.model import Model
from isthmus.networks import NETWORKS
from isthmus.networks.losses import LOSSES
from isthmus.recipes import Recipe
from isthmus.storage.atomic import write_whole
from isthmus.storage.run_dir import compare
from isthmus.training.callbacks import Callback, TrainingProgress
from isthmus.training.stopping import StopRequest
from isthmus.training.trainer import Trainer
from isthmus.tuning.frontier import Tried

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

VALUES_PER_NUMBER = 24
"""Values of an image for one number of the middle size of code, unless the size is given; of 784, the power of two near is 32."""

SIZES = (0.25, 0.5, 1, 2, 4)
"""The sizes of code that are tried, as multiples of the middle one."""

MAX_LAYERS = 3
"""Hidden layers before the code, at most."""

RATES = (5e-4, 5e-2)
"""Lowest and highest peak of the learning rate."""

FIRST_RANDOM = 5
"""Trials of a size before TPE has seen enough."""

FIRST_WHOLE = 3
"""Trainings of a size that come to their end before others are compared with them."""

COMPARED_FROM = 1 / 3
"""Share of a training before which it is not ended: at a ninth the order is not yet that of the end (docs/experiments.md)."""

MEASURED = 5000
"""Images that an error is measured on, at most."""


LOG = logging.getLogger(__name__)


class OutOfTimeError(Exception):
    """The budget has ended within a training."""


class Search:
    """One study for every size of code, and what their trials are trained and measured on.

    Args:
        base: What all trials share.
        dataset: Images to learn from; trials are compared on a tenth of them, which they do not see.
        test: Images that are measured on only.
        code: The middle size of code, or 0.
        device: "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, base: Recipe, dataset: Dataset, test: Dataset, *, code: int, device: str):
        self.base, self.code, self.device = base.complete(), code, device
        self.skipped = tuple(printable(skipped.name) for skipped in dataset.skipped)
        self.about = {"recipe": {**self.base.to_json(), "code": code}, "data": dataset.fingerprint()}
        self.learned, self.choosing = hold_out(dataset, "train"), hold_out(dataset, "test")
        probes = [
            Model(replace(self.base, code=1, hidden=(1,) * layers, decoder_hidden=None), dataset.image_shape, device="cpu")
            for layers in range(MAX_LAYERS + 1)
        ]
        self.unit = [math.prod(probe.code_shape()) for probe in probes]
        """For so many layers, how many numbers a code of size 1 has: the smallest that there is."""
        self.prepare = probes[0].degradation.prepare
        check_measurable(probes[0])
        held_out = {"choose": self.choosing, "test": test}
        self.measured = {name: example_of(probes[0], held.images[:MEASURED], SEED) for name, held in held_out.items()}
        self.sizes = self._sizes(math.prod(dataset.image_shape))
        self.studies: dict[int, Study] = {}

    def open(self, journal: Path, *, resume: bool) -> None:
        """Open the journal, or begin one; what a kill has left half done is to be done again.

        Raises:
            IsthmusError: If the journal is of other data or another recipe, or is damaged.
        """
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalStorage

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if not resume:
            journal.unlink(missing_ok=True)
        journal.with_name("journal.lock").unlink(missing_ok=True)  # a kill may leave it; the run's folder is ours alone
        if journal.exists() and not journal.read_bytes().endswith(b"\n"):
            write_whole(journal, b"".join(line for line in journal.read_bytes().splitlines(True) if line.endswith(b"\n")))
        pruner = optuna.pruners.MedianPruner(FIRST_WHOLE, n_warmup_steps=math.ceil(COMPARED_FROM * (self.base.epochs or 1)))
        try:
            storage = JournalStorage(JournalFileBackend(str(journal)))
            for name in optuna.get_all_study_names(storage):
                saved = optuna.load_study(study_name=name, storage=storage).user_attrs.get("about", self.about)
                compare(saved["recipe"], self.about["recipe"], "recipe")
                compare({**saved["data"], "title": ""}, {**self.about["data"], "title": ""}, "data")
            for size in self.sizes:
                name = f"{size} numbers"
                self.studies[size] = optuna.create_study(study_name=name, storage=storage, pruner=pruner, load_if_exists=True)
                self.studies[size].set_user_attr("about", self.about)
        except IsthmusError:
            raise
        except Exception as error:  # Optuna raises what it likes on damaged files: KeyError, JSONDecodeError, ...
            name = printable(str(journal))
            raise IsthmusError(f"{name} is damaged ({type(error).__name__}). Pass `overwrite=True` to start over.") from error
        for size, study in self.studies.items():
            for left in self._trials(size, "RUNNING"):
                chosen = left.system_attrs.get("fixed_params", left.params)
                if chosen.keys() == self._space(size).keys() and not self._trials(size, "WAITING"):
                    study.enqueue_trial(chosen)  # if a kill left only some that were proposed, the seed proposes the same again
                study.tell(left.number, state=optuna.trial.TrialState.FAIL)

    def attempt(self, budget_seconds: float, stop: StopRequest) -> None:
        """Let the size that has had the fewest trials try one more recipe.

        Args:
            budget_seconds: Of all trials together.
            stop: Asks for an end after the step under way.

        Raises:
            Interrupted: If `stop` asked for it.
            OutOfTimeError: If the budget ended first.
        """
        from optuna import TrialPruned
        from optuna.trial import TrialState

        size = min(self.sizes, key=self.finished)
        trial, ordinal = self._ask(size), self.finished() + 1
        recipe = self._recipe(size, trial.params)
        began, spent_seconds = time.monotonic(), self.spent_seconds()

        class Watch(Callback):
            def on_step(self, progress: TrainingProgress) -> None:
                if progress.share < 1 and spent_seconds + time.monotonic() - began > budget_seconds:
                    raise OutOfTimeError

            def on_epoch_end(watch, progress: TrainingProgress) -> None:  # noqa: N805  # self is the search
                if progress.share >= 1:
                    return
                trial.set_user_attr("seconds", time.monotonic() - began)  # what a kill must not hide
                trial.report(self._error(trainer.model, "choose"), progress.epoch)
                if trial.should_prune():
                    raise TrialPruned
                watch.on_step(progress)

        hidden = " ".join(map(str, recipe.hidden or ())) or "none"
        title = f"trial {ordinal}: {self._numbers(recipe)} numbers, hidden {hidden}, {recipe.loss}, rate {recipe.learning_rate:.2g}"
        trainer = Trainer(recipe, self.learned, self.choosing, device=self.device, callbacks=[Watch()])
        error, verdict = None, ""
        try:
            model = trainer.fit(stop=stop, remember=False)
            error = self._error(model, "choose")
            trial.set_user_attr("mse", self._error(model, "test"))
        except TrialPruned:
            verdict = f"ended early, after {trainer.state.epoch} of {recipe.epochs} epochs"
        except DivergenceError:
            verdict = "diverged"
        finally:
            trial.set_user_attr("seconds", time.monotonic() - began)
        self.studies[size].tell(trial, error, state=TrialState.PRUNED if error is None else None)
        LOG.info("%s: %s", title, verdict or f"mean squared error {error:.5f}")

    def tried(self) -> list[Tried]:
        """Return all whose trainings came to their end."""
        found = []
        for size in self.sizes:
            for trial in self._trials(size, "COMPLETE"):
                recipe = self._recipe(size, trial.params)
                assert trial.value is not None, "it is complete"
                measured = {name: trial.user_attrs[name] for name in ("mse", "seconds")}
                found.append(Tried(recipe=recipe, numbers=self._numbers(recipe), choosing_mse=trial.value, **measured))
        return found

    def finished(self, size: int | None = None) -> int:
        """Return how many trials of a size, or of all, have come to an end of either kind."""
        return sum(len(self._trials(of, "COMPLETE", "PRUNED")) for of in (self.sizes if size is None else [size]))

    def spent_seconds(self) -> float:
        """Return the time that all trials took, those included that were not finished."""
        trials = [trial for study in self.studies.values() for trial in study.get_trials(deepcopy=False)]
        return math.fsum(trial.user_attrs.get("seconds", 0.0) for trial in trials)

    def principal_components(self, numbers: Iterable[int]) -> dict[int, float]:
        """Return the test error of PCA with so many numbers each, fitted on the images that the trials learn from."""
        from sklearn.decomposition import PCA

        wanted = sorted(set(numbers))
        table = self.prepare(self.learned.images, SEED).reshape(len(self.learned), -1)
        clean = self.measured["test"].clean
        seen = in_channels(self.measured["test"].model_input, clean.shape[1])
        with np.errstate(invalid="ignore"):  # its shares of the variance, where all images are the same
            pca = PCA(min(wanted[-1], *table.shape), random_state=0).fit(table)
        along = pca.transform(seen.reshape(len(seen), -1))
        errors = {}
        for kept in wanted:
            restored = pca.mean_ + along[:, :kept] @ pca.components_[:kept]
            errors[kept] = float(mean_squared_error(np.clip(restored, 0, 1).reshape(clean.shape), clean).mean())
        return errors

    def _sizes(self, values: int) -> list[int]:
        """Return the sizes of code that are tried: those around the middle that the model can have."""
        middle = self.code or 2 ** round(math.log2(max(1, values / VALUES_PER_NUMBER)))
        if min(self.unit) > min(middle, values):
            raise UsageError(
                f"A {self.base.model} code of these images has at least {min(self.unit)} numbers, not {middle}. "
                'Pass a larger `code`, or `model="dense"`.'
            )
        return sorted({size for share in SIZES if min(self.unit) <= (size := max(1, round(middle * share))) <= values})

    def _space(self, size: int) -> dict[str, BaseDistribution]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        fewest = next(layers for layers, unit in enumerate(self.unit) if unit <= size)
        return {
            "layers": IntDistribution(fewest, MAX_LAYERS),
            "units": IntDistribution(*NETWORKS[self.base.network].widths, log=True),
            "loss": CategoricalDistribution(tuple(name for name, loss in LOSSES.items() if not loss.needs_seen)),
            "rate": FloatDistribution(*RATES, log=True),
        }

    def _ask(self, size: int) -> Trial:
        """Return what to try next: the base; what is best for a neighboring size, if it is new here; or what TPE proposes."""
        from optuna.samplers import TPESampler

        study, space = self.studies[size], self._space(size)
        hidden = self.base.hidden or ()
        first = {"layers": len(hidden), "units": max(hidden, default=0), "loss": self.base.loss, "rate": self.base.learning_rate}
        near = [other for before, after in pairwise(self.sizes) for other in ((before, after) if size in (before, after) else ())]
        best = [self.studies[other].best_params for other in near if other != size and self._trials(other, "COMPLETE")]
        for params in (first, *best):
            if not self._trials(size, "WAITING"):
                study.enqueue_trial(_within(params, space), skip_if_exists=True)
        rng = hashlib.blake2b(f"{self.base.seed} {size} {self.finished(size)}".encode(), digest_size=4).digest()
        study.sampler = TPESampler(n_startup_trials=FIRST_RANDOM, seed=int.from_bytes(rng))
        return study.ask(space)

    def _recipe(self, size: int, params: dict[str, Any]) -> Recipe:
        return replace(
            self.base,
            code=size // self.unit[params["layers"]],
            hidden=(params["units"],) * params["layers"],
            decoder_hidden=None,
            loss=params["loss"],
            learning_rate=params["rate"],
        ).complete()

    def _numbers(self, recipe: Recipe) -> int:
        return (recipe.code or 0) * self.unit[len(recipe.hidden or ())]

    def _trials(self, size: int, *states: str) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        return self.studies[size].get_trials(deepcopy=False, states=[TrialState[state] for state in states])

    def _error(self, model: Model, name: str) -> float:
        pair = self.measured[name]
        return float(mean_squared_error(restore_sample(model, pair), pair.clean).mean())


def _within(params: dict[str, Any], space: dict[str, BaseDistribution]) -> dict[str, Any]:
    """Return parameters moved to the nearest that a size allows."""
    from optuna.distributions import FloatDistribution, IntDistribution

    moved = dict(params)
    for name, distribution in space.items():
        if isinstance(distribution, IntDistribution | FloatDistribution):
            moved[name] = min(max(params[name], distribution.low), distribution.high)
    return moved
