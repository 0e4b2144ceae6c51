"""A recipe at work on a data set: a `Trainer` sets up, fits, validates and saves, in this order.

The order of the images and the noise are functions of (seed, epoch, position), never of what happened before, so that a run
that was killed and resumed ends with the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from isthmus.corruptions import parse
from isthmus.datasets import Dataset, Patches
from isthmus.errors import DivergenceError, Interrupted, ModelFileError, UsageError, printable
from isthmus.imaging.arrays import Array, to_unit
from isthmus.inference.reference import FIT_CODES, MAX_NUMBERS
from isthmus.model import Model, load
from isthmus.networks import Network, propagate
from isthmus.recipes import Recipe
from isthmus.storage.run_dir import Run, StopRequest, compare
from isthmus.training.batches import supply

BETAS = {"one-cycle": (0.9, 0.99), "constant": (0.9, 0.999)}
"""Adam's memory. A short one follows a rate that rises and falls within a few thousand steps (docs/experiments.md)."""

VALIDATION_IMAGES = 1000
"""At most as many held-out images are looked at after each epoch."""

CHECK_STEPS = 50
"""The loss is read, and found finite or not, every so many steps: reading it waits for the device."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Where a training stands, for whoever watches."""

    share: float
    """Of the whole training, in [0, 1]."""
    epoch: int
    """Epochs completed."""
    seconds: float
    """Time spent, that before a resume included."""
    loss: float
    """Mean training loss of this epoch so far."""
    validation: float | None = None
    """Mean loss on held-out images, at an epoch's end."""
    try_out: Callable[[int], tuple[Array, Array, Array]]
    """Returns, for so many held-out images, what the model sees, what it gives by now, and what it should give; each
    `(n, C, H, W)` in [0, 1]. To be called before the next step."""


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
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per epoch, as in metrics.jsonl."""


class Trainer:
    """A recipe at work on a data set.

    Args:
        recipe: What to learn, and how.
        dataset: The images to learn from.
        held_out: Images that are only looked at, after each epoch.
        device: "auto", "cpu", "cuda" or "mps".
        watch: Called with every `Moment`.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset | Patches,
        held_out: Dataset,
        *,
        device: str = "auto",
        watch: Callable[[Moment], None] | None = None,
    ):
        self.recipe = recipe
        self.watch = watch
        self.about: dict[str, Any] = {
            "data": dataset.fingerprint(),
            "skipped": [printable(skipped.name) for skipped in dataset.skipped],
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            channels, height, width = dataset.image_shape
            shape = (parse(recipe.corruption).image_channels(channels), height, width)
            self.model = Model(recipe, shape, self.about, device=device)
        logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
        self.fabric = Fabric(
            accelerator=self.model.device.type, devices=1, precision="bf16-mixed" if self.model.bfloat16 else "32-true"
        )
        self.adam = torch.optim.Adam(
            self.model.network.parameters(), lr=recipe.learning_rate, betas=BETAS[recipe.schedule], fused=True
        )
        _, self.optimizer = self.fabric.setup(self.model.network, self.adam)
        self.dataset = dataset
        self.supply = supply(dataset, self.model.device)
        mean = torch.from_numpy(to_unit(dataset.some(1000, recipe.seed).images).mean((0, 2, 3)))
        start = self.model.loss.start(mean[-shape[0] :])  # of pairs, that of the clean ones
        cast(Network, self.model.network).start_from(start.to(self.model.device))
        if recipe.start:
            self.model.start_from(load(recipe.start, device=device))
        mean_of = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
        self.averaged = AveragedModel(self.model.network, multi_avg_fn=mean_of) if recipe.ema else None
        architecture = self.model.architecture
        self.usual = held_out.images[:VALIDATION_IMAGES]
        self.held_out = self.model.example(self.usual, recipe.seed, at_work=False)
        if not architecture.any_size and self.held_out.seen.shape[2:] != shape[1:]:
            raise UsageError(f"A {recipe.model} model takes one size only, and what --task {recipe.task} teaches is half as large.")
        self.batch_size = recipe.batch_size or max(1, architecture.batch_pixels // math.prod(dataset.image_shape[1:]))
        self.batches = math.ceil(len(dataset) / self.batch_size)
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
        last_checkpoint = last_moment = time.monotonic()
        self.model.network.train()
        torch.set_flush_denormal(True)  # numbers too small to matter, which the processor computes slowly
        while self.share() < 1:
            self.step()
            now = time.monotonic()
            state.seconds = now - began
            at_check = state.step % CHECK_STEPS == 0 or state.position == self.batches
            if at_check and not math.isfinite(self.loss_sum.item()):
                raise self._diverged(run)
            if state.position == self.batches:
                self._end_epoch(run)
            elif at_check and self.watch and now - last_moment > 0.1:
                last_moment = now
                self.watch(self._moment(self.loss_sum.item() / max(1, state.position)))
            if stop and stop.number is not None:
                if not run:
                    raise Interrupted("Stopped.", stop.exit_status)
                self.checkpoint(run)
                raise Interrupted(f"Stopped and saved in {printable(str(run.folder))}: add --resume to go on.", stop.exit_status)
            if run and at_check and now - last_checkpoint > checkpoint_seconds:
                self.checkpoint(run)
                last_checkpoint = time.monotonic()
        if state.position:  # a budget ends within an epoch
            self._end_epoch(run)
        torch.set_flush_denormal(False)
        self.model.network.eval()
        if self.averaged:
            self._take(self.averaged.module)
        if remember:
            self._remember()
        self.about |= {"history": state.history, "steps": state.step, "train_seconds": round(state.seconds, 3)}
        return self.model

    def step(self) -> None:
        """Take one step: corrupt a batch, compare, correct the weights."""
        state, recipe = self.state, self.recipe
        share = self.share()
        self._set_rate(share)
        if self.order is None or state.position == 0:
            chance = torch.Generator().manual_seed(self._chance("order", 0))
            self.order = torch.randperm(len(self.dataset), generator=chance).to(self.model.device)
        chosen = self.order[state.position * self.batch_size : (state.position + 1) * self.batch_size]
        batch = self.supply.batch(chosen, self._chance("cut", state.position))  # (B, C, H, W)
        self.generator.manual_seed(self._chance("corruption", state.position))
        clean = self.model.preparation(batch, self.generator)  # (B, C, H, W)
        views = self.model.bottleneck.views
        copies = clean if views == 1 else clean.repeat(views, 1, 1, 1)
        damaged, wanted = self.model.corruption.examples(copies, self.generator)
        clean = wanted[: len(batch)]
        seen = self.model.corruption.as_seen(damaged)[..., : clean.shape[-2], : clean.shape[-1]]  # (views x B, C', H, W)
        network = cast(Network, self.model.network)
        with self.fabric.autocast():  # in one process the wrapped network would only add its 20 microseconds
            output, divergence = propagate(network, seen.contiguous(memory_format=torch.channels_last), self.generator)
        weight = recipe.beta * min(1.0, share / recipe.beta_warm_up if recipe.beta_warm_up else 1.0)
        loss = self.model.loss(output, clean) + divergence.mean() * (weight / clean[0].numel())
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
        return self.state.step / (self.recipe.epochs * self.batches)

    def checkpoint(self, run: Run) -> None:
        """Write everything that `resume` needs."""
        tensors = {f"network.{name}": tensor for name, tensor in self.model.network.state_dict().items()}
        for index, memory in enumerate(self.adam.state[p] for p in self.model.network.parameters()):
            tensors |= {f"adam.{index}.{name}": tensor for name, tensor in memory.items()}
        if self.averaged:
            tensors |= {f"averaged.{name}": tensor for name, tensor in self.averaged.module.state_dict().items()}
        run.save({**tensors, "loss_sum": self.loss_sum}, {"recipe": self.recipe.to_json(), **self.about, "state": vars(self.state)})

    def resume(self, run: Run) -> str:
        """Take up a run's last checkpoint; return a warning, or "".

        Raises:
            IsthmusError: If the recipe or the data has changed since.
            ModelFileError: If no checkpoint is whole.
        """
        tensors, about, warning = run.load()
        compare(about["recipe"], self.recipe.to_json(), "recipe")
        compare(about["data"], self.about["data"], "data")
        self.model.network.load_state_dict({name: tensors[f"network.{name}"] for name in self.model.network.state_dict()})
        for index, parameter in enumerate(self.model.network.parameters()):
            memory = {name.split(".")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"adam.{index}.")}
            self.adam.state[parameter] = {
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
            validation = float(self.model.losses(self.held_out.seen, self.held_out.clean).mean())
        if not math.isfinite(validation):
            raise self._diverged(run)
        state.epoch += 1
        state.position = 0
        record = {
            "epoch": state.epoch,
            "step": state.step,
            "seconds": round(state.seconds, 3),
            "rate": self.adam.param_groups[0]["lr"],
            "train_loss": loss,
            "held_out_loss": validation,
        }
        state.history.append(record)
        if run:
            run.log(record)
        if self.watch:
            self.watch(self._moment(loss, validation))
        self.model.network.train()
        self.loss_sum.zero_()

    def _remember(self) -> None:
        """Let the model remember training images and held-out ones, as it will be given them: not prepared."""
        count = FIT_CODES if math.prod(self.model.code_shape()) <= MAX_NUMBERS else 1
        images = self.dataset.some(count, self.recipe.seed).images
        self.model.remember(*(self.model.at_work(to_unit(some), self.recipe.seed) for some in (images, self.usual)))

    def _moment(self, loss: float, validation: float | None = None) -> Moment:
        state = self.state
        return Moment(
            share=self.share(),
            epoch=state.epoch,
            seconds=state.seconds,
            loss=loss,
            validation=validation,
            try_out=self._try_out,
        )

    def _try_out(self, count: int) -> tuple[Array, Array, Array]:
        few = self.held_out.take(slice(count))
        with self._averaged():
            return few.as_it_is, self.model.restore_seen(few.seen), few.clean

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
        height, floor = one_cycle(share, self.recipe.warm_up)
        group = self.adam.param_groups[0]
        group["lr"] = self.recipe.learning_rate * (floor + (1 - floor) * height)
        group["betas"] = (0.95 - 0.1 * height, BETAS["one-cycle"][1])

    def _chance(self, purpose: str, position: int) -> int:
        """Return the seed of one draw: a function of what it is for and where it stands, of nothing else."""
        text = f"{purpose} {self.recipe.seed} {self.state.epoch} {position}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())

    def _diverged(self, run: Run | None) -> DivergenceError:
        """Keep the last good state as the model, and say what to try."""
        steps, kept = self.state.step, ""
        if run and run.has_checkpoint():
            with contextlib.suppress(ModelFileError):  # Adam's memory may have been infinite before the loss was
                self.resume(run)
                out = run.folder.with_suffix(".safetensors")
                self.about |= {"history": self.state.history, "steps": self.state.step}
                self.model.save(out)
                kept = f" The last good state, after {self.state.step} steps, is in {printable(str(out))}."
        return DivergenceError(
            f"The loss is no longer a finite number after {steps} steps: try a lower --learning-rate "
            f"(it was {self.recipe.learning_rate:g}), or --precision float32.{kept}"
        )


def one_cycle(share: float, warm_up: float) -> tuple[float, float]:
    """Return (height of the rate in [0, 1], floor it starts from or falls to, as a share of the peak).

    The rate rises along a cosine during the share `warm_up` of the training and falls along another to almost nothing.
    Adam's first beta mirrors it.

    Source: Smith and Topin (2018), with the shape and the numbers of torch's OneCycleLR.

    >>> [round(one_cycle(share, 0.15)[0], 2) for share in (0, 0.15, 1)]
    [0.0, 1.0, 0.0]
    """
    if share < warm_up:
        return (1 - math.cos(math.pi * share / warm_up)) / 2, 1 / 25
    return (1 + math.cos(math.pi * min(1.0, (share - warm_up) / (1 - warm_up)))) / 2, 4e-6
