"""The values of what cameras, film, files, programs and time do, against independent sources."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import convolve, gaussian_filter

from isthmus.corruptions import (
    CameraNoise,
    Either,
    Fade,
    FilmGrain,
    GaussianNoise,
    Jpeg,
    Nothing,
    Resize,
    Scratches,
    Sharpen,
    Shuffled,
    Webp,
    camera,
    parse,
)
from isthmus.corruptions.camera import demosaic
from isthmus.corruptions.resampling import resample
from isthmus.errors import UsageError


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def picture(height=64, width=64, channels=3, seed=1):
    """A smooth image with some detail, `(1, C, H, W)`."""
    values = np.random.default_rng(seed).random((channels, height, width))
    smooth = np.stack([gaussian_filter(plane, 2) for plane in values])
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return torch.from_numpy(0.1 + 0.8 * smooth[None]).float()


def correlation(noise, lag):
    return float((noise[..., lag:] * noise[..., :-lag]).mean() / noise.square().mean())


def plain(monkeypatch):
    for name, value in {"POWER": 2.0, "EXPOSURE": 1.0, "GAINS": 1.0, "SATURATION": 1.0}.items():
        monkeypatch.setattr(camera, name, value)


@pytest.mark.parametrize("value", [0.2, 0.5, 0.9])
def test_a_sensors_variance_is_that_of_its_photons_and_its_own(monkeypatch, value):
    plain(monkeypatch)
    clean = torch.full((1, 3, 400, 400), value)
    noisy, wanted = CameraNoise(shot=1e-3, read=0.01, rows=0, mosaic=0, smoothed=0).degrade(clean, clean, rng())
    light = noisy.double().square()
    darker = (1e-3 * value**2 + 1e-4) / (8 * value**3)  # half the second derivative of a square root, times the variance
    assert float((clean - wanted).mean()) == pytest.approx(darker, rel=0.25)
    assert light.mean().item() == pytest.approx(value**2, rel=3e-3)
    assert light.var().item() == pytest.approx(1e-3 * value**2 + 1e-4, rel=0.02)


def test_rows_have_an_offset_of_their_own(monkeypatch):
    plain(monkeypatch)
    clean = torch.full((1, 1, 500, 500), 0.7)
    noisy = CameraNoise(shot=1e-9, read=0.02, rows=0.5, smoothed=0)(clean, rng())
    offsets = noisy.double().square().mean(-1)
    assert offsets.std().item() == pytest.approx(np.hypot(0.5 * 0.02, 0.02 / np.sqrt(500)), rel=0.1)


def test_each_image_has_a_sensor_of_its_own():
    clean = torch.full((300, 1, 16, 16), 0.5)
    noisy = CameraNoise(shot=(1e-5, 1e-2), read=1e-6, rows=0, smoothed=0)(clean, rng())
    levels = noisy.flatten(1).std(1).log10()
    assert levels.max() - levels.min() == pytest.approx(1.5, abs=0.35), "three decades of variance"


@pytest.mark.parametrize("phase", range(4))
@pytest.mark.parametrize("method", ["bilinear", "malvar"])
def test_a_mosaic_of_a_ramp_is_the_ramp(method, phase):
    rows, columns = np.mgrid[:12, :16] / 40
    ramp = torch.from_numpy(np.stack([0.2 + rows, 0.2 + rows, 0.2 + rows])[None] + 0.5 * columns).float()
    assert torch.allclose(demosaic(ramp, phase, method)[..., 3:-3, 3:-3], ramp[..., 3:-3, 3:-3], atol=1e-5)


def test_bilinear_interpolation_is_that_of_masked_planes():
    light = torch.rand(1, 3, 20, 22, generator=rng())
    rows, columns = np.mgrid[:20, :22] % 2
    masks = [(rows == 0) & (columns == 0), rows != columns, (rows == 1) & (columns == 1)]
    cross, square = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4, np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
    expected = [
        convolve(plane * mask, kernel, mode="mirror")
        for plane, mask, kernel in zip(light[0].numpy(), masks, (square, cross, square), strict=True)
    ]
    assert np.allclose(demosaic(light, 0, "bilinear")[0].numpy(), expected, atol=1e-6)


def test_malvars_filters_are_those_of_the_paper():
    paper = {  # figure 2, in eighths: green at red; red at green in red's row; red at blue
        "green": [[0, 0, -1, 0, 0], [0, 0, 2, 0, 0], [-1, 2, 4, 2, -1], [0, 0, 2, 0, 0], [0, 0, -1, 0, 0]],
        "row": [[0, 0, 0.5, 0, 0], [0, -1, 0, -1, 0], [-1, 4, 5, 4, -1], [0, -1, 0, -1, 0], [0, 0, 0.5, 0, 0]],
        "across": [[0, 0, -1.5, 0, 0], [0, 2, 0, 2, 0], [-1.5, 0, 6, 0, -1.5], [0, 2, 0, 2, 0], [0, 0, -1.5, 0, 0]],
    }
    green, row, column, across = (np.array(one[0]) * 8 for one in camera.INTERPOLATIONS["malvar"])
    assert np.array_equal(green, paper["green"])
    assert np.array_equal(row, paper["row"])
    assert np.array_equal(column, np.transpose(paper["row"]))
    assert np.array_equal(across, paper["across"])


def test_what_is_wanted_of_a_photograph_went_through_the_same_camera():
    clean = picture().repeat(4, 1, 1, 1)
    noisy, wanted = CameraNoise(shot=1e-8, read=1e-8, mosaic=1).degrade(clean, clean, rng())
    assert torch.allclose(noisy, wanted, atol=2e-3)
    assert not torch.allclose(wanted, clean, atol=2e-3), "a mosaic was interpolated"


@pytest.mark.parametrize("brightness", [0.0, 0.02, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_wanted_is_the_mean_of_many_photographs(brightness, channels):
    """Without it, what is learned makes noisy pictures brighter: by 2 of 255 at the highest sensitivity of a real camera."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.full((64, channels, 64, 64), brightness)
    noise = CameraNoise((1e-2, 1e-2), (2e-2, 2e-2), smoothed=0.5)
    damaged, wanted = noise.degrade(clean, clean, generator)
    assert (damaged - wanted).std() > 0.003
    assert abs(float((damaged - wanted).mean())) < 0.0008
    unmoved = CameraNoise((1e-9, 1e-9), (1e-9, 1e-9)).degrade(clean, clean, generator)[1]
    moved = float((wanted - unmoved).abs().mean())
    assert moved > 0.02 if brightness < 0.1 else True  # black cannot become darker, so noise makes it brighter


