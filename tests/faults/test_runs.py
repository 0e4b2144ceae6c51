"""FAULTS.md, Runs: each test makes one of its lines happen, with real processes and real disks."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

import isthmus
from isthmus.datasets import open_data
from isthmus.recipes import Recipe
from isthmus.storage import model_file
from isthmus.storage.run_dir import Run
from isthmus.training.trainer import Trainer

CHECKPOINTS = ("checkpoint.safetensors", "checkpoint.previous.safetensors")

TRAININGS = {
    "dense": ("--model", "dense", "--batch-size", "20", "--epochs", "400"),
    "conv": ("--model", "conv", "--task", "denoise", "--batch-size", "20", "--epochs", "60", "--hidden", "4", "4", "--code", "4"),
}
"""Some seconds each, on 180 digits of 14 x 14 pixels."""


def run_of(out):
    """Return the folder of the training of a model file."""
    return Run(out.with_suffix(".run"))


def wait_for_checkpoint(out, process, newer_than=0.0):
    """Wait until a training has written a checkpoint; its time of change."""
    newest = run_of(out).newest
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if newest.exists():
            changed = newest.stat().st_mtime
            if changed > newer_than:
                return changed
        time.sleep(0.01)
    raise AssertionError(f"no checkpoint: {process.poll()} {process.communicate(timeout=5) if process.poll() is not None else ''}")


def tensors_of(path):
    return model_file.read(path, "model")[0]


def assert_same_tensors(path, expected):
    tensors = tensors_of(path)
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected[name]), name


@pytest.fixture
def interrupted(tmp_path, digits_npz, run):
    """The options of a training that was stopped in the middle, and its model's path; two checkpoints are there."""
    out = tmp_path / "model.safetensors"
    options = ("train", digits_npz, "--out", out, *TRAININGS["dense"], "--checkpoint-seconds", "0.01", "--quiet")
    watcher = StopWhen(lambda: all((tmp_path / "model.run" / name).exists() for name in CHECKPOINTS), signal.SIGTERM)
    with watcher:
        status, _, err = run(*options)
    assert status == 143
    assert f"isthmus: Stopped and saved in {tmp_path / 'model.run'}. Pass --resume to continue." in err
    return options, out


