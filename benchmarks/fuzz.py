"""Damaged files of all kinds that isthmus reads: nothing may come out but its own errors, or a right result.

    nice python benchmarks/fuzz.py --count 100000 --seed 1 [--originals FOLDER]

Originals are made here: pictures of every format and depth, with metadata and several pages; arrays; model files; requests to
`isthmus serve`. `--originals` adds the files of a folder, up to 32 KB each. Each input is an original with one to four mutations,
most of them in its structure: a PNG's chunks (their checksums made right again), a TIFF's entries, a JPEG's segments, boxes of
AVIF, HEIC, JPEG 2000 and JPEG XL, WebP's chunks, the headers of arrays and of model files; others anywhere.

A picture that is read must be written again, and read again with the same sizes and depth. A finding is any error that is not
isthmus's own, a message of more than a line, a wrong size, an answer 500 from the server, the death of the process, more than 20
seconds (300 for 200 inputs), more than 2 GB. An input depends on seed and number only: `--only 123` does it again, here, and
`--save FILE` keeps it.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import functools
import io
import json
import logging
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import psutil
import tifffile
from PIL import Image

import isthmus
from fuzz_mutations import mutated
from isthmus.datasets.arrays import read_idx, read_npy, read_npz, write_idx
from isthmus.errors import IsthmusError
from isthmus.imaging.arrays import Array, check_values
from isthmus.imaging.picture import FORMATS, decode_picture, encode_picture
from isthmus.model import Model, load

BATCH = 200
HANG_SECONDS, SLOW_SECONDS, MOST_BYTES = 300, 20, 2 << 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--originals", type=Path, help="folder of further originals")
    parser.add_argument("--only", type=int, help="number of one input, to do again")
    parser.add_argument("--save", type=Path, help="where to keep that input")
    options = parser.parse_args()
    if options.only is not None:
        print(json.dumps(batch(options.seed, [options.only], options.originals, options.save)))
        return
    counts: Counter[str] = Counter()
    began, pool = time.perf_counter(), ProcessPoolExecutor(1)
    numbers = list(range(options.start, options.start + options.count))
    waiting = [numbers[place : place + BATCH] for place in range(0, len(numbers), BATCH)]
    while waiting:
        part = waiting.pop(0)
        try:
            found, findings = pool.submit(batch, options.seed, part, options.originals).result()
        except BrokenProcessPool:
            pool = ProcessPoolExecutor(1)
            if len(part) > 1:  # find the one that it died of
                waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
                continue
            found, findings = {"finding": 1}, [{"input": part[0], "finding": "the process died"}]
        counts.update(found)
        for finding in findings:
            print(json.dumps(finding), flush=True)
    pool.shutdown()
    seconds = round(time.perf_counter() - began)
    print(json.dumps({"seed": options.seed, "start": options.start, "inputs": options.count, "seconds": seconds, **counts}))


def batch(
    seed: int, numbers: list[int], folder: Path | None, save: Path | None = None
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return how often each thing happened, and the findings."""
    counts: Counter[str] = Counter()
    findings = []
    logging.disable(logging.CRITICAL)
    names = sorted(originals(folder))
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)  # once: each call costs more than most inputs
    for number in numbers:
        chance = np.random.default_rng((seed, number))
        name = names[chance.integers(len(names))]
        content = mutated(originals(folder)[name], name, chance)
        if save:
            save.write_bytes(content)
        began, before = time.perf_counter(), psutil.Process().memory_info().rss
        try:
            outcome, detail = try_out(name, content)
        except Exception as error:
            outcome, detail = "finding", f"{type(error).__name__}: {error} {''.join(traceback.format_tb(error.__traceback__)[-3:])}"
        seconds, grown = time.perf_counter() - began, psutil.Process().memory_info().rss - before
        if outcome != "finding" and (seconds > SLOW_SECONDS or grown > MOST_BYTES):
            outcome, detail = "finding", f"{seconds:.1f} seconds, {grown:,} bytes"
        counts[outcome] += 1
        if outcome == "finding":
            findings.append({"input": number, "original": name, "finding": detail[:1500]})
    faulthandler.cancel_dump_traceback_later()
    return dict(counts), findings


