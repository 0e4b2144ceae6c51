"""The commands that use latent codes: `encode`, `decode`, `generate`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

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
    Seed,
    load_model,
    open_source,
    show,
    show_rewritten,
)
from isthmus.cli.messages import CountBar
from isthmus.errors import UsageError, require


def encode(
    model: ModelName,
    data: Data,
    /,
    *,
    out: Annotated[Path, Parameter(help="An .npz for codes, labels and names; with --cluster, a folder or URL for Parquet.")],
    bits: Annotated[int | None, Parameter(help="Compress to 2^BITS levels (1 to 12); by default, codes are float32.")] = None,
    split: Annotated[str, Parameter(help="train, test or all.")] = "all",
    data_dir: DataDir = None,
    max_bad: MaxBad = MAX_BAD,
    device: Device = "auto",
    overwrite: Overwrite = False,
    resume: Annotated[bool, Parameter(help="With --cluster: continue an unfinished run.", show_default=False)] = False,
    cluster: ClusterName = None,
    gpus_per_worker: Gpus = 0.0,
    json: Json = False,
) -> int:
    """Write the latent codes (embeddings) of images.

    Example: `isthmus encode digits.safetensors mnist --bits 6 --out codes.npz`
    """
    from isthmus.latents.files import encode_data

    if cluster:
        if bits is not None or split != "all":
            raise UsageError("--cluster writes the codes of all images as float32: leave out --bits and --split.")
        from isthmus.cluster.session import Cluster

        where = Cluster(address=cluster, gpus_per_worker=gpus_per_worker)
        require("cluster", "ray", "pyarrow")
        from isthmus.cluster.images import encode_pictures
        from isthmus.storage.store import Store

        source, trained, began = open_source(data, data_dir, max_bad), load_model(model, "cpu"), time.perf_counter()
        with CountBar(out.name) as on_progress:
            rewritten = encode_pictures(
                trained,
                source,
                out,
                where,
                device=where.device(device),
                overwrite=overwrite,
                resume=resume,
                on_progress=on_progress,
            )
        return show_rewritten(rewritten, Store.at(out).name, time.perf_counter() - began, json)
    if resume:
        raise UsageError("--resume is for --cluster alone.")
    trained = load_model(model, device)
    began = time.perf_counter()
    written = encode_data(trained, open_source(data, data_dir, max_bad), out, bits=bits, split=split, overwrite=overwrite)
    rates = written.rates()
    remark = (
        f"{rates['bytes']:,} bytes: {rates['bits_per_pixel']:.4f} bits per pixel, {rates['bits_per_number']:.3f} bits per number "
        f"of the codes, without the {rates['label_bytes']:,} bytes of labels and names"
    )
    return show_rewritten(written, out, time.perf_counter() - began, json, facts=rates, remark=remark)


def decode(
    model: ModelName,
    codes: Annotated[Path, Parameter(name="CODES", help="The .npz of `isthmus encode`.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="A folder for PNG pictures, or an .npz.")],
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Write the images of latent codes.

    Example: `isthmus decode digits.safetensors codes.npz --out pictures/`
    """
    from isthmus.latents.files import decode_file

    trained = load_model(model, device)
    began = time.perf_counter()
    written = decode_file(trained, codes, out, overwrite=overwrite)
    return show_rewritten(written, out, time.perf_counter() - began, json)


def generate(
    model: ModelName,
    /,
    *,
    out: Annotated[Path, Parameter(help="One sheet (such as new.png), an .npz, or a folder of pictures.")],
    count: Annotated[int, Parameter(help="Number of new images.")] = 64,
    walk: Annotated[tuple[Path, Path] | None, Parameter(help="Two pictures to interpolate between, in latent space.")] = None,
    traverse: Annotated[
        Path | None, Parameter(help="A picture: vary the ten numbers of its code that vary most, a row each.")
    ] = None,
    steps: Annotated[int, Parameter(help="Images of a walk, or of each row.")] = 10,
    seed: Seed = 0,
    device: Device = "auto",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Generate images like the training set, or explore the latent space.

    Example: `isthmus generate digits.safetensors --count 64 --out new.png`
    """
    from isthmus.errors import printable
    from isthmus.latents import explore
    from isthmus.storage.atomic import check_output

    if walk and traverse:
        raise UsageError("Pass either --walk or --traverse, not both.")
    check_output(out, overwrite=overwrite)
    trained = load_model(model, device)
    if walk:
        start, end = (explore.read_image(trained, path) for path in walk)
        images = explore.walk(trained, start, end, steps)
    elif traverse:
        images = explore.traversals(trained, explore.read_image(trained, traverse), steps=steps)
    else:
        images = trained.generate(count, seed)
    explore.write_images(images, out, columns=steps if walk or traverse else 0, overwrite=overwrite)
    show({"images": len(images), "out": printable(str(out))}, f"{len(images):,} images: {printable(str(out))}", json)
    return 0
