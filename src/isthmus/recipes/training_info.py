"""What a model file holds about its training, besides the recipe."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

MOST_JPEGS = 2
"""JPEGs that an image can show to have been, one after the other."""


@dataclass(frozen=True, kw_only=True)
class TrainingInfo:
    """What a model was trained on, and how that went."""

    data: dict[str, Any] = field(default_factory=dict)
    """The training set's fingerprint: title, count, shape, type, SHA-256 of the values; never where it lies."""
    skipped: int = 0
    """Files that could not be read."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per epoch, as in metrics.jsonl."""
    steps: int = 0
    """Steps taken."""
    train_seconds: float = 0.0
    """Time that they took."""
    nothing_held_out: bool = False
    """Whether there were too few images to keep some apart: the held-out figures are of images that it has learned from."""
    held_out_gain: dict[str, float] = field(default_factory=dict)
    """Of a model that restores: mean PSNR of held-out images in dB, "before_db" degraded and "after_db" restored."""
    scores: list[dict[str, Any]] = field(default_factory=list)
    """Of a model that ships: what benchmarks/photos.py measured."""
    sources: list[str] = field(default_factory=list)
    """Of a model that ships: its training images, each with its license."""

    jpegs_undone: int = MOST_JPEGS
    """How many JPEGs one after the other it undoes itself; an image that shows more passes through `repair` first."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingInfo:
        """Return the info that a model file holds; unknown keys are ignored.

        Raises:
            TypeError: If a value has the wrong type.
        """
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        for name, value in known.items():
            kind = type(getattr(cls(), name))
            if not isinstance(value, int | float if kind is float else kind):
                raise TypeError(f"{name} is {value!r}")
        return cls(**known)

    @property
    def from_patches(self) -> bool:
        """Whether the model was trained on patches cut from larger images."""
        return self.data.get("kind") == "patches"
