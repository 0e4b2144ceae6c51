"""The functions over HTTP give what the library gives."""

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import tifffile
from fastapi.testclient import TestClient
from PIL import Image

import isthmus
from isthmus.imaging.picture import decode_picture
from isthmus.improve import Improver
from isthmus.web.app import create_app
from isthmus.web.latent_map import evenly
from isthmus.web.model_store import ModelStore

HTTP = httpx.Client(timeout=120)  # a busy machine is slow, not broken


def post(address, path, **fields):
    files = {name: value for name, value in fields.items() if isinstance(value, tuple)}
    return HTTP.post(f"{address}/api/{path}", files=files, data={k: v for k, v in fields.items() if k not in files})


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
    decoded = HTTP.post(f"{address}/api/decode", json={"model": "dense", "codes": [answer["code"]] * 4})
    assert pixels(decoded).shape == (2 * 56 + 2, 2 * 56 + 2)  # small images are shown twice as large
    new = HTTP.post(f"{address}/api/generate", json={"model": "dense", "count": 9, "seed": 1})
    assert pixels(new).shape == (3 * 58 - 2, 3 * 58 - 2)


def test_the_map_the_way_and_the_probe(address, dense, digits):
    found = HTTP.get(f"{address}/api/models/dense/map").json()
    assert len(found["points"]) == len(digits) == len(found["labels"])
    assert len(found["worst"]) == 10
    errors = dense.novelty_scores(digits)["error"]
    assert [one["index"] for one in found["worst"]] == np.argsort(-errors, kind="stable")[:10].tolist()
    (index,) = np.flatnonzero((np.array(found["points"]) == found["points"][5]).all(1))
    shown = pixels(HTTP.get(f"{address}/api/models/dense/images/{index}"))
    assert (shown[::2, ::2] == digits[index]).all()
    for path in ("at?x=0&y=0", "walk?start=0&end=5&steps=7", "traversals?index=3", "images/4?restored=true"):
        assert pixels(HTTP.get(f"{address}/api/models/dense/{path}")).size
    rows = HTTP.get(f"{address}/api/models/dense/probe").json()["rows"]
    assert {row["trained_on"] for row in rows} == {"pixels", "PCA 32", "code"}


def test_a_visitor_brings_images_of_any_size_and_their_labels(address, pictures):
    files = [("images", (path.name, path.read_bytes(), "image/png")) for path in sorted(pictures.glob("*.png"))]
    labels = {"labels": json.dumps(["a", "b"] * 6)}
    found = HTTP.post(f"{address}/api/models/conv/images", files=files, data=labels)
    assert found.status_code == 200, found.text
    assert found.json()["labels"] == ["a", "b"] * 6
    assert found.json()["names"] == sorted(path.name for path in pictures.glob("*.png"))
    wrong = HTTP.post(f"{address}/api/models/conv/images", files=files, data={"labels": "{"})
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
    answer = HTTP.get(f"{address}/api/{path}")
    assert answer.status_code == status
    assert sentence in answer.json()["detail"]


def test_shipped_models_are_offered_where_none_is_named():
    store = ModelStore([], "cpu")
    assert set(store.names()) == {"improve", "denoise", "colorize", "digits", "repair", "upscale-x2", "upscale-x3", "upscale-x4"}
    assert store.models == {}  # read when they are asked for
    assert store.usual() == "improve"
    assert store.describe("upscale-x3")["scale"] == 3
    gray, color = store.all_of("denoise")
    assert (gray.image_shape[0], color.image_shape[0]) == (1, 3)


def test_the_first_picture_waits_for_no_model(tmp_path, web_models):
    store, own = ModelStore([], "cpu"), ModelStore(web_models, "cpu")
    with TestClient(create_app(store, trainings=tmp_path), base_url="http://127.0.0.1") as client:
        assert client.get("/api/health").status_code == 200
    assert set(store.models) == set(store.waiting)  # though nobody asked for one
    assert store.improvers
    with TestClient(create_app(own, trainings=tmp_path), base_url="http://127.0.0.1"):
        pass
    assert "digits" not in own.models  # it was told which to offer, and has read those


