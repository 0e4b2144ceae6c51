import copy
import dataclasses
import pickle
import re
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import isthmus
from isthmus import Autoencoder, Denoiser, Recipe

PAGE = Path(__file__).parents[1] / "docs" / "estimator.md"

EXCEPTIONS = {
    "check_methods_sample_order_invariance": "It wants every bit the same; the rows are computed many at once, in float32, and a "
    "row's place among the others decides how its sums are split, which may change the last bit.",
}


@parametrize_with_checks(
    [Autoencoder(epochs=1, code=2), Denoiser(epochs=1, code=2)], expected_failed_checks=lambda estimator: EXCEPTIONS
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    """300 digits of 8 x 8 pixels `(300, 64)`, from 0 to 16."""
    return load_digits().data[:300]


@pytest.fixture(scope="module")
def labels():
    return load_digits().target[:300]


@pytest.fixture(scope="module")
def fitted(table):
    return Autoencoder(code=8, epochs=30, batch_size=20, random_state=0).fit(table)


@pytest.mark.parametrize(
    ("kind", "changed"), [(Autoencoder, {"model": "dense"}), (Denoiser, {"model": "dense", "task": "denoise"})]
)
def test_the_parameters_are_the_recipes_fields_with_its_defaults(kind, changed):
    recipe = {field.name: field.default for field in dataclasses.fields(Recipe)}
    own = kind().get_params()
    assert recipe.keys() - own.keys() == {"factor", "size", "patch", "seed"}
    assert own.keys() - recipe.keys() == {"image_shape", "value_range", "hold_out", "device", "random_state"}
    assert {name: own[name] for name in recipe.keys() & own.keys() if own[name] != recipe[name]} == changed


def test_the_model_is_the_one_that_train_gives(table):
    images = np.asarray(table / 16, np.float32).reshape(-1, 8, 8)
    trained = isthmus.train(images, model="conv", epochs=2, seed=5, device="cpu")
    own = Autoencoder(model="conv", image_shape=(8, 8), epochs=2, random_state=5, device="cpu").fit(table)
    for name, tensor in trained.network.state_dict().items():
        assert torch.equal(tensor, own.model_.network.state_dict()[name]), name
    assert own.model_.info.data["sha256"] == trained.info.data["sha256"]


@pytest.mark.parametrize(("hold_out", "rows"), [(True, 270), (False, 300)])
def test_every_tenth_row_is_held_out_unless_told(hold_out, rows, table):
    model = Autoencoder(epochs=1, hold_out=hold_out).fit(table).model_
    assert model.info.data["shape"] == [rows, 1, 1, 64]


def test_values_of_any_range_come_back(fitted, table):
    assert (fitted.low_, fitted.high_) == (0, 16)
    assert np.square(fitted.predict(table) - table).mean() < 0.6 * table.var(0).mean()
    moved = clone(fitted).fit(1000 - 3 * table)
    assert moved.predict(1000 - 3 * table).min() >= 1000 - 48
    assert np.square(moved.predict(1000 - 3 * table) - 1000 + 3 * table).mean() < 9 * 0.6 * table.var(0).mean()


def test_a_range_that_is_told_is_kept(table):
    assert Autoencoder(epochs=1, random_state=0, value_range=(-16, 32)).fit(table).low_ == -16
    with pytest.raises(isthmus.DataError, match=r"X has values from 0 to 16, outside of value_range=\(0, 1\)\."):
        Autoencoder(value_range=(0, 1)).fit(table)
    for nonsense in ((1, 0), (0, 0), 5, "ab", (0, np.nan)):
        with pytest.raises(isthmus.UsageError, match=r"value_range must be \(low, high\), two numbers with low below high, not "):
            Autoencoder(value_range=nonsense).fit(table)


def test_what_is_all_the_same_stays_so():
    constant = np.full((30, 5), 7.0)
    assert (Autoencoder(epochs=1).fit(constant).predict(constant) == 7).all()


def test_values_outside_of_the_range_are_cut(fitted, table):
    beyond = np.where(table > 8, 1000, table)
    assert np.array_equal(fitted.transform(beyond), fitted.transform(np.where(table > 8, 16, table)))
    assert np.array_equal(fitted.predict(beyond), fitted.predict(np.where(table > 8, 16, table)))


def test_codes_are_decoded_to_what_predict_gives(fitted, table):
    codes = fitted.transform(table)
    assert codes.shape == (300, 8)
    assert np.array_equal(fitted.inverse_transform(codes), fitted.predict(table))
    with pytest.raises(isthmus.DataError, match=r"Codes of 7 numbers do not fit: this model's have 8\."):
        fitted.inverse_transform(codes[:, :7])


@pytest.mark.parametrize(
    ("shape", "options", "image_shape", "numbers"),
    [
        ((64,), {}, (1, 1, 64), 4),
        ((64,), {"model": "conv", "image_shape": (8, 8)}, (1, 8, 8), 4),
        ((64,), {"model": "conv", "image_shape": (4, 4, 4)}, (4, 4, 4), 4),
        ((8, 8), {"model": "conv"}, (1, 8, 8), 4),
        ((4, 4, 4), {"model": "conv"}, (4, 4, 4), 4),
        ((1, 8, 8), {"model": "dense"}, (1, 8, 8), 4),
        ((1, 16, 4), {"model": "conv", "code_kind": "gaussian"}, (1, 16, 4), 8),
    ],
)
def test_tables_and_images_keep_their_form(shape, options, image_shape, numbers, table):
    images = table.reshape(-1, *shape).astype(np.uint8)
    own = Autoencoder(code=4, epochs=1, random_state=0, **options).fit(images)
    assert own.image_shape_ == own.model_.image_shape == image_shape
    codes = own.transform(images)
    assert codes.shape == (300, numbers)
    assert own.predict(images).shape == own.inverse_transform(codes).shape == images.shape
    assert len(own.get_feature_names_out()) == numbers


@pytest.mark.parametrize(
    ("shape", "image_shape", "message"),
    [
        ((64,), (8, 9), r"X of shape \(300, 64\) and image_shape=\(8, 9\) do not fit: X is \(n, values\), \(n, H, W\) or"),
        ((64,), (-8, -8), r"image_shape=\(-8, -8\) do not fit"),
        ((64,), (8.0, 8.0), r"image_shape=\(8.0, 8.0\) do not fit"),
        ((64,), (1, 1, 8, 8), r"image_shape=\(1, 1, 8, 8\) do not fit"),
        ((64,), "8x8", "image_shape=8x8 do not fit"),
        ((64,), 8, "image_shape=8 do not fit"),
        ((1, 8, 8), (1, 16, 4), r"image_shape=\(1, 16, 4\) do not fit"),
        ((1, 1, 8, 8), None, r"X of shape \(300, 1, 1, 8, 8\) and image_shape=None do not fit"),
        ((16, 1, 4), None, r"X of shape \(300, 16, 1, 4\) looks like \(n, H, W, C\)\. Pass np.moveaxis\(X, -1, 1\)"),
    ],
)
def test_what_is_no_image_is_refused(shape, image_shape, message, table):
    with pytest.raises(isthmus.DataError, match=message):
        Autoencoder(image_shape=image_shape).fit(table.reshape(-1, *shape))


def test_images_of_another_form_are_refused_at_work(table):
    own = Autoencoder(epochs=1).fit(table.reshape(-1, 1, 8, 8))
    with pytest.raises(isthmus.DataError, match=r"X has shape \(300, 1, 16, 4\), and the estimator was fitted to \(n, 1, 8, 8\)\."):
        own.predict(table.reshape(-1, 1, 16, 4))


def test_a_pipeline_classifies_codes(table, labels):
    pipeline = make_pipeline(Autoencoder(code=16, epochs=30, random_state=0), LogisticRegression(max_iter=5000))
    assert cross_val_score(pipeline, table, labels, cv=3).mean() > 0.7


def test_a_search_in_other_processes_finds_the_longer_code(table, tmp_path):
    grid = {"code": np.array([1, 12])}
    search = GridSearchCV(Autoencoder(epochs=20, random_state=0), grid, cv=2, n_jobs=2).fit(table)
    alone = GridSearchCV(Autoencoder(epochs=20, random_state=0), grid, cv=2).fit(table)
    assert search.best_params_ == {"code": 12}
    assert search.cv_results_["mean_test_score"] == pytest.approx(alone.cv_results_["mean_test_score"], rel=1e-3)
    search.best_estimator_.model_.save(tmp_path / "best.safetensors")
    assert isthmus.load(tmp_path / "best.safetensors").recipe.code == 12


def test_a_fitted_estimator_works_in_other_processes(fitted, table):
    parts = joblib.Parallel(n_jobs=2)(joblib.delayed(fitted.transform)(part) for part in (table[:150], table[150:]))
    assert np.allclose(np.concatenate(parts), fitted.transform(table), atol=1e-5)


@pytest.mark.parametrize("again", [lambda own: pickle.loads(pickle.dumps(own)), copy.deepcopy])
@pytest.mark.parametrize("model", ["dense", "conv"])
def test_a_copy_is_the_same(again, model, table):
    own = Autoencoder(model=model, code=2, epochs=1, image_shape=(8, 8), device="cpu").fit(table)
    copied = again(own)
    assert copied.get_params() == own.get_params()
    assert np.array_equal(copied.transform(table), own.transform(table))
    assert copied.model_.network is not own.model_.network
    assert copied.model_.info.history == own.model_.info.history
    images = table.reshape(-1, *own.image_shape_) / 16
    assert np.array_equal(copied.model_.novelty_scores(images)["surprise"], own.model_.novelty_scores(images)["surprise"])


def test_a_pickled_model_is_its_safe_file(fitted, tmp_path):
    fitted.model_.save(tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    assert content in pickle.dumps(fitted.model_)
    pickled = pickle.loads(pickle.dumps(fitted.model_))
    assert pickled.to_bytes() == content
    damaged = bytearray(pickle.dumps(fitted.model_))
    damaged[damaged.index(content) + len(content) - 9] ^= 1
    with pytest.raises(isthmus.ModelFileError, match="The pickled model is damaged: its numbers do not have the SHA-256"):
        pickle.loads(damaged)


def test_a_loaded_model_that_has_changed_is_written_anew(fitted, tmp_path, table):
    path = tmp_path / "model.safetensors"
    fitted.model_.save(path)
    model = isthmus.load(path)
    model.info = dataclasses.replace(model.info, steps=12_345)
    model.save(path)
    assert isthmus.load(path).info.steps == 12_345


def test_numpys_numbers_are_parameters_that_a_file_can_hold(table, tmp_path):
    own = Autoencoder(code=np.int64(3), hidden=np.array([9]), learning_rate=np.float32(0.5), epochs=1).fit(table)
    own.model_.save(tmp_path / "model.safetensors")
    recipe = isthmus.load(tmp_path / "model.safetensors").recipe
    assert (recipe.code, recipe.hidden, recipe.learning_rate) == (3, (9,), 0.5)


def test_a_clone_is_not_fitted(fitted, table):
    with pytest.raises(NotFittedError):
        clone(fitted).transform(table)


def test_codes_come_as_a_pandas_table_if_asked(table):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table, index=range(1000, 1300), columns=[f"pixel{i}" for i in range(64)])
    own = Denoiser(code=3, epochs=1).set_output(transform="pandas").fit(frame)
    codes = own.transform(frame)
    assert list(codes.columns) == ["denoiser0", "denoiser1", "denoiser2"]
    assert list(codes.index) == list(frame.index)
    assert own.feature_names_in_[5] == "pixel5"
    assert own.inverse_transform(codes).shape == (300, 64)
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        own.transform(frame.rename(columns={"pixel5": "other"}))


def test_the_score_is_minus_the_squared_error_and_rises_with_learning(fitted, table):
    assert fitted.score(table) == pytest.approx(-np.square(fitted.predict(table) - table).mean(), rel=1e-4)
    assert fitted.score(table) > Autoencoder(code=8, epochs=1, random_state=0).fit(table).score(table)
    assert fitted.score(table, np.zeros(300)) == fitted.score(table)


def test_a_denoiser_cleans_and_its_score_says_so(table):
    own = Denoiser(noise=0.3, hidden=(64,), code=32, epochs=80, random_state=0).fit(table)
    noisy = (table + np.random.default_rng(0).normal(0, 0.3 * 16, table.shape)).clip(0, 16)
    before, after = np.square(noisy - table).mean(), np.square(own.predict(noisy) - table).mean()
    assert after < 0.6 * before
    assert own.score(table) == pytest.approx(-after, rel=0.1)
    assert own.score(table) == own.score(table)


def test_partial_fit_goes_on_from_what_was_learned(table):
    own, scores = Autoencoder(code=8, random_state=0), []
    for _ in range(12):
        scores.append(own.partial_fit(table[:150]).partial_fit(table[150:]).score(table))
    assert scores[0] < scores[5] < scores[-1]
    before = own.model_.network.state_dict()
    own.set_params(learning_rate=1e-9).partial_fit(table)
    for name, tensor in own.model_.network.state_dict().items():
        assert torch.allclose(tensor, before[name], atol=1e-6), name


def test_partial_fit_is_repeatable_and_draws_new_noise_each_time(table):
    first, second = (Denoiser(code=8, random_state=0).partial_fit(table).partial_fit(table) for _ in range(2))
    assert np.array_equal(first.predict(table), second.predict(table))
    assert first.model_.recipe.seed == 1


def test_partial_fit_keeps_the_first_range_and_refuses_another_network(table):
    own = Autoencoder(code=8, random_state=0).partial_fit(table)
    assert own.partial_fit(2 * table).high_ == 16
    with pytest.raises(isthmus.UsageError) as error:
        own.set_params(code=9).partial_fit(table)
    assert str(error.value) == (
        "The weights of the last fit have another shape: code was 8 and is 9. Set it back, or call fit to start over."
    )


def test_an_integer_is_the_seed_and_none_is_chance(table):
    def learned(random_state):
        return Autoencoder(code=4, epochs=1, random_state=random_state).fit(table)

    assert learned(7).model_.recipe.seed == 7
    assert np.array_equal(learned(7).transform(table), learned(7).transform(table))
    assert learned(None).model_.recipe.seed != learned(None).model_.recipe.seed
    rng = np.random.RandomState(3)
    seeds = [learned(rng).model_.recipe.seed, learned(rng).model_.recipe.seed]
    assert len(set(seeds)) == 2
    assert learned(np.random.RandomState(3)).model_.recipe.seed == seeds[0]


def test_a_recipes_errors_pass_through(table):
    with pytest.raises(isthmus.UsageError, match=r"Unknown loss 'bcee'\. Did you mean 'bce'\?"):
        Autoencoder(loss="bcee").fit(table)
    with pytest.raises(isthmus.UsageError, match="epochs must be above 0, not -1"):
        Autoencoder(epochs=-1).fit(table)
    with pytest.raises(isthmus.UsageError, match="A field of the recipe has the wrong type: 'float' object cannot be"):
        Autoencoder(code=2.5).fit(table)


def test_fit_prints_nothing(table, capfd):
    Denoiser(epochs=1).fit(table).partial_fit(table).score(table)
    assert capfd.readouterr() == ("", "")


def test_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, names)
    accuracy, *_, errors, same = capsys.readouterr().out.splitlines()
    before, after = map(float, errors.split())
    assert float(accuracy) > 0.9
    assert after < 0.5 * before
    assert same == "True"
