import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.evaluation import baselines, scorecard
from isthmus.evaluation.baselines import FILTERS
from isthmus.evaluation.metrics import METRICS
from isthmus.evaluation.scorecard import evaluate
from isthmus.evaluation.test_data import example_of
from isthmus.imaging.arrays import to_unit
from isthmus.model import Model
from isthmus.report.tables import format_model, format_scorecard


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
    assert "PCA was fitted to the same images that it is measured on, which favors it." in card.notes


def test_the_true_strength_is_told(cards):
    strength = next(note for note in cards["denoise"].notes if note.startswith("The filters know the true strength"))
    assert 0.3 < float(strength.split("(mean ")[1].split(")")[0]) < 0.5


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


def test_gray_images_have_no_colors_to_measure(cards):
    for score in cards["dense"].to_json()["scores"]:
        assert score["ciede2000"] is score["colorfulness"] is None
    assert "CIEDE2000" not in format_scorecard(cards["dense"].to_json())


NOISE = ["non-local means", "median 3x3", "wavelet", "as it is"]


@pytest.fixture(scope="module")
def photograph_cards(photographic, pictures):
    """The scorecards of photographic models, by task, on all photographs."""
    return {task: evaluate(model, pictures, split="all") for task, model in photographic.items()}


@pytest.mark.parametrize(
    ("task", "methods"),
    [
        ("denoise", NOISE),
        ("colorize", ["as it is"]),
        ("upscale", ["Lanczos", "bicubic"]),
        ("repair", ["non-local means", "as it is"]),
        ("inpaint", ["biharmonic", "as it is"]),
    ],
)
def test_photographs_have_the_alternatives_of_their_task(task, methods, photograph_cards):
    card = json.loads(json.dumps(photograph_cards[task].to_json()))
    assert [score["method"] for score in card["scores"]] == ["isthmus photographic", *methods]
    for score in card["scores"]:
        assert score["images"] == 12
        assert score["numbers"] is None, "the code is not all that the image comes from"
        assert None not in [value for key, value in score.items() if key != "numbers"], score


@pytest.mark.parametrize(
    ("corruption", "methods"),
    [
        ("gaussian-noise(0.1) | jpeg(50)", NOISE),
        ("blur(1.5)", ["unsharp mask", "as it is"]),
        ("blur(1.5) | jpeg(50)", ["as it is"]),
        ("blur(1) | downscale(2) | gaussian-noise(0.02)", ["Lanczos", "bicubic"]),
        ("mask | gaussian-noise(0.02)", ["as it is"]),
        ("nothing | erase", ["as it is"]),
    ],
)
def test_chains_have_the_alternatives_that_suit_all_of_them(corruption, methods):
    model = Model(isthmus.Recipe(model="photographic", hidden=(8,), code=8, corruption=corruption), (3, 16, 16), device="cpu")
    assert [method.name for method in baselines.alternatives(model, None)] == methods


def test_images_of_one_size_are_also_given_to_pca_unless_detail_goes_around_the_code(photographic):
    images = np.random.default_rng(0).random((5, 3, 16, 16), np.float32)
    model = Model(isthmus.Recipe(task="colorize"), (3, 16, 16), device="cpu")
    assert [method.name for method in baselines.alternatives(model, images)] == ["PCA 5", "as it is"]
    assert [method.name for method in baselines.alternatives(photographic["colorize"], images)] == ["as it is"]


def test_a_score_is_the_mean_over_pictures_in_their_own_sizes(photographic, photograph_cards, pictures):
    found = []
    for place, path in enumerate(sorted(pictures.iterdir())):
        clean = to_unit(np.moveaxis(np.asarray(Image.open(path).convert("RGB")), -1, 0))[None]
        trial = example_of(photographic["denoise"], clean, scorecard.SEED + place)
        restored = photographic["denoise"].restore(trial.degraded)
        found.append([float(metric(np.clip(restored, 0, 1), clean)[0]) for metric in METRICS.values()])
    score = photograph_cards["denoise"].to_json()["scores"][0]
    assert [score[name] for name in METRICS] == pytest.approx(np.mean(found, 0).tolist(), rel=1e-5)


def test_without_a_split_the_photographs_that_were_held_out_are_measured(photographic, pictures, photograph_cards):
    card = evaluate(photographic["denoise"], pictures)
    assert card.data == f"{pictures} (test, 1 images)"
    assert card.scores[0].psnr_db != photograph_cards["denoise"].scores[0].psnr_db