def test_without_a_model_pictures_are_improved_and_gray_gets_the_gray_one(tmp_path):
    gray = np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)
    store = ModelStore([], "cpu")
    with TestClient(create_app(store, trainings=tmp_path), base_url="http://127.0.0.1") as client:
        listed = {one["name"]: one["default"] for one in client.get("/api/models").json()}
        for pixels in (gray, np.dstack([gray] * 3)):
            sent = {"image": ("a.png", png_of(pixels), "image/png")}
            answer = client.post("/api/restore", files=sent, data={"model": "denoise"})
            given = np.asarray(Image.open(io.BytesIO(answer.content)))
            wanted = isthmus.load("denoise-gray", device="cpu").restore(gray)
            assert given.shape == pixels.shape
            assert (given.reshape(40, 50, -1)[:, :, 0] == wanted).all()
        noisy = np.clip(rough(40, 50) * 255 + np.random.default_rng(1).normal(0, 25, (40, 50)), 0, 255).astype(np.uint8)
        improved = client.post("/api/restore", files={"image": ("a.png", png_of(noisy), "image/png")})
        smooth = png_of((rough(40, 50) * 255).astype(np.uint8))
        left = client.post("/api/restore", files={"image": ("b.png", smooth, "image/png")})
    wanted = Improver(device="cpu").improve(decode_picture(png_of(noisy), "a.png"))
    report = json.loads(improved.headers["x-isthmus-report"])
    assert (np.asarray(Image.open(io.BytesIO(improved.content))) == wanted.picture.pixels[:, :, 0]).all()
    assert (report["done"], report["found"]) == (["denoise"], list(wanted.findings.sentences))
    assert report["suggests"] == ["upscale", "colorize"]
    assert json.loads(left.headers["x-isthmus-report"])["done"] == []
    assert left.content == smooth  # to the byte
    assert [name for name, usual in listed.items() if usual] == ["improve"]


def rough(height, width):
    """Return soft hills, without any noise."""
    down, across = np.mgrid[:height, :width]
    return (np.sin(down / 15) * np.cos(across / 20) + 1) / 2


def test_where_no_model_is_usual_the_field_is_asked_for(tmp_path, web_models):
    store = ModelStore([path for path in web_models if "dense" in path or "conv" in path], "cpu")
    with TestClient(create_app(store, trainings=tmp_path), base_url="http://127.0.0.1") as client:
        answer = client.post("/api/restore", files={"image": ("a.png", png_of(np.zeros((9, 9), np.uint8)), "image/png")})
    assert (answer.status_code, answer.json()["detail"]) == (400, "The field model is missing. There are conv, dense, digits.")


def png_of(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_another_format_and_quality(address, picture):
    sent = {"image": ("a.png", picture.read_bytes(), "image/png"), "model": "denoise", "format": "jpg"}
    sizes = []
    for quality in ("20", "95"):
        answer = post(address, "restore", **sent, quality=quality)
        assert Image.open(io.BytesIO(answer.content)).format == "JPEG"
        assert answer.headers["content-disposition"].endswith("a.jpg")
        sizes.append(len(answer.content))
    assert sizes[0] < sizes[1]
    refused = post(address, "restore", **{**sent, "format": "doc"})
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("The format doc cannot be written. Accepted are png, ")


def test_hints_set_colors(address, photographic, picture):
    original = np.asarray(Image.open(picture))
    hints = np.zeros((*original.shape[:2], 4), np.uint8)
    hints[10:17, 10:17] = (200, 30, 30, 255)
    sent = {"image": ("a.png", picture.read_bytes(), "image/png"), "model": "colorize"}
    given = pixels(post(address, "restore", **sent, hints=("hints.png", png_of(hints), "image/png")))
    assert (given == photographic["colorize"].restore(original, hints=hints)).all()


def test_a_result_comes_again_weaker_and_in_another_format_without_computing(serving, photographic, picture):
    address, _ = serving()
    sent = {"image": ("a.png", picture.read_bytes(), "image/png"), "model": "denoise", "job": "my-job-1"}
    assert HTTP.get(f"{address}/api/jobs/my-job-1").json() == {"state": "unknown", "share": 0.0}
    full = pixels(post(address, "restore", **sent))
    assert HTTP.get(f"{address}/api/jobs/my-job-1").json() == {"state": "done", "share": 1.0}
    original = np.asarray(Image.open(picture))
    half = HTTP.get(f"{address}/api/jobs/my-job-1/picture?strength=0.5&format=tif")
    given = decode_picture(half.content, "a.tif").pixels.astype(float)
    assert np.abs(given - (original.astype(float) + full) / 2).max() <= 0.5
    assert half.headers["content-disposition"].endswith("a.tif")
    gone = HTTP.get(f"{address}/api/jobs/other/picture")
    assert (gone.status_code, gone.json()["detail"]) == (404, "This result is no longer kept: restore the picture again.")
    post(address, "restore", **{**sent, "model": "upscale", "job": "large"})
    refused = HTTP.get(f"{address}/api/jobs/large/picture?strength=0.5")
    assert "different sizes cannot be blended" in refused.json()["detail"]


def test_how_far_a_picture_is(serving):
    address, _ = serving()
    large = png_of(np.random.default_rng(0).integers(0, 256, (2100, 2100, 3), np.uint8))
    seen = []
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, address, "restore", image=("a.png", large, "image/png"), model="denoise", job="far")
        while not answer.done():
            seen.append(HTTP.get(f"{address}/api/jobs/far").json())
            time.sleep(0.01)
    shares = [one["share"] for one in seen if one["state"] == "working"]
    assert shares == sorted(shares)
    assert any(0 < share < 1 for share in shares)


