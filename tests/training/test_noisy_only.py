"""Learning from noisy images alone."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import isthmus
from isthmus.corruptions import Nothing
from isthmus.evaluation.scorecard import evaluate
from isthmus.model import Model
from isthmus.recipes.targets import NeighborTarget
from isthmus.report.model_report import write_model_report


def smooth(count, height=40, width=48):
    """Return images without fine detail, `(n, H, W)` in [0, 1]."""
    rng = np.random.default_rng(5)
    fields = np.stack([gaussian_filter(rng.normal(size=(height, width)), 3) for _ in range(count)])
    return (fields / (6 * fields.std()) + 0.5).clip(0, 1).astype(np.float32)


def test_what_is_wanted_stands_for_the_same_places_without_their_noise():
    images = torch.from_numpy(smooth(20)[:, None])
    seen, wanted = NeighborTarget().sample(images, Nothing(), torch.Generator().manual_seed(0))
    assert seen.shape == wanted.shape
    assert seen.shape[-2:] in ((19, 23), (20, 23), (19, 24))
    assert (seen - wanted).abs().mean() < 1e-3, "no blur, no shift"
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    own, others = NeighborTarget().sample(noise, Nothing(), torch.Generator().manual_seed(0))
    assert abs((own * others).mean().item()) < 0.1 * 0.1 / 20, "their noise says nothing of each other"
    assert others.std().item() == pytest.approx(0.1 * 1.25**0.5, rel=0.05)


def test_every_pixel_is_seen_now_and_then():
    places = torch.arange(8 * 8, dtype=torch.float32).reshape(1, 1, 8, 8)
    seen = {
        value
        for seed in range(30)
        for value in NeighborTarget().sample(places, Nothing(), torch.Generator().manual_seed(seed))[0].flatten().tolist()
    }
    assert len(seen) == 36, "all but the rim"


def test_images_that_are_too_small_are_refused():
    with pytest.raises(isthmus.DataError, match="needs images of 4 x 4 pixels or more, not 3 x 8"):
        NeighborTarget().sample(torch.zeros(1, 1, 3, 8), Nothing(), torch.Generator())


@pytest.mark.parametrize("count", [12, 1], ids=["folder", "single"])
def test_noise_is_taken_away_without_a_clean_image(count):
    clean = smooth(count, 96, 96)
    noisy = clean + np.random.default_rng(1).normal(0, 0.1, clean.shape).astype(np.float32)
    fields = {"model": "photographic", "hidden": (16,), "code": 16, "patch": 32, "batch_size": 8, "device": "cpu"}
    model = isthmus.train(noisy, task="noisy", epochs=10 if count > 1 else 200, learning_rate=3e-3, **fields)
    restored = model.restore(noisy)
    assert restored.shape == noisy.shape
    before, after = (np.square(images - clean).mean() for images in (noisy, restored))
    assert after < 0.25 * before


@pytest.mark.parametrize("task", ["noisy", "pairs"])
def test_clean_images_alone_do_not_measure_it(task, digits, tmp_path):
    model = Model(isthmus.Recipe(task=task), (1, 28, 28), device="cpu")
    for act in (lambda: evaluate(model, digits), lambda: write_model_report(model, digits, tmp_path / "page")):
        with pytest.raises(isthmus.DataError, match=f"Clean images cannot measure a model of the task {task}: isthmus cannot"):
            act()
    noisy = np.clip(digits / 255 + np.random.default_rng(0).normal(0, 0.1, digits.shape), 0, 1).astype(np.float32)
    ours, *others = evaluate(model, noisy, clean=digits / np.float32(255)).scores
    assert ours.method == "isthmus conv"
    assert others[-1].method == "as it is"
    assert others[-1].psnr_db > 20


def test_no_search_for_what_cannot_be_measured(digits, tmp_path, run):
    np.save(tmp_path / "digits.npy", digits)
    status, _, err = run("tune", tmp_path / "digits.npy", "--task", "noisy", "--out", tmp_path / "tuned", "--trials", "2")
    assert status == 3
    assert "Clean images cannot measure a model of the task noisy" in err


def test_a_model_of_one_size_cannot_learn_from_halves(small_digits):
    with pytest.raises(isthmus.UsageError, match="A dense model takes one size only"):
        isthmus.train(small_digits, task="noisy", model="dense", epochs=1, device="cpu")
