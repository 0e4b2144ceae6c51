"""What a picture needs, found out and done: noise is removed, JPEG artifacts are; what its owner must decide is suggested.

The models that ship do all of it. How noisy a picture is, they tell by what the denoiser removes from a few crops: from a clean
picture hardly anything. How strongly it was compressed, its JPEG tables tell, or its pixels, where it is no JPEG any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.datasets import Rewritten
from isthmus.datasets.base import OnProgress
from isthmus.datasets.folder import Folder
from isthmus.errors import DataError, UsageError, printable
from isthmus.imaging.arrays import Array, to_unit
from isthmus.imaging.picture import Picture
from isthmus.inference.jpeg_artifacts import REPAIRED_QUALITY, jpeg_qualities
from isthmus.restore import Restorer

CROP_SIDE, CROPS = 192, 3
"""Height and width of the crops that are looked at, in pixels, and how many of them there are at most, down and across."""

BLOCK_SIDE = 16
"""Height and width of the blocks of a crop in which what the denoiser removes is measured; the median block counts."""

LEAST_NOISE = 1.9
"""Standard deviation, of 255, above which a picture is noisy. From clean photographs the denoiser removes 0.5 to 1.5, from the
same with white noise of 3 it removes 1.5 to 2.9 (docs/experiments.md)."""

STRONG_NOISE = 8.0
"""Standard deviation, of 255, above which the noise is called strong."""

SOFT = 0.25
"""Correlation of neighbors above which noise is called soft: a camera or a program has smoothed it."""

SAID = {"denoise": "Noise removed.", "repair": "JPEG artifacts removed."}
"""What is said of what was done."""

SMALL = 800
"""Longest side in pixels below which enlarging is suggested."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found out about a picture."""

    noise: float
    """Standard deviation of what the denoiser removes, of 255."""
    soft: bool
    """Whether neighbors share the noise: a camera or a program has smoothed it. Else each pixel has its own."""
    jpeg_quality: int | None
    """1 to 100, as the file's tables tell, or the pixels of a file of another format; None where nothing tells it."""
    gray: bool
    """Whether it has no color."""
    size: tuple[int, int]
    """(H, W) in pixels."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs, in this order: "denoise", "repair", both or nothing."""
        found = {"denoise": self.noise >= LEAST_NOISE, "repair": (self.jpeg_quality or 100) <= REPAIRED_QUALITY}
        return tuple(verb for verb, needed in found.items() if needed)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, in words."""
        kind = "soft, as cameras leave it" if self.soft else "fine, of single pixels"
        strength = "strong noise" if self.noise >= STRONG_NOISE else "some noise"
        noise = f"{strength}, about {self.noise:.0f} of 255, {kind}" if self.noise >= LEAST_NOISE else "hardly any noise"
        compressed = f"JPEG of quality {self.jpeg_quality}" if self.jpeg_quality else ""
        return tuple(words for words in (noise, compressed, "no color" if self.gray else "") if words)

    @property
    def suggestions(self) -> tuple[str, ...]:
        """What its owner may want besides."""
        height, width = self.size
        small = f"It is small ({width} x {height}): `isthmus upscale` enlarges it." if max(self.size) < SMALL else ""
        gray = "It has no color: `isthmus colorize` adds plausible ones." if self.gray else ""
        return tuple(sentence for sentence in (small, gray) if sentence)


@dataclass(frozen=True, kw_only=True)
class Improved:
    """What became of a picture."""

    picture: Picture
    """The improved picture, or the one that was given, where nothing was done."""
    findings: Findings
    """What was found out."""
    done: tuple[str, ...]
    """What was done, in this order: "denoise", "repair", both or nothing."""

    def __str__(self) -> str:
        """Return what was found, done and suggested, as sentences."""
        found = "; ".join(self.findings.sentences)
        done = [SAID[verb] for verb in self.done] or ["Nothing to improve: left unchanged."]
        return " ".join((f"{found[:1].upper()}{found[1:]}.", *done, *self.findings.suggestions))


class Improver:
    """Improves pictures: finds out what each needs, and does it with the models that ship.

    Args:
        strength: From 0 (input) to 1 (output).
        self_ensemble: Average over all eight orientations: a little better, eight times slower.
        fast: Compute in 8 bits: faster and a little less exact; needs AVX-512 VNNI; with AMX, it changes nothing.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        memory: At most so many bytes for the process: large pictures go through in tiles. None for no limit.
        stop: Set it, from any thread, to end the work with `Interrupted`.
    """

    def __init__(
        self,
        *,
        strength: float = 1.0,
        self_ensemble: bool = False,
        fast: bool = False,
        device: str = "auto",
        memory: int | None = None,
        stop: threading.Event | None = None,
    ):
        self.strength, self.self_ensemble, self.fast = strength, self_ensemble, fast
        self.device, self.memory, self.stop = device, memory, stop
        self._restorers: dict[str, Restorer] = {}

    def find(self, picture: Picture) -> Findings:
        """Find out what a picture needs; of several pages, the first is looked at.

        Raises:
            DataError: If the models do not take it.
        """
        image = picture.plain()
        removed = np.concatenate([self._removed(crop) for crop in crops(image)])  # (blocks, C, side, side)
        noise, neighbors = _measured(removed) if len(removed) else (0.0, 0.0)
        tables = picture.coding.options.get("quality") if picture.coding.kind == "JPEG" else None
        return Findings(
            noise=noise,
            soft=neighbors > SOFT,
            jpeg_quality=int(tables) if tables else min(jpeg_qualities(image), default=None),
            gray=len(image) == 1,
            size=(image.shape[1], image.shape[2]),
        )

    def improve(self, picture: Picture, on_progress: Callable[[float], None] | None = None) -> Improved:
        """Find out what a picture needs, and do it.

        Args:
            picture: What `read_picture` returns.
            on_progress: Called with the share done.

        Raises:
            DataError: If the models do not take it.
        """
        findings = self.find(picture)
        for place, verb in enumerate(findings.needs):

            def report(share: float, place: int = place) -> None:
                if on_progress:
                    on_progress((place + share) / len(findings.needs))

            picture = self._restorer(verb).restore_picture(picture, report)
        return Improved(picture=picture, findings=findings, done=findings.needs)

    def _restorer(self, name: str) -> Restorer:
        if name not in self._restorers:
            self._restorers[name] = Restorer(
                name,
                strength=self.strength,
                self_ensemble=self.self_ensemble,
                fast=self.fast,
                device=self.device,
                memory=self.memory,
                stop=self.stop,
            )
        return self._restorers[name]

    def _removed(self, crop: Array) -> Array:
        """Return what the denoiser removes from a crop `(C, H, W)`, of 255, in blocks `(n, C, side, side)`."""
        model = self._restorer("denoise").model_for(len(crop))
        removed = 255 * (to_unit(crop) - to_unit(model.restore(crop[None], stop=self.stop)[0]))
        height, width = (length // BLOCK_SIDE for length in removed.shape[1:])
        blocks = removed[:, : height * BLOCK_SIDE, : width * BLOCK_SIDE].reshape(len(crop), height, BLOCK_SIDE, width, BLOCK_SIDE)
        return np.moveaxis(blocks, (1, 3), (0, 1)).reshape(height * width, len(crop), BLOCK_SIDE, BLOCK_SIDE)


def _measured(removed: Array) -> tuple[float, float]:
    """Return the standard deviation in the median block of `(blocks, C, side, side)`, and how far neighbors are correlated."""
    shared = removed.mean(1)
    variance = max(float(np.square(shared).mean()), 1e-9)
    return float(np.median(removed.std((2, 3)).mean(1))), float((shared[:, :, 1:] * shared[:, :, :-1]).mean()) / variance


def crops(image: Array) -> list[Array]:
    """Return crops of an image `(C, H, W)`, evenly placed, that do not overlap.

    >>> [crop.shape for crop in crops(np.zeros((1, 500, 100)))]
    [(1, 192, 100), (1, 192, 100)]
    """

    def starts(length: int) -> list[int]:
        count = min(CROPS, max(1, length // CROP_SIDE))
        return [int(start) for start in np.linspace(0, max(0, length - CROP_SIDE), count)]

    _, height, width = image.shape
    return [image[:, top : top + CROP_SIDE, left : left + CROP_SIDE] for top in starts(height) for left in starts(width)]


@dataclass(frozen=True, kw_only=True)
class ImprovedFile:
    """What was found in a picture file, and done."""

    name: str
    """Its path; in a folder, relative to it."""
    done: tuple[str, ...]
    """"denoise", "repair", both or nothing: then the file was copied."""
    findings: Findings
    """What was found out."""
    text: str
    """All of it, as sentences."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found = asdict(self.findings) | {"noise": round(self.findings.noise, 2), "size": list(self.findings.size)}
        suggestions = list(self.findings.suggestions)
        return {"name": printable(self.name), "done": list(self.done), **found, "suggestions": suggestions}


