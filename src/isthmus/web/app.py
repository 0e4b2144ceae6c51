"""The page and the functions behind it, over HTTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from isthmus import __version__
from isthmus.datasets import Source
from isthmus.errors import DataError, IsthmusError, ModelFileError, UsageError
from isthmus.web.model_store import ModelStore
from isthmus.web.routes.latents import exploration_routes
from isthmus.web.routes.models import model_routes
from isthmus.web.routes.trainings import training_routes
from isthmus.web.security import Guard, Limits
from isthmus.web.training_jobs import TrainingJobs
from isthmus.web.worker import Worker

PAGE = Path(__file__).parent / "page"

STATUSES: dict[type[IsthmusError], int] = {DataError: 422, UsageError: 400, ModelFileError: 404}


def create_app(
    store: ModelStore,
    *,
    host: str = "127.0.0.1",
    source: Source | None = None,
    trainings: Path | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """Return the application.

    Args:
        store: The models to offer.
        host: The name or address that it listens on; requests to other names are refused.
        source: Images whose codes can be looked at; a visitor may bring others.
        trainings: Where trainings are kept.
        limits: What it takes.
    """
    jobs = TrainingJobs(trainings or Path("isthmus-trainings"), store.device, store.add)

    @contextlib.asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        warming = threading.Thread(target=store.warm_up)
        warming.start()
        yield
        jobs.close()
        warming.join()

    app = FastAPI(
        title="isthmus",
        version=__version__,
        description="Autoencoders for your own images, on your own machine.",
        docs_url=None,  # its page comes from a server elsewhere; ours is /api.html
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=alive,
    )
    limits = limits or Limits()
    app.state.worker, app.state.jobs, app.state.limits = Worker(), jobs, limits
    reader = Worker()
    for error, status in STATUSES.items():
        app.add_exception_handler(error, _refuse_with(status))
    app.add_exception_handler(IsthmusError, _refuse_with(507))  # such as a full disk
    app.add_exception_handler(RequestValidationError, _refuse_fields)
    app.add_exception_handler(MemoryError, _refuse_with(503, "There is not enough memory for this picture."))
    app.include_router(model_routes(store, app.state.worker, reader))
    app.include_router(exploration_routes(store, app.state.worker, source))
    app.include_router(training_routes(store, jobs))
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    app.add_middleware(Guard, host=host, limits=limits)
    return app


def _refuse_with(status: int, sentence: str = "") -> Callable[[Request, Exception], Response]:
    return lambda request, error: JSONResponse({"detail": sentence or str(error).replace("`", "'")}, status)


def _refuse_fields(request: Request, error: Exception) -> Response:
    """Say in a sentence what is wrong with which fields."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{'.'.join(map(str, one['loc'][1:])) or 'the request'}: {one['msg'].lower()}" for one in error.errors()]
    return JSONResponse({"detail": f"{'; '.join(wrong)}."}, 422)
