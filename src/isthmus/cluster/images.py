"""Codes and novelty scores of many pictures on many machines, as tables of Parquet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.cluster.manifest import WRITTEN, Manifest
from isthmus.cluster.pictures import MANIFEST, folder_of
from isthmus.cluster.run import Work, run
from isthmus.cluster.session import Cluster
from isthmus.datasets import Rewritten, Source
from isthmus.datasets.base import OnProgress
from isthmus.datasets.folder import Folder
from isthmus.errors import DataError
from isthmus.evaluation.novelty import choose_score, p_values
from isthmus.imaging.arrays import Array, resize
from isthmus.model import Model, from_bytes
from isthmus.storage.store import Store

SCORES = "scores.parquet"
"""The file of all scores, the highest first."""

SHOWN = 100
"""How many of the highest are returned."""


@dataclass(frozen=True, kw_only=True)
class _Images:
    """What both jobs share: the model reads pictures in the size of its training images, or cut from larger ones, in their own."""

    model: bytes
    device: str
    folder: Folder
    """Without its list of files."""

    def images(self, model: Model, names: Sequence[str]) -> Iterator[Array]:
        """Yield pictures as `(n, C, H, W)`, neighbors of one shape and type together; those of their own size one by one."""
        if model.trained_on_patches:
            yield from (np.moveaxis(self.folder.picture(name).pixels, -1, 0)[None] for name in names)
            return
        read = (np.moveaxis(self.folder.picture(name).pixels, -1, 0) for name in names)
        resized = (resize(image, model.image_shape[1:]) for image in read)
        for _, alike in itertools.groupby(resized, lambda image: (image.shape, image.dtype)):
            yield np.stack(list(alike))


@dataclass(frozen=True, kw_only=True)
class _Encoding(_Images):
    @property
    def extra(self) -> dict[str, Any]:
        """The code, and its shape."""
        return {"code": pa.list_(pa.float32()), "shape": pa.list_(pa.int32())}

    def start(self) -> Work:
        """Load the model."""
        model = from_bytes(self.model, self.device)

        def work(names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
            for images in self.images(model, names):
                yield [{"code": code.ravel(), "shape": list(code.shape)} for code in model.encode(images)]

        return work


@dataclass(frozen=True, kw_only=True)
class _Scoring(_Images):
    score: str
    usual: Array

    @property
    def extra(self) -> dict[str, Any]:
        """The score, and its p-value."""
        return {"score": pa.float64(), "p_value": pa.float64()}

    def start(self) -> Work:
        """Load the model."""
        model = from_bytes(self.model, self.device)

        def work(names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
            for images in self.images(model, names):
                found = model.novelty_scores(images)[self.score]
                yield [
                    {"score": float(one), "p_value": float(p)} for one, p in zip(found, p_values(self.usual, found), strict=True)
                ]

        return work


def encode_pictures(
    model: Model,
    source: Source,
    out: str | Path,
    cluster: Cluster,
    *,
    device: str = "cpu",
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Rewritten:
    """Write the codes of the pictures of a folder or a URL as sharded Parquet; the shards are the manifest.

    Args:
        model: What encodes.
        source: The pictures.
        out: A folder that this machine sees, or a URL; `part-*.parquet` in it have path, outcome, reason, code and shape.
        cluster: Where to compute.
        device: Of the workers.
        overwrite: Replace what exists.
        resume: Do only what the shards do not name as written.
        on_progress: Called with how many pictures are done, and of how many.

    Raises:
        DataError: If most of the pictures cannot be read.
        UsageError: If `out` is the input, or exists, or the cluster cannot be reached.
        Interrupted: After SIGINT or SIGTERM.
    """
    store = Store.at(out)
    folder = folder_of(source, store)
    job = _Encoding(model=model.to_bytes(), device=device, folder=_bare(folder))
    manifest = Manifest(store, "", job.extra)
    with manifest.held(overwrite=overwrite, resume=resume):
        return run(job, folder, manifest, cluster, resume=resume, on_progress=on_progress)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What `score_pictures` did."""

    written: Rewritten
    result: dict[str, Any]
    """As `Novelty.to_json`, with the strangest alone."""


def score_pictures(
    model: Model,
    source: Source,
    out: str | Path,
    cluster: Cluster,
    *,
    score: str | None = None,
    device: str = "cpu",
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Scored:
    """Score how unlike a model's training set the pictures of a folder or a URL are.

    Args:
        model: A model trained on the usual images.
        source: The pictures.
        out: A folder that this machine sees, or a URL; `scores.parquet` in it has the highest scores first.
        cluster: Where to compute.
        score: As for `novelty`.
        device: Of the workers.
        overwrite: Replace what exists.
        resume: Do only what the manifest does not name as written.
        on_progress: Called with how many pictures are done, and of how many.

    Raises:
        DataError: If the model has no such score, or most of the pictures cannot be read.
        UsageError: If `out` is the input, or exists, or the cluster cannot be reached.
        Interrupted: After SIGINT or SIGTERM.
    """
    store = Store.at(out)
    folder = folder_of(source, store)
    found = ["error"] if model.trained_on_patches else list(model.novelty_scores(np.zeros((1, *model.image_shape), np.float32)))
    score, usual = choose_score(model, found, score)
    job = _Scoring(model=model.to_bytes(), device=device, folder=_bare(folder), score=score, usual=usual)
    manifest = Manifest(store, MANIFEST, job.extra)
    with manifest.held(overwrite=overwrite, resume=resume):
        written = run(job, folder, manifest, cluster, resume=resume, on_progress=on_progress)
        rows = manifest.read(["path", "outcome", "score", "p_value"])
        rows = rows.filter(pa.compute.equal(rows["outcome"], WRITTEN)).drop_columns(["outcome"])
        if not len(rows):
            raise DataError(f"No picture could be scored: {written.skipped[0].reason}")
        rows = rows.sort_by([("score", "descending"), ("path", "ascending")])
        sink = BytesIO()
        pq.write_table(rows, sink, compression="zstd")
        store.write(SCORES, sink.getvalue())
    top = rows.slice(0, SHOWN)
    result = {
        "data": f"{folder.title} ({len(rows):,} images)",
        "score": score,
        "scores": top["score"].to_pylist(),
        "p_values": top["p_value"].to_pylist(),
        "names": top["path"].to_pylist(),
        "held_out": len(usual),
        "nothing_held_out": model.info.nothing_held_out,
        "strangest": list(range(len(top))),
        "strange": int(np.sum(rows["p_value"].to_numpy() <= 0.01)),
        "images": len(rows),
        "skipped": [one.reason for one in written.skipped],
    }
    return Scored(written=written, result=result)


def _bare(folder: Folder) -> Folder:
    return replace(folder, files=(), sidecars=(), others=())
