"""The drawing of an architecture: shapes, weights and the code, for every network."""

import math
import re
from xml.etree import ElementTree

import pytest

from isthmus.model import Model
from isthmus.networks import NETWORKS
from isthmus.recipes import Recipe
from isthmus.report.advice import try_next
from isthmus.report.diagram import architecture, stages


def test_the_books_convolutional_model():
    found = stages(Model(Recipe(model="conv", code=8, hidden=(16, 8)), (1, 28, 28), device="cpu"))
    assert [stage.shape for stage in found] == [
        (1, 28, 28),
        (16, 14, 14),
        (8, 7, 7),
        (8, 4, 4),
        (8, 7, 7),
        (8, 14, 14),
        (16, 28, 28),
        (1, 28, 28),
    ]
    assert [stage.change for stage in found] == ["", "halve", "halve", "halve", "double", "double", "double", ""]
    assert [place for place, stage in enumerate(found) if stage.code] == [3]


@pytest.mark.parametrize("network", list(NETWORKS))
def test_every_network_is_drawn_with_all_its_layers(network):
    task = {"photographic": "denoise", "global": "colorize"}.get(network, "reconstruct")
    loss = "ab-mixed" if network == "global" else None
    model = Model(Recipe(model=network, task=task, loss=loss), (1 if network == "dense" else 3, 32, 32), device="cpu")
    found = stages(model)
    loose = sum(parameter.numel() for parameter in model.network.parameters(recurse=False))  # beside the layers
    assert sum(stage.weights for stage in found) == model.num_parameters - loose
    assert [stage.shape for stage in found if stage.code] == [model.code_shape()]
    drawing = architecture(model)
    texts = [element.text for element in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")]
    for stage in found:
        assert " x ".join(map(str, stage.shape)) in texts
    assert ("detail passes around the code" in texts) == model.architecture.carries_detail
    assert all(math.isfinite(float(number)) for number in re.findall(r' (?:x|y|width|height)="([^"%]+)"', drawing))


def test_advice_follows_the_curve_and_the_scores():
    falling = [{"train_loss": 1 / n, "held_out_loss": 1 / n} for n in range(1, 6)]
    flat = [{"train_loss": 0.1, "held_out_loss": 0.1}] * 5
    ours, pca = {"method": "isthmus dense", "psnr_db": 20.0}, {"method": "PCA 32", "psnr_db": 21.5}
    assert "train for longer, with more `epochs`" in try_next(falling, [ours])[0]
    assert try_next(flat, [ours]) == []
    assert try_next(flat, [ours, pca]) == ["PCA 32 is 1.50 dB better: train for longer, or with another `hidden` or `code`."]
