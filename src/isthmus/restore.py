"""Picture files and folders through a model, with all that belongs to a file: the one way that all interfaces restore pictures."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus import pretrained
from isthmus.datasets import MAX_BAD, Data, Rewritten, open_data
from isthmus.datasets.base import OnProgress
from isthmus.datasets.folder import Folder
from isthmus.datasets.rewriting import of_one_file
from isthmus.errors import IsthmusError, IsthmusWarning, UsageError, printable
from isthmus.imaging.arrays import Array, Layout, middle, to_unit
from isthmus.imaging.picture import Picture, read_picture, write_picture
from isthmus.inference.int8 import compute_in_int8
from isthmus.inference.noise_level import MOST_NOISE, noise_level
from isthmus.model import Model, load
from isthmus.storage.atomic import check_output, resumable

Models = Model | str | Path | Sequence[Model | str | Path] | Mapping[int, Model]
"""A model, its file or name; or several, of which each image gets the one of its channels (gray or color)."""

SMALLEST = 8
"""Height and width in pixels below which nothing is said about an image's noise."""

MIDDLE = 1024
"""Of a larger image only so many pixels are looked at, down and across: the rest costs memory, and says little more."""

LOOKS_NOISY, HARDLY = 5 / 255, 0.2
"""Standard deviation from which an image looks noisy; the share of it that a change must reach, not to be called hardly any."""


@dataclass(frozen=True, kw_only=True)
class RestoredFile:
    """What became of one file of a folder."""

    source: Path
    """The file that was read."""
    out: Path | None
    """The file that was written; None where it failed."""
    error: str | None = None
    """Why it failed."""
    hardly_changed: bool = False
    """Whether it looks noisy, and hardly changed."""


class Restorer:
    """Restores images by the model of their channels: gray ones by a gray model, if there is one, others by the color model.

    Args:
        models: One or more; of several, the last one takes images whose channels no model has.
        strength: From 0 (input) to 1 (output).
        self_ensemble: Average over all eight orientations.
        mask: For an inpainting model: an array, or a picture or its file, white where the images are missing.
        hints: For a colorizer: an array, or a picture or its file, whose opaque or colored pixels are colors to set.
        device: Where models that are given by file or name compute: "auto", "cpu", "cuda", "cuda:1" or "mps".
        memory: At most so many bytes for the process: large images go through in tiles. None for no limit.
        fast: Compute in 8 bits: faster and a little less exact; needs AVX-512 VNNI; with AMX, it changes nothing.
            Models that are given stay so.
        stop: Set it, from any thread, to end the work with `Interrupted`.
    """

    def __init__(
        self,
        models: Models,
        *,
        strength: float = 1.0,
        self_ensemble: bool = False,
        fast: bool = False,
        mask: str | Path | Picture | Array | None = None,
        hints: str | Path | Picture | Array | None = None,
        device: str = "auto",
        memory: int | None = None,
        stop: threading.Event | None = None,
    ):
        chosen = as_models(models, device)
        for model in chosen:
            if memory:
                model.limit_memory(memory)
            if fast:
                _compute_in_int8(model)
        self.by_channels = {model.image_shape[0]: model for model in chosen}
        self.other = chosen[-1]
        self.strength, self.self_ensemble, self.stop = strength, self_ensemble, stop
        mask, hints = (read_picture(Path(told)) if isinstance(told, str | Path) else told for told in (mask, hints))
        self.mask = to_unit(mask.pixels).mean(2) if isinstance(mask, Picture) else mask
        self.hints = _hints_of(hints) if isinstance(hints, Picture) else hints
        self.hardly_changed = 0
        """How many images looked noisy, and hardly changed."""

    def model_for(self, channels: int) -> Model:
        """Return the model for images of so many channels."""
        return self.by_channels.get(channels, self.other)

    def restore(self, images: Array, on_progress: Callable[[float], None] | None = None) -> Array:
        """Return an array of images, restored; see `Model.restore`."""
        channels = Layout.of(images.shape).to_batch(images).shape[1]
        options = {"strength": self.strength, "self_ensemble": self.self_ensemble, "mask": self.mask, "hints": self.hints}
        model = self.model_for(channels)
        restored: Array = model.restore(images, **options, on_progress=on_progress, stop=self.stop)  # type: ignore[arg-type]  # each has its type
        if self.strength and self.mask is None:
            self.hardly_changed += hardly_changed(images, restored)
        return restored

    @property
    def remark(self) -> str:
        """What is to be said of images that looked noisy and hardly changed; "" where there were none."""
        count = self.hardly_changed
        if not count:
            return ""
        subject = "The image looks" if count == 1 else f"{count:,} images look"
        return f"{subject} noisy or finely textured, and hardly changed: the model was trained to undo other damage."

    def restore_picture(self, picture: Picture, on_progress: Callable[[float], None] | None = None) -> Picture:
        """Return a picture, all its pages or frames restored, with its transparency and metadata."""
        return picture.changed_by(lambda images: self.restore(images, on_progress))


