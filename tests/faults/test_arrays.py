"""FAULTS 58 to 99: arrays, memory, processes and what was found by reading, each made to happen."""

import copy
import io
import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import isthmus
from isthmus.datasets import open_data
from isthmus.errors import DataError, UsageError
from isthmus.imaging.arrays import resize
from isthmus.imaging.picture import decode_picture, encode_picture
from isthmus.model import CHECKED_IMAGES

Y, X = np.mgrid[0:16, 0:24]
RGB = np.stack([X * 10, Y * 15, 255 - X - Y], -1).astype(np.uint8)
TINY = {"model": "dense", "hidden": (4,), "code": 2, "epochs": 1, "device": "cpu"}


@pytest.mark.parametrize("photometric", ["separated", "icclab"])
def test_60_deep_tiffs_that_are_not_rgb_come_back_in_their_colors(photometric):
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 30_000, (16, 24, 4 if photometric == "separated" else 3)).astype(np.uint16)
    if photometric == "icclab":  # lightness in the middle, little color: all that sRGB holds
        stored[:] = stored // 20 + np.array([30_000, 32_000, 32_000], np.uint16)
    out = io.BytesIO()
    tifffile.imwrite(out, stored, photometric=photometric)
    picture = decode_picture(out.getvalue(), "a.tif")
    assert picture.pixels.shape == (16, 24, 3)
    if photometric == "separated":
        paper = (1 - stored[:, :, :3] / 65535) * (1 - stored[:, :, 3:] / 65535)
        assert np.abs(picture.pixels / 65535 - paper).max() < 1e-3
    again = tifffile.imread(io.BytesIO(encode_picture(picture, "b.tif")))
    assert again.dtype == np.uint16
    assert np.abs(again.astype(int) - stored).max() < 300


def test_72_odd_files_bring_no_warnings_of_libraries(tmp_path):
    content = io.BytesIO()
    tags = [(34016, 2, 4, b"odd\0", True), (65000, 3, 1, 7, True)]
    tifffile.imwrite(content, RGB, photometric="rgb", extratags=tags)
    damaged = bytearray(content.getvalue())
    damaged[damaged.index(b"odd\0")] = 0xFF
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").write_bytes(damaged)
    Image.fromarray(RGB).save(tmp_path / "in" / "b.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\0\0")
    Image.fromarray(RGB).convert("P").save(tmp_path / "in" / "c.png", transparency=bytes(range(256)))
    done = subprocess.run([sys.executable, "-m", "isthmus", "info", tmp_path / "in"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not line.startswith("isthmus: ")] == []


def test_74_a_thin_picture_is_not_scaled_as_a_whole():
    """It would have 64 x 192,000 pixels, of which the middle is taken."""
    import tracemalloc

    thin = np.linspace(0, 255, 3000).astype(np.uint8).reshape(1, 1, 3000)
    tracemalloc.start()
    middle = resize(thin, (64, 64))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert middle.shape == (1, 64, 64)
    assert np.abs(middle.astype(int) - 127).max() <= 1


def test_74_what_is_cut_out_is_what_was_scaled():
    image = np.random.default_rng(0).integers(0, 256, (1, 50, 30)).astype(np.uint8)
    whole = np.asarray(Image.fromarray(image[0] / np.float32(255)).resize((32, 53), Image.Resampling.BICUBIC)).clip(0, 1)
    assert np.abs(resize(image, (32, 32))[0] - whole[10:42] * 255).max() <= 1.5


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB"])
def test_78_pil_images_of_other_modes_come_back_in_their_mode(mode, color):
    image = Image.fromarray(RGB).convert(mode)
    result = color.restore(image, strength=0)
    assert result.mode == mode
    difference = np.asarray(result.convert("RGB")).astype(int) - np.asarray(image.convert("RGB"))
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("what", [None, io.BytesIO(b"x"), (one for one in ()), {}, object()], ids=lambda what: type(what).__name__)
def test_79_what_is_no_image_is_refused_in_a_sentence(what, conv):
    with pytest.raises(DataError) as refused:
        conv.restore(what)
    assert str(refused.value).startswith(f"A {type(what).__name__} is no image. Accepted are an array, a tensor, ")


def test_79_bytes_and_bfloat16_come_back_as_such(conv, digits):
    out = io.BytesIO()
    Image.fromarray(digits[0]).save(out, "PNG")
    assert Image.open(io.BytesIO(conv.restore(out.getvalue()))).size == (28, 28)
    assert conv.restore(torch.zeros(1, 1, 28, 28).bfloat16()).dtype == torch.bfloat16


class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, place):
        return torch.full((1, 8, 8), place / 12), 0


@pytest.mark.parametrize(
    "data",
    [[np.zeros((8, 8), np.uint8)] * 12, [Image.new("L", (8, 8))] * 12, torch.zeros(12, 1, 8, 8), Images()],
    ids=["arrays", "PIL images", "a tensor", "a Dataset"],
)
def test_80_lists_tensors_and_datasets_are_trained_on(data):
    assert isthmus.train(data, **TINY).image_shape == (1, 8, 8)


def test_80_what_is_no_data_is_refused():
    with pytest.raises((UsageError, DataError), match=r"A NoneType is no data\. Accepted are a path"):
        isthmus.train(None, **TINY)


def test_81_flattened_images_are_told(tmp_path, caplog):
    np.savez(tmp_path / "flat.npz", x_train=np.zeros((200, 784), np.uint8))
    with caplog.at_level(logging.WARNING, "isthmus"):
        open_data(tmp_path / "flat.npz").read("all")
    assert "holds one image of 200 x 784 pixels. If these are flattened images, reshape them to (200, 28, 28)." in caplog.text


def heed_interrupts():
    """Undo in a child what runs the tests may have set: a process in the background ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_88_an_interrupt_while_importing_ends_quietly():
    command = [sys.executable, "-X", "importtime", "-m", "isthmus", "info", "mnist-5k"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=heed_interrupts) as process:
        next(line for line in process.stderr if b"isthmus.errors" in line)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert b"Traceback" not in rest


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_89_help_into_head_exits_0():
    command = f'"{sys.executable}" -m isthmus --help | head -1 > /dev/null; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("0", "")


def test_91_the_check_for_unfamiliar_images_ends(digits, dense):
    calls = []
    model = copy.copy(dense)
    encode = model.engine.encode
    model.engine.encode = lambda seen: calls.append(1) or encode(seen)
    counts = []
    for _ in range(4):
        calls.clear()
        model.restore(digits[: CHECKED_IMAGES // 2])
        counts.append(len(calls))
    assert counts[0] == counts[1] > counts[2] == counts[3] > 0, "no image beyond the first ones goes through the network twice"


def test_92_a_model_file_tells_no_folder(tmp_path, digits):
    folder = tmp_path / "private" / "scans"
    folder.mkdir(parents=True)
    for place, image in enumerate(digits[:12]):
        Image.fromarray(image).save(folder / f"{place}.png")
    (folder / "broken.png").write_bytes(b"")
    content = isthmus.train(folder, **TINY).to_bytes()
    assert b"scans" in content
    assert b"private" not in content


def test_96_denormals_are_restored_after_an_interruption(digits, watching):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isthmus.train(digits, **TINY, callbacks=watching(stop))
    assert (torch.tensor([1e-40]) * 1).item() > 0
