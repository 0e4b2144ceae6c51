"""Latent codes on disk: images to an .npz of codes, plain or compressed, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.datasets import SPLITS, Rewritten, Source
from isthmus.datasets.arrays import npz_bytes, read_npz, write_npz
from isthmus.errors import DataError, UsageError, lookup, printable
from isthmus.imaging.arrays import Array, from_unit
from isthmus.imaging.picture import Picture, is_picture_name, write_picture
from isthmus.latents.codec import check_bits, compress, compressed_arrays, decompress
from isthmus.model import Model
from isthmus.storage.atomic import check_output, write_whole


@dataclass(frozen=True, kw_only=True)
class Encoded(Rewritten):
    """What `encode_data` did, and how many bytes it took."""

    bytes: int
    """Of the file."""
    label_bytes: int
    """Of these, what labels and names take."""
    pixels: int
    """Of all images, each counted once for all channels."""
    numbers: int
    """Of all codes."""

    def rates(self) -> dict[str, float]:
        """Return the bytes, and the bits that one pixel and one number of the codes take, labels and names left out."""
        bits = 8 * (self.bytes - self.label_bytes)
        return {
            "bytes": self.bytes,
            "label_bytes": self.label_bytes,
            "bits_per_pixel": round(bits / self.pixels, 5),
            "bits_per_number": round(bits / self.numbers, 5),
        }


def encode_data(
    model: Model, source: Source, out: Path, *, bits: int | None = None, split: str = "all", overwrite: bool = False
) -> Encoded:
    """Write the codes of a source's images, with their labels and names.

    Args:
        model: What encodes.
        source: The images.
        out: An .npz: `codes` `(n, ...)` or `compressed` bytes, `image_size` (H, W), and `labels` and `names` where there are any.
        bits: Compress the codes, as `isthmus.latents.codec.compress` does; without it, they are float32.
        split: "train", "test" or "all".
        overwrite: Replace what is there.

    Raises:
        UsageError: If `out` is no .npz or exists, or the split or the number of bits cannot be meant.
        DataError: If the images cannot be read or do not fit the model.
    """
    if out.suffix != ".npz":
        raise UsageError(f"The name of a file of codes must end in .npz, and {printable(str(out))} does not.")
    lookup("split", split, dict.fromkeys(SPLITS))
    if bits is not None:
        check_bits(bits)
    check_output(out, overwrite=overwrite)
    dataset = source.read(split, None if model.architecture.any_size else model.image_shape[1:])
    codes = model.encode(dataset.images)
    plain = {"codes": codes, "image_size": np.array(dataset.image_shape[1:])}
    arrays = plain if bits is None else compressed_arrays(compress(codes, bits), dataset.image_shape)
    labels: dict[str, Array] = {}
    if dataset.labels is not None:
        labels["labels"] = dataset.labels
    if dataset.names is not None:
        labels["names"] = np.array(dataset.names)
    deflate = bits is not None
    content = npz_bytes({**arrays, **labels}, deflate=deflate)
    write_whole(out, content)
    return Encoded(
        len(dataset),
        dataset.skipped,
        bytes=len(content),
        label_bytes=len(content) - len(npz_bytes(arrays, deflate=deflate)),
        pixels=len(dataset) * math.prod(dataset.image_shape[1:]),
        numbers=codes.size,
    )


def decode_file(model: Model, codes: Path, out: Path, *, overwrite: bool = False) -> Rewritten:
    """Write the images that the codes of a file stand for.

    Args:
        model: What encoded them.
        codes: The file that `encode_data` wrote.
        out: A folder for pictures, named as they were or numbered; or an .npz of `images` `(n, C, H, W)` uint8 and `labels`.
        overwrite: Replace what is there.

    Raises:
        UsageError: If `out` exists.
        DataError: If the file is not one of codes, or the codes are not this model's.
    """
    arrays = read_npz(codes)
    name = printable(str(codes))
    found = _read_codes(arrays, name)
    size = arrays.get("image_size")
    if size is not None and (size.shape != (2,) or size.dtype.kind not in "iu" or size.min() < 1 or size.max() > 1 << 16):
        raise DataError(f"{name} has an invalid image_size. It must be a height and a width.")
    for key in ("labels", "names"):
        if key in arrays and arrays[key].shape != found.shape[:1]:
            raise DataError(f"{name} has {key} of shape {arrays[key].shape} beside codes of shape {found.shape}.")
    check_output(out, overwrite=overwrite)
    images = from_unit(model.decode(found, None if size is None else (int(size[0]), int(size[1]))), np.dtype(np.uint8))
    if out.suffix == ".npz":
        write_npz(out, {"images": images, **{key: arrays[key] for key in ("labels", "names") if key in arrays}})
    else:
        digits = len(str(len(images)))
        names = [str(n) for n in arrays["names"]] if "names" in arrays else [f"{i:0{digits}}.png" for i in range(len(images))]
        for image, file in zip(images, names, strict=True):
            path = out / file if is_picture_name(file) else out / f"{file}.png"
            if not path.resolve().is_relative_to(out.resolve()):
                raise DataError(f"{name} names a picture outside of the folder: {printable(file)}.")
            write_picture(path, Picture(pixels=np.moveaxis(image, 0, -1)))
    return Rewritten(len(images))


def _read_codes(arrays: dict[str, Array], name: str) -> Array:
    """Return the codes of a file's arrays `(n, ...)`, plain or compressed."""
    if "compressed" in arrays:
        try:
            return decompress(arrays["compressed"].tobytes())
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    if "codes" not in arrays or arrays["codes"].dtype.kind != "f" or not np.isfinite(arrays["codes"]).all():
        raise DataError(f"{name} holds no codes. Accepted are the files that `isthmus encode` writes.")
    return arrays["codes"]
