"""What trains, in a process of its own, and says over a pipe how it goes."""

from __future__ import annotations

import logging
import os
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

TOLD_SECONDS = 0.5
"""How often a training says how it goes."""

EXAMPLES, EXAMPLE_SIDE = 4, 96
"""So many held-out images are shown as they become better, of large ones the middles."""

MEASURED = 16
"""Held-out images whose PSNR is told."""


def learn(pipe: Connection, stop: Any, pictures: str, out: str, fields: dict[str, Any], resume: bool) -> None:
    """Train.

    Args:
        pipe: Takes dictionaries of what changed: "phase", "share", "seconds", "loss" (since the last one), "validation",
            "before_db", "after_db", "examples", "message", and at the end "state".
        stop: A multiprocessing event that asks for an end after the present step.
        pictures: The folder.
        out: The model's file.
        fields: Keywords of `train`.
        resume: Go on where the last one stopped.
    """
    from isthmus.errors import Interrupted, IsthmusError
    from isthmus.recipes.tasks import TASKS
    from isthmus.training.callbacks import Callback, TrainingProgress
    from isthmus.training.remembering import psnr
    from isthmus.training.train import train

    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl+C in the server's terminal is for the server, which then asks for a stop once
    asked = threading.Event()

    def wait_for_stop() -> None:
        stop.wait()
        asked.set()

    threading.Thread(target=wait_for_stop, daemon=True).start()
    restores = TASKS[fields["task"]].restores

    class Report(Callback):
        """Tells how it goes twice a second, however long an epoch is."""

        def __init__(self) -> None:
            self.last = self.next_examples = self.epoch_total = self.total = 0.0
            self.wait = 2.0
            self.step = self.epoch_step = self.steps = 0
            self.in_whole_epoch = not resume

        def add(self, progress: TrainingProgress) -> None:
            """Add up the losses since the last report; `progress` has the mean of its epoch."""
            total = progress.loss * (progress.step - self.epoch_step)
            if not self.in_whole_epoch:  # what came before in this epoch is not known
                total, self.step = progress.loss, progress.step - 1
            self.total += total - self.epoch_total
            self.steps += progress.step - self.step
            self.step, self.epoch_total = progress.step, total if self.in_whole_epoch else 0.0

        def on_step(self, progress: TrainingProgress) -> None:
            self.add(progress)
            self.tell(progress)

        def on_epoch_end(self, progress: TrainingProgress) -> None:
            self.add(progress)
            self.epoch_step, self.epoch_total, self.in_whole_epoch = progress.step, 0.0, True
            self.tell(progress)

        def tell(self, progress: TrainingProgress) -> None:
            now, ends = time.monotonic(), progress.share >= 1
            if now - self.last < TOLD_SECONDS and not ends:
                return
            self.last = now
            told: dict[str, Any] = {"phase": "finishing" if ends else "training", "share": min(1.0, progress.share)}
            told["seconds"], told["validation"] = progress.seconds, progress.validation
            if self.steps:
                told["loss"], self.total, self.steps = self.total / self.steps, 0.0, 0
            if now >= self.next_examples or ends:
                before, after, clean = progress.preview(MEASURED)
                told["examples"] = _drawn(before, after, clean)
                for name, images in (("before_db", before), ("after_db", after))[0 if restores else 1 :]:
                    told[name] = float(np.mean([psnr(image, wanted) for image, wanted in zip(images, clean, strict=True)]))
                self.wait *= 1.3  # in the beginning much changes
                self.next_examples = time.monotonic() + self.wait
            pipe.send(told)

    class Messages(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pipe.send({"message": record.getMessage()})

    logging.getLogger("isthmus").addHandler(Messages(logging.WARNING))
    try:
        train(pictures, out=out, resume=resume, callbacks=[Report()], progress=False, stop=asked, **fields)
        pipe.send({"state": "done", "share": 1.0})
    except Interrupted:
        pipe.send({"state": "stopped"})
    except (IsthmusError, MemoryError) as error:
        pipe.send({"state": "failed", "message": str(error) or "Out of memory."})


def _drawn(*rows: Any) -> bytes:
    """Return some images `(n, C, H, W)` in [0, 1] of each kind as a PNG, a row for each kind."""
    from isthmus.imaging.arrays import from_unit, middle
    from isthmus.imaging.picture import Picture, encode_picture
    from isthmus.latents.explore import sheet_of

    few = [row[:EXAMPLES] for row in rows]
    images = np.concatenate([from_unit(np.clip(middle(row, EXAMPLE_SIDE), 0, 1), np.dtype(np.uint8)) for row in few])
    return encode_picture(Picture(pixels=sheet_of(images, len(few[0]))), "examples.png")
