import itertools
import json
import logging
import re
import signal
import sys
import time

import numpy as np
import pytest
from sklearn.decomposition import PCA

import isthmus
from isthmus.datasets import hold_out, open_data, train_and_test
from isthmus.errors import Interrupted, IsthmusError, UsageError
from isthmus.model import Model
from isthmus.recipes import Recipe, find_recipe
from isthmus.training.trainer import Trainer
from isthmus.tuning import Tried, choose, find_frontier, search, tune

SHORT = {"model": "dense", "epochs": 4, "device": "cpu", "code": 8}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, small_digits):
    """The folder and the result of a short tuning, and what was told of its trials."""
    folder, told = tmp_path_factory.mktemp("tuned"), []

    class Keep(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())

    log, handler = logging.getLogger("isthmus.tuning"), Keep()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    result = tune(small_digits, out=folder, trials=20, **SHORT)
    log.removeHandler(handler)
    log.setLevel(logging.NOTSET)
    return folder, result, told


def point(numbers, error):
    return Tried(recipe=Recipe(), numbers=numbers, choosing_mse=error, mse=error, seconds=1.0)


def recipes_of(result):
    return sorted((tried.numbers, tried.choosing_mse, json.dumps(tried.recipe.to_json())) for tried in result.tried)


def test_the_frontier_is_what_nothing_smaller_does_better_than():
    points = [point(8, 0.5), point(4, 0.6), point(8, 0.4), point(16, 0.45), point(32, 0.3), point(4, 0.7)]
    assert [(best.numbers, best.mse) for best in find_frontier(points)] == [(4, 0.6), (8, 0.4), (32, 0.3)]


def test_the_knee_is_farthest_below_the_line_between_the_ends():
    frontier = [point(8, 0.030), point(16, 0.018), point(32, 0.0095), point(64, 0.006), point(128, 0.005)]
    assert choose(frontier).numbers == 32
    assert choose(frontier[:1]).numbers == 8
    assert choose(frontier[:2]).numbers == 16
    assert choose([point(8, 0.03), point(16, 0.029), point(32, 0.01)]).numbers == 32, "no point is below the line"


def test_with_a_code_size_the_best_within_it_is_chosen():
    frontier = [point(8, 0.03), point(16, 0.018), point(49, 0.0095)]
    assert [choose(frontier, code).numbers for code in (8, 31, 49, 100)] == [8, 16, 49, 49]


def test_the_chosen_recipe_is_written(tuned):
    folder, result, _ = tuned
    assert find_recipe(str(folder / "recipe.json")) == result.chosen.recipe
    assert result.chosen in result.frontier
    assert result.chosen.numbers <= 8


def test_errors_are_those_of_images_that_no_trial_has_seen(tuned, small_digits):
    _, result, _ = tuned
    train, test = train_and_test(open_data(small_digits))
    learned, choosing = hold_out(train, "train"), hold_out(train, "test")
    assert (len(learned), len(choosing), len(test)) == (162, 18, 20)
    model = Trainer(result.chosen.recipe, learned, choosing, device="cpu").fit()
    for images, error in ((choosing.images, result.chosen.choosing_mse), (test.images, result.chosen.mse)):
        clean = images / np.float32(255)
        assert np.square(model.engine.restore_inputs(clean) - clean).mean() == pytest.approx(error, rel=1e-4)


def test_pca_learns_from_the_same_images(tuned, small_digits):
    _, result, _ = tuned
    table = small_digits.reshape(200, -1) / np.float32(255)
    held_out = np.arange(200) % 10 == 9
    learned = table[~held_out][np.arange(180) % 10 != 9]
    for numbers, error in result.pca_mse.items():
        pca = PCA(numbers, random_state=0).fit(learned)
        restored = np.clip(pca.inverse_transform(pca.transform(table[held_out])), 0, 1)
        assert np.square(restored - table[held_out]).mean() == pytest.approx(error, rel=1e-4)
    assert set(result.pca_mse) >= {best.numbers for best in result.frontier}


