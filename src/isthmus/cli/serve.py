"""The command that opens the page: `serve`."""

from __future__ import annotations

from pathlib import Path

from isthmus.cli.app import app, parse_bytes, show
from isthmus.errors import UsageError


@app.command
def serve(
    *models: str,
    images: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8765,
    trainings: Path = Path("isthmus-trainings"),
    max_upload: str = "200MB",
    open: bool = False,
    data_dir: Path | None = None,
    device: str = "auto",
    json: bool = False,
) -> int:
    """Open a page on this machine: drop pictures and see them restored, walk among codes, train on a folder.

    Example: `isthmus serve --open`

    Nothing leaves the machine. The same functions are there for programs: the page /api.html lists them. Ctrl+C ends it; a training
    that is running saves itself first.

    Args:
        models: Model files, or names of models that ship; without any, all that ship.
        images: DATA whose codes can be looked at on the page; a visitor may also bring some.
        host: Address to listen on; 0.0.0.0 lets other machines in.
        port: Port to listen on; 0 for any that is free.
        trainings: Folder for what is trained on the page.
        max_upload: Largest request that is taken.
        open: Also open the page in the browser.
        data_dir: Folder that holds named data sets.
        device: auto, cpu, cuda or mps.
        json: Print the address as one JSON object.
    """
    from isthmus.datasets import open_data

    try:
        from isthmus.web.app import create_app
        from isthmus.web.model_store import Shelf
        from isthmus.web.security import Limits
        from isthmus.web.server import serve as run
    except ImportError:
        raise UsageError("What the page needs is not installed: pip install 'isthmus[web]'.") from None
    limits = Limits(body_bytes=parse_bytes(max_upload))
    source = open_data(images, data_dir) if images else None
    application = create_app(Shelf(list(models), device), host=host, source=source, trainings=trainings, limits=limits)

    def tell(address: str) -> None:
        show({"address": address}, f"{address}  (Ctrl+C ends it)", json, flush=True)
        if open:
            import webbrowser

            webbrowser.open(address)

    run(application, host, port, tell)
    return 0
