import numpy as np
import pytest

from isthmus.errors import DataError
from isthmus.imaging.arrays import Layout, check_values, from_unit, resize, to_unit


@pytest.mark.parametrize(
    ("shape", "channels", "axes", "batch_shape"),
    [
        ((28, 30), None, "HW", (1, 1, 28, 30)),
        ((28, 30, 3), None, "HWC", (1, 3, 28, 30)),
        ((28, 30, 1), None, "HWC", (1, 1, 28, 30)),
        ((10, 28, 30), None, "NHW", (10, 1, 28, 30)),
        ((10, 28, 3), 1, "HWC", (1, 3, 10, 28)),
        ((10, 1, 28, 30), None, "NCHW", (10, 1, 28, 30)),
        ((10, 3, 28, 30), None, "NCHW", (10, 3, 28, 30)),
        ((10, 28, 30, 3), None, "NHWC", (10, 3, 28, 30)),
        ((10, 28, 30, 1), 1, "NHWC", (10, 1, 28, 30)),
        ((10, 28, 30, 7), 7, "NHWC", (10, 7, 28, 30)),
    ],
)
def test_a_layout_is_recognized_and_undone(shape, channels, axes, batch_shape):
    layout = Layout.of(shape, channels)
    array = np.arange(np.prod(shape)).reshape(shape)
    assert layout.axes == axes
    assert layout.to_batch(array).shape == batch_shape
    assert np.array_equal(layout.from_batch(layout.to_batch(array)), array)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4, 5, 6), (10, 28, 28, 7)])
def test_another_shape_is_refused_with_the_layouts(shape):
    with pytest.raises(DataError) as refused:
        Layout.of(shape)
    assert str(refused.value) == (
        f"An array of shape {shape} is not one of (H, W), (H, W, C), (n, H, W), (n, C, H, W), (n, H, W, C) with C = 1 or 3."
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool])
def test_every_step_of_a_type_survives_the_unit_range(dtype):
    steps = np.arange(2 if dtype is bool else np.iinfo(dtype).max + 1).astype(dtype)
    unit = to_unit(steps)
    assert unit.dtype == np.float32
    assert (unit.min(), unit.max()) == (0, 1)
    assert np.array_equal(from_unit(unit, np.dtype(dtype)), steps)


def test_values_outside_of_the_unit_range_are_clipped_for_integers_only():
    values = np.array([-0.5, 1.5], np.float32)
    assert from_unit(values, np.dtype(np.uint8)).tolist() == [0, 255]
    assert from_unit(values, np.dtype(np.float64)).tolist() == [-0.5, 1.5]


def accepted():
    rng = np.random.default_rng(0)
    digits = (rng.random((50, 28, 28)) > 0.8).astype(np.float32)
    return {
        "uint8": np.array([0, 255], np.uint8),
        "uint16": np.array([0, 65535], np.uint16),
        "bool": np.array([True, False]),
        "float32": np.array([0.0, 1.0], np.float32),
        "float64": np.array([0.2, 0.3]),
        "float16": np.array([0.2, 0.3], np.float16),
        "noise of 0.5 around black and white": digits + rng.normal(0, 0.5, digits.shape).astype(np.float32),
        "noise of 0.1 around gray": np.clip(rng.normal(0.5, 0.1, 1000), -1, 2),
        "one value a little outside": np.array([0.5, 1.0000001, 0.2]),
        "nothing": np.empty((0, 28, 28)),
    }


@pytest.mark.parametrize("name", accepted())
def test_values_of_images_are_accepted(name):
    check_values(accepted()[name])


IMAGES = np.random.default_rng(1).integers(0, 256, (20, 28, 28))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            IMAGES.astype(np.float32),
            "The images are floats from 0 to 255, not in [0, 1]; they look like 0..255: divide by 255, or convert to uint8.",
        ),
        (
            IMAGES * 257.0,
            "The images are floats from 0 to 6.554e+04, not in [0, 1]; "
            "they look like 0..65535: divide by 65535, or convert to uint16.",
        ),
        (IMAGES / 127.5 - 1, "The images are floats from -1 to 1, not in [0, 1]; they look like [-1, 1]: use (x + 1) / 2."),
        (
            (IMAGES / 255 - 0.1307) / 0.3081,
            "The images are floats from -0.4242 to 2.821, not in [0, 1]; "
            "they look standardised: undo it (x * std + mean), so that 0 is black and 1 is white.",
        ),
        (
            np.array([0.0, np.nan, np.inf, 1.0]),
            "The images hold 2 values that are NaN or infinite: replace them, for example with np.nan_to_num.",
        ),
        (
            IMAGES,
            "The images have type int64; accepted are uint8, uint16, bool, and floats in [0, 1]. "
            "If the values lie in 0..255, convert with .astype('uint8').",
        ),
    ],
    ids=["0..255", "0..65535", "-1..1", "standardised", "nan", "int64"],
)
def test_values_of_another_range_are_refused_with_the_fix(values, message):
    with pytest.raises(DataError) as refused:
        check_values(values)
    assert str(refused.value) == message


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_resizing_covers_the_size_and_keeps_the_middle(dtype):
    wide = np.zeros((1, 10, 30), np.float32)
    wide[:, :, 10:20] = 1  # the middle third is white
    middle = resize(from_unit(wide, np.dtype(dtype)), (20, 20))
    assert middle.shape == (1, 20, 20)
    assert middle.dtype == dtype
    assert to_unit(middle)[:, :, 3:-3].min() > 0.99
    assert resize(middle, (20, 20)) is middle
