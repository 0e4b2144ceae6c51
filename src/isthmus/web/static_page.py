"""A model as a static page: the visitor's own browser restores their pictures, with onnxruntime-web; nothing is sent anywhere."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from isthmus.errors import IsthmusError, UsageError
from isthmus.export.onnx import export_onnx
from isthmus.imaging.bicubic import CUBIC_RADIUS
from isthmus.model import Model
from isthmus.storage.atomic import check_output, write_whole

HERE = Path(__file__).parent

SHARED = ("style.css", "icon.svg", "picture/viewer.js", "picture/gestures.js", "picture/files.js")
"""What this page has in common with the one that is served."""

RUNTIME = "onnxruntime-web@1.22.0"

RUNTIME_FILES = {
    "ort.wasm.bundle.min.mjs": "e53392ea5f0e654acf1866c16564b340661ed5d238f692c3c2bd40b940f924a2",
    "ort-wasm-simd-threaded.mjs": "30dd851d9c00622940500f71ddd2ff8820c5cb65270816080175b958705385a8",
    "ort-wasm-simd-threaded.wasm": "71aef04959c5c1b6de461b6538e2058e306610034a85aad2742d0c7fd4533fe4",
}
"""What the page needs of it, with SHA-256."""


def export_page(model: Model, folder: Path, name: str, *, overwrite: bool = False) -> list[Path]:
    """Write a folder that any web server can serve as it is.

    Args:
        model: A model that takes any size, and nothing but a picture.
        folder: Where to.
        name: What the page calls the model.
        overwrite: Replace what is there.

    Returns:
        The files.

    Raises:
        UsageError: If the model takes one size only or needs a mask, the folder is not empty, or there is no npm.
        IsthmusError: If the runtime cannot be fetched, or is not the one that is known.
    """
    channels = model.image_shape[0]
    seen = model.corruption.input_channels(channels)
    if not model.trained_on_patches or channels not in (1, 3) or seen > channels or model.architecture.working_size:
        raise UsageError("Only a model of photographs that works in tiles, and needs no mask, can become a page.")
    folder.mkdir(parents=True, exist_ok=True)
    check_output(folder, overwrite=overwrite)
    network, scale = model.engine.network, model.corruption.scale_factor
    about = {
        "name": name,
        "task": model.recipe.task,
        "sees": seen,
        "scale": scale,
        "stride": network.stride,
        "margin": math.ceil(network.receptive_radius / scale) + (CUBIC_RADIUS if scale > 1 else 0),
    }
    with tempfile.TemporaryDirectory() as temporary:
        contents = _runtime(Path(temporary))
        export_onnx(model, Path(temporary) / "model.onnx")
        contents["model.onnx"] = (Path(temporary) / "model.onnx").read_bytes()
    contents["model.json"] = json.dumps(about, indent=1).encode()
    contents |= {path.name: path.read_bytes() for path in (HERE / "standalone").iterdir()}
    contents |= {Path(file).name: (HERE / "page" / file).read_bytes() for file in SHARED}
    for file, content in contents.items():
        write_whole(folder / file, content)
    return [folder / file for file in sorted(contents)]


def _runtime(folder: Path) -> dict[str, bytes]:
    """Fetch onnxruntime-web through npm; return the files that are needed of it."""
    npm = shutil.which("npm")
    if not npm:
        raise UsageError(f"npm is needed to fetch {RUNTIME}, and is not installed here (Debian: apt-get install npm).")
    done = subprocess.run([npm, "pack", "--silent", RUNTIME], cwd=folder, capture_output=True, text=True, check=False)
    packages = list(folder.glob("*.tgz"))
    if done.returncode or not packages:
        raise IsthmusError(f"npm cannot fetch {RUNTIME}: check the connection and try again.")
    contents = {}
    with tarfile.open(packages[0]) as archive:
        for file, wanted in RUNTIME_FILES.items():
            found = archive.extractfile(f"package/dist/{file}")
            content = found.read() if found else b""
            if hashlib.sha256(content).hexdigest() != wanted:
                raise IsthmusError(f"npm's {RUNTIME} is not the one that is known: {file} has another SHA-256.")
            contents[file] = content
    return contents
