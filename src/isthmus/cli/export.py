"""The commands that export a model, upload it, or download one: `export`, `push`, `pull`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.app import DataDir, Json, ModelName, Overwrite, load_model, show
from isthmus.errors import UsageError, printable


def export(
    model: ModelName,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The file to write: NAME.onnx.")] = None,
    web: Annotated[Path | None, Parameter(help="Instead: a folder for a static page that restores photos in a browser.")] = None,
    images: Annotated[str | None, Parameter(help="DATA to compare on, like the training set; by default, a photo.")] = None,
    quantize: Annotated[str | None, Parameter(help="int8: also write and measure NAME.int8.onnx, a quarter the size.")] = None,
    data_dir: DataDir = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Export a model to ONNX, or to a web page that needs no server.

    Example: `isthmus export scans.safetensors --out scans.onnx`

    Also writes NAME.encoder.onnx and, where codes alone give images, NAME.decoder.onnx. isthmus compares each with the model on
    real images, and writes nothing if a value differs by more than 0.0001. The page needs npm, which downloads its runtime.
    """
    from isthmus.export.onnx import export_onnx as write

    if (out is None) == (web is None):
        raise UsageError("Pass either --out NAME.onnx or --web FOLDER.")
    if web is not None:
        from isthmus.web.static_page import export_page

        files = export_page(load_model(model, "cpu"), web, model.stem, overwrite=overwrite)
        show({"web": printable(str(web)), "files": len(files)}, f"{printable(str(web))}/index.html: serve that folder", json)
        return 0
    assert out is not None
    result = write(load_model(model, "cpu"), out, images, quantize=quantize or "", data_dir=data_dir, overwrite=overwrite).to_json()
    lines = [
        f"{part['path']}: the {part['name']}, {part['bytes']:,} bytes, within {part['largest_difference']:.1g} of the model"
        for part in result["parts"]
    ]
    few = result["quantized"]
    if few:
        lost = "" if few["psnr_db"] is None else f"{few['psnr_db']:.2f} dB instead of {few['psnr_db_float']:.2f}, "
        lines.append(
            f"{few['path']}: all of it in 8 bits, {few['bytes']:,} bytes, {lost}"
            f"{few['agreement_db']:.1f} dB from the float output, {few['speedup']:.1f} times as fast"
        )
    show(result, "\n".join([*lines, f"Compared on {result['compared_on']}."]), json)
    return 0


def push(
    model: ModelName,
    name: Annotated[str, Parameter(name="NAME", help="Its name there: OWNER/NAME.")],
    /,
    *,
    private: Annotated[bool, Parameter(help="Create a private repository.", show_default=False)] = False,
    json: Json = False,
) -> int:
    """Upload a model to Hugging Face Hub, with a model card.

    Example: `isthmus push scans.safetensors anna/scans`
    """
    from isthmus.export.hub import push as send

    address = send(load_model(model, "cpu"), name, private=private)
    show({"name": name, "address": address}, address, json)
    return 0


def pull(
    name: Annotated[str, Parameter(name="NAME", help="Its name there: OWNER/NAME.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The file to write: NAME.safetensors.")],
    revision: Annotated[str, Parameter(help="A branch, a tag or a commit.")] = "main",
    overwrite: Overwrite = False,
    json: Json = False,
) -> int:
    """Download a model from Hugging Face Hub.

    Example: `isthmus pull anna/scans --out scans.safetensors`
    """
    from isthmus.export.hub import pull as fetch

    model = fetch(name, out, revision=revision, overwrite=overwrite)
    result = {"out": printable(str(out)), "task": model.recipe.task, "parameters": model.num_parameters}
    show(result, f"{result['out']}: {model.recipe.task}, {model.num_parameters:,} parameters", json)
    return 0
