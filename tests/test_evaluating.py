import json

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.alternatives import FILTERS
from isthmus.evaluating import SEED, evaluate
from isthmus.metrics import psnr_db


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


@pytest.fixture(scope="module")
def photograph_cards(photographs):
    """The scorecards of a small model for each task, and the models."""
    fields = {"model": "photographic", "hidden": (8,), "code": 8, "patch": 16, "epochs": 2, "device": "cpu"}
    models = {
        task: isthmus.train(photographs, task=task, **fields)
        for task in ("reconstruct", "denoise", "colorize", "upscale", "repair", "inpaint")
    }
    return {task: (model, evaluate(model, photographs)) for task, model in models.items()}


@pytest.mark.parametrize(
    ("task", "others"),
    [
        ("reconstruct", []),
        ("denoise", ["non-local means", "median 3x3", "wavelet", "as it is"]),
        ("colorize", ["as it is"]),
        ("upscale", ["Lanczos", "bicubic"]),
        ("repair", ["as it is"]),
        ("inpaint", ["biharmonic", "as it is"]),
    ],
)
def test_photographs_are_measured_one_by_one_beside_what_there_is(task, others, photograph_cards):
    _, card = photograph_cards[task]
    assert [score.method for score in card.scores] == ["isthmus photographic", *others]
    assert card.data.endswith("(test, 1 images)"), "the picture that the model has not seen"
    for score in card.scores:
        assert score.images == 1
        assert np.isfinite([score.bce, score.mse, score.psnr_db, score.ssim, score.ciede2000, score.colorfulness]).all()
    assert card.loss > 0


def test_photographs_are_measured_in_their_own_sizes(photograph_cards, photographs):
    model, _ = photograph_cards["denoise"]
    pictures = [np.asarray(Image.open(path), np.float32) / np.float32(255) for path in sorted(photographs.iterdir())]
    card = evaluate(model, photographs, split="all")
    values = []
    for place, index in enumerate([*range(9), 10, 11, 9]):  # those learnt from, then the one that was not
        clean = np.moveaxis(pictures[index], -1, 0)[None]
        values.append(psnr_db(model.restore_seen(model.corrupt(clean, SEED + place)), clean)[0])
    assert card.scores[0].psnr_db == pytest.approx(np.mean(values), abs=1e-3)


def test_a_colorizers_baseline_is_gray(photograph_cards):
    _, card = photograph_cards["colorize"]
    gray = card.scores[-1]
    assert gray.colorfulness == pytest.approx(0, abs=0.02)
    assert gray.ciede2000 > 5


def test_an_upscalers_baselines_are_close(photograph_cards):
    lanczos, bicubic = photograph_cards["upscale"][1].scores[1:]
    assert abs(lanczos.psnr_db - bicubic.psnr_db) < 2
    assert bicubic.psnr_db > 25


def test_digits_of_one_size_are_measured_by_a_model_of_photographs(digits):
    card = evaluate(
        isthmus.train(digits, model="photographic", task="denoise", hidden=(8,), code=8, epochs=1, device="cpu"), digits
    )
    assert [score.method for score in card.scores] == [
        "isthmus photographic",
        "non-local means",
        "median 3x3",
        "wavelet",
        "as it is",
    ]
    assert card.data.endswith("(test, 31 images)")
    assert card.to_json()["scores"][0]["ciede2000"] is None
