import dataclasses
import inspect
import json
import math
from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pytest
import torch

import isthmus
from isthmus.datasets import open_data, train_and_test
from isthmus.recipes import PRESETS
from isthmus.report.tables import format_model
from isthmus.storage import model_file
from isthmus.storage.run_dir import Run
from isthmus.training.schedules import one_cycle
from isthmus.training.trainer import Trainer

WEIGHTS = {"model": "dense", "epochs": 2, "device": "cpu"}


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.network.parameters()])


def test_one_cycle_rises_to_one_and_falls_to_nothing():
    heights = [one_cycle(share, 0.15)[0] for share in np.linspace(0, 1, 101)]
    peak = int(np.argmax(heights))
    assert heights[0] == 0
    assert peak == 15
    assert heights[peak] == pytest.approx(1)
    assert (np.diff(heights[: peak + 1]) > 0).all()
    assert (np.diff(heights[peak:]) < 0).all()
    assert heights[-1] == pytest.approx(0)
    assert one_cycle(1.7, 0.15)[0] == pytest.approx(0), "a budget may be overdrawn by a step"


def test_one_cycle_is_torchs():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=1001, pct_start=0.15, cycle_momentum=False)
    for step in range(1000):
        height, floor = one_cycle(step / 1000, 0.15)
        assert 0.01 * (floor + (1 - floor) * height) == pytest.approx(
            schedule.get_last_lr()[0], abs=1e-4
        )  # its peak is one step earlier
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("model", ["dense", "conv"])
@pytest.mark.parametrize("loss", ["bce", "mse", "l1"])
def test_losses_fall(model, loss, small_digits):
    history = isthmus.train(small_digits, model=model, loss=loss, epochs=15, device="cpu").info.history
    assert [record["epoch"] for record in history] == list(range(1, 16))
    for key in ("train_loss", "held_out_loss"):
        assert history[-1][key] < 0.8 * history[0][key]


def test_a_denoiser_beats_the_noise(digits):
    model = isthmus.train(digits, task="denoise", epochs=25, batch_size=20, device="cpu")
    clean = digits[:50, None] / np.float32(255)
    noisy = model.degradation.corrupt(clean, 5)
    assert np.square(model.engine.restore_inputs(noisy) - clean).mean() < 0.5 * np.square(noisy - clean).mean()


def test_same_seed_gives_the_same_weights_and_another_others(digits):
    first = weights(isthmus.train(digits, seed=3, **WEIGHTS))
    assert torch.equal(first, weights(isthmus.train(digits, seed=3, **WEIGHTS)))
    assert not torch.equal(first, weights(isthmus.train(digits, seed=4, **WEIGHTS)))


def test_torchs_own_chance_neither_matters_nor_changes(digits):
    torch.manual_seed(1)
    first = weights(isthmus.train(digits, task="denoise", noise=0.2, **WEIGHTS))
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, weights(isthmus.train(digits, task="denoise", noise=0.2, **WEIGHTS)))


