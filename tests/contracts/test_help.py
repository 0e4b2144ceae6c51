"""The help is written by hand in the recipe's docstrings: it must name whatever is registered."""

import re

import pytest

from isthmus.codes import CODES
from isthmus.devices import DEVICES
from isthmus.losses import LOSSES
from isthmus.models import MODELS
from isthmus.recipes.recipe import PRECISIONS, SCHEDULES
from isthmus.tasks import TASKS

NAMED = {
    "--task": TASKS,
    "--model": MODELS,
    "--loss": LOSSES,
    "--code-kind": CODES,
    "--schedule": SCHEDULES,
    "--precision": PRECISIONS,
    "--device": DEVICES,
}


@pytest.mark.parametrize(("option", "name"), [(option, name) for option, names in NAMED.items() for name in names])
def test_the_help_of_an_option_names_every_choice(run, option, name):
    status, help_text, _ = run("train", "--help")
    assert status == 0
    words = " ".join(re.sub("[│╭╮╰╯─]", " ", help_text).split())
    about = re.search(rf" {option} [A-Z]+ (.*?)(?= --[a-z])", words)
    assert about is not None
    assert re.search(rf"(?<![\w-]){name}(?![\w-])", about[1]), about[1]
