"""What Pillow reads and writes as it was: JPEG, PNG, WebP, GIF, BMP, TGA, PNM, JPEG 2000, AVIF of 8 bits; all their frames."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageSequence, JpegImagePlugin

from isthmus.errors import DataError
from isthmus.imaging import boxes, notes
from isthmus.imaging.arrays import Array
from isthmus.imaging.bmp import pixels_per_inch, read_fields, space_options, write_bmp
from isthmus.imaging.color import cmyk_to_rgb, rgb_to_cmyk
from isthmus.imaging.content import MAX_PAGES, MAX_PIXELS, TOO_LARGE, Coding, Picture, check_size, fewer_bits, upright_picture
from isthmus.imaging.film import PngFilm, composed, gif_notes, png_film, with_gif_notes, write_film, xmp_in
from isthmus.imaging.png import coded_png, decoded_png, is_note, png_losses, profile_of, with_png_notes, without_notes

WRITTEN_AS = {
    "JPEG": "JPEG", "PNG": "PNG", "WEBP": "WEBP", "GIF": "GIF", "BMP": "BMP", "TGA": "TGA", "PPM": "PPM", "JP2": "JPEG2000",
    "AVIF": "AVIF",
}  # fmt: skip
"""Pillow's name for each format."""

READ_AS = {**{kind: [name] for kind, name in WRITTEN_AS.items()}, "JPEG": ["JPEG", "MPO"], "BMP": ["BMP", "DIB"]}

WHOLE = {"JPEG": notes.check_jpeg, "PNG": notes.check_png}
"""What refuses a file that is cut off, before it is decoded."""

USUAL_QUALITY = 75
"""Quality of a JPEG whose tables are not told: what most programs take."""

LOWEST_QUALITY = 85
"""JPEGs of lower quality are written with this one: coding them as coarsely again would put the
artifacts back (docs/experiments.md)."""

STANDARD_SUM = 3688
"""Sum of the luminance table of ITU-T T.81, K.1, which is quality 50."""

GIF_CLEAR = 255
"""The color of a GIF's palette that is transparent."""


def read_with_pillow(content: bytes, kind: str, bits: int = 8) -> Picture:
    """Return a picture of a format, with all its frames.

    Args:
        content: The file's.
        kind: The format.
        bits: Of a value, by the file's header.
    """
    if kind == "BMP" and (fields := read_fields(content)):
        options = space_options(content)
        frame = Picture(pixels=fields[0], alpha=fields[1], coding=Coding(kind=kind, options=options))
        return settled([frame], None, options.get("profile"), None, pixels_per_inch(content))
    chunks = list(notes.png_chunks(content)) if kind == "PNG" else []
    kept = [chunk for chunk in chunks if is_note(chunk[0])]
    if kept:
        content = without_notes(content)
    with Image.open(io.BytesIO(content), formats=READ_AS[kind]) as opened:
        check_size(opened.height, opened.width)
        faultless = kind in WHOLE and WHOLE[kind](content)
        info = dict(opened.info)
        count = 1 if opened.format == "MPO" or kind in ("JPEG", "BMP", "PNG") else getattr(opened, "n_frames", 1)
        if count > MAX_PAGES or count * opened.height * opened.width > MAX_PIXELS:
            raise DataError(TOO_LARGE)
        remarks: tuple[str, ...] = ()
        if opened.format == "MPO":
            remarks += ("its further pictures, such as a preview, do not come back.",)
        if opened.mode == "P" and kind != "GIF":
            remarks += ("its palette becomes RGB.",)
        if opened.mode == "1" or (bits < 8 and opened.mode != "P"):
            remarks += (fewer_bits(1 if opened.mode == "1" else bits),)
        remarks += png_losses(chunks)
        coding = Coding(kind=kind, options=coding_of(opened, content, kind, kept))
        film = png_film(content) if kind == "PNG" else None
        plain = kind == "PNG" and bits == 8 and opened.mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in opened.info
        array = decoded_png(content) if plain and faultless and not film and not opened.info.get("interlace") else None
        if film:
            frames = _png_frames(film, opened, coding)
        elif array is not None:
            frames = [_picture(array, coding, opened.has_transparency_data)]
        else:
            frames = _frames(opened, coding, count)
    exif, profile, xmp = info.get("exif"), info.get("icc_profile"), xmp_of(info, kept)
    if kept:
        exif, profile = next((data for name, data in kept if name == b"eXIf"), None), profile_of(kept)
    elif kind == "JP2":
        exif, profile, xmp = boxes.jp2_notes(content)
    elif kind == "GIF":
        xmp = xmp_in(coding.options["extensions"])
    elif kind == "BMP":
        profile = coding.options.get("profile")
    return settled(frames, exif, profile, xmp, resolution_of(info, kept), remarks)


