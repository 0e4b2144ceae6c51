"""Learning from the pictures that one brings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, HTTPException, Response, UploadFile
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from isthmus import pretrained
from isthmus.errors import UsageError
from isthmus.recipes.presets import PRESETS
from isthmus.web.model_store import ModelStore
from isthmus.web.routes.common import IMAGE, file, name_of, new_router
from isthmus.web.training_jobs import EXAMPLES, TrainingJobs


class TrainingRequest(BaseModel):
    """What a training should do."""

    name: Annotated[str, Field(description="What the model will be called")]
    task: Annotated[str, Field(description="By default, the recipe's, or denoise")] = ""
    recipe: Annotated[str, Field(description="A name from /api/recipes")] = ""
    budget: Annotated[str, Field(pattern=r"^\d{1,4}(\.\d+)?[smh]$", description="Such as 10m")] = "10m"
    fields: Annotated[dict[str, Any], Field(description="Other fields of a recipe")] = {}


def training_routes(store: ModelStore, jobs: TrainingJobs) -> APIRouter:
    """Return the functions that train.

    Args:
        store: The models, to which those come that are ready.
        jobs: The trainings.
    """
    routes = new_router()

    @routes.get("/trainings")
    def trainings() -> list[dict[str, Any]]:
        """List the trainings of this server."""
        return [training.to_json() for training in jobs.trainings.values()]

    @routes.get("/recipes")
    def recipes() -> list[dict[str, Any]]:
        """List the recipes that have a name, with their fields."""
        return [{"name": name, **recipe.to_json()} for name, recipe in PRESETS.items()]

    @routes.post("/trainings")
    def begin(order: TrainingRequest) -> dict[str, Any]:
        """Make room for a training; then bring its pictures, and start it."""
        if order.name in (*store.names(), *pretrained.names()):
            raise UsageError(f"There is a model called {order.name} already: choose another name.")
        task = order.task or ("" if order.recipe else "denoise")
        return jobs.begin(order.name, task, order.budget, order.fields, order.recipe).to_json()

    @routes.post("/trainings/{name}/pictures")
    def add(name: str, image: Annotated[UploadFile, File()]) -> dict[str, str]:
        """Bring one picture to learn from."""
        jobs.add_picture(jobs.get(name), name_of(image), image.file.read())
        return {"kept": name_of(image)}

    @routes.get("/trainings/{name}")
    def training(name: str) -> dict[str, Any]:
        """Tell how a training goes; a model that is ready is among the models from then on."""
        return jobs.get(name).to_json()

    @routes.delete("/trainings/{name}")
    def delete(name: str) -> dict[str, str]:
        """Delete a training that does not run: the copies of its pictures, and its model."""
        jobs.delete(jobs.get(name))
        store.remove(name)
        return {"deleted": name}

    @routes.post("/trainings/{name}/start")
    def start(name: str) -> dict[str, Any]:
        """Start a training, or go on with one that was stopped."""
        found = jobs.get(name)
        jobs.start(found, resume=found.state == "stopped")
        return found.to_json()

    @routes.post("/trainings/{name}/stop")
    def stop(name: str) -> dict[str, Any]:
        """Let a training save itself and stop."""
        found = jobs.get(name)
        jobs.stop(found)
        return found.to_json()

    @routes.get("/trainings/{name}/examples", response_class=Response, responses=IMAGE)
    def examples(name: str) -> Response:
        """Return held-out images as a PNG: what the model sees, what it gives by now, what it should give."""
        found = jobs.get(name)
        if not (found.folder / EXAMPLES).exists():
            raise HTTPException(404, "There is nothing to see yet.")
        return file((found.folder / EXAMPLES).read_bytes(), "examples.png")

    @routes.get("/trainings/{name}/model", response_class=FileResponse)
    def model(name: str) -> Response:
        """Return the model file."""
        found = jobs.get(name)
        if not found.out.exists():
            raise HTTPException(404, "The model is not ready yet.")
        return FileResponse(found.out, filename=found.out.name)

    return routes
