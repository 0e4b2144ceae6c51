"""The public surface: what `import isthmus` offers, its types, and the kinds of images and data that it takes."""

import io
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import isthmus
from isthmus.corruptions import CORRUPTIONS
from isthmus.datasets import open_data
from isthmus.errors import UsageError
from isthmus.model import Model
from isthmus.networks import NETWORKS
from isthmus.recipes import register_task
from isthmus.recipes.tasks import TASKS

ROOT = Path(__file__).parents[1]
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)

SCRIPT = """
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import isthmus

class Watch(isthmus.Callback):
    def on_epoch_end(self, progress: isthmus.TrainingProgress) -> None:
        reveal_type(progress.loss)

model = isthmus.train("scans/", task="denoise", noise=(0.1, 0.2), budget="10m", callbacks=[Watch()], stop=threading.Event())
reveal_type(model)
reveal_type(model.restore(Image.new("L", (4, 4))))
reveal_type(model.restore([b"bytes"]))
reveal_type(model.encode(np.zeros((1, 28, 28))))
reveal_type(model.network)
reveal_type(model.info.train_seconds)
reveal_type(isthmus.restore_file("denoise", "in.png", "out.png", stop=threading.Event()))
for restored in isthmus.restore_folder("denoise", "in", "out"):
    reveal_type(restored.error)
reveal_type(isthmus.evaluate(model, "scans/").loss)
reveal_type(isthmus.tune("scans/", out="tuned").chosen.mse)
reveal_type(isthmus.Denoiser(noise=0.1).fit(np.zeros((2, 4))))
"""

REVEALED = [
    "float",
    "isthmus.model.Model",
    "PIL.Image.Image",
    "list[bytes]",
    "numpy.ndarray[",
    "isthmus.networks.base.Network",
    "float",
    "pathlib.Path",
    "str | None",
    "float",
    "float",
    "isthmus.estimator.Denoiser",
]


def test_a_users_script_is_typed(tmp_path):
    names = "".join(f"reveal_type(isthmus.{name})\n" for name in isthmus.__all__)
    (tmp_path / "script.py").write_text(SCRIPT + names)
    command = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "script.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [start for start, found in zip(REVEALED, revealed, strict=False) if not found.startswith(start)] == []
    assert len(revealed) == len(REVEALED) + len(isthmus.__all__)
    assert [name for name, found in zip(isthmus.__all__, revealed[len(REVEALED) :], strict=True) if found == "Any"] == []


def test_every_public_name_is_documented_and_loads():
    documented = (ROOT / "docs" / "api.md").read_text()
    assert [name for name in isthmus.__all__ if not re.search(rf"\b{name}\b", documented)] == []
    assert all(getattr(isthmus, name) is not None for name in isthmus.__all__)


@pytest.fixture(scope="module")
def gray():
    """A convolutional model of gray images, untrained."""
    return Model(isthmus.Recipe(), (1, 16, 16), device="cpu")


def picture(mode):
    """Return an image of a mode."""
    image = Image.fromarray(PIXELS)
    if mode == "LAB":
        profiles = (ImageCms.createProfile(space) for space in ("sRGB", "LAB"))
        return ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    through = {"RGBa": "RGBA", "La": "LA", "PA": "P"}.get(mode, mode)
    wide = {"I;16": np.uint16, "I": np.int32}
    if mode in wide:
        return Image.fromarray(PIXELS[..., 0].astype(wide[mode]) * 257)
    if mode == "F":
        return Image.fromarray(PIXELS[..., 0] / np.float32(255))
    image = image.convert(through)
    if image.mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(PIXELS[..., 1] | 1))
    return image.convert(mode)


COLOR_MODES = {"RGB": 0, "RGBA": 0, "RGBX": 0, "RGBa": 3, "CMYK": 0, "YCbCr": 2, "HSV": 2, "LAB": 3}
GRAY_MODES = {"1": 0, "L": 0, "LA": 0, "La": 3, "I": 0, "I;16": 0, "F": 0}


@pytest.mark.parametrize(("mode", "tolerance"), [*COLOR_MODES.items(), *GRAY_MODES.items()])
def test_an_image_of_pil_keeps_its_mode(mode, tolerance, gray, color):
    image = picture(mode)
    restored = (color if mode in COLOR_MODES else gray).restore(image, strength=0)
    assert (restored.mode, restored.size) == (mode, image.size)
    seen = np.asarray(image).astype(float).reshape(16, 16, -1)
    clear = seen[..., -1:] > 100 if mode in ("RGBa", "La") else True  # of what can hardly be seen, little is left to keep
    assert (np.abs(np.asarray(restored).astype(float).reshape(seen.shape) - seen) * clear).max() <= tolerance
    if mode not in ("HSV", "LAB"):
        assert np.any(np.asarray((color if mode in COLOR_MODES else gray).restore(image)) != np.asarray(image))