def settled(
    frames: Sequence[Picture],
    exif: bytes | None,
    profile: bytes | None,
    xmp: bytes | None,
    resolution: tuple[float, float] | None,
    remarks: tuple[str, ...] = (),
) -> Picture:
    """Return frames as one picture, upright, with the file's notes; odd EXIF is dropped, and named."""
    if exif and not notes.open_exif(exif)[0]:
        exif, remarks = None, (*remarks, "its EXIF is damaged, and does not come back.")
    orientation = notes.exif_orientation(exif)
    whole = [
        upright_picture(dataclasses.replace(frame, icc_profile=profile or None, resolution=resolution), orientation)
        for frame in frames
    ]
    whole = [dataclasses.replace(frame, coding=dataclasses.replace(frame.coding, size=frame.pixels.shape[:2])) for frame in whole]
    return dataclasses.replace(whole[0], exif=exif or None, xmp=xmp, pages=tuple(whole[1:]), remarks=remarks)


def _frames(opened: Image.Image, coding: Coding, count: int) -> list[Picture]:
    if count == 1:
        return [_frame(opened, coding, opened.has_transparency_data)]
    found, has_alpha = [], False
    for frame in ImageSequence.Iterator(opened):
        frame.load()
        has_alpha = has_alpha or frame.has_transparency_data
        seconds: dict[str, Any] = {key: frame.info.get(key) for key in ("duration", "disposal") if key in frame.info}
        found.append((frame.convert("RGBA"), seconds))
        if len(found) * opened.height * opened.width > MAX_PIXELS:
            raise DataError(TOO_LARGE)
    options = coding.options
    return [_frame(image, dataclasses.replace(coding, options={**options, **more}), has_alpha) for image, more in found]


def _png_frames(film: PngFilm, opened: Image.Image, coding: Coding) -> list[Picture]:
    """Return an animated PNG's frames; Pillow's own composing of them makes mistakes where transparent ones lie over others."""
    gray = opened.mode in ("1", "L", "LA")
    stills = (np.asarray(Image.open(io.BytesIO(still)).convert("LA" if gray else "RGBA")) for still in film.stills)
    arrays = list(composed(stills, film.places, (opened.height, opened.width)))
    has_alpha = opened.has_transparency_data or any(array[:, :, -1].min() < 255 for array in arrays)
    frames = []
    for array, time in zip(arrays, film.times, strict=True):
        own = dataclasses.replace(coding, options={**coding.options, "loop": film.loops, "hidden": film.hidden, "duration": time})
        frames.append(Picture(pixels=array[:, :, :-1], alpha=array[:, :, -1] if has_alpha else None, coding=own))
    return frames


def _frame(image: Image.Image, coding: Coding, has_alpha: bool) -> Picture:
    if image.mode[0] in "IF":
        raise DataError("a picture of more than 8 bits is not read in this format: save it as a PNG or TIFF of 16 bits.")
    if image.mode == "CMYK":
        rgb, black = cmyk_to_rgb(np.asarray(image))
        return Picture(pixels=rgb, black=black, coding=dataclasses.replace(coding, model="CMYK"))
    gray = image.mode in ("1", "L", "LA", "La")
    array = np.array(image.convert(("LA" if has_alpha else "L") if gray else "RGBA" if has_alpha else "RGB"))
    return _picture(array, coding, has_alpha)


def _picture(array: Array, coding: Coding, has_alpha: bool) -> Picture:
    array = array if array.ndim == 3 else array[:, :, None]
    if not has_alpha:
        return Picture(pixels=array, coding=coding)
    return Picture(pixels=array[:, :, :-1], alpha=array[:, :, -1], coding=coding)


