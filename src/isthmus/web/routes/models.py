"""What a model does: restore, encode, decode, invent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi import Path as PathField
from pydantic import BaseModel, Field

from isthmus import __version__
from isthmus.errors import DataError
from isthmus.imaging.picture import Picture, encode_picture, lost_in
from isthmus.model import Model
from isthmus.restore import Restorer
from isthmus.web.model_store import IMPROVE, ModelStore
from isthmus.web.results import Result, Results
from isthmus.web.routes.common import IMAGE, file, fitting, named_as, new_router, png, receive, sheet
from isthmus.web.worker import Worker

MOST_CODES = 1000
FARTHEST = 1_000_000
"""Largest number of a code: no training set's are near it."""

JOB = r"^[A-Za-z0-9-]{0,64}$"
"""What the name of a job may be."""


class Codes(BaseModel):
    """Codes to make images of."""

    model: str
    codes: Annotated[list[Any], Field(min_length=1, max_length=MOST_CODES, description="As /api/encode gives them")]


class GenerateRequest(BaseModel):
    """How many images to invent."""

    model: str
    count: Annotated[int, Field(ge=1, le=MOST_CODES)] = 64
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0


def model_routes(store: ModelStore, worker: Worker, reader: Worker) -> APIRouter:
    """Return the functions that use a model.

    Args:
        store: The models.
        worker: Where models work.
        reader: Where pictures are only read and written, beside the worker.
    """
    routes = new_router()
    results = Results()

    @routes.get("/health")
    async def health(request: Request) -> dict[str, Any]:
        """Tell that the server lives, whether it works, and how many bytes a request may have."""
        largest = request.app.state.limits.body_bytes
        return {"status": "ok", "version": __version__, "working": worker.turn.locked(), "largest_request": largest}

    @routes.get("/models")
    def models() -> list[dict[str, Any]]:
        """List the models; the one that restores where a request names none has "default": true."""
        usual = store.usual()
        return [{**store.describe(name), "default": name == usual} for name in store.names()]

    @routes.post("/restore", response_class=Response, responses=IMAGE)
    async def restore(
        request: Request,
        image: Annotated[UploadFile, File(description="A picture in any format that isthmus reads")],
        model: Annotated[str, Form(description="A name from /api/models; by default, the one that suits most pictures")] = "",
        strength: Annotated[float, Form(ge=0, le=1)] = 1.0,
        self_ensemble: Annotated[bool, Form(description="Better, and eight times slower")] = False,
        mask: Annotated[UploadFile | None, File(description="For a model that completes: white where something is missing")] = None,
        hints: Annotated[UploadFile | None, File(description="For a colorizer: opaque or colored pixels are colors to set")] = None,
        format: Annotated[str, Form(description="Such as png; by default, the picture's own")] = "",
        quality: Annotated[int, Form(ge=0, le=100, description="From 1 to 100, where the format has one; 0 for the picture's")] = 0,
        job: Annotated[str, Form(pattern=JOB, description="A name of your own, to ask /api/jobs how far it is")] = "",
    ) -> Response:
        """Restore a picture; it comes back in its own format, depth and profile, unless another format is asked for."""
        began, upload = time.perf_counter(), await receive(image)
        written = named_as(upload.name, format)
        beside = [None if told is None else await receive(told) for told in (mask, hints)]
        report: dict[str, Any] = {}

        def improve(picture: Picture, on_progress: Callable[[float], None]) -> Picture:
            improved = store.improver(self_ensemble=self_ensemble).improve(picture, on_progress)
            sentences = " ".join(improved.findings.suggestions)
            report["found"], report["done"] = improved.findings.sentences, improved.done
            report["suggests"] = [verb for verb in ("upscale", "colorize") if verb in sentences]
            return Result("", picture, improved.picture).blended(strength) if improved.done else picture

        def restore_with(models: list[Model], picture: Picture, on_progress: Callable[[float], None]) -> Picture:
            told = [None if other is None else other.decode() for other in beside]
            restorer = Restorer(models, strength=strength, self_ensemble=self_ensemble, mask=told[0], hints=told[1])
            restored = restorer.restore_picture(picture, on_progress)
            report["remarks"] = [restorer.remark] if restorer.remark else []
            return restored

        def work(on_progress: Callable[[float], None]) -> bytes:
            name, picture = model or store.default(), upload.decode()
            improves = name == IMPROVE and IMPROVE in store.names()
            restored = improve(picture, on_progress) if improves else restore_with(store.all_of(name), picture, on_progress)
            report["remarks"] = [*report.get("remarks", ()), *picture.remarks, *lost_in(restored, written)]
            if job:
                results.keep(job, Result(upload.name, picture, restored))
            if restored is picture and written == upload.name and not quality:
                return upload.content  # nothing was done
            return encode_picture(restored, written, quality)

        content = await worker.do(request, work, job)
        told = {"X-Isthmus-Seconds": f"{time.perf_counter() - began:.3f}", "X-Isthmus-Report": json.dumps(report)}
        return file(content, written, told)

    @routes.get("/jobs/{job}")
    async def progress(job: Annotated[str, PathField(pattern=JOB)]) -> dict[str, Any]:
        """Tell how far a job is: its "state" is waiting, working, done or unknown, its "share" from 0 to 1."""
        share = worker.shares.get(job)
        if share is None:
            done = results.get(job) is not None
            return {"state": "done" if done else "unknown", "share": float(done)}
        return {"state": "working" if share >= 0 else "waiting", "share": max(0.0, share)}

    @routes.get("/jobs/{job}/picture", response_class=Response, responses=IMAGE)
    async def picture_of(
        request: Request,
        job: Annotated[str, PathField(pattern=JOB)],
        strength: Annotated[float, Query(ge=0, le=1)] = 1.0,
        format: str = "",
        quality: Annotated[int, Query(ge=0, le=100)] = 0,
    ) -> Response:
        """Return a job's result again, weaker or in another format, without computing; the server keeps the last ones."""
        result = results.get(job)
        if result is None:
            raise HTTPException(404, "This result is no longer kept: restore the picture again.")
        written = named_as(result.name, format)
        content = await reader.do(request, lambda on_progress: encode_picture(result.blended(strength), written, quality))
        return file(content, written)

    @routes.post("/preview", response_class=Response, responses=IMAGE)
    async def preview(request: Request, image: Annotated[UploadFile, File()]) -> Response:
        """Return any picture that isthmus reads as a PNG of 8 bits, which every browser shows."""
        upload = await receive(image)

        def work(on_progress: Callable[[float], None]) -> bytes:
            picture = upload.decode()
            return png(picture.pixels, picture.alpha)

        return file(await reader.do(request, work), "preview.png")

    @routes.post("/encode")
    async def encode(request: Request, image: Annotated[UploadFile, File()], model: Annotated[str, Form()]) -> dict[str, Any]:
        """Return the code of a picture, and how strange it is to the model; it is brought to the model's size."""
        upload = await receive(image)

        def work(on_progress: Callable[[float], None]) -> dict[str, Any]:
            trained = store.get(model)
            images = fitting(trained, upload.decode())
            code = trained.encode(images)[0]
            scores = {name: float(values[0]) for name, values in trained.novelty_scores(images).items()}
            return {"shape": list(code.shape), "code": code.tolist(), "scores": scores}

        return await worker.do(request, work)

    @routes.post("/decode", response_class=Response, responses=IMAGE)
    async def decode(request: Request, body: Codes) -> Response:
        """Return the images that codes stand for, side by side, as a PNG."""
        try:
            codes = np.asarray(body.codes, np.float64)
        except (ValueError, TypeError, OverflowError):
            raise DataError("Codes are lists of numbers, all of the same length.") from None
        if not (np.abs(codes) <= FARTHEST).all():
            raise DataError(f"The numbers of codes lie between -{FARTHEST:,} and {FARTHEST:,}.")
        return file(await worker.do(request, lambda on_progress: sheet(store.get(body.model).decode(codes))), "decoded.png")

    @routes.post("/generate", response_class=Response, responses=IMAGE)
    async def generate(request: Request, body: GenerateRequest) -> Response:
        """Invent images, side by side, as a PNG."""

        def work(on_progress: Callable[[float], None]) -> bytes:
            return sheet(store.get(body.model).generate(body.count, body.seed))

        return file(await worker.do(request, work), "new.png")

    return routes