def try_out(name: str, content: bytes) -> tuple[str, str]:
    """Return what became of an input: "read", "refused" or "finding", and why."""
    try:
        if name.startswith("request"):
            return answered(content)
        if name.endswith(".safetensors"):
            restored = loaded(content).restore(np.full((1, 8, 8), 0.5, np.float32))
            return ("read", "") if np.isfinite(restored).all() else ("finding", "the model gives values that are not finite")
        if name.endswith((".npz", ".npy", "ubyte")):
            return numbers_read(name, content)
        return picture_read(name, content)
    except IsthmusError as error:
        text = str(error)
        return ("refused", "") if text and "\n" not in text and len(text) < 1000 else ("finding", f"odd message: {text!r}")


def picture_read(name: str, content: bytes) -> tuple[str, str]:
    picture = decode_picture(content, name)
    pages = (picture, *picture.pages)
    for page in pages:
        check_values(page.pixels)
        if page.pixels.ndim != 3 or page.pixels.shape[2] not in (1, 3):
            return "finding", f"pixels of shape {page.pixels.shape}"
        if page.alpha is not None and page.alpha.shape != page.pixels.shape[:2]:
            return "finding", f"alpha of shape {page.alpha.shape} and pixels of {page.pixels.shape}"
    if sum(page.pixels.size for page in pages) > 1 << 20:
        return "read", ""
    end = Path(name).suffix if picture.coding.kind != "RAW" else ".tif"
    again = decode_picture(encode_picture(picture.changed_by(lambda images: images), f"again{end}"), f"again{end}")
    shapes = [[page.pixels.shape[:2] for page in (one, *one.pages)] for one in (picture, again)]
    if len(shapes[0]) == len(shapes[1]) and shapes[0] != shapes[1]:
        return "finding", f"{shapes[0]} became {shapes[1]}"
    if len(shapes[0]) != len(shapes[1]) and picture.coding.kind not in ("GIF", "WEBP", "PNG"):  # where like frames are one
        return "finding", f"{len(shapes[0])} pages became {len(shapes[1])}"
    depths = [one.coding.dtype or one.pixels.dtype.name for one in (picture, again)]
    return ("read", "") if depths[0] == depths[1] else ("finding", f"{depths[0]} became {depths[1]}")


def numbers_read(name: str, content: bytes) -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        read: Callable[[Path], Any] = read_npz if name.endswith("npz") else read_npy if name.endswith("npy") else read_idx
        read(path)
        if not name.endswith("ubyte"):
            images = isthmus.open_data(path).read("all").images
            check_values(images)
            if images.ndim != 4:
                return "finding", f"images of shape {images.shape}"
    return "read", ""


def loaded(content: bytes) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(content)
        return load(path, device="cpu")


@functools.cache
def server() -> Any:
    from isthmus.web.app import create_app
    from isthmus.web.model_store import ModelStore

    folder = Path(tempfile.mkdtemp())
    (folder / "tiny.safetensors").write_bytes(tiny_model())
    return create_app(ModelStore([str(folder / "tiny.safetensors")], "cpu"), trainings=folder / "trainings")


def answered(content: bytes) -> tuple[str, str]:
    """Send a request to the application: a line with method, path and type, then the body."""
    line, _, body = content.partition(b"\n")
    method, path, kind = ([part.decode("latin-1") for part in line.split(b" ", 2)] + ["", "", ""])[:3]
    if not method.isalpha() or not path.startswith("/") or not kind.isprintable():
        return "refused", ""  # no client can send it

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(server(), raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, content=body, headers={"content-type": kind.encode("latin-1")})

    try:
        answer = asyncio.run(ask())
    except httpx.InvalidURL:
        return "refused", ""
    if answer.status_code >= 500 and answer.status_code != 503:
        return "finding", f"{answer.status_code}: {answer.text[:300]}"
    return ("read" if answer.is_success else "refused"), ""


# Originals