@pytest.mark.parametrize(("mode", "returned"), [("P", "RGB"), ("PA", "RGBA")])
def test_a_palette_becomes_its_colors(mode, returned, color):
    image = picture(mode)
    restored = color.restore(image, strength=0)
    assert restored.mode == returned
    assert np.array_equal(np.asarray(restored), np.asarray(image.convert(returned)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_tensor_keeps_its_type(dtype, color):
    images = torch.from_numpy(PIXELS).permute(2, 0, 1)[None]
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    restored = color.restore(images, strength=0)
    assert (restored.dtype, restored.shape, restored.device) == (dtype, images.shape, images.device)
    assert torch.allclose(restored.double(), images.double(), atol=1e-6)


def test_bytes_and_lists_return_the_same_kind(color):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    restored = color.restore([file.getvalue(), PIXELS, Image.fromarray(PIXELS)], strength=0)
    assert [type(one) for one in restored] == [bytes, np.ndarray, Image.Image]
    opened = Image.open(io.BytesIO(restored[0]))
    assert opened.format == "PNG"
    assert all(np.array_equal(np.asarray(one), PIXELS) for one in (opened, *restored[1:]))


class Digits(torch.utils.data.Dataset):
    """Some images as torch gives them: (tensor, label)."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        if number >= len(self):
            raise IndexError
        return torch.from_numpy(self.images[number])[None] / 255, number % 3


def test_data_can_be_a_torch_dataset_a_tensor_or_a_list(small_digits):
    few = small_digits[:20]
    kinds = (Digits(few), torch.from_numpy(few), list(few), [Image.fromarray(one) for one in few])
    for data in kinds:
        dataset = open_data(data).read("all")
        images = dataset.images if dataset.images.dtype == np.uint8 else (dataset.images * 255).round()
        assert np.array_equal(images.reshape(few.shape), few), type(data)
    model = isthmus.train(Digits(few), model="dense", code=4, epochs=1, device="cpu")
    assert model.info.data["shape"] == [18, 1, 14, 14]  # every tenth is held out


def test_a_folder_is_restored_one_by_one(tmp_path, color):
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        Image.fromarray(PIXELS).save(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "b.png").write_bytes(b"no picture")
    results = isthmus.restore_folder(color, tmp_path / "in", tmp_path / "out")
    first = next(results)
    assert (first.out, first.error) == (tmp_path / "out" / "a.png", None)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    broken, last = results
    assert broken.out is None
    assert "b.png" in broken.error
    assert (last.out, last.out.exists()) == (tmp_path / "out" / "c.png", True)


def test_work_is_stopped_by_an_event_and_leaves_whole_files_only(tmp_path, color):
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(PIXELS).save(tmp_path / "in" / f"{name}.png")
    stop = threading.Event()
    results = isthmus.restore_folder(color, tmp_path / "in", tmp_path / "out", stop=stop)
    next(results)
    stop.set()
    with pytest.raises(isthmus.Interrupted):
        next(results)
    with pytest.raises(isthmus.Interrupted):
        isthmus.restore_file(color, tmp_path / "in" / "a.png", tmp_path / "single.png", stop=stop)
    with pytest.raises(isthmus.Interrupted):
        isthmus.improve(tmp_path / "in", tmp_path / "improved", stop=stop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert not (tmp_path / "single.png").exists()
    assert not list((tmp_path / "improved").glob("*"))
    rest = [*isthmus.restore_folder(color, tmp_path / "in", tmp_path / "out", resume=True)]
    assert [one.out.name for one in rest] == ["b.png", "c.png"]


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(UsageError, match="There is a corruption 'jpeg' already"):
        isthmus.register_corruption(type("Other", (isthmus.Corruption,), {"name": "jpeg"}))
    with pytest.raises(UsageError, match="There is a model 'dense' already"):
        isthmus.register_network("dense", NETWORKS["conv"])
    with pytest.raises(UsageError, match="There is a task 'denoise' already"):
        register_task("denoise", TASKS["repair"])
    assert CORRUPTIONS["jpeg"].__name__ == "Jpeg"


PACKAGE = """
from dataclasses import dataclass
from typing import ClassVar
from isthmus import Architecture, Corruption, Task

@dataclass(frozen=True)
class Dim(Corruption):
    name: ClassVar = "dim"
    share: float = 0.5

    def damage(self, clean, generator):
        return clean * self.share

brighten = Task(Dim(0.3), "the image in full light")
flat = Architecture(summary="as dense", location="isthmus.networks.dense:Dense", code=4, hidden=(), widths=(1, 2), any_size=False,
                    bfloat16=False, batch_size=10, learning_rate=1e-3)
"""

POINTS = """
[isthmus.corruptions]
dim = dimming:Dim
[isthmus.tasks]
brighten = dimming:brighten
[isthmus.networks]
flat = dimming:flat
"""


def test_the_command_line_knows_what_an_installed_package_adds(tmp_path, monkeypatch, digits_npz):
    (tmp_path / "dimming.py").write_text(PACKAGE)
    (tmp_path / "dimming-1.dist-info").mkdir()
    (tmp_path / "dimming-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: dimming\nVersion: 1\n")
    (tmp_path / "dimming-1.dist-info" / "entry_points.txt").write_text(POINTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = str(tmp_path / "m.safetensors")
    options = ["--task", "brighten", "--model", "flat", "--epochs", "1", "--device", "cpu", "--quiet", "--out", out]
    command = [sys.executable, "-m", "isthmus", "train", str(digits_npz), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "dim(share=0.3)" in done.stdout
    with pytest.raises(isthmus.ModelFileError, match="Unknown task 'brighten'"):
        isthmus.load(out)
