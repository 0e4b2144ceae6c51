"""Images in arrays: an .npz, an .npy, IDX files, arrays in memory.

IDX is the format of MNIST and its relatives: a header of dimensions, then the values; often gzipped. Source: its description on
the MNIST page: two zero bytes, a type, the number of dimensions, then each dimension and the values, big-endian.
"""

from __future__ import annotations

import gzip
import io
import logging
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from isthmus.datasets.base import SPLITS, Change, Dataset, OnProgress, Rewritten, Skipped, hold_out
from isthmus.errors import DataError, UsageError, one_line, printable
from isthmus.imaging.arrays import Array, Layout, check_values, resize
from isthmus.storage.atomic import check_output, write_whole

IMAGES = {
    "train": r"x_train|train_images|train-images.*",
    "test": r"x_test|test_images|(t10k|test)-images.*",
    "all": "images|x|X|data|arr_0",
}
LABELS = {
    "train": r"y_train|train_labels|train-labels.*",
    "test": r"y_test|test_labels|(t10k|test)-labels.*",
    "all": "labels?|y|target",
}
"""How the arrays of a file are recognized, by their keys, for each split."""


LOG = logging.getLogger("isthmus")

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""What the values of an IDX file are, by the byte that says so."""

MOST_BYTES, MOST_TIMES = 1 << 30, 100
"""Arrays that inflate to more bytes, and to more times their file, are refused: a few megabytes can claim any size."""


@dataclass(frozen=True)
class Arrays:
    """Named arrays, of which some are images: an .npz, an .npy, IDX files, arrays in memory."""

    title: str
    arrays: dict[str, Array]
    """All of them, in order; what is not images passes through `rewrite` untouched."""

    @property
    def image_keys(self) -> dict[str, str]:
        """The key of each split's images: "train", "test" or both, else "all"."""
        every = [(split, key) for split in SPLITS for key in self.arrays if re.fullmatch(IMAGES[split], key)]
        for split, key in every:
            others = [other for same, other in every if same == split and other != key]
            if others and split != "all":
                raise DataError(f"{self.title} holds {key} and {others[0]}, both of the {split} set. Keep one of them.")
        named = dict(every)
        if "train" in named or "test" in named:
            return {split: key for split, key in named.items() if split != "all"}
        if not named:
            likely = [key for key, array in self.arrays.items() if array.ndim in (3, 4)]
            if len(likely) != 1:
                listed = ", ".join(f"{key} {array.shape}" for key, array in self.arrays.items()) or "nothing"
                raise DataError(f"{self.title} holds {listed}. Name the array of the images 'images'.")
            named = {"all": likely[0]}
        return named

    @property
    def has_test(self) -> bool:
        """Whether there are images of a test set."""
        return {"train", "test"} <= set(self.image_keys)

    def read(self, split: str = "all", size: tuple[int, int] | None = None) -> Dataset:
        """Read a split; see `Source.read`."""
        keys = self.image_keys
        chosen = keys if split == "all" or not self.has_test else {split: keys[split]}
        parts = [self._part(part, key) for part, key in chosen.items()]
        shapes = {f"{part.images.shape[1:]} {part.images.dtype}" for part in parts}
        if len(shapes) > 1:
            raise DataError(f"{self.title} holds a training and a test set of different images: {' and '.join(sorted(shapes))}.")
        if split == "all" or not self.has_test:
            empty = [key for part, key in zip(parts, chosen.values(), strict=True) if not len(part)]
            if empty and len(parts) > 1:
                raise DataError(f"{self.title} holds no images in {empty[0]}. Leave that array out, or fill it.")
        images = np.concatenate([part.images for part in parts]) if len(parts) > 1 else parts[0].images
        labels = [part.labels for part in parts if part.labels is not None]
        dataset = Dataset(images=images, title=self.title, labels=np.concatenate(labels) if len(labels) == len(parts) else None)
        if not len(dataset):
            raise DataError(f"{self.title} holds no images.")
        if size is not None and size != dataset.image_shape[1:]:
            dataset = replace(dataset, images=np.stack([resize(image, size) for image in dataset.images]))
        return dataset if self.has_test else hold_out(dataset, split)

    def sizes(self) -> Counter[tuple[int, int]]:
        """Count the sizes (H, W) of the images."""
        counts: Counter[tuple[int, int]] = Counter()
        for key in self.image_keys.values():
            count, _, height, width = Layout.of(self.arrays[key].shape).to_batch(self.arrays[key]).shape
            counts[height, width] += count
        return counts

    def each(self, split: str = "all") -> Iterator[tuple[str, Array | Skipped]]:
        """Read images, named by their place; see `Source.each`."""
        for part, key in self.image_keys.items():
            if split in ("all", part):
                for place, image in enumerate(self._part(part, key).images):
                    yield f"{key}[{place}]", image

    def one(self, place: int, split: str = "all") -> Array:
        """Return an image again; see `Source.one`."""
        for part, key in self.image_keys.items():
            if split in ("all", part):
                images = Layout.of(self.arrays[key].shape).to_batch(self.arrays[key])
                if place < len(images):
                    image: Array = images[place]
                    return image.astype(np.float32) if image.dtype.kind == "f" else image
                place -= len(images)
        raise IndexError(place)

    def _part(self, split: str, key: str) -> Dataset:
        shape = self.arrays[key].shape
        if len(shape) == 2 and math.isqrt(shape[1]) ** 2 == shape[1] and shape[0] != math.isqrt(shape[1]):
            side = math.isqrt(shape[1])
            told = "%s holds one image of %d x %d pixels. If these are flattened images, reshape them to (%d, %d, %d)."
            LOG.warning(told, self.title, *shape, shape[0], side, side)
        images = Layout.of(shape).to_batch(self.arrays[key])
        try:
            check_values(images)
        except DataError as error:
            raise DataError(f"{self.title}: {error}") from None
        images = images.astype(np.float32) if images.dtype.kind == "f" else images
        if 0 in images.shape[1:]:
            raise DataError(f"{self.title} holds images of {images.shape[2]} x {images.shape[3]} pixels in {key}.")
        labels = []
        for name, array in self.arrays.items():
            if re.fullmatch(LABELS[split], name) and array.ndim == 1:
                if array.shape != images.shape[:1]:
                    raise DataError(f"{self.title} holds {len(images):,} images in {key} and {len(array):,} labels in {name}.")
                labels.append(array)
        return Dataset(images=images, title=self.title, labels=labels[0] if labels else None)

    def rewrite(
        self, out: Path, change: Change, *, overwrite: bool = False, resume: bool = False, on_progress: OnProgress | None = None
    ) -> Rewritten:
        """Write all arrays, the images changed; the kind of file is the one that `out` names."""
        keys = set(self.image_keys.values())
        writer = _array_writer(out, self.arrays)
        count = self.sizes().total()
        if resume and out.is_file():
            return Rewritten(0, there=count)
        check_output(out, overwrite=overwrite or resume)
        for key in keys:
            try:
                check_values(self.arrays[key])
            except DataError as error:
                raise DataError(f"{self.title}: {error}") from None
        writer({key: change(array) if key in keys else array for key, array in self.arrays.items()})
        return Rewritten(count)


