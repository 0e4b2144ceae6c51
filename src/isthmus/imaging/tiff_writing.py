"""TIFF, written: all pages, in the coding and with the notes of the file that they came from. The other half of tiff.py."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np

from isthmus.imaging import notes
from isthmus.imaging.arrays import Array, from_unit, to_unit
from isthmus.imaging.color import rgb_to_cmyk, rgb_to_lab
from isthmus.imaging.content import Coding, Picture, to_bits
from isthmus.imaging.tiff import LOSSLESS, NOTES, OF_A_CAMERA, PREMULTIPLIED, STRAIGHT, XMP


def write_tiff(picture: Picture, quality: int = 0) -> bytes:
    """Return all pages of a picture as a TIFF, in its source's coding where that was one.

    Args:
        picture: What to write.
        quality: From 1 to 100, for JPEG in TIFF; 0 for the source's.
    """
    import tifffile

    out = io.BytesIO()
    pages = (picture, *picture.pages)
    options = picture.coding.options if picture.coding.kind == "TIFF" else {}
    order = options.get("order", "<")
    if not options and picture.exif:
        order = notes.open_exif(picture.exif)[1]
    nested: list[dict[int, notes.Directory]] = []
    large = options.get("bigtiff", False) or sum(page.pixels.nbytes for page in pages) > 3 << 30
    with tifffile.TiffWriter(out, bigtiff=large, byteorder=order) as file:
        for page in pages:
            array, how = _coded(page, quality)
            extra, described, inner = _tags(page, order)
            nested.append(inner)
            kind = page.coding.options.get("page", 0) if page.coding.kind == "TIFF" else 0
            file.write(array, **how, **described, extratags=extra, metadata=None, contiguous=False, subfiletype=kind)
    return notes.with_nested(out.getvalue(), nested, order, big=large)


def _coded(picture: Picture, quality: int) -> tuple[Array, dict[str, Any]]:
    """Return the values as they are stored, and how."""
    coding = picture.coding
    options = coding.options if coding.kind == "TIFF" else {}
    pixels, how = picture.pixels, dict[str, Any](photometric="rgb" if picture.pixels.shape[2] == 3 else "minisblack")
    if coding.premultiplied and picture.alpha is not None:
        pixels = from_unit(to_unit(pixels) * to_unit(picture.alpha)[:, :, None], pixels.dtype)
    if options.get("white_is_zero") and pixels.shape[2] == 1:
        pixels = 1 - pixels if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max - pixels
        how["photometric"] = "miniswhite"
    if coding.model == "CMYK" and pixels.shape[2] == 3 and picture.black is not None:
        pixels, how["photometric"] = rgb_to_cmyk(pixels, picture.black), "separated"
    if coding.model == "LAB" and pixels.shape[2] == 3 and options:
        signed = options.get("signed_lab", True)
        pixels, how["photometric"] = rgb_to_lab(pixels, signed=signed), "cielab" if signed else "icclab"
    sides, kinds = _sides(picture, options.get("beside"))
    values = np.dstack([pixels, *sides]) if sides else pixels
    if pixels.dtype.kind == "f" and coding.dtype:
        values = _from_unit_range(values, pixels.shape[2], coding)
    if sides:
        how["extrasamples"] = kinds
    if coding.bits and values.dtype == np.uint16:
        values, how["bitspersample"] = to_bits(values, coding.bits), coding.bits
    if values.shape[2] == 1:
        values = values[:, :, 0]
    else:
        how["planarconfig"] = "contig"
    return np.ascontiguousarray(values), how | _compression(values, options, how, quality)


def _sides(picture: Picture, kinds: tuple[int, ...] | None) -> tuple[list[Array], tuple[int, ...]]:
    """Return what lies beside a picture's colors, each plane and its kind, in the file's order; else alpha is the last."""
    bands = [] if picture.bands is None else list(np.moveaxis(picture.bands, -1, 0))
    own = () if picture.alpha is None else (PREMULTIPLIED if picture.coding.premultiplied else STRAIGHT,)
    kinds = (0,) * len(bands) + own if kinds is None else kinds
    place = next((place for place, kind in enumerate(kinds) if kind in (PREMULTIPLIED, STRAIGHT)), len(kinds))
    return bands[:place] + ([] if picture.alpha is None else [picture.alpha]) + bands[place:], kinds


def _from_unit_range(values: Array, colors: int, coding: Coding) -> Array:
    dtype = np.dtype(coding.dtype)
    wide = values.astype(np.float64)
    wide[:, :, :colors] = wide[:, :, :colors] * coding.span + coding.low
    if dtype.kind == "f":
        return wide.astype(dtype)
    ends = np.iinfo(dtype)
    wide[:, :, colors:] *= ends.max
    return np.rint(wide).clip(ends.min, ends.max).astype(dtype)


def _compression(values: Array, options: Any, how: dict[str, Any], quality: int) -> dict[str, Any]:
    number = options.get("compression", 8)
    if number == 7 and values.dtype == np.uint8 and how["photometric"] in ("rgb", "minisblack") and "extrasamples" not in how:
        arguments = {"level": quality or max(75, options["quality"]), "outcolorspace": 6 if options["ycbcr"] else 2}
        coded: dict[str, Any] = {"compression": "jpeg", "compressionargs": arguments}
        if how["photometric"] == "rgb":
            coded["subsampling"] = (options["subsampling"] or (2, 2)) if options["ycbcr"] else (1, 1)
        else:
            del arguments["outcolorspace"]
        return coded
    if number == 1 or "bitspersample" in how:  # packed values are not compressed
        return {}
    name = LOSSLESS.get(number, "adobe_deflate")
    predictor = options.get("predictor", False) and name in ("lzw", "adobe_deflate", "zstd", "lzma")
    return {"compression": name, "predictor": predictor and values.dtype.kind in "uif"}


def _tags(picture: Picture, order: str) -> tuple[list[Any], dict[str, Any], dict[int, notes.Directory]]:
    """Return (further tags, what the writer takes by name, further directories) of a picture's notes."""
    directory, own = notes.open_exif(picture.exif) if picture.exif else ({}, order)
    from_tiff = picture.coding.kind == "TIFF"
    directory = notes.only(directory, NOTES if from_tiff else OF_A_CAMERA) if own == order else {}
    directory = notes.geo_scaled(directory, picture.coding.size, picture.pixels.shape[:2], order)
    nested = {tag: entry for tag, entry in directory.items() if isinstance(entry, dict)}
    for entry in nested.values():
        for tag, side in ((notes.EXIF_HEIGHT, 0), (notes.EXIF_WIDTH, 1)):
            if tag in entry:
                entry[tag] = (4, struct.pack(order + "I", picture.pixels.shape[side]))
    plain = {tag: entry for tag, entry in directory.items() if isinstance(entry, tuple)}
    described: dict[str, Any] = {"software": False, "iccprofile": picture.icc_profile}
    if 270 in plain:
        described["description"] = plain.pop(270)[1].rstrip(b"\0")
    if 305 in plain:
        described["software"] = plain.pop(305)[1].rstrip(b"\0")
    if picture.resolution:
        unit = picture.coding.options.get("unit", 2) if from_tiff else 2
        ratio = 2.54 if unit == 3 else 1.0
        described |= {"resolution": tuple(side / ratio for side in picture.resolution), "resolutionunit": unit}
    if picture.xmp:
        plain[XMP] = (1, picture.xmp)
    extra: list[Any] = []
    for tag, (kind, raw) in plain.items():
        count = len(raw) // notes.TYPE_BYTES[kind]
        fractions = {5: "I", 10: "i"}.get(kind)  # of which tifffile counts packed ones twice
        value = struct.unpack(f"{order}{2 * count}{fractions}", raw) if fractions else raw
        extra.append((tag, kind, count, value, True))
    return extra, described, nested
