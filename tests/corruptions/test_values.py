"""What each corruption does to an image, against values that come from somewhere else: SciPy, statistics, libjpeg."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

from isthmus.corruptions import Blur, GaussianNoise, Grayscale, Jpeg, Mask, PoissonNoise, SaltAndPepper


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def photograph():
    """A photograph, `(1, 3, 64, 96)` float64."""
    return torch.from_numpy(astronaut()[:64, 180:276] / 255.0).movedim(-1, 0)[None]


@pytest.mark.parametrize("sigma", [0.6, 1.5, 3.0])
def test_blur_is_scipys_gaussian_filter(photograph, sigma):
    wanted = gaussian_filter(photograph[0].numpy(), sigma, axes=(1, 2), mode="nearest", radius=int(np.ceil(3 * sigma)))
    assert np.abs(Blur(sigma)(photograph, generator())[0].numpy() - wanted).max() < 1e-6


@pytest.mark.parametrize("std", [0.05, 0.5])
def test_gaussian_noise_has_its_mean_and_deviation(std):
    noise = GaussianNoise(std, clip=False)(torch.full((1, 1, 500, 500), 0.5), generator()) - 0.5
    assert noise.mean().item() == pytest.approx(0, abs=4 * std / 500)
    assert noise.std().item() == pytest.approx(std, rel=0.01)
    assert (noise.abs() < std).double().mean().item() == pytest.approx(0.6827, abs=0.005), "as many within one deviation"


@pytest.mark.parametrize(("level", "peak", "read"), [(0.5, 100.0, 0.0), (0.2, 50.0, 0.02)])
def test_poisson_noise_has_the_variance_of_counted_photons(level, peak, read):
    noisy = PoissonNoise(peak, read=read)(torch.full((1, 1, 500, 500), level, dtype=torch.float64), generator())
    assert noisy.mean().item() == pytest.approx(level, rel=0.005)
    assert noisy.var().item() == pytest.approx(level / peak + read**2, rel=0.02)


def test_salt_and_pepper_lose_their_share_half_to_each():
    noisy = SaltAndPepper(0.2)(torch.full((1, 3, 400, 400), 0.5), generator())
    assert (noisy == 0).double().mean().item() == pytest.approx(0.1, abs=0.005)
    assert (noisy == 1).double().mean().item() == pytest.approx(0.1, abs=0.005)
    assert (noisy == noisy[:, :1]).all(), "in all channels"


def test_jpeg_is_the_encoders_own_at_that_quality(photograph):
    pixels = (photograph[0].movedim(0, -1) * 255).round().to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=30)
    wanted = torch.from_numpy(np.asarray(Image.open(file)) / 255).movedim(-1, 0)
    assert torch.allclose(Jpeg(30)(photograph, generator())[0], wanted, atol=1e-6)


def test_a_lower_quality_takes_more_away(photograph):
    errors = [(Jpeg(quality)(photograph, generator()) - photograph).square().mean().item() for quality in (5, 20, 60, 95)]
    assert errors == sorted(errors, reverse=True)


def test_a_mask_hides_what_its_channel_says_and_nothing_else():
    masked = Mask(0.4, count=2)(torch.full((200, 1, 32, 32), 0.7), generator())
    image, hidden = masked[:, :1], masked[:, 1:]
    assert set(hidden.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(image, torch.full_like(image, 0.7) * (1 - hidden))
    assert 0.05 < hidden.mean().item() < 0.25, "of two boxes and two strokes"


def test_gray_has_the_weights_of_light_not_of_values():
    red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    assert Grayscale()(red, generator()).item() == pytest.approx(1.055 * 0.2126 ** (1 / 2.4) - 0.055, abs=1e-3)
