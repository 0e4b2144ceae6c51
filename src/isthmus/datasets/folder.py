"""Images in files: a folder of pictures, or one picture."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus.datasets.base import SIDECARS, Change, Dataset, OnProgress, Rewritten, Skipped, ahead, hold_out
from isthmus.datasets.rewriting import PictureChange, Told, change_run, changed_together, of_one_file, runs
from isthmus.errors import DataError, IsthmusError, UsageError, printable
from isthmus.imaging.arrays import Array, alike, resize, widest
from isthmus.imaging.content import quiet_libraries
from isthmus.imaging.picture import (
    FORMATS,
    OTHERS,
    UNREAD,
    WRITABLE,
    Picture,
    decode_picture,
    format_of,
    is_picture_name,
    lost_in,
    read_picture,
    write_picture,
)
from isthmus.storage.atomic import check_output, resumable, write_whole
from isthmus.storage.store import Store

MAX_BAD = 0.5
"""Where more than this share of a folder's pictures cannot be read, something else is wrong than a few files."""

HEADER_BYTES = 1 << 16
"""Of a file, what is read first to learn its size."""

LOG = logging.getLogger("isthmus")


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

    others: tuple[Path, ...] = field(default=(), repr=False)
    """Pictures in formats that are not read, and what is named like a picture and is no regular file, relative to `root`."""

    format: str = ""
    """The end of the names of what `rewrite` writes, such as ".png"; "" for that of each picture."""

    quality: int = 0
    """Of what `rewrite` writes, from 1 to 100, in formats that have one; 0 for that of each picture."""

    several: bool = False
    """Whether several inputs were named, so that what `rewrite` writes is a folder."""

    url: str = ""
    """Where the pictures lie, if not in a folder of this machine: then `root` is of no account."""

    begun: dict[Path, Future[Picture]] = field(default_factory=dict, repr=False, compare=False)
    """Pictures that are being decoded, before anyone asks."""

    has_test = False

    @classmethod
    def of(cls, paths: Sequence[Path], max_bad: float = MAX_BAD) -> Folder:
        """Return several pictures and folders as one, below what their paths have in common."""
        whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100  # resolve() would follow links
        root = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in whole]))
        files: dict[Path, None] = {}
        sidecars: dict[Path, None] = {}
        others: dict[Path, None] = {}
        for path in whole:
            if path.is_dir():
                inner = cls.scan(path, max_bad)
                for found, kept in ((inner.files, files), (inner.sidecars, sidecars), (inner.others, others)):
                    kept.update(dict.fromkeys((path / file).relative_to(root) for file in found))
            else:
                files[path.relative_to(root)] = None
        return cls(root, tuple(files), tuple(sidecars), max_bad, tuple(others))

    @classmethod
    def scan(cls, root: Path, max_bad: float = MAX_BAD) -> Folder:
        """Find the pictures below `root`; links that lead out of it, and links to folders, are not followed."""
        inside = root.resolve()
        pictures, sidecars, others, outside = list[Path](), list[Path](), list[Path](), 0
        for path, regular in _walk(root):
            if not regular and path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                outside += 1
            elif is_picture_name(path.name) and path.suffix.lower() not in UNREAD:
                (pictures if regular or path.is_symlink() else others).append(path.relative_to(root))
            elif regular and path.suffix.lower() in SIDECARS:
                sidecars.append(path.relative_to(root))
            elif regular and path.suffix.lower() in (*OTHERS, *UNREAD):
                others.append(path.relative_to(root))
        if not pictures:
            ends = ", ".join(suffix[1:] for suffix in FORMATS)
            links = f" Links that lead out of it are not followed: {outside:,}." if outside else ""
            raise DataError(f"There are no pictures in {printable(str(root))} (looked for {ends}, in all its folders).{links}")
        return cls(root, tuple(pictures), tuple(sidecars), max_bad, tuple(others))

    @classmethod
    def at(cls, url: str, max_bad: float = MAX_BAD) -> Folder:
        """Find the pictures below a URL."""
        names = [Path(name) for name in Store.at(url).names()]
        ends = {name: name.suffix.lower() for name in names}
        pictures = tuple(name for name in names if ends[name] in FORMATS and ends[name] not in UNREAD)
        if not pictures:
            raise DataError(f"There are no pictures in {printable(url)} (looked for {', '.join(end[1:] for end in FORMATS)}).")
        sidecars = tuple(name for name in names if ends[name] in SIDECARS)
        others = tuple(name for name in names if ends[name] in (*OTHERS, *UNREAD))
        return cls(Path(), pictures, sidecars, max_bad, others, url=url)

    @property
    def store(self) -> Store:
        """Where the pictures lie."""
        return Store.at(self.url or self.root)

    def content(self, file: str | Path, end: int | None = None) -> bytes:
        """Return the bytes of a file, or the first ones."""
        return self.store.read(file, end=end)

    def picture(self, file: str | Path) -> Picture:
        """Read a picture; see `read_picture`."""
        if begun := self.begun.pop(Path(file), None):
            return begun.result()
        if not self.url:
            return read_picture(self.root / file)
        return decode_picture(self.content(file), printable(self.store.name_of(file)))

    def begin(self) -> Folder:
        """Return the folder with its first picture being decoded in a thread: meanwhile, torch can be imported."""
        first = self.files[0]
        return dataclasses.replace(self, begun={first: ThreadPoolExecutor(1).submit(self.picture, first)})

    @property
    def title(self) -> str:
        """The folder's path, or the picture's."""
        if self.url:
            return printable(self.url)
        return printable(str(self.root if len(self.files) != 1 else self.root / self.files[0]))

    def sizes(self) -> Counter[tuple[int, int]]:
        """Count the sizes (H, W) that the pictures' headers tell."""
        return self._sizes.copy()

    @cached_property
    def _sizes(self) -> Counter[tuple[int, int]]:
        return Counter(size for size in ahead(self._size, self.files, waiting=bool(self.url)) if size)

    def _size(self, file: Path) -> tuple[int, int] | None:
        for end in (HEADER_BYTES, None):
            try:
                with quiet_libraries(), Image.open(self._opened(file, end)) as image:
                    return image.height, image.width
            except Exception:  # a header that cannot be read is reported, with its name, when the picture is
                continue
        return None

    def _opened(self, file: Path, end: int | None) -> BytesIO | Path:
        return BytesIO(self.content(file, end)) if self.url else self.root / file

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
        labels = np.array([self.label(name) for name in names])
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
                self.check_share(skipped)
                yield name, outcome
            else:
                if outcome.pages:
                    LOG.warning("%s holds %d pictures: only the first is taken.", printable(name), outcome.frames)
                yield name, np.moveaxis(outcome.pixels, -1, 0)

    def one(self, place: int, split: str = "all") -> Array:
        """Read a picture again; see `Source.one`."""
        return np.moveaxis(self.picture(self.files[place]).pixels, -1, 0)

    def label(self, file: str) -> str:
        """Return a picture's label: the name of its folder."""
        return Path(file).parent.name

    def rewrite(
        self, out: Path, change: Change, *, overwrite: bool = False, resume: bool = False, on_progress: OnProgress | None = None
    ) -> Rewritten:
        """Write the changed pictures under the same names, in the same folders, formats and depths."""
        together = partial(changed_together, change=change)
        return self.rewrite_pictures(out, together, overwrite=overwrite, resume=resume, on_progress=on_progress)

    @resumable()
    def rewrite_pictures(
        self,
        out: Path,
        change: PictureChange,
        *,
        overwrite: bool = False,
        resume: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Rewritten:
        """Write what `change` makes of the pictures; see `rewrite`. A picture that it returns as it is keeps its file's bytes."""
        self = self.without(out)
        places = self.places(out)
        single = next(iter(places.values())) == out
        if out.resolve() == self.root.resolve() or (single and out.resolve() == (self.root / self.files[0]).resolve()):
            raise UsageError(f"{printable(str(out))} is the input itself. Choose another `out`.")
        check_output(out, overwrite=overwrite or resume)
        left = tuple(file for file in self.files if not (resume and places[str(file)].exists()))
        there = len(self.files) - len(left)
        count, skipped, told = 0, self.unread(), Told()
        unread = len(skipped)
        with ThreadPoolExecutor(1) as writer:  # while pictures are changed, those before them are written
            writing: Future[tuple[int, list[Skipped]]] = writer.submit(lambda: (0, []))
            for names, pictures, failures in itertools.chain(runs(self._pictures(left)), [([], [], [])]):
                changed, failed = change_run(names, pictures, change)
                written, unwritten = writing.result()
                writing = writer.submit(self._write, changed, places, told)
                count += written
                skipped += [*failures, *failed, *unwritten]
                self.check_share(skipped[unread:])
                if on_progress:
                    on_progress(there + count + len(skipped) - unread, len(self.files))
        for sidecar in self.sidecars:
            write_whole(out / sidecar, self.content(sidecar))
        told.log()
        return Rewritten(count, tuple(skipped), there)

    def _write(self, changed: list[tuple[str, Picture, Picture]], places: dict[str, Path], told: Told) -> tuple[int, list[Skipped]]:
        """Write pictures, (name, what it became, what it was) each; return how many were, and which could not be."""
        count, skipped = 0, list[Skipped]()
        for name, picture, original in changed:
            try:
                if picture is original and self.same_format(name, places[name]):
                    write_whole(places[name], self.content(name))
                else:
                    told.note(name, (*picture.remarks, *lost_in(picture, places[name].name)))
                    write_picture(places[name], picture, self.quality)
                count += 1
            except IsthmusError as error:
                if not of_one_file(error):
                    raise
                skipped.append(Skipped(name, f"{printable(name)}: {error}"))
        return count, skipped

    def places(self, out: Path) -> dict[str, Path]:
        """Return where each picture is written.

        Raises:
            UsageError: If `out` names one file of a format that cannot be written, or of one that does not fit.
        """
        end = self.format.lower()
        end = f".{end}" if end and not end.startswith(".") else end
        known = ", ".join(suffix[1:] for suffix in WRITABLE)
        if end and end not in WRITABLE:
            raise UsageError(f"`format={printable(end[1:])}` cannot be written. Accepted are {known}.")
        if len(self.files) == 1 and out.suffix and not out.is_dir() and not self.several:
            suffix = out.suffix.lower()
            if suffix not in WRITABLE and (suffix in FORMATS or suffix in OTHERS or not self._is_folder()):
                raise UsageError(
                    f"{printable(out.name)} cannot be written: unknown format. The name of `out` must end in one of {known}."
                )
            if end and format_of(end) != format_of(out.name):
                raise UsageError(f"`format={end[1:]}` and the name {printable(out.name)} disagree. Leave one out.")
            if suffix in WRITABLE:
                return {str(self.files[0]): out}
        taken: set[Path] = set(self.files)
        places = {}
        for file in self.files:
            kept = file.suffix.lower() in WRITABLE and (not end or format_of(end) == format_of(file.name))
            new = file if kept else file.with_suffix(end or ".tif")
            if not kept and new in taken:
                new = file.with_name(file.name + (end or ".tif"))
            taken.add(new)
            places[str(file)] = out / new
        return places

    def same_format(self, name: str, place: Path) -> bool:
        """Tell whether a picture that needs nothing may keep its file's bytes."""
        return not self.quality and format_of(name) == format_of(place.name)

    def _is_folder(self) -> bool:
        return bool(self.sidecars or self.others or len(self.files) != 1)

    def without(self, out: Path) -> Folder:
        """Return the folder without what lies in `out`, where that lies inside of it."""
        root, inner = self.root.resolve(), out.resolve()
        if self.url or inner == root or not inner.is_relative_to(root):
            return self
        inside = inner.relative_to(root)

        def kept(files: tuple[Path, ...]) -> tuple[Path, ...]:
            return tuple(file for file in files if not file.is_relative_to(inside) or file == inside)

        left = dataclasses.replace(self, files=kept(self.files), sidecars=kept(self.sidecars), others=kept(self.others))
        if not left.files:
            raise DataError(f"All pictures in {self.title} lie in {printable(str(out))}. Choose another `out`.")
        return left

    def unread(self) -> list[Skipped]:
        """Return the files that are not read, and say once of which kinds they are."""
        ends = [file.suffix.lower() for file in self.others]
        kinds = Counter(end[1:] if end in (*OTHERS, *UNREAD) else "not a regular file" for end in ends)
        if kinds:
            listed = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
            if set(UNREAD) & set(ends):
                listed += " (HEIC and RAW are read with the extra [camera]: pip install 'isthmus[camera]')"
            LOG.warning("%s holds pictures that isthmus does not read: %s.", printable(str(self.root)), listed)
        reasons = ("is in a format that is not read" if end in (*OTHERS, *UNREAD) else "is not a regular file" for end in ends)
        return [Skipped(str(file), f"{printable(str(file))} {why}.") for file, why in zip(self.others, reasons, strict=True)]

    def check_share(self, skipped: list[Skipped]) -> None:
        """Refuse to go on where more pictures were skipped than `max_bad` allows."""
        if len(skipped) > self.max_bad * len(self.files):
            if len(self.files) == 1:
                raise DataError(skipped[0].reason)
            raise DataError(
                f"{len(skipped)} of the {len(self.files)} pictures in {self.title} cannot be used, "
                f"more than `max_bad` {self.max_bad:g} allows; the first: {skipped[0].reason}"
            )

    def _pictures(self, files: Iterable[Path]) -> Iterator[tuple[str, Picture | Skipped]]:
        """Decode pictures a little ahead, in order."""

        def read(file: Path) -> tuple[str, Picture | Skipped]:
            try:
                return str(file), self.picture(file)
            except DataError as error:
                return str(file), Skipped(str(file), str(error))

        return ahead(read, files, waiting=bool(self.url))


def _walk(root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield all that is below a folder but links to folders and what is hidden, and whether it is a regular file, in order."""
    names, folders = [], []
    with contextlib.suppress(PermissionError), os.scandir(root) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif not (entry.is_symlink() and Path(entry.path).is_dir()):
                names.append((entry.name, entry.is_file(follow_symlinks=False)))
    yield from ((root / name, regular) for name, regular in sorted(names))
    for folder in sorted(folders):
        yield from _walk(root / folder)


def _stack(images: list[Array]) -> Array:
    channels, dtype = max(map(len, images)), widest([image.dtype for image in images])
    return np.stack([alike(image, channels, dtype) for image in images])
