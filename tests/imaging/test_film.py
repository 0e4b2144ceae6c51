"""Films come back frame by frame, as other programs read them; an animated PNG is composed as its standard says."""

import io
import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageSequence

from isthmus.errors import DataError
from isthmus.imaging.content import Coding, Picture
from isthmus.imaging.film import GIF_IMAGE, composed, gif_blocks, png_film
from isthmus.imaging.notes import png_chunks, png_of
from isthmus.imaging.picture import decode_picture, encode_picture

RED, GREEN, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)


def plain(*values, size=(6, 9)):
    return np.broadcast_to(np.array(values, np.uint8), (*size, len(values))).copy()


def still(array):
    out = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(out, "PNG")
    return out.getvalue()


def film(parts, claimed=None, hidden=None, loops=3, first=0):
    """Return an animated PNG: (array, left, top, what becomes of it, whether it lies over what is there) for each part."""
    whole = list(png_chunks(still(hidden if hidden is not None else parts[0][0])))
    count = len(parts) if claimed is None else claimed
    chunks, number = [whole[0], (b"acTL", struct.pack(">II", count, loops))], first
    if hidden is not None:
        chunks += [chunk for chunk in whole if chunk[0] == b"IDAT"]
    for place, (array, left, top, after, over) in enumerate(parts):
        height, width = array.shape[:2]
        chunks.append((b"fcTL", struct.pack(">5I2H2B", number, width, height, left, top, place + 1, 30, after, over)))
        number += 1
        for kind, data in png_chunks(still(array)):
            if kind == b"IDAT" and (place or hidden is not None):
                chunks.append((b"fdAT", struct.pack(">I", number) + data))
                number += 1
            elif kind == b"IDAT":
                chunks.append((kind, data))
    return png_of([*chunks, (b"IEND", b"")])


def frames_of(content):
    with Image.open(io.BytesIO(content)) as opened:
        return [(np.asarray(frame.convert("RGBA")), frame.info.get("duration")) for frame in ImageSequence.Iterator(opened)]


@pytest.mark.parametrize("end", ["png", "gif", "webp"])
def test_frames_that_are_the_same_stay_apart(end):
    first, last = plain(250, 5, 5), plain(5, 250, 5)
    last[2:4, 3:5] = (5, 5, 250)
    frames = [Picture(pixels=pixels, coding=Coding(kind="PNG", options={"duration": 40 + 10 * place, "loop": 3}))
              for place, pixels in enumerate((first, first, last, last))]  # fmt: skip
    content = encode_picture(replace(frames[0], pages=tuple(frames[1:])), f"a.{end}")
    found = frames_of(content)
    assert [time for _, time in found] == [40, 50, 60, 70]
    for (shown, _), frame in zip(found, frames, strict=True):
        assert np.abs(shown[:, :, :3].astype(int) - frame.pixels).max() <= 8  # a GIF's palette, a WebP's coding
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.info["loop"] == 3
    assert decode_picture(content, f"a.{end}").frames == 4


@pytest.mark.parametrize("end", ["png", "gif", "webp"])
def test_what_is_transparent_in_a_later_frame_is_transparent_there(end):
    alphas = np.full((3, 6, 9), 255, np.uint8)
    alphas[1, :3], alphas[2, 3:] = 0, 0
    frames = [
        Picture(pixels=plain(10, 200, 30), alpha=alpha, coding=Coding(kind="WEBP", options={"duration": 50})) for alpha in alphas
    ]
    content = encode_picture(replace(frames[0], pages=tuple(frames[1:])), f"a.{end}")
    assert np.array_equal([shown[:, :, 3] for shown, _ in frames_of(content)], alphas)