class StopWhen:
    """Sends this process a signal, from a thread beside, as soon as something is so."""

    def __init__(self, ready, number):
        self.ready, self.number = ready, number

    def __enter__(self):
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def send(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.ready():
                os.kill(os.getpid(), self.number)
                break
            time.sleep(0.002)

    def __exit__(self, *error):
        self.thread.join()


def test_33_a_full_disk_fails_and_leaves_the_last_checkpoint_intact(small_disk, digits_npz, run):
    disk = small_disk("size=1m")
    out = disk / "model.safetensors"
    options = ("train", digits_npz, "--out", out, *TRAININGS["dense"], "--checkpoint-seconds", "0.01", "--quiet")

    def fill():
        if not run_of(out).newest.exists():
            return False
        with open(disk / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return True

    with StopWhen(fill, signal.SIGCONT):
        status, _, err = run(*options)
    assert status == 1
    assert re.fullmatch(rf"isthmus: Disk full while writing {disk}/\S+. Free some space and pass --resume to continue\.\n", err)
    assert not out.exists()
    assert not list(disk.rglob("*.part"))
    tensors, about, _ = run_of(out).load()
    assert about["state"]["step"] > 0
    (disk / "filler").unlink()
    status, printed, _ = run(*options, "--resume", "--json")
    assert status == 0
    assert json.loads(printed)["steps"] == 9 * 400
    assert tensors


def test_33_a_full_disk_leaves_the_old_output(small_disk, digits_npz, model_files, run, digits):
    disk = small_disk("size=64k")
    np.save(disk.parent / "in.npy", digits)  # 245 kB
    (disk / "out.npy").write_bytes(b"old")
    status, _, err = run("restore", model_files["conv"], disk.parent / "in.npy", "--out", disk / "out.npy", "--overwrite")
    assert status == 1
    assert f"Disk full while writing {disk / 'out.npy'}. Free some space and run the same command again." in err
    assert (disk / "out.npy").read_bytes() == b"old"
    assert [path.name for path in disk.iterdir()] == ["out.npy"]


@pytest.mark.parametrize("name", TRAININGS)
def test_34_killed_at_any_moment_and_resumed_equals_uninterrupted(name, tmp_path, digits_npz, start):
    def train(out, *more):
        return start("train", digits_npz, "--out", out, *TRAININGS[name], "--quiet", *more)

    whole = train(tmp_path / "whole.safetensors")
    assert whole.wait(300) == 0, whole.communicate()
    often = ("--resume", "--checkpoint-seconds", "0.05")
    out = tmp_path / "killed.safetensors"
    moments = random.Random(34)
    changed, kills = 0.0, 0
    while kills < 2:
        process = train(out, *often)
        changed = wait_for_checkpoint(out, process, changed)
        time.sleep(moments.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL, "it was finished before it could be killed"
        kills += 1
        assert not out.exists()
        model_file.read(
            next(path for path in (run_of(out).newest, run_of(out).previous) if path.exists()),
            "checkpoint",
        )
    last = train(out, "--resume")
    assert last.wait(300) == 0, last.communicate()
    assert_same_tensors(out, tensors_of(tmp_path / "whole.safetensors"))
    histories = [isthmus.load(path, device="cpu").info.history for path in (out, tmp_path / "whole.safetensors")]
    without_seconds = [[{k: v for k, v in record.items() if k != "seconds"} for record in history] for history in histories]
    assert without_seconds[0] == without_seconds[1]
    lines = [json.loads(line) for line in run_of(out).metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, int(TRAININGS[name][TRAININGS[name].index("--epochs") + 1]) + 1))
    assert not run_of(out).has_checkpoint()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_35_a_polite_signal_saves_and_resume_goes_on(number, status, tmp_path, digits_npz, start, run):
    out = tmp_path / "model.safetensors"
    options = ("train", digits_npz, "--out", out, *TRAININGS["dense"], "--quiet", "--checkpoint-seconds")
    process = start(*options, "0.05")
    wait_for_checkpoint(out, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert err == f"isthmus: Stopped and saved in {tmp_path / 'model.run'}. Pass --resume to continue.\n"
    assert not out.exists()
    assert run_of(out).load()[1]["state"]["step"] > 0
    printed = run(*options, "10", "--resume", "--json")[1]
    assert json.loads(printed)["steps"] == 9 * 400
    assert out.exists()


def test_35_a_second_signal_ends_at_once():
    program = (
        "import os, signal, time; from isthmus.training.stopping import stop_requests\n"
        "with stop_requests() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print(stop.number, stop.exit_status, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT); print('still here', flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "15 143\n"
    assert done.returncode == -signal.SIGINT


def diverging(depth):
    """Return the options of a dense training at far too high a rate: products of so many layers overflow."""
    widths = ["30"] * depth
    return (
        "--model",
        "dense",
        "--loss",
        "mse",
        "--learning-rate",
        "10",
        "--hidden",
        *widths,
        "--batch-size",
        "20",
        "--epochs",
        "100",
    )


def test_36_a_loss_that_is_no_number_stops_and_says_what_to_try(tmp_path, digits_npz, run):
    out = tmp_path / "model.safetensors"
    status, _, err = run("train", digits_npz, "--out", out, *diverging(30), "--quiet")
    assert status == 1
    assert re.fullmatch(
        r"isthmus: The loss is no longer finite after \d+ steps\. "
        r"Try a lower --learning-rate than 10, or --precision float32\.\n",
        err,
    )
    assert not out.exists()


def test_36_the_last_good_state_is_kept(tmp_path, small_digits, watching):
    out = tmp_path / "model.safetensors"
    dataset = open_data(small_digits).read()

    def poison(moment):
        if moment.epoch == 3:
            torch.nn.utils.vector_to_parameters(
                torch.full((trainer.model.num_parameters,), math.nan), trainer.model.network.parameters()
            )

    trainer = Trainer(Recipe(model="dense", epochs=10), dataset, dataset, device="cpu", callbacks=watching(poison))
    run = run_of(out)
    with run.held():
        run.begin(0)
        with pytest.raises(isthmus.IsthmusError) as refusal:
            trainer.fit(run, checkpoint_seconds=0)
    kept = re.search(rf"The last good state, after (\d+) steps, is in {out}\.$", str(refusal.value))
    assert kept is not None
    model = isthmus.load(out, device="cpu")
    assert model.info.steps == int(kept[1]) > 0
    assert np.isfinite(model.restore(small_digits)).all()


def test_36_no_record_holds_a_number_that_is_none(tmp_path, digits_npz, run):
    options = ("train", digits_npz, "--out", tmp_path / "model.safetensors", *diverging(30), "--quiet", "--checkpoint-seconds", "0")
    status, _, err = run(*options)
    assert status == 1
    assert "The loss is no longer finite after " in err
    assert not re.search("Infinity|NaN", (tmp_path / "model.run" / "metrics.jsonl").read_text())


@pytest.mark.parametrize("where", ["below_a_file", "read_only"])
def test_38_an_output_that_cannot_be_written_fails_before_training(where, tmp_path, digits_npz, request, run, monkeypatch):
    if where == "below_a_file":
        (tmp_path / "file").write_text("")
        folder, reason = tmp_path / "file", "(not a directory|file exists)"
    else:
        folder, reason = request.getfixturevalue("small_disk")("size=64k,ro"), "read-only file system"
    monkeypatch.setattr(Trainer, "fit", lambda *arguments: pytest.fail("it was trained"))
    for command in (
        ("train", digits_npz, "--out", folder / "model.safetensors", "--epochs", "1000000"),
        ("restore", tmp_path / "none.safetensors", digits_npz, "--out", folder / "out.npz"),
    ):
        status, _, err = run(*command)
        if command[0] == "train":
            assert status == 1
            assert re.fullmatch(rf"isthmus: Cannot write {folder}/model.safetensors: {reason}\.\n", err), err
    assert not (tmp_path / "model.run").exists()


def test_39_a_second_run_in_one_folder_is_refused(tmp_path, digits_npz, start, run):
    out = tmp_path / "model.safetensors"
    first = start("train", digits_npz, "--out", out, "--model", "dense", "--epochs", "100000", "--checkpoint-seconds", "0.05")
    wait_for_checkpoint(out, first)
    for way in ("--resume", "--overwrite"):
        status, _, err = run("train", digits_npz, "--out", out, "--model", "dense", "--epochs", "100000", way)
        assert status == 2
        assert err == f"isthmus: Another training runs in {tmp_path / 'model.run'}. Wait for it, or choose another --out.\n"
    assert first.poll() is None, "the first must not notice"
    assert run_of(out).has_checkpoint()


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-50], lambda content: b"", lambda content: content[:-4] + b"\xff" * 4],
    ids=["cut_off", "empty", "changed"],
)
def test_40_a_corrupt_newest_checkpoint_falls_back_to_the_one_before(damage, interrupted, run):
    options, out = interrupted
    newest = run_of(out).newest
    newest.write_bytes(damage(newest.read_bytes()))
    status, printed, err = run(*(option for option in options if option != "--quiet"), "--resume", "--json")
    assert status == 0
    assert f"isthmus: {newest} " in err
    assert "Resuming from the checkpoint before it.\n" in err
    assert json.loads(printed)["steps"] == 9 * 400


def test_40_two_corrupt_checkpoints_are_refused(interrupted, run):
    options, out = interrupted
    for path in (run_of(out).newest, run_of(out).previous):
        path.write_bytes(path.read_bytes()[:-50])
    status, _, err = run(*options, "--resume")
    assert status == 4
    assert err.startswith(f"isthmus: {Run(out.with_suffix('.run')).newest} is cut off or damaged (")


def test_41_resume_with_another_recipe_is_refused_and_the_difference_named(interrupted, run):
    options, _ = interrupted
    status, _, err = run(*options, "--resume", "--code", "16")
    assert status == 1
    assert err == (
        "isthmus: The recipe has changed since this training began: code was 32 and is 16. "
        "Restore it to resume, or start over with --overwrite.\n"
    )


def test_41_resume_with_other_data_is_refused_and_the_difference_named(interrupted, digits_npz, small_digits, run):
    options, _ = interrupted
    changed = small_digits.copy()
    changed[0, 0, 0] ^= 1
    np.savez(digits_npz, images=changed)
    status, _, err = run(*options, "--resume")
    assert status == 1
    assert err.startswith("isthmus: The data has changed since this training began: sha256 was '")


def test_41_an_unfinished_training_is_not_overwritten_unasked(interrupted, run):
    options, out = interrupted
    before = run_of(out).newest.read_bytes()
    status, _, err = run(*options)
    assert status == 2
    name = run_of(out).folder
    assert err == f"isthmus: {name} holds an unfinished training. Pass --resume to continue, or --overwrite to start over.\n"
    assert run_of(out).newest.read_bytes() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_42_a_device_that_is_not_there_is_refused(tmp_path, digits_npz, run):
    status, _, err = run("train", digits_npz, "--out", tmp_path / "model.safetensors", "--device", "cuda")
    assert status == 2
    assert f"torch {torch.__version__} finds no device cuda" in err


@pytest.mark.parametrize("command", [("info", "digits", "--json"), ("train", "--help")], ids=["result", "help"])
def test_43_a_closed_stdout_is_quiet(command, start):
    reading, writing = os.pipe()
    os.close(reading)  # as `| head` does, once it has seen enough
    process = start(*command, stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode in (0, 1)


def test_44_a_clock_that_jumps_does_not_change_the_budget(digits, monkeypatch):
    jumps = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: 1e9 + 3600 * next(jumps) * (-1) ** next(jumps))
    seconds = iter(np.arange(0, 10_000, 0.01))
    monkeypatch.setattr("isthmus.training.trainer.time.monotonic", lambda: float(next(seconds)))
    model = isthmus.train(digits, model="dense", budget="1s", device="cpu")
    assert model.info.train_seconds == pytest.approx(1, abs=0.02)
