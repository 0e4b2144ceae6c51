"""Mutated real files, given to every reader: nothing but isthmus's own errors may come out."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import isthmus
from isthmus.datasets.arrays import read_idx, read_npy, read_npz, write_idx
from isthmus.imaging.arrays import check_values
from isthmus.imaging.picture import read_picture
from isthmus.model import load

fuzz = settings(max_examples=100, deadline=None, derandomize=True)


@st.composite
def mutations(draw):
    """Return what changes a file's content in one to four places, most of them near its beginning."""
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.one_of(st.integers(0, 200), st.integers(0, 10_000))) / 10_000
        kind = draw(st.sampled_from(["set", "flip", "cut", "insert", "repeat"]))
        steps.append((kind, place, draw(st.binary(min_size=1, max_size=8))))

    def mutate(content):
        for kind, place, new in steps:
            at = int(place * len(content))
            match kind:
                case "set":
                    content = content[:at] + new + content[at + len(new) :]
                case "flip":
                    content = (
                        content[:at] + bytes((content[at] ^ (new[0] or 1),)) + content[at + 1 :] if at < len(content) else content
                    )
                case "cut":
                    content = content[:at] if place > 0.02 else content[: len(content) - at]
                case "insert":
                    content = content[:at] + new + content[at:]
                case "repeat":
                    content = content[:at] + content[at : at + 64] + content[at:]
        return content

    return mutate


def read_or_refuse(read, path, content):
    """Read a mutated file; IsthmusError is the only error that may come out."""
    path.write_bytes(content)
    try:
        return read(path)
    except isthmus.IsthmusError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def originals(digits, dense):
    """Small real files, by the end of their names."""
    files = {}
    image = digits[0]
    for kind, end, array in (
        ("PNG", "png", image),
        ("JPEG", "jpg", image),
        ("GIF", "gif", image),
        ("WEBP", "webp", np.dstack([image] * 3)),
    ):
        buffer = io.BytesIO()
        Image.fromarray(array).save(buffer, kind)
        files[end] = buffer.getvalue()
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image.astype(np.uint16) * 257)
    files["tif"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, images=digits[:3], labels=np.arange(3))
    files["npz"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=digits[:3])
    files["compressed.npz"] = buffer.getvalue()
    buffer = io.BytesIO()
    np.save(buffer, digits[:3])
    files["npy"] = buffer.getvalue()
    return files


@pytest.mark.parametrize("end", ["png", "jpg", "gif", "webp", "tif"])
def test_a_mutated_picture_is_read_or_refused(end, originals, folder):
    @fuzz
    @given(mutations())
    def check(mutate):
        picture = read_or_refuse(read_picture, folder / f"mutant.{end}", mutate(originals[end]))
        if picture is not None:
            check_values(picture.pixels)
            assert picture.pixels.ndim == 3

    check()


@pytest.mark.parametrize("end", ["idx3-ubyte", "idx3-ubyte.gz"])
def test_a_mutated_idx_file_is_read_or_refused(end, digits, folder):
    path = folder / f"original-{end}"
    write_idx(path, digits[:3])
    original = path.read_bytes()

    @fuzz
    @given(mutations())
    def check(mutate):
        read_or_refuse(read_idx, folder / f"mutant-{end}", mutate(original))

    check()


@pytest.mark.parametrize("end", ["npz", "compressed.npz", "npy"])
def test_a_mutated_numpy_file_is_read_or_refused(end, originals, folder):
    @fuzz
    @given(mutations())
    def check(mutate):
        read_or_refuse(read_npy if end == "npy" else read_npz, folder / f"mutant.{end}", mutate(originals[end]))

    check()


def test_a_mutated_model_file_is_read_or_refused(model_files, digits, folder):
    original = model_files["dense"].read_bytes()

    @fuzz
    @given(mutations())
    def check(mutate):
        model = read_or_refuse(lambda path: load(path, device="cpu"), folder / "mutant.safetensors", mutate(original))
        if model is not None:
            assert np.isfinite(model.restore(digits[:1] / np.float32(255))).all()

    check()
