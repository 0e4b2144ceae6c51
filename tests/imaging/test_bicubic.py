"""Resizing has the values of MATLAB's imresize, on which published tables of super-resolution rest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.imaging.bicubic import enlarge, rescale

IMAGE = [
    [116, 227, 153, 69, 146, 194, 59, 130, 139, 106],
    [2, 47, 137, 249, 90, 75, 16, 24, 158, 44],
    [155, 68, 46, 84, 166, 156, 69, 204, 32, 152],
    [71, 221, 137, 230, 210, 153, 192, 115, 30, 118],
    [107, 143, 108, 52, 51, 73, 101, 21, 175, 90],
    [54, 158, 143, 77, 26, 168, 113, 229, 165, 225],
    [9, 47, 133, 135, 130, 207, 236, 43, 19, 73],
    [129, 60, 59, 243, 64, 181, 249, 56, 32, 86],
]
HALF = [[105, 140, 126, 81, 109], [110, 134, 153, 114, 93], [108, 108, 94, 127, 146], [67, 126, 162, 149, 62]]
THIRD = [[115, 135, 97, 101], [113, 119, 124, 125], [81, 157, 118, 64]]
LARGER = {  # the first and the last row of 1.5 times as many pixels
    0: [116, 187, 237, 171, 94, 61, 135, 191, 187, 75, 91, 142, 140, 124, 108],
    -1: [142, 99, 53, 43, 164, 237, 77, 103, 197, 254, 159, 42, 31, 59, 91],
}
"""What imresize gives, in 8 bits. Source: the values that Octave's image package holds its own imresize to MATLAB with."""


def resized(size, scale):
    image = torch.tensor(IMAGE, dtype=torch.float64)[None, None] / 255
    return (rescale(image, size, scale)[0, 0] * 255).round().numpy()


@pytest.mark.parametrize(("size", "scale", "wanted"), [((4, 5), 1 / 2, HALF), ((3, 4), 1 / 3, THIRD)], ids=["half", "third"])
def test_a_smaller_image_has_matlabs_values(size, scale, wanted):
    assert np.abs(resized(size, scale) - wanted).max() <= 1


def test_a_larger_image_has_matlabs_values():
    larger = resized((12, 15), 1.5)
    for row, wanted in LARGER.items():
        assert np.abs(larger[row] - wanted).max() <= 1


def test_two_pixels_become_three_as_in_matlab():
    wanted = torch.tensor([10.27777777777777, 8, 5.72222222222222], dtype=torch.float64)
    assert torch.allclose(rescale(torch.tensor([[[[0.10, 0.06]]]]).double(), (1, 3), 1.5)[0, 0, 0] * 100, wanted, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_enlarge_gives_what_rescale_gives(factor, height, width, seed):
    image = torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(enlarge(image, factor), rescale(image, (height * factor, width * factor), factor), atol=1e-6)
