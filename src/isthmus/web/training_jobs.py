"""Trainings that a page starts: each in a process of its own, which is told to stop and can go on, and which says how it goes.

A training is a folder (`pictures/`, the model and its run, `training.json`, `examples.png`), so that a later server finds it.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from isthmus import pretrained
from isthmus.errors import UsageError, lookup, printable
from isthmus.imaging.picture import is_picture_name
from isthmus.recipes import Recipe, base_fields
from isthmus.recipes.presets import PRESETS
from isthmus.storage.atomic import named_errors, write_whole
from isthmus.web.training_process import learn

SAVED_SECONDS = 5.0
"""How often is written down how a training goes."""

MOST_POINTS = 1000
"""Of a curve."""

TASKS = ("denoise", "noisy", "upscale", "repair", "colorize", "inpaint", "reconstruct")
"""What a page offers: the tasks that need one folder of images."""


NOTES, EXAMPLES = "training.json", "examples.png"
KEPT = ("fields", "state", "told", "curve", "held_out", "message", "examples")
"""What is written down of a training."""


@dataclass
class Training:
    """One training."""

    name: str
    folder: Path
    """Its pictures lie in `pictures/`, its model in `NAME.safetensors`."""
    fields: dict[str, Any]
    state: str = "new"
    """"new", "running", "stopped", "done" or "failed"."""
    told: dict[str, Any] = field(default_factory=lambda: {"phase": "", "share": 0.0, "seconds": 0.0})
    """The phase it came to: "preparing", "training" or "finishing"; PSNR of held-out images as "before_db", "after_db"."""
    curve: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, loss since the point before)."""
    held_out: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, loss on images that are not learned from)."""
    message: str = ""
    """What went wrong, or what to know."""
    examples: int = 0
    """How often the examples have changed."""
    process: Any = None
    asked: Any = None
    """The event that asks its process for an end."""

    @classmethod
    def found(cls, folder: Path) -> Training | None:
        """Return the training that an earlier server kept in a folder, if it did."""
        try:
            kept = json.loads((folder / NOTES).read_bytes())
            training = cls(folder.name, folder, **{name: kept[name] for name in KEPT})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if training.state == "running":
            training.state = "stopped"
        if training.out.exists():
            training.state = "done"
        return training

    def keep(self) -> None:
        """Write down how it stands."""
        with named_errors(self.folder):
            write_whole(self.folder / NOTES, json.dumps({name: getattr(self, name) for name in KEPT}).encode())

    @property
    def pictures(self) -> Path:
        """Where its pictures lie."""
        return self.folder / "pictures"

    @property
    def out(self) -> Path:
        """Its model's file."""
        return self.folder / f"{self.name}.safetensors"

    def to_json(self) -> dict[str, Any]:
        """Return how it goes."""
        state = self.state  # it may change meanwhile
        return {
            "name": self.name,
            "state": state,
            "task": self.fields["task"],
            "budget": self.fields["budget"],
            "pictures": len(list(self.pictures.glob("*"))) if self.pictures.is_dir() else 0,
            "curve": self.curve,
            "held_out": self.held_out,
            "message": self.message,
            "examples": self.examples,
            "file": printable(str(self.out)) if self.out.exists() else "",
            **self.told,
            "phase": self.told["phase"] if state == "running" else "",
        }