def test_the_server_answers_while_it_decodes(serving, monkeypatch, picture):
    """The decoder waits until the server has said that it lives, which it could not from the event loop."""
    address, _ = serving()
    reached, answered = threading.Event(), threading.Event()

    def patient(content, name):
        reached.set()
        assert answered.wait(30)
        return decode_picture(content, name)

    monkeypatch.setattr("isthmus.web.routes.common.decode_picture", patient)
    for path, model in (("restore", "denoise"), ("preview", ""), ("encode", "conv")):
        reached.clear()
        answered.clear()
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(post, address, path, image=("a.png", picture.read_bytes(), "image/png"), model=model)
            assert reached.wait(30)
            assert HTTP.get(f"{address}/api/health").json()["status"] == "ok"
            answered.set()
            assert answer.result().status_code == 200


def test_the_recipes_are_listed(address):
    found = {one["name"]: one for one in HTTP.get(f"{address}/api/recipes").json()}
    assert found["vae"]["code_kind"] == "gaussian"
    assert found["repair"]["task"] == "repair"


def test_images_are_drawn_evenly_from_all_classes():
    images = np.zeros((5000, 1, 2, 2), np.uint8)
    labels = np.repeat(["a", "b", "c"], (4000, 700, 300))
    chosen = evenly(labels, len(images), 1000)
    assert dict(zip(*np.unique(labels[chosen], return_counts=True), strict=True)) == {"a": 350, "b": 350, "c": 300}
    unlabeled = evenly(None, 5000, 100)
    assert np.diff(unlabeled).max() < 150  # no large part is left out


def test_where_the_largest_errors_are(address, dense, digits):
    shown = pixels(HTTP.get(f"{address}/api/models/dense/images/7/errors"))[::2, ::2] / 255
    wanted = np.abs(digits[7] / 255 - dense.restore(digits[7]) / 255)
    np.testing.assert_allclose(shown, wanted / wanted.max(), atol=0.02)


HOSTILE = [
    ("GET", "models/digits/at?x=nan&y=0", {}),
    ("GET", "models/digits/at?x=1e308&y=-1e308", {}),
    ("GET", "models/dense/images/-1", {}),
    ("GET", "models/dense/images/99999999999999999999", {}),
    ("GET", "models/dense/walk?start=0&end=1&steps=1000000", {}),
    ("GET", "models/%00/map", {}),
    ("GET", "models/..%2f..%2fetc%2fpasswd/map", {}),
    ("GET", "jobs/..%2f..%2fx", {}),
    ("GET", "jobs/x/picture?strength=nan", {}),
    ("GET", "trainings/%ff%fe", {}),
    ("DELETE", "trainings/..", {}),
    ("DELETE", "trainings/nothing", {}),
    ("POST", "decode", {"json": {"model": "digits", "codes": [[1e39] * 8]}}),
    ("POST", "decode", {"json": {"model": "digits", "codes": [[3e38] * 8]}}),
    ("POST", "decode", {"json": {"model": "digits", "codes": [[[[[]]]]]}}),
    ("POST", "decode", {"json": {"model": "digits", "codes": [{"a": 1}, None, "x"]}}),
    ("POST", "decode", {"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}),
    ("POST", "decode", {"content": b"\xff\xfe", "headers": {"Content-Type": "application/json"}}),
    ("POST", "generate", {"content": b'{"model": "digits", "count": 1e400}', "headers": {"Content-Type": "application/json"}}),
    ("POST", "generate", {"json": {"model": "repair", "count": 1}}),
    ("POST", "trainings", {"json": {"name": "a", "task": "denoise", "fields": {"noise": "nan"}}}),
    (
        "POST",
        "trainings",
        {"content": b'{"name": "a", "fields": {"size": [1e400, "x"]}}', "headers": {"Content-Type": "application/json"}},
    ),
    ("POST", "trainings", {"json": {"name": "a", "recipe": "../../etc/passwd.json"}}),
    ("POST", "trainings", {"json": {"name": "CON\u0000", "task": "denoise"}}),
    ("POST", "restore", {"data": {"model": "denoise"}, "files": {"image": ("\u202e\u0000.png", b"GIF89a", "image/png")}}),
    ("POST", "restore", {"data": {"strength": "inf"}, "files": {"image": ("a.png", b"\x89PNG\r\n\x1a\n", "image/png")}}),
    ("POST", "restore", {"data": {"job": "/"}, "files": {"image": ("a.png", b"x", "image/png")}}),
    ("POST", "restore", {"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}),
    ("POST", "restore", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}),
    ("POST", "models/digits/images", {"files": [("images", ("a.png", b"x", "image/png"))], "data": {"labels": "[" * 10_000}}),
]


@pytest.mark.parametrize(("method", "path", "sent"), HOSTILE, ids=lambda value: str(value)[:40] if isinstance(value, str) else "")
def test_no_request_breaks_the_server(hostile_address, method, path, sent):
    answer = HTTP.request(method, f"{hostile_address}/api/{path}", **sent)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert isinstance(answer.json()["detail"], str)
    assert HTTP.get(f"{hostile_address}/api/health").json()["status"] == "ok"
