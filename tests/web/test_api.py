"""The functions over HTTP give what the library gives."""

import io
import json

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image

from isthmus.imaging.picture import decode_picture


def post(address, path, **fields):
    files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
    return httpx.post(f"{address}/api/{path}", files=files, data={k: v for k, v in fields.items() if k not in files}, timeout=60)


def pixels(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.fixture
def picture(pictures):
    return pictures / "00.png"


def test_a_restored_picture_is_what_the_library_gives(address, photographic, picture):
    answer = post(address, "restore", image=("my picture.png", picture.read_bytes(), "image/png"), model="denoise", strength="0.5")
    wanted = photographic["denoise"].restore(np.asarray(Image.open(picture)), strength=0.5)
    assert (pixels(answer) == wanted).all()
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''my%20picture.png"
    assert float(answer.headers["x-isthmus-seconds"]) > 0


def test_sixteen_bits_profile_and_transparency_come_back(address):
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, 4), np.uint16)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, deep, photometric="rgb", extrasamples=["unassalpha"], iccprofile=b"a profile")
    answer = post(address, "restore", image=("deep.tif", buffer.getvalue(), "image/tiff"), model="upscale")
    given = decode_picture(answer.content, "deep.tif")
    assert given.pixels.dtype == np.uint16
    assert given.pixels.shape == (60, 90, 3)
    assert given.alpha.shape == (60, 90)
    assert given.icc_profile == b"a profile"


def test_a_model_that_completes_takes_a_mask(address, picture, photographic):
    original = np.asarray(Image.open(picture))
    mask = np.zeros(original.shape[:2], np.uint8)
    mask[5:9, 5:9] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    sent = {"image": ("a.png", picture.read_bytes(), "image/png"), "model": "inpaint"}
    given = pixels(post(address, "restore", **sent, mask=("mask.png", file.getvalue(), "image/png")))
    assert (given == photographic["inpaint"].restore(original, mask=mask)).all()
    refused = post(address, "restore", **sent)
    assert refused.status_code == 422
    assert "needs a mask" in refused.json()["detail"]


def test_codes_go_there_and_back(address, dense, digits):
    file = io.BytesIO()
    Image.fromarray(digits[0]).save(file, "PNG")
    answer = post(address, "encode", image=("7.png", file.getvalue(), "image/png"), model="dense").json()
    np.testing.assert_allclose(answer["code"], dense.encode(digits[:1])[0], rtol=1e-5)
    assert set(answer["scores"]) == {"error", "surprise", "either"}
    decoded = httpx.post(f"{address}/api/decode", json={"model": "dense", "codes": [answer["code"]] * 4})
    assert pixels(decoded).shape == (2 * 56 + 2, 2 * 56 + 2)  # small images are shown twice as large
    new = httpx.post(f"{address}/api/generate", json={"model": "dense", "count": 9, "seed": 1})
    assert pixels(new).shape == (3 * 58 - 2, 3 * 58 - 2)


def test_the_map_the_way_and_the_probe(address, dense, digits):
    found = httpx.get(f"{address}/api/models/dense/map", timeout=60).json()
    assert len(found["points"]) == len(digits) == len(found["labels"])
    assert len(found["worst"]) == 10
    errors = dense.novelty_scores(digits)["error"]
    assert [one["index"] for one in found["worst"]] == np.argsort(-errors, kind="stable")[:10].tolist()
    (index,) = np.flatnonzero((np.array(found["points"]) == found["points"][5]).all(1))
    shown = pixels(httpx.get(f"{address}/api/models/dense/images/{index}"))
    assert (shown[::2, ::2] == digits[index]).all()
    for path in ("at?x=0&y=0", "walk?start=0&end=5&steps=7", "traversals?index=3", "images/4?restored=true"):
        assert pixels(httpx.get(f"{address}/api/models/dense/{path}")).size
    rows = httpx.get(f"{address}/api/models/dense/probe", timeout=60).json()["rows"]
    assert {row["trained_on"] for row in rows} == {"pixels", "PCA 32", "code"}


def test_a_visitor_brings_images_of_any_size_and_their_labels(address, pictures):
    files = [("images", (path.name, path.read_bytes(), "image/png")) for path in sorted(pictures.glob("*.png"))]
    labels = {"labels": json.dumps(["a", "b"] * 6)}
    found = httpx.post(f"{address}/api/models/conv/images", files=files, data=labels, timeout=60)
    assert found.status_code == 200, found.text
    assert found.json()["labels"] == ["a", "b"] * 6
    assert found.json()["names"] == sorted(path.name for path in pictures.glob("*.png"))
    wrong = httpx.post(f"{address}/api/models/conv/images", files=files, data={"labels": "{"}, timeout=60)
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "Labels are a JSON list of 12 strings, one for each picture.")


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("models/denes/map", 404, "There is no model denes. Did you mean 'dense'?"),
        ("models/denoise/map", 422, "This model carries detail around its code"),
        ("models/dense/images/99999", 422, "There are 313 images, from 0: none is number 99999."),
        ("models/dense/walk?start=0&end=1&steps=1", 400, "A walk takes from 2 to 100 steps, not 1."),
        ("trainings/nothing", 400, "There is no training nothing."),
    ],
)
def test_mistakes_get_a_sentence(address, path, status, sentence):
    answer = httpx.get(f"{address}/api/{path}", timeout=60)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]


def test_shipped_models_are_offered_where_none_is_named():
    from isthmus import pretrained
    from isthmus.web.model_store import ModelStore

    store = ModelStore([], "cpu")
    assert store.names() == pretrained.names()
    assert store.models == {}  # read when they are asked for
    assert store.describe("upscale-x3")["scale"] == 3
