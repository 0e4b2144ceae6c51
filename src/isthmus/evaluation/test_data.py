"""The test images of a scorecard: clean, degraded as in use, and as the network gets them.

Images of one size are looked at together. A model that has learned from squares cut from larger pictures is given whole pictures,
one after the other, each in its own size: no more than one of them is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from isthmus.corruptions import parts_of
from isthmus.datasets import Dataset, Pairs, Skipped, Source, each_of, train_and_test, were_trained_on
from isthmus.errors import DataError, lookup
from isthmus.imaging.arrays import Array, in_channels, middle, to_unit
from isthmus.model import Model
from isthmus.recipes.degradation import Sample
from isthmus.recipes.targets import NeighborTarget


@dataclass(frozen=True, kw_only=True)
class InMemoryImages:
    """Images of one size, in memory."""

    dataset: Dataset
    """Those that are measured."""
    learned: Dataset
    """Those that others may learn from: where they are the same, that flatters the others."""
    split: str
    """"train", "test" or "all"."""
    paired: bool = False
    """Whether each holds a person's own damaged image and the clean one."""

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
class StreamedImages:
    """Pictures, each in its own size; they are decoded anew whenever they are gone through."""

    source: Source
    split: str
    """"train", "test" or "all"."""
    paired: bool = False
    """Whether each holds a person's own damaged picture and the clean one."""
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


def choose(model: Model, source: Source, split: str | None = None) -> InMemoryImages | StreamedImages:
    """Choose what a model is measured on.

    Args:
        model: What is measured.
        source: The images.
        split: "train", "test" or "all". Without it: the test set if the source has one; the held-out tenth if the model was trained
            on the rest; else all.

    Raises:
        UsageError: If the split is unknown.
        DataError: If the images cannot be read, or cannot measure such a model.
    """
    paired = isinstance(source, Pairs)
    if not paired:
        check_measurable(model)
    known = model.info.data
    on_patches = model.info.from_patches
    if split is not None:
        lookup("split", split, dict.fromkeys(("train", "test", "all")))
    if model.trained_on_patches:
        split = split or _unseen(source.has_test or were_trained_on(source, known))
        return StreamedImages(source=source, split=split, paired=paired)
    train, test = train_and_test(source, size_for(model))
    if split is None:
        on_the_rest = were_trained_on(source, known) if on_patches else train.fingerprint()["sha256"] == known.get("sha256")
        split = _unseen(source.has_test or on_the_rest)
    dataset = {"train": train, "test": test}.get(split) or source.read("all", train.image_shape[1:])
    learned = train if split == "test" else dataset
    return InMemoryImages(dataset=dataset, learned=learned, split=split, paired=paired)


def check_measurable(model: Model) -> None:
    """Refuse a model that clean images alone do not measure.

    Raises:
        DataError: If nobody can say what would become of a clean image.
    """
    if not model.degradation.target.from_clean:
        raise DataError(
            f"Clean images cannot measure a model of the task {model.recipe.task}: isthmus cannot degrade them. "
            "Pass degraded images, and the clean ones as `clean`."
        )


def example_of(model: Model, images: Array, seed: int) -> Sample:
    """Prepare and damage a data set's images as a model is given them at work.

    Args:
        model: What will be given them.
        images: `(n, C, H, W)`, as images have it.
        seed: The same seed gives the same chance.

    Raises:
        DataError: If the channels do not fit the model.
    """
    return model.degradation.sample(in_channels_of(model, images), seed)


def pair_of(model: Model, images: Array) -> Sample:
    """Return a person's own pairs, `(n, 2C, H, W)` with the damaged ones' channels first, as what they are.

    Raises:
        DataError: If the channels do not fit the model.
    """
    damaged, clean = (in_channels_of(model, half) for half in np.split(to_unit(images), 2, 1))
    return Sample(clean=clean, degraded=damaged, model_input=damaged)


def restore_sample(model: Model, example: Sample) -> Array:
    """Return what a model gives a person for what it sees, `(n, C, H, W)`: where it completes images, the rest is kept."""
    restored = model.engine.restore_inputs(example.model_input)
    if not model.takes_mask:
        return restored
    return np.where(example.model_input[:, -1:] >= 0.5, restored, example.degraded_as_image)


def size_for(model: Model) -> tuple[int, int] | None:
    """Return (H, W) that a model's images are brought to; None for the size that most of them have."""
    return model.recipe.size or model.input_size


def corruptions_at_work(model: Model, *, paired: bool = False) -> frozenset[str]:
    """Return the names of what has been done to the images that a model is given at work; none, where they are clean.

    Args:
        model: Any model.
        paired: Whether the images are a person's own damaged ones, whatever the model has learned from.
    """
    if model.degradation.task.clean_input and not paired:
        return frozenset()
    names = {part.name for part in parts_of(model.corruption)} - {"nothing"}
    if not model.degradation.target.from_clean:
        names.add("noise" if isinstance(model.degradation.target, NeighborTarget) else "unknown")
    return frozenset(names)


def takes_clean(model: Model) -> bool:
    """Tell whether a model can be given a clean image as it is: its corruption leaves the size and the channels."""
    channels = model.image_shape[0]
    return model.corruption.scale_factor == 1 and model.corruption.input_channels(channels) == channels


def in_channels_of(model: Model, images: Array) -> Array:
    """Return images `(n, C, H, W)` in the channels that a model gives: gray ones as RGB, where it gives RGB.

    Raises:
        DataError: If they have other channels.
    """
    wanted, channels = model.image_shape[0], images.shape[1]
    if channels not in (1, wanted):
        raise DataError(
            f"The images have {channels} channels, and this model takes {wanted}. "
            f"Pass {'gray images' if wanted == 1 else 'images in color'}, or use a model trained on such images."
        )
    return in_channels(images, wanted)


def middles(model: Model, pictures: StreamedImages, count: int, side: int) -> Dataset:
    """Cut the middles out of the first pictures, all of one size: where a picture is smaller, it goes on as in a mirror.

    Args:
        model: What will be given them.
        pictures: Of any sizes.
        count: Of how many pictures, at most.
        side: Height and width in pixels, at most; the middles are no larger than most of the pictures are.
    """
    cut = []
    for picture in pictures:
        cut.append(to_unit(middle(in_channels_of(model, picture), side))[0])
        if len(cut) == count:
            break
    height, width = (int(np.median([image.shape[axis] for image in cut])) for axis in (1, 2))
    return Dataset(images=np.stack([middle(_padded(image, height, width), height, width) for image in cut]), title=pictures.title)


def _unseen(held_out: bool) -> str:
    return "test" if held_out else "all"


def _padded(image: Array, height: int, width: int) -> Array:
    missing = [(0, 0), (0, max(0, height - image.shape[1])), (0, max(0, width - image.shape[2]))]
    return np.pad(image, missing, mode="symmetric")
