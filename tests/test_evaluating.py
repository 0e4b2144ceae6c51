import json

import numpy as np
import pytest

from isthmus.evaluating import FILTERS, evaluate


@pytest.fixture(scope="module")
def cards(dense, conv, denoiser, digits):
    """The scorecards of three models, on the digits that they have not seen."""
    return {name: evaluate(model, digits) for name, model in {"dense": dense, "conv": conv, "denoise": denoiser}.items()}


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("dense", ["isthmus dense", "PCA 32", "mean image"]),
        ("conv", ["isthmus conv", "PCA 128", "mean image"]),
        ("denoise", ["isthmus conv", "PCA 128", "non-local means", "median 3x3", "wavelet", "as it is"]),
    ],
)
def test_every_task_has_its_alternatives(name, methods, cards):
    assert [score.method for score in cards[name].scores] == methods
    assert set(FILTERS) <= set(methods) or name != "denoise"


@pytest.mark.parametrize("name", ["dense", "conv", "denoise"])
def test_scores_are_finite_and_of_the_same_images(name, cards):
    card = json.loads(json.dumps(cards[name].to_json()))
    assert len({score["images"] for score in card["scores"]}) == 1
    for score in card["scores"]:
        for key in ("bce", "mse", "psnr_db", "ssim", "milliseconds"):
            assert np.isfinite(score[key]), (score["method"], key)


def test_what_a_model_has_not_seen_is_measured(cards, digits):
    assert all(card.scores[0].images == len(digits) // 10 for card in cards.values())
    assert cards["dense"].data.endswith("(test, 31 images)")


def test_foreign_data_is_measured_whole_and_the_flattery_noted(dense, digits):
    card = evaluate(dense, digits[:50])
    assert card.scores[0].images == 50
    assert "PCA was fitted on the very images that it is measured on, which flatters it." in card.notes


def test_the_true_strength_is_told(cards):
    strength = next(note for note in cards["denoise"].notes if note.startswith("The filters were told the true strength"))
    assert 0.3 < float(strength.split("(")[1].split(")")[0]) < 0.5


def test_the_models_loss_is_its_cross_entropy(cards):
    for card in cards.values():
        assert card.loss == pytest.approx(card.scores[0].bce, rel=0.02)


def test_the_same_seed_gives_the_same_scores(denoiser, digits, cards):
    assert evaluate(denoiser, digits).scores[0].mse == cards["denoise"].scores[0].mse
    assert evaluate(denoiser, digits, seed=9).scores[0].mse != cards["denoise"].scores[0].mse


def test_images_too_small_for_ssim_have_none(conv):
    small = np.random.default_rng(0).integers(0, 256, (20, 5, 5)).astype(np.uint8)
    card = evaluate(conv, small).to_json()
    assert [score["ssim"] for score in card["scores"]] == [None] * len(card["scores"])
