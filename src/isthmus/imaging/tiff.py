"""TIFF: all pages, in every depth and color model, written again with the notes and the coding of the file.

tifffile reads and writes the structure, imagecodecs the pixels. Tags that describe the layout belong to the old file and are never
written again; notes are, byte for byte. Source: TIFF 6.0 (1992); TIFF Technical Note 1 to 3; GeoTIFF 1.1 (2019).
"""

from __future__ import annotations

import dataclasses
import io
import struct
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from isthmus.errors import DataError, one_line
from isthmus.imaging import notes
from isthmus.imaging.arrays import Array, check_values, from_unit, to_unit
from isthmus.imaging.color import beyond_srgb, cmyk_to_rgb, lab_to_rgb, rgb_to_cmyk, rgb_to_lab, ycbcr_to_rgb
from isthmus.imaging.content import (
    MAX_PAGES,
    MAX_PIXELS,
    TOO_LARGE,
    Coding,
    Picture,
    check_size,
    fewer_bits,
    to_bits,
    to_full_range,
    upright_picture,
)

if TYPE_CHECKING:
    from tifffile import TiffPage

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, SEPARATED, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
COLORS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, MASK: 1, SEPARATED: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}
"""Values of a pixel that are its color, for each of the color models that are read."""

PREMULTIPLIED, STRAIGHT = 1, 2
"""What a further value of a pixel is, where it is alpha."""

XMP, IPTC, PHOTOSHOP, ICC = 700, 33723, 34377, 34675
NOTES = frozenset((
    269, 270, 271, 272, 285, 286, 287, 305, 306, 315, 316, 318, 319, 333, 337, 18246, 18249, 33432, *range(40091, 40096), 42112,
    42113, 50708, 50709, 50735, 50736, 50827, 65000, XMP, IPTC, PHOTOSHOP, notes.EXIF_IFD, notes.GPS_IFD, *notes.GEO,
))  # fmt: skip
"""Tags that say something about the picture, not about how it lies in the file."""

LAYOUT = frozenset((
    *range(254, 260), *range(262, 267), 273, 274, *range(277, 285), *range(288, 294), 296, 297, 317, *range(320, 329), 330, 332,
    334, *range(336, 344), 346, 347, 351, *range(512, 522), *range(529, 533), *range(32995, 32999), ICC,
))  # fmt: skip
"""Tags that say how the pixels lie in the file."""

PAGE = 2
"""The kind of directory that is one page of several."""

OF_A_CAMERA = frozenset((
    270, 271, 272, 305, 306, 315, 316, 33432, *range(40091, 40096), notes.EXIF_IFD, notes.GPS_IFD,
))  # fmt: skip
"""Those of them that EXIF has in other formats, too."""

MOST_NAMED = 8
"""Tags that are named when they do not come back."""

LOSSLESS = {5: "lzw", 8: "adobe_deflate", 32946: "adobe_deflate", 32773: "packbits", 34925: "lzma", 50000: "zstd"}
OLD_JPEG = 6

LOSSY = {7: "jpeg"}
"""Compressions that are written again, by their number in the file; for others, deflate is taken."""

YCBCR_WHATEVER = (33003, 33004)
"""JPEG 2000 as Aperio and libvips write it: its colors are YCbCr, though the tags say RGB."""

FILLED_UP = (6, 7, 22610, 34892, 34933, 34934)
"""Compressions, JPEG and JPEG XR, whose decoders fill up what is missing."""


