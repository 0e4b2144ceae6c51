"""Images in files: a folder of pictures, or one picture."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus.datasets.base import Change, Dataset, OnProgress, Rewritten, Skipped, hold_out
from isthmus.errors import DataError, UsageError, printable
from isthmus.imaging.arrays import Array, alike, resize, widest
from isthmus.imaging.picture import FORMATS, Picture, is_picture_name, read_picture, write_picture
from isthmus.storage.atomic import check_output, write_whole

MAX_BAD = 0.5
"""Where more than this share of a folder's pictures cannot be read, something else is wrong than a few files."""

BATCH, BATCH_BYTES = 256, 1 << 26
"""At most so many pictures of one size, and not many more bytes of them, are changed at once."""

AHEAD = 4
"""Pictures that are decoded ahead, for each processor core."""

SIDECARS = (".csv", ".tsv", ".json", ".txt", ".xml")
"""Files beside the pictures that are copied with them: they hold labels."""


@dataclass(frozen=True)
class Folder:
    """A folder of pictures, searched recursively, or one picture."""

    root: Path
    files: tuple[Path, ...]
    """The pictures, relative to `root`, sorted."""
    sidecars: tuple[Path, ...] = field(default=(), repr=False)
    """The labels and notes beside them, relative to `root`."""

    max_bad: float = MAX_BAD
    """Share of the pictures that may be unreadable, in [0, 1]."""

    has_test = False

    @classmethod
    def scan(cls, root: Path, max_bad: float = MAX_BAD) -> Folder:
        """Find the pictures below `root`; links that lead out of it, and links to folders, are not followed."""
        inside = root.resolve()
        pictures, sidecars, outside = [], [], 0
        for folder, folders, names in os.walk(root):
            folders.sort()
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                if not Path(os.path.realpath(path)).is_relative_to(inside):
                    outside += 1
                    continue
                if is_picture_name(name):
                    pictures.append(path.relative_to(root))
                elif path.suffix.lower() in SIDECARS:
                    sidecars.append(path.relative_to(root))
        if not pictures:
            ends = ", ".join(suffix[1:] for suffix in FORMATS)
            links = f" Links that lead out of it are not followed: {outside:,}." if outside else ""
            raise DataError(f"There are no pictures in {printable(str(root))} (looked for {ends}, in all its folders).{links}")
        return cls(root, tuple(pictures), tuple(sidecars), max_bad)

    @property
    def title(self) -> str:
        """The folder's path, or the picture's."""
        return printable(str(self.root if len(self.files) != 1 else self.root / self.files[0]))

    def sizes(self) -> Counter[tuple[int, int]]:
        """Count the sizes (H, W) that the pictures' headers tell."""
        counts: Counter[tuple[int, int]] = Counter()
        for file in self.files:
            try:
                with Image.open(self.root / file) as image:
                    counts[image.height, image.width] += 1
            except Exception:  # a header that cannot be read is reported, with its name, when the picture is
                continue
        return counts

    def read(self, split: str = "all", size: tuple[int, int] | None = None) -> Dataset:
        """Read the pictures; see `Source.read`.

        Pictures of another size than most are scaled to cover it, and their middle is taken. If one is in color, all become
        RGB; if one has 16 bits or floats, all get its type.
        """
        if size is None:
            counts = self.sizes()
            size = min(counts, key=lambda s: (-counts[s], s)) if counts else None
        images: list[Array] = []
        names: list[str] = []
        skipped: list[Skipped] = []
        for name, image in self.each():
            if isinstance(image, Skipped):
                skipped.append(image)
                continue
            images.append(resize(image, size or image.shape[1:]))
            names.append(name)
        if not images:
            raise DataError(f"None of the {len(self.files)} pictures in {self.title} can be read: {skipped[0].reason}")
        labels = np.array([Path(name).parent.name for name in names])
        dataset = Dataset(
            images=_stack(images),
            title=self.title,
            labels=labels if len(set(labels)) > 1 else None,
            names=tuple(names),
            skipped=tuple(skipped),
        )
        return hold_out(dataset, split)

    def each(self, split: str = "all") -> Iterator[tuple[str, Array | Skipped]]:
        """Read all pictures, each in its own size; see `Source.each`."""
        skipped: list[Skipped] = []
        for name, outcome in self._pictures(self.files):
            if isinstance(outcome, Skipped):
                skipped.append(outcome)
                self._check_share(skipped)
                yield name, outcome
            else:
                yield name, np.moveaxis(outcome.pixels, -1, 0)

    def rewrite(
        self, out: Path, change: Change, *, overwrite: bool = False, resume: bool = False, on_progress: OnProgress | None = None
    ) -> Rewritten:
        """Write the changed pictures under the same names, in the same folders, formats and depths."""
        single = len(self.files) == 1 and is_picture_name(out.name)
        if out.resolve() == self.root.resolve():
            raise UsageError(f"{printable(str(out))} is the input itself: name another `out`.")
        check_output(out, overwrite=overwrite or resume)
        places = {str(file): out if single else out / file for file in self.files}
        left = tuple(file for file in self.files if not (resume and places[str(file)].exists()))
        there = len(self.files) - len(left)
        count, skipped = 0, list[Skipped]()
        for names, pictures, failures in _runs(self._pictures(left)):
            changed: Array | None = None
            if pictures:
                try:
                    changed = change(np.stack([np.moveaxis(picture.pixels, -1, 0) for picture in pictures]))
                except DataError as error:
                    failures = [*failures, *(Skipped(name, f"{printable(name)}: {error}") for name in names)]
            skipped += failures
            self._check_share(skipped)
            if changed is not None:
                for name, picture, pixels in zip(names, pictures, changed, strict=True):
                    write_picture(places[name], picture.changed(np.moveaxis(pixels, 0, -1)))
                count += len(pictures)
            if on_progress:
                on_progress(there + count + len(skipped), len(self.files))
        for sidecar in self.sidecars:
            write_whole(out / sidecar, (self.root / sidecar).read_bytes())
        return Rewritten(count, tuple(skipped), there)

    def _check_share(self, skipped: list[Skipped]) -> None:
        if len(skipped) > self.max_bad * len(self.files):
            if len(self.files) == 1:
                raise DataError(skipped[0].reason)
            raise DataError(
                f"{len(skipped)} of the {len(self.files)} pictures in {self.title} cannot be used, "
                f"more than `max_bad` {self.max_bad:g} allows; the first: {skipped[0].reason}"
            )

    def _pictures(self, files: Iterable[Path]) -> Iterator[tuple[str, Picture | Skipped]]:
        """Decode pictures a little ahead, in threads, in order."""

        def read(file: Path) -> tuple[str, Picture | Skipped]:
            try:
                return str(file), read_picture(self.root / file)
            except DataError as error:
                return str(file), Skipped(str(file), str(error))

        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            ahead: deque[Future[tuple[str, Picture | Skipped]]] = deque()
            for file in files:
                ahead.append(pool.submit(read, file))
                if len(ahead) > AHEAD * cores:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()


def _runs(outcomes: Iterable[tuple[str, Picture | Skipped]]) -> Iterator[tuple[list[str], list[Picture], list[Skipped]]]:
    """Group neighbors of one shape and type, up to `BATCH` and `BATCH_BYTES`, so that they can be changed together."""
    names: list[str] = []
    pictures: list[Picture] = []
    failures: list[Skipped] = []
    for name, outcome in outcomes:
        if isinstance(outcome, Skipped):
            failures.append(outcome)
            continue
        kind = (outcome.pixels.shape, outcome.pixels.dtype)
        full = len(pictures) == BATCH or len(pictures) * outcome.pixels.nbytes > BATCH_BYTES
        if pictures and (full or kind != (pictures[0].pixels.shape, pictures[0].pixels.dtype)):
            yield names, pictures, failures
            names, pictures, failures = [], [], []
        names.append(name)
        pictures.append(outcome)
    yield names, pictures, failures


def _stack(images: list[Array]) -> Array:
    channels, dtype = max(map(len, images)), widest([image.dtype for image in images])
    return np.stack([alike(image, channels, dtype) for image in images])
