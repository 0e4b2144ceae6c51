"""One picture file, read whole and written back as it was.

Pillow reads the 8-bit formats; 16-bit and float pictures, which it would cut to 8 bits, go through imagecodecs (PNG) and
tifffile (TIFF). What is kept for writing the same kind back: bit depth, color, alpha, ICC profile and EXIF; the camera's
orientation is applied. Palettes become RGB, CMYK becomes RGB, 1-bit becomes 8-bit gray.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from isthmus.errors import DataError, printable
from isthmus.imaging.arrays import Array, check_values, from_unit, to_unit
from isthmus.imaging.png import read_notes, with_notes
from isthmus.storage.atomic import write_whole

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP", ".bmp": "BMP", ".gif": "GIF", ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM",
    ".tga": "TGA", ".jp2": "JPEG2000", ".avif": "AVIF",
}  # fmt: skip
"""The formats that are read and written, by the end of a file's name."""

MAX_PIXELS = 178_000_000
"""Pictures larger than this are refused before they are decoded: a few kilobytes can claim any size. Pillow's own limit is near."""

ORIENTATION = 0x0112
"""EXIF's tag for how a camera was held."""

_TOO_LARGE = f"the picture has more than the {MAX_PIXELS:,} pixels that are accepted; scale it down first."

LOG = logging.getLogger("isthmus")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture file's content, and what is needed to write it back as it was."""

    pixels: Array
    """`(H, W, C)`, C = 1 or 3; uint8, uint16 or float32."""
    alpha: Array | None = None
    """`(H, W)`, of the pixels' type; where there is transparency."""
    icc_profile: bytes | None = None
    """The color profile, as embedded."""
    exif: bytes | None = None
    """The camera's notes, as embedded, the orientation removed because it has been applied."""
    frames: int = 1
    """How many pictures the file held, of which this is the first."""

    def changed(self, pixels: Array) -> Picture:
        """Return the same picture with other pixels: transparency is scaled with them, a gray's profile says nothing of colors."""
        alpha = self.alpha
        if alpha is not None and alpha.shape != pixels.shape[:2]:
            plane = Image.fromarray(to_unit(alpha)).resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BICUBIC)
            alpha = from_unit(np.asarray(plane).clip(0, 1), alpha.dtype)
        profile = self.icc_profile if pixels.shape[2] == self.pixels.shape[2] else None
        return dataclasses.replace(self, pixels=pixels, alpha=alpha, icc_profile=profile)


def is_picture_name(name: str) -> bool:
    """Tell whether a file's name ends like one of the formats."""
    return Path(name).suffix.lower() in FORMATS