def read_tiff(content: bytes) -> Picture:
    """Return all pages of a TIFF; thumbnails and masks beside a page are left out."""
    import tifffile

    pages: list[Picture] = []
    left_out = pixels = 0
    seen, told = set[int](), tuple[str, ...]()
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        for place, page in enumerate(file.pages):
            if place >= MAX_PAGES:
                raise DataError(f"the file has more than {MAX_PAGES:,} pages: split it.")
            page = page if isinstance(page, tifffile.TiffPage) else page.aspage()
            if page.offset in seen:
                told = ("its list of pages leads back to itself, and ends there.",)
                break
            seen.add(page.offset)
            notes.check_directory(content, page.offset, file.byteorder, big=file.is_bigtiff)
            if place and page.subfiletype & 5:  # a smaller copy, or a mask of the page before it
                left_out += 1
                continue
            if not (isinstance(page.imagelength, int) and isinstance(page.imagewidth, int)):  # a tag may hold many numbers
                raise DataError("a TIFF whose size is not two numbers is damaged.")
            check_size(page.imagelength, page.imagewidth)
            pixels += page.imagelength * page.imagewidth
            if pixels > MAX_PIXELS:
                raise DataError(TOO_LARGE)
            pages.append(_read_page(page, content, file.byteorder, file.is_bigtiff))
    if not pages:
        raise DataError("a TIFF without a page holds no picture.")
    remarks = tuple(dict.fromkeys(remark for page in pages for remark in page.remarks))
    remarks += told
    if left_out:
        remarks += (f"its thumbnails and masks do not come back: {left_out}.",)
    return dataclasses.replace(pages[0], pages=tuple(pages[1:]), remarks=remarks)


def _read_page(page: TiffPage, content: bytes, order: str, big: bool) -> Picture:
    """Return one page as a picture."""
    photometric, bits = int(page.photometric or 0), page.bitspersample
    _check_segments(page, len(content))
    if photometric not in COLORS:
        name = getattr(page.photometric, "name", page.photometric)
        raise DataError(f"a TIFF whose color model is {name} is not read: save it as RGB or gray.")
    if page.imagedepth > 1 or not isinstance(bits, int) or page.dtype is None or page.dtype.kind == "c":
        raise DataError(
            f"a TIFF of {one_line(bits)} bits of type {page.dtype} and depth {page.imagedepth} is neither gray nor RGB."
        )
    if photometric == YCBCR and page.compression == 1 and page.subsampling not in (None, (1, 1)):
        array, bits = _by_libtiff(content, page.index), 8
        photometric = RGB
    else:
        array = _values(page)
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            array = np.moveaxis(array, 0, -1)
    if photometric == RGB and page.compression in YCBCR_WHATEVER:
        photometric = YCBCR
    array = array.reshape(page.imagelength, page.imagewidth, -1)
    colors = COLORS[photometric]
    if photometric == SEPARATED and array.shape[2] < 4:
        raise DataError(f"a TIFF of {array.shape[2]} inks is not read: save it as RGB.")
    if array.shape[2] < colors:
        raise DataError(f"a TIFF of {array.shape[2]} values a pixel is no {colors}-colored picture.")
    kinds = tuple(int(kind) for kind in page.extrasamples)[: array.shape[2] - colors]
    if not kinds and photometric == RGB and array.shape[2] == 4:  # what it is, is not told: programs take it for alpha
        kinds = (STRAIGHT,)
    kinds += (0,) * (array.shape[2] - colors - len(kinds))
    if colors == 1 and photometric != PALETTE and len([kind for kind in kinds if not kind]) > 1:
        raise DataError(f"a picture of {array.shape[2]} bands is neither gray nor RGB: save the bands one by one.")
    color, beside = array[:, :, :colors], array[:, :, colors:]
    tags = notes.read_directory(content, page.offset, order, big=big)
    picture = _to_rgb(page, color, beside, kinds, photometric, bits)
    coding = dataclasses.replace(
        picture.coding, kind="TIFF", options={**picture.coding.options, **_options(page, content, tags, order, big, kinds)}
    )
    kept = notes.only(tags, NOTES)
    lost = [_name_of(tag) for tag in sorted(set(tags) - NOTES - LAYOUT)]
    if lost:
        told = f"what its tags {', '.join(lost[:MOST_NAMED])} say does not come back"
        more = f", and {len(lost) - MOST_NAMED} more." if len(lost) > MOST_NAMED else "."
        picture = dataclasses.replace(picture, remarks=(*picture.remarks, told + more))
    xmp, icc = kept.pop(XMP, None), tags.get(ICC)
    orientation = page.tags.valueof(274, 1)
    picture = dataclasses.replace(
        picture,
        coding=coding,
        icc_profile=icc[1] if isinstance(icc, tuple) else None,
        xmp=xmp[1] if isinstance(xmp, tuple) else None,
        exif=notes.pack_exif(kept, order) if kept else None,
        resolution=_resolution(page),
    )
    picture = upright_picture(picture, int(orientation) if isinstance(orientation, int) else 1)
    return dataclasses.replace(picture, coding=dataclasses.replace(picture.coding, size=picture.pixels.shape[:2]))


