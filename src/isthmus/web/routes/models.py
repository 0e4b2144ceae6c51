"""What a model does: restore, encode, decode, invent."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from pydantic import BaseModel, Field

from isthmus import __version__
from isthmus.errors import DataError
from isthmus.imaging.arrays import to_unit
from isthmus.imaging.picture import encode_picture, format_of
from isthmus.web.model_store import ModelStore
from isthmus.web.routes.common import IMAGE, file, fitting, name_of, new_router, png, read_upload, sheet
from isthmus.web.worker import Worker

MOST_CODES = 1000


class Codes(BaseModel):
    """Codes to make images of."""

    model: str
    codes: Annotated[list[Any], Field(min_length=1, max_length=MOST_CODES, description="As /api/encode gives them")]


class GenerateRequest(BaseModel):
    """How many images to invent."""

    model: str
    count: Annotated[int, Field(ge=1, le=MOST_CODES)] = 64
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0


def model_routes(store: ModelStore, worker: Worker) -> APIRouter:
    """Return the functions that use a model.

    Args:
        store: The models.
        worker: Where work is done.
    """
    routes = new_router()

    @routes.get("/health")
    async def health() -> dict[str, Any]:
        """Tell that the server lives, and whether it works."""
        return {"status": "ok", "version": __version__, "working": worker.turn.locked()}

    @routes.get("/models")
    def models() -> list[dict[str, Any]]:
        """List the models."""
        return [store.describe(name) for name in store.names()]

    @routes.post("/restore", response_class=Response, responses=IMAGE)
    async def restore(
        request: Request,
        image: Annotated[UploadFile, File(description="A picture in any format that isthmus reads")],
        model: Annotated[str, Form(description="A name from /api/models")],
        strength: Annotated[float, Form(ge=0, le=1)] = 1.0,
        self_ensemble: Annotated[bool, Form(description="Better, and eight times slower")] = False,
        mask: Annotated[UploadFile | None, File(description="For a model that completes: white where something is missing")] = None,
    ) -> Response:
        """Undo what a model has learned to undo; the picture comes back in its own format, depth and profile."""
        trained, began = store.get(model), time.perf_counter()
        picture, name = await read_upload(image), name_of(image)
        written = f"{name}.tif" if format_of(name) == "RAW" else name
        hidden = to_unit((await read_upload(mask)).pixels).mean(2) if mask is not None else None

        def work(on_progress: Callable[[float], None]) -> bytes:
            options: dict[str, Any] = {"strength": strength, "self_ensemble": self_ensemble, "mask": hidden}
            restored = picture.changed_by(lambda images: trained.restore(images, **options, on_progress=on_progress))
            return encode_picture(restored, written)

        content = await worker.do(request, work)
        return file(content, written, {"X-Isthmus-Seconds": f"{time.perf_counter() - began:.3f}"})

    @routes.post("/preview", response_class=Response, responses=IMAGE)
    async def preview(request: Request, image: Annotated[UploadFile, File()]) -> Response:
        """Return any picture that isthmus reads as a PNG of 8 bits, which every browser shows."""
        picture = await read_upload(image)
        return file(await worker.do(request, lambda on_progress: png(picture.pixels, picture.alpha)), "preview.png")

    @routes.post("/encode")
    async def encode(request: Request, image: Annotated[UploadFile, File()], model: Annotated[str, Form()]) -> dict[str, Any]:
        """Return the code of a picture, and how strange it is to the model; it is brought to the model's size."""
        trained = store.get(model)
        images = fitting(trained, await read_upload(image))

        def work(on_progress: Callable[[float], None]) -> dict[str, Any]:
            code = trained.encode(images)[0]
            scores = {name: float(values[0]) for name, values in trained.novelty_scores(images).items()}
            return {"shape": list(code.shape), "code": code.tolist(), "scores": scores}

        return await worker.do(request, work)

    @routes.post("/decode", response_class=Response, responses=IMAGE)
    async def decode(request: Request, body: Codes) -> Response:
        """Return the images that codes stand for, side by side, as a PNG."""
        trained = store.get(body.model)
        try:
            codes = np.asarray(body.codes, np.float32)
        except (ValueError, TypeError, OverflowError):
            raise DataError("Codes are lists of numbers, all of the same length.") from None
        if not np.isfinite(codes).all():
            raise DataError("Codes are finite numbers.")
        return file(await worker.do(request, lambda on_progress: sheet(trained.decode(codes))), "decoded.png")

    @routes.post("/generate", response_class=Response, responses=IMAGE)
    async def generate(request: Request, body: GenerateRequest) -> Response:
        """Invent images, side by side, as a PNG."""
        trained = store.get(body.model)
        return file(await worker.do(request, lambda on_progress: sheet(trained.generate(body.count, body.seed))), "new.png")

    return routes
