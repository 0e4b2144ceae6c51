"""The commands that work with codes: `encode`, `decode`, `generate`."""

from __future__ import annotations

import time
from pathlib import Path

from isthmus.cli.app import MAX_BAD, Data, app, load_model, open_source, show, show_rewritten


@app.command
def encode(
    model: Path,
    data: Data,
    /,
    *,
    out: Path,
    bits: int | None = None,
    split: str = "all",
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write the codes of images: what the model keeps of them.

    Example: `isthmus encode digits.safetensors mnist --bits 6 --out codes.npz`

    Args:
        model: The model file.
        data: The images: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        out: An .npz with codes, and labels and names where there are any.
        bits: Compress: cut the codes' range into 2^BITS levels (1 to 12), fewer bytes for more loss; without it, they are float32.
        split: train, test or all.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.latents.files import encode_data

    trained = load_model(model, device)
    began = time.perf_counter()
    written = encode_data(trained, open_source(data, data_dir, max_bad), out, bits=bits, split=split, overwrite=overwrite)
    rates = written.rates()
    remark = (
        f"{rates['bytes']:,} bytes: {rates['bits_per_pixel']:.4f} bits per pixel, {rates['bits_per_number']:.3f} bits per number "
        f"of the codes; labels and names take {rates['label_bytes']:,} bytes of them, which the bits leave out"
    )
    return show_rewritten(written, out, time.perf_counter() - began, json, facts=rates, remark=remark)


@app.command
def decode(model: Path, codes: Path, /, *, out: Path, device: str = "auto", overwrite: bool = False, json: bool = False) -> int:
    """Write the images that codes stand for.

    Example: `isthmus decode digits.safetensors codes.npz --out pictures/`

    Args:
        model: The model file that made the codes.
        codes: The .npz of `isthmus encode`.
        out: A folder for PNG pictures, or an .npz.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.latents.files import decode_file

    trained = load_model(model, device)
    began = time.perf_counter()
    written = decode_file(trained, codes, out, overwrite=overwrite)
    return show_rewritten(written, out, time.perf_counter() - began, json)


@app.command
def generate(
    model: Path,
    /,
    *,
    out: Path,
    count: int = 64,
    walk: tuple[Path, Path] | None = None,
    traverse: Path | None = None,
    steps: int = 10,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Invent images like those that a model has learnt from, or walk between two of your own.

    Example: `isthmus generate digits.safetensors --count 64 --out new.png`

    Args:
        model: The model file.
        out: One sheet (a picture, such as new.png), an .npz of images, or a folder of pictures.
        count: How many new images.
        walk: Two pictures: the way from one to the other, through the code.
        traverse: A picture: what it becomes when single numbers of its code change, a row for each of the ten that vary most.
        steps: Images of a walk, or of each row.
        seed: Start of all chance.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.errors import UsageError, printable
    from isthmus.latents import explore
    from isthmus.storage.atomic import check_output

    if walk and traverse:
        raise UsageError("Give either --walk or --traverse, not both.")
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
