"""The page in a real browser: what it shows, without a mouse, on a narrow screen, in the dark, and whom it talks to."""

import io
import re
import zipfile

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect


@pytest.fixture
def visit(browser, address):
    """Return what opens the page; at the end, it must not have complained, nor talked to anybody else."""
    contexts, complaints = [], []

    def visit(room="", **options):
        contexts.append(browser.new_context(accept_downloads=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith((address, "blob:")) else complaints.append(request.url))
        page.goto(f"{address}/{room}")
        expect(page.locator("#model option").first).to_be_attached()
        return page

    visit.complaints = complaints
    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def three(pictures):
    return [pictures / f"0{index}.png" for index in (0, 1, 2)]


def restored(page, files, model="denoise"):
    page.select_option("#model", model)
    page.set_input_files("#files", files)
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator("#restore-status")).to_have_text(f"{len(files)} restored")


def seen(locator):
    """Return what a part of the page looks like, `(H, W, 3)`."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))


def test_pictures_are_restored_shown_and_taken_home(visit, three, photographic, tmp_path):
    page = visit()
    restored(page, three)
    wanted = photographic["denoise"].restore(np.asarray(Image.open(three[0])))
    with page.expect_download() as download:
        page.get_by_text("Download this one").click()
    assert download.value.suggested_filename == "00.png"
    assert (np.asarray(Image.open(download.value.path())) == wanted).all()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["00.png", "01.png", "02.png"]
        last = np.asarray(Image.open(io.BytesIO(archive.read("02.png"))))
    assert (last == photographic["denoise"].restore(np.asarray(Image.open(three[2])))).all()


def test_the_divider_shows_the_pixels_before_and_after(visit, three, photographic):
    page = visit()
    restored(page, three, "colorize")
    original = np.asarray(Image.open(three[0]))
    given = photographic["colorize"].restore(original)
    view = page.locator("#view")
    page.get_by_role("button", name="1 : 1").click()
    height, width = original.shape[:2]
    for place, wanted in (("1000", original), ("0", given)):
        page.locator("#divider").fill(place)
        shown = seen(view)
        top, left = (shown.shape[0] - height) // 2, (shown.shape[1] - width) // 2
        places = [(top + down, left + right) for down in (0, 1) for right in (0, 1)]  # a canvas may begin within a pixel
        cuts = [shown[y : y + height, x : x + width][8:-8, 8:-8].astype(int) for y, x in places]
        assert min(np.abs(cut - wanted[8:-8, 8:-8]).mean() for cut in cuts) < 1
    page.get_by_role("button", name="What was changed").click()
    assert (seen(view)[10:20, 10:20] == 128).all()  # nothing outside the picture


def test_the_numbers_beside_a_clean_copy(visit, three):
    page = visit()
    restored(page, three[:1])
    page.set_input_files("#truth", three[0])
    numbers = page.locator("#numbers")
    expect(numbers).to_contain_text("before, to the clean copyequal")
    expect(numbers).to_contain_text(re.compile(r"after, to the clean copy\d\d\.\d\d dB"))


def test_what_fails_says_why_and_the_rest_goes_on(visit, three, tmp_path):
    (tmp_path / "<b>broken.png").write_bytes(b"hello")
    page = visit()
    page.set_input_files("#files", [tmp_path / "<b>broken.png", *three])
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator("#restore-status")).to_have_text("3 restored, 1 failed")
    expect(page.locator("#queue li").first).to_contain_text("<b>broken.png is not a picture in a known format")
    assert page.locator("#queue b").count() == 0  # its name is no HTML
    assert "status of 422" in visit.complaints.pop()  # the browser's own remark on the answer


def test_without_a_mouse(visit, three):
    page = visit()
    page.set_input_files("#files", three[:1])
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.locator("#run").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#restore-status")).to_have_text("1 restored")
    page.locator("#divider").focus()
    before = seen(page.locator("#view"))
    page.keyboard.press("Home")
    assert (seen(page.locator("#view")) != before).any()
    page.locator("#view").focus()
    before = seen(page.locator("#view"))
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert (seen(page.locator("#view")) != before).any()
    page.locator("nav").get_by_text("Look inside").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#explore")).to_be_visible()
    expect(page.locator("#near-name")).to_contain_text("number")
    page.locator("#map").focus()
    place = page.locator("#here").get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#here")).not_to_have_attribute("src", place)


def test_on_a_narrow_screen_nothing_is_cut_off(visit, three):
    page = visit(viewport={"width": 390, "height": 800})
    restored(page, three)
    for room in ("restore", "explore", "train"):
        page.locator(f'nav a[href="#{room}"]').click()
        expect(page.locator(f"#{room}")).to_be_visible()
        assert Image.open(io.BytesIO(page.screenshot(full_page=True))).width == 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("room", ["restore", "explore", "train", "api.html"])
def test_nothing_hinders_a_screen_reader_or_weak_eyes(visit, three, address, room, scheme):
    page = visit(color_scheme=scheme, bypass_csp=True)  # the policy would keep the checker out as well
    if room == "restore":
        restored(page, three)
    else:
        page.goto(f"{address}/{room}" if room == "api.html" else f"{address}/#{room}")
        expect(page.locator("main h2" if room == "api.html" else f"#{room}").first).to_be_visible()
    assert Axe().run(page).response["violations"] == []


def test_in_the_dark(visit):
    light, dark = (
        np.asarray(Image.open(io.BytesIO(visit(color_scheme=scheme).screenshot()))).mean() for scheme in ("light", "dark")
    )
    assert light > 200
    assert dark < 80


def test_the_codes_are_walked_among(visit, digits):
    page = visit("#explore")
    page.select_option("#explore-model", "dense")
    expect(page.locator("#near-name")).to_contain_text("number")
    place = page.locator("#here").get_attribute("src")
    page.hover("#map", position={"x": 150, "y": 150})
    expect(page.locator("#here")).not_to_have_attribute("src", place or "")
    result = page.locator("#explore-result")
    page.get_by_role("button", name="Invent 64").click()
    expect(result.get_by_alt_text("64 images")).to_be_visible()
    page.get_by_role("button", name="Walk from the nearest").click()
    page.hover("#map", position={"x": 300, "y": 300})
    page.get_by_role("button", name="… to the nearest").click()
    expect(result).to_contain_text("From one picture to another")
    page.get_by_role("button", name="Vary the nearest").click()
    expect(result).to_contain_text("One number of the code at a time")
    page.get_by_role("button", name="The ten worst").click()
    expect(result.locator("tr")).to_have_count(11)
    page.get_by_role("button", name="Probe the codes").click()
    expect(result).to_contain_text("PCA")


def test_a_model_is_trained_on_the_page(visit, three):
    page = visit("#train")
    page.set_input_files("#train-files", three)
    page.fill("#train-name", "of the page")
    page.select_option("#train-budget", "1m")
    page.select_option("#train-task", "reconstruct")
    page.get_by_role("button", name="Train", exact=True).click()
    card = page.locator(".training")
    expect(card.locator("[role=status]")).to_contain_text("loss", timeout=40_000)
    expect(card.locator(".curve").first).to_have_attribute("d", re.compile("^M "))
    expect(card.locator("img")).to_be_visible()
    card.get_by_role("button", name="Stop").click()
    expect(card.locator("[role=status]")).to_contain_text("stopped")
    card.get_by_role("button", name="Go on").click()
    expect(card.locator("[role=status]")).to_contain_text("running")


def test_the_page_for_programs_lists_every_function(visit, address):
    page = visit()
    page.goto(f"{address}/api.html")
    expect(page.get_by_role("heading", name="POST /api/restore")).to_be_visible()
    expect(page.get_by_role("heading", name="POST /api/trainings/{name}/stop")).to_be_visible()