def test_a_camera_that_smooths_makes_noise_that_is_correlated_from_pixel_to_pixel(monkeypatch):
    monkeypatch.setattr(camera, "SMOOTHING", {"lightness": (0.8, 0.8), "color": (1.7, 1.7)})
    clean = torch.full((1, 3, 400, 400), 0.5)
    noise = CameraNoise(shot=1e-3, read=1e-3, mosaic=0, smoothed=1)(clean, rng()).double() - 0.5
    assert correlation(noise.mean(1), 1) == pytest.approx(np.exp(-1 / (4 * 0.8**2)), abs=0.05)
    assert correlation(noise[:, 0] - noise[:, 1], 2) == pytest.approx(np.exp(-4 / (4 * 1.7**2)), abs=0.05)


@pytest.mark.parametrize(("size", "color"), [(1.0, 0.0), (1.5, 1.0)])
def test_grain_has_its_strength_its_size_and_its_color(size, color):
    clean = torch.full((1, 3, 500, 500), 0.5)
    grain = FilmGrain(std=0.05, size=size, color=color, dark=0.0)(clean, rng()).double() - 0.5
    assert grain.std().item() == pytest.approx(0.05, rel=0.03)
    assert correlation(grain, 1) == pytest.approx(np.exp(-1 / (4 * size**2)), abs=0.03)
    assert np.corrcoef(grain[0, 0].flatten(), grain[0, 1].flatten())[0, 1] == pytest.approx(1 - color, abs=0.02)


def test_grain_may_be_weaker_in_the_light():
    dark, light = (FilmGrain(std=0.02, size=0, dark=1.0)(torch.full((1, 1, 300, 300), v), rng()).std().item() for v in (0.2, 0.8))
    assert dark / light == pytest.approx(4, rel=0.05)


def test_sharpening_is_an_unsharp_mask_on_both():
    clean = picture()
    expected = clean.numpy()[0] * 1.5 - 0.5 * np.stack(
        [gaussian_filter(plane, 1.0, mode="nearest", truncate=3) for plane in clean.numpy()[0]]
    )
    noisy, wanted = Sharpen(amount=0.5, sigma=1.0).degrade(clean, clean, rng())
    assert np.allclose(noisy[0].numpy(), np.clip(expected, 0, 1), atol=1e-4)
    assert torch.equal(noisy, wanted)


FILTERS = {"box": Image.Resampling.BOX, "triangle": Image.Resampling.BILINEAR, "cubic": Image.Resampling.BICUBIC}
FILTERS["lanczos"] = Image.Resampling.LANCZOS


@pytest.mark.parametrize("kernel", FILTERS)
def test_smaller_is_as_pillow_makes_it(kernel):
    image = picture(80, 60)[0]
    small = resample(image, 0.5, kernel, (0.0, 0.0))[:, 8:32, 8:22]
    for plane, ours in zip(image.numpy(), small.numpy(), strict=True):
        theirs = np.asarray(Image.fromarray(plane).resize((30, 40), FILTERS[kernel]))
        assert np.allclose(ours, theirs[8:32, 8:22], atol=1e-3)


