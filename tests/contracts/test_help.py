"""The help is written by hand in the recipe's docstrings: it must name whatever is registered."""

import re

import pytest

from isthmus.datasets import SPLITS
from isthmus.evaluation.novelty import SCORES
from isthmus.evaluation.probe import CLASSIFIERS
from isthmus.inference.device import DEVICES
from isthmus.networks import NETWORKS
from isthmus.networks.bottlenecks import BOTTLENECKS
from isthmus.networks.losses import LOSSES
from isthmus.recipes import PRESETS
from isthmus.recipes.recipe import OPTIMIZERS, PRECISIONS, SCHEDULES
from isthmus.recipes.tasks import TASKS

NAMED = {
    "--recipe": PRESETS,
    "--task": TASKS,
    "--model": NETWORKS,
    "--loss": LOSSES,
    "--code-kind": BOTTLENECKS,
    "--optimizer": OPTIMIZERS,
    "--schedule": SCHEDULES,
    "--precision": PRECISIONS,
    "--device": DEVICES,
}

CHOICES = [
    *(("train", option, name) for option, names in NAMED.items() for name in names),
    *(("probe", "--classifiers", name) for name in CLASSIFIERS),
    *(("novelty", "--score", name) for name in SCORES),
    *((command, "--split", name) for command in ("novelty", "encode", "evaluate") for name in SPLITS),
]


@pytest.mark.parametrize(("command", "option", "name"), CHOICES)
def test_the_help_of_an_option_names_every_choice(run, command, option, name):
    status, help_text, _ = run(command, "--help")
    assert status == 0
    words = " ".join(re.sub("[│╭╮╰╯─]", " ", help_text).split())
    about = re.search(rf" {option} [A-Z]+(?:\.\.\.)? (.*?)(?= --[a-z])", words)
    assert about is not None
    assert re.search(rf"(?<![\w-]){name}(?![\w-])", about[1]), about[1]
