"""Training with several processes: real ones that speak over loopback, with few images, one thread each."""

import json
import multiprocessing
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import isthmus
from isthmus.datasets import open_data, training_data
from isthmus.recipes import Recipe
from isthmus.storage.run_dir import Run
from isthmus.training.trainer import Trainer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the processes are forked, and get signals")

HERE = Path(__file__).parent

PATIENCE = 300
"""Seconds that a busy machine may take."""

RECIPE = Recipe(model="dense", batch_size=25, learning_rate=0.001, epochs=2000, precision="float32")
OPTIONS = ("--model", "dense", "--batch-size", 25, "--learning-rate", 0.001, "--epochs", 2000, "--precision", "float32")
"""Longer than any test waits: each is stopped. The weights hardly depend on the order of sums at this rate."""


@pytest.fixture(scope="module")
def forkserver():
    """What makes processes that have imported isthmus already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["isthmus.training.train", "isthmus.cli"])
    return context


@pytest.fixture
def ranks(forkserver):
    """Return what runs a script as each of some processes that train together, in an environment like torchrun's."""
    started = []

    def ranks(count, script, *given):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        everywhere = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        everywhere |= {"GROUP_RANK": 0, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1}
        processes = []
        for rank, names in enumerate(given):
            environment = {name: str(value) for name, value in (everywhere | {"RANK": rank, "LOCAL_RANK": rank}).items()}
            names = {"ENVIRONMENT": environment, **names}
            processes.append(forkserver.Process(target=runpy.run_path, args=(str(HERE / script), names)))
            started.append(processes[-1])
            processes[-1].start()
        return processes

    yield ranks
    for process in started:
        if process.is_alive():
            process.kill()
        process.join(PATIENCE)


@pytest.fixture
def train_together(ranks, tmp_path):
    """Return what runs `isthmus train` in two processes: these, and the files of what each prints."""

    def train_together(*arguments, other_data=None):
        printed = [tmp_path / f"printed by {rank}.txt" for rank in range(2)]
        both = [["train", *map(str, arguments)] for _ in range(2)]
        both[1][1] = str(other_data or both[1][1])
        given = [{"ARGUMENTS": own, "PRINTED": str(file)} for own, file in zip(both, printed, strict=True)]
        return ranks(2, "rank.py", *given), printed

    return train_together


def statuses(processes):
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]


def wait_for_checkpoint(run, running, newer_than=0.0):
    deadline = time.monotonic() + PATIENCE
    while not run.newest.exists() or run.newest.stat().st_mtime <= newer_than:
        assert time.monotonic() < deadline
        assert running(), "it has ended"
        time.sleep(0.02)


class OneProcess:
    """What one process has after any number of steps; they only go forward."""

    def __init__(self, images):
        self.trainer = Trainer(RECIPE, *training_data(open_data(images), None, 0, 1000), device="cpu")

    def assert_same(self, run):
        """Compare a checkpoint; return how many steps it has seen."""
        tensors, about, _ = run.load()
        trainer, steps = self.trainer, about["state"]["step"]
        trainer.model.network.train()
        while trainer.state.step < steps:
            trainer.step()
            if trainer.state.position == trainer.steps_per_epoch:
                trainer._end_epoch(None)
        for name, tensor in trainer.model.network.state_dict().items():
            torch.testing.assert_close(tensors[f"network.{name}"], tensor, rtol=0, atol=1e-5)
        logged = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        logged = [line for line in logged if line["step"] <= steps]  # a kill may come between a line and its checkpoint
        assert len(logged) == len(trainer.state.history)
        for ours, theirs in zip(logged, trainer.state.history, strict=True):
            for name in ("epoch", "step", "train_loss", "held_out_loss"):
                assert ours[name] == pytest.approx(theirs[name], rel=1e-5)
        return steps


@pytest.fixture
def one_process(small_digits):
    return OneProcess(small_digits)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def two(train_together, digits_npz, out):
    """Two processes that have written a checkpoint and train on."""
    processes, printed = train_together(digits_npz, "--out", out, *OPTIONS, "--checkpoint-seconds", 0)
    wait_for_checkpoint(run_of(out), lambda: all(process.is_alive() for process in processes))
    return processes, printed


def run_of(out):
    return Run(out.with_suffix(".run"))