@functools.cache
def originals(folder: Path | None) -> dict[str, bytes]:
    """Return small files of all kinds by name."""
    files = {**pictures(), **arrays(), "tiny.safetensors": tiny_model()}
    files |= requests(files["rgb8.png"])
    for path in sorted(folder.rglob("*")) if folder else ():
        if path.is_file() and path.suffix.lower() in FORMATS and 0 < path.stat().st_size <= 1 << 15:
            files[f"own-{len(files)}-{path.name}"] = path.read_bytes()
    return files


def pictures() -> dict[str, bytes]:
    y, x = np.mgrid[0:12, 0:16]
    rgb = np.stack([x * 15, y * 20, 255 - x - y], -1).astype(np.uint8)
    alpha = (x * 17).astype(np.uint8)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", 6
    notes: dict[str, Any] = {"exif": exif.tobytes(), "icc_profile": b"a profile" * 20}
    files = {}
    for name, array in {"gray8": rgb[:, :, 0], "rgb8": rgb, "rgba8": np.dstack([rgb, alpha])}.items():
        image = Image.fromarray(array)
        for end in ("png", "tif", "webp", "bmp", "tga", "avif", "gif", "jp2"):
            files[f"{name}.{end}"] = saved(image, end, **(notes if end in ("png", "webp", "avif", "tif") else {}))
        if name != "rgba8":
            files[f"{name}.jpg"] = saved(image, "jpg", **notes, comment=b"hello", xmp=b"<x/>", dpi=(300, 300))
            files[f"{name}.ppm"] = saved(image, "ppm")
        films = {"save_all": True, "append_images": [Image.fromarray(array[::-1]), Image.fromarray(array[:, ::-1])]}
        for end in ("gif", "webp", "png", "tif"):
            files[f"{name}-film.{end}"] = saved(image, end, **films)
        files[f"{name}.jxl"] = bytes(imagecodecs.jpegxl_encode(array, lossless=True))
        deep = array.astype(np.uint16) * 257
        files[f"{name}-16.png"] = bytes(imagecodecs.png_encode(deep))
        files[f"{name}-16.jp2"] = bytes(imagecodecs.jpeg2k_encode(deep, level=0, codecformat="jp2"))
        files[f"{name}-16.jxl"] = bytes(imagecodecs.jpegxl_encode(deep, lossless=True))
        if name != "gray8":
            files[f"{name}-10.avif"] = bytes(imagecodecs.avif_encode(deep >> 6, level=90, bitspersample=10))
    for mode in ("1", "P", "CMYK", "LAB", "YCbCr", "LA"):
        end = "png" if mode == "LA" else "jpg" if mode == "YCbCr" else "tif"
        files[f"{mode}.{end}"] = saved(Image.fromarray(rgb).convert(mode), end)
    files["P.png"], files["1.png"] = (saved(Image.fromarray(rgb).convert(mode), "png") for mode in ("P", "1"))
    files["progressive.jpg"] = saved(Image.fromarray(rgb), "jpg", progressive=True, subsampling=2)
    files["12.jpg"] = bytes(imagecodecs.jpeg_encode(rgb.astype(np.uint16) * 16, level=95, bitspersample=12))
    files["16.ppm"] = b"P6 16 12 65535\n" + (rgb.astype(">u2") * 257).tobytes()
    return files | tiffs(rgb) | heics(rgb, alpha)


