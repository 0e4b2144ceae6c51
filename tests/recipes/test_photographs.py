"""What photographs get when nothing is said: a network of their own, and the weights of the model that ships."""

from collections import Counter

import pytest

from isthmus.pretrained import names
from isthmus.recipes import PRESETS, Recipe
from isthmus.recipes.photographs import CHOSEN, start_for, suited

PHOTOS = Counter({(600, 800): 9, (480, 640): 2})
DIGITS = Counter({(28, 28): 1000})


@pytest.mark.parametrize("task", CHOSEN)
def test_photographs_get_the_network_of_the_model_that_ships(task: str) -> None:
    chosen = suited(Recipe(task=task), PHOTOS)
    assert chosen.network == ("global" if task == "colorize" else "photographic")
    assert chosen.complete().task == task
    start = start_for(chosen, 3)
    assert (start in names()) == (task != "inpaint")
    if start:
        assert PRESETS[start].network == chosen.network


@pytest.mark.parametrize("task", CHOSEN)
def test_small_images_of_one_size_get_the_textbooks_network(task: str) -> None:
    assert suited(Recipe(task=task), DIGITS) == Recipe(task=task)


def test_what_is_given_stays() -> None:
    assert suited(Recipe(task="colorize", model="conv"), PHOTOS).network == "conv"
    colorizing = suited(Recipe(task="colorize", loss="ab", corruption="grayscale", ema=0.5, learning_rate=1e-5), PHOTOS)
    assert (colorizing.loss, colorizing.corruption, colorizing.ema, colorizing.learning_rate) == ("ab", "grayscale", 0.5, 1e-5)
    assert colorizing.prepare == PRESETS["colorize"].prepare
