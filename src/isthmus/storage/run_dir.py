"""The folder of one training: checkpoints, metrics and a lock.

`digits.safetensors` is trained in `digits.run/`: two checkpoints, the newest and the one before; `metrics.jsonl`, one line per
epoch; and a lock, which the system releases even when the process is killed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from isthmus.errors import IsthmusError, ModelFileError, UsageError, printable
from isthmus.storage import model_file
from isthmus.storage.atomic import named_errors, write_whole


class Run:
    """The folder of one training."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.newest = self.folder / "checkpoint.safetensors"
        self.previous = self.folder / "checkpoint.previous.safetensors"
        self.metrics = self.folder / "metrics.jsonl"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            UsageError: If another training holds it.
        """
        with named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / "lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                name = printable(str(self.folder))
                raise UsageError(f"Another training runs in {name}. Wait for it, or choose another `out`.") from None
        try:
            yield
        finally:
            lock.release()

    def has_checkpoint(self) -> bool:
        """Tell whether there is something to resume."""
        return self.newest.exists() or self.previous.exists()

    def save(self, tensors: model_file.Tensors, about: dict[str, Any]) -> None:
        """Write a checkpoint; the one before is kept until the next."""
        if self.newest.exists():
            self.newest.replace(self.previous)
        model_file.write(self.newest, "checkpoint", tensors, about)

    def load(self) -> tuple[model_file.Tensors, dict[str, Any], str]:
        """Read the newest checkpoint that is whole: (tensors, about, a warning or "").

        Raises:
            ModelFileError: If none is.
        """
        failure: ModelFileError | None = None
        for path in (self.newest, self.previous):
            if not path.exists():
                continue
            try:
                tensors, about = model_file.read(path, "checkpoint")
            except ModelFileError as error:
                failure = failure or error
            else:
                return tensors, about, f"{failure} Resuming from the checkpoint before it." if failure else ""
        raise failure or ModelFileError(f"There is no checkpoint in {printable(str(self.folder))}.")

    def begin(self, after_step: int) -> None:
        """Keep of the metrics only what a checkpoint at `after_step` had seen."""
        kept = [line for line in self._lines() if json.loads(line)["step"] <= after_step]
        write_whole(self.metrics, "".join(line + "\n" for line in kept).encode())

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to the metrics."""
        with named_errors(self.metrics), open(self.metrics, "a") as file:
            file.write(json.dumps(record) + "\n")

    def discard_checkpoints(self) -> None:
        """Remove what resuming needs: the model is finished, or begins anew."""
        self.newest.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        try:
            lines = self.metrics.read_text().splitlines()
        except OSError:
            return []
        return [line for line in lines if line.startswith("{") and line.endswith("}")]  # the last may have been cut off


def compare(saved: dict[str, Any], current: dict[str, Any], what: str) -> None:
    """Refuse to resume where something has changed.

    Raises:
        IsthmusError: Naming the first difference.
    """
    for key in sorted(saved.keys() | current.keys()):
        if saved.get(key) != current.get(key):
            raise IsthmusError(
                f"The {what} has changed since this training began: {key} was {saved.get(key)!r} and is {current.get(key)!r}. "
                "Restore it to resume, or start over with `overwrite=True`."
            )
