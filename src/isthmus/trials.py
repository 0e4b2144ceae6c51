"""What a model is measured on: clean images, what a person has of them at work, and what the model sees of that.

Images of one size are looked at together. A model that has learnt from squares cut from larger pictures is given whole pictures,
one after the other, each in its own size: no more than one of them is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from isthmus.corruptions import Chain
from isthmus.datasets import Dataset, Skipped, Source, each_of, train_and_test, were_learnt_from
from isthmus.errors import DataError, look_up
from isthmus.images import Array, to_unit
from isthmus.restoring import Model
from isthmus.tasks import TASKS


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Images of one size: clean, damaged, and as the model sees them."""

    clean: Array
    """`(n, C, H, W)` float32 in [0, 1]: what the model should give."""
    damaged: Array
    """`(n, C', h, w)` float32: what a person has at work; for a model that enlarges, smaller."""
    seen: Array
    """`(n, C', H, W)` float32: what the model sees of that."""
    enlarges: int = 1
    """How many times as long the sides of what is seen are as those of what a person has, before what is too much is cut off."""

    @classmethod
    def of(cls, model: Model, images: Array, seed: int) -> Trial:
        """Prepare and damage clean images as a model has learnt to undo it.

        Args:
            model: What will be given them.
            images: `(n, C, H, W)`, as images have it.
            seed: The same seed gives the same chance.

        Raises:
            DataError: If the channels do not fit the model.
        """
        clean = model.prepare(in_channels_of(model, images), seed)
        damaged = model.at_work(clean, seed)
        seen = model.corruption.as_seen(torch.from_numpy(damaged)).numpy()[..., : clean.shape[2], : clean.shape[3]]
        return cls(clean=clean, damaged=damaged, seen=seen, enlarges=model.corruption.enlarges)

    def __len__(self) -> int:
        return len(self.clean)

    def take(self, chosen: slice | Array) -> Trial:
        """Return some of the images."""
        return replace(self, clean=self.clean[chosen], damaged=self.damaged[chosen], seen=self.seen[chosen])

    def middle(self, side: int) -> Trial:
        """Return the middles of the images, at most so many pixels high and wide; of damaged ones, what is seen."""
        clean, seen = (_middle(images, side) for images in (self.clean, self.seen))
        return Trial(clean=clean, damaged=seen, seen=seen)

    @cached_property
    def as_it_is(self) -> Array:
        """What is seen, `(n, C, H, W)`: gray in as many channels as are wanted, without a mask, clipped to what an image holds."""
        return np.clip(in_channels(self.seen, self.clean.shape[1]), 0, 1)

    @cached_property
    def strengths(self) -> Array:
        """How strong the damage is, `(n,)`: the root of the mean squared difference from the clean image."""
        seen = in_channels(self.seen, self.clean.shape[1])
        return np.array([np.sqrt(np.square(a - b).mean()) for a, b in zip(seen, self.clean, strict=True)])


@dataclass(frozen=True, kw_only=True)
class Whole:
    """Images of one size, in memory."""

    dataset: Dataset
    """Those that are measured."""
    learnt: Dataset
    """Those that others may learn from: where they are the same, that flatters the others."""
    split: str
    """"train", "test" or "all"."""

    @property
    def title(self) -> str:
        """What they are, for people."""
        return self.dataset.title

    @property
    def skipped(self) -> list[Skipped]:
        """The files that could not be read."""
        return list(self.dataset.skipped)

    def __iter__(self) -> Iterator[Array]:
        """Yield all of them at once, `(n, C, H, W)`."""
        yield self.dataset.images


@dataclass(kw_only=True)
class Pictures:
    """Pictures, each in its own size; they are decoded anew whenever they are gone through."""

    source: Source
    split: str
    """"train", "test" or "all"."""
    skipped: list[Skipped] = field(default_factory=list)
    """The files that could not be read, the last time."""

    @property
    def title(self) -> str:
        """What they are, for people."""
        return self.source.title

    def __iter__(self) -> Iterator[Array]:
        """Yield them one at a time, `(1, C, H, W)`."""
        self.skipped.clear()
        count = 0
        for _, picture in each_of(self.source, self.split):
            if isinstance(picture, Skipped):
                self.skipped.append(picture)
            else:
                count += 1
                yield picture[None]
        if not count:
            reason = self.skipped[0].reason if self.skipped else "there are none."
            raise DataError(f"None of the pictures in {self.title} can be read: {reason}")


