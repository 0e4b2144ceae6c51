"""PNG: pixels as they were, in a file hardly larger than a usual one, and nothing read of a damaged one."""

import io
import zlib

import numpy as np
import pytest
from imagecodecs import png_encode
from PIL import Image, ImageDraw

from isthmus.errors import DataError
from isthmus.imaging import notes
from isthmus.imaging.picture import decode_picture
from isthmus.imaging.png import coded_png


@pytest.fixture
def rng():
    return np.random.default_rng(17)


def photograph(rng, dtype=np.uint8, channels=3):
    """Return 768 x 1,024 values that change slowly, with noise, as in a photograph."""
    waves = [np.sin(np.linspace(0, turns, count)) for turns, count in ((31, 768), (23, 1024))]
    values = 0.5 + 0.2 * (waves[0][:, None] + waves[1])[:, :, None] + rng.normal(0, 0.01, (768, 1024, channels))
    return (values.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def drawing(rng):
    image = Image.new("RGB", (1024, 768), "white")
    for left, top, *ink in rng.integers(0, 200, (150, 5)):
        ImageDraw.Draw(image).text((5 * left, 3.7 * top), "words of a screen", fill=tuple(ink))
    return np.asarray(image)


@pytest.mark.parametrize("name", ["photograph", "drawing", "one in gray", "16 bits", "with alpha"])
def test_a_large_png_holds_the_values_in_hardly_more_bytes_than_with_a_filter_for_each_row(name, rng):
    pictures = {
        "photograph": lambda: photograph(rng),
        "drawing": lambda: drawing(rng),
        "one in gray": lambda: np.tile(photograph(rng, channels=1), (2, 1, 1)),
        "16 bits": lambda: photograph(rng, np.uint16),
        "with alpha": lambda: photograph(rng, channels=4),
    }
    picture = pictures[name]()
    content = coded_png(picture)
    plane = picture[:, :, 0] if picture.shape[2] == 1 else picture
    assert len(content) < 1.06 * len(png_encode(np.ascontiguousarray(plane), level=4))
    read = decode_picture(content, "picture.png")
    assert np.array_equal(read.pixels if read.alpha is None else np.dstack([read.pixels, read.alpha]), picture)
    if picture.dtype == np.uint8:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), plane)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_plain_png_reads_as_pillow_reads_it(mode, rng):
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (37, 41, 4), dtype=np.uint8), "RGBA").convert(mode).save(out, "PNG")
    pillows = np.asarray(Image.open(io.BytesIO(out.getvalue()))).reshape(37, 41, -1)
    read = decode_picture(out.getvalue(), "picture.png")
    assert np.array_equal(read.pixels if read.alpha is None else np.dstack([read.pixels, read.alpha]), pillows)


def test_pixels_that_are_damaged_or_missing_are_refused_and_others_read(rng, capfd):
    """Whether all are inflated at once or, as something is wrong, in pieces."""
    header = (b"IHDR", bytes([0, 0, 0, 40, 0, 0, 0, 30, 8, 0, 0, 0, 0]))
    rows = rng.integers(0, 256, (30, 41), dtype=np.uint8)
    rows[:, 0] = 0

    def decoded(packed):
        return decode_picture(notes.png_of([header, (b"IDAT", packed), (b"IEND", b"")]), "picture.png").pixels[:, :, 0]

    packed = zlib.compress(rows.tobytes())
    assert np.array_equal(decoded(packed), rows[:, 1:])
    assert np.array_equal(decoded(zlib.compress(rows.tobytes() + bytes(99))), rows[:, 1:])  # what comes after is left
    assert np.array_equal(decoded(packed[:-4]), rows[:, 1:])  # without the sum of all
    whole = notes.png_of([header, (b"IDAT", packed), (b"IEND", b"")])
    wrong = whole[:-16] + bytes([whole[-16] ^ 1]) + whole[-15:]  # the last chunk's sum
    assert np.array_equal(decode_picture(wrong, "picture.png").pixels[:, :, 0], rows[:, 1:])
    with pytest.raises(DataError, match="1,189 of 1,230 bytes"):
        decoded(zlib.compress(rows[:29].tobytes()))
    with pytest.raises(DataError, match=r"cut off|damaged"):
        decoded(packed[:500])
    with pytest.raises(DataError, match="damaged"):
        decoded(packed[:2] + b"\xff\xff\xff" + packed[5:])
    assert capfd.readouterr() == ("", "")
