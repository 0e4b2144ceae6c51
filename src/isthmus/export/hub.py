"""Upload a model with its card to Hugging Face Hub, or download one.

HF_ENDPOINT names another server with the same API. The token is huggingface_hub's own: `hf auth login`, or HF_TOKEN. isthmus checks
a downloaded file like any model file before it keeps it, and executes nothing in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.errors import IsthmusError, ModelFileError, UsageError, one_line, printable
from isthmus.export.model_card import model_card
from isthmus.model import Model, load
from isthmus.report import figures
from isthmus.storage.atomic import check_output, write_whole
from isthmus.storage.model_file import unpack

FILE = "model.safetensors"
"""The model's file name in a repository."""


def push(model: Model, name: str, *, private: bool = False) -> str:
    """Upload a model and its card to a hub; an existing repository gets a new commit.

    Args:
        model: Any model.
        name: OWNER/NAME.
        private: Make a new repository private.

    Returns:
        Its URL.

    Raises:
        UsageError: If huggingface_hub is not installed, or the name is invalid.
        IsthmusError: If the hub refuses, or cannot be reached.
    """
    hub = _hub()
    with tempfile.TemporaryDirectory() as temporary, _sentences(name):
        folder = Path(temporary)
        (folder / FILE).write_bytes(model.to_bytes())
        (folder / "README.md").write_text(model_card(model, name))
        if model.info.history:
            drawn = figures.curves({model.recipe.network: model.info.history}, loss=f"loss ({model.recipe.loss})")
            (folder / "curves.png").write_bytes(drawn)
        api = hub.HfApi(library_name="isthmus")
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="A model of isthmus")
        return f"{api.endpoint}/{name}"


def pull(name: str, out: Path, *, revision: str = "main", overwrite: bool = False) -> Model:
    """Download a model from a hub.

    Args:
        name: OWNER/NAME.
        out: The model file to write.
        revision: A branch, a tag or a commit.
        overwrite: Replace an existing file.

    Raises:
        UsageError: If huggingface_hub is not installed, the name is invalid, or `out` exists.
        ModelFileError: If the repository holds no model of isthmus.
        IsthmusError: If there is no such repository, or the hub cannot be reached.
    """
    hub = _hub()
    check_output(out, overwrite=overwrite)
    with tempfile.TemporaryDirectory() as temporary, _sentences(name):
        content = Path(hub.hf_hub_download(name, FILE, revision=revision, local_dir=temporary)).read_bytes()
    unpack(content, "model", printable(name))
    write_whole(out, content)
    return load(out)


def _hub() -> Any:
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # errors become our own sentences
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError("This needs the extra 'hub'. Install it: pip install 'isthmus[hub]'.") from None
    return huggingface_hub


@contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Turn a hub's errors into sentences."""
    try:
        yield
    except IsthmusError:
        raise
    except Exception as error:  # of half a dozen libraries beneath
        raise _sentence(error, printable(name)) from None


def _sentence(error: Exception, name: str) -> IsthmusError:
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return UsageError(f"The name of a model on a hub must be OWNER/NAME, not {name}.")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return ModelFileError(f"{name} holds no {FILE}, so it is no model of isthmus.")
    if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError):
        return IsthmusError(f"The hub has no {name} of that revision, or you may not see it. Log in with `hf auth login`.")
    response = getattr(error, "response", None)
    if isinstance(error, errors.HfHubHTTPError) and response is not None:
        advice = "Log in with `hf auth login`" if response.status_code in (401, 403) else "Try again later"
        return IsthmusError(f"The hub answered {response.status_code} for {name}. {advice}.")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return IsthmusError(f"Uploading {name} needs a login. Log in with `hf auth login`.")
    return IsthmusError(f"The hub cannot be reached for {name}: {one_line(error)}.")