def test_sizes_around_the_wanted_one_are_tried(tuned):
    assert {tried.numbers for tried in tuned[1].tried} == {2, 4, 8, 16, 32}


def test_the_first_of_each_size_is_the_recipe_that_was_given(tuned):
    for size in (2, 4, 8, 16, 32):
        first = next(tried.recipe for tried in tuned[1].tried if tried.numbers == size)
        assert (first.hidden, first.loss, first.learning_rate) == ((), "bce", 0.01)


def test_what_is_good_for_a_size_is_tried_for_its_neighbors(tuned):
    sizes = {}
    for tried in tuned[1].tried:
        key = (len(tried.recipe.hidden), tried.recipe.loss, tried.recipe.learning_rate)
        sizes.setdefault(key, set()).add(tried.numbers)
    assert len([shared for key, shared in sizes.items() if key != (0, "bce", 0.01) and len(shared) > 1]) > 1


def test_what_lags_behind_is_ended_early(tuned):
    _, result, told = tuned
    ended = [sentence for sentence in told if "ended early, after" in sentence]
    assert result.ended_early == len(ended) > 0
    assert len(result.tried) == 20 - len(ended)
    assert all(re.search(r"ended early, after [23] of 4 epochs", sentence) for sentence in ended)


def test_the_page_has_the_frontier_beside_pca(tuned):
    folder, result, _ = tuned
    page = (folder / "report.html").read_text()
    for best in result.frontier:
        assert f"{best.mse:.5f}" in page
        assert f"{result.pca_mse[best.numbers]:.5f}" in page
    assert "data:image/png;base64," in page
    assert sorted(path.name for path in folder.iterdir()) == ["frontier.png", "recipe.json", "report.html", "trials.run"]


def test_the_same_seed_finds_the_same_and_so_does_a_resumed_tuning(tuned, small_digits, tmp_path):
    first = tune(small_digits, out=tmp_path, trials=7, **SHORT)
    assert len(first.tried) + first.ended_early == 7
    resumed = tune(small_digits, out=tmp_path, trials=20, resume=True, **SHORT)
    assert recipes_of(resumed) == recipes_of(tuned[1])
    assert resumed.chosen.recipe == tuned[1].chosen.recipe
    assert resumed.seconds > first.seconds


def test_another_seed_tries_others(tuned, small_digits, tmp_path):
    other = tune(small_digits, out=tmp_path, trials=20, seed=1, **SHORT)
    assert {tried.recipe.hidden for tried in other.tried} != {tried.recipe.hidden for tried in tuned[1].tried}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_tuning_goes_on_to_the_same_result(number, tuned, start, tmp_path, small_digits):
    np.save(tmp_path / "digits.npy", small_digits)
    out = tmp_path / "tuned"
    options = ("tune", tmp_path / "digits.npy", "--out", out, "--model", "dense", "--epochs", "4", "--code", "8", "--device", "cpu")
    process = start(*options, "--trials", "20", "--quiet")
    journal = out / "trials.run" / "journal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b'"mse"') >= 6):
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    if number == signal.SIGTERM:
        assert process.returncode == 143
        assert err == f"isthmus: Stopped in {out}. Pass --resume to continue.\n"
        assert find_recipe(str(out / "recipe.json")).epochs == 4
    with open(journal, "ab") as file:
        file.write(b'{"op_code": 8, "trial')  # as a kill within a write leaves it
    resumed = start(*options, "--trials", "20", "--json", "--resume")
    printed, _ = resumed.communicate(timeout=120)
    assert resumed.returncode == 0
    found = json.loads(printed)
    assert [(best["numbers"], best["mse"]) for best in found["frontier"]] == [
        (best.numbers, pytest.approx(best.mse, rel=1e-6)) for best in tuned[1].frontier
    ]


