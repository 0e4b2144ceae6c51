"""The commands that carry a model elsewhere, or fetch one: `export`, `push`, `pull`."""

from __future__ import annotations

from pathlib import Path

from isthmus.cli.app import app, load_model, show
from isthmus.errors import UsageError, printable


@app.command
def export(
    model: Path,
    /,
    *,
    out: Path | None = None,
    web: Path | None = None,
    images: str | None = None,
    quantize: str = "",
    data_dir: Path | None = None,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Write a model as ONNX, which runs without isthmus and without PyTorch; or as a page, which runs without any server.

    Example: `isthmus export scans.safetensors --out scans.onnx`

    Beside it come NAME.encoder.onnx and, where codes alone are images, NAME.decoder.onnx. Each is compared with the model on real
    images: where a value is off by more than 0.0001, nothing is written.

    Args:
        model: The model file, or the name of a model that ships.
        out: Where to: NAME.onnx.
        web: Instead: a folder for a static page on which a visitor's browser restores photographs; npm fetches its runtime.
        images: DATA to compare on, like those learnt from; without, a photograph.
        quantize: int8: also write NAME.int8.onnx, a quarter as large, and measure what it loses and how much faster it is.
        data_dir: Folder that holds named data sets.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.export.onnx import export as write

    if (out is None) == (web is None):
        raise UsageError("Give either --out NAME.onnx or --web FOLDER.")
    if web is not None:
        from isthmus.web.static_page import export_page

        files = export_page(load_model(model, "cpu"), web, model.stem, overwrite=overwrite)
        show({"web": printable(str(web)), "files": len(files)}, f"{printable(str(web))}/index.html: serve that folder", json)
        return 0
    assert out is not None
    result = write(load_model(model, "cpu"), out, images, quantize=quantize, data_dir=data_dir, overwrite=overwrite).to_json()
    lines = [
        f"{part['path']}: the {part['name']}, {part['bytes']:,} bytes, within {part['largest_difference']:.1g} of the model"
        for part in result["parts"]
    ]
    few = result["quantized"]
    if few:
        lost = "" if few["psnr_db"] is None else f"{few['psnr_db']:.2f} dB instead of {few['psnr_db_float']:.2f}, "
        lines.append(
            f"{few['path']}: the whole in 8 bits, {few['bytes']:,} bytes, {lost}"
            f"{few['agreement_db']:.1f} dB from the floats' images, {few['speedup']:.1f} times as fast"
        )
    show(result, "\n".join([*lines, f"Compared on {result['compared_on']}."]), json)
    return 0


@app.command
def push(model: Path, name: str, /, *, private: bool = False, json: bool = False) -> int:
    """Send a model to a hub, with a card that says what it is.

    Example: `isthmus push scans.safetensors anna/scans`

    Args:
        model: The model file.
        name: What it is called there: OWNER/NAME.
        private: Let nobody else see it.
        json: Print the result as one JSON object.
    """
    from isthmus.export.hub import push as send

    address = send(load_model(model, "cpu"), name, private=private)
    show({"name": name, "address": address}, address, json)
    return 0


@app.command
def pull(name: str, /, *, out: Path, revision: str = "main", overwrite: bool = False, json: bool = False) -> int:
    """Fetch a model from a hub.

    Example: `isthmus pull anna/scans --out scans.safetensors`

    Args:
        name: What it is called there: OWNER/NAME.
        out: Where to: NAME.safetensors.
        revision: Which version: a branch, a tag or a commit.
        overwrite: Replace what is there.
        json: Print the result as one JSON object.
    """
    from isthmus.export.hub import pull as fetch

    model = fetch(name, out, revision=revision, overwrite=overwrite)
    result = {"out": printable(str(out)), "task": model.recipe.task, "parameters": model.parameters()}
    show(result, f"{result['out']}: {model.recipe.task}, {model.parameters():,} parameters", json)
    return 0