class TrainingJobs:
    """All trainings of a folder, one at a time.

    Args:
        folder: Where they are kept; it is made when the first one begins.
        device: Where they compute.
        ready: Called with the file of each model that is ready.
    """

    def __init__(self, folder: Path, device: str = "auto", ready: Callable[[Path], Any] = lambda path: None):
        self.folder, self.device, self.ready = folder, device, ready
        kept = sorted(folder.glob(f"*/{NOTES}")) if folder.is_dir() else []
        found = (Training.found(notes.parent) for notes in kept)
        self.trainings = {training.name: training for training in found if training}
        for training in self.trainings.values():
            if training.state == "done":
                ready(training.out)

    def get(self, name: str) -> Training:
        """Return a training.

        Raises:
            UsageError: If there is none of that name.
        """
        if name not in self.trainings:
            raise UsageError(f"There is no training {printable(name)}.")
        return self.trainings[name]

    def begin(self, name: str, task: str, budget: str, fields: dict[str, Any], recipe: str = "") -> Training:
        """Make room for a training's pictures.

        Args:
            name: What the model will be called.
            task: One of `TASKS`; with a recipe, "" for its own.
            budget: How long to train.
            fields: Other fields of a recipe.
            recipe: The name of a recipe whose fields are taken where none are given.

        Raises:
            UsageError: If the name is no name or is taken, or the task or a field cannot be meant.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,59}", name):
            raise UsageError("A model's name has letters, digits, spaces, - and _, and begins with a letter or digit.")
        if recipe:
            lookup("recipe", recipe, PRESETS)  # no file of the server's
            own = base_fields(recipe, {*fields, "budget", *(("task",) if task else ())})
            task = task or own.pop("task", Recipe().task)
            fields = {**own, **fields}
        if task not in TASKS:
            raise UsageError(f"The task must be one of {', '.join(TASKS)}, not {printable(task)}.")
        if foreign := fields.keys() & {"data", "clean", "task", "budget"}:
            raise UsageError(f"Not to be given among the fields: {', '.join(sorted(foreign))}.")
        if fields.get("init_from", "") not in ("", *pretrained.names()):
            raise UsageError(f"A training can start from these: {', '.join(pretrained.names())}.")
        own = {name: value for name, value in fields.items() if name != "init_from"}
        Recipe.from_json({"task": task, "budget": budget, **own})
        folder = self.folder / name
        if folder.exists() or name in self.trainings:
            raise UsageError(f"There is a training called {name} already: choose another name.")
        training = Training(name, folder, {"task": task, "budget": budget, **fields})
        with named_errors(folder):
            training.pictures.mkdir(parents=True)
        training.keep()
        self.trainings[name] = training
        return training

    def add_picture(self, training: Training, name: str, content: bytes) -> None:
        """Keep one picture to learn from; names that are the same in two folders both stay.

        Raises:
            UsageError: If it is no picture's name, or the training has begun.
        """
        if training.state != "new":
            raise UsageError("Pictures cannot be added to a training that has begun.")
        flat = re.sub(r"[^\w.-]+", "_", name)[-120:].lstrip(".")
        if not is_picture_name(flat):
            raise UsageError(f"{printable(name)} is no picture that isthmus reads.")
        path = training.pictures / flat
        count = 1
        while path.exists():
            count += 1
            path = training.pictures / f"{Path(flat).stem}-{count}{Path(flat).suffix}"
        write_whole(path, content)

    def start(self, training: Training, *, resume: bool = False) -> None:
        """Start a training, or go on with one that was stopped.

        Raises:
            UsageError: If another one is running.
        """
        running = next((other.name for other in self.trainings.values() if other.state == "running"), "")
        if running:
            raise UsageError(f"The training {running} is running: wait for it, or stop it.")
        training.told |= {"phase": "preparing"}  # before the state: a running one always has a phase
        training.state, training.message = "running", ""
        training.keep()
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        training.asked = context.Event()
        fields = {**training.fields, "device": self.device}
        arguments = (there, training.asked, str(training.pictures), str(training.out), fields, resume)
        training.process = context.Process(target=learn, args=arguments, daemon=True)
        training.process.start()
        there.close()
        threading.Thread(target=self._listen, args=(training, here), daemon=True).start()

    def stop(self, training: Training) -> None:
        """Ask a training to save itself and stop; while it prepares, there is nothing to save."""
        if training.state != "running":
            return
        training.asked.set()
        if training.told["phase"] == "preparing":
            training.process.terminate()

    def delete(self, training: Training) -> None:
        """Delete a training: the copies of its pictures, and its model.

        Raises:
            UsageError: If it is running.
        """
        if training.state == "running":
            raise UsageError(f"The training {training.name} is running: stop it first.")
        del self.trainings[training.name]
        with named_errors(training.folder):
            shutil.rmtree(training.folder)

    def close(self, seconds: float = 20.0) -> None:
        """Stop whatever is running, and wait until it has saved itself."""
        for training in self.trainings.values():
            self.stop(training)
        for training in self.trainings.values():
            if training.process is not None:
                training.process.join(seconds)

    def _listen(self, training: Training, pipe: Connection) -> None:
        """Note what a training says, until its process ends."""
        saved, state = time.monotonic(), ""
        while True:
            try:
                told = pipe.recv()
            except (EOFError, OSError):
                break
            if "examples" in told:
                write_whole(training.folder / EXAMPLES, told.pop("examples"))
                training.examples += 1
            training.message = told.pop("message", training.message)
            loss, validation, state = (told.pop(key, None) for key in ("loss", "validation", "state"))
            training.told |= told
            if loss is not None:
                _note(training.curve, told["seconds"], loss)
            if validation is not None:
                _note(training.held_out, told["seconds"], validation)
            if time.monotonic() - saved > SAVED_SECONDS:
                training.keep()
                saved = time.monotonic()
        training.process.join()
        if not state:
            state = "stopped" if training.asked.is_set() else "failed"
            if state == "failed":
                training.message = f"The training ended by itself (status {training.process.exitcode})."
        if state == "done":
            self.ready(training.out)
        training.state = state
        training.keep()


def _note(curve: list[tuple[float, float]], seconds: float, loss: float) -> None:
    """Add a point to a curve; of too many, every second one goes."""
    curve.append((seconds, loss))
    if len(curve) > MOST_POINTS:
        del curve[-2::-2]
