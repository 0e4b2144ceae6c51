import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.evaluation.novelty import novelty
from isthmus.latents.explore import GAP, Plane, read_image, traversals, traverse, walk, write_images


@pytest.fixture(params=["dense", "conv"])
def model(request):
    return request.getfixturevalue(request.param)


def test_a_walk_leads_from_one_restored_image_to_the_other(model, digits):
    images = walk(model, digits[0], digits[1], 5)
    ends = model.restore(digits[:2, None] / np.float32(255))
    assert images.shape == (5, 1, 28, 28)
    assert np.allclose(images[[0, -1]], ends, atol=1e-5)
    middle = model.decode(model.encode(digits[:2]).mean(0, keepdims=True))
    assert np.allclose(images[2], middle[0], atol=1e-5)


def test_a_walk_keeps_the_size_of_its_images(conv, digits):
    assert walk(conv, digits[0, :21], digits[1, :21], 3).shape == (3, 1, 21, 28)


def test_a_walk_that_cannot_be_made_is_refused(conv, digits):
    with pytest.raises(isthmus.UsageError, match="A walk needs 2 steps or more, not 1"):
        walk(conv, digits[0], digits[1], 1)
    for start, end in ((digits[0], digits[1, :20]), (digits[:2], digits[:2])):
        with pytest.raises(isthmus.DataError, match="A walk needs two images of one size"):
            walk(conv, start, end)


def test_a_traversal_changes_one_number_of_the_code_as_far_as_codes_spread(dense, digits):
    number = int(np.argmax(dense.encode(digits).std(0)))
    images = traverse(dense, digits[0], number, 5, extent=2.0)
    codes = np.repeat(dense.encode(digits[:1]), 5, 0)
    train = dense.encode(digits[np.arange(len(digits)) % 10 != 9])[:, number]
    codes[:, number] = train.mean() + np.linspace(-2, 2, 5) * train.std()
    assert images.shape == (5, 1, 28, 28)
    assert np.abs(images - dense.decode(codes)).max() < 0.02
    assert np.abs(images[0] - images[-1]).max() > 0.1


def test_traversals_are_of_the_numbers_that_vary_most(model, digits):
    images = traversals(model, digits[3], rows=3, steps=4)
    assert images.shape == (12, 1, 28, 28)
    widest = np.argsort(-model.statistics.density.deviations)[:3]
    for row, number in enumerate(widest):
        assert np.allclose(images[4 * row : 4 * row + 4], traverse(model, digits[3], int(number), 4), atol=1e-6)


def test_a_traversal_that_cannot_be_made_is_refused(dense, conv, color, digits):
    for number in (-1, 32):
        with pytest.raises(isthmus.UsageError, match=f"32 numbers, from 0 to 31: there is no number {number}"):
            traverse(dense, digits[0], number)
    for steps in (1, 0, -1):
        with pytest.raises(isthmus.UsageError, match=f"A traversal needs 2 steps or more, not {steps}"):
            traverse(dense, digits[0], 0, steps)
    with pytest.raises(isthmus.DataError, match="A traversal takes one image, not 2"):
        traverse(dense, digits[:2], 0)
    with pytest.raises(isthmus.DataError, match="the training images had another size"):
        traverse(conv, digits[0, :20], 0)
    with pytest.raises(isthmus.DataError, match="The model has no density of codes"):
        traversals(color, np.zeros((16, 16, 3), np.uint8))


def test_the_same_seed_generates_the_same_images(model):
    first = model.generate(3, seed=1)
    assert first.shape == (3, 1, 28, 28)
    assert first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 1
    assert np.array_equal(first, model.generate(3, seed=1))
    assert not np.array_equal(first, model.generate(3, seed=2))


def test_a_vae_generates_from_its_prior(vae):
    import torch

    codes = torch.randn((4, 4), generator=torch.Generator().manual_seed(7)).numpy()
    assert np.array_equal(vae.generate(4, seed=7), vae.decode(codes))


def test_a_point_code_generates_from_the_density_of_its_codes(dense):
    assert np.array_equal(dense.generate(4, seed=7), dense.decode(dense.density((4, 32)).sample(4, 7).clip(0)))


def test_what_is_generated_looks_more_like_digits_than_noise_does(dense, digits):
    made = novelty(dense, dense.generate(40)).scores
    noise = novelty(dense, np.random.default_rng(0).random((40, 1, 28, 28), np.float32)).scores
    assert np.median(made) < np.median(noise)
    assert np.median(made) < novelty(dense, digits).scores.max()


def test_a_gaussian_map_generates_images_of_any_size(digits):
    model = isthmus.train(digits[:20], code_kind="gaussian", epochs=1, device="cpu")
    assert model.generate(2, size=(20, 36)).shape == (2, 1, 20, 36)


