"""The training loop: a `Trainer` sets up, fits, validates and saves, in this order.

The order of the images and the noise are functions of (seed, epoch, position), never of what happened before, so that a run
that was killed and resumed ends with the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from isthmus.datasets import Dataset, Images, Patches
from isthmus.errors import DivergenceError, Interrupted, ModelFileError, UsageError, printable
from isthmus.imaging.arrays import Array, to_unit
from isthmus.model import Model, load
from isthmus.recipes import Recipe
from isthmus.recipes.tasks import TASKS
from isthmus.recipes.training_info import TrainingInfo
from isthmus.storage.model_file import Tensors
from isthmus.storage.run_dir import Run, compare
from isthmus.training.batches import make_batches
from isthmus.training.callbacks import Callback, TrainingProgress
from isthmus.training.distributed import Processes, is_first
from isthmus.training.optimizers import OPTIMIZERS
from isthmus.training.remembering import compare_later, gain
from isthmus.training.schedules import SCHEDULES
from isthmus.training.stopping import StopRequest
from isthmus.training.validation import losses

VALIDATION_IMAGES = 1000
"""At most as many held-out images are looked at after each epoch."""

REPORT_SECONDS = 0.1
"""Time between two calls of `Callback.on_step`, at least; between two checks, ten times as long."""

CHECK_STEPS = 50
"""The loss is read, and found finite or not, every so many steps: reading it waits for the device."""


@dataclass
class State:
    """What changes while training, besides the weights and the optimizer's memory."""

    epoch: int = 0
    """Epochs completed."""
    position: int = 0
    """Steps done in the epoch under way."""
    step: int = 0
    """Steps done in all."""
    seconds: float = 0.0
    """Time spent."""
    first_loss: float | None = None
    """The loss of the first batch."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per epoch, as in metrics.jsonl."""


