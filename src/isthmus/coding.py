"""Codes on disk: images to an .npz of codes, and back to images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isthmus.datasets import SPLITS, Rewritten, Source
from isthmus.datasets.arrays import read_npz, write_npz
from isthmus.errors import DataError, UsageError, look_up, printable
from isthmus.files import check_output
from isthmus.images import from_unit
from isthmus.pictures import Picture, is_picture_name, write_picture
from isthmus.restoring import Model


def encode_data(model: Model, source: Source, out: Path, *, split: str = "all", overwrite: bool = False) -> Rewritten:
    """Write the codes of a source's images, with their labels and names.

    Args:
        model: What encodes.
        source: The images.
        out: An .npz: `codes` `(n, ...)`, `image_size` (H, W), and `labels` and `names` where there are any.
        split: "train", "test" or "all".
        overwrite: Replace what is there.

    Raises:
        UsageError: If `out` is no .npz or exists, or the split is unknown.
        DataError: If the images cannot be read or do not fit the model.
    """
    if out.suffix != ".npz":
        raise UsageError(f"Codes go into an .npz, and {printable(str(out))} does not end so.")
    look_up("split", split, dict.fromkeys(SPLITS))
    check_output(out, overwrite=overwrite)
    dataset = source.read(split, None if model.architecture.any_size else model.image_shape[1:])
    arrays = {"codes": model.encode(dataset.images), "image_size": np.array(dataset.image_shape[1:])}
    if dataset.labels is not None:
        arrays["labels"] = dataset.labels
    if dataset.names is not None:
        arrays["names"] = np.array(dataset.names)
    write_npz(out, arrays)
    return Rewritten(len(dataset), dataset.skipped)


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
    if "codes" not in arrays or arrays["codes"].dtype.kind != "f" or not np.isfinite(arrays["codes"]).all():
        raise DataError(f"{name} holds no codes: it is not a file that isthmus encode wrote.")
    size = arrays.get("image_size")
    if size is not None and (size.shape != (2,) or size.dtype.kind not in "iu" or size.min() < 1 or size.max() > 1 << 16):
        raise DataError(f"{name} has an image_size that is no height and width.")
    check_output(out, overwrite=overwrite)
    images = from_unit(model.decode(arrays["codes"], None if size is None else (int(size[0]), int(size[1]))), np.dtype(np.uint8))
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
