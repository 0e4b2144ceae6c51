"""On a graphics card: what it computes is what the processor computes. Skipped without one; benchmarks/gpu.py runs it.

ISTHMUS_TEST_DEVICE=cpu runs the same tests on the processor, which shows that the tests themselves run.
"""

import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import isthmus
from isthmus.corruptions.registry import CORRUPTIONS
from isthmus.datasets import Room, open_data, training_data
from isthmus.errors import Interrupted
from isthmus.recipes import Recipe
from isthmus.training.trainer import Trainer

DEVICE = os.environ.get("ISTHMUS_TEST_DEVICE", "cuda")

on_device = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a graphics card, and a torch that was built for CUDA"
)

NETWORKS = {
    "dense": {"model": "dense"},
    "conv": {"model": "conv", "hidden": (4, 4)},
    "photographic": {"model": "photographic", "task": "repair", "corruption": "grayscale", "hidden": (8,), "code": 8},
}


def trainer(images, device, room=None, **fields):
    recipe = Recipe(**{"batch_size": 20, "learning_rate": 1e-3, "precision": "float32", "loss": "mse", **fields})
    learned, held_out = training_data(open_data(images), recipe.size, recipe.patch or 0, 50, room=room)
    return Trainer(recipe, learned, held_out, device=device)


def after_steps(begun, count):
    for _ in range(count):
        begun.step()
    return [begun.loss_sum.item(), *(tensor.cpu() for tensor in begun.model.network.state_dict().values())]


@on_device
@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_device_takes_the_steps_of_the_processor(small_digits, name):
    images = small_digits[:, None].repeat(3, 1) if name == "photographic" else small_digits
    loss, *ours = after_steps(trainer(images, DEVICE, **NETWORKS[name]), 5)
    expected, *theirs = after_steps(trainer(images, "cpu", **NETWORKS[name]), 5)
    assert loss == pytest.approx(expected, rel=1e-3)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=2e-3)


@on_device
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_a_corruption_does_the_same_on_a_device(name):
    corruption = CORRUPTIONS[name]()
    images = torch.from_numpy(np.random.default_rng(0).random((4, 3, 32, 32), np.float32))
    seen = {}
    for device in (DEVICE, "cpu"):
        degraded = corruption(images.to(device), torch.Generator(device).manual_seed(1))
        assert degraded.device.type == torch.device(device).type
        assert torch.equal(corruption(images.to(device), torch.Generator(device).manual_seed(1)), degraded), "the same seed"
        seen[device] = degraded.cpu()
    assert torch.isfinite(seen[DEVICE]).all()
    assert seen[DEVICE].shape == seen["cpu"].shape
    torch.testing.assert_close(seen[DEVICE].mean(), seen["cpu"].mean(), rtol=0, atol=0.1)  # other random numbers


@on_device
def test_a_training_on_a_device_resumes_bit_for_bit(digits_npz, tmp_path, watching):
    fields = {"model": "dense", "task": "denoise", "noise": 0.3, "epochs": 4, "device": DEVICE, "progress": False}
    whole = isthmus.train(digits_npz, out=tmp_path / "whole.safetensors", **fields)

    def stop(progress):
        if progress.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises((Interrupted, KeyboardInterrupt)):
        isthmus.train(digits_npz, out=tmp_path / "parts.safetensors", checkpoint_seconds=0, callbacks=watching(stop), **fields)
    parts = isthmus.train(digits_npz, out=tmp_path / "parts.safetensors", resume=True, **fields)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, parts.network.state_dict()[name]), name


@on_device
def test_what_is_read_again_trains_the_same_on_a_device(pictures):
    fields = {"model": "conv", "task": "denoise", "patch": 16, "hidden": (4,)}
    kept, again = (after_steps(trainer(pictures, DEVICE, Room(memory), **fields), 3) for memory in (1 << 30, 0))
    assert all(torch.equal(torch.as_tensor(one), torch.as_tensor(other)) for one, other in zip(kept, again, strict=True))


@on_device
@pytest.mark.parametrize("name", ["denoise-gray", "denoise-color", "repair", "upscale-x2", "colorize"])
def test_models_that_ship_restore_the_same_on_a_device(pictures, name):
    picture = isthmus.open_data(pictures).one(6)[: 1 if name == "denoise-gray" else 3]
    image = np.moveaxis(picture, 0, -1)[:, :, 0] if len(picture) == 1 else np.moveaxis(picture, 0, -1)
    ours, theirs = (isthmus.load(name, device=device).restore(image) for device in (DEVICE, "cpu"))
    assert ours.shape == theirs.shape
    error = np.square(ours.astype(float) - theirs).mean()
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 45, "dB; bfloat16 may round"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_the_benchmark_says_that_there_is_no_graphics_card(monkeypatch, capsys):
    script = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
    monkeypatch.setattr(sys, "argv", [str(script)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (1, "")
    assert f"torch {torch.__version__} finds no CUDA device, so nothing was measured." in printed.err