@pytest.mark.parametrize("kernel", ["triangle", "cubic", "lanczos"])
def test_larger_is_a_part_of_what_pillow_makes(kernel):
    image = picture(40, 40)[0]
    part = resample(image, 1.25, kernel, (1.0, 0.0))[:, 5:35, 8:35]
    for plane, ours in zip(image.numpy(), part.numpy(), strict=True):
        theirs = np.asarray(Image.fromarray(plane).resize((50, 50), FILTERS[kernel]))[10:, :40]
        assert np.allclose(ours, theirs[5:35, 8:35], atol=1e-3)


def test_resizing_takes_what_is_wanted_along():
    clean = picture().repeat(8, 1, 1, 1)
    both = GaussianNoise(1e-4) | Resize((0.5, 1.5)) | Jpeg(95, subsampling="4:4:4")
    noisy, wanted = both.degrade(clean, clean, rng())
    assert noisy.shape == wanted.shape == clean.shape
    assert ((noisy - wanted).square().mean((1, 2, 3)) < 3e-4).all()
    assert ((clean - wanted).square().mean((1, 2, 3)) > 1e-3).all()


@pytest.mark.parametrize(("subsampling", "number"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_jpeg_is_pillows(subsampling, number):
    clean = picture()
    pixels = (clean[0] * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60, subsampling=number)
    coded = Jpeg(60, subsampling=subsampling)(clean, rng())[0].permute(1, 2, 0) * 255
    assert np.array_equal(coded.round().byte().numpy(), np.asarray(Image.open(file)))


def test_shifted_blocks_begin_anywhere():
    clean = picture(64, 64, 1).repeat(200, 1, 1, 1)
    coded = Jpeg(5, shifted=1.0)(clean, rng())
    steps = (coded[..., :, 1:] - coded[..., :, :-1]).abs().mean((1, 2))  # (200, 63): strongest between blocks
    phases = torch.stack([steps[:, phase::8].mean(1) for phase in range(8)], 1).argmax(1)
    assert set(phases.tolist()) == set(range(8))
    aligned = Jpeg(5)(clean[:1], rng())
    steps = (aligned[..., :, 1:] - aligned[..., :, :-1]).abs().mean((1, 2))
    assert torch.stack([steps[:, phase::8].mean(1) for phase in range(8)], 1).argmax(1).item() == 7


def test_webp_is_pillows():
    clean = picture()
    file = io.BytesIO()
    Image.fromarray((clean[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "WEBP", quality=30, method=2)
    coded = Webp(30)(clean, rng())[0].permute(1, 2, 0) * 255
    assert np.array_equal(coded.round().byte().numpy(), np.asarray(Image.open(file)))


def test_fading_leaves_its_contrast():
    clean = picture()
    faded = Fade(contrast=0.6, tint=0.0, lift=1.0)(clean, rng())
    assert torch.allclose(faded, 0.6 * clean + 0.4, atol=1e-6)


def test_scratches_cover_a_little_and_leave_the_rest():
    clean = torch.full((20, 3, 100, 100), 0.5)
    scratched = Scratches(count=4)(clean, rng())
    changed = (scratched != clean).any(1).float().mean((1, 2))
    assert 0.005 < changed.mean() < 0.2
    assert torch.equal(Scratches(count=0)(clean, rng()), clean)


def test_one_of_several_happens_as_often_as_its_weight_says():
    clean = torch.full((4000, 1, 2, 2), 0.5)
    seen = Either((Nothing(), Fade(contrast=0.0, tint=0.0, lift=0.0)), (3, 1))(clean, rng())
    assert (seen == 0).all(-1).all(-1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert set(seen.unique().tolist()) == {0.0, 0.5}


def test_shuffled_parts_happen_in_every_order():
    lift, darken = Fade(contrast=0.5, tint=0.0, lift=1.0), Fade(contrast=0.5, tint=0.0, lift=0.0)
    seen = Shuffled((lift, darken))(torch.full((200, 1, 1, 1), 0.5), rng()).flatten()
    assert sorted(set(seen.tolist())) == pytest.approx([0.375, 0.625])


def test_a_mixture_is_read_and_written_as_one_line():
    text = "either(0.3 * gaussian-noise((0, 0.2)), camera-noise | either(jpeg((50, 98), subsampling='any'), nothing)) | jpeg(80)"
    assert parse(str(parse(text))) == parse(text)
    assert "\n" not in str(parse(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("either(half * jpeg)", r"Cannot read 'half \* jpeg' in either: write it like 0\.3 \* jpeg\(50\)\."),
        ("either(downscale(2), nothing)", r"downscale\(factor=2\) cannot be a part of either: it changes the size or the channels"),
        ("either(0 * jpeg)", "The weights of either are numbers from 0 up"),
        ("jpeg(50, subsampling='4:1:1')", "JPEG's subsampling must be one of 4:4:4, 4:2:2, 4:2:0, any; not '4:1:1'"),
        ("jpeg((90, 50))", r"or a pair \(low, high\), not \(90, 50\)"),
        ("resize(0.01)", r"The scale of resize must be between 0\.05 and 20"),
        ("camera-noise(shot='much')", "a value is of the wrong kind"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(text, message):
    with pytest.raises(UsageError, match=message):
        parse(text)