def read_npy(path: Path) -> Array:
    """Read an .npy.

    Raises:
        DataError: If it is damaged or holds objects, which could run code.
    """
    try:
        with open(path, "rb") as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # NumPy raises what it likes on damaged files: SyntaxError, TokenError, MemoryError, ...
        raise _not_numpy(path, error) from None
    return array


def read_npz(path: Path) -> dict[str, Array]:
    """Read all arrays of an .npz.

    Raises:
        DataError: If it is damaged or holds objects, which could run code.
    """
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            twice = [key for key, count in Counter(file.files).items() if count > 1]
            if twice:
                raise DataError(f"{printable(str(path))} holds two arrays named {printable(twice[0])}. Save it again with one.")
            total = sum(member.file_size for member in file.zip.infolist())
            times = total // max(1, path.stat().st_size)
            if total > MOST_BYTES and times > MOST_TIMES:
                raise DataError(
                    f"{printable(str(path))} inflates to {total / 1e9:,.1f} GB, {times:,} times its size; accepted are "
                    f"{MOST_TIMES} times. Save it as several files, or as .npy."
                )
            if total > psutil.virtual_memory().available:
                raise DataError(f"{printable(str(path))} holds {total / 1e9:,.1f} GB, more than the memory left. Split it.")
            arrays = {key: file[key] for key in file.files}
            for key, array in arrays.items():
                if not isinstance(array, np.ndarray):
                    raise DataError(f"{printable(str(path))} is damaged: its member {printable(key)} is no array.")
            return arrays
    except DataError:
        raise
    except Exception as error:  # as above, and what zipfile raises
        raise _not_numpy(path, error) from None