def hardly_changed(images: Array, restored: Array) -> int:
    """Return how many of the images look noisy and hardly changed, in their middles."""
    before, after = (Layout.of(array.shape).to_batch(array) for array in (images, restored))
    if before.shape != after.shape or min(before.shape[2:]) < SMALLEST:
        return 0
    before, after = middle(before, MIDDLE), middle(after, MIDDLE)
    step = max(1, MIDDLE**2 // math.prod(before.shape[2:]))
    parts = (slice(start, start + step) for start in range(0, len(before), step))
    return sum(_count_hardly_changed(before[part], after[part]) for part in parts)


def _count_hardly_changed(before: Array, after: Array) -> int:
    change = np.sqrt(np.square(to_unit(after) - to_unit(before)).mean((1, 2, 3)))
    little = change < HARDLY * MOST_NOISE
    if not little.any():
        return 0
    noise = noise_level(before[little])
    return int(np.sum((noise > LOOKS_NOISY) & (change[little] < HARDLY * noise)))


def _hints_of(picture: Picture) -> Array:
    """Return a picture's pixels, with its transparency as a fourth channel, `(H, W, C)`."""
    if picture.alpha is None:
        return picture.pixels
    return np.dstack([np.repeat(picture.pixels, 3, 2) if picture.pixels.shape[2] == 1 else picture.pixels, picture.alpha])


def restore_file(
    model: Models,
    source: str | Path,
    out: str | Path,
    *,
    strength: float = 1.0,
    self_ensemble: bool = False,
    fast: bool = False,
    mask: str | Path | Array | None = None,
    hints: str | Path | Array | None = None,
    overwrite: bool = False,
    on_progress: Callable[[float], None] | None = None,
    stop: threading.Event | None = None,
) -> Path:
    """Restore one picture file; bit depth, transparency, color profile and EXIF are kept as the format of `out` allows.

    Args:
        model: A model, its file or name; or several, of which the picture gets the one of its channels.
        source: The picture.
        out: Where to write it; the ending chooses the format.
        strength: From 0 (input) to 1 (output).
        self_ensemble: Average over all eight orientations: a little better, eight times slower.
        fast: Compute in 8 bits: faster and a little less exact; needs AVX-512 VNNI; with AMX, it changes nothing.
        mask: For an inpainting model: an array or a picture, white where the image is missing.
        hints: For a colorizer: an array or a picture, whose opaque or colored pixels are colors to set.
        overwrite: Replace `out` if it exists.
        on_progress: Called with the share done.
        stop: Set it, from any thread, to end the work; nothing is written then.

    Returns:
        The path that was written.

    Raises:
        DataError: If the picture cannot be read, does not fit the model, or the format cannot hold the result.
        UsageError: If `out` exists.
        Interrupted: If `stop` was set.

    Warns:
        IsthmusWarning: If the picture looks noisy, and hardly changed.
    """
    path, target = Path(source), Path(out)
    if path.exists() and path.resolve() == target.resolve():
        raise UsageError(f"{printable(str(target))} is the input itself. Choose another `out`.")
    check_output(target, overwrite=overwrite)
    restorer = Restorer(model, strength=strength, self_ensemble=self_ensemble, fast=fast, mask=mask, hints=hints, stop=stop)
    write_picture(target, restorer.restore_picture(read_picture(path), on_progress))
    if restorer.remark:
        warnings.warn(restorer.remark, IsthmusWarning, stacklevel=2)
    return target


def restore_folder(
    model: Models,
    source: str | Path,
    out: str | Path,
    *,
    strength: float = 1.0,
    self_ensemble: bool = False,
    fast: bool = False,
    mask: str | Path | Array | None = None,
    hints: str | Path | Array | None = None,
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[RestoredFile]:
    """Restore the pictures of a folder one by one, into the same names and subfolders; memory stays constant.

    Args:
        model: A model, its file or name; or several, of which each picture gets the one of its channels.
        source: The folder.
        out: Where to write.
        strength: From 0 (input) to 1 (output).
        self_ensemble: Average over all eight orientations.
        fast: Compute in 8 bits: faster and a little less exact; needs AVX-512 VNNI; with AMX, it changes nothing.
        mask: For an inpainting model: an array or a picture, white where the images are missing.
        hints: For a colorizer: an array or a picture, whose opaque or colored pixels are colors to set.
        overwrite: Replace what exists.
        resume: Skip what exists.
        stop: Set it, from any thread, to end the work; the files that are there are whole, and `resume` does the others.

    Yields:
        One result per picture, as soon as it is written. A picture that fails does not end the others.

    Raises:
        DataError: If the folder holds no pictures.
        UsageError: If `out` holds files, and neither `overwrite` nor `resume` is given.
        Interrupted: If `stop` was set.
    """
    root, target = Path(source), Path(out)
    if target.resolve() == root.resolve():
        raise UsageError(f"{printable(str(target))} is the input itself. Choose another `out`.")
    folder = Folder.scan(root, 1.0)
    check_output(target, overwrite=overwrite or resume)
    restorer = Restorer(model, strength=strength, self_ensemble=self_ensemble, fast=fast, mask=mask, hints=hints, stop=stop)
    return _restored(restorer, folder.without(target), target, resume)


def _restored(restorer: Restorer, folder: Folder, target: Path, resume: bool) -> Iterator[RestoredFile]:
    places = folder.places(target)
    for file in folder.files:
        source, out = folder.root / file, places[str(file)]
        if resume and out.exists():
            continue
        before = restorer.hardly_changed
        try:
            write_picture(out, restorer.restore_picture(read_picture(source)))
        except IsthmusError as error:
            if not of_one_file(error):
                with resumable():
                    raise
            yield RestoredFile(source=source, out=None, error=str(error))
        else:
            yield RestoredFile(source=source, out=out, hardly_changed=restorer.hardly_changed > before)


def restore_data(
    restorer: Restorer,
    data: Data,
    out: Path,
    *,
    data_dir: str | Path | None = None,
    max_bad: float = MAX_BAD,
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Rewritten:
    """Restore data of any kind (pictures, arrays, IDX files) into the same kind; what the command line does.

    Args:
        restorer: The models and how they are used.
        data: As `open_data` takes it.
        out: Where to write.
        data_dir: Folder with named datasets.
        max_bad: Largest share of images that may be unreadable.
        overwrite: Replace what exists.
        resume: Skip what exists.
        on_progress: Called with how many images are done, and of how many.
    """
    source = open_data(data, data_dir, max_bad=max_bad)
    return source.rewrite(out, restorer.restore, overwrite=overwrite, resume=resume, on_progress=on_progress)


def _compute_in_int8(model: Model) -> None:
    for each in (model, model.repairer):
        if each is not None:
            compute_in_int8(each.engine)


def as_models(models: Models, device: str = "auto") -> list[Model]:
    """Return a list of models; files and names are loaded."""
    if isinstance(models, Model):
        return [models]
    if isinstance(models, str | Path):
        return [load(name, device=device) for name in pretrained.GROUPS.get(str(models), (models,))]
    chosen = list(models.values()) if isinstance(models, Mapping) else list(models)
    if not chosen:
        raise UsageError("Pass at least one model.")
    return [model for each in chosen for model in as_models(each, device)]
