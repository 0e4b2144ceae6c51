"""Datasets by name: where their files are, and their checksums.

A file is looked for in the user's data folder, then in the cache, then on the usual public mirrors. What is downloaded must
have the SHA-256 pinned here, or it is deleted. Two sets need no download: `mnist-5k` ships, and `digits` comes with scikit-learn.
"""

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus.errors import DataError, printable, require
from isthmus.imaging.arrays import Array
from isthmus.storage.atomic import write_whole


@dataclass(frozen=True)
class Download:
    """A data set of several files."""

    mirrors: tuple[str, ...]
    """Where the files lie, tried in order."""
    sha256: dict[str, str]
    """The files, in order, and what they must hash to."""


DOWNLOADS = {
    "mnist": Download(
        mirrors=("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
        sha256={
            "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Download(
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        sha256={
            "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
    ),
}

DATA = Path(__file__).parent / "data"

EMBEDDED = {
    "digits": "1,797 digits of 8 x 8 pixels, with scikit-learn",
    "mnist-5k": "5,000 of MNIST's digits, 500 of each, in the package (datasets/data/SOURCE.md)",
}

BINARIZED = {"binary-mnist": "mnist"}
"""Sets whose values are drawn once, and for all, as black or white: the fixed protocol of likelihoods.

Source: Larochelle and Murray (2011); the draw is our own, so likelihoods differ from those of their files in the last digits."""


def cache_folder() -> Path:
    """Return the folder where downloads are kept: $ISTHMUS_CACHE, or the system's cache folder."""
    own = os.environ.get("ISTHMUS_CACHE")
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else Path(base or Path.home() / ".cache") / "isthmus"


def find(name: str, data_dir: Path | None = None, download: Download | None = None) -> tuple[Path, ...]:
    """Return the files of a data set, downloading those that are nowhere.

    Args:
        name: A name in `DOWNLOADS`.
        data_dir: A folder with a subfolder `name` that holds the files, gzipped or not; it is only read.
        download: The set, where it is not the one in `DOWNLOADS`.

    Raises:
        DataError: If a file is nowhere and cannot be downloaded, or has the wrong hash.
    """
    download = download or DOWNLOADS[name]
    if data_dir is not None:
        own = [data_dir / name / file for file in download.sha256]
        own = [file if file.exists() else file.with_suffix("") for file in own]
        if all(file.exists() for file in own):
            return tuple(own)
    return tuple(_fetch(name, file, download) for file in download.sha256)


def _fetch(name: str, file: str, download: Download) -> Path:
    """Return a file of a dataset, from the cache or else from a mirror."""
    path = cache_folder() / name / file
    if path.exists() and _digest(path.read_bytes()) == download.sha256[file]:
        return path
    failures = []
    for mirror in download.mirrors:
        try:
            with urllib.request.urlopen(mirror + file, timeout=60) as answer:
                content = answer.read()
        except OSError:  # no network, no such server, no such file
            failures.append(f"{mirror} cannot be reached")
            continue
        if _digest(content) == download.sha256[file]:
            write_whole(path, content)
            return path
        failures.append(f"{mirror} gave a file with another SHA-256, which was deleted")
    raise DataError(
        f"{name} is not on this machine, and {'; '.join(failures)}. Copy {', '.join(download.sha256)} "
        f"to {printable(str(path.parent))}, or pass `data_dir`, a folder that has them in {name}/."
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def embedded(name: str) -> tuple[Array, Array]:
    """Return images `(n, H, W)` uint8 and labels `(n,)` of a data set that comes with a package.

    >>> [part.shape for part in embedded("digits")]
    [(1797, 8, 8), (1797,)]
    """
    if name == "digits":
        require("evaluate", "sklearn")
        from sklearn.datasets import load_digits

        digits = load_digits()
        return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.uint8)
    with np.load(DATA / f"{name}.npz") as file:
        return file["images"], file["labels"]


def binarize(images: Array) -> Array:
    """Return images `(n, H, W)` uint8 with every value drawn as 0 or 255, always in the same way.

    >>> binarize(np.array([[[0, 255]]], np.uint8)).tolist()
    [[[0, 255]]]
    """
    draws = np.random.default_rng(0).integers(0, 255, images.shape, np.uint8)
    return np.where(draws < images, np.uint8(255), np.uint8(0))
