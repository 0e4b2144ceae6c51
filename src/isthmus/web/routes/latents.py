"""What there is to see in a model's codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, File, Form, HTTPException, Request, Response, UploadFile
from pydantic import Field

from isthmus.datasets import Dataset, Source, open_data
from isthmus.errors import DataError, UsageError
from isthmus.evaluation.test_data import size_for
from isthmus.imaging.arrays import Array, from_unit, resize
from isthmus.model import Model
from isthmus.web.latent_map import LatentMap
from isthmus.web.model_store import ModelStore
from isthmus.web.routes.common import IMAGE, file, fitting, new_router, receive, sheet
from isthmus.web.worker import Worker

Place = Annotated[float, Field(ge=-1e6, le=1e6)]

DIGITS = "mnist-5k"
"""Images of 28 x 28 that ship, for models of such."""

MOST_EXPLORED = 1000
"""Starlette takes no more files in one form."""


def exploration_routes(store: ModelStore, worker: Worker, source: Source | None) -> APIRouter:
    """Return the functions that show a model's codes.

    Args:
        store: The models.
        worker: Where work is done.
        source: Images that are there from the beginning.
    """
    routes = new_router()
    explored: dict[str, LatentMap] = {}

    def images_for(model: Model) -> Source:
        """Return what there is to look at with a model before anybody brings images."""
        if source is None and model.image_shape != (1, 28, 28):
            raise HTTPException(404, "There are no images to look at yet: bring some.")
        return source or open_data(DIGITS)

    async def known(request: Request, model: str) -> LatentMap:
        def lay(on_progress: Callable[[float], None]) -> LatentMap:
            trained = store.get(model)
            return LatentMap.of(trained, _measured(trained, images_for(trained)))

        if model not in explored:
            explored[model] = await worker.do(request, lay)
        return explored[model]

    @routes.get("/models/{model}/map")
    async def code_map(request: Request, model: str) -> dict[str, Any]:
        """Return where the codes of the images lie, and which images the model gives back worst."""
        return (await known(request, model)).to_json()

    @routes.post("/models/{model}/images")
    async def bring(
        request: Request,
        model: str,
        images: Annotated[list[UploadFile], File(max_length=MOST_EXPLORED)],
        labels: Annotated[str, Form(description="A JSON list of strings, one for each picture")] = "",
    ) -> dict[str, Any]:
        """Bring other images to look at; they are scaled to the model's size, and forgotten when the server ends."""
        named = _labels(labels, len(images))
        uploads = [await receive(image) for image in images]
        names = tuple(upload.name for upload in uploads)

        def lay(on_progress: Callable[[float], None]) -> LatentMap:
            trained = store.get(model)
            pictures = [fitting(trained, upload.decode()) for upload in uploads]
            smallest = tuple(min(picture.shape[axis] for picture in pictures) for axis in (2, 3))
            stack = from_unit(np.stack([resize(picture[0], smallest) for picture in pictures]), np.dtype(np.uint8))
            return LatentMap.of(trained, Dataset(images=stack, title=f"{len(stack):,} pictures", labels=named, names=names))

        explored[model] = await worker.do(request, lay)
        return explored[model].to_json()

    @routes.get("/models/{model}/images/{index}", response_class=Response, responses=IMAGE)
    async def image(request: Request, model: str, index: int, restored: bool = False) -> Response:
        """Return one of the images, or what the model gives for it, as a PNG."""
        place = await known(request, model)

        def draw(on_progress: Callable[[float], None]) -> bytes:
            pixels = place.image(index)[None]
            return sheet(store.get(model).restore(pixels) if restored else pixels)

        return file(await worker.do(request, draw), "image.png")

    @routes.get("/models/{model}/images/{index}/errors", response_class=Response, responses=IMAGE)
    async def errors(request: Request, model: str, index: int) -> Response:
        """Return where one of the images differs from what the model gives for it: the brighter, the more; a PNG."""
        place = await known(request, model)
        return file(await worker.do(request, lambda on_progress: sheet(place.differences(store.get(model), index))), "errors.png")

    @routes.get("/models/{model}/at", response_class=Response, responses=IMAGE)
    async def at(request: Request, model: str, x: Place, y: Place) -> Response:
        """Return what the model gives for a place on the map, as a PNG."""
        place = await known(request, model)
        return file(await worker.do(request, lambda on_progress: sheet(place.at(store.get(model), x, y)[None])), "place.png")

    @routes.get("/models/{model}/walk", response_class=Response, responses=IMAGE)
    async def walk(request: Request, model: str, start: int, end: int, steps: int = 10) -> Response:
        """Return the way from one of the images to another through the code, as a PNG."""
        if not 2 <= steps <= 100:
            raise UsageError(f"A walk takes from 2 to 100 steps, not {steps}.")
        place = await known(request, model)

        def draw(on_progress: Callable[[float], None]) -> bytes:
            return sheet(place.between(store.get(model), start, end, steps), steps)

        return file(await worker.do(request, draw), "walk.png")

    @routes.get("/models/{model}/traversals", response_class=Response, responses=IMAGE)
    async def around(request: Request, model: str, index: int) -> Response:
        """Return what one of the images becomes along the ten widest numbers of its code, a row for each, as a PNG."""
        place = await known(request, model)
        return file(await worker.do(request, lambda on_progress: sheet(place.around(store.get(model), index), 9)), "traversals.png")

    @routes.get("/models/{model}/probe")
    async def probe(request: Request, model: str) -> dict[str, Any]:
        """Return how well simple classifiers do with the codes, beside pixels and PCA; the images need labels."""
        place = await known(request, model)
        return await worker.do(request, lambda on_progress: place.probe(store.get(model)))

    return routes


def _measured(model: Model, source: Source) -> Dataset:
    """Return the images of a source that a model has not learned from, if it has such."""
    return source.read("test" if source.has_test else "all", size_for(model))


def _labels(text: str, count: int) -> Array | None:
    if not text:
        return None
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, list) or len(labels) != count or not all(isinstance(label, str) for label in labels):
        raise DataError(f"Labels are a JSON list of {count} strings, one for each picture.")
    return np.array(labels) if len(set(labels)) > 1 else None
