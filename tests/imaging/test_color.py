"""CIELAB as scikit-image has it, there and back."""

import numpy as np
import torch
from skimage.color import rgb2lab

from isthmus.imaging.color import from_lab, gray_of, lightness_of, to_lab


def colors():
    steps = torch.linspace(0, 1, 9, dtype=torch.float64)
    return torch.cartesian_prod(steps, steps, steps).T[None, :, :, None]  # (1, 3, 729, 1)


def test_lab_has_scikit_images_values():
    wanted = rgb2lab(colors()[0].movedim(0, -1).numpy())  # (729, 1, 3)
    assert np.abs(to_lab(colors())[0].movedim(0, -1).numpy() - wanted).max() < 0.01


def test_a_color_comes_back():
    assert torch.allclose(from_lab(to_lab(colors())), colors(), atol=3e-4)


def test_the_gray_of_a_color_has_its_lightness():
    assert torch.allclose(lightness_of(gray_of(colors())), lightness_of(colors()), atol=1e-4)


def test_a_color_that_no_screen_shows_keeps_its_lightness_and_its_hue():
    lab = torch.tensor([[50.0, 150.0, 90.0], [97.0, -60.0, 60.0], [4.0, 30.0, -80.0]]).T[None, :, :, None]
    shown = to_lab(from_lab(lab))
    assert torch.allclose(shown[:, 0], lab[:, 0], atol=0.02)
    assert (shown[:, 1:].norm(dim=1) < lab[:, 1:].norm(dim=1)).all()
    assert (torch.cosine_similarity(shown[:, 1:], lab[:, 1:], 1) > 0.8).all()
