import numpy as np
import pytest
import torch
from skimage.transform import rotate

from isthmus.corruptions import Binarize, Erase, GaussianNoise, Warp, parse
from isthmus.errors import UsageError
from isthmus.imaging.arrays import to_unit


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_binarized_values_are_black_or_white_as_often_as_their_brightness_says():
    brightness = torch.linspace(0, 1, 11)
    drawn = Binarize()(brightness.expand(20_000, 1, 1, 11), rng())
    assert drawn.unique().tolist() == [0, 1]
    assert torch.allclose(drawn.mean(0).flatten(), brightness, atol=0.015)
    assert drawn[..., 0].max() == 0
    assert drawn[..., -1].min() == 1


def test_noise_of_a_range_of_strengths_has_one_for_each_image():
    clean = torch.full((4000, 1, 16, 16), 0.5)
    noisy = GaussianNoise((0.05, 0.2), clip=False)(clean, rng())
    deviations = noisy.flatten(1).std(1)
    assert deviations.min() == pytest.approx(0.05, abs=0.01)
    assert deviations.max() == pytest.approx(0.2, abs=0.03)
    assert deviations.mean() == pytest.approx(0.125, abs=0.003)
    assert str(parse("gaussian-noise((0.05, 0.2))")) == "gaussian-noise(std=(0.05, 0.2), clip=True)"
    assert str(GaussianNoise(0.2)) == "gaussian-noise(std=0.2, clip=True)"


@pytest.mark.parametrize("least", [-0.1, 0.3])
def test_the_smallest_strength_lies_below_the_largest(least):
    with pytest.raises(UsageError, match=r"must be between 0 and 10 .*\. A pair is \(low, high\)\."):
        GaussianNoise((least, 0.2))


@pytest.mark.parametrize(("height", "width"), [(30, 30), (20, 41)])
@pytest.mark.parametrize("side", [0.0, 0.2, 0.5])
def test_an_erased_square_has_its_share_where_it_lies_inside(side, height, width):
    erased = Erase(side)(torch.ones(500, 3, height, width), rng())
    assert torch.equal(erased[:, 0], erased[:, 1]), "in all channels"
    lengths = set()
    for image in 1 - erased[:, 0]:
        rows, columns = image.any(1).nonzero().flatten().tolist(), image.any(0).nonzero().flatten().tolist()
        if not rows:
            continue
        assert image.sum() == len(rows) * len(columns), "one filled rectangle"
        if rows[0] > 0 and rows[-1] < height - 1 and columns[0] > 0 and columns[-1] < width - 1:
            lengths |= {len(rows), len(columns)}
    pixels = side * min(height, width)
    assert lengths == ({int(pixels)} if side else set())


def test_an_erased_square_lies_anywhere_also_partly_outside():
    left = Erase(0.4)(torch.ones(3000, 1, 20, 20), rng()).mean(0)[0]
    assert left.min() > 0.75
    assert left[0, 0] > left[0, 10] > left[10, 10], "corners are hit least, the middle most"
    assert left[10, 10] == pytest.approx(1 - 0.4**2, abs=0.03)
    assert left[0, 0] == pytest.approx(1 - 0.2**2, abs=0.02)


def test_a_warp_of_nothing_gives_the_image_back(digits):
    images = torch.from_numpy(to_unit(digits[:5, None, :, :21]))
    assert torch.allclose(Warp(0, 0, 0, 0)(images, rng()), images, atol=1e-4)


@pytest.mark.parametrize("strength", [{"turn": 15}, {"stretch": 0.15}, {"shift": 0.08}, {"bend": 0.03}], ids=str)
def test_every_strength_of_a_warp_changes_images_each_in_its_own_way(strength, digits):
    same = torch.from_numpy(to_unit(digits[:1, None])).repeat(4, 1, 1, 1)
    warped = Warp(**{"turn": 0, "stretch": 0, "shift": 0, "bend": 0, **strength})(same, rng())
    for index in range(4):
        assert (warped[index] - same[0]).abs().max() > 0.01
        assert (warped[index] - warped[index - 1]).abs().max() > 0.01
    assert warped.sum() == pytest.approx(same.sum().item(), rel=0.15), "the digit is still there"


def test_a_warp_turns_no_further_than_it_says(digits):
    bar = torch.zeros(1, 1, 41, 41)
    bar[:, :, 19:22, 4:37] = 1
    turned = Warp(turn=30, stretch=0, shift=0, bend=0)(bar.repeat(200, 1, 1, 1), rng())[:, 0].numpy()
    rows, columns = np.mgrid[-20:21, -20:21]
    angles = np.degrees(0.5 * np.arctan2(2 * (turned * rows * columns).sum((1, 2)), (turned * (columns**2 - rows**2)).sum((1, 2))))
    assert np.abs(angles).max() == pytest.approx(30, abs=1.5)
    assert abs(angles.mean()) < 4, "to both sides"
    furthest = int(np.abs(angles).argmax())
    straightened = rotate(turned[furthest], angles[furthest], order=1)
    assert np.abs(straightened - bar[0, 0].numpy()).mean() < 0.02


def test_a_warp_shifts_no_further_than_it_says():
    dot = torch.zeros(300, 1, 41, 61)
    dot[:, :, 19:22, 29:32] = 1
    shifted = Warp(turn=0, stretch=0, shift=0.1, bend=0)(dot, rng())[:, 0]
    for axis, size in ((1, 41), (2, 61)):
        places = (shifted.sum(3 - axis) * torch.arange(size)).sum(1) / shifted.sum((1, 2)) - size // 2
        assert places.abs().max() == pytest.approx(0.1 * size, rel=0.05)


def test_what_a_warp_brings_in_from_outside_is_black():
    warped = Warp(turn=45, stretch=0, shift=0, bend=0)(torch.ones(20, 1, 30, 30), rng())
    assert (warped.amin((1, 2, 3)) == 0).sum() > 15
    assert (warped[:, :, 15, 15] > 0.999).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Erase(1.2), r"The side of the erased square must be between 0 and 1, as a share of the image's, not 1\.2\."),
        (lambda: Warp(turn=200), r"A warp turns by 0 to 180 degrees; .*; not warp\(turn=200, "),
        (lambda: Warp(stretch=1.0), "it stretches, shifts and bends by shares from 0 to 1"),
        (lambda: Warp(bend=-0.1), "it stretches, shifts and bends by shares from 0 to 1"),
    ],
)
def test_strengths_that_cannot_be_meant_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong()


def test_jpeg_of_a_range_of_qualities_rounds_as_often_to_twice_a_step_as_to_once():
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    of_quality = torch.cat([parse(f"jpeg({quality})")(image, torch.Generator()) for quality in range(5, 96)])
    coded = parse("jpeg((5, 95))")(image.expand(600, -1, -1, -1), torch.Generator().manual_seed(0))
    quality = 5 + torch.cdist(coded.flatten(1), of_quality.flatten(1)).argmin(1)
    assert all((one == of_quality[place - 5]).all() for one, place in zip(coded, quality, strict=True))
    for finer, coarser in ((5, 10), (10, 20), (75, 87), (80, 90)):  # steps of 1000, 500, 250, 50, 25, 40 and 20 percent
        share = ((quality >= finer) & (quality < coarser)).float().mean()
        assert abs(share - np.log(2) / np.log(100)) < 0.05