def test_two_processes_take_the_steps_of_one(ranks, tmp_path):
    files = [tmp_path / f"{name}.pt" for name in ("one", "first of two", "second of two")]
    given = [{"OUT": str(file)} for file in files]
    assert statuses([*ranks(1, "steps.py", given[0]), *ranks(2, "steps.py", *given[1:])]) == [0, 0, 0]
    expected, *both = (torch.load(file) for file in files)
    for weights in both:
        assert weights.keys() == expected.keys()
        for name, tensor in weights.items():
            close = 1e-7 if tensor.dtype == torch.float64 and "gaussian" not in name else 1e-5
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=close, msg=lambda text, name=name: f"{name}: {text}")


def test_a_training_goes_on_with_another_number_of_processes(two, train_together, one_process, digits_npz, out):
    processes, printed = two
    processes[1].terminate()  # a signal to any stops all
    assert statuses(processes) == [143, 143]
    assert f"Stopped and saved in {out.with_suffix('.run')}. Pass --resume to continue." in printed[0].read_text()
    assert printed[1].read_text() == ""
    of_two = one_process.assert_same(run_of(out))

    stop = threading.Event()

    class Stop(isthmus.Callback):
        def on_epoch_end(self, progress):
            if progress.step > of_two + 10:
                stop.set()

    with pytest.raises(isthmus.errors.Interrupted):
        isthmus.train(digits_npz, RECIPE, out=out, resume=True, device="cpu", stop=stop, callbacks=[Stop()], progress=False)
    of_one = one_process.assert_same(run_of(out))
    assert of_one > of_two

    before = run_of(out).newest.stat().st_mtime
    processes, _ = train_together(digits_npz, "--out", out, *OPTIONS, "--checkpoint-seconds", 0, "--resume", "--device", "cpu")
    wait_for_checkpoint(run_of(out), lambda: all(process.is_alive() for process in processes), newer_than=before)
    processes[0].terminate()
    assert statuses(processes) == [143, 143]
    assert one_process.assert_same(run_of(out)) > of_one


@pytest.mark.parametrize("killed", [0, 1])
def test_57_when_a_process_is_killed_the_other_ends_with_a_sentence(two, one_process, out, killed):
    processes, printed = two
    processes[killed].kill()
    assert statuses(processes)[1 - killed] == 1
    expected = "One of the 2 processes has ended, so all end. Pass --resume to continue from the last checkpoint"
    assert expected in printed[1 - killed].read_text()
    assert "Traceback" not in printed[1 - killed].read_text()
    assert one_process.assert_same(run_of(out)) > 0


def test_processes_with_other_images_are_refused(train_together, tmp_path, digits_npz, small_digits, out):
    np.savez(tmp_path / "others.npz", images=255 - small_digits)
    processes, printed = train_together(digits_npz, "--out", out, *OPTIONS, other_data=tmp_path / "others.npz")
    assert statuses(processes) == [1, 3]
    assert "Process 1 has another data than process 0" in printed[1].read_text()
    assert "One of the 2 processes has ended" in printed[0].read_text()


def test_devices_starts_processes(start, one_process, digits_npz, out):
    process = start("train", digits_npz, "--out", out, *OPTIONS, "--checkpoint-seconds", 0, "--devices", 2, "--quiet")
    wait_for_checkpoint(run_of(out), lambda: process.poll() is None)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert err == f"isthmus: Stopped and saved in {out.with_suffix('.run')}. Pass --resume to continue.\n"
    one_process.assert_same(run_of(out))


def test_a_budget_ends_all_processes_together(train_together, digits_npz, out):
    options = ("--model", "dense", "--batch-size", 25, "--precision", "float32", "--budget", "1s")
    processes, printed = train_together(digits_npz, "--out", out, *options)
    assert statuses(processes) == [0, 0]
    assert printed[1].read_text() == ""
    assert isthmus.load(out, device="cpu").info.train_seconds >= 1
    assert not run_of(out).has_checkpoint()


@pytest.mark.parametrize("devices", [0, -1])
def test_devices_are_1_or_more(run, digits_npz, out, devices):
    status, _, err = run("train", digits_npz, "--out", out, "--devices", devices)
    assert (status, err.count("\n")) == (2, 1)
    assert f"--devices is {devices}. Accepted are 1 or more; on mps, 1." in err


def test_a_code_that_compares_images_needs_one_process(train_together, digits_npz, out):
    processes, printed = train_together(digits_npz, "--out", out, *OPTIONS, "--code-kind", "invariant", "--task", "describe")
    assert statuses(processes) == [2, 2]
    assert "invariant compares all images of a batch. Train it with --devices 1." in printed[0].read_text()