def coding_of(opened: Image.Image, content: bytes, kind: str, kept: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return what `encode` needs to write the same kind of file."""
    info = opened.info
    if isinstance(opened, JpegImagePlugin.JpegImageFile):
        segments = [
            (marker, data)
            for marker, data in notes.jpeg_segments(content)
            if marker in (0xE1, 0xED, 0xFE) and not data.startswith(notes.EXIF_MARK)
        ]
        return {
            "qtables": [list(table) for table in opened.quantization.values()],
            "quality": quality_of(content),
            "subsampling": max(0, JpegImagePlugin.get_sampling(opened)),
            "progressive": bool(info.get("progressive")),
            "segments": segments,
        }
    if kind == "PNG":
        return {"chunks": [chunk for chunk in kept if chunk[0] != b"eXIf"]}
    if kind == "WEBP":
        return {"lossless": b"VP8L" in content and b"VP8 " not in content, "loop": info.get("loop", 0)}
    if kind == "GIF":
        return {"extensions": gif_notes(content), **({"loop": info["loop"]} if "loop" in info else {})}
    if kind == "PPM":
        return {"comments": notes.pnm_comments(content)}
    if kind == "BMP":
        return space_options(content)
    if kind == "TGA":
        return {"compression": info.get("compression")}
    if kind == "JP2":
        return {"boxes": boxes.jp2_boxes(content)}
    place = content.find(b"av1C")
    if kind == "AVIF" and 0 <= place < len(content) - 6:
        return {"subsampling": {0: "4:4:4", 8: "4:2:2"}.get(content[place + 6] & 0x1C, "4:2:0")}
    return {}


def quality_of(content: bytes) -> int:
    """Return a JPEG file's quality, 1 to 100, as the Independent JPEG Group's coder counts it; 75 where it has no tables."""
    for marker, data in notes.jpeg_segments(content):
        if marker == 0xDB and len(data) >= 65 and not data[0] >> 4:
            scale = 100 * sum(data[1:65]) / STANDARD_SUM
            return round(max(1.0, 5000 / scale if scale > 100 else 100 - scale / 2))
    return USUAL_QUALITY


def xmp_of(info: Mapping[Any, Any], kept: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return a file's XMP, by what Pillow found and a PNG's chunks."""
    for kind, data in kept:
        if kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0\0"):
            return data.split(b"\0", 5)[-1]
    xmp = info.get("xmp")
    return xmp if isinstance(xmp, bytes) and xmp else None


def resolution_of(info: Mapping[Any, Any], kept: list[tuple[bytes, bytes]]) -> tuple[float, float] | None:
    """Return a file's pixels per inch, by what Pillow found and a PNG's chunks."""
    for kind, data in kept:
        if kind == b"pHYs" and len(data) == 9 and data[8] == 1:
            across, down = (int.from_bytes(data[place : place + 4]) * 0.0254 for place in (0, 4))
            return (across, down) if across and down else None
    dpi = info.get("dpi")
    try:
        across, down = float(dpi[0]), float(dpi[1])  # type: ignore[index]  # None is among what is caught
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None


def write_with_pillow(picture: Picture, kind: str, quality: int = 0) -> bytes:
    """Return the content of a file of a format, in its source's coding where that had the same format.

    Args:
        picture: Of uint8 pixels.
        kind: The format.
        quality: From 1 to 100, in formats that have one; 0 for the source's.
    """
    same = picture.coding.kind == kind
    options = picture.coding.options if same else {}
    exif = notes.settle_exif(picture.exif, picture.pixels.shape[:2]) if picture.exif and picture.coding.kind != "TIFF" else None
    if picture.exif and picture.coding.kind == "TIFF":
        from isthmus.imaging.tiff import OF_A_CAMERA

        directory, order = notes.open_exif(picture.exif)
        exif = notes.pack_exif(notes.only(directory, OF_A_CAMERA), order)
    if kind == "BMP" and (picture.alpha is not None or options.get("space") or picture.icc_profile):
        return write_bmp(picture, options.get("space", b""), options.get("linked", b""))
    beside: dict[str, Any] = {}
    if kind in ("JPEG", "WEBP", "AVIF"):
        beside = {"icc_profile": picture.icc_profile} if picture.icc_profile else {}
    if kind in ("WEBP", "AVIF"):
        beside |= {"exif": notes.EXIF_MARK + exif} if exif else {}
        beside |= {"xmp": picture.xmp} if picture.xmp else {}
    save = _options(picture, kind, options, quality)
    if picture.pages and kind in ("PNG", "GIF", "WEBP"):
        names = {"icc_profile": "ICCP", "exif": "EXIF", "xmp": "XMP"}
        chunks = {names[name]: data for name, data in beside.items()} if kind == "WEBP" else {}
        code = coded_png if kind == "PNG" else lambda array: _saved(_image(array, kind), kind, save)
        content = write_film(picture, kind, code, **chunks)
    elif kind == "PNG":
        content = coded_png(values_of(picture, kind))
    else:
        if picture.pages:
            durations = [int(frame.coding.options.get("duration") or 0) for frame in (picture, *picture.pages)]
            further = [_image(values_of(page, kind), kind) for page in picture.pages]
            save |= {"save_all": True, "append_images": further, "duration": durations}
        content = _saved(_cmyk_or(picture, kind), kind, save | beside)
    if kind == "JPEG":
        segments = [(0xE1, notes.EXIF_MARK + exif)] if exif else []
        foreign_xmp = [(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + picture.xmp)] if picture.xmp and not same else []
        content = notes.with_segments(content, [*segments, *foreign_xmp, *options.get("segments", [])])
    elif kind == "PNG":
        content = with_png_notes(content, picture, exif)
    elif kind == "JP2":
        content = boxes.with_jp2_notes(content, exif, picture.icc_profile, picture.xmp, options.get("boxes", b""))
    elif kind == "GIF":
        content = with_gif_notes(content, options.get("extensions", []))
    elif kind == "PPM":
        content = content[:3] + b"".join(options.get("comments", [])) + content[3:]
    return content


def _options(picture: Picture, kind: str, options: Mapping[str, Any], quality: int) -> dict[str, Any]:
    """Return what Pillow takes to code a picture's pixels."""
    if kind == "JPEG":
        return _jpeg_options(options, quality) | ({"dpi": picture.resolution} if picture.resolution else {})
    if kind == "BMP":
        return {"dpi": picture.resolution or (0, 0)}  # unknown; Pillow would write 96
    if kind == "AVIF":
        best = 100 if picture.alpha is not None else 90  # a lower one would code the alpha with loss
        return {"quality": quality or best, "subsampling": options.get("subsampling", "4:2:0")}
    if kind == "WEBP":
        lossy = quality or not options.get("lossless", True)
        return {"quality": quality or 90, "alpha_quality": 100} if lossy else {"lossless": True, "exact": True}
    if kind == "GIF" and picture.alpha is not None:
        return {"transparency": GIF_CLEAR, "optimize": False}  # which would drop it where a frame has none
    return {"compression": options["compression"]} if kind == "TGA" and options.get("compression") else {}


def _saved(image: Image.Image, kind: str, save: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    image.save(out, WRITTEN_AS[kind], **save)
    return out.getvalue()


def values_of(picture: Picture, kind: str) -> Array:
    """Return what a format holds of a picture, `(H, W, C)`: its pixels, and behind them its alpha where there is room for it."""
    return picture.pixels if picture.alpha is None or kind in ("JPEG", "PPM") else np.dstack([picture.pixels, picture.alpha])


def _image(array: Array, kind: str) -> Image.Image:
    if kind == "GIF" and array.shape[2] in (2, 4):
        rgb = np.repeat(array[:, :, :1], 3, 2) if array.shape[2] == 2 else array[:, :, :3]
        image = Image.fromarray(np.ascontiguousarray(rgb)).quantize(GIF_CLEAR)
        image.paste(GIF_CLEAR, mask=Image.fromarray((array[:, :, -1] < 128).astype(np.uint8) * 255))
        return image
    image = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array))
    return image.convert("RGBA") if image.mode == "LA" and kind in ("WEBP", "AVIF") else image


def _cmyk_or(picture: Picture, kind: str) -> Image.Image:
    if kind == "JPEG" and picture.coding.model == "CMYK" and picture.black is not None and picture.pixels.shape[2] == 3:
        return Image.fromarray(rgb_to_cmyk(picture.pixels, picture.black), "CMYK")
    return _image(values_of(picture, kind), kind)


def _jpeg_options(options: Any, quality: int) -> dict[str, Any]:
    if not options:
        return {"quality": quality or 95}
    save: dict[str, Any] = {"subsampling": options["subsampling"], "progressive": options["progressive"]}
    tables = options["qtables"]
    if quality or options["quality"] < LOWEST_QUALITY or not 1 <= len(tables) <= 4:
        return save | {"quality": quality or max(LOWEST_QUALITY, options["quality"])}
    return save | {"qtables": tables}
