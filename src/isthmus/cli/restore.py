"""The commands that restore pictures: `restore` with any model, and verbs for the models that ship."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from isthmus.cli.app import (
    MAX_BAD,
    ClusterName,
    Data,
    DataDir,
    Device,
    Gpus,
    Json,
    MaxBad,
    ModelName,
    Overwrite,
    Quiet,
    open_source,
    parse_bytes,
    show_rewritten,
)
from isthmus.cli.messages import CountBar, messages
from isthmus.errors import DataError, UsageError, printable, require

if TYPE_CHECKING:
    from isthmus.datasets import Source

OwnModel = Annotated[Path | None, Parameter(help="Your own model instead of the one that ships.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """Options of all commands that restore pictures."""

    out: Annotated[Path, Parameter(help="Where to write: the same kind as DATA.")]
    strength: Annotated[float, Parameter(help="From 0 (input) to 1 (output).")] = 1.0
    self_ensemble: Annotated[
        bool, Parameter(help="Average over eight orientations: a little better, 8 times slower.", show_default=False)
    ] = False
    fast: Annotated[
        bool,
        Parameter(
            help="Compute in 8 bits: faster, a little less exact; needs AVX-512 VNNI; with AMX, it changes nothing.",
            show_default=False,
        ),
    ] = False
    format: Annotated[str | None, Parameter(help="Format to write pictures in, such as png; by default, their own.")] = None
    quality: Annotated[int | None, Parameter(help="JPEG, WebP, AVIF or HEIC quality, 1 to 100; by default, each picture's.")] = None
    memory: Annotated[str | None, Parameter(help="Memory limit, such as 1.5GB: large pictures go through in tiles.")] = None
    data_dir: DataDir = None
    max_bad: MaxBad = MAX_BAD
    keep_going: Annotated[bool, Parameter(help="Skip and list all unreadable images, however many.", show_default=False)] = False
    device: Device = "auto"
    overwrite: Overwrite = False
    resume: Annotated[bool, Parameter(help="Skip pictures that exist, and write the rest.", show_default=False)] = False
    cluster: ClusterName = None
    gpus_per_worker: Gpus = 0.0
    json: Json = False
    quiet: Quiet = False


def restore(
    model: ModelName,
    /,
    *data: Data,
    mask: Annotated[Path | None, Parameter(help="For an inpainting model: a picture, white where parts are missing.")] = None,
    options: RestoreOptions,
) -> int:
    """Restore pictures with any model: undo what it was trained to undo.

    Example: `isthmus restore my.safetensors noisy/ --out clean/`

    Output files keep their name, format, bit depth, transparency and metadata; an upscaler changes the size.
    """
    return _restore(data, [model], options, mask)


def improve(*data: Data, options: RestoreOptions) -> int:
    """Detect what each photo needs, and do it: denoise, repair, or nothing.

    Example: `isthmus improve photos/ --out better/`

    isthmus copies a photo that needs nothing. It suggests upscaling and colorizing, and leaves them to you.
    """
    with messages(options.quiet):
        source = _checked_inputs(data, options)
        if options.cluster:
            return _on_cluster(source, options)
        from isthmus.improve import Improver, improve_data

        improver = Improver(
            strength=options.strength,
            self_ensemble=options.self_ensemble,
            fast=options.fast,
            device=options.device,
            memory=_memory(options),
        )
        began = time.perf_counter()
        with CountBar(options.out.name, options.quiet) as on_progress:
            improvements = improve_data(
                improver, source, options.out, overwrite=options.overwrite, resume=options.resume, on_progress=on_progress
            )
        return show_rewritten(
            improvements.written,
            options.out,
            time.perf_counter() - began,
            options.json,
            options.quiet,
            facts={"pictures": [file.to_json() for file in improvements.files]},
            remark=str(improvements),
        )


def denoise(*data: Data, model: OwnModel = None, options: RestoreOptions) -> int:
    """Remove noise from photos, of unknown strength.

    Example: `isthmus denoise photos/ --out clean/`
    """
    return _restore(data, [model] if model else [Path("denoise")], options)


def colorize(
    *data: Data,
    hints: Annotated[Path | None, Parameter(help="A picture of the same size: opaque or colored pixels set colors.")] = None,
    model: OwnModel = None,
    options: RestoreOptions,
) -> int:
    """Add plausible colors to gray photos; a photo in color gets new ones.

    Example: `isthmus colorize album/ --out in-color/`
    """
    return _restore(data, [model or Path("colorize")], options, hints=hints)


def upscale(
    *data: Data,
    factor: Annotated[int, Parameter(help="Scale factor: 2, 3 or 4.")] = 2,
    model: OwnModel = None,
    options: RestoreOptions,
) -> int:
    """Upscale photos (super-resolution); added detail is plausible, not recovered.

    Example: `isthmus upscale small/ --factor 3 --out large/`

    JPEG artifacts are removed first.
    """
    if factor not in (2, 3, 4):
        raise UsageError(f"--factor must be 2, 3 or 4, not {factor}. For others, train a model: --task upscale --factor {factor}.")
    return _restore(data, [model or Path(f"upscale-x{factor}")], options)


def repair(*data: Data, model: OwnModel = None, options: RestoreOptions) -> int:
    """Remove JPEG artifacts from photos: blocks, ringing, smeared colors.

    Example: `isthmus repair downloads/ --out repaired/`
    """
    return _restore(data, [model or Path("repair")], options)


def inpaint(
    *data: Data,
    mask: Annotated[Path, Parameter(help="A picture of the same size, white where parts are missing.")],
    model: Annotated[Path, Parameter(help="A model trained with --task inpaint on pictures like yours.")],
    options: RestoreOptions,
) -> int:
    """Fill in missing parts of photos; the rest stays unchanged.

    Example: `isthmus inpaint scan.png --mask scratches.png --model scans.safetensors --out whole.png`
    """
    return _restore(data, [model], options, mask)


def _restore(
    data: Sequence[str], names: Sequence[Path], options: RestoreOptions, mask: Path | None = None, hints: Path | None = None
) -> int:
    with messages(options.quiet):
        source = _checked_inputs(data, options)
        if options.cluster:
            return _on_cluster(source, options, names, mask, hints)
        from isthmus.restore import Restorer, restore_data

        restorer = Restorer(
            names,
            strength=options.strength,
            self_ensemble=options.self_ensemble,
            fast=options.fast,
            mask=mask,
            hints=hints,
            device=options.device,
            memory=_memory(options),
        )
        began = time.perf_counter()
        with CountBar(options.out.name, options.quiet) as on_progress:
            written = restore_data(
                restorer,
                source,
                options.out,
                overwrite=options.overwrite,
                resume=options.resume,
                on_progress=on_progress,
            )
        facts, remark = {"hardly_changed": restorer.hardly_changed}, restorer.remark
        return show_rewritten(
            written, options.out, time.perf_counter() - began, options.json, options.quiet, facts=facts, remark=remark
        )


def _on_cluster(
    source: Source, options: RestoreOptions, names: Sequence[Path] = (), mask: Path | None = None, hints: Path | None = None
) -> int:
    """Do what `_restore` does, or without models `improve`, by Ray."""
    from isthmus.cluster.session import Cluster

    cluster = Cluster(address=options.cluster or "", gpus_per_worker=options.gpus_per_worker)
    require("cluster", "ray", "pyarrow")
    from isthmus.cluster.pictures import How, restore_pictures
    from isthmus.imaging.picture import read_picture
    from isthmus.restore import as_models
    from isthmus.storage.store import Store

    how = How(
        models=tuple(model.to_bytes() for model in as_models(names, "cpu")) if names else (),
        strength=options.strength,
        self_ensemble=options.self_ensemble,
        fast=options.fast,
        mask=read_picture(mask) if mask else None,
        hints=read_picture(hints) if hints else None,
        device=cluster.device(options.device),
        memory=_memory(options),
    )
    began = time.perf_counter()
    with messages(options.quiet), CountBar(options.out.name, options.quiet) as on_progress:
        written = restore_pictures(
            how, source, options.out, cluster, overwrite=options.overwrite, resume=options.resume, on_progress=on_progress
        )
    return show_rewritten(written, Store.at(options.out).name, time.perf_counter() - began, options.json, options.quiet)


def _checked_inputs(data: Sequence[str], options: RestoreOptions) -> Source:
    """Return what is to be restored, once it is certain that the options can be met; its first picture is then being decoded."""
    from isthmus.datasets import Folder
    from isthmus.storage.store import is_url

    if options.quality is not None and not 1 <= options.quality <= 100:
        raise UsageError(f"--quality must be between 1 and 100, not {options.quality}.")
    if not options.cluster and (is_url(options.out) or any(map(is_url, data))):
        raise UsageError("URLs need --cluster: pass --cluster local[1] to read and write them from this machine.")
    source = open_inputs(data, options)
    if isinstance(source, Folder) and not options.cluster and not options.memory:
        return source.begin()
    return source


def _memory(options: RestoreOptions) -> int | None:
    return parse_bytes(options.memory) if options.memory else None


def open_inputs(data: Sequence[str], options: RestoreOptions) -> Source:
    """Return what is to be restored: one DATA of any kind, or several pictures and folders as one."""
    from dataclasses import replace

    from isthmus.datasets import Folder

    max_bad = 1.0 if options.keep_going else options.max_bad
    names = [name for pattern in data for name in _expanded(pattern)]
    if not names:
        raise UsageError("DATA is missing. Accepted are pictures, folders, arrays, or a dataset's name.")
    if len(names) == 1:
        source = open_source(names[0], options.data_dir, max_bad)
    else:
        for name in names:
            inner = open_source(name, options.data_dir, max_bad)
            if not isinstance(inner, Folder):
                raise UsageError(
                    f"{printable(name)} is no picture and no folder of pictures. Restore it with a command of its own."
                )
        source = Folder.of([Path(name) for name in names], max_bad)
    if isinstance(source, Folder):
        source = replace(source, format=options.format or "", quality=options.quality or 0, several=len(names) > 1)
        source.places(Path() if options.cluster else options.out)  # what cannot be written is refused before models are loaded
    elif options.format or options.quality:
        raise UsageError("--format and --quality are for pictures. The name of --out sets the format of arrays.")
    return source


def _expanded(name: str) -> list[str]:
    """Return the paths that a pattern with * or ? matches, where the shell has left it as it is."""
    import glob

    if not any(sign in name for sign in "*?") or Path(name).exists():
        return [name]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207  # a pattern may be absolute
    if not found:
        raise DataError(f"No file matches {printable(name)}.")
    return found
