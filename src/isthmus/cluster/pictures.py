"""Restoring and improving on many machines: each picture as `restore_file` does it, so that the same bytes come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isthmus.cluster.manifest import WRITTEN, Manifest
from isthmus.cluster.run import Work, run
from isthmus.cluster.session import Cluster
from isthmus.datasets import Rewritten, Source
from isthmus.datasets.base import OnProgress
from isthmus.datasets.folder import Folder
from isthmus.datasets.rewriting import Told, changed_together, runs
from isthmus.errors import UsageError, printable
from isthmus.imaging.picture import Picture, encode_picture, lost_in
from isthmus.improve import Improver
from isthmus.model import from_bytes
from isthmus.restore import Restorer, hardly_changed
from isthmus.storage.store import Store

MANIFEST = "_manifest/"
"""The manifest's folder, in that of the output; readers of Parquet leave out what begins so."""

HARDLY_CHANGED = "it looks noisy or finely textured, and hardly changed."


@dataclass(frozen=True, kw_only=True)
class How:
    """How pictures are restored; see `Restorer`. It travels to the workers, with the models."""

    models: tuple[bytes, ...] = ()
    """The content of the model files; without, each picture is improved by the models that ship."""
    strength: float = 1.0
    self_ensemble: bool = False
    fast: bool = False
    mask: Picture | None = None
    hints: Picture | None = None
    device: str = "auto"
    memory: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    """The job."""

    how: How
    folder: Folder
    """Without its list of files."""
    out: Store
    places: dict[str, str] = field(default_factory=dict)
    """Where pictures go whose name changes."""
    extra: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Work:
        """Load the models."""
        how = self.how
        restorer, improver = None, None
        if how.models:
            models = [from_bytes(content, how.device) for content in how.models]
            restorer = Restorer(
                models,
                strength=how.strength,
                self_ensemble=how.self_ensemble,
                fast=how.fast,
                mask=how.mask,
                hints=how.hints,
                memory=how.memory,
            )
        else:
            improver = Improver(
                strength=how.strength, self_ensemble=how.self_ensemble, fast=how.fast, device=how.device, memory=how.memory
            )

        def change(names: Sequence[str], pictures: Sequence[Picture]) -> list[tuple[Picture, list[str]]]:
            """Return what pictures of one shape become, and what is said of each."""
            if improver:
                improved = [improver.improve(picture) for picture in pictures]
                return [(result.picture, [str(result)]) for result in improved]
            assert restorer
            before = restorer.hardly_changed
            changed = changed_together(names, pictures, restorer.restore)
            if restorer.hardly_changed == before:
                return [(picture, []) for picture in changed]
            pairs = zip(pictures, changed, strict=True)
            which = [len(pictures) == 1 or hardly_changed(old.plain()[None], new.plain()[None]) > 0 for old, new in pairs]
            return [(picture, [HARDLY_CHANGED] if hardly else []) for picture, hardly in zip(changed, which, strict=True)]

        def work(names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
            for some, pictures, _ in runs((name, self.folder.picture(name)) for name in names):
                done = change(some, pictures)
                yield [self._write(*each) for each in zip(some, pictures, done, strict=True)]

        return work

    def _write(self, name: str, picture: Picture, done: tuple[Picture, list[str]]) -> dict[str, Any]:
        changed, remarks = done
        place = self.places.get(name, name)
        if changed is picture and self.folder.same_format(name, Path(place)):
            self.out.write(place, self.folder.content(name))
        else:
            remarks = [*remarks, *changed.remarks, *lost_in(changed, place)]
            self.out.write(place, encode_picture(changed, Path(place).name, self.folder.quality))
        return {"reason": " ".join(remarks)}


def restore_pictures(
    how: How,
    source: Source,
    out: str | Path,
    cluster: Cluster,
    *,
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Rewritten:
    """Restore the pictures of a folder or a URL into the same names and subfolders, on many machines.

    Args:
        how: The models and how they are used.
        source: The pictures.
        out: A folder that all machines see, or a URL. `_manifest/` in it has one row for each picture.
        cluster: Where to compute.
        overwrite: Replace what exists.
        resume: Do only what the manifest does not name as written.
        on_progress: Called with how many pictures are done, and of how many.

    Raises:
        DataError: If most of the pictures cannot be read.
        UsageError: If `out` is the input, or exists, or the cluster cannot be reached.
        Interrupted: After SIGINT or SIGTERM.
    """
    store = Store.at(out)
    folder = folder_of(source, store)
    changed = {name: place.as_posix() for name, place in folder.places(Path()).items() if Path(name) != place}
    job = _Pictures(how=how, folder=replace(folder, files=(), sidecars=(), others=()), out=store, places=changed)
    manifest, told = Manifest(store, MANIFEST, {}), Told()

    def note(rows: Any) -> None:
        if how.models:
            for row in rows.select(["path", "outcome", "reason"]).to_pylist():
                if row["outcome"] == WRITTEN and row["reason"]:
                    told.note(row["path"], [row["reason"]])

    with manifest.held(overwrite=overwrite, resume=resume):
        written = run(job, folder, manifest, cluster, resume=resume, on_progress=on_progress, on_rows=note)
        for sidecar in folder.sidecars:
            store.write(sidecar, folder.content(sidecar))
    told.log()
    return written


def folder_of(source: Source, out: Store) -> Folder:
    """Return a source's pictures, without those that lie in the output.

    Raises:
        UsageError: If they are none, or the output is the input.
    """
    if not isinstance(source, Folder):
        raise UsageError("`cluster` is for folders of pictures and their URLs. Leave it out for arrays and datasets.")
    if source.store == out or (not out.is_remote and not source.url and Path(out.root).resolve() == source.root.resolve()):
        raise UsageError(f"{printable(out.root)} is the input itself. Choose another `out`.")
    if not source.url and not out.is_remote:
        source = source.without(Path(out.root))
    if source.url:
        inside = f"{source.url.rstrip('/')}/"
        if out.root.startswith(inside):
            below = Path(out.root.removeprefix(inside))
            kept = [
                tuple(file for file in some if not file.is_relative_to(below))
                for some in (source.files, source.sidecars, source.others)
            ]
            return replace(source, files=kept[0], sidecars=kept[1], others=kept[2])
        return source
    return replace(source, root=Path(source.store.root))
