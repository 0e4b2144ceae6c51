import json

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.evaluation import probe as probing
from isthmus.evaluation.probe import CLASSIFIERS, probe


@pytest.fixture(scope="module")
def of_dense(dense, labelled_digits):
    return probe(dense, *labelled_digits)


def test_the_rows_are_pixels_components_of_the_codes_size_and_the_code(of_dense, dense):
    assert [(row.trained_on, row.tested_on, row.numbers) for row in of_dense.rows] == [
        ("pixels", "pixels", 784),
        ("PCA 32", "PCA 32", 32),
        ("code", "code", 32),
    ]
    assert of_dense.data.endswith(": 282 images to fit, 31 to test")


def test_every_row_beats_chance_and_random_labels_do_not(of_dense, dense, labelled_digits):
    for row in of_dense.rows:
        assert list(row.accuracy) == ["logistic", "neighbors"]
        assert min(row.accuracy.values()) > 0.5, row
    images, labels = labelled_digits
    shuffled = probe(dense, images, np.random.default_rng(0).permutation(labels))
    assert all(max(row.accuracy.values()) < 0.4 for row in shuffled.rows)


def test_the_code_is_what_the_code_row_sees(dense, labelled_digits):
    from sklearn.neighbors import KNeighborsClassifier

    images, labels = labelled_digits
    test = np.arange(len(images)) % 10 == 9
    codes = dense.encode(images)
    expected = KNeighborsClassifier(5).fit(codes[~test], labels[~test]).score(codes[test], labels[test])
    assert probe(dense, images, labels, classifiers=["neighbors"]).rows[2].accuracy == {"neighbors": expected}


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_can_be_chosen(classifier, vae, small_digits, labelled_digits):
    result = probe(vae, small_digits, labelled_digits[1][:200], classifiers=[classifier])
    assert all(list(row.accuracy) == [classifier] and row.accuracy[classifier] > 0.2 for row in result.rows)


def test_a_denoiser_is_also_tried_on_damaged_and_on_restored_pixels(denoiser, labelled_digits):
    rows = probe(denoiser, *labelled_digits, classifiers=["neighbors"]).rows
    assert [row.tested_on for row in rows] == ["pixels", "damaged pixels", "restored pixels", "PCA 128", "code"]
    assert [row.trained_on for row in rows[:3]] == ["pixels"] * 3
    again = probe(denoiser, *labelled_digits, classifiers=["neighbors"]).rows
    assert [row.accuracy for row in again] == [row.accuracy for row in rows], "the damage is seeded"


@pytest.mark.parametrize(
    ("task", "fields"), [("upscale", {}), ("inpaint", {}), ("colorize", {}), ("denoise", {"model": "photographic", "hidden": (8,)})]
)
def test_every_task_can_be_probed(task, fields, small_digits, labelled_digits):
    images = np.stack([small_digits] * 3, 1) if task == "colorize" else small_digits
    model = isthmus.train(images, task=task, epochs=1, device="cpu", **fields)
    rows = probe(model, images, labelled_digits[1][:200], classifiers=["neighbors"]).rows
    assert [row.tested_on for row in rows][:3] == ["pixels", "damaged pixels", "restored pixels"]
    assert rows[-1].tested_on == "code"


def test_codes_that_no_classifier_can_hold_are_refused(denoiser, labelled_digits, monkeypatch):
    monkeypatch.setattr(probing, "MAX_NUMBERS", 1000)
    with pytest.raises(isthmus.DataError, match=r"The codes of 313 images of .* have 128 numbers each, too many"):
        probe(denoiser, *labelled_digits)


def test_a_model_that_is_given_clean_images_is_not_tried_on_damaged_ones(small_digits, labelled_digits):
    model = isthmus.train(small_digits, task="describe", model="dense", epochs=1, device="cpu")
    rows = probe(model, small_digits, labelled_digits[1][:200], classifiers=["neighbors"]).rows
    assert [row.tested_on for row in rows] == ["pixels", "PCA 32", "code"]


def test_the_result_is_json(of_dense):
    result = json.loads(json.dumps(of_dense.to_json()))
    assert [row["tested_on"] for row in result["rows"]] == ["pixels", "PCA 32", "code"]
    assert result["skipped"] == []


def test_a_folders_labels_are_its_folders(conv, digits, tmp_path):
    for index, image in enumerate(digits[:30]):
        (tmp_path / "ab"[index % 2]).mkdir(exist_ok=True)
        Image.fromarray(image if index % 2 else 255 - image).save(tmp_path / "ab"[index % 2] / f"{index}.png")
    (tmp_path / "a" / "broken.png").write_bytes(b"")
    result = probe(conv, tmp_path, classifiers=["neighbors"])
    assert result.rows[2].accuracy == {"neighbors": 1.0}, "the inverted ones are easily told"
    assert result.skipped == (f"{tmp_path / 'a' / 'broken.png'} is empty (0 bytes).",)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"has no labels, and a probe needs them\. Pass an \.npz with images and labels"),
        (np.zeros(199, int), "holds 200 images in images and 199 labels in labels"),
        (np.full(200, 7), r"All images of .* have the same label \(7\): there is nothing to classify\."),
        (np.linspace(0, 1, 200), r"The labels of .* are no classes, but numbers such as 0\.005"),
    ],
    ids=["none", "too few", "all the same", "no classes"],
)
def test_labels_that_name_no_classes_are_refused(labels, message, vae, small_digits):
    with pytest.raises(isthmus.DataError, match=message):
        probe(vae, small_digits, labels)


def test_whole_numbers_and_names_are_classes(vae, small_digits, labelled_digits):
    labels = labelled_digits[1][:200]
    accuracies = [
        [row.accuracy for row in probe(vae, small_digits, kind, classifiers=["neighbors"]).rows]
        for kind in (labels, labels.astype(float), labels.astype(str))
    ]
    assert accuracies[0] == accuracies[1] == accuracies[2]


def test_a_handful_of_images_is_refused(vae, small_digits):
    with pytest.raises(isthmus.DataError, match=r"4 images are too few to fit classifiers\. Pass 5 or more"):
        probe(vae, small_digits[:4], np.arange(4))


def test_an_unknown_classifier_is_told_the_others(vae, small_digits, labelled_digits):
    with pytest.raises(isthmus.UsageError, match=r"Unknown classifier 'forrest'.* There are: logistic, neighbors, forest\."):
        probe(vae, small_digits, labelled_digits[1][:200], classifiers=["logistic", "forrest"])