def test_what_the_alternatives_reach_is_what_is_known_of_them(photograph_cards):
    psnr_db = {task: {score.method: score.psnr_db for score in card.scores} for task, card in photograph_cards.items()}
    assert psnr_db["denoise"]["as it is"] == pytest.approx(20.3, abs=0.5), "a deviation of 0.1, clipped"
    assert psnr_db["denoise"]["non-local means"] > psnr_db["denoise"]["as it is"] + 4
    assert psnr_db["upscale"]["Lanczos"] > psnr_db["upscale"]["bicubic"] > 15
    assert psnr_db["inpaint"]["biharmonic"] > psnr_db["inpaint"]["as it is"] + 5
    assert psnr_db["repair"]["non-local means"] > psnr_db["repair"]["as it is"]


def test_gray_is_not_colorful_and_the_truth_is_noted(photograph_cards):
    scores = {score.method: score for score in photograph_cards["colorize"].scores}
    assert scores["as it is"].colorfulness == pytest.approx(0, abs=1e-4)
    assert scores["as it is"].ciede2000 > 5
    note = next(note for note in photograph_cards["colorize"].notes if note.startswith("The colorfulness of the clean images is"))
    assert float(note.split()[-1].rstrip(".")) > 10
    text = format_scorecard(photograph_cards["colorize"].to_json())
    assert "CIEDE2000  colorfulness" in text
    assert "numbers in code" not in text


def test_what_is_slow_is_measured_on_few_and_compared_on_the_same(photographic, pictures, monkeypatch, photograph_cards):
    whole = {score.method: score for score in photograph_cards["inpaint"].scores}
    assert whole["biharmonic"].ahead_db == pytest.approx(whole["isthmus photographic"].psnr_db - whole["biharmonic"].psnr_db)
    row = baselines.ALTERNATIVES["biharmonic"]
    monkeypatch.setitem(baselines.ALTERNATIVES, "biharmonic", replace(row, pixels=7000))
    few = {score.method: score for score in evaluate(photographic["inpaint"], pictures, split="all").scores}
    assert few["biharmonic"].images == 2, "of 40 x 70, 43 x 68 and more pixels"
    assert few["isthmus photographic"].psnr_db == whole["isthmus photographic"].psnr_db
    assert few["biharmonic"].ahead_db != pytest.approx(few["isthmus photographic"].psnr_db - few["biharmonic"].psnr_db, abs=0.01)
    monkeypatch.setitem(baselines.ALTERNATIVES, "biharmonic", replace(row, pixels=100))
    card = evaluate(photographic["inpaint"], pictures, split="all")
    assert [score.method for score in card.scores] == ["isthmus photographic", "as it is"]
    assert "Not measured, too slow on images of this size: biharmonic." in card.notes


def test_bounds_and_rates_are_refused_where_images_have_no_one_size(photographic, pictures):
    for asked in ({"rates": True}, {"bound_samples": 5}):
        with pytest.raises(isthmus.UsageError, match="Likelihood bounds and rates need images of one size"):
            evaluate(photographic["denoise"], pictures, **asked)


def test_an_unknown_split_is_told_the_others(photographic, pictures, conv, digits):
    for model, data in ((photographic["denoise"], pictures), (conv, digits)):
        with pytest.raises(isthmus.UsageError, match=r"Unknown split 'tset'.* There are: train, test, all"):
            evaluate(model, data, split="tset")


def test_a_model_of_squares_says_that_it_takes_any_size(photographic, conv):
    text = format_model(photographic["denoise"].describe())
    assert "of any size, RGB; trained on patches of 16 x 16 pixels\n" in text
    assert "code of a patch" in text
    assert "28 x 28 pixels, gray, or any other size\n" in format_model(conv.describe())


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_one_would_use_instead_keeps_the_image_upright(name, channels):
    rows, columns = np.mgrid[:40, :60]
    clean = np.stack([0.5 + 0.4 * np.sin(rows / 9 + channel) * np.cos(columns / 5) for channel in range(channels)])
    noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    restored = FILTERS[name](noisy, 0.1)
    assert restored.shape == clean.shape
    assert np.square(restored - clean).mean() < 0.6 * np.square(noisy - clean).mean()