def _not_numpy(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error) or "Object arrays" in str(error):
        return DataError(f"{printable(str(path))} holds Python objects, which could run code: isthmus reads numbers only.")
    return DataError(f"{printable(str(path))} is not a NumPy file, or is damaged: {one_line(error)}.")


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write named arrays as an .npz, whole or not at all."""
    write_whole(path, npz_bytes(arrays))


def npz_bytes(arrays: dict[str, Array], *, deflate: bool = False) -> bytes:
    """Return named arrays as the bytes of an .npz, each deflated or as it is."""
    buffer = io.BytesIO()
    save = np.savez_compressed if deflate else np.savez
    save(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes a key for an option
    return buffer.getvalue()


def write_npy(path: Path, array: Array) -> None:
    """Write one array as an .npy, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_whole(path, buffer.getvalue())


def _array_writer(out: Path, arrays: dict[str, Array]) -> Callable[[dict[str, Array]], None]:
    """Return what writes arrays to `out`: .npz, .npy, an IDX file or a folder of IDX files."""
    if out.suffix == ".npz":
        return lambda changed: write_npz(out, changed)
    if out.suffix == ".npy" and len(arrays) == 1:
        return lambda changed: write_npy(out, next(iter(changed.values())))
    if len(arrays) == 1 and is_idx(out):
        return lambda changed: write_idx(out, next(iter(changed.values())))
    if all(is_idx(Path(key)) for key in arrays) and not out.suffix:

        def write_folder(changed: dict[str, Array]) -> None:
            for key, array in changed.items():
                write_idx(out / key, array)

        return write_folder
    ends = ".npz" if len(arrays) > 1 else ".npz, .npy or -ubyte[.gz]"
    raise UsageError(f"The name of `out` sets the format of arrays, so {printable(str(out))} must end in {ends}.")


def is_idx(path: Path) -> bool:
    """Tell whether a file's name or its first bytes are those of an IDX file, gzipped or not."""
    name = path.name.removesuffix(".gz")
    return name.endswith(("-ubyte", ".idx", ".idx1", ".idx3")) or "-idx" in name


def read_idx(path: Path) -> Array:
    """Read an IDX file, plain or gzipped, by its first bytes.

    Raises:
        DataError: If it is not one, or is cut off, or is too long; the message names the byte.
    """
    name = printable(str(path))
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else open(path, "rb") as file:
            header = file.read(4)
            if len(header) < 4 or header[0] or header[1] or header[2] not in IDX_TYPES:
                wrong = next((i for i, byte in enumerate(header[:3]) if byte not in ((0,), (0,), IDX_TYPES)[i]), len(header))
                found = f"0x{header[wrong]:02x}" if wrong < len(header) else "the file's end"
                raise DataError(
                    f"{name} is not an IDX file: byte {wrong} is {found}, not {'0x00' if wrong < 2 else 'a known type'}."
                )
            dimensions = header[3]
            if not 1 <= dimensions <= 4:
                raise DataError(f"{name} is not an IDX file of images or labels: byte 3 says {dimensions} dimensions, not 1 to 4.")
            sizes = file.read(4 * dimensions)
            if len(sizes) < 4 * dimensions:
                raise DataError(
                    f"{name} is cut off: it ends at byte {4 + len(sizes)}, within the header of {4 + 4 * dimensions} bytes."
                )
            shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
            dtype = np.dtype(IDX_TYPES[header[2]])
            promised = math.prod(shape) * dtype.itemsize
            chunks, count = [], 0
            while chunk := file.read(min(1 << 24, promised + 1 - count)):
                chunks.append(chunk)
                count += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    start = 4 + 4 * dimensions
    if count != promised:
        problem = (
            f"is cut off: it ends at byte {start + count}" if count < promised else f"goes on after byte {start + promised - 1}"
        )
        raise DataError(
            f"{name} {problem}, but its header (bytes 4 to {start - 1}) says {shape}, which is {start + promised} bytes."
        )
    return np.frombuffer(b"".join(chunks), dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def write_idx(path: Path, array: Array) -> None:
    """Write an array as an IDX file, gzipped if the name ends in .gz.

    Raises:
        DataError: If the format has no such type.
    """
    code = next((code for code, kind in IDX_TYPES.items() if np.dtype(kind).newbyteorder("=") == array.dtype), None)
    if code is None:
        raise DataError(f"An IDX file cannot hold {array.dtype} values. Choose an `out` that ends in .npz or .npy.")
    header = bytes((0, 0, code, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    content = header + np.ascontiguousarray(array, IDX_TYPES[code]).tobytes()
    write_whole(path, gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content)