def test_a_kill_between_any_two_writes_changes_nothing(small_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(search, "SIZES", (1, 2))
    options = {**SHORT, "epochs": 1, "trials": 5}
    whole = tune(small_digits, out=tmp_path / "whole", **options)
    lines = (tmp_path / "whole" / "trials.run" / "journal").read_bytes().splitlines(keepends=True)
    begun = [place for place, line in enumerate(lines) if json.loads(line)["op_code"] == 4]  # Optuna's code of a new trial
    assert len(begun) >= 5
    for kept in range(begun[2], len(lines)):
        folder = tmp_path / f"killed after {kept}" / "trials.run"
        folder.mkdir(parents=True)
        (folder / "journal").write_bytes(b"".join(lines[:kept]))
        assert recipes_of(tune(small_digits, out=folder.parent, resume=True, **options)) == recipes_of(whole), lines[kept]


@pytest.fixture
def clock(monkeypatch):
    """Return what sets how many seconds pass between two looks at the clock."""

    def set_clock(seconds):
        ticks = itertools.count()
        monkeypatch.setattr("isthmus.tuning.search.time.monotonic", lambda: next(ticks) * seconds)

    return set_clock


def test_a_budget_ends_the_search_and_what_was_spent_counts(small_digits, tmp_path, clock):
    clock(0.01)
    first = tune(small_digits, out=tmp_path, budget="3s", **SHORT)
    assert 3 <= first.seconds < 4, "by this clock"
    again = tune(small_digits, out=tmp_path, budget="3s", resume=True, **SHORT)
    assert (again.seconds, recipes_of(again)) == (first.seconds, recipes_of(first))


def test_a_budget_too_short_for_one_training_is_told_and_counts_when_resumed(small_digits, tmp_path, clock):
    clock(0.001)
    for budget, resume in (("1s", False), ("3s", True)):
        message = f"No training of 100000 epochs finished in {budget[0]} seconds. Pass a larger budget"
        with pytest.raises(IsthmusError, match=message):
            tune(small_digits, out=tmp_path, budget=budget, resume=resume, **{**SHORT, "epochs": 100_000})


def test_a_training_that_diverges_is_a_failed_trial(small_digits, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "isthmus.tuning")
    monkeypatch.setattr(search, "RATES", (9.0, 10.0))
    options = {**SHORT, "hidden": (512, 512, 512), "loss": "mse", "batch_size": 4, "schedule": "constant", "code_kind": "linear"}
    with pytest.raises(IsthmusError, match=r"No training of 4 epochs finished in \d+ seconds"):
        tune(small_digits, out=tmp_path, trials=3, **options)
    assert [sentence.rpartition(": ")[2] for sentence in caplog.messages] == ["diverged"] * 3


def test_a_denoiser_is_tuned_on_noisy_images(small_digits, tmp_path):
    result = tune(small_digits, out=tmp_path, task="denoise", trials=5, **SHORT)
    assert result.chosen.recipe.corruption == "gaussian-noise(std=0.5, clip=True)"
    assert result.pca_mse[8] > 0.03, "PCA keeps some of the noise"


def test_a_convolutional_code_has_at_most_the_size(small_digits, tmp_path):
    result = tune(small_digits, out=tmp_path, trials=5, **{**SHORT, "model": "conv", "epochs": 1, "code": 30})
    for tried, size in zip(sorted(result.tried, key=lambda tried: tried.numbers), (8, 15, 30, 60, 120), strict=True):
        assert np.prod(Model(tried.recipe, (1, 14, 14), device="cpu").code_shape()) == tried.numbers
        assert size / 2 < tried.numbers <= size


def test_another_recipe_or_other_data_cannot_be_resumed(tuned, small_digits, tmp_path):
    tune(small_digits, out=tmp_path, trials=1, **SHORT)
    with pytest.raises(IsthmusError, match="The recipe has changed since this training began: epochs was 4 and is 5"):
        tune(small_digits, out=tmp_path, trials=2, resume=True, **{**SHORT, "epochs": 5})
    with pytest.raises(IsthmusError, match="The data has changed"):
        tune(small_digits[:100], out=tmp_path, trials=2, resume=True, **SHORT)


def test_a_damaged_journal_is_told(small_digits, tmp_path):
    tune(small_digits, out=tmp_path, trials=1, **SHORT)
    journal = tmp_path / "trials.run" / "journal"
    journal.write_bytes(b"{}\n" + journal.read_bytes())
    with pytest.raises(IsthmusError, match=r"journal is damaged \(KeyError\)\. Pass `overwrite=True` to start over\."):
        tune(small_digits, out=tmp_path, trials=2, resume=True, **SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"A search needs a limit"),
        ({"budget": "soon"}, "budget must be a time such as 90s, 10m or 1h, not soon"),
        ({"trials": -1}, "`trials` must be 1 or more, not -1"),
        ({"trials": 1, "code": -8}, "`code` must be 1 or more, not -8"),
        ({"trials": 1, "model": "conv", "code": 1, "size": (64, 64)}, "A conv code of these images has at least 16 numbers, not 1"),
        ({"trials": 1, "task": "denose"}, "Did you mean 'denoise'"),
    ],
)
def test_options_that_cannot_be_meant(options, message, small_digits, tmp_path):
    with pytest.raises(UsageError, match=message):
        tune(small_digits, out=tmp_path / "out", **{**SHORT, **options})
    assert not (tmp_path / "out" / "trials.run" / "journal").exists()


