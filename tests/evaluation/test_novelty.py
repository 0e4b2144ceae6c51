import json
import warnings

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kstest

import isthmus
from isthmus.datasets.catalog import embedded
from isthmus.evaluation.novelty import SCORES, novelty
from isthmus.imaging.arrays import to_unit

scores = pytest.mark.parametrize("score", SCORES)


@pytest.fixture(scope="module")
def others():
    """312 small digits that no model here has learned from, `(n, 14, 14)`."""
    return np.ascontiguousarray(embedded("mnist-5k")[0][8::16, ::2, ::2])


@pytest.fixture(scope="module")
def small():
    """A dense model of small digits, of which 60 are held out."""
    images = embedded("mnist-5k")[0][::8, ::2, ::2]
    return isthmus.train(images, model="dense", code_kind="linear", code=16, epochs=12, batch_size=20, device="cpu")


def area(usual, strange):
    """Return the area under the ROC curve of scores that should be higher for the strange."""
    return np.mean(usual[:, None] < strange[None])


def static(shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@scores
def test_plain_noise_and_inverted_digits_are_stranger_than_digits(score, small, others):
    usual = novelty(small, others, score=score).scores
    assert area(usual, novelty(small, static(others.shape), score=score).scores) > 0.95
    assert area(usual, novelty(small, 255 - others, score=score).scores) > 0.95


@scores
def test_the_p_values_of_images_like_the_trainings_are_near_uniform(score, small, others):
    found = novelty(small, others, score=score)
    assert found.held_out == 62
    assert found.p_values.min() >= 1 / 63
    assert found.p_values.max() <= 1
    assert kstest(found.p_values, "uniform").statistic < 0.2


@pytest.mark.parametrize("fields", [{}, {"prepare": "binarize"}, {"task": "describe"}, {"task": "denoise"}], ids=str)
def test_the_held_out_images_are_spread_evenly_over_the_p_values(fields, small_digits):
    model = isthmus.train(small_digits, model="dense", epochs=3, batch_size=20, device="cpu", **fields)
    held_out = to_unit(small_digits[9::10, None])
    for score in SCORES:
        found = novelty(model, model.degradation.at_inference(held_out), score=score)
        assert np.sort(found.p_values) * 21 == pytest.approx(np.arange(2, 22)), score


def test_the_p_value_is_the_share_of_held_out_images_that_are_as_strange(small, others):
    found = novelty(small, others[:20], score="surprise")
    usual = small.statistics.surprises
    for score, p_value in zip(found.scores.astype(np.float32), found.p_values, strict=True):
        assert p_value == pytest.approx((1 + (usual >= score).sum()) / (1 + len(usual)))


@scores
def test_scores_are_in_the_order_of_the_data(score, small, others):
    mixed = np.concatenate([others[:10], static((3, 14, 14)), others[10:20]])
    order = np.random.default_rng(1).permutation(len(mixed))
    found, shuffled = novelty(small, mixed, score=score), novelty(small, mixed[order], score=score)
    assert np.allclose(shuffled.scores, found.scores[order], rtol=1e-4)
    assert set(found.strangest[:3]) == {10, 11, 12}
    assert (np.diff(found.scores[found.strangest]) <= 0).all()


def test_the_scores_are_those_that_their_names_say(small, others):
    images = to_unit(others[:30])
    error = np.square(small.restore(images) - images).mean((1, 2))
    assert novelty(small, others[:30], score="error").scores == pytest.approx(error, rel=1e-4)
    surprise = small.statistics.density.surprise(small.encode(others[:30]))
    assert novelty(small, others[:30], score="surprise").scores == pytest.approx(surprise, rel=1e-4)


def test_either_is_the_surprise_or_an_error_beyond_the_usual(small, others):
    images = np.concatenate([others[:30], 255 - others[:5]])
    unusual = []
    for score, held_out in (("error", small.statistics.errors), ("surprise", small.statistics.surprises)):
        middle, high = np.quantile(held_out, (0.5, 0.99))
        unusual.append((novelty(small, images, score=score).scores - middle) / (high - middle))
    error, surprise = unusual
    expected = np.maximum(error - 1, surprise)
    assert novelty(small, images).scores == pytest.approx(expected, rel=1e-4, abs=1e-6), "the default"
    assert (expected > surprise).any()
    assert novelty(small, images).scores[30:].min() > 1


def test_names_and_skipped_files_are_told(small, others, tmp_path):
    for index in range(3):
        Image.fromarray(others[index]).save(tmp_path / f"{index}.png")
    (tmp_path / "9.png").write_bytes(b"")
    result = json.loads(json.dumps(novelty(small, tmp_path).to_json()))
    assert result["names"] == ["0.png", "1.png", "2.png"]
    assert result["skipped"] == [f"{tmp_path / '9.png'} is empty (0 bytes)."]
    assert len(result["scores"]) == len(result["p_values"]) == result["images"] == 3
    assert sorted(result["strangest"]) == [0, 1, 2]


def test_a_split_can_be_chosen(small, others):
    assert len(novelty(small, others[:50], split="test").scores) == 5
    assert np.array_equal(novelty(small, others[:50], split="test").scores, novelty(small, others[9:50:10]).scores)


def test_unknown_names_are_told_the_nearest(small, others):
    with pytest.raises(
        isthmus.UsageError, match=r"Unknown score 'suprise'\. Did you mean 'surprise'\? There are: either, surprise, error"
    ):
        novelty(small, others, score="suprise")
    with pytest.raises(isthmus.UsageError, match=r"Unknown split 'tests'\. Did you mean 'test'\? There are: train, test, all"):
        novelty(small, others, split="tests")


def test_images_of_another_size_are_compared_by_their_error(conv, digits):
    assert novelty(conv, digits[:5]).score == "either"
    assert novelty(conv, digits[:5, :20]).score == "error"
    with pytest.raises(isthmus.DataError, match=r"This model has no surprise score for these images.* Scores it has: error\."):
        novelty(conv, digits[:5, :20], score="surprise")


def test_a_model_that_has_learned_nothing_can_tell_nothing(color):
    with pytest.raises(isthmus.DataError, match=r"it is untrained, .* Scores it has: none\."):
        novelty(color, static((2, 3, 16, 16)))


@pytest.mark.parametrize(("task", "sees_clean"), [("describe", True), ("denoise", False), ("reconstruct", True)])
def test_what_a_model_is_given_at_work(task, sees_clean, small_digits):
    model = isthmus.train(small_digits[:20], task=task, model="dense", epochs=1, device="cpu")
    clean = to_unit(small_digits[:5, None])
    assert np.array_equal(model.degradation.at_inference(clean, 4), clean) == sees_clean
    assert np.array_equal(model.degradation.at_inference(clean, 4), clean if sees_clean else model.degradation.corrupt(clean, 4))


@pytest.fixture
def loaded(small, tmp_path):
    """The model as it comes from its file, which has not warned yet."""
    small.save(tmp_path / "small.safetensors")
    return isthmus.load(tmp_path / "small.safetensors", device="cpu")


REMARK = "These images look unlike the training set"


def test_restore_warns_once_of_strange_images(loaded, others):
    loaded.restore(others[:20])
    loaded.restore(others[:1])
    with pytest.warns(isthmus.IsthmusWarning, match=REMARK):
        loaded.restore(255 - others)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.restore(static(others.shape))


def test_restore_does_not_warn_of_a_few_strange_images_among_many(loaded, others):
    loaded.restore(np.concatenate([others[:20], 255 - others[:9]]))
    with pytest.warns(isthmus.IsthmusWarning, match=REMARK):
        loaded.restore(np.concatenate([others[:9], 255 - others[:20]]))


def test_only_the_first_images_of_a_model_are_compared(loaded, others, monkeypatch):
    seen = []
    monkeypatch.setattr("isthmus.model.novelty_scores", lambda engine, statistics, images, *more: seen.append(len(images)) or {})
    for _ in range(5):
        loaded.restore(others[:20])
    assert seen == [20, 20, 20, 4]


def test_restore_gives_the_same_with_and_without_the_comparison(loaded, others):
    strange = 255 - others[:5]
    with pytest.warns(isthmus.IsthmusWarning, match=REMARK):
        first = loaded.restore(strange)
    assert np.array_equal(loaded.restore(strange), first)
    loaded.statistics = None
    assert np.array_equal(loaded.restore(strange), first)
