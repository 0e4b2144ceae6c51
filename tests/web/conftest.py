"""A server in a thread of this process, and a browser."""

import threading
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from isthmus.datasets import open_data
from isthmus.web.app import create_app
from isthmus.web.model_store import ModelStore
from isthmus.web.security import Limits
from isthmus.web.server import serve

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser():
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Debian's package chromium, which make test installs")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def web_models(tmp_path_factory, photographic, dense, conv):
    """Files of small models: of photographs, and of digits."""
    folder = tmp_path_factory.mktemp("web-models")
    for name, model in {**photographic, "dense": dense, "conv": conv}.items():
        model.save(folder / f"{name}.safetensors")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def digits_file(tmp_path_factory, labelled_digits):
    import numpy as np

    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=labelled_digits[0], labels=labelled_digits[1])
    return path


@pytest.fixture
def serving(web_models, digits_file, tmp_path):
    """Return what starts a server: (its address, the application)."""

    def start(**limits):
        app = create_app(
            ModelStore(web_models, "cpu"),
            source=open_data(digits_file),
            trainings=tmp_path / "trainings",
            limits=Limits(**limits),
        )
        opened, address = threading.Event(), []

        def tell(where):
            address.append(where.rstrip("/"))
            opened.set()

        arguments = (app, "127.0.0.1", 0, tell)
        threading.Thread(target=serve, args=arguments, daemon=True).start()
        assert opened.wait(20)
        assert httpx.get(f"{address[0]}/api/health").json()["status"] == "ok"
        apps.append(app)
        return address[0], app

    apps = []
    yield start
    for app in apps:
        app.state.jobs.close()
        app.state.server.should_exit = True


@pytest.fixture
def address(serving):
    return serving()[0]