def tiffs(rgb: Array) -> dict[str, bytes]:
    files = {}
    for kind in ("uint16", "int16", "uint32", "float16", "float32", "float64"):
        files[f"{kind}.tif"] = in_tiff(rgb.astype(kind) / (255 if kind.startswith("float") else 1), photometric="rgb")
    for compression in ("lzw", "deflate", "packbits", "lzma", "zstd", "jpeg", "webp", "png", "lerc", "jpeg2000"):
        files[f"{compression}.tif"] = in_tiff(rgb, photometric="rgb", compression=compression)
    files["planar.tif"] = in_tiff(np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
    files["tiled.tif"] = in_tiff(rgb, photometric="rgb", tile=(16, 16), compression="lzw", predictor=True)
    files["big.tif"] = in_tiff(rgb, photometric="rgb", bigtiff=True, description="a scan", resolution=(300, 300))
    files["motorola.tif"] = in_tiff(rgb[:, :, 0].astype(np.uint16), byteorder=">", photometric="miniswhite")
    files["12.tif"] = in_tiff(rgb[:, :, 0].astype(np.uint16) * 16, bitspersample=12)
    premultiplied = np.dstack([rgb, rgb[:, :, 0]])
    files["premultiplied.tif"] = in_tiff(premultiplied, photometric="rgb", extrasamples=["assocalpha"])
    files["bands.tif"] = in_tiff(premultiplied, photometric="rgb", extrasamples=["unspecified"])
    geo = [(33550, 12, 3, (2.0, 2.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 1.0, 2.0, 0.0), True), (315, 2, 4, b"Zoe\0", True)]
    files["notes.tif"] = in_tiff(rgb, photometric="rgb", extratags=geo, description="a map")
    return files


def heics(rgb: Array, alpha: Array) -> dict[str, bytes]:
    try:
        import pillow_heif
    except ImportError:
        return {}
    files = {}
    for name, array, mode in (
        ("rgb8", rgb, "RGB"),
        ("rgba8", np.dstack([rgb, alpha]), "RGBA"),
        ("rgb10", rgb.astype(np.uint16) * 257, "RGB;16"),
    ):
        out = io.BytesIO()
        pillow_heif.from_bytes(mode, (array.shape[1], array.shape[0]), array.tobytes()).save(out, quality=80)
        files[f"{name}.heic"] = out.getvalue()
    return files


def saved(image: Image.Image, end: str, **options: Any) -> bytes:
    kind = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}.get(end, end.upper())
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def in_tiff(array: Array, **options: Any) -> bytes:
    out = io.BytesIO()
    how = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
    tifffile.imwrite(out, array, **how, **options)
    return out.getvalue()


def arrays() -> dict[str, bytes]:
    images = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    files = {}
    out = io.BytesIO()
    np.save(out, images)
    files["images.npy"] = out.getvalue()
    for name, write in {"plain.npz": np.savez, "packed.npz": np.savez_compressed}.items():
        out = io.BytesIO()
        write(out, x_train=images, y_train=np.arange(3), x_test=images / np.float32(255), y_test=np.arange(3))
        files[name] = out.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("images-idx3-ubyte", "packed-idx3-ubyte.gz"):
            write_idx(Path(folder, name), images)
            files[name.replace(".gz", ".gz-ubyte")] = Path(folder, name).read_bytes()
    return files


@functools.cache
def tiny_model() -> bytes:
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8)).astype(np.uint8)
    return isthmus.train(images, model="dense", hidden=(4,), code=2, epochs=1, device="cpu", progress=False).to_bytes()


def requests(png: bytes) -> dict[str, bytes]:
    edge = b"edge"

    def form(**fields: bytes) -> bytes:
        parts = [
            b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
            % (name.encode(), b'; filename="a.png"\r\nContent-Type: image/png' if name in ("image", "mask") else b"", value)
            for name, value in fields.items()
        ]
        return b"".join(parts) + b"--edge--\r\n"

    out = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(out, "PNG")
    small = out.getvalue()
    multipart, plain = b"multipart/form-data; boundary=" + edge, b"application/json"
    return {
        "request-restore": b"POST /api/restore " + multipart + b"\n" + form(image=small, model=b"tiny", strength=b"0.5"),
        "request-restore-odd": b"POST /api/restore " + multipart + b"\n" + form(image=png, model=b"tiny", self_ensemble=b"true"),
        "request-preview": b"POST /api/preview " + multipart + b"\n" + form(image=png),
        "request-encode": b"POST /api/encode " + multipart + b"\n" + form(image=png, model=b"tiny"),
        "request-decode": b"POST /api/decode " + plain + b"\n" + json.dumps({"model": "tiny", "codes": [[0.5, 1.0]]}).encode(),
        "request-generate": b"POST /api/generate " + plain + b'\n{"model": "tiny", "count": 2, "seed": 3}',
        "request-models": b"GET /api/models " + plain + b"\n",
    }


if __name__ == "__main__":
    main()