def test_what_cannot_be_generated_is_refused(dense, conv, color):
    for count in (0, -1):
        with pytest.raises(isthmus.UsageError, match=f"The count of new images must be 1 or more, not {count}"):
            dense.generate(count)
    with pytest.raises(isthmus.UsageError, match="The random seed must be between 0 and 2,147,483,647, not -1"):
        dense.generate(1, seed=-1)
    with pytest.raises(isthmus.DataError, match="This model decodes to 28 x 28 pixels, not 20 x 28"):
        dense.generate(1, size=(20, 28))
    with pytest.raises(isthmus.DataError, match=r"The model has no density of codes of shape \(8, 3, 4\)"):
        conv.generate(1, size=(20, 28))
    with pytest.raises(isthmus.DataError, match="it is untrained"):
        color.generate(1)


def test_a_plane_holds_what_lies_on_it(dense, digits):
    codes = dense.encode(digits)
    plane = Plane.of(codes)
    positions = np.random.default_rng(0).normal(size=(6, 2))
    assert np.allclose(plane.positions(plane.codes(positions)), positions, atol=1e-4)
    spread = plane.positions(codes).var(0)
    variances = np.linalg.eigvalsh(np.cov(codes.T, bias=True))
    assert spread == pytest.approx(variances[:-3:-1], rel=1e-3), "the two widest directions"


def test_a_planes_images_are_in_rows_from_the_top_left(dense, digits):
    plane = Plane.of(dense.encode(digits))
    images = plane.decoded(dense, np.array([-2.0, -1.0]), np.array([2.0, 1.0]), 3)
    corners = dense.decode(plane.codes(np.array([[-2, 1], [2, 1], [-2, -1], [2, -1]])))
    assert np.allclose(images[[0, 2, 6, 8]], corners, atol=1e-5)


@pytest.mark.parametrize("codes", [np.zeros((1, 5)), np.zeros((9, 1))], ids=["one code", "one number"])
def test_a_plane_needs_two_of_two(codes):
    with pytest.raises(isthmus.DataError, match="A map needs two codes or more of two numbers or more"):
        Plane.of(codes)


def some(count, channels=1, height=28, width=20):
    return np.random.default_rng(0).random((count, channels, height, width), np.float32)


@pytest.mark.parametrize(("count", "columns", "rows_and_columns"), [(7, 0, (3, 3)), (7, 4, (2, 4)), (3, 5, (1, 5)), (1, 0, (1, 1))])
def test_a_sheet_has_its_images_side_by_side_on_white(count, columns, rows_and_columns, tmp_path):
    images = some(count)
    write_images(images, tmp_path / "sheet.png", columns=columns)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    rows, width = rows_and_columns
    assert sheet.shape == (rows * (2 * 28 + GAP) - GAP, width * (2 * 20 + GAP) - GAP)  # small images, twice as large
    for index in range(rows * width):
        top, left = index // width * (56 + GAP), index % width * (40 + GAP)
        expected = np.rint(images[index, 0] * 255) if index < count else np.full((28, 20), 255)
        assert np.array_equal(sheet[top : top + 56 : 2, left : left + 40 : 2], expected)
    if rows_and_columns != (1, 1):
        assert (sheet[:, 40 : 40 + GAP] == 255).all()


def test_a_sheet_of_color_and_of_large_images(tmp_path):
    images = some(2, 3, 70, 65)
    write_images(images, tmp_path / "sheet.PNG")
    sheet = np.asarray(Image.open(tmp_path / "sheet.PNG"))
    assert sheet.shape == (70, 2 * 65 + GAP, 3)
    assert np.array_equal(sheet[:, -65:], np.rint(np.moveaxis(images[1], 0, -1) * 255))


def test_a_sheet_may_be_any_kind_of_picture(tmp_path):
    write_images(some(4), tmp_path / "sheet.tif")
    with Image.open(tmp_path / "sheet.tif") as sheet:
        assert sheet.size == (2 * 40 + GAP, 2 * 56 + GAP)


def test_images_go_into_an_npz_or_a_folder(tmp_path):
    images = some(11, 3)
    write_images(images, tmp_path / "new.npz")
    write_images(images, tmp_path / "new")
    with np.load(tmp_path / "new.npz") as file:
        assert np.array_equal(file["images"], np.rint(images * 255))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [f"{index:02}.png" for index in range(11)]
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "10.png")), np.rint(np.moveaxis(images[10], 0, -1) * 255))


def test_a_picture_is_read_in_the_size_that_a_model_takes(dense, conv, digits, tmp_path):
    Image.fromarray(digits[0]).resize((40, 30)).save(tmp_path / "large.png")
    assert read_image(dense, tmp_path / "large.png").shape == (1, 1, 28, 28)
    assert read_image(conv, tmp_path / "large.png").shape == (1, 1, 30, 40)
    with pytest.raises(isthmus.DataError, match=r"There is no file or folder .*none\.png"):
        read_image(conv, tmp_path / "none.png")
