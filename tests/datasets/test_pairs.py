"""Learning from a person's own before and after."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import isthmus
from isthmus.datasets import Patches, Skipped, open_pairs, training_data
from isthmus.evaluation.scorecard import evaluate

TINY = {"task": "pairs", "model": "photographic", "hidden": (8,), "code": 8, "device": "cpu"}


def page(seed, height=64, width=80):
    """Return strokes on paper, `(H, W)` in [0, 1]."""
    rng = np.random.default_rng(seed)
    paper = np.ones((height, width))
    for _ in range(14):
        top, left = rng.integers(0, height - 6), rng.integers(0, width - 20)
        paper[top : top + 2, left : left + rng.integers(5, 20)] = 0.1
    return gaussian_filter(paper, 0.6)


def stained(clean, seed):
    """Return a page darkened on one side, with noise."""
    rng = np.random.default_rng(seed)
    return np.clip(clean * np.linspace(0.55, 0.9, clean.shape[1]) + rng.normal(0, 0.02, clean.shape), 0, 1)


def write(folder, name, values):
    folder.mkdir(exist_ok=True)
    Image.fromarray((values * 255).astype(np.uint8)).save(folder / name)


@pytest.fixture
def folders(tmp_path):
    """Twelve stained pages as JPEGs, and the clean ones as PNGs."""
    for index in range(12):
        clean = page(index)
        write(tmp_path / "clean", f"{index:02}.png", clean)
        write(tmp_path / "dirty", f"{index:02}.jpg", stained(clean, index))
    return tmp_path / "dirty", tmp_path / "clean"


def test_a_pair_is_cut_at_the_same_place(folders):
    learned, held_out = training_data(open_pairs(*folders), None, 32, 20)
    assert isinstance(learned, Patches)
    assert learned.image_shape == (2, 32, 32)
    for pair in (*learned.cut(range(len(learned)), seed=1), *held_out.images):
        assert np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1] > 0.6 or pair[1].std() < 10


def test_what_the_pairs_show_is_undone(folders):
    model = isthmus.train(folders[0], clean=folders[1], patch=32, epochs=30, **TINY)
    assert model.image_shape == (1, 32, 32)
    card = evaluate(model, folders[0], clean=folders[1])
    assert card.data.endswith("(test, 1 images)")
    ours, *_, unchanged = card.scores
    assert unchanged.method == "as it is"
    assert ours.psnr_db > unchanged.psnr_db + 4
    new = stained(page(99), 99)
    restored = model.restore(new)
    assert np.square(restored - page(99)).mean() < 0.4 * np.square(new - page(99)).mean()


def test_arrays_are_pairs_by_their_order():
    clean = np.stack([page(index, 24, 32) for index in range(40)]).astype(np.float32)
    dirty = np.stack([stained(image, index) for index, image in enumerate(clean)]).astype(np.float32)
    np_pairs = open_pairs(dirty, clean).read()
    assert np_pairs.images.shape == (40, 2, 24, 32)
    assert np.array_equal(np_pairs.images[:, 0], dirty)
    assert np.array_equal(np_pairs.images[:, 1], clean)
    with pytest.raises(isthmus.DataError, match=r"holds 40 images and .* 39: each needs its clean one"):
        open_pairs(dirty, clean[:39])


def test_gray_and_color_become_color(folders):
    path = folders[1] / "03.png"
    Image.open(path).convert("RGB").save(path)
    learned, _ = training_data(open_pairs(*folders), None, 32, 20)
    assert learned.image_shape == (6, 32, 32)
    for pair in learned.pictures:
        assert np.array_equal(pair[0], pair[2])
        assert np.array_equal(pair[3], pair[5])
        assert np.corrcoef(pair[0].ravel(), pair[3].ravel())[0, 1] > 0.6


def test_pictures_without_a_partner_are_named_and_left_out(folders, tmp_path, run):
    (folders[1] / "05.png").unlink()
    write(folders[1], "extra.png", page(50))
    out = tmp_path / "m.safetensors"
    status, _, err = run(
        *("train", folders[0], "--task", "pairs", "--clean", folders[1], "--out", out, "--epochs", "1"),
        *("--model", "photographic", "--hidden", "8", "--code", "8", "--patch", "32"),
    )
    assert status == 5
    assert f"Skipped: {folders[0] / '05.jpg'} has no partner of the same name in {folders[1]}." in err
    assert f"Skipped: {folders[1] / 'extra.png'} has no partner of the same name in {folders[0]}." in err


def skipped_of(folders):
    return [outcome.reason for _, outcome in open_pairs(*folders).each() if isinstance(outcome, Skipped)]


def test_pairs_of_two_sizes_are_left_out(folders):
    write(folders[1], "02.png", page(2, 60, 80))
    assert skipped_of(folders) == ["02.jpg and its clean one have 64 x 80 and 60 x 80 pixels: they must have the same size."]


@pytest.mark.parametrize(("down", "right", "text"), [(3, 0, "3 pixels below and 0 left"), (-2, 4, "2 pixels above and 4 right")])
def test_pairs_that_are_shifted_are_left_out(down, right, text, folders):
    write(folders[0], "02.jpg", stained(np.roll(page(2), (down, right), (0, 1)), 2))
    assert skipped_of(folders) == [f"02.jpg lies {text} of its clean one. Align them first."]


@pytest.mark.parametrize("blur", [0.5, 1.5])
def test_damage_alone_is_no_shift(blur, folders):
    for index in range(12):
        write(folders[0], f"{index:02}.jpg", gaussian_filter(stained(page(index), index), blur))
    assert skipped_of(folders) == []


def test_folders_that_do_not_belong_together_are_refused(folders, tmp_path):
    write(tmp_path / "other", "a.png", page(1))
    write(tmp_path / "other", "b.png", page(2))
    with pytest.raises(isthmus.DataError, match=r"No picture in .*dirty has a clean one of the same name in .*other, such as 00\."):
        open_pairs(folders[0], tmp_path / "other")
    with pytest.raises(isthmus.UsageError, match="The degraded and the clean pictures are the same"):
        open_pairs(folders[0], folders[0])
    with pytest.raises(isthmus.UsageError, match="not one of each"):
        open_pairs(folders[0], np.zeros((4, 8, 8)))
    for fields in ({"task": "pairs"}, {"task": "denoise", "clean": "clean/"}):
        with pytest.raises(isthmus.UsageError, match='`task="pairs"` needs `clean`, the clean images, and no other task takes it'):
            isthmus.train(folders[0], **fields)


def test_a_killed_training_of_pairs_ends_with_the_same_weights(watching, folders, tmp_path):
    fields = {**TINY, "clean": str(folders[1]), "patch": 32, "epochs": 2}
    whole = isthmus.train(folders[0], **fields)
    seen = []

    def stop_after_the_first(moment):
        seen.append(moment)
        if moment.validation is not None:
            raise KeyboardInterrupt

    out = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        isthmus.train(folders[0], out=out, checkpoint_seconds=0, callbacks=watching(stop_after_the_first), **fields)
    resumed = isthmus.train(folders[0], out=out, resume=True, **fields)
    assert all((a == b).all() for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True))
