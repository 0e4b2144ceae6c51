import re

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.datasets.named import embedded
from isthmus.portrait import portray
from isthmus.restoring import Model

ALWAYS = {"pictures", "worst", "map"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """625 labelled digits of 14 x 14 pixels: 62 of them are shown."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images, labels = embedded("mnist-5k")
    np.savez(path, images=images[::8, ::2, ::2], labels=labels[::8])
    return path


@pytest.fixture(scope="module")
def of_vae(vae, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    page = portray(vae, data, folder)
    assert page == folder / "report.html"
    return folder


def figures(folder):
    return {path.stem for path in folder.glob("*.png")}


def headings(folder):
    return re.findall(r"<h2>(.*?)</h2>", (folder / "report.html").read_text())


def test_the_page_is_self_contained(of_vae):
    page = (of_vae / "report.html").read_text()
    sources = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']?([^"'\s>]+)""", page)
    assert len(sources) == len(figures(of_vae))
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"<script|<link|<iframe|@import|url\(", page)


def test_all_that_can_be_said_is_on_the_page(of_vae):
    extra = {"curves", "neighbours", "probe", "samples", "traversals", "walks", "strangest"}
    assert figures(of_vae) == ALWAYS | extra
    assert headings(of_vae) == [
        "What it sees and gives",
        "Beside what one would use instead",
        "Where it fails",
        "How it learnt",
        "Where the codes lie",
        "What the codes are good for",
        "New images, and ways between images",
        "The strangest",
    ]
    for figure in of_vae.glob("*.png"):
        with Image.open(figure) as picture:
            assert min(picture.size) > 80, figure


def test_the_page_names_the_model_and_its_alternatives(of_vae, vae):
    page = (of_vae / "report.html").read_text()
    for text in ("PCA 4", "isthmus dense", f"{vae.parameters():,}", "563 images to fit, 62 to test", "By surprise; p is the share"):
        assert text in page, text


def test_without_labels_there_is_no_probe_and_a_denoiser_shows_what_it_sees(denoiser, digits, tmp_path, caplog):
    portray(denoiser, digits[:40], tmp_path / "page")
    assert figures(tmp_path / "page") == ALWAYS | {"curves", "samples", "traversals", "walks", "strangest"}
    assert caplog.messages == [], "what was not learnt from is no reason for a warning"


def test_images_of_another_size_have_a_page_too(conv, digits, tmp_path):
    portray(conv, digits[:40, :20], tmp_path)
    assert figures(tmp_path) == ALWAYS | {"curves", "walks", "strangest"}


def test_a_model_that_has_learnt_nothing_has_a_page_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16)).astype(np.uint8)
    portray(Model(isthmus.Recipe(), (3, 16, 16), device="cpu"), images, tmp_path)
    assert figures(tmp_path) == {"pictures", "worst"}, "of one test image there is no map, no walk"


def test_a_code_of_one_number_has_no_map(small_digits, tmp_path):
    model = isthmus.train(small_digits, model="dense", code=1, epochs=1, device="cpu")
    portray(model, small_digits, tmp_path)
    assert "map" not in figures(tmp_path)
    assert "samples" in figures(tmp_path)


def test_nothing_is_overwritten_unasked(of_vae, vae, data, small_digits):
    before = (of_vae / "report.html").read_bytes()
    with pytest.raises(isthmus.UsageError, match="exists already: name another --out, or add --overwrite"):
        portray(vae, data, of_vae)
    assert (of_vae / "report.html").read_bytes() == before
