"""A model as a page without a server: real files of the runtime, in a real browser."""

import functools
import http.server
import shutil
import threading

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

import isthmus
from isthmus.errors import UsageError
from isthmus.web.static_page import export_page

pytestmark = pytest.mark.skipif(not shutil.which("npm"), reason="needs npm, which fetches onnxruntime-web")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def served(tmp_path):
    """Return what serves a folder as it is: its address."""
    servers = []

    def serve(folder):
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("task", ["denoise", "upscale", "colorize"])
def test_the_page_gives_what_the_library_gives(photographic, task, served, browser, tmp_path, pictures):
    model = photographic[task]
    if task == "colorize":  # without hints, for which the page has no field
        fields = {"model": "photographic", "hidden": (8,), "code": 8, "patch": 16, "epochs": 1, "device": "cpu"}
        model = isthmus.train(pictures, task=task, corruption="grayscale", **fields)
    export_page(model, tmp_path / "page", "mine")
    address = served(tmp_path / "page")
    large = np.tile(np.asarray(Image.open(pictures / "00.png")), (8, 6, 1))[:300, :400]  # more than a tile
    Image.fromarray(large).save(tmp_path / "large.png")
    context = browser.new_context(accept_downloads=True)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: None if request.url.startswith((address, "blob:")) else complaints.append(request.url))
    page.goto(address)
    expect(page.locator("#status")).to_have_text("Ready.", timeout=30_000)
    page.set_input_files("#files", tmp_path / "large.png")
    expect(page.locator("#status")).to_contain_text("Done in", timeout=60_000)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    given = np.asarray(Image.open(download.value.path()).convert("RGB")).astype(int)
    if task == "colorize":
        large = np.rint(large @ [0.299, 0.587, 0.114]).astype(np.uint8)
    wanted = np.asarray(model.restore(large)).astype(int)
    assert given.shape == wanted.shape
    assert np.abs(given - wanted).mean() < 1  # the model computes in bfloat16 here, in float32 there
    assert np.abs(given - wanted).max() < 16
    assert download.value.suggested_filename == "large-restored.png"
    context.close()
    assert complaints == []
    page = browser.new_page(bypass_csp=True)  # the policy would keep the checker out as well
    page.goto(address)
    assert Axe().run(page).response["violations"] == []
    page.close()


def test_what_cannot_be_a_page_is_told(photographic, dense, tmp_path):
    for model in (dense, photographic["inpaint"]):
        with pytest.raises(UsageError, match="Only a model of photographs that works in tiles, and needs no mask"):
            export_page(model, tmp_path, "mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(UsageError, match="exists already"):
        export_page(photographic["denoise"], tmp_path / "full", "mine")
