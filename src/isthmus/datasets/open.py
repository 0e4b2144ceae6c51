"""Many images: a folder, an array, .npz, .npy, IDX files, or a name. `open_data` tells which."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from isthmus.datasets import catalog
from isthmus.datasets.arrays import Arrays, read_npy, read_npz
from isthmus.datasets.base import Dataset, Source, train_and_test
from isthmus.datasets.folder import MAX_BAD, Folder
from isthmus.datasets.idx import is_idx, read_idx
from isthmus.datasets.pairs import Pairs
from isthmus.datasets.patches import Patches, read_patches
from isthmus.errors import DataError, nearest, printable
from isthmus.imaging.arrays import Array
from isthmus.imaging.picture import FORMATS, is_picture_name


def open_data(data: str | Path | Array, data_dir: Path | None = None, *, max_bad: float = MAX_BAD) -> Source:
    """Tell what DATA is.

    Args:
        data: A picture, a folder, an .npy, .npz or IDX file, a folder of IDX files, a data set's name, or an array.
        data_dir: A folder that may hold the named data sets.
        max_bad: Share of a folder's pictures that may be unreadable; beyond it, reading is given up.

    Raises:
        DataError: If there is nothing of that name, or it holds no images.
        UsageError: If the name looks like a data set's, misspelt.
    """
    if isinstance(data, np.ndarray):
        return Arrays(f"array {data.shape} {data.dtype}", {"images": data})
    path, name = Path(data), str(data)
    if path.is_dir():
        if any(is_idx(file) for file in path.iterdir()):
            return Arrays(name, {file.name: read_idx(file) for file in sorted(path.iterdir()) if is_idx(file)})
        return Folder.scan(path, max_bad)
    if path.exists():
        return _open_file(path, max_bad)
    if name in catalog.DOWNLOADS:
        return Arrays(name, {file.name: read_idx(file) for file in catalog.find(name, data_dir)})
    if name in catalog.BINARIZED:
        arrays = {file.name: read_idx(file) for file in catalog.find(catalog.BINARIZED[name], data_dir)}
        return Arrays(name, {key: catalog.binarize(array) if array.ndim == 3 else array for key, array in arrays.items()})
    if name in catalog.EMBEDDED:
        images, labels = catalog.embedded(name)
        return Arrays(name, {"images": images, "labels": labels})
    names = (*catalog.DOWNLOADS, *catalog.BINARIZED, *catalog.EMBEDDED)
    raise DataError(
        f"There is no file or folder {printable(name)}, and no data set of that name.{nearest(name, names)} "
        f"Data sets with a name: {', '.join(names)}."
    )


def open_pairs(
    data: str | Path | Array, clean: str | Path | Array, data_dir: Path | None = None, *, max_bad: float = MAX_BAD
) -> Source:
    """Tell what DATA is, and the clean images that belong to it, if there are any.

    Args:
        data: As for `open_data`.
        clean: The same, of as many images with the same names or in the same order; "" for none.
        data_dir: A folder that may hold the named data sets.
        max_bad: Share of a folder's pictures that may be unreadable.

    Raises:
        DataError: If either is nothing, or they do not belong together.
    """
    source = open_data(data, data_dir, max_bad=max_bad)
    if isinstance(clean, str) and not clean:
        return source
    return Pairs.of(source, open_data(clean, data_dir, max_bad=max_bad))


def to_learn_from(source: Source, size: tuple[int, int] | None, patch: int, held_out: int) -> tuple[Dataset | Patches, Dataset]:
    """Read a source once: what to learn from, whole or in squares, and images that are kept apart.

    Args:
        source: The images; without a test set of its own, every tenth is kept apart.
        size: (H, W) to bring whole images to.
        patch: Side of the squares to cut from pictures that are larger; 0 for whole images.
        held_out: How many squares to cut from what is kept apart.
    """
    if not patch or not any(max(shape) > patch for shape in source.sizes()):
        return train_and_test(source, size)
    learnt, kept = read_patches(source, patch)
    return learnt, kept.some(held_out, seed=0)


def _open_file(path: Path, max_bad: float) -> Source:
    if path.suffix == ".npz":
        return Arrays(str(path), read_npz(path))
    if path.suffix == ".npy":
        return Arrays(str(path), {"images": read_npy(path)})
    if is_idx(path):
        return Arrays(str(path), {path.name: read_idx(path)})
    if is_picture_name(path.name):
        return Folder(path.parent, (Path(path.name),), max_bad=max_bad)
    ends = ", ".join((".npz", ".npy", "-ubyte[.gz]", *FORMATS))
    raise DataError(f"{printable(str(path))} is no kind of data that isthmus reads: the name must end in one of {ends}.")
