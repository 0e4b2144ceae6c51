import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.datasets.catalog import embedded
from isthmus.latents.explore import Plane
from isthmus.model import Model
from isthmus.report.model_report import write_model_report
from isthmus.report.page import Section, write_report

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
    page = write_model_report(vae, data, folder)
    assert page == folder / "report.html"
    return folder


def figures(folder):
    return {path.stem for path in folder.glob("*.png")}


def headings(folder):
    return re.findall(r"<h2>(.*?)</h2>", (folder / "report.html").read_text())


def test_the_page_is_self_contained(of_vae):
    page = (of_vae / "report.html").read_text()
    sources = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']?([^"'\s>]+)""", page)
    shown = [source for source in sources if source.startswith("data:image/png")]
    assert len(shown) == len(figures(of_vae)) + 1, "the map has a ground and a sheet"
    assert all(source.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,", "#")) for source in sources)
    assert not re.search(r"<script.*src|<link|<iframe|@import|url\(|fetch|import\(|XMLHttp", page)


def test_a_place_on_the_map_shows_what_the_model_gives_there(of_vae, vae, data):
    page = (of_vae / "report.html").read_text()
    side = int(re.search(r'class="map" data-side="(\d+)"', page)[1])
    encoded = re.search(r'class="there"><img src="data:image/png;base64,([^"]+)"', page)[1]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        sheet = np.asarray(picture)
    assert sheet.shape == (side * 14, side * 14)
    with np.load(data) as arrays:
        codes = vae.encode(arrays["images"][9::10])
    plane = Plane.of(codes)
    positions = plane.positions(codes)
    (left, bottom), (right, top) = positions.min(0), positions.max(0)
    for column, row in ((0, 0), (side - 1, 3), (5, side - 1)):
        place = [[left + (right - left) * column / (side - 1), top + (bottom - top) * row / (side - 1)]]
        there = sheet[14 * row : 14 * row + 14, 14 * column : 14 * column + 14] / 255
        assert np.abs(there - vae.decode(plane.codes(np.array(place)))[0, 0]).max() < 0.6 / 255


def test_all_that_can_be_said_is_on_the_page(of_vae):
    extra = {"curves", "neighbors", "probe", "samples", "traversals", "walks", "strangest"}
    assert figures(of_vae) == ALWAYS | extra
    assert headings(of_vae) == [
        "What to look at",
        "Architecture",
        "Inputs and outputs",
        "Compared with baselines",
        "Where it fails",
        "Training curve",
        "Latent space",
        "Probe of the latent codes",
        "Generated images and walks",
        "Anomalies",
        "What to try next",
    ]
    for figure in of_vae.glob("*.png"):
        with Image.open(figure) as picture:
            assert min(picture.size) > 80, figure


def test_the_page_names_the_model_and_its_alternatives(of_vae, vae):
    page = (of_vae / "report.html").read_text()
    for text in ("PCA 4", "isthmus dense", f"{vae.num_parameters:,}", "563 images to fit, 62 to test", "By either; p is the share"):
        assert text in page, text


def test_without_labels_there_is_no_probe_and_a_denoiser_shows_what_it_sees(denoiser, digits, tmp_path, caplog):
    write_model_report(denoiser, digits[:40], tmp_path / "page")
    assert figures(tmp_path / "page") == ALWAYS | {"curves", "samples", "traversals", "walks", "strangest"}
    assert caplog.messages == [], "what was not learned from is no reason for a warning"


def test_images_of_another_size_have_a_page_too(conv, digits, tmp_path):
    write_model_report(conv, digits[:40, :20], tmp_path)
    assert figures(tmp_path) == ALWAYS | {"curves", "walks", "strangest"}


def test_a_model_that_has_learned_nothing_has_a_page_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16)).astype(np.uint8)
    write_model_report(Model(isthmus.Recipe(), (3, 16, 16), device="cpu"), images, tmp_path)
    assert figures(tmp_path) == {"pictures", "worst"}, "of one test image there is no map, no walk"


def test_a_code_of_one_number_has_no_map(small_digits, tmp_path):
    model = isthmus.train(small_digits, model="dense", code=1, epochs=1, device="cpu")
    write_model_report(model, small_digits, tmp_path)
    assert "map" not in figures(tmp_path)
    assert "samples" in figures(tmp_path)


def test_nothing_is_overwritten_unasked(of_vae, vae, data, small_digits):
    before = (of_vae / "report.html").read_bytes()
    with pytest.raises(isthmus.UsageError, match=r"exists already\. Choose another `out`, or pass `overwrite=True`"):
        write_model_report(vae, data, of_vae)
    assert (of_vae / "report.html").read_bytes() == before


@pytest.mark.parametrize("task", ["denoise", "colorize", "upscale", "repair", "inpaint"])
def test_a_photographic_model_has_pictures_worst_cases_and_curves_and_nothing_of_codes(task, photographic, pictures, tmp_path):
    write_model_report(photographic[task], pictures, tmp_path)
    assert figures(tmp_path) == {"pictures", "worst", "curves"}
    assert headings(tmp_path) == [
        "What to look at",
        "Architecture",
        "Inputs and outputs",
        "Compared with baselines",
        "Where it fails",
        "Training curve",
        "What to try next",
    ]
    page = (tmp_path / "report.html").read_text()
    assert "Held-out pictures: center crops of 67 x 52 pixels." in page
    assert "(test, 1 images)" in page
    assert "of any size, RGB; trained on patches of 16 x 16 pixels" in page
    assert ("how far their colors are apart" in page) == (task == "colorize")


@pytest.mark.parametrize("task", ["upscale", "inpaint", "colorize"])
def test_where_clean_images_have_no_code_the_page_has_no_map(task, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)
    write_model_report(isthmus.train(images, task=task, loss="mse", epochs=1, device="cpu"), images, tmp_path)
    assert figures(tmp_path) == {"pictures", "worst", "curves"}


def test_the_contents_lead_to_every_section(of_vae):
    page = (of_vae / "report.html").read_text()
    links = re.findall(r'<a href="#([\w-]+)">(.*?)</a>', page)
    assert [heading for _, heading in links] == headings(of_vae)
    assert all(f'<section id="{anchor}">' in page for anchor, _ in links)


def test_the_architecture_is_drawn_with_its_shapes(of_vae, vae):
    drawing = (of_vae / "architecture.svg").read_text()
    assert f"{vae.code_shape()[0]}</text>" in drawing
    assert base64.b64encode(drawing.encode()).decode() in (of_vae / "report.html").read_text()


def test_a_command_is_shown_as_code_and_text_stays_text(tmp_path):
    write_report(tmp_path, "t", [Section("a", points=["run `isthmus <x>` now"])])
    assert "<li>run <code>isthmus &lt;x&gt;</code> now</li>" in (tmp_path / "report.html").read_text()
