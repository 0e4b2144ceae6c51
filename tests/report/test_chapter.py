import json
import math
import re

import pytest
from PIL import Image

import isthmus
from isthmus.recipes.chapter import CHAPTER
from isthmus.report import chapter as reproducing
from isthmus.storage import model_file


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """The folder and the results of the whole chapter, the three trained for three seconds in all."""
    folder = tmp_path_factory.mktemp("chapter")
    return folder, reproducing.reproduce(folder, quick=True, budget="3s", device="cpu")


def test_the_page_is_self_contained(chapter):
    folder, results = chapter
    page = (folder / "report.html").read_text()
    assert results["report"] == str(folder / "report.html")
    sources = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']?([^"'\s>]+)""", page)
    assert len(sources) >= 6
    assert all(source.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,", "#")) for source in sources)
    assert not re.search(r"<script|<link|<iframe|@import|url\(", page)


def test_the_page_has_the_books_numbers_beside_ours(chapter):
    page = (chapter[0] / "report.html").read_text()
    for number in ("50,992", "4,385", "30,689", "0.0926", "0.1010", "0.0998"):
        assert number in page
    for row in chapter[1]["models"].values():
        assert f"{row['test_loss']:.4f}" in page


def test_every_number_of_the_results_is_finite(chapter):
    results = json.loads((chapter[0] / "results.json").read_text())

    def numbers(value):
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [number for item in value for number in numbers(item)]
        return [value] if isinstance(value, int | float) else []

    assert len(numbers(results)) > 100
    assert all(math.isfinite(number) for number in numbers(results))
    assert {name: row["parameters"] for name, row in results["models"].items()} == {
        "dense": 50_992,
        "convolutional": 4_385,
        "denoising": 30_689,
    }
    assert results["data"] == {"name": "mnist-5k", "train_images": 4500, "test_images": 500}


def test_three_model_files_hold_the_exact_parameters(chapter):
    for name, about in CHAPTER.items():
        path = chapter[0] / f"{name}.safetensors"
        tensors, _ = model_file.read(path, "model")
        learned = (tensor for name, tensor in tensors.items() if not name.startswith(("statistics.", "density.", "mixture.")))
        assert sum(tensor.numel() for tensor in learned) == about.parameters
        assert isthmus.load(path, device="cpu").num_parameters == about.parameters


def test_the_figures_lie_beside_the_page(chapter):
    figures = sorted(path.name for path in chapter[0].glob("*.png"))
    assert {"curves.png", "denoised.png", "noisy-digit.png", "reconstructions.png", "training-digit.png"} <= set(figures)
    for name in figures:
        with Image.open(chapter[0] / name) as figure:
            assert min(figure.size) > 100


def test_nothing_is_overwritten_unasked(chapter):
    with pytest.raises(isthmus.UsageError, match="exists already"):
        reproducing.reproduce(chapter[0], quick=True)


def test_quick_and_the_books_schedule_exclude_each_other(tmp_path):
    with pytest.raises(isthmus.UsageError, match="Pass either `quick` or `as_in_the_book`"):
        reproducing.reproduce(tmp_path, quick=True, as_in_the_book=True)


def test_a_budget_and_the_books_schedule_exclude_each_other(tmp_path):
    with pytest.raises(isthmus.UsageError, match="Pass either `budget` or `as_in_the_book`"):
        reproducing.reproduce(tmp_path, budget="60s", as_in_the_book=True)


def test_an_impossible_budget_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(isthmus.UsageError, match="budget must be a time such as 90s, 10m or 1h, not soon"):
        reproducing.reproduce(tmp_path / "out", quick=True, budget="soon")
    assert not (tmp_path / "out").exists()


def test_a_budget_is_shared_by_the_three(chapter):
    """Each training's recipe has its share, and the page says what was shared."""
    budgets = {name: isthmus.load(chapter[0] / f"{name}.safetensors", device="cpu").recipe.budget for name in CHAPTER}
    assert budgets == {"dense": "0.24s", "convolutional": "0.75s", "denoising": "1.5s"}
    assert chapter[1]["budget"] == "3s"
    assert "The three trainings shared five sixths of a budget of 3s." in (chapter[0] / "report.html").read_text()
    assert all(row["epochs"] == len(row["history"]) >= 1 for row in chapter[1]["models"].values())
