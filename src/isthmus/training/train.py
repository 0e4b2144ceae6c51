"""`train`: from images and a recipe to a model, with checkpoints and resume."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isthmus.datasets import MAX_BAD, Data, Room, open_pairs, training_data
from isthmus.errors import UsageError, printable
from isthmus.inference.device import memory_errors
from isthmus.model import Model, load
from isthmus.networks import NETWORKS
from isthmus.recipes import Recipe, base_fields
from isthmus.recipes.photographs import corruption_for, start_for, suited
from isthmus.storage.atomic import check_output, resumable
from isthmus.storage.run_dir import Run
from isthmus.training.callbacks import Callback, ProgressBar, can_draw
from isthmus.training.distributed import is_first, local_device, losses_told, processes_here
from isthmus.training.stopping import stop_requests
from isthmus.training.trainer import VALIDATION_IMAGES, Trainer

LOG = logging.getLogger(__name__)

FAR = 2.0
"""A training has failed if its last error is more than this many times its first."""

_UNUSED = (
    " It was trained with other values of %s. To train it further, pass it as `init_from`, with another `out`; to start over, "
    "pass `overwrite=True`."
)

FIELDS = tuple(field.name for field in dataclasses.fields(Recipe))


def train(
    data: Data,
    recipe: Recipe | str | None = None,
    *,
    task: str | None = None,
    noise: float | tuple[float, float] | None = None,
    factor: int | None = None,
    corruption: str | None = None,
    prepare: str | None = None,
    model: str | None = None,
    code: int | None = None,
    hidden: tuple[int, ...] | None = None,
    decoder_hidden: tuple[int, ...] | None = None,
    code_kind: str | None = None,
    beta: float | None = None,
    beta_warm_up: float | None = None,
    loss: str | None = None,
    epochs: float | None = None,
    budget: str | None = None,
    batch_size: int | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    schedule: str | None = None,
    warm_up: float | None = None,
    ema: float | None = None,
    clip: float | None = None,
    size: tuple[int, int] | None = None,
    patch: int | None = None,
    precision: str | None = None,
    seed: int | None = None,
    clean: Data | None = None,
    init_from: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    devices: int = 1,
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    memory: int | None = None,
    disk: int | None = None,
    checkpoint_seconds: float = 10.0,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    stop: threading.Event | None = None,
) -> Model:
    """Train a model on images.

    The keywords from `task` to `seed` are the fields of `Recipe`, which says what each means; None keeps the recipe's value.

    Args:
        data: The images: a folder, a URL, shards, a file, a name such as "mnist", an array or tensor, a list of images, or a torch
            Dataset.
        recipe: A recipe, the name of a preset such as "features", or a JSON file; by default, an empty one.
        clean: For the task pairs: the clean images, with the same names as the degraded ones, or in the same order.
        init_from: A model file, or the name of a model that ships, whose weights are the first ones, as far as shapes agree.
        out: Path of the model file; `NAME.run/` beside it holds checkpoints and metrics. By default, nothing is written.
        resume: Continue the unfinished training of `out`; where there is none, start.
        overwrite: Start over although `out` exists.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        devices: Processes to train with on this machine, one for each GPU or part of the cores. They run the same program, so
            call `train` from a script, or use `torchrun`, which counts them itself.
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's images that may be unreadable; isthmus skips and logs them.
        memory: Bytes that decoded pictures may take in memory; by default, a quarter of it. The result is the same.
        disk: Bytes that those which do not fit may take in a file for temporary data; by default, half of what is free. Pictures
            beyond it are read and decoded whenever they are wanted.
        checkpoint_seconds: Time between checkpoints.
        callbacks: Called during the training.
        progress: Whether to show progress on stderr; by default, on a terminal and in a notebook.
        stop: Set it, from any thread, to stop after the current step; the state is saved if there is an `out`.

    Returns:
        The trained model.

    Raises:
        IsthmusError: A sentence for whatever is wrong with the options, the data, the disk, or the loss.
        Interrupted: After SIGINT or SIGTERM, or when `stop` is set, once the step is done and saved.
    """
    given = {name: value for name, value in locals().items() if name in FIELDS and value is not None}
    chosen = merge(recipe, given)
    if (clean is not None) != (chosen.task == "pairs"):
        raise UsageError('`task="pairs"` needs `clean`, the clean images, and no other task takes it.')
    path = Path(out) if out is not None else None
    run = Run(path.with_suffix(".run")) if path is not None else None
    first = is_first()  # it writes and reports
    device = local_device(device)
    if path is not None and run is not None:
        if resume and path.exists() and not run.has_checkpoint():
            finished = load(path, device=device)
            unused = [f"`{name}`" for name in given if getattr(chosen, name) != getattr(finished.recipe, name)]
            LOG.warning(
                "%s is finished: there is nothing to resume.%s", printable(str(path)), _UNUSED % ", ".join(unused) if unused else ""
            )
            return finished
        if first:
            _check_out(path, run, resume=resume, overwrite=overwrite)
    source = open_pairs(data, clean, data_dir, max_bad=max_bad)
    named = chosen.model is not None
    chosen = suited(chosen, source.sizes())
    patch, upright = chosen.complete().patch or 0, NETWORKS[chosen.network].upright
    room = Room.of(memory, disk, processes_here(devices))
    dataset, held_out = training_data(source, chosen.size, patch, VALIDATION_IMAGES, upright=upright, room=room)
    for skipped in dataset.skipped:
        LOG.warning("Skipped: %s", skipped.reason)
    if held_out.not_apart:
        LOG.warning("There are fewer than ten images, so none are held out: held-out figures are of images that it learns from.")
    if not named and chosen.model is not None:
        init_from = init_from or start_for(chosen, dataset.image_shape[0] // (2 if clean is not None else 1))
        _announce(chosen, init_from)
    with contextlib.ExitStack() as stack:
        stack.enter_context(losses_told())
        stack.enter_context(memory_errors())
        if first and (can_draw() if progress is None else progress):
            callbacks = [*callbacks, stack.enter_context(ProgressBar(path.stem if path else "training"))]
        trainer = Trainer(
            chosen, dataset, held_out, device=device, callbacks=callbacks if first else (), init_from=init_from, devices=devices
        )
        stack.enter_context(trainer.processes.together())
        if path is None or run is None:
            trained = trainer.fit(stop=stack.enter_context(stop_requests(stop)) if stop else None)
        else:
            own = run if first else None
            request = stack.enter_context(stop_requests(stop))
            begins = not (resume and run.has_checkpoint())
            if own:
                stack.enter_context(own.held())
            if not trainer.processes.from_first(begins):
                warning = trainer.resume(own)
                if warning and own:
                    LOG.warning(warning)
            if own:
                if begins:
                    own.discard_checkpoints()
                own.begin(trainer.state.step)
            stack.enter_context(resumable())
            trained = trainer.fit(own, request, checkpoint_seconds)
            if own:
                trained.save(path)
                own.discard_checkpoints()
    if first:
        _report_gain(trained)
        _report_course(trained, trainer.state.first_loss)
    return trained


def _announce(recipe: Recipe, init_from: str | Path | None) -> None:
    """Say what was chosen for photographs."""
    damage = ""
    if corruption_for(recipe.task, recipe.factor) and not (recipe.corruption or recipe.noise):
        kinds = {
            "denoise": "the noise of cameras, film and files; pass `noise` for white noise of one level",
            "repair": "JPEG, resized and saved again as well",
            "upscale": "small pictures, most of them JPEG",
        }
        damage = f" It trains on {kinds[recipe.task]}."
    start = f", from the weights of {printable(str(init_from))}" if init_from else ""
    LOG.info("These are photos, so the network is %s%s. Pass `model` for another.%s", recipe.model, start, damage)


def _report_gain(model: Model) -> None:
    """Say how much better the held-out images became; warn where they did not."""
    gain = model.info.held_out_gain
    if not gain:
        return
    before, after = gain["before_db"], gain["after_db"]
    text = f"The held-out images had {before:.2f} dB, and have {after:.2f} dB now"
    if after > before:
        LOG.info("%s: %.2f dB better.", text, after - before)
    else:
        other = "" if model.recipe.network == "photographic" else ', or with `model="photographic"`'
        LOG.warning("%s: the model makes them worse. Train for longer, on more images%s.", text, other)


def _report_course(model: Model, first: float | None) -> None:
    """Warn of a training that ended far above where it began."""
    last = model.info.history[-1]["held_out_loss"] if model.info.history else 0
    if first is not None and model.loss.as_error(last) > FAR * model.loss.as_error(first):
        LOG.warning(
            "The loss began at %.4g and ended at %.4g: the model has learned nothing. Try a lower `learning_rate` than %g.",
            first,
            last,
            model.recipe.learning_rate,
        )


def merge(recipe: Recipe | str | None, given: dict[str, Any]) -> Recipe:
    """Return a recipe, or the preset of a name, with the fields that are given."""
    if isinstance(recipe, str):
        return Recipe.from_json({**base_fields(recipe, set(given)), **given})
    return Recipe.from_json({**(recipe.to_json() if recipe else {}), **given})


def _check_out(path: Path, run: Run, *, resume: bool, overwrite: bool) -> None:
    if path.suffix != ".safetensors":
        raise UsageError(f"The name of a model file must end in .safetensors, and {printable(str(path))} does not.")
    if run.has_checkpoint() and not resume and not overwrite:
        name = printable(str(run.folder))
        raise UsageError(f"{name} holds an unfinished training. Pass `resume=True` to continue, or `overwrite=True` to start over.")
    check_output(path, overwrite=overwrite or resume)
