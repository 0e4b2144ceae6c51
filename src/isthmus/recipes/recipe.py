"""The one description of a training: what `train` takes, what a model file remembers, what the command line's options are."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from operator import index
from typing import Any

from isthmus.corruptions import Downscale, GaussianNoise, parse
from isthmus.errors import UsageError, look_up, nearest
from isthmus.networks import MODELS
from isthmus.networks.bottlenecks import CODES
from isthmus.networks.losses import LOSSES
from isthmus.recipes.tasks import TASKS

SCHEDULES = ("one-cycle", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")
DEFAULT_EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is learnt, from what, and how. What is left out takes the task's or the model's default.

    Raises:
        UsageError: If anything cannot be meant; one message with all that is wrong.

    >>> Recipe(task="denoise").corruption
    'gaussian-noise(std=0.5, clip=True)'
    >>> Recipe(model="conv").hidden
    (16, 8)
    """

    data: str = ""
    """Where the images come from, as `isthmus.datasets.open_data` takes it."""
    task: str = "reconstruct"
    """What is learnt: reconstruct (the default: a short code), denoise, colorize, upscale, repair (what JPEG did), inpaint (what is
    missing), pairs (whatever your clean images show to be undone), noisy (denoise, where all images are noisy), or describe (a code
    of what an image shows)."""
    noise: float | None = None
    """Strength of the noise for denoise: its standard deviation, where white is 1. The textbook's is 0.5."""
    clean: str = ""
    """For pairs: the clean images, with the same names as those to learn from, or in the same order."""
    factor: int | None = None
    """How many times larger, for upscale: 2 (the default), 3, 4 or more."""
    corruption: str = ""
    """Something else to undo, such as "gaussian-noise(0.2) | salt-and-pepper(0.05)"."""
    prepare: str = "nothing"
    """What is done to every image first, and is wanted back with it: binarize makes it black and white, as a VAE's bound needs."""
    model: str = "conv"
    """Architecture: conv (the default: convolutions, any image size), dense (one image size) or photographic (large images)."""
    code: int = 0
    """Size of the code: its numbers (dense 32), or channels of its map (conv 8, photographic 96), whose side halves by layers."""
    hidden: tuple[int, ...] | None = None
    """Units (dense, none) or filters (conv 16 8, photographic 64) of the layers before the code; the decoder mirrors them."""
    decoder_hidden: tuple[int, ...] | None = None
    """Units or filters of the decoder's layers instead, from the code outward; as many as before the code."""
    code_kind: str = ""
    """What the code is: relu (numbers from 0 up, the textbook's), linear (photographic), gaussian (a VAE's) or invariant (to the
    corruption)."""
    beta: float = 1.0
    """Weight of the code's own cost beside the error: 1 is a VAE's evidence bound, more makes its code more regular."""
    beta_warm_up: float = 0.1
    """Share of the training in which that weight rises from nothing: from 0 up to 1."""
    loss: str = ""
    """What is made small: bce (cross-entropy, the textbook's), mse (squared error; photographic), l1 (absolute error), and of the
    colours alone ab (squared error; colorize) or ab-bins (cross-entropy among ninety colours, the rare ones weighted up)."""
    epochs: int = 0
    """How often every image is seen: 10 times, unless there is a budget."""
    budget: str = ""
    """Time to train for, instead of epochs: 90s, 10m or 1h. The schedule is stretched over it."""
    batch_size: int = 0
    """Images per step (dense 100, conv 50, photographic as many as have 65,536 pixels: 4 squares of 128 x 128)."""
    learning_rate: float = 0.0
    """Peak of the learning rate (0.01; photographic 0.001)."""
    schedule: str = "one-cycle"
    """Course of the learning rate: one-cycle (up, then down to nothing) or constant (the textbook's)."""
    warm_up: float = 0.25
    """Share of the one-cycle training in which the rate rises: from 0 up, below 1."""
    ema: float = 0.0
    """Decay of the mean of the weights over time (an exponential moving average), which the model ends with: 0.999 makes it a
    mean of about the last thousand steps. 0 takes the last weights."""
    clip: float = 0.0
    """Largest norm of the gradient of a step; what is longer is shortened to it. 0 leaves it as it is."""
    start: str = ""
    """A model file, or the name of one that ships, with whose weights the training begins, as far as they have the same shapes."""
    size: tuple[int, int] | None = None
    """Height and width in pixels to bring the images to; without it, the size that most of them have."""
    patch: int = -1
    """Side in pixels of the squares that are cut from larger images to learn from (photographic 128); 0 takes whole images."""
    precision: str = "auto"
    """Arithmetic of the layers: auto (bfloat16 where it is faster), float32 or bfloat16."""
    seed: int = 0
    """Start of all chance: first weights, order of the images, noise."""

    def __post_init__(self) -> None:
        """Fill in the defaults and refuse what cannot be meant."""
        problems = self._unknown_names()
        if not problems:
            self._fill()
            problems = self._unfit_values()
        if problems:
            raise UsageError(" ".join(problems))

    @classmethod
    def of(cls, values: dict[str, Any]) -> Recipe:
        """Return the recipe of a mapping, as JSON gives it.

        Raises:
            UsageError: If a field is unknown, has the wrong type, or cannot be meant.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                raise UsageError(f"A recipe has no field '{name}'.{nearest(name, names)} Its fields: {', '.join(names)}.")
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        try:
            return cls(**{**values, **lists})
        except (TypeError, AttributeError) as error:
            raise UsageError(f"A recipe's field has the wrong type: {error}.") from None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them; `of` gives the recipe back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()}

    @property
    def budget_seconds(self) -> float | None:
        """The time to train for, in seconds, if there is one."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", self.budget.strip())
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else None

    def _unknown_names(self) -> list[str]:
        problems = []
        for kind, name, registry in (
            ("task", self.task, TASKS),
            ("model", self.model, MODELS),
            *((("loss", self.loss, LOSSES),) if self.loss else ()),
            *((("kind of code", self.code_kind, CODES),) if self.code_kind else ()),
            ("schedule", self.schedule, dict.fromkeys(SCHEDULES)),
            ("precision", self.precision, dict.fromkeys(PRECISIONS)),
        ):
            try:
                look_up(kind, name, registry)
            except UsageError as error:
                problems.append(str(error))
        return problems

    def _fill(self) -> None:
        architecture = MODELS[self.model]
        if self.noise is not None and (self.task != "denoise" or self.corruption):
            raise UsageError("--noise is the strength for --task denoise; with --corruption, write it there.")
        if bool(self.clean) != (self.task == "pairs"):
            raise UsageError("--task pairs needs --clean, the folder of clean images, and no other task takes it.")
        if self.factor is not None and (self.task != "upscale" or self.corruption):
            raise UsageError("--factor is the size for --task upscale; with --corruption, write it there.")
        noise = str(GaussianNoise(self.noise)) if self.noise is not None else ""
        smaller = str(Downscale(self.factor)) if self.factor is not None else ""
        hidden = tuple(map(index, architecture.hidden if self.hidden is None else self.hidden))
        values: dict[str, object] = {
            "noise": None,  # now part of the corruption
            "factor": None,
            "loss": self.loss or TASKS[self.task].loss or architecture.loss,
            "code_kind": self.code_kind or architecture.code_kind,
            "prepare": str(parse(self.prepare)),
            "corruption": str(parse(self.corruption or noise or smaller or str(TASKS[self.task].corruption))),
            "code": index(self.code or architecture.code),
            "hidden": hidden,
            "decoder_hidden": hidden[::-1] if self.decoder_hidden is None else tuple(map(index, self.decoder_hidden)),
            "batch_size": index(self.batch_size or architecture.batch_size),
            "learning_rate": self.learning_rate or architecture.learning_rate,
            "patch": index(self._patch()),
            "epochs": index(self.epochs or (0 if self.budget else DEFAULT_EPOCHS)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _patch(self) -> int:
        if self.patch >= 0:
            return self.patch
        return 0 if self.size else MODELS[self.model].patch

    def _unfit_values(self) -> list[str]:
        hidden, decoder_hidden = self.hidden or (), self.decoder_hidden or ()
        as_many = len(decoder_hidden) == len(hidden) and all(1 <= width <= 1 << 20 for width in decoder_hidden)
        mirrors = decoder_hidden == hidden[::-1]
        fits = {
            "code": (1 <= self.code <= 1 << 20, "a number from 1 up"),
            "hidden": (len(hidden) <= 64 and all(1 <= width <= 1 << 20 for width in hidden), "at most 64 numbers from 1 up"),
            "decoder_hidden": (mirrors or as_many, f"as many numbers from 1 up as hidden has ({len(hidden)})"),
            "epochs": (0 <= self.epochs <= 1_000_000, "a number from 1 up"),
            "budget": (not self.budget or (self.budget_seconds or 0) > 0, "a time such as 90s, 10m or 1h"),
            "batch_size": (0 <= self.batch_size <= 1 << 20, "a number from 1 up"),
            "learning_rate": (0 < self.learning_rate <= 10, "above 0 and at most 10"),
            "ema": (0 <= self.ema < 1, "from 0 up and below 1"),
            "clip": (0 <= self.clip <= 1e6, "from 0 up"),
            "beta": (0 <= self.beta <= 1e6, "from 0 up"),
            "beta_warm_up": (0 <= self.beta_warm_up <= 1, "from 0 up to 1"),
            "warm_up": (0 <= self.warm_up < 1, "from 0 up and below 1"),
            "size": (self.size is None or (len(self.size) == 2 and min(self.size) >= 1), "two numbers from 1 up, height and width"),
            "patch": (0 <= self.patch <= 1 << 14, "a number from 1 up, or 0 for whole images"),
            "seed": (0 <= self.seed < 1 << 31, "a number from 0 to 2,147,483,647"),
        }
        problems = [f"{name} must be {wanted}, not {getattr(self, name)}." for name, (fit, wanted) in fits.items() if not fit]
        if self.budget and self.epochs:
            problems.append(f"Give either epochs ({self.epochs}) or a budget ({self.budget}), not both.")
        return problems
