"""What JPEG leaves in the pixels, and the upscalers that repair it first."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

import isthmus
from isthmus.inference.jpeg_artifacts import jpeg_qualities, without_artifacts


@pytest.fixture(scope="module")
def photo():
    """Part of a photograph, `(H, W, 3)`, halved so that nothing of its own JPEG is left."""
    return np.asarray(Image.fromarray(data.chelsea()).resize((225, 150), Image.Resampling.BICUBIC))


def as_jpeg(pixels, quality, subsampling=2):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))


def planes(pixels):
    return np.atleast_3d(pixels).transpose(2, 0, 1)


@pytest.mark.parametrize("quality", [20, 40, 60, 75, 85, 90])
@pytest.mark.parametrize("color", [True, False])
def test_the_quality_is_found(photo, quality, color):
    pixels = photo if color else np.asarray(Image.fromarray(photo).convert("L"))
    found = jpeg_qualities(planes(as_jpeg(pixels, quality)))
    assert found == [pytest.approx(quality, abs=0.15 * quality if quality < 60 else 2)]


def test_it_is_found_whatever_the_type(photo):
    pixels = planes(as_jpeg(photo, 75))
    assert jpeg_qualities(pixels.astype(np.uint16) * 257) == jpeg_qualities(pixels / np.float32(255)) == [75]


def test_it_is_found_in_a_large_image(photo):
    assert jpeg_qualities(planes(as_jpeg(np.tile(photo, (8, 8, 1)), 75))) == [75]


def test_the_best_qualities_leave_nothing(photo):
    assert jpeg_qualities(planes(as_jpeg(photo, 98))) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 64, 64), np.uint8),
        np.zeros((1, 5, 300), np.uint8),
        np.random.default_rng(0).integers(0, 256, (3, 256, 256), np.uint8),
        np.random.default_rng(0).integers(0, 2, (1, 256, 256)).astype(bool),
        np.tile(np.repeat(np.array([0, 200, 40], np.uint8), 3), (1, 90, 10)),
        np.tile(np.random.default_rng(1).integers(0, 256, (1, 16, 16), np.uint8), (1, 20, 20)),
    ],
    ids=["black", "too flat for a block", "random", "dots", "stripes", "one icon many times"],
)
def test_what_was_no_jpeg_shows_none(image):
    assert jpeg_qualities(image) == []


def test_photographs_without_jpeg_show_none(photo):
    rng = np.random.default_rng(0)
    for pixels in (photo, np.clip(photo + rng.normal(0, 15, photo.shape), 0, 255).astype(np.uint8), photo // 8 * 8):
        assert jpeg_qualities(planes(pixels)) == []


def test_one_that_was_resized_shows_none(photo):
    shrunk = Image.fromarray(as_jpeg(photo, 60)).resize((170, 110), Image.Resampling.BICUBIC)
    assert jpeg_qualities(planes(np.asarray(shrunk))) == []


@pytest.mark.parametrize(("top", "left"), [(3, 5), (0, 4), (7, 1)])
def test_it_is_found_after_cropping(photo, top, left):
    assert jpeg_qualities(planes(as_jpeg(photo, 60)[top:, left:])) == [pytest.approx(60, abs=3)]


def test_two_on_different_blocks_are_both_found(photo):
    twice = planes(as_jpeg(as_jpeg(photo, 20)[3:, 5:], 90))
    assert jpeg_qualities(twice) == [pytest.approx(90, abs=2), pytest.approx(20, abs=4)]
    images = np.stack([twice[:, :144, :216], planes(as_jpeg(photo, 20))[:, :144, :216]])
    repaired = without_artifacts(images, lambda some: 255 - some, kept=1)
    assert [bool(np.array_equal(*pair)) for pair in zip(images, repaired, strict=True)] == [False, True]


def test_only_images_that_show_artifacts_are_repaired(photo):
    images = np.stack([planes(photo), planes(as_jpeg(photo, 60)), planes(as_jpeg(photo, 97))])
    repaired = without_artifacts(images, lambda some: 255 - some, kept=0)
    assert [bool(np.array_equal(*pair)) for pair in zip(images, repaired, strict=True)] == [True, False, True]
    np.testing.assert_array_equal(repaired[1], 255 - images[1])


def test_an_upscaler_that_ships_repairs_first(photo):
    model, small = isthmus.load("upscale-x2"), as_jpeg(photo[:64, :64], 60)
    alone = isthmus.load("upscale-x2")
    alone.repairer = None
    repaired = isthmus.load("repair").restore(small)
    np.testing.assert_array_equal(model.restore(small), alone.restore(repaired))
    assert (model.restore(small) != alone.restore(small)).any()
    np.testing.assert_array_equal(model.restore(photo[:64, :64]), alone.restore(photo[:64, :64]))


def test_without_strength_nothing_is_repaired(photo):
    model, small = isthmus.load("upscale-x2"), as_jpeg(photo[:64, :64], 60)
    alone = isthmus.load("upscale-x2")
    alone.repairer = None
    np.testing.assert_array_equal(model.restore(small, strength=0), alone.restore(small, strength=0))


def test_it_is_still_so_after_saving(tmp_path):
    isthmus.load("upscale-x2").save(tmp_path / "mine.safetensors")
    assert isthmus.load(tmp_path / "mine.safetensors").repairer is not None
    assert isthmus.load("denoise-color").repairer is None


def test_what_was_a_jpeg_twice_is_repaired_twice(photo):
    model, alone = isthmus.load("repair"), isthmus.load("repair")
    alone.repairer = None
    once, twice = as_jpeg(photo, 20), as_jpeg(as_jpeg(photo, 20)[3:, 5:], 90)
    np.testing.assert_array_equal(model.restore(once), alone.restore(once))
    np.testing.assert_array_equal(model.restore(twice), alone.restore(alone.restore(twice)))


@pytest.mark.parametrize("name", ["upscale-x2", "repair"])
def test_the_strength_mixes_input_and_output(photo, name):
    model, twice = isthmus.load(name), as_jpeg(as_jpeg(photo, 20)[3:, 5:], 90)
    low, middle, high = (model.restore(twice, strength=strength).astype(float) for strength in (0, 0.25, 1))
    assert np.abs(0.75 * low + 0.25 * high - middle).max() <= 1  # three roundings
    assert np.abs(high - low).max() > 20
