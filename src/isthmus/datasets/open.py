"""`open_data`: a folder, shards, an array, .npz, .npy, IDX files, or a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from isthmus.datasets import catalog
from isthmus.datasets.arrays import Arrays, is_idx, read_idx, read_npy, read_npz
from isthmus.datasets.base import Dataset, Source, train_and_test
from isthmus.datasets.folder import MAX_BAD, Folder
from isthmus.datasets.pairs import Pairs
from isthmus.datasets.patches import Images, Patches, Room, read_pictures
from isthmus.datasets.shards import TAR, Shards
from isthmus.errors import DataError, nearest, printable
from isthmus.imaging.arrays import Array
from isthmus.imaging.picture import FORMATS, is_picture_name
from isthmus.storage.store import Store, is_url

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.data import Dataset as TorchDataset

    Data: TypeAlias = str | Path | Array | Tensor | Sequence[Any] | TorchDataset[Any] | Source
else:
    Data: TypeAlias = Any
"""What can be data: a path or a name, an array, a tensor, a list of images, a torch Dataset (its labels are kept), a `Source`."""


def open_data(data: Data, data_dir: str | Path | None = None, *, max_bad: float = MAX_BAD) -> Source:
    """Return the source of images that DATA is.

    Args:
        data: A picture, a folder or its URL (s3://bucket/photos), shards as of WebDataset (a .tar, shard-{000..009}.tar, or a
            folder or URL of them), an .npy, .npz or IDX file, a folder of IDX files, the name of a dataset, an array, a tensor, a
            list of images (arrays, tensors or PIL images), or a torch Dataset.
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's pictures that may be unreadable.

    Raises:
        DataError: If there is nothing of that name, or it holds no images.
    """
    if not isinstance(data, str | Path):
        return _in_memory(data)
    data_dir = Path(data_dir) if data_dir is not None else None
    path, name = Path(data), str(data)
    if is_url(data) and not Store.at(data).is_remote:
        return open_data(Store.at(data).root, max_bad=max_bad)
    if name.endswith(TAR) and not path.is_dir():
        return Shards.at(name, max_bad)
    if is_url(data):
        return _open_folder(Store.at(data).root, max_bad)
    if path.is_dir():
        if any(is_idx(file) for file in path.iterdir()):
            return Arrays(name, {file.name: read_idx(file) for file in sorted(path.iterdir()) if is_idx(file)})
        return _open_folder(path, max_bad)
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
        f"There is no file or folder {printable(name)}, and no dataset of that name.{nearest(name, names)} "
        f"Datasets: {', '.join(names)}."
    )


def open_pairs(data: Data, clean: Data | None, data_dir: str | Path | None = None, *, max_bad: float = MAX_BAD) -> Source:
    """Return the source of DATA, with the clean images that belong to it, if there are any.

    Args:
        data: As for `open_data`.
        clean: The same, of as many images with the same names or in the same order; None for none.
        data_dir: Folder with named datasets.
        max_bad: Largest share of a folder's pictures that may be unreadable.

    Raises:
        DataError: If either is nothing, or they do not belong together.
    """
    source = open_data(data, data_dir, max_bad=max_bad)
    return source if clean is None else Pairs.of(source, open_data(clean, data_dir, max_bad=max_bad))


def training_data(
    source: Source,
    size: tuple[int, int] | None,
    patch: int,
    held_out: int,
    *,
    upright: bool = False,
    room: Room | None = None,
) -> tuple[Dataset | Images | Patches, Dataset]:
    """Read a source once: what to learn from, whole or in squares, and images that are kept apart.

    Args:
        source: The images; without a test set of its own, every tenth is kept apart.
        size: (H, W) to bring whole images to.
        patch: Side of the squares to cut from pictures that are larger; 0 for whole images.
        held_out: How many images or squares to take of what is kept apart.
        upright: Whether squares are mirrored at most, and not turned.
        room: Where decoded pictures are kept; by default, in a quarter of the memory and half of the disk.
    """
    sizes = source.sizes()
    whole = not patch or not any(max(shape) > patch for shape in sizes)
    if whole and (isinstance(source, Arrays) or source.has_test):
        return train_and_test(source, size)
    size = size or (min(sizes, key=lambda shape: (-sizes[shape], shape)) if sizes else None)
    learned, kept, skipped = read_pictures(source, room or Room.of(None, None), size if whole else None)
    if whole:
        images = Images(pictures=learned, title=source.title, skipped=skipped)
        others = Images(pictures=kept, title=source.title)
        apart = replace(others.first(held_out), not_apart=kept is learned)
        return images.first(len(images)) if learned.in_memory else images, apart
    squares = Patches(pictures=learned, side=patch, title=source.title, upright=upright, skipped=skipped)
    return squares, replace(replace(squares, pictures=kept).some(held_out, seed=0), not_apart=kept is learned)


def _open_folder(place: str | Path, max_bad: float) -> Source:
    """Return the pictures in a folder or below a URL; where there are none, those in its shards."""
    try:
        return Folder.at(place, max_bad) if isinstance(place, str) else Folder.scan(place, max_bad)
    except DataError:
        store = Store.at(place)
        shards = [name for name in store.names() if name.endswith(TAR)]
        if not shards:
            raise
        return Shards.in_store(store, shards, str(place), max_bad)


def _open_file(path: Path, max_bad: float) -> Source:
    if path.suffix == ".npz":
        return Arrays(str(path), read_npz(path))
    if path.suffix == ".npy":
        return Arrays(str(path), {"images": read_npy(path)})
    if is_idx(path):
        return Arrays(str(path), {path.name: read_idx(path)})
    if is_picture_name(path.name):
        return Folder(path.parent, (Path(path.name),), max_bad=max_bad)
    ends = ", ".join((".npz", ".npy", "-ubyte[.gz]", TAR, *FORMATS))
    raise DataError(f"{printable(str(path))} is no data that isthmus reads. Its name must end in one of {ends}.")


def _in_memory(data: Any) -> Source:
    """Return the source of images that are in memory."""
    if hasattr(data, "rewrite") and hasattr(data, "read"):
        source: Source = data
        return source
    if hasattr(data, "detach"):  # a tensor
        data = data.detach().cpu()
        data = (data.float() if str(data.dtype) in ("torch.bfloat16", "torch.float16") else data).numpy()
    if isinstance(data, np.ndarray):
        return Arrays(f"array {data.shape} {data.dtype}", {"images": data})
    if not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise DataError(
            f"A {type(data).__name__} is no data. Accepted are a path, a name, an array, a tensor, a list of images, or a torch "
            "Dataset with a length."
        )
    images, labels = [], []
    for item in (data[index] for index in range(len(data))):
        image, label = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        image = image.detach().cpu().numpy() if hasattr(image, "detach") else np.asarray(image)
        images.append(image)
        labels.append(label)
    if len({image.shape for image in images}) != 1:
        shapes = ", ".join(sorted({str(image.shape) for image in images})[:5]) or "none"
        raise DataError(f"Images in a list or a Dataset need one shape; these have {shapes}. Resize them first.")
    title = f"{len(images):,} images of a {type(data).__name__}"
    arrays = {"images": _channels_first(np.stack(images))}
    return Arrays(title, arrays if None in labels else {**arrays, "labels": np.array(labels)})


def _channels_first(images: Array) -> Array:
    return (
        np.moveaxis(images, -1, 1) if images.ndim == 4 and images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3) else images
    )
