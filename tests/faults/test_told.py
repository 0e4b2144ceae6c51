"""FAULTS.md, what trainings and full disks must say: each test makes one of its lines happen."""

import re
import subprocess
import threading

import numpy as np
import pytest
import torch
from PIL import Image

import isthmus

SMALL = {"model": "dense", "hidden": (), "code": 4, "epochs": 2, "device": "cpu"}


def test_83_where_nothing_is_held_out_it_says_so(digits, tmp_path, run, caplog):
    model = isthmus.train(digits[:9], **SMALL)
    assert "fewer than ten images, so none are held out" in caplog.text
    assert model.info.nothing_held_out
    model.save(tmp_path / "few.safetensors")
    np.save(tmp_path / "nine.npy", digits[:9])
    _, printed, _ = run("novelty", tmp_path / "few.safetensors", tmp_path / "nine.npy")
    assert "p: the share of 9 training images (none were held out) that are as strange" in printed
    _, printed, _ = run("info", tmp_path / "few.safetensors")
    assert "held out" not in printed
    caplog.clear()
    more = isthmus.train(digits[:10], **SMALL)
    assert "held out" not in caplog.text
    assert not more.info.nothing_held_out


def test_83_squares_of_few_pictures_are_not_held_out_either(caplog):
    pictures = np.random.default_rng(0).integers(0, 256, (9, 40, 40), np.uint8)
    fields = {"task": "denoise", "noise": 0.1, "model": "photographic", "hidden": (4,), "code": 4, "patch": 16, "epochs": 1}
    model = isthmus.train(pictures, **fields, device="cpu")
    assert "so none are held out" in caplog.text
    assert model.info.nothing_held_out


def test_84_a_training_that_ends_above_its_beginning_is_told(digits, caplog):
    wild = isthmus.train(digits, **SMALL | {"hidden": (64,), "code": 16}, loss="mse", learning_rate=10.0, batch_size=20)
    history = wild.info.history
    assert history[-1]["held_out_loss"] > 1
    assert "the model has learned nothing. Try a lower `learning_rate` than 10" in caplog.text
    caplog.clear()
    isthmus.train(digits, **SMALL, loss="mse")
    isthmus.train(digits, **SMALL, loss="psnr")  # a logarithm, which is negative
    assert "learned nothing" not in caplog.text


def test_85_options_that_a_finished_training_cannot_take_up_are_named(digits, tmp_path, caplog):
    out = tmp_path / "model.safetensors"
    isthmus.train(digits, **SMALL, out=out)
    content = out.read_bytes()
    isthmus.train(digits, **SMALL | {"epochs": 3, "code": 5}, out=out, resume=True)
    assert "is finished: there is nothing to resume. It was trained with other values of `code`, `epochs`. To train" in caplog.text
    assert out.read_bytes() == content
    caplog.clear()
    isthmus.train(digits, **SMALL, out=out, resume=True)
    assert caplog.messages == [f"{out} is finished: there is nothing to resume."]
    further = isthmus.train(digits, **SMALL, init_from=out, out=tmp_path / "further.safetensors")  # as the message advises
    assert further.info.history[0]["train_loss"] < isthmus.load(out).info.history[0]["train_loss"]


def test_86_after_a_full_disk_the_advised_command_does_the_rest(tmp_path, small_disk, model_files, run, digits):
    for index in range(40):
        Image.fromarray(digits[index]).save(tmp_path / f"{index:02}.bmp")  # 1,862 bytes each
    pictures = tmp_path / "in"
    pictures.mkdir()
    for path in tmp_path.glob("*.bmp"):
        path.rename(pictures / path.name)
    disk = small_disk("size=64k")
    command = ("restore", model_files["conv"], pictures, "--out", disk / "out", "--quiet")
    status, _, err = run(*command)
    assert status == 1
    advice = re.search(r"Disk full while writing \S+\. Free some space and pass (--\S+) to continue\.", err)
    there = sorted(path.name for path in (disk / "out").glob("*.bmp"))
    assert 0 < len(there) < 40
    subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
    status, _, _ = run(*command, advice[1])
    assert status == 0
    run("restore", model_files["conv"], pictures, "--out", tmp_path / "whole", "--quiet")
    for path in (tmp_path / "whole").iterdir():
        assert (disk / "out" / path.name).read_bytes() == path.read_bytes()


def test_93_a_moved_data_folder_is_known_by_its_content(tmp_path, digits):
    folder = tmp_path / "before"
    folder.mkdir()
    for index, image in enumerate(digits[:30]):
        Image.fromarray(image).save(folder / f"{index}.png")
    wanted = isthmus.train(folder, **SMALL | {"epochs": 4})
    out, stop = tmp_path / "model.safetensors", threading.Event()

    class Stops(isthmus.Callback):
        def on_epoch_end(self, progress):
            stop.set()

    with pytest.raises(isthmus.Interrupted):
        isthmus.train(folder, **SMALL | {"epochs": 4}, out=out, callbacks=[Stops()], stop=stop)
    moved = folder.rename(tmp_path / "after")
    kept = (moved / "7.png").read_bytes()
    Image.fromarray(255 - digits[7]).save(moved / "7.png")
    with pytest.raises(isthmus.IsthmusError, match="The data has changed since this training began"):
        isthmus.train(moved, **SMALL | {"epochs": 4}, out=out, resume=True)
    (moved / "7.png").write_bytes(kept)
    model = isthmus.train(moved, **SMALL | {"epochs": 4}, out=out, resume=True)
    for name, tensor in wanted.network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor), name