def test_only_what_changes_is_coded_again():
    frames = [plain(9, 9, 9) for _ in range(3)]
    frames[1][2, 3] = frames[1][4, 6] = frames[2][2, 3] = frames[2][4, 6] = 200
    pictures = [Picture(pixels=frame) for frame in frames]
    content = encode_picture(replace(pictures[0], pages=tuple(pictures[1:])), "a.png")
    controls = [struct.unpack_from(">4I", data, 4) for kind, data in png_chunks(content) if kind == b"fcTL"]
    assert controls == [(9, 6, 0, 0), (4, 3, 3, 2), (1, 1, 0, 0)]
    blocks = gif_blocks(encode_picture(replace(pictures[0], pages=tuple(pictures[1:])), "a.gif"))
    places = [struct.unpack_from("<4H", block, 1) for label, block in blocks if label == GIF_IMAGE]
    assert places == [(0, 0, 9, 6), (3, 2, 4, 3), (0, 0, 1, 1)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transparent", [False, True])
def test_films_of_sixteen_bits_come_back(channels, transparent):
    rng = np.random.default_rng(0)
    frames = [
        Picture(
            pixels=rng.integers(0, 65536, (6, 9, channels), np.uint16),
            alpha=rng.integers(0, 65536, (6, 9), np.uint16) if transparent else None,
            coding=Coding(kind="PNG", options={"duration": 1000 / 30, "loop": 2}),
        )
        for _ in range(3)
    ]
    content = encode_picture(replace(frames[0], pages=tuple(frames[1:])), "a.png")
    wanted = np.stack([frame.pixels if frame.alpha is None else np.dstack([frame.pixels, frame.alpha]) for frame in frames])
    assert np.array_equal(imagecodecs.apng_decode(content).reshape(wanted.shape), wanted)
    assert [struct.unpack_from(">2H", data, 20) for kind, data in png_chunks(content) if kind == b"fcTL"] == [(1, 30)] * 3
    picture = decode_picture(content, "a.png")
    for page, frame in zip((picture, *picture.pages), frames, strict=True):
        assert np.array_equal(page.pixels, frame.pixels)
        assert transparent == (page.alpha is not None)
        assert page.alpha is None or np.array_equal(page.alpha, frame.alpha)
    assert encode_picture(picture, "b.png") == content


def test_the_hidden_first_picture_of_a_film_stays_hidden():
    content = film([(plain(*GREEN), 0, 0, 0, 0), (plain(*CLEAR), 0, 0, 0, 1)], hidden=plain(*RED))
    picture = decode_picture(content, "a.png")
    colors = [tuple(np.dstack([page.pixels, page.alpha])[0, 0]) for page in (picture, *picture.pages)]
    assert colors == [RED, GREEN, GREEN]
    result = encode_picture(picture, "b.png")
    kinds = [kind for kind, _ in png_chunks(result)]
    assert kinds.index(b"IDAT") < kinds.index(b"fcTL")
    assert next(data for kind, data in png_chunks(result) if kind == b"acTL") == struct.pack(">II", 2, 3)
    with Image.open(io.BytesIO(result)) as opened:
        assert opened.info["default_image"]


def colors_after(parts, **more):
    """Return the upper left pixel, and that at (3, 2), of each frame."""
    picture = decode_picture(film(parts, **more), "a.png")
    frames = [np.dstack([page.pixels, page.alpha]) for page in (picture, *picture.pages)]
    return [(tuple(int(v) for v in frame[0, 0]), tuple(int(v) for v in frame[2, 3])) for frame in frames]


def test_a_film_is_composed_as_the_standard_says():
    """APNG: a part is put over or in place of what is there; afterwards it stays, is cleared, or what was there comes back."""
    part = plain(*RED, size=(2, 3))
    assert colors_after([(plain(*GREEN), 0, 0, 0, 0), (part, 3, 2, 2, 0), (plain(*CLEAR), 0, 0, 0, 1)]) == [
        (GREEN, GREEN), (GREEN, RED), (GREEN, GREEN)
    ]  # fmt: skip
    assert colors_after([(plain(*GREEN), 0, 0, 0, 0), (part, 3, 2, 1, 0), (plain(*CLEAR), 0, 0, 0, 1)]) == [
        (GREEN, GREEN), (GREEN, RED), (GREEN, CLEAR)
    ]  # fmt: skip
    assert colors_after([(plain(*GREEN), 0, 0, 0, 0), (plain(*CLEAR), 0, 0, 0, 0)])[1] == (CLEAR, CLEAR)
    blue = plain(0, 0, 255, 128)
    assert colors_after([(plain(0, 0, 0, 255), 0, 0, 0, 0), (blue, 0, 0, 0, 1)])[1][0] == (0, 0, 128, 255)
    assert colors_after([(blue, 0, 0, 0, 0), (blue, 0, 0, 0, 1)])[1][0] == (0, 0, 255, 192)


def test_many_nearly_transparent_parts_add_up():
    parts = [np.array([[[0, 655, 0, 655]]], np.uint16)] * 300  # a hundredth each
    last = list(composed(parts, [(0, 0, 0, 1)] * 300, (1, 1)))[-1]
    assert abs(int(last[0, 0, 3]) / 65535 - (1 - 0.99**300)) < 0.001


@pytest.mark.parametrize(
    ("more", "sentence"), [({"first": 1}, "its frames are out of order"), ({"claimed": 5}, "cut off: it holds 2 of 5 frames")]
)
def test_films_that_are_damaged_are_refused(more, sentence):
    content = film([(plain(*GREEN), 0, 0, 0, 0), (plain(*RED), 0, 0, 0, 0)], **more)
    with pytest.raises(DataError, match=sentence):
        png_film(content)
    with pytest.raises(DataError, match=r"damaged|cut off"):
        decode_picture(content, "a.png")


def test_a_part_beyond_the_edge_is_refused():
    content = film([(plain(*GREEN), 0, 0, 0, 0), (plain(*RED), 1, 0, 0, 0)])
    with pytest.raises(DataError, match="larger than the whole"):
        decode_picture(content, "a.png")


def test_a_film_without_frames_is_a_picture():
    content = film([(plain(*GREEN), 0, 0, 0, 0), (plain(*RED), 0, 0, 0, 0)], claimed=0)
    assert decode_picture(content, "a.png").frames == 1


def test_gray_films_stay_gray():
    content = film([(plain(9), 0, 0, 0, 0), (plain(90), 0, 0, 0, 0)])
    picture = decode_picture(content, "a.png")
    assert picture.pixels.shape == (6, 9, 1)
    assert [int(page.pixels[0, 0, 0]) for page in picture.pages] == [90]
    assert next(png_chunks(encode_picture(picture, "b.png")))[1][9] == 0


@pytest.mark.parametrize("end", ["png", "gif", "webp", "avif"])
def test_pages_of_several_sizes_are_refused_where_frames_are_of_one(end):
    pages = (Picture(pixels=plain(1, 2, 3, size=(5, 9))),)
    with pytest.raises(DataError, match="frames of one size"):
        encode_picture(Picture(pixels=plain(1, 2, 3), pages=pages), f"a.{end}")


def test_films_from_pages_have_a_usual_time():
    pages = (Picture(pixels=plain(100, 2, 3)),)
    content = encode_picture(Picture(pixels=plain(1, 2, 3), pages=pages, coding=Coding(kind="TIFF")), "a.gif")
    assert [time for _, time in frames_of(content)] == [100, 100]