def test_a_recipe_with_a_budget_of_its_own_is_refused(small_digits, tmp_path):
    (tmp_path / "timed.json").write_text('{"budget": "10s"}')
    with pytest.raises(UsageError, match="Pass `epochs` instead of the recipe's budget of 10s"):
        tune(small_digits, out=tmp_path / "out", recipe=str(tmp_path / "timed.json"), trials=1)


def test_nothing_is_overwritten_unasked(tuned, small_digits):
    with pytest.raises(UsageError, match="exists already"):
        tune(small_digits, out=tuned[0], trials=1, **SHORT)


def test_without_optuna_it_says_what_to_install(small_digits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"This needs the extra 'tune'\. Install it: pip install 'isthmus\[tune\]'\."):
        tune(small_digits, out=tmp_path, trials=1, **SHORT)


def test_train_takes_what_tune_writes(run, digits_npz, tmp_path):
    out = tmp_path / "tuned"
    status, printed, err = run("tune", digits_npz, "--out", out, "--trials", "2", "--epochs", "1", "--model", "dense")
    assert status == 0
    assert re.search(r"numbers in code +hidden +loss +rate +MSE +PCA's MSE", printed)
    assert "(chosen)" in printed
    assert re.search(r"isthmus: trial 1: \d+ numbers, hidden none, bce, rate 0\.01: mean squared error 0\.\d{5}\n", err)
    model = tmp_path / "model.safetensors"
    assert run("train", digits_npz, "--recipe", out / "recipe.json", "--out", model)[0] == 0
    recipe = find_recipe(str(out / "recipe.json")).to_json()
    assert {**isthmus.load(model).recipe.to_json(), "data": ""} == {**recipe, "data": ""}


def test_a_signal_between_trials_stops_as_well(small_digits, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "isthmus")
    monkeypatch.setattr(caplog.handler, "emit", lambda record: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted, match=r"Stopped in .*\. Pass `resume=True` to continue") as stopped:
        tune(small_digits, out=tmp_path, trials=9, **SHORT)
    assert stopped.value.exit_status == 130
    assert (tmp_path / "recipe.json").exists()


@pytest.mark.parametrize("task", ["upscale", "inpaint"])
def test_what_a_model_sees_of_a_damaged_image_is_what_it_is_tuned_for(task, small_digits, tmp_path):
    result = tune(small_digits[:60], out=tmp_path, trials=1, task=task, **SHORT)
    assert 0 < result.chosen.mse < 0.5, "it has learned from 54 digits"
    assert 0 < max(result.pca_mse.values()) < 0.15
