"""The core trains, restores and serves without any extra, and without what only POSIX has."""

import subprocess
import sys

PROGRAM = """
import os, pathlib, sys, threading, urllib.request
import filelock, psutil, torch, uvicorn  # what these do on this system is their own affair
for name in BLOCKED:
    sys.modules[name] = None
del os.sysconf
import isthmus
from isthmus.errors import UsageError

def visit(app):
    from isthmus.web.server import serve

    answers = []

    def ask(address):
        try:
            with urllib.request.urlopen(address + "api/health") as answer:
                answers.append(answer.status)
            with urllib.request.urlopen(address) as answer:
                answers.append(b"isthmus" in answer.read())
        finally:
            app.state.server.should_exit = True

    serve(app, "127.0.0.1", 0, lambda address: threading.Timer(1.0, ask, [address]).start())
    assert answers == [200, True], answers

def work(folder):
    # by names without a slash
    os.chdir(folder)
    import numpy as np
    from PIL import Image
    from isthmus.web.app import create_app
    from isthmus.web.model_store import ModelStore

    out = "m.safetensors"
    model = isthmus.train("mnist-5k", model="dense", epochs=1, out=out, device="cpu")
    Image.fromarray(np.zeros((28, 28), np.uint8)).save("in.png")
    isthmus.restore_file(out, "in.png", "out.png")
    assert [one.error for one in isthmus.restore_folder(out, ".", "all")] == [None, None]
    model.limit_memory(8_000_000_000)
    visit(create_app(ModelStore([out], "cpu"), trainings=pathlib.Path("trainings")))
    isthmus.train(np.random.rand(4, 200, 200).astype("float32"), model="photographic", hidden=(8,), code=8, epochs=1, device="cpu")
    for call in (lambda: isthmus.evaluate(model, "mnist-5k"), lambda: isthmus.compress(model.encode(np.zeros((28, 28))), 4)):
        try:
            call()
        except UsageError as error:
            print(error)

if __name__ == "__main__":
    work(sys.argv[1])
"""

MISSING = ("matplotlib", "jinja2", "skimage", "pywt", "constriction", "optuna", "onnx", "resource", "fcntl")


def test_the_core_works_without_extras_and_without_posix(tmp_path):
    program = PROGRAM.replace("BLOCKED", repr(MISSING))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.png").exists()
    assert done.stdout.splitlines() == [
        "This needs the extra 'evaluate'. Install it: pip install 'isthmus[evaluate]'.",
        "This needs the extra 'compress'. Install it: pip install 'isthmus[compress]'.",
    ]
