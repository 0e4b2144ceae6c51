"""The command that serves the web page: `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from isthmus.cli.app import DataDir, Device, Json, parse_bytes, show
from isthmus.errors import UsageError


def serve(
    *models: Annotated[str, Parameter(name="MODEL", help="Model files, or names of models that ship; by default, all that ship.")],
    images: Annotated[str | None, Parameter(help="DATA whose latent space the page shows; visitors can also add images.")] = None,
    host: Annotated[str, Parameter(help="Address to listen on; 0.0.0.0 admits other machines.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on; 0 for any free one.")] = 8765,
    trainings: Annotated[Path, Parameter(help="Folder for models trained on the page.")] = Path("isthmus-trainings"),
    max_upload: Annotated[str, Parameter(help="Largest request.")] = "200MB",
    open: Annotated[bool, Parameter(help="Open the page in the browser.", show_default=False)] = False,
    data_dir: DataDir = None,
    device: Device = "auto",
    json: Json = False,
) -> int:
    """Open a local web page: restore pictures, explore the latent space, train.

    Example: `isthmus serve --open`

    Nothing leaves the machine. Programs can use the same functions over HTTP; /api.html lists them. Ctrl+C stops the server, and
    a running training is saved first.
    """
    from isthmus.datasets import open_data

    try:
        from isthmus.web.app import create_app
        from isthmus.web.model_store import ModelStore
        from isthmus.web.security import Limits
        from isthmus.web.server import serve as run
    except ImportError:
        raise UsageError("The web page needs FastAPI and uvicorn. Install isthmus again: pip install isthmus.") from None
    limits = Limits(body_bytes=parse_bytes(max_upload))
    source = open_data(images, data_dir) if images else None
    application = create_app(ModelStore(list(models), device), host=host, source=source, trainings=trainings, limits=limits)

    def tell(address: str) -> None:
        show({"address": address}, f"{address}  (Ctrl+C stops it)", json, flush=True)
        if open:
            import webbrowser

            webbrowser.open(address)

    run(application, host, port, tell)
    return 0