def choose(model: Model, source: Source, split: str | None = None) -> Whole | Pictures:
    """Choose what a model is measured on.

    Args:
        model: What is measured.
        source: The images.
        split: "train", "test" or "all". Without it: the test set if the source has one; the held-out tenth if the model was trained
            on the rest; else all.

    Raises:
        UsageError: If the split is unknown.
        DataError: If the images cannot be read.
    """
    known = model.about.get("data", {})
    on_squares = len(known.get("shape", ())) == 3
    if split is not None:
        look_up("split", split, dict.fromkeys(("train", "test", "all")))
    if model.learnt_from_squares:
        return Pictures(source=source, split=split or _unseen(source.has_test or were_learnt_from(source, known)))
    train, test = train_and_test(source, size_for(model))
    if split is None:
        on_the_rest = were_learnt_from(source, known) if on_squares else train.fingerprint()["sha256"] == known.get("sha256")
        split = _unseen(source.has_test or on_the_rest)
    dataset = {"train": train, "test": test}.get(split) or source.read("all", train.image_shape[1:])
    return Whole(dataset=dataset, learnt=train if split == "test" else dataset, split=split)


def give_back(model: Model, trial: Trial) -> Array:
    """Return what a model gives a person for what it sees, `(n, C, H, W)`: where it completes images, the rest is kept."""
    restored = model.restore_seen(trial.seen)
    if trial.seen.shape[1] <= trial.clean.shape[1]:
        return restored
    return np.where(trial.seen[:, -1:] >= 0.5, restored, trial.as_it_is)


def size_for(model: Model) -> tuple[int, int] | None:
    """Return (H, W) that a model's images are brought to; None for the size that most of them have."""
    return model.recipe.size or (None if model.architecture.any_size else model.image_shape[1:])


def corruptions_at_work(model: Model) -> frozenset[str]:
    """Return the names of what has been done to the images that a model is given at work; none, where they are clean."""
    if TASKS[model.recipe.task].clean_at_work:
        return frozenset()
    corruption = model.corruption
    return frozenset(part.name for part in (corruption.parts if isinstance(corruption, Chain) else (corruption,))) - {"nothing"}


def takes_clean(model: Model) -> bool:
    """Tell whether a model can be given a clean image as it is: its corruption leaves the size and the channels."""
    channels = model.image_shape[0]
    return model.corruption.enlarges == 1 and model.corruption.seen_channels(channels) == channels


def in_channels_of(model: Model, images: Array) -> Array:
    """Return images `(n, C, H, W)` in the channels that a model gives: gray ones as RGB, where it gives RGB.

    Raises:
        DataError: If they have other channels.
    """
    wanted, channels = model.image_shape[0], images.shape[1]
    if channels not in (1, wanted):
        raise DataError(
            f"The images have {channels} channels, and this model's have {wanted}: "
            f"bring {'gray images' if wanted == 1 else 'images in colour'}, or a model that has learnt from such."
        )
    return in_channels(images, wanted)


def in_channels(images: Array, count: int) -> Array:
    """Return the first channels of images `(n, C, H, W)`, the last one repeated where there are too few."""
    if images.shape[1] == count:
        return images
    return images[:, [min(channel, images.shape[1] - 1) for channel in range(count)]]


def middles(model: Model, pictures: Pictures, count: int, side: int) -> Dataset:
    """Cut the middles out of the first pictures, all of one size: where a picture is smaller, it goes on as in a mirror.

    Args:
        model: What will be given them.
        pictures: Of any sizes.
        count: Of how many pictures, at most.
        side: Height and width in pixels, at most; the middles are no larger than most of the pictures are.
    """
    cut = []
    for picture in pictures:
        cut.append(to_unit(_middle(in_channels_of(model, picture), side))[0])
        if len(cut) == count:
            break
    height, width = (int(np.median([image.shape[axis] for image in cut])) for axis in (1, 2))
    return Dataset(images=np.stack([_middle(_padded(image, height, width), height, width) for image in cut]), title=pictures.title)


def _unseen(held_out: bool) -> str:
    return "test" if held_out else "all"


def _padded(image: Array, height: int, width: int) -> Array:
    missing = [(0, 0), (0, max(0, height - image.shape[1])), (0, max(0, width - image.shape[2]))]
    return np.pad(image, missing, mode="symmetric")


def _middle(images: Array, height: int, width: int | None = None) -> Array:
    """Return the middles of images `(..., H, W)`, at most so large."""
    top, left = (max(0, (have - want) // 2) for have, want in zip(images.shape[-2:], (height, width or height), strict=True))
    return images[..., top : top + height, left : left + (width or height)]
