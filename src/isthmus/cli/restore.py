"""The commands that give images back better: `restore` with any model, and verbs for what the models that ship undo."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from isthmus.cli.app import MAX_BAD, Data, app, load_model, open_source, parse_bytes, show_rewritten
from isthmus.cli.progress import Progress, remarks
from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.model import Model


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Work:
    """Where restored images go, and how the work is done."""

    out: Path
    """Where to; the same kind as DATA."""
    strength: float = 1.0
    """How much of it, from 0 (nothing) to 1."""
    careful: bool = False
    """Look at each picture in all eight orientations and take the mean: a little better, eight times slower."""
    memory: str = ""
    """Memory to stay within, such as 1.5GB: large pictures go through the network in smaller parts."""
    data_dir: Path | None = None
    """Folder that holds named data sets."""
    max_bad: float = MAX_BAD
    """Share of unreadable pictures above which nothing more is done; fewer are skipped and named."""
    keep_going: bool = False
    """Skip and name whatever cannot be read, however many."""
    device: str = "auto"
    """auto, cpu, cuda or mps."""
    overwrite: bool = False
    """Replace what is there."""
    resume: bool = False
    """Leave what is there as it is, and do the rest: a folder that was interrupted goes on where it was."""
    json: bool = False
    """Print the result as one JSON object."""
    quiet: bool = False
    """No progress, and no remarks."""


@app.command
def restore(model: Path, data: Data, /, *, mask: Path | None = None, work: Work) -> int:
    """Undo what a model has learnt to undo: write the same images again, without it.

    Example: `isthmus restore scans.safetensors noisy/ --out clean/`

    As many images come out as go in, of the same type and order, with the same names and labels; and of the same size, unless the
    model enlarges.

    Args:
        model: The model file, or the name of a model that ships: denoise-color, ...
        data: What to restore: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        mask: For a model that completes: a picture that is white where something is missing.
        work: Where to, and how.
    """
    return _rewrite(data, [load_model(model, work.device)], work, mask)


@app.command
def denoise(data: Data, /, *, model: Path | None = None, work: Work) -> int:
    """Take the noise out of photographs, however strong it is.

    Example: `isthmus denoise photos/ --out clean/`

    Args:
        data: A picture, a folder, or arrays.
        model: Your own model instead of those that ship (denoise-gray for gray pictures, denoise-color for others).
        work: Where to, and how.
    """
    return _rewrite(data, _models(model, ("denoise-gray", "denoise-color"), work), work)


@app.command
def colorize(data: Data, /, *, model: Path | None = None, work: Work) -> int:
    """Give gray photographs plausible colours: the true ones cannot be known.

    Example: `isthmus colorize album/ --model mine.safetensors --out in-colour/`

    Args:
        data: A picture, a folder, or arrays; what is in colour is coloured anew.
        model: A model that has learnt it: train one with --task colorize on photographs in colour. None ships yet.
        work: Where to, and how.
    """
    if model is None:
        raise UsageError("No model that ships gives colours: train one with --task colorize, and give it as --model.")
    return _rewrite(data, [load_model(model, work.device)], work)


@app.command
def upscale(data: Data, /, *, factor: int = 2, model: Path | None = None, work: Work) -> int:
    """Enlarge photographs, with detail that is likely but invented.

    Example: `isthmus upscale small/ --factor 3 --out large/`

    Args:
        data: A picture, a folder, or arrays.
        factor: How many times longer the sides become: 2, 3 or 4.
        model: Your own model instead of the one that ships for this factor.
        work: Where to, and how.
    """
    if factor not in (2, 3, 4):
        raise UsageError(
            f"--factor must be 2, 3 or 4, not {factor}; for others, train a model with --task upscale --factor {factor}."
        )
    return _rewrite(data, _models(model, (f"upscale-x{factor}",), work), work)


@app.command
def repair(data: Data, /, *, model: Path | None = None, work: Work) -> int:
    """Take out of photographs what strong JPEG compression has done to them: blocks, ringing, smeared colours.

    Example: `isthmus repair downloads/ --out repaired/`

    Args:
        data: A picture, a folder, or arrays.
        model: Your own model instead of the one that ships.
        work: Where to, and how.
    """
    return _rewrite(data, _models(model, ("repair",), work), work)


@app.command
def inpaint(data: Data, /, *, mask: Path, model: Path, work: Work) -> int:
    """Complete photographs where something is missing. Nothing else is changed.

    Example: `isthmus inpaint scan.png --mask scratches.png --model scans.safetensors --out whole.png`

    Args:
        data: A picture, or a folder of pictures with the same parts missing.
        mask: A picture of the same size, white where something is missing.
        model: A model that has learnt it: train one with --task inpaint on pictures like yours.
        work: Where to, and how.
    """
    return _rewrite(data, [load_model(model, work.device)], work, mask)


def _models(own: Path | None, ship: tuple[str, ...], work: Work) -> list[Model]:
    return [load_model(Path(name), work.device) for name in ([own] if own else ship)]


def _rewrite(data: str, models: list[Model], work: Work, mask: Path | None = None) -> int:
    """Restore images, each by the model of its channels, or by the last one."""
    from isthmus.imaging.arrays import Layout, to_unit
    from isthmus.imaging.picture import read_picture

    if work.memory:
        for model in models:
            model.limit_memory(parse_bytes(work.memory))
    options: dict[str, Any] = {"strength": work.strength, "careful": work.careful}
    if mask:
        options["mask"] = to_unit(read_picture(mask).pixels).mean(2)
    by_channels: dict[int, Callable[[Any], Any]] = {model.image_shape[0]: partial(model.restore, **options) for model in models}

    def change(images: Any) -> Any:
        channels = Layout.of(images.shape).to_batch(images).shape[1]
        return by_channels.get(channels, by_channels[models[-1].image_shape[0]])(images)

    began = time.perf_counter()
    source = open_source(data, work.data_dir, 1.0 if work.keep_going else work.max_bad)
    with remarks(work.quiet), Progress(work.quiet) as progress:
        watch = progress.count(work.out.name)
        rewritten = source.rewrite(work.out, change, overwrite=work.overwrite, resume=work.resume, watch=watch)
    return show_rewritten(rewritten, work.out, time.perf_counter() - began, work.json, work.quiet)
