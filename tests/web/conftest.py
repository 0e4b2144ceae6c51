"""A server in a thread of this process, and its page in the browser."""

import threading

import httpx
import pytest
from playwright.sync_api import expect

from isthmus.datasets import open_data
from isthmus.web.app import create_app
from isthmus.web.model_store import ModelStore
from isthmus.web.security import Limits
from isthmus.web.server import serve


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


@pytest.fixture
def visit(browser, address):
    """Return what opens the page; at the end, it must not have complained, nor talked to anybody else."""
    contexts, complaints = [], []

    def visit(room="", **options):
        contexts.append(browser.new_context(accept_downloads=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((address, "blob:")) else complaints.append(request.url))
        page.goto(f"{address}/{room}")
        expect(page.locator("#tasks input").first).to_be_attached()
        return page

    visit.complaints = complaints
    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def three(pictures):
    return [pictures / f"0{index}.png" for index in (0, 1, 2)]


@pytest.fixture
def restored():
    """Return what restores files on a page."""

    def restored(page, files, model="denoise"):
        page.check(f"[name=task][value={model}]")
        page.set_input_files("#files", files)
        page.locator("#run").click()
        expect(page.locator("#restore-status")).to_have_text(f"{len(files)} restored")

    return restored


@pytest.fixture(scope="module")
def hostile_address(web_models, digits_file, tmp_path_factory):
    """One server for all requests of a file that mean it harm."""
    app = create_app(ModelStore(web_models, "cpu"), source=open_data(digits_file), trainings=tmp_path_factory.mktemp("hostile"))
    opened, address = threading.Event(), []

    def tell(where):
        address.append(where.rstrip("/"))
        opened.set()

    threading.Thread(target=serve, args=(app, "127.0.0.1", 0, tell), daemon=True).start()
    assert opened.wait(20)
    yield address[0]
    app.state.jobs.close()
    app.state.server.should_exit = True