def test_a_training_with_a_file_equals_one_without(digits, tmp_path):
    written = isthmus.train(digits, out=tmp_path / "model.safetensors", checkpoint_seconds=0, **WEIGHTS)
    assert torch.equal(weights(written), weights(isthmus.train(digits, **WEIGHTS)))
    assert torch.equal(weights(written), weights(isthmus.load(tmp_path / "model.safetensors", device="cpu")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.run", "model.safetensors"]
    records = [json.loads(line) for line in (tmp_path / "model.run" / "metrics.jsonl").read_text().splitlines()]
    assert records == written.info.history


def test_a_batch_larger_than_the_data_works(digits):
    model = isthmus.train(digits[:7], batch_size=1000, **WEIGHTS)
    assert model.info.steps == 2


def test_a_budget_ends_the_training_and_stretches_the_schedule(digits, monkeypatch):
    seconds = iter(np.arange(0, 1000, 0.01))
    monkeypatch.setattr("isthmus.training.trainer.time.monotonic", lambda: float(next(seconds)))
    model = isthmus.train(digits, model="dense", budget="1.5s", device="cpu")
    assert model.info.train_seconds == pytest.approx(1.5, abs=0.02)
    assert model.info.steps == pytest.approx(150, abs=30), "a hundredth of a second each, by this clock"
    assert model.info.history[-1]["rate"] < 0.001


def test_a_part_of_an_epoch_is_trained_with_the_whole_schedule(small_digits):
    model = isthmus.train(small_digits, batch_size=20, **{**WEIGHTS, "epochs": 1.25})
    assert [(one["epoch"], one["step"]) for one in model.info.history] == [(1, 9), (2, 12)]  # 12 of 11.25 steps; 180 images
    assert 0 < model.info.history[-1]["rate"] < 1e-3
    assert "1.25 epochs, 12 steps" in format_model(model.describe())
    assert isthmus.Recipe(epochs=2.0).to_json()["epochs"] == 2
    with pytest.raises(isthmus.UsageError, match="above 0, not nan"):
        isthmus.Recipe(epochs=math.nan)


def test_whoever_watches_sees_every_epoch(digits, watching):
    moments = []
    isthmus.train(digits, callbacks=watching(moments.append), **WEIGHTS)
    epochs = [moment for moment in moments if moment.validation is not None]
    assert [moment.epoch for moment in epochs] == [1, 2]
    assert epochs[-1].share == 1
    assert all(math.isfinite(moment.loss) for moment in moments)


def test_a_model_of_another_size_is_trained_on_scaled_images(digits):
    model = isthmus.train(digits, size=(10, 12), **WEIGHTS)
    assert model.image_shape == (1, 10, 12)


def test_fields_change_a_recipe(digits):
    recipe = isthmus.Recipe(model="dense", epochs=7, seed=3)
    trained = isthmus.train(digits[:50], recipe, epochs=1, device="cpu").recipe
    assert (trained.model, trained.epochs, trained.seed) == ("dense", 1, 3)


def test_the_keywords_of_train_are_the_fields_of_a_recipe():
    keywords = inspect.signature(isthmus.train).parameters
    hints, fields = get_type_hints(isthmus.train), get_type_hints(isthmus.Recipe)
    names = [field.name for field in dataclasses.fields(isthmus.Recipe)]
    assert [name for name in keywords if name in names] == names, "in the same order"
    assert all(keywords[name].default is None for name in names)
    assert {name: hints[name] for name in names} == {name: fields[name] | None for name in names}


def test_a_training_begins_from_a_named_recipe(small_digits):
    model = isthmus.train(small_digits, recipe="vae", epochs=1, device="cpu")
    assert model.recipe == replace(PRESETS["vae"], epochs=1).complete()


def test_a_training_begins_from_a_recipe_in_a_file(small_digits, tmp_path):
    recipe = isthmus.Recipe(model="dense", code=3, epochs=1, beta_warm_up=0.0)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    assert isthmus.train(small_digits, recipe=str(tmp_path / "recipe.json"), device="cpu").recipe == recipe.complete()


def trainer(images, **fields):
    recipe = isthmus.Recipe(**{"model": "dense", "code": 4, "epochs": 10, "batch_size": 20, **fields})
    return Trainer(recipe, *train_and_test(open_data(images)), device="cpu")


def first_batch(images, **fields):
    """Return what the network of a training sees in the first step, and how many of the images it gives."""
    begun = trainer(images, **fields)
    network, passed = begun.model.network, []
    network.encoder[0].register_forward_hook(lambda layer, given, result: passed.append(given[0].reshape(-1, 1, 14, 14)))
    network.decoder[-1].register_forward_hook(lambda layer, given, result: passed.append(len(result)))
    begun.step()
    return passed


def test_an_invariant_code_learns_from_two_views_of_each_image(small_digits):
    fields = {"task": "denoise", "noise": 0.1}
    once, _ = first_batch(small_digits, **fields)
    twice, given = first_batch(small_digits, code_kind="invariant", **fields)
    assert once.shape == (20, 1, 14, 14)
    assert twice.shape == (40, 1, 14, 14)
    assert given == 20
    first, second = twice.chunk(2)
    others = second.roll(1, 0)
    assert not torch.equal(first, second), "damaged differently"
    assert (first - second).square().mean() < 0.3 * (first - others).square().mean(), "the same images"


def test_images_are_prepared_before_they_are_seen_and_wanted(small_digits):
    seen, _ = first_batch(small_digits, prepare="binarize")
    assert seen.unique().tolist() == [0, 1]
    begun = trainer(small_digits, prepare="binarize", task="denoise")
    assert np.unique(begun.held_out.clean).tolist() == [0, 1]
    assert len(np.unique(begun.held_out.model_input)) > 100


def after_one_step(images, **fields):
    begun = trainer(images, code_kind="gaussian", **fields)
    begun.step()
    return weights(begun.model)


def test_the_weight_of_the_codes_cost_rises_from_nothing(small_digits):
    without = after_one_step(small_digits, beta=0.0)
    assert torch.equal(after_one_step(small_digits, beta=5.0, beta_warm_up=0.5), without)
    assert not torch.equal(after_one_step(small_digits, beta=5.0, beta_warm_up=0.0), without)


@pytest.mark.parametrize("warm_up", [0.0, 0.5])
def test_more_beta_makes_the_code_more_regular(warm_up, small_digits):
    costs = []
    for beta in (0.0, 1.0, 10.0):
        model = isthmus.train(
            small_digits, model="dense", code=4, code_kind="gaussian", beta=beta, beta_warm_up=warm_up, epochs=8, batch_size=20
        )
        encoded = model.engine.encode(torch.from_numpy(small_digits[:, None] / np.float32(255)).to(model.device))[0]
        costs.append(model.bottleneck.draw(encoded, torch.Generator(model.device))[1].mean().item())
    assert costs[0] > 1.5 * costs[1] > 3 * costs[2]


def test_an_invariant_code_hardly_changes_with_the_view(small_digits):
    spreads = []
    for code_kind in ("linear", "invariant"):
        fields = {"task": "describe", "code_kind": code_kind, "hidden": (64,), "epochs": 30}
        model = trainer(small_digits, **fields).fit()
        clean = small_digits[9::10, None] / np.float32(255)
        first, second = (model.encode(model.degradation.corrupt(clean, seed)) for seed in (1, 2))
        spreads.append(np.square(first - second).mean() / np.square(first - first.mean(0)).mean())
    assert spreads[1] < 0.8 * spreads[0]


def test_a_finished_training_has_nothing_to_resume(digits, tmp_path, caplog):
    out = tmp_path / "model.safetensors"
    first = isthmus.train(digits, out=out, **WEIGHTS)
    again = isthmus.train(digits, out=out, resume=True, **WEIGHTS)
    assert torch.equal(weights(first), weights(again))
    assert caplog.messages == [f"{out} is finished: there is nothing to resume."]


def test_tensorboards_files_are_written_if_asked(digits, tmp_path):
    pytest.importorskip("tensorboard")
    isthmus.train(
        digits,
        out=tmp_path / "model.safetensors",
        callbacks=[isthmus.TensorBoard(tmp_path / "model.run" / "tensorboard")],
        **WEIGHTS,
    )
    assert list((tmp_path / "model.run").rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    "fields",
    [
        {"code_kind": "gaussian", "prepare": "binarize", "beta_warm_up": 0.9, "optimizer": "adam"},
        {"code_kind": "invariant", "task": "describe", "decoder_hidden": (20,), "optimizer": "muon"},
    ],
    ids=["gaussian, by Adam", "invariant, by Muon"],
)
def test_a_code_of_chance_resumed_within_an_epoch_equals_uninterrupted(fields, tmp_path, small_digits, watching):
    class Cut(Exception):  # noqa: N818  # not an error of ours
        pass

    def cut(moment):
        if moment.epoch == 6:  # at step 54; the last checkpoint is of step 50
            raise Cut

    options = {"model": "dense", "hidden": (30,), "code": 5, "batch_size": 20, "epochs": 9, "device": "cpu", **fields}
    isthmus.train(small_digits, out=tmp_path / "whole.safetensors", **options)
    out = tmp_path / "cut.safetensors"
    with pytest.raises(Cut):
        isthmus.train(small_digits, out=out, checkpoint_seconds=0, callbacks=watching(cut), **options)
    assert Run(out.with_suffix(".run")).load()[1]["state"]["position"] == 5
    isthmus.train(small_digits, out=out, resume=True, **options)
    resumed, whole = (model_file.read(path, "model")[0] for path in (out, tmp_path / "whole.safetensors"))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
