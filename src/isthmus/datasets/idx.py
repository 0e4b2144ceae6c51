"""The IDX format, in which MNIST and its relatives come: a header of dimensions, then the values; often gzipped.

Source: the format's description on the MNIST page: two zero bytes, a type, the number of dimensions, then each dimension and
the values, big-endian.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from isthmus.errors import DataError, printable
from isthmus.imaging.arrays import Array
from isthmus.storage.atomic import write_whole

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


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
            if len(header) < 4 or header[0] or header[1] or header[2] not in TYPES:
                wrong = next((i for i, byte in enumerate(header[:3]) if byte not in ((0,), (0,), TYPES)[i]), len(header))
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
            dtype = np.dtype(TYPES[header[2]])
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
    code = next((code for code, kind in TYPES.items() if np.dtype(kind).newbyteorder("=") == array.dtype), None)
    if code is None:
        raise DataError(f"An IDX file cannot hold {array.dtype} values. Choose an `out` that ends in .npz or .npy.")
    header = bytes((0, 0, code, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    content = header + np.ascontiguousarray(array, TYPES[code]).tobytes()
    write_whole(path, gzip.compress(content, 6, mtime=0) if path.suffix == ".gz" else content)