class Trainer:
    """A recipe at work on a data set.

    Args:
        recipe: What to learn, and how.
        dataset: The images to learn from.
        held_out: Images that are only looked at, after each epoch.
        device: "auto", "cpu", "cuda" or "mps".
        callbacks: Called with every `TrainingProgress`.
        init_from: A model whose weights are the first ones, as far as shapes agree.
        devices: Processes to train with; started by torchrun, they are counted.

    Raises:
        UsageError: If the network cannot learn the task, or `init_from` shares too few weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset | Images | Patches,
        held_out: Dataset,
        *,
        device: str = "auto",
        callbacks: Sequence[Callback] = (),
        init_from: str | Path | None = None,
        devices: int = 1,
    ):
        self.recipe = recipe = recipe.complete()
        self.callbacks = callbacks
        info = TrainingInfo(
            data=dataset.fingerprint(), skipped=len(dataset.skipped), nothing_held_out=held_out.not_apart or held_out is dataset
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            channels, height, width = dataset.image_shape
            shape = (TASKS[recipe.task].target.image_channels(channels), height, width)
            self.model = Model(recipe, shape, info, device=device)
        arithmetic = "bf16-mixed" if self.model.engine.bfloat16 else "32-true"
        self.processes = Processes(self.model.device.type, arithmetic, devices)
        self.processes.check_same({"recipe": recipe.to_json(), "data": info.data})
        self.fabric = self.processes.fabric
        if self.processes.count > 1 and self.model.bottleneck.views > 1:
            raise UsageError(f"A code of the kind {recipe.code_kind} compares all images of a batch. Train it with `devices=1`.")
        self.unwrapped = OPTIMIZERS[recipe.optimizer or ""](
            self.model.network.parameters(), lr=recipe.learning_rate or 0.0, betas=SCHEDULES[recipe.schedule].betas
        )
        wrapped, self.optimizer = self.fabric.setup(self.model.network, self.unwrapped, move_to_device=False)
        wrapped.mark_forward_method("training_pass")
        self.network = wrapped if self.processes.count > 1 else self.model.network  # one needs no wrapper's 20 microseconds
        self.dataset = dataset
        self.batches = make_batches(dataset, self.model.device)
        mean = torch.from_numpy(to_unit(dataset.some(1000, recipe.seed).images).mean((0, 2, 3)))
        start = self.model.loss.start(mean[-shape[0] :])  # of pairs, that of the clean ones
        self.model.network.start_from(start.to(self.model.device))
        if init_from is not None:
            self._take_over(load(init_from, device=device))
        mean_of = get_ema_multi_avg_fn(recipe.ema or 0.0)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.model.network, multi_avg_fn=mean_of) if recipe.ema else None
        self.usual = held_out.images[:VALIDATION_IMAGES]
        self.held_out = self.model.degradation.sample(self.usual, recipe.seed, at_inference=False)
        if not self.model.architecture.any_size and self.held_out.model_input.shape[2:] != shape[1:]:
            raise UsageError(
                f'A {recipe.network} model takes one size only, and `task="{recipe.task}"` trains on half-size images. Use conv.'
            )
        self.batch_size = recipe.batch_size or max(1, self.model.architecture.batch_pixels // math.prod(dataset.image_shape[1:]))
        self.steps_per_epoch = math.ceil(len(dataset) / self.batch_size)
        self.generator = torch.Generator(self.model.device)
        self.order: torch.Tensor | None = None  # of the images, in the epoch under way
        self.budget_seconds = recipe.budget_seconds
        self.state = State()
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.model.device)

    def fit(
        self, run: Run | None = None, stop: StopRequest | None = None, checkpoint_seconds: float = 10.0, *, remember: bool = True
    ) -> Model:
        """Train to the end of the schedule, from where the state stands.

        Args:
            run: Where to keep checkpoints and metrics.
            stop: Asks for an end after the step under way.
            checkpoint_seconds: Time between checkpoints.
            remember: Let the model keep what new images are compared with, which takes about a second.

        Raises:
            DivergenceError: If the loss is no longer finite.
            Interrupted: If `stop` asked for it; with a run, a checkpoint has been written.
        """
        state = self.state
        began = time.monotonic() - state.seconds
        last_checkpoint = last_report = time.monotonic()
        self.model.network.train()
        torch.set_flush_denormal(True)  # numbers too small to matter, which the processor computes slowly
        try:
            while self.share() < 1:
                self.step()
                signal = stop.number if stop and stop.is_set() else 0
                signal, state.seconds = self.processes.agreed(signal, time.monotonic() - began)
                now = began + state.seconds  # one clock for all processes
                at_check = state.step % CHECK_STEPS == 0 or state.position == self.steps_per_epoch or signal > 0
                if at_check:
                    self.loss_sum.copy_(self.processes.mean(self.loss_sum))
                    if not math.isfinite(self.loss_sum.item()):
                        raise self._diverged(run)
                if state.first_loss is None:
                    state.first_loss = self.processes.mean(self.loss_sum).item()
                if state.position == self.steps_per_epoch:
                    self._end_epoch(run)
                elif self.callbacks and now - last_report > (REPORT_SECONDS if at_check else 10 * REPORT_SECONDS):
                    last_report = now
                    progress = self._progress(self.loss_sum.item() / max(1, state.position))
                    for callback in self.callbacks:
                        callback.on_step(progress)
                if signal:
                    self._stop(run, 128 + signal)
                if run and at_check and now - last_checkpoint > checkpoint_seconds:
                    self.checkpoint(run)
                    last_checkpoint = time.monotonic()
            if state.position:  # a budget ends within an epoch
                self.loss_sum.copy_(self.processes.mean(self.loss_sum))
                self._end_epoch(run)
        finally:
            torch.set_flush_denormal(False)
            self.model.network.eval()
        if self.averaged:
            self._take(self.averaged.module)
        if remember:
            compare_later(self.model, self.dataset, self.usual)
        self._record()
        if TASKS[self.recipe.task].restores:
            self.model.info = replace(self.model.info, held_out_gain=gain(self.model, self.held_out))
        for callback in self.callbacks:
            callback.on_end(self.model)
        return self.model

    def step(self) -> None:
        """Take one step: corrupt a batch, compare, correct the weights."""
        state, recipe = self.state, self.recipe
        share = self.share()
        self._set_rate(share)
        if self.order is None or state.position == 0:
            rng = torch.Generator().manual_seed(self._seed_of("order", 0))
            self.order = torch.randperm(len(self.dataset), generator=rng).to(self.model.device)
        chosen = self.order[state.position * self.batch_size : (state.position + 1) * self.batch_size]
        batch = self.batches.batch(chosen, self._seed_of("cut", state.position))  # (B, C, H, W)
        self.generator.manual_seed(self._seed_of("corruption", state.position))
        clean = self.model.degradation.preparation(batch, self.generator)  # (B, C, H, W)
        views = self.model.bottleneck.views
        copies = clean if views == 1 else clean.repeat(views, 1, 1, 1)
        inputs, targets = self.model.degradation.training_pair(copies, self.generator)  # (views x B, C', H, W)
        clean, part, portion = targets[: len(batch)], None, 1.0
        if self.processes.count > 1:
            mine = self.processes.share(len(batch))
            portion = self.processes.count * (mine.stop - mine.start) / len(batch)  # its weight in the mean over the processes
            mine = mine if portion else slice(0, 1)  # a process without a share passes an image through, of weight 0
            inputs, clean, part = inputs[mine], clean[mine], (mine.start, len(batch))
        with self.fabric.autocast():
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            output, divergence = self.network.training_pass(inputs, self.generator, part)
        weight = recipe.beta * min(1.0, share / recipe.beta_warm_up if recipe.beta_warm_up else 1.0)
        loss = self.model.loss(output, clean) + divergence.mean() * (weight / clean[0].numel())
        loss = loss * portion if portion != 1 else loss
        self.fabric.backward(loss)
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.model.network.parameters(), recipe.clip)
        self.optimizer.step()
        if self.averaged:
            self.averaged.update_parameters(self.model.network)
        self.model.network.zero_grad()  # the optimizer's own takes five times as long
        self.loss_sum += loss.detach()
        state.position += 1
        state.step += 1

    def share(self) -> float:
        """Return how much of the training is done, in [0, 1] or a little above: of the steps, or of the budget."""
        if self.budget_seconds:
            return self.state.seconds / self.budget_seconds
        return self.state.step / ((self.recipe.epochs or 1) * self.steps_per_epoch)

    def checkpoint(self, run: Run) -> None:
        """Write everything that `resume` needs."""
        tensors = {f"network.{name}": tensor for name, tensor in self.model.network.state_dict().items()}
        for index, memory in enumerate(self.unwrapped.state[p] for p in self.model.network.parameters()):
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in memory.items()}
        if self.averaged:
            tensors |= {f"averaged.{name}": tensor for name, tensor in self.averaged.module.state_dict().items()}
        about = {"recipe": self.recipe.to_json(), "data": self.model.info.data, "state": vars(self.state)}
        run.save({**tensors, "loss_sum": self.loss_sum}, about)

    def resume(self, run: Run | None) -> str:
        """Take up a run's last checkpoint, which the first process reads; return a warning, or "".

        Raises:
            IsthmusError: If the recipe or the data has changed since.
            ModelFileError: If no checkpoint is whole.
        """
        loaded = self.processes.from_first(run.load() if run else None)
        assert loaded is not None
        return self._take_up(*loaded)

    def _take_up(self, tensors: Tensors, about: dict[str, Any], warning: str) -> str:
        compare(about["recipe"], self.recipe.to_json(), "recipe")
        compare({**about["data"], "title": ""}, {**self.model.info.data, "title": ""}, "data")  # they may have been moved
        self.model.network.load_state_dict({name: tensors[f"network.{name}"] for name in self.model.network.state_dict()})
        for index, parameter in enumerate(self.model.network.parameters()):
            memory = {name.split(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"optimizer.{index}.")}
            self.unwrapped.state[parameter] = {
                name: torch.empty_like(parameter).copy_(tensor) if tensor.dim() else tensor for name, tensor in memory.items()
            }
        self.loss_sum.copy_(tensors["loss_sum"])
        self.state = State(**about["state"])
        if self.averaged:
            self.averaged.module.load_state_dict({name: tensors[f"averaged.{name}"] for name in self.averaged.module.state_dict()})
            self.averaged.n_averaged.fill_(self.state.step)
        return warning

    def _end_epoch(self, run: Run | None) -> None:
        state = self.state
        loss = self.loss_sum.item() / state.position
        self.model.network.eval()
        with self._averaged():
            validation = float(losses(self.model, self.held_out.model_input, self.held_out.clean).mean())
        if not math.isfinite(validation):
            raise self._diverged(run)
        state.epoch += 1
        state.position = 0
        record = {
            "epoch": state.epoch,
            "step": state.step,
            "seconds": round(state.seconds, 3),
            "rate": self.unwrapped.param_groups[0]["lr"],
            "train_loss": loss,
            "held_out_loss": validation,
        }
        state.history.append(record)
        if run:
            run.log(record)
        progress = self._progress(loss, validation)
        for callback in self.callbacks:
            callback.on_epoch_end(progress)
        self.model.network.train()
        self.loss_sum.zero_()

    def _record(self) -> None:
        """Let the model's info say how the training went."""
        state = self.state
        seconds = round(state.seconds, 3)
        self.model.info = replace(self.model.info, history=state.history, steps=state.step, train_seconds=seconds)

    def _stop(self, run: Run | None, exit_status: int) -> None:
        if not run:
            raise Interrupted("Stopped." if is_first() else "", exit_status)
        self.checkpoint(run)
        where = printable(str(run.folder))
        raise Interrupted(f"Stopped and saved in {where}. Pass `resume=True` to continue.", exit_status)

    def _take_over(self, other: Model) -> None:
        """Take another model's weights, as far as names and shapes agree."""
        own, trained = self.model.network.state_dict(), other.network.state_dict()
        shared = {name: trained[name] for name in own.keys() & trained.keys() if own[name].shape == trained[name].shape}
        share = sum(tensor.numel() for tensor in shared.values()) / self.model.num_parameters
        if share < 0.5:
            raise UsageError(
                f"The model of `init_from` shares {share:.0%} of this one's weights. Use the same `model`, `code` and `hidden`."
            )
        self.model.network.load_state_dict(own | shared)

    def _progress(self, loss: float, validation: float | None = None) -> TrainingProgress:
        state = self.state
        return TrainingProgress(
            share=self.share(),
            epoch=state.epoch,
            step=state.step,
            seconds=state.seconds,
            loss=loss,
            validation=validation,
            learning_rate=self.unwrapped.param_groups[0]["lr"],
            preview=self._preview,
        )

    def _preview(self, count: int) -> tuple[Array, Array, Array]:
        few = self.held_out.take(slice(count))
        with self._averaged():
            return few.degraded_as_image, self.model.engine.restore_inputs(few.model_input), few.clean

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it, the network has the mean of its weights over time, where the recipe wants one."""
        if not self.averaged or not self.state.step:
            yield
            return
        weights = copy.deepcopy(self.model.network)
        self._take(self.averaged.module)
        yield
        self._take(weights)

    def _take(self, other: torch.nn.Module) -> None:
        self.model.network.load_state_dict(other.state_dict())

    def _set_rate(self, share: float) -> None:
        if self.recipe.schedule == "constant":
            return
        schedule, group = SCHEDULES[self.recipe.schedule], self.unwrapped.param_groups[0]
        rate, beta = schedule.course(share, self.recipe.warm_up)
        group["lr"] = (self.recipe.learning_rate or 0.0) * rate
        group["betas"] = (beta, schedule.betas[1])

    def _seed_of(self, purpose: str, position: int) -> int:
        """Return the seed of one draw: a function of what it is for and where it stands, of nothing else."""
        text = f"{purpose} {self.recipe.seed} {self.state.epoch} {position}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())

    def _diverged(self, run: Run | None) -> DivergenceError:
        """Keep the last good state as the model, and say what to try."""
        steps, kept = self.state.step, ""
        if run and run.has_checkpoint():
            with contextlib.suppress(ModelFileError):  # Adam's memory may have been infinite before the loss was
                self._take_up(*run.load())
                out = run.folder.with_suffix(".safetensors")
                self._record()
                self.model.save(out)
                kept = f" The last good state, after {self.state.step} steps, is in {printable(str(out))}."
        return DivergenceError(
            f"The loss is no longer finite after {steps} steps. Try a lower `learning_rate` than "
            f'{self.recipe.learning_rate:g}, or `precision="float32"`.{kept}'
        )
