"""The one description of how to train: fields of `train`, options of the command line, JSON of a model file and of HTTP."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from operator import index
from typing import Any

from isthmus.errors import UsageError, lookup, nearest
from isthmus.networks import NETWORKS
from isthmus.networks.bottlenecks import BOTTLENECKS
from isthmus.networks.losses import COLOR_LOSSES, LOSSES
from isthmus.networks.registry import OPTIMIZERS
from isthmus.recipes.photographs import corruption_for

SCHEDULES = ("one-cycle", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
DEFAULT_EPOCHS = 10
DEFAULT_MODEL = "conv"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train: the task, the network, the loss and the schedule. It names no data and no path.

    None means "not given": the task or the network decides. `complete` fills that in, and a model's recipe is complete.

    Raises:
        UsageError: If a value is invalid; one message lists all problems.

    >>> Recipe(task="denoise").complete().corruption
    'gaussian-noise(std=0.5, clip=True)'
    >>> Recipe(model="conv").complete().hidden
    (16, 8)
    """

    task: str = "reconstruct"
    """Task: reconstruct (a short code), denoise, colorize, upscale, repair (JPEG artifacts), inpaint (missing parts), pairs (your
    degraded and clean images), noisy (denoise from noisy images alone) or describe (a code of what an image shows)."""
    noise: float | tuple[float, float] | None = None
    """Noise level for denoise: standard deviation where white is 1 (the textbook's is 0.5), or a range (low, high)."""
    factor: int | None = None
    """Scale factor for upscale: 2 (the default), 3, 4 or more."""
    corruption: str | None = None
    """Another corruption to undo, such as "gaussian-noise(0.2) | salt-and-pepper(0.05)"."""
    prepare: str = "nothing"
    """Change applied to every image first, input and target alike: binarize makes it black and white, as a VAE's bound needs."""
    model: str | None = None
    """Network: conv (convolutional, any image size), dense (one image size), photographic (large photos) or
    global (sees whole photos, for colorize). By default,
    photographic for photos that a task restores, and conv for all else."""
    code: int | None = None
    """Size of the latent code: numbers (dense 32), or channels of a map (conv 8, photographic 96); each layer halves its sides."""
    hidden: tuple[int, ...] | None = None
    """Units (dense, none) or filters (conv 16 8, photographic 64) of the layers before the code; the decoder mirrors them."""
    decoder_hidden: tuple[int, ...] | None = None
    """Units or filters of the decoder's layers instead, from the code outward; as many as before the code."""
    code_kind: str | None = None
    """Bottleneck: relu (numbers from 0 up, the textbook's), linear (photographic), gaussian (a VAE's) or invariant (the same
    code for differently corrupted copies)."""
    beta: float = 1.0
    """Weight of the bottleneck's own cost: 1 is a VAE's evidence bound, more makes the latent space more regular."""
    beta_warm_up: float = 0.1
    """Share of the training over which that weight rises from 0 to beta."""
    loss: str | None = None
    """Loss: bce (cross-entropy, the textbook's), mse (squared error), psnr (log of each image's squared error), l1 (absolute
    error), and of the colors alone: ab (squared error; colorize), ab-huber, ab-bins (cross-entropy among 99 colors) or
    ab-mixed (both)."""
    epochs: float | None = None
    """Passes over the training set: 10, unless there is a budget. A part of a pass, such as 0.5, may do for a large one."""
    budget: str | None = None
    """Training time instead of epochs: 90s, 10m or 1h. The schedule is stretched over it."""
    batch_size: int | None = None
    """Images per step (dense 100, conv 50, photographic as many as have 65,536 pixels)."""
    optimizer: str | None = None
    """Optimizer: adam, or muon (photographic), which learned faster from digits and photographs, and is slow where a dense layer
    has hundreds of units."""
    learning_rate: float | None = None
    """Peak learning rate (0.01; with muon three times as high; photographic 0.003, with adam a third of it)."""
    schedule: str = "one-cycle"
    """Learning rate schedule: one-cycle (up, then down to nothing) or constant (the textbook's)."""
    warm_up: float = 0.25
    """Share of a one-cycle training over which the rate rises: from 0 up, below 1."""
    ema: float | None = None
    """Decay of the moving average of the weights that the model ends with: 0.999 averages about the last thousand steps."""
    clip: float | None = None
    """Largest norm of a step's gradient; longer ones are scaled down to it."""
    size: tuple[int, int] | None = None
    """Height and width in pixels to resize images to; without it, the most frequent size."""
    patch: int | None = None
    """Side in pixels of the patches cut from larger images (photographic 128); 0 trains on whole images."""
    precision: str = "auto"
    """Arithmetic of the layers: auto (bfloat16 where it is faster), float32 or bfloat16."""
    seed: int = 0
    """Random seed: first weights, order of the images, noise."""

    def __post_init__(self) -> None:
        """Refuse invalid values, all in one message."""
        problems = self._unknown_names()
        if not problems:
            problems = self._invalid_values(self._completed())
        if problems:
            raise UsageError(" ".join(problems))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Recipe:
        """Return the recipe of a mapping, as JSON gives it.

        Raises:
            UsageError: If a field is unknown, has the wrong type, or is invalid.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                raise UsageError(f"A recipe has no field '{name}'.{nearest(name, names)} Fields: {', '.join(names)}.")
        pairs = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        try:
            return cls(**{**values, **pairs})
        except (TypeError, AttributeError) as error:
            raise UsageError(f"A field of the recipe has the wrong type: {error}.") from None

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are given, as JSON can hold them; `from_json` returns the recipe."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}

    def complete(self) -> Recipe:
        """Return the recipe with the defaults of its task and network filled in; the corruption holds noise and factor."""
        return dataclasses.replace(self, **self._completed())

    @property
    def network(self) -> str:
        """The network's name."""
        return self.model or DEFAULT_MODEL

    @property
    def budget_seconds(self) -> float | None:
        """The training time in seconds, if there is a budget."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", (self.budget or "").strip())
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else None

    def _unknown_names(self) -> list[str]:
        from isthmus.recipes.tasks import TASKS

        problems = []
        for kind, name, registry in (
            ("task", self.task, TASKS),
            ("model", self.model, NETWORKS),
            ("loss", self.loss, LOSSES),
            ("kind of code", self.code_kind, BOTTLENECKS),
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, dict.fromkeys(SCHEDULES)),
            ("precision", self.precision, dict.fromkeys(PRECISIONS)),
        ):
            try:
                if name is not None:
                    lookup(kind, name, registry)
            except UsageError as error:
                problems.append(str(error))
        return problems

    def _completed(self) -> dict[str, Any]:
        """Return the fields that `complete` fills in."""
        from isthmus.corruptions import Downscale, GaussianNoise, parse  # they need NumPy, and help is quick without
        from isthmus.recipes.tasks import TASKS

        architecture, task = NETWORKS[self.network], TASKS[self.task]
        for name, needs in (("noise", "denoise"), ("factor", "upscale")):
            if getattr(self, name) is not None and (self.task != needs or self.corruption):
                raise UsageError(f'`{name}` belongs to `task="{needs}"` without a `corruption`.')
        of_photographs = corruption_for(self.task, self.factor) if architecture.patch else None  # trained on patches of photographs
        corruption = self.corruption or of_photographs or str(task.corruption)
        if self.noise is not None:
            corruption = str(GaussianNoise(tuple(self.noise) if isinstance(self.noise, list) else self.noise))
        if self.factor is not None and not of_photographs:
            corruption = str(Downscale(self.factor))
        optimizer = self.optimizer or architecture.optimizer
        hidden = tuple(map(index, architecture.hidden if self.hidden is None else self.hidden))
        batch_size = architecture.batch_size if self.batch_size is None else self.batch_size
        patch = (0 if self.size else architecture.patch) if self.patch is None else self.patch
        return {
            "model": self.network,
            "noise": None,
            "factor": None,
            "loss": self.loss or task.loss or architecture.loss,
            "code_kind": self.code_kind or architecture.code_kind,
            "prepare": str(parse(self.prepare)),
            "corruption": str(parse(corruption)),
            "code": index(architecture.code if self.code is None else self.code),
            "hidden": hidden,
            "decoder_hidden": hidden[::-1] if self.decoder_hidden is None else tuple(map(index, self.decoder_hidden)),
            "batch_size": batch_size if batch_size is None else index(batch_size),
            "optimizer": optimizer,
            "learning_rate": architecture.learning_rate * OPTIMIZERS[optimizer]
            if self.learning_rate is None
            else self.learning_rate,
            "patch": index(patch),
            "epochs": (None if self.budget else DEFAULT_EPOCHS) if self.epochs is None else _whole(self.epochs),
        }

    def _invalid_values(self, completed: dict[str, Any]) -> list[str]:
        values = {**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, **completed}
        hidden, decoder_hidden, size = values["hidden"], values["decoder_hidden"], self.size
        as_many = len(decoder_hidden) == len(hidden) and all(1 <= width <= 1 << 20 for width in decoder_hidden)
        mirrors = decoder_hidden == hidden[::-1]
        fits = {
            "code": (1 <= values["code"] <= 1 << 20, "1 or more"),
            "hidden": (len(hidden) <= 64 and all(1 <= width <= 1 << 20 for width in hidden), "at most 64 numbers, each 1 or more"),
            "decoder_hidden": (mirrors or as_many, f"as many numbers as hidden has ({len(hidden)}), each 1 or more"),
            "epochs": (self.epochs is None or 0 < self.epochs <= 1_000_000, "above 0"),
            "budget": (self.budget is None or (self.budget_seconds or 0) > 0, "a time such as 90s, 10m or 1h"),
            "batch_size": (self.batch_size is None or 1 <= self.batch_size <= 1 << 20, "1 or more"),
            "learning_rate": (0 < values["learning_rate"] <= 10, "above 0 and at most 10"),
            "beta": (0 <= self.beta <= 1e6, "0 or more"),
            "beta_warm_up": (0 <= self.beta_warm_up <= 1, "between 0 and 1"),
            "warm_up": (0 <= self.warm_up < 1, "0 or more and below 1"),
            "ema": (self.ema is None or 0 < self.ema < 1, "above 0 and below 1"),
            "clip": (self.clip is None or self.clip > 0, "above 0"),
            "size": (size is None or (len(size) == 2 and min(size) >= 1), "two numbers from 1 up, height and width"),
            "patch": (0 <= values["patch"] <= 1 << 14, "1 or more, or 0 for whole images"),
            "seed": (0 <= self.seed < 1 << 31, "between 0 and 2,147,483,647"),
        }
        problems = [f"{name} must be {wanted}, not {values[name]}." for name, (fit, wanted) in fits.items() if not fit]
        if self.budget and self.epochs:
            problems.append(f"Pass either epochs ({self.epochs}) or a budget ({self.budget}), not both.")
        if NETWORKS[self.network].working_size and values["loss"] in LOSSES and not LOSSES[values["loss"]].needs_seen:
            problems.append(
                f"The network {self.network} predicts colors only, so the loss cannot be {values['loss']}. Pass one of "
                f'{", ".join(COLOR_LOSSES)}; `task="colorize"` sets one.'
            )
        return problems


def _whole(number: float) -> float:
    """Return a number as an integer, if it is one."""
    return float(number) if number % 1 else int(number)
