"""The commands that put a model to work: `restore`, `encode`, `decode`."""

from __future__ import annotations

import time
from pathlib import Path

from isthmus.cli.app import MAX_BAD, Data, app, load_model, open_source, show_rewritten


@app.command
def restore(
    model: Path,
    data: Data,
    /,
    *,
    out: Path,
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Undo what a model has learnt to undo: write the same images again, without it.

    Example: `isthmus restore scans.safetensors noisy/ --out clean/`

    As many images come out as go in, of the same size, type and order, with the same names and labels.

    Args:
        model: The model file.
        data: What to restore: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        out: Where to; the same kind as DATA.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing more is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
        quiet: No remarks.
    """
    trained = load_model(model, device)
    began = time.perf_counter()
    rewritten = open_source(data, data_dir, max_bad).rewrite(out, trained.restore, overwrite=overwrite)
    return show_rewritten(rewritten, out, time.perf_counter() - began, json, quiet)


@app.command
def encode(
    model: Path,
    data: Data,
    /,
    *,
    out: Path,
    split: str = "all",
    data_dir: Path | None = None,
    max_bad: float = MAX_BAD,
    device: str = "auto",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write the codes of images: what the model keeps of them.

    Example: `isthmus encode digits.safetensors mnist --out codes.npz`

    Args:
        model: The model file.
        data: The images: a picture, a folder, .npz, .npy, an IDX file or folder, or a name.
        out: An .npz with codes, and labels and names where there are any.
        split: train, test or all.
        data_dir: Folder that holds named data sets.
        max_bad: Share of unreadable pictures above which nothing is done; fewer are skipped and named.
        device: auto, cpu, cuda or mps.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.coding import encode_data

    trained = load_model(model, device)
    began = time.perf_counter()
    written = encode_data(trained, open_source(data, data_dir, max_bad), out, split=split, overwrite=overwrite)
    return show_rewritten(written, out, time.perf_counter() - began, json)


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
    from isthmus.coding import decode_file

    trained = load_model(model, device)
    began = time.perf_counter()
    written = decode_file(trained, codes, out, overwrite=overwrite)
    return show_rewritten(written, out, time.perf_counter() - began, json)
