"""TIFF: all pages, in every depth and color model, written again with the notes and the coding of the file.

tifffile reads and writes the structure, imagecodecs the pixels. Tags that describe the layout belong to the old file and are never
written again; notes are, byte for byte. Source: TIFF 6.0 (1992); TIFF Technical Note 1 to 3; GeoTIFF 1.1 (2019).
"""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from isthmus.errors import DataError, one_line
from isthmus.imaging import notes
from isthmus.imaging.arrays import Array, check_values, from_unit, to_unit
from isthmus.imaging.color import beyond_srgb, cmyk_to_rgb, lab_to_rgb, ycbcr_to_rgb
from isthmus.imaging.content import (
    MAX_PAGES,
    MAX_PIXELS,
    TOO_LARGE,
    Coding,
    Picture,
    check_size,
    fewer_bits,
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