def _name_of(tag: int) -> str:
    import tifffile

    return tifffile.TIFF.TAGS.get(tag, str(tag))


def _check_segments(page: TiffPage, length: int) -> None:
    """Refuse a page that lacks strips or tiles, or whose coder fills up what lies beyond the file's end."""
    there, wanted = len(page.dataoffsets), int(np.prod(page.chunked))
    if there < wanted:
        raise DataError(f"the picture is cut off: it holds {there:,} of {wanted:,} strips or tiles.")
    last = max((at + size for at, size in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
    if last > length and page.compression in FILLED_UP:
        raise DataError(notes.CUT_OFF % (f"{length:,}", f"at least {last:,}"))


def _to_rgb(page: TiffPage, color: Array, beside: Array, kinds: tuple[int, ...], photometric: int, bits: int) -> Picture:
    """Return a page's values as gray or RGB, with what is needed to go back."""
    remarks: tuple[str, ...] = ()
    coding, color_bits = Coding(), bits
    black = None
    if photometric == PALETTE:
        if page.colormap is None or np.ndim(page.colormap) != 2 or len(page.colormap) != 3:
            raise DataError("a TIFF of a palette lacks its colors.")
        table = np.asarray(page.colormap, np.uint16).T
        if not (table & 255).any() or not (table % 257).any():
            table = (table >> 8).astype(np.uint8)
        color, color_bits = table[np.minimum(color[:, :, 0], len(table) - 1)], 8 * table.itemsize
        remarks += ("its palette becomes RGB.",)
    elif color.dtype.kind == "b" or bits < 8:
        bits = 1 if color.dtype.kind == "b" else bits
        color = to_full_range(color.astype(np.uint8), bits)
        remarks += (fewer_bits(bits),)
    if color.dtype.kind == "f" or color.dtype.kind == "i" or color.dtype.itemsize > 2:
        color, coding, more = _in_unit(color, photometric)
        remarks += more
    elif color_bits > 8:
        color, coding = to_full_range(color, color_bits), dataclasses.replace(coding, bits=color_bits if color_bits < 16 else 0)
    if photometric == WHITE_IS_ZERO:
        color = 1 - color if color.dtype.kind == "f" else np.iinfo(color.dtype).max - color
    elif photometric == SEPARATED:
        coding = dataclasses.replace(coding, model="CMYK")
        color, black = cmyk_to_rgb(color)
    elif photometric in (CIELAB, ICCLAB):
        if color.dtype not in (np.uint8, np.uint16):
            raise DataError(f"a LAB TIFF of {color.dtype} is not read: save it as RGB.")
        coding = dataclasses.replace(coding, model="LAB")
        stored, signed = color, photometric == CIELAB
        color = lab_to_rgb(stored, signed=signed)
        if beyond_srgb(stored, color, signed=signed):
            remarks += ("its colors that sRGB lacks come back as others that it has.",)
    elif photometric == YCBCR and page.compression not in (6, 7):
        color = ycbcr_to_rgb(color)
        remarks += ("its YCbCr becomes RGB.",)
    alpha = next((place for place, kind in enumerate(kinds) if kind in (PREMULTIPLIED, STRAIGHT)), None)
    rest = [place for place in range(len(kinds)) if place != alpha]
    if rest:
        remarks += (f"further values of each pixel come back as they are: {len(rest)}.",)
    sides = _beside(beside, bits, color.dtype) if len(kinds) else beside
    plane = None if alpha is None else np.ascontiguousarray(sides[:, :, alpha])
    if plane is not None and kinds[cast(int, alpha)] == PREMULTIPLIED:
        unit = to_unit(plane)[:, :, None]
        straight = np.divide(to_unit(color), unit, out=np.zeros(color.shape, np.float32), where=unit > 0)
        color, coding = from_unit(straight.clip(0, 1), color.dtype), dataclasses.replace(coding, premultiplied=True)
    options = {"white_is_zero": photometric == WHITE_IS_ZERO, "signed_lab": photometric == CIELAB}
    return Picture(
        pixels=np.ascontiguousarray(color),
        alpha=plane,
        bands=sides[:, :, rest] if rest else None,
        black=black,
        coding=dataclasses.replace(coding, options=options),
        remarks=remarks,
    )


def _beside(values: Array, bits: int, dtype: np.dtype[Any]) -> Array:
    """Return alpha and further values in the colors' type."""
    if values.dtype.kind == "f":
        return from_unit(np.clip(np.nan_to_num(values), 0, 1), dtype)
    full = to_full_range(values, bits) if bits <= 16 and values.dtype.kind == "u" else values
    return from_unit(to_unit(full).clip(0, 1), dtype)


def _in_unit(color: Array, photometric: int) -> tuple[Array, Coding, tuple[str, ...]]:
    """Return floats and long or signed numbers as float32 in [0, 1], and how to go back."""
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise DataError(f"a TIFF of {color.dtype} that is neither gray nor RGB is not read: save it as RGB.")
    if color.dtype.kind == "f" and not np.isfinite(color).all():
        check_values(color)
    low, high = float(color.min()), float(color.max())
    if color.dtype.kind != "f" and high - low >= 1 << 24:
        raise DataError(f"a TIFF of {color.dtype} from {low:.0f} to {high:.0f} is deeper than is computed: save it as 16 bits.")
    if color.dtype.kind == "f":
        low, high = min(low, 0.0), max(high, 1.0)
    span = high - low if high > low else 1.0
    told = (f"its values from {low:.4g} to {high:.4g} were scaled to [0, 1], and back.",) if (low, high) != (0, 1) else ()
    coding = Coding(dtype=color.dtype.name, low=low, span=span)
    if (low, span) == (0, 1):
        return color.astype(np.float32), coding, told
    return ((color.astype(np.float64) - low) / span).astype(np.float32), coding, told


def _values(page: TiffPage) -> Array:
    try:
        array: Array = page.asarray()
    except Exception:
        if page.compression == OLD_JPEG:
            raise DataError("a TIFF that holds JPEG in the way that was given up in 1995 is not read: save it as a PNG.") from None
        raise
    return array


def _by_libtiff(content: bytes, page: int) -> Array:
    with Image.open(io.BytesIO(content), formats=["TIFF"]) as image:
        image.seek(page)
        return np.asarray(image.convert("RGB"))


def _options(
    page: TiffPage, content: bytes, tags: notes.Directory, order: str, big: bool, kinds: tuple[int, ...]
) -> dict[str, Any]:
    """Return the file's coding, for `write_tiff`."""
    options: dict[str, Any] = {"compression": int(page.compression), "predictor": int(page.predictor) > 1}
    options |= {"order": order, "bigtiff": big, "beside": kinds}
    options |= {"unit": int(page.tags.valueof(296, 2)), "page": int(page.subfiletype) & PAGE}
    if page.compression == 7:
        from isthmus.imaging.pillow import quality_of

        tables = tags.get(347)
        at, length = page.dataoffsets[0], min(page.databytecounts[0], 1 << 16)
        head = tables[1] if isinstance(tables, tuple) else content[at : at + length]
        options |= {"quality": quality_of(head), "subsampling": page.subsampling, "ycbcr": page.photometric == YCBCR}
    return options


def _resolution(page: TiffPage) -> tuple[float, float] | None:
    across, down = page.tags.valueof(282), page.tags.valueof(283)
    if not (isinstance(across, tuple) and isinstance(down, tuple) and across[1] and down[1]):
        return None
    if across[0] == across[1] and down[0] == down[1] and page.tags.valueof(296, 2) == 1:
        return None  # what writers put there that know none
    unit = 2.54 if page.tags.valueof(296, 2) == 3 else 1.0
    found = (across[0] / across[1] * unit, down[0] / down[1] * unit)
    return found if min(found) > 0 else None


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
