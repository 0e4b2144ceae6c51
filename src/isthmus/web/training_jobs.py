"""Trainings that a page starts: each in a process of its own, which is told to stop and can go on, and which says how it goes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from isthmus import pretrained
from isthmus.errors import Interrupted, IsthmusError, UsageError, printable
from isthmus.imaging.picture import is_picture_name
from isthmus.recipes import Recipe
from isthmus.storage.atomic import named_errors, write_whole

TOLD_SECONDS = 0.5
"""How often a training says how it goes."""

MOST_POINTS = 1000
"""Of a curve."""

EXAMPLES, EXAMPLE_SIDE = 4, 96
"""So many held-out images are shown as they become better, of large ones the middles."""

ENDED = {"stopped", "done", "failed"}

TASKS = ("denoise", "noisy", "upscale", "repair", "colorize", "inpaint", "reconstruct")
"""What a page offers: the tasks that need one folder of images."""


@dataclass
class Training:
    """One training."""

    name: str
    folder: Path
    """Its pictures lie in `pictures/`, its model in `NAME.safetensors`."""
    fields: dict[str, Any]
    state: str = "new"
    """"new", "running", "stopped", "done" or "failed"."""
    told: dict[str, Any] = field(default_factory=lambda: {"share": 0.0, "seconds": 0.0})
    curve: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, loss)."""
    held_out: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, loss on images that are not learned from)."""
    message: str = ""
    """What went wrong, or what to know."""
    examples: bytes = b""
    """A PNG: rows of what the model sees, gives, and should give."""
    process: Any = None

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
        return {
            "name": self.name,
            "state": self.state,
            "task": self.fields["task"],
            "budget": self.fields["budget"],
            "pictures": len(list(self.pictures.glob("*"))) if self.pictures.is_dir() else 0,
            "curve": self.curve,
            "held_out": self.held_out,
            "message": self.message,
            "examples": len(self.examples),
            "file": printable(str(self.out)) if self.out.exists() else "",
            **self.told,
        }


class TrainingJobs:
    """All trainings of a server, one at a time.

    Args:
        folder: Where they are kept; it is made when the first one begins.
        device: Where they compute.
    """

    def __init__(self, folder: Path, device: str = "auto"):
        self.folder, self.device = folder, device
        self.trainings: dict[str, Training] = {}

    def get(self, name: str) -> Training:
        """Return a training.

        Raises:
            UsageError: If there is none of that name.
        """
        if name not in self.trainings:
            raise UsageError(f"There is no training {printable(name)}.")
        return self.trainings[name]

    def begin(self, name: str, task: str, budget: str, fields: dict[str, Any]) -> Training:
        """Make room for a training's pictures.

        Raises:
            UsageError: If the name is no name or is taken, or the task or a field cannot be meant.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,59}", name):
            raise UsageError("A model's name has letters, digits, spaces, - and _, and begins with a letter or digit.")
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
        training.state, training.message = "running", ""
        here, there = multiprocessing.get_context("spawn").Pipe(duplex=False)
        arguments = (there, str(training.pictures), str(training.out), {**training.fields, "device": self.device}, resume)
        training.process = multiprocessing.get_context("spawn").Process(target=_learn, args=arguments, daemon=True)
        training.process.start()
        there.close()
        threading.Thread(target=_listen, args=(training, here), daemon=True).start()

    def stop(self, training: Training) -> None:
        """Ask a training to save itself and stop."""
        if training.state == "running" and training.process.pid:
            os.kill(training.process.pid, signal.SIGINT)

    def close(self, seconds: float = 20.0) -> None:
        """Stop whatever is running, and wait until it has saved itself."""
        for training in self.trainings.values():
            self.stop(training)
        for training in self.trainings.values():
            if training.process is not None:
                training.process.join(seconds)


def _listen(training: Training, pipe: Connection) -> None:
    """Note what a training says, until its process ends."""
    while True:
        try:
            told = pipe.recv()
        except (EOFError, OSError):
            break
        training.examples = told.pop("examples", training.examples)
        training.message = told.pop("message", training.message)
        loss, validation, state = (told.pop(key, None) for key in ("loss", "validation", "state"))
        training.told |= told
        if loss is not None:
            _note(training.curve, told["seconds"], loss)
        if validation is not None:
            _note(training.held_out, told["seconds"], validation)
        if state:
            training.state = state
    training.process.join()
    if training.state not in ENDED:
        training.state, training.message = "failed", f"The training ended by itself (status {training.process.exitcode})."


def _note(curve: list[tuple[float, float]], seconds: float, loss: float) -> None:
    """Add a point to a curve; of too many, every second one goes."""
    curve.append((seconds, loss))
    if len(curve) > MOST_POINTS:
        del curve[-2::-2]


def _learn(pipe: Connection, pictures: str, out: str, fields: dict[str, Any], resume: bool) -> None:
    """Train, in a process of its own."""
    from isthmus.training.callbacks import Callback, TrainingProgress
    from isthmus.training.train import train

    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl+C in the server's terminal is for the server, which then asks for a stop once
    last = next_examples = 0.0
    wait = 2.0

    class Report(Callback):
        def on_step(self, progress: TrainingProgress) -> None:
            nonlocal last, next_examples, wait
            now = time.monotonic()
            if now - last < TOLD_SECONDS and progress.share < 1:
                return
            last = now
            told: dict[str, Any] = {"share": min(1.0, progress.share), "seconds": progress.seconds, "loss": progress.loss}
            if progress.validation is not None:
                told["validation"] = progress.validation
            if now >= next_examples:
                told["examples"] = _drawn(*progress.preview(EXAMPLES))
                wait *= 1.3  # in the beginning much changes
                next_examples = time.monotonic() + wait
            pipe.send(told)

        def on_epoch_end(self, progress: TrainingProgress) -> None:
            self.on_step(progress)

    class Messages(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pipe.send({"message": record.getMessage()})

    logging.getLogger("isthmus").addHandler(Messages(logging.WARNING))
    try:
        train(pictures, out=out, resume=resume, callbacks=[Report()], progress=False, **fields)
        pipe.send({"state": "done", "share": 1.0})
    except Interrupted:
        pipe.send({"state": "stopped"})
    except (IsthmusError, MemoryError) as error:
        pipe.send({"state": "failed", "message": str(error) or "Out of memory."})


def _drawn(*rows: Any) -> bytes:
    """Return images `(n, C, H, W)` in [0, 1] as a PNG, a row for each."""
    from isthmus.imaging.arrays import from_unit, middle
    from isthmus.imaging.picture import Picture, encode_picture
    from isthmus.latents.explore import sheet_of

    images = np.concatenate([from_unit(np.clip(middle(row, EXAMPLE_SIDE), 0, 1), np.dtype(np.uint8)) for row in rows])
    return encode_picture(Picture(pixels=sheet_of(images, len(rows[0]))), "examples.png")
