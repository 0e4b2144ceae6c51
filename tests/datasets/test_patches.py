from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import isthmus
from isthmus.datasets import Patches, Pictures, Room, open_data, training_data
from isthmus.datasets.patches import read_pictures

ROOM = partial(Room, 1 << 30)


def squares_of(picture, side):
    """All squares of a picture `(C, H, W)`, in all orientations, as bytes."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), (1, 2)).transpose(1, 2, 0, 3, 4)
    turned = [np.rot90(window, turns, (1, 2)) for row in windows for window in row for turns in range(4)]
    return {window.tobytes() for window in turned} | {window[:, :, ::-1].tobytes() for window in turned}


@pytest.fixture
def photographs(tmp_path):
    """A folder of 20 color pictures of several sizes, one of them gray, and one too small."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(20):
        shape = (5, 30) if index == 3 else (20 + index, 40 - index, 3)
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(folder / f"{index:02}.png")
    return folder


def test_a_square_is_cut_from_anywhere_in_any_orientation():
    picture = np.arange(3 * 6 * 5, dtype=np.uint8).reshape(3, 6, 5)
    few = Patches(pictures=Pictures.of(picture), side=4, title="")
    cut = few.cut(range(len(few)), seed=0)
    assert cut.shape == (2, 3, 4, 4)
    found = {square.tobytes() for seed in range(600) for square in few.cut([0], seed)}
    assert found == squares_of(picture, 4), "3 x 2 places, 8 orientations"


def test_every_picture_gives_as_many_squares_as_cover_it():
    pictures = tuple(
        np.full((1, height, width), value, np.uint8) for value, (height, width) in enumerate([(8, 8), (16, 8), (3, 5)])
    )
    some = Patches(pictures=Pictures.of(*pictures), side=8, title="")
    assert len(some) == 1 + 2 + 1
    assert some.cut(range(4), seed=3).reshape(4, -1).std(1).max() == 0
    assert some.cut([3, 0, 1, 2], seed=3)[:, 0, 0, 0].tolist() == [2, 0, 1, 1]


def test_the_same_seed_cuts_the_same():
    some = Patches(pictures=Pictures.of(np.random.default_rng(0).random((1, 50, 50), np.float32)), side=8, title="")
    assert np.array_equal(some.cut([0, 5], seed=1), some.cut([0, 5], seed=1))
    assert not np.array_equal(some.cut([0, 5], seed=1), some.cut([0, 5], seed=2))


def test_a_small_picture_is_continued_as_in_a_mirror():
    some = Patches(pictures=Pictures.of(np.array([[[1, 2]]], np.uint8)), side=4, title="")
    for seed in range(8):
        square = some.cut([0], seed)[0, 0].tolist()
        assert square in ([[1, 2, 2, 1]] * 4, [[1] * 4, [2] * 4, [2] * 4, [1] * 4])


def test_pictures_of_all_sizes_are_read_alike_and_every_tenth_is_kept_apart(photographs):
    learned, kept, _ = read_pictures(open_data(photographs), ROOM())
    assert [picture.shape[0] for picture in (*learned, *kept)] == [3] * 20
    assert [picture.shape[1] for picture in kept] == [29, 39]
    squares, _ = training_data(open_data(photographs), None, 16, 100)
    assert squares.fingerprint() == training_data(open_data(photographs), None, 16, 100)[0].fingerprint()
    assert squares.fingerprint()["sha256"] == learned.sha256(shaped=True) != kept.sha256(shaped=True)


def test_images_that_are_no_larger_than_a_square_stay_whole(digits):
    dataset, _ = training_data(open_data(digits), None, 28, 10)
    assert isinstance(dataset, isthmus.datasets.Dataset)
    dataset, held_out = training_data(open_data(digits), None, 27, 10)
    assert isinstance(dataset, Patches)
    assert held_out.images.shape == (10, 1, 27, 27)


def test_a_test_set_of_its_own_is_not_learned_from(digits):
    source = open_data(digits)
    source.arrays.clear()
    source.arrays.update(x_train=digits[:100], x_test=digits[100:])
    learned, kept, _ = read_pictures(source, ROOM())
    assert (len(learned), len(kept)) == (100, 213)


def test_an_unreadable_picture_is_skipped_and_named(photographs):
    (photographs / "07.png").write_bytes(b"text")
    learned, kept, skipped = read_pictures(open_data(photographs), ROOM())
    assert len(learned) + len(kept) == 19
    assert [skipped.name for skipped in skipped] == ["07.png"]


def test_any_model_learns_from_squares_and_restores_whole_pictures(photographs):
    model = isthmus.train(photographs, model="conv", task="denoise", noise=0.1, patch=8, epochs=1, device="cpu")
    assert model.image_shape == (3, 8, 8)
    assert model.restore(photographs / "00.png").shape == (20, 40, 3)


def test_a_photographic_model_of_small_images_learns_from_them_whole(small_digits):
    model = isthmus.train(small_digits[:32], model="photographic", task="denoise", hidden=(8,), code=8, epochs=1, device="cpu")
    assert model.image_shape == (1, 14, 14)


def test_training_on_squares_resumes_to_the_same_weights(watching, photographs, tmp_path):
    options = {"model": "photographic", "task": "denoise", "hidden": (8,), "code": 8, "patch": 16, "epochs": 2, "device": "cpu"}
    whole = isthmus.train(photographs, **options)
    stopped = []

    def on_progress(moment):
        if moment.epoch == 1 and not stopped:
            stopped.append(moment)
            raise KeyboardInterrupt

    out = tmp_path / "model.safetensors"
    with pytest.raises(KeyboardInterrupt):
        isthmus.train(photographs, out=out, callbacks=watching(on_progress), checkpoint_seconds=0, **options)
    resumed = isthmus.train(photographs, out=out, resume=True, **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True))


def test_squares_that_an_enlargement_does_not_divide_are_learned_from(photographs):
    model = isthmus.train(photographs, task="upscale", factor=3, patch=16, epochs=1, device="cpu")
    assert model.code_shape() != model.encode(model.degradation.at_inference(np.zeros((1, 3, 16, 16)))).shape[1:], (
        "of 18 x 18 pixels"
    )
    assert model.restore(np.zeros((6, 5, 3), np.uint8)).shape == (18, 15, 3)