@dataclass(frozen=True)
class Improvements:
    """What became of a picture or a folder."""

    written: Rewritten
    """How many were written, and which were skipped."""
    files: list[ImprovedFile] = field(default_factory=list)
    """One for each picture, in the order of their names."""

    def __str__(self) -> str:
        """Return a line for each picture."""
        return "\n".join(f"{printable(file.name)}: {file.text}" for file in self.files)


def improve(
    source: str | Path,
    out: str | Path,
    *,
    strength: float = 1.0,
    self_ensemble: bool = False,
    fast: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    stop: threading.Event | None = None,
) -> Improvements:
    """Find out what each picture needs, and do it: remove noise, remove JPEG artifacts, or nothing.

    A picture that needs nothing is copied, byte for byte.

    Args:
        source: A picture, or a folder of them.
        out: Where to write.
        strength: From 0 (input) to 1 (output).
        self_ensemble: Average over all eight orientations: a little better, eight times slower.
        fast: Compute in 8 bits: faster and a little less exact; needs AVX-512 VNNI; with AMX, it changes nothing.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        overwrite: Replace what exists.
        resume: Skip what exists.
        stop: Set it, from any thread, to end the work; the files that are there are whole, and `resume` does the others.

    Returns:
        What was found and done, for each picture.

    Raises:
        DataError: If there are no pictures, or most of them cannot be read.
        UsageError: If `source` holds no pictures but arrays, or `out` exists.
        Interrupted: If `stop` was set.
    """
    from isthmus.datasets import open_data

    opened = open_data(source)
    improver = Improver(strength=strength, self_ensemble=self_ensemble, fast=fast, device=device, stop=stop)
    return improve_data(improver, opened, Path(out), overwrite=overwrite, resume=resume)


def improve_data(
    improver: Improver,
    source: object,
    out: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Improvements:
    """Improve the pictures of an opened source; what the command line does. See `improve`.

    Args:
        improver: How.
        source: What `open_data` has returned.
        out: Where to write.
        overwrite: Replace what exists.
        resume: Skip what exists.
        on_progress: Called with how many pictures are done, and of how many.
    """
    if not isinstance(source, Folder):
        raise UsageError("Only pictures can be improved. For arrays, choose a model: `isthmus restore denoise-gray DATA`.")
    files: list[ImprovedFile] = []

    def change(names: Sequence[str], pictures: Sequence[Picture]) -> list[Picture]:
        results = [improver.improve(picture) for picture in pictures]
        files.extend(
            ImprovedFile(name=name, done=result.done, findings=result.findings, text=str(result))
            for name, result in zip(names, results, strict=True)
        )
        return [result.picture for result in results]

    written = source.rewrite_pictures(out, change, overwrite=overwrite, resume=resume, on_progress=on_progress)
    if not written.count + written.there:
        raise DataError(f"No picture could be read, so nothing was written to {printable(str(out))}.")
    return Improvements(written, files)
