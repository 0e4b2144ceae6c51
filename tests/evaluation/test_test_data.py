import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.datasets import open_data
from isthmus.evaluation.test_data import InMemoryImages, StreamedImages, choose, example_of, middles, restore_sample
from isthmus.imaging.arrays import to_unit
from isthmus.model import Model

TASKS = ("denoise", "colorize", "upscale", "repair", "inpaint")


def read(path):
    return to_unit(np.moveaxis(np.asarray(Image.open(path).convert("RGB")), -1, 0))


@pytest.mark.parametrize(
    ("task", "damaged", "seen"),
    [
        ("denoise", (2, 3, 15, 20), (2, 3, 15, 20)),
        ("colorize", (2, 4, 15, 20), (2, 4, 15, 20)),
        ("upscale", (2, 3, 5, 7), (2, 3, 15, 20)),
        ("repair", (2, 3, 15, 20), (2, 3, 15, 20)),
        ("inpaint", (2, 4, 15, 20), (2, 4, 15, 20)),
    ],
)
def test_what_a_person_has_and_what_the_model_sees(task, damaged, seen, photographic):
    trial = example_of(photographic[task], np.random.default_rng(0).random((2, 3, 15, 20), np.float32), seed=1)
    assert (trial.degraded.shape, trial.model_input.shape) == (damaged, seen)
    assert trial.degraded_as_image.shape == trial.clean.shape == (2, 3, 15, 20)
    assert np.array_equal(trial.model_input, photographic[task].degradation.corrupt(trial.clean, 1)), "as in training"


@pytest.mark.parametrize("task", TASKS)
def test_what_is_measured_is_what_restore_gives_a_person(task, photographic):
    model = photographic[task]
    trial = example_of(model, np.random.default_rng(0).random((2, 3, 18, 24), np.float32), seed=1)
    mask = trial.degraded[:, 3] if task == "inpaint" else None
    given = trial.degraded if model.takes_hints else trial.degraded[:, :3]
    assert np.allclose(restore_sample(model, trial), model.restore(given, mask=mask), atol=1e-6)


def test_the_held_out_pictures_of_a_training_on_squares_are_found_again(photographic, pictures):
    subjects = choose(photographic["denoise"], open_data(pictures))
    assert isinstance(subjects, StreamedImages)
    assert subjects.split == "test"
    (picture,) = subjects
    assert np.array_equal(to_unit(picture)[0], read(pictures / "09.png"))
    assert len(list(choose(photographic["denoise"], open_data(pictures), "train"))) == 11


def test_pictures_that_were_not_learned_from_are_measured_all(photographic, pictures, tmp_path):
    for path in pictures.iterdir():
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(tmp_path / path.name)
    subjects = choose(photographic["denoise"], open_data(tmp_path))
    assert subjects.split == "all"
    assert len(list(subjects)) == 12


def test_unreadable_pictures_are_named_and_do_not_count(pictures, tmp_path):
    for path in pictures.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "03.png").write_bytes(b"text")
    model = isthmus.train(tmp_path, task="denoise", patch=16, hidden=(8,), epochs=1, device="cpu")
    subjects = choose(model, open_data(tmp_path))
    (picture,) = subjects
    assert np.array_equal(to_unit(picture)[0], read(pictures / "10.png"))
    assert [skipped.name for skipped in subjects.skipped] == ["03.png"]


def test_of_fewer_than_ten_pictures_all_are_in_every_split(pictures, tmp_path):
    for path in sorted(pictures.iterdir())[:9]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = isthmus.train(tmp_path, task="denoise", patch=16, hidden=(8,), epochs=1, device="cpu")
    assert [len(list(choose(model, open_data(tmp_path), split))) for split in (None, "train", "test", "all")] == [9] * 4


def test_a_dense_model_of_squares_is_measured_on_images_of_its_size_that_it_has_not_seen(pictures):
    model = isthmus.train(pictures, model="dense", patch=16, epochs=1, device="cpu")
    subjects = choose(model, open_data(pictures))
    assert isinstance(subjects, InMemoryImages)
    assert subjects.split == "test"
    assert subjects.dataset.images.shape == (1, 3, 16, 16)


def test_gray_images_are_measured_as_rgb_and_rgb_is_refused_by_a_model_of_gray_ones(color, digits, conv):
    assert example_of(color, digits[:2, None], seed=1).clean.shape == (2, 3, 28, 28)
    with pytest.raises(
        isthmus.DataError, match=r"The images have 3 channels, and this model takes 1\. Pass gray images, or use a model"
    ):
        example_of(conv, np.zeros((1, 3, 28, 28), np.uint8), seed=1)


def test_middles_have_one_size_and_small_pictures_go_on_as_in_a_mirror(tmp_path):
    rng = np.random.default_rng(0)
    for index, shape in enumerate([(90, 50, 3), (64, 64), (20, 200, 3)]):
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(tmp_path / f"{index}.png")
    model = Model(isthmus.Recipe(), (3, 16, 16), device="cpu")
    cut = middles(model, StreamedImages(source=open_data(tmp_path), split="all"), 9, 60).images
    assert cut.shape == (3, 3, 60, 60)
    assert np.array_equal(cut[0, :, :, :50], read(tmp_path / "0.png")[:, 15:75])
    assert np.array_equal(cut[0, :, :, 50:], cut[0, :, :, 49:39:-1])
    assert np.array_equal(cut[1], read(tmp_path / "1.png")[:, 2:62, 2:62])
    assert len(middles(model, StreamedImages(source=open_data(tmp_path), split="all"), 2, 60)) == 2
