"""The processes that train together, by Lightning Fabric's DDP: one in most trainings, more under torchrun or with `devices`.

Every process opens the same images and draws the same batch with the same noise. Each passes its share of the batch through the
network, and DDP averages the gradients, weighted by the shares. So the order and the noise do not depend on how many processes
there are, and a training may be resumed on another number.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch import distributed as dist

from isthmus.errors import DataError, DivergenceError, Interrupted, IsthmusError, UsageError

Value = TypeVar("Value")

PATIENCE = datetime.timedelta(minutes=10)
"""A process that is silent for so long counts as lost. One that ends is noticed at once."""

LOG = logging.getLogger(__name__)

FABRIC, OBSERVER = "lightning_fabric", "lightning_fabric.strategies.launchers.subprocess_script"
"""Loggers of Fabric, and of its thread that ends all processes when one has failed, should they not have ended by themselves."""

LOST = (
    "One of the {} processes has ended, so all end. Pass `resume=True` to continue from the last checkpoint, on any number of them."
)


def under_launcher() -> bool:
    """Tell whether this process is one of several that torchrun or Fabric has started."""
    return "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_first() -> bool:
    """Tell whether this process is the only one, or the one that writes and reports."""
    return not under_launcher() or os.environ.get("RANK", os.environ["LOCAL_RANK"]) == "0"


def processes_here(devices: int) -> int:
    """Return how many processes train on this machine, where `devices` are to be started unless a launcher has."""
    if not under_launcher():
        return max(1, devices)
    return int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))


def local_device(name: str) -> str:
    """Return the device of this process, where each has a GPU of its own."""
    on_gpu = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu and under_launcher() else name


class Processes:
    """The processes that train together, seen from one of them.

    Args:
        accelerator: "cpu", "cuda" or "mps".
        precision: Fabric's name of the arithmetic.
        count: How many to start on this machine. Those that have been started are counted by their environment instead.

    Raises:
        UsageError: If there cannot be so many.
    """

    def __init__(self, accelerator: str, precision: Any, count: int = 1):
        for name in ("lightning.fabric", FABRIC):
            logging.getLogger(name).setLevel(logging.WARNING)
        here, everywhere = count, count
        if under_launcher():
            everywhere = int(os.environ["WORLD_SIZE"])
            here = processes_here(count)
        if count < 1 or (accelerator == "mps" and everywhere > 1):
            raise UsageError(f"`devices` is {count if count < 1 else everywhere}. Accepted are 1 or more; on mps, 1.")
        if accelerator == "cuda" and here > torch.cuda.device_count():
            raise UsageError(f"`devices` is {here}, and this machine has {torch.cuda.device_count()} CUDA devices.")
        several = everywhere > 1
        try:
            self.fabric = Fabric(
                accelerator=accelerator,
                devices=here if several else 1,
                num_nodes=everywhere // here,
                strategy=DDPStrategy(timeout=PATIENCE) if several else "auto",
                precision=precision,
            )
        except RuntimeError as error:
            if several and "interactive" in str(error):
                raise UsageError("Several `devices` need a script that calls `train`: a notebook cannot start them.") from None
            raise
        self._control: Any = None  # a group for what is not on the device
        if several:
            if not under_launcher():
                _tell_of_the_observer(everywhere)
            self.fabric.launch()
            self._control = dist.new_group(backend="gloo")

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.fabric.world_size)

    def share(self, length: int) -> slice:
        """Return the part of a batch of some length that is this process's; it may be empty."""
        rank = self.fabric.global_rank
        return slice(length * rank // self.count, length * (rank + 1) // self.count)

    def agreed(self, signal: int, seconds: float) -> tuple[int, float]:
        """Return what all processes go by: the signal that any has got (0 for none), and the first one's clock."""
        if self.count == 1:
            return signal, seconds
        values = torch.tensor([float(signal), 0.0 if self.fabric.global_rank else seconds], dtype=torch.float64)
        dist.all_reduce(values, dist.ReduceOp.MAX, group=self._control)
        return int(values[0]), float(values[1])

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of the processes' values."""
        if self.count == 1:
            return value
        reduced = self.fabric.all_reduce(value.clone(), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def from_first(self, value: Value) -> Value:
        """Return the first process's value."""
        return value if self.count == 1 else self.fabric.broadcast(value)

    def check_same(self, about: dict[str, Any]) -> None:
        """Make sure that all processes train the same.

        Raises:
            DataError: If this one has another recipe or other images than the first.
        """
        others = self.from_first(about)
        for name, value in about.items():
            if value != others[name]:
                rank = self.fabric.global_rank
                raise DataError(f"Process {rank} has another {name} than process 0: {value} and {others[name]}. Give all the same.")

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Wait for all processes at the end, also of a training that all of them stop: the first saves before others may end."""
        try:
            yield
        except (Interrupted, DivergenceError):
            self._wait()
            raise
        self._wait()

    def _wait(self) -> None:
        if self.count > 1:
            dist.barrier(group=self._control)


@contextlib.contextmanager
def losses_told() -> Iterator[None]:
    """Within it, the loss of another process is told in a sentence.

    Raises:
        IsthmusError: If another process has ended, or is silent.
    """
    try:
        yield
    except RuntimeError as error:
        words = ("gloo", "nccl", "connection", "peer")
        talked = dist.is_available() and dist.is_initialized()
        if isinstance(error, dist.DistError) or (talked and any(word in str(error).lower() for word in words)):
            raise IsthmusError(LOST.format(os.environ.get("WORLD_SIZE", "several"))) from error
        raise


class _Observer(logging.Handler):
    """Tells in our words why Fabric's observer ends this process."""

    def __init__(self, count: int):
        super().__init__()
        self.count = count

    def emit(self, record: logging.LogRecord) -> None:
        LOG.error(LOST.format(self.count))


def _tell_of_the_observer(count: int) -> None:
    observer = logging.getLogger(OBSERVER)
    observer.handlers, observer.propagate = [_Observer(count)], False
    observer.setLevel(logging.INFO)
