import math

import numpy as np
import pytest

import isthmus
from isthmus.evaluation.novelty import novelty
from isthmus.inference.density import CodeDensity
from isthmus.inference.novelty_statistics import MAX_NUMBERS, TrainingStatistics
from isthmus.model import Model
from isthmus.training import remembering


def cone(count=4000, seed=0):
    """Codes of 5 numbers that lie around one direction, at lengths from 1 to 20."""
    rng = np.random.default_rng(seed)
    directions = np.array([1, 2, 0, 0, -1]) / np.sqrt(6) + rng.normal(size=(count, 5)) * 0.05
    return directions * np.exp(rng.uniform(0, 3, (count, 1)))


def test_a_code_is_no_stranger_for_its_length_but_for_its_direction():
    codes = cone()
    density = CodeDensity.fit(codes)
    usual = density.surprise(cone(seed=1))
    middle = np.array([[1, 2, 0, 0, -1]]) / np.sqrt(6)
    for length in (1.5, 5, 15):
        assert density.surprise(length * middle) < np.median(usual)
        assert density.surprise(length * (middle + np.eye(5)[2:3] * 0.4)) > usual.max()
    assert density.surprise(1000 * middle) > usual.max(), "outside of all lengths"


def test_drawn_codes_have_the_codes_moments():
    codes = cone()
    density = CodeDensity.fit(codes)
    drawn = density.sample(20_000, seed=1)
    assert drawn.dtype == np.float32
    assert np.allclose(density.mean, codes.mean(0), atol=1e-3)
    assert np.allclose(density.deviations, codes.std(0), atol=1e-3)
    assert np.allclose(drawn.mean(0), codes.mean(0), atol=0.25)
    assert np.allclose(drawn.std(0), codes.std(0), rtol=0.15)
    assert np.array_equal(density.sample(5, seed=2), density.sample(5, seed=2))


@pytest.mark.parametrize("codes", [np.zeros((30, 4)), np.ones((2, 3)), np.eye(2), np.arange(9.0)[:, None]], ids=len)
def test_codes_that_hardly_differ_have_a_density_too(codes):
    density = CodeDensity.fit(codes)
    assert np.isfinite(density.surprise(codes)).all()
    assert np.isfinite(density.sample(3)).all()


def test_a_reference_round_trips_through_a_model_file_to_the_last_bit(vae, dense, tmp_path, digits):
    for model in (vae, dense):
        model.save(tmp_path / "model.safetensors")
        again = isthmus.load(tmp_path / "model.safetensors", device="cpu")
        assert model.statistics is not None
        assert again.statistics is not None
        kept, read = (which.statistics.to_tensors() for which in (model, again))
        assert kept.keys() == read.keys()
        assert len(kept) == 3 + 3 + 6
        for name, array in kept.items():
            assert array.dtype == read[name].dtype == np.float32
            assert array.tobytes() == read[name].tobytes(), name
        assert model.statistics.errors.tobytes() == again.statistics.errors.tobytes()
        assert model.statistics.surprises.tobytes() == again.statistics.surprises.tobytes()
    for score in ("either", "surprise", "error"):
        before, after = (novelty(model, digits, score=score).p_values for model in (dense, again))
        assert np.array_equal(before, after)


def test_held_out_images_are_kept_in_order(dense):
    reference = dense.statistics
    assert len(reference.errors) == len(reference.surprises) == 31  # every tenth of 313
    assert (np.diff(reference.errors) >= 0).all()
    assert (np.diff(reference.surprises) >= 0).all()


def test_a_model_that_has_learned_nothing_remembers_nothing(color, tmp_path):
    assert color.statistics is None
    color.save(tmp_path / "model.safetensors")
    assert isthmus.load(tmp_path / "model.safetensors", device="cpu").statistics is None
    assert TrainingStatistics.from_tensors({}, 5) is None


def test_a_code_too_large_for_a_density_is_compared_by_its_error_alone(tmp_path):
    model = Model(isthmus.Recipe(), (1, 184, 184), device="cpu")
    images = np.random.default_rng(0).random((4, 1, 184, 184), np.float32)
    assert math.prod(model.code_shape()) > MAX_NUMBERS
    model.statistics = TrainingStatistics.remember(model.novelty_scores(images[2:]), None)
    model.save(tmp_path / "model.safetensors")
    again = isthmus.load(tmp_path / "model.safetensors", device="cpu")
    assert again.statistics.density is None
    assert again.statistics.surprises is None
    assert list(again.novelty_scores(images)) == ["error"]
    with pytest.raises(isthmus.DataError, match=r"no density of codes of shape \(8, 23, 23\): it is untrained"):
        again.generate(2)


def test_a_density_belongs_to_codes_of_one_shape(conv):
    assert conv.density((5, 8, 4, 4)) is conv.statistics.density
    for shape in ((5, 8, 2, 8), (5, 8, 4, 5), (5, 128)):  # the first and the last have as many numbers
        with pytest.raises(isthmus.DataError, match="or the training images had another size"):
            conv.density(shape)


def test_large_images_are_compared_in_bounded_memory(small_digits, monkeypatch):
    seen, fit = [], CodeDensity.fit
    monkeypatch.setattr(CodeDensity, "fit", lambda codes, seed: seen.append(len(codes)) or fit(codes, seed))
    for values in (remembering.FIT_VALUES, 50 * 14 * 14):
        monkeypatch.setattr(remembering, "FIT_VALUES", values)
        isthmus.train(small_digits, model="dense", code=4, epochs=1, device="cpu")
    assert seen == [180, 45]  # all of them; every fourth