def read_picture(path: Path) -> Picture:
    """Read one picture file; of several frames the first, with a warning to the log.

    Raises:
        DataError: If it cannot be read, is damaged, has values that are not finite, or is larger than `MAX_PIXELS`.
    """
    name = printable(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
    return decode_picture(content, name)


def decode_picture(content: bytes, name: str) -> Picture:
    """Return what a picture file's content holds; messages call it `name`.

    Raises:
        DataError: As `read_picture`.
    """
    try:
        if not content:
            raise DataError(f"{name} is empty (0 bytes).")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata; what matters is raised
            picture = _decode(content)
    except DataError as error:
        raise DataError(f"{name}: {error}" if name not in str(error) else str(error)) from None
    except Image.DecompressionBombError:
        raise DataError(f"{name}: {_TOO_LARGE}") from None
    except UnidentifiedImageError:
        accepted = ", ".join(sorted({suffix[1:] for suffix in FORMATS}))
        raise DataError(f"{name} is not a picture in a known format ({accepted}).") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # decoders raise what they like on damaged files: ValueError, SyntaxError, struct.error, ...
        raise DataError(f"{name} is damaged: {error}.") from None
    if picture.frames > 1:
        LOG.warning("%s holds %d pictures: only the first is taken.", name, picture.frames)
    return picture


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture in the format that the path's end names, whole or not at all.

    Raises:
        DataError: If the format cannot hold it.
        IsthmusError: If it cannot be written.
    """
    write_whole(path, encode_picture(picture, path.name))


def encode_picture(picture: Picture, name: str) -> bytes:
    """Return the content of a picture file of the format that the name's end tells.

    Raises:
        DataError: If the format is unknown, or cannot hold it.
    """
    kind = FORMATS.get(Path(name).suffix.lower())
    if kind is None:
        raise DataError(f"Cannot write {printable(name)}: the name must end in one of {', '.join(FORMATS)}.")
    return _encode(picture, kind)


def _decode(content: bytes) -> Picture:
    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[24:25] == b"\x10":
        return _decode_deep_png(content)
    if content[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        picture = _decode_deep_tiff(content)
        if picture is not None:
            return picture
    return _decode_with_pillow(content)


def _decode_with_pillow(content: bytes) -> Picture:
    with Image.open(io.BytesIO(content), formats=sorted(set(FORMATS.values()))) as opened:
        _check_size(opened.height, opened.width)
        if opened.mode[0] in "IF":  # Pillow would cut these to black and white
            raise DataError(f"a {opened.format} of more than 8 bits is not read: save it as a PNG or TIFF of 16 bits.")
        exif = opened.getexif()
        image = ImageOps.exif_transpose(opened)
        profile = opened.info.get("icc_profile") if opened.mode != "CMYK" else None
        exif.pop(ORIENTATION, None)  # now applied
        has_alpha = image.has_transparency_data
        if image.mode in ("1", "L", "LA", "La"):
            image = image.convert("LA" if has_alpha else "L")
        else:
            image = image.convert("RGBA" if has_alpha else "RGB")
        array = np.array(image)
        array = array if array.ndim == 3 else array[:, :, None]
        return Picture(
            pixels=array[:, :, :-1] if has_alpha else array,
            alpha=array[:, :, -1] if has_alpha else None,
            icc_profile=profile,
            exif=exif.tobytes() if len(exif) else None,
            frames=1 if opened.format == "MPO" else getattr(opened, "n_frames", 1),  # a phone's second one is a thumbnail
        )


def _decode_deep_png(content: bytes) -> Picture:
    import imagecodecs

    _check_size(int.from_bytes(content[20:24]), int.from_bytes(content[16:20]))
    profile, exif = read_notes(content)
    notes = Image.Exif()
    if exif:
        with contextlib.suppress(Exception):  # notes that cannot be read are no reason to refuse a picture
            notes.load(exif)
    array = _upright(imagecodecs.png_decode(content), notes.pop(ORIENTATION, 1))
    return dataclasses.replace(_picture_of(array), icc_profile=profile, exif=notes.tobytes() if len(notes) else None)


def _decode_deep_tiff(content: bytes) -> Picture | None:
    """Read the first page of a TIFF of 16 bits or floats; None where Pillow reads it as well."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        if page.dtype is None or page.dtype.name not in ("uint16", "float32", "float16", "float64"):
            return None
        _check_size(page.imagelength, page.imagewidth)
        array = page.asarray()
        if page.planarconfig == 2 and array.ndim == 3:
            array = np.moveaxis(array, 0, -1)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype == np.uint16:
            array = np.iinfo(np.uint16).max - array
        orientation = page.tags.get("Orientation")
        profile = page.tags.get("InterColorProfile")
        array = _upright(array, int(orientation.value) if orientation else 1)
        frames = len(file.pages)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    check_values(array)
    return dataclasses.replace(_picture_of(array), icc_profile=bytes(profile.value) if profile else None, frames=frames)


def _picture_of(array: Array) -> Picture:
    """Split `(H, W)` or `(H, W, 1..4)` into color and alpha."""
    array = array if array.ndim == 3 else array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise DataError(f"a picture of {array.shape[-1]} channels is neither gray nor RGB.")
    has_alpha = array.shape[2] in (2, 4)
    return Picture(pixels=array[:, :, :-1] if has_alpha else array, alpha=array[:, :, -1] if has_alpha else None)


def _upright(array: Array, orientation: int) -> Array:
    """Apply EXIF's orientation, 1 to 8, to `(H, W, ...)`."""
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _check_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(_TOO_LARGE)


def _encode(picture: Picture, kind: str) -> bytes:
    array = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    array = np.ascontiguousarray(array[:, :, 0] if array.shape[2] == 1 else array)
    if array.dtype != np.uint8:
        return _encode_deep(array, kind, picture)
    out = io.BytesIO()
    mode = {2: "L", 3: {2: "LA", 3: "RGB", 4: "RGBA"}.get(array.shape[-1], "")}[array.ndim]
    options: dict[str, Any] = {"icc_profile": picture.icc_profile, "exif": picture.exif}
    options = {key: value for key, value in options.items() if value and kind in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF")}
    if kind in ("JPEG", "AVIF"):
        options |= {"quality": 95}
    if kind in ("WEBP",):
        options |= {"lossless": True}
    image = Image.fromarray(array)
    assert image.mode == mode, (image.mode, mode)
    if kind == "JPEG" and mode in ("LA", "RGBA"):
        image = image.convert(mode[:-1])
    image.save(out, kind, **options)
    return out.getvalue()


def _encode_deep(array: Array, kind: str, picture: Picture) -> bytes:
    if kind == "PNG" and array.dtype == np.uint16:
        import imagecodecs

        return with_notes(bytes(imagecodecs.png_encode(array)), picture.icc_profile, picture.exif)
    if kind == "TIFF":
        import tifffile

        out = io.BytesIO()
        photometric = "rgb" if array.ndim == 3 and array.shape[2] >= 3 else "minisblack"
        options: dict[str, Any] = {} if array.ndim == 2 else {"planarconfig": "contig"}
        if picture.alpha is not None:
            options["extrasamples"] = ["unassalpha"]
        tifffile.imwrite(out, array, photometric=photometric, compression="zlib", iccprofile=picture.icc_profile, **options)
        return out.getvalue()
    raise DataError(
        f"{kind} cannot hold {array.dtype} pixels: name the file .tif" + (" or .png." if array.dtype == np.uint16 else ".")
    )
