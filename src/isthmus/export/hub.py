"""A model on a hub: sent there with a card that says what it is, and fetched from there.

A hub is Hugging Face's, or any server that speaks as it does (HF_ENDPOINT). The token is huggingface_hub's own: `hf auth login`, or
HF_TOKEN. What is fetched is a model file like any other: it is checked before it is kept, and nothing in it is executed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.errors import IsthmusError, ModelFileError, UsageError, printable
from isthmus.model import Model, load
from isthmus.recipes.tasks import TASKS
from isthmus.report import figures
from isthmus.storage.atomic import check_output, write_whole
from isthmus.storage.model_file import unpack

FILE = "model.safetensors"
"""What the model is called there."""


def push(model: Model, name: str, *, private: bool = False) -> str:
    """Send a model and its card to a hub; what was there under the name becomes an older version of it.

    Args:
        model: Any model.
        name: OWNER/NAME.
        private: Let nobody else see it, where it is new.

    Returns:
        Its address.

    Raises:
        UsageError: If huggingface_hub is not installed, or the name is no name.
        IsthmusError: If the hub refuses, or cannot be reached.
    """
    hub = _hub()
    with tempfile.TemporaryDirectory() as temporary, _sentences(name):
        folder = Path(temporary)
        (folder / FILE).write_bytes(model.to_bytes())
        (folder / "README.md").write_text(card(model, name))
        if model.info.history:
            drawn = figures.curves({model.recipe.network: model.info.history}, loss=f"loss ({model.recipe.loss})")
            (folder / "curves.png").write_bytes(drawn)
        api = hub.HfApi(library_name="isthmus")
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="A model of isthmus")
        return f"{api.endpoint}/{name}"


def pull(name: str, out: Path, *, revision: str = "main", overwrite: bool = False) -> Model:
    """Fetch a model from a hub.

    Args:
        name: OWNER/NAME.
        out: Where its file goes.
        revision: Which version: a branch, a tag or a commit.
        overwrite: Replace what is there.

    Raises:
        UsageError: If huggingface_hub is not installed, the name is no name, or `out` exists.
        ModelFileError: If what is there is no model of isthmus.
        IsthmusError: If there is no such model, or the hub cannot be reached.
    """
    hub = _hub()
    check_output(out, overwrite=overwrite)
    with tempfile.TemporaryDirectory() as temporary, _sentences(name):
        content = Path(hub.hf_hub_download(name, FILE, revision=revision, local_dir=temporary)).read_bytes()
    unpack(content, "model", printable(name))
    write_whole(out, content)
    return load(out)


def card(model: Model, name: str) -> str:
    """Return a model card, as Markdown with the facts that a hub reads on top: everything in it comes from the model file."""
    about, recipe = model.describe(), model.recipe
    fields = {key: value for key, value in about["recipe"].items() if value not in (None, "", [])}
    lines = [
        "---",
        "library_name: isthmus",
        "tags:",
        *(f"- {tag}" for tag in ("autoencoder", "image-to-image", recipe.task)),
        "pipeline_tag: image-to-image",
        "---",
        "",
        f"# {name.rpartition('/')[2]}",
        "",
        f"A {recipe.network} autoencoder of [isthmus](https://pypi.org/project/isthmus/).",
        f"What it has learned: {TASKS[recipe.task].learns}.",
        "",
        "```",
        f"isthmus pull {name} --out {name.rpartition('/')[2]}.safetensors",
        f"isthmus restore {name.rpartition('/')[2]}.safetensors PICTURES --out RESTORED",
        "```",
        "",
        "It knows only images like those that it has learned from; what it adds is likely, not known.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in _facts(about).items()),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(fields, indent=1),
        "```",
    ]
    if model.info.scores:
        lines += ["", "## Scores", "", *_table(model.info.scores)]
    if about["history"]:
        lines += ["", "## How it learned", "", "![Loss against seconds of training](curves.png)"]
    if model.info.sources:
        lines += ["", "## What it learned from", "", *(f"- {one}" for one in model.info.sources)]
    return "\n".join(lines) + "\n"


def _facts(about: dict[str, Any]) -> dict[str, str]:
    channels, height, width = about["image_shape"]
    size = "any" if about["any_size"] else f"{height} x {width}"
    data = about["data"]
    shape = data.get("shape", [0])
    return {
        "images": f"{size} size, {'RGB' if channels == 3 else 'gray' if channels == 1 else f'{channels} channels'}",
        "parameters": f"{about['parameters']:,}",
        "code": f"{' x '.join(map(str, about['code_shape']))} numbers for {about['image_numbers']:,}",
        "learned from": f"{data.get('title', 'images')}: {shape[0]:,} images",
        "trained": f"{about['steps']:,} steps, {about['train_seconds']:,.0f} seconds",
    }


def _table(scores: list[dict[str, Any]]) -> list[str]:
    """Return rows of any scores as a table with the columns that one of them has."""
    columns = list(dict.fromkeys(key for row in scores for key in row))
    rows = [" | ".join(_shown(row.get(column, "")) for column in columns) for row in scores]
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *(f"| {row} |" for row in rows)]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _hub() -> Any:
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # we say ourselves what goes wrong
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError("What a hub needs is not installed: pip install 'isthmus[hub]'.") from None
    return huggingface_hub


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Turn what a hub refuses into a sentence."""
    try:
        yield
    except IsthmusError:
        raise
    except Exception as error:  # of half a dozen libraries beneath
        raise _sentence(error, printable(name)) from None


def _sentence(error: Exception, name: str) -> IsthmusError:
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return UsageError(f"A model on a hub is called OWNER/NAME, not {name}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return ModelFileError(f"{name} is on the hub, but holds no {FILE}: isthmus has not put it there.")
    if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return IsthmusError(f"The hub has no {name} of that version, or does not show it to you: log in with `hf auth login`.")
    response = getattr(error, "response", None)
    if isinstance(error, errors.HfHubHTTPError) and response is not None:
        why = "log in with `hf auth login`" if response.status_code in (401, 403) else "try again later"
        return IsthmusError(f"The hub answers {response.status_code} for {name}: {why}.")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return IsthmusError(f"The hub does not know who sends {name}: log in with `hf auth login`.")
    return IsthmusError(
        f"The hub cannot be reached for {name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    )
