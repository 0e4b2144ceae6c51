"""The page in a real browser: what it shows, without a mouse, on a narrow screen, in the dark, and whom it talks to."""

import io
import json
import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect


def seen(locator):
    """Return what a part of the page looks like, `(H, W, 3)`."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))


def test_without_a_mouse(visit, three, restored):
    page = visit()
    page.set_input_files("#files", three[:2])
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.locator("#run").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#restore-status")).to_have_text("2 restored")
    page.locator("#view").focus()
    before = seen(page.locator("#view"))
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    assert (seen(page.locator("#view")) != before).any()
    page.keyboard.press("n")
    expect(page.locator("#strip [aria-current]")).to_contain_text("01.png")
    page.keyboard.press("p")
    expect(page.locator("#strip [aria-current]")).to_contain_text("00.png")
    page.locator("#strip button").first.focus()
    page.keyboard.press("Delete")
    expect(page.locator("#strip li")).to_have_count(1)
    page.locator("nav").get_by_text("Look inside").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#explore")).to_be_visible()
    expect(page.locator("#near-name")).to_contain_text("number")
    page.locator("#map").focus()
    expect(page.locator("#here")).to_have_attribute("src", re.compile("blob:"))
    place = page.locator("#here").get_attribute("src")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#here")).not_to_have_attribute("src", place)
    page.keyboard.press("Enter")
    expect(page.locator("#near-errors")).to_be_visible()


def test_on_a_narrow_screen_nothing_is_cut_off(visit, three, restored):
    page = visit(viewport={"width": 390, "height": 800})
    restored(page, three)
    for room in ("restore", "explore", "train"):
        page.locator(f'nav a[href="#{room}"]').click()
        expect(page.locator(f"#{room}")).to_be_visible()
        assert Image.open(io.BytesIO(page.screenshot(full_page=True))).width == 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("room", ["restore", "explore", "train", "api.html"])
def test_nothing_hinders_a_screen_reader_or_weak_eyes(visit, three, address, room, scheme, restored):
    page = visit(color_scheme=scheme, bypass_csp=True)  # the policy would keep the checker out as well
    if room == "restore":
        assert Axe().run(page).response["violations"] == []
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


def test_the_codes_are_walked_among(visit):
    page = visit("#explore")
    page.select_option("#explore-model", "dense")
    expect(page.locator("#near-name")).to_contain_text("number")
    place = page.locator("#here").get_attribute("src")
    page.hover("#map", position={"x": 150, "y": 150})
    expect(page.locator("#here")).not_to_have_attribute("src", place or "")
    page.click("#map", position={"x": 150, "y": 150})
    pinned = page.locator("#near-name").text_content()
    expect(page.locator("#near-errors")).to_be_visible()
    page.hover("#map", position={"x": 300, "y": 300})
    assert page.locator("#near-name").text_content().split()[-1] == pinned.split()[-1]  # it stays
    page.get_by_role("button", name="Unpin").click()
    expect(page.locator("#near-errors")).to_be_hidden()
    result = page.locator("#explore-result")
    page.get_by_role("button", name="Invent 64").click()
    expect(result.get_by_alt_text("64 images")).to_be_visible()
    page.get_by_role("button", name="Walk").click()
    page.click("#map", position={"x": 150, "y": 150})
    page.click("#map", position={"x": 300, "y": 300})
    expect(result.get_by_alt_text("Twelve images")).to_be_visible()
    page.get_by_role("button", name="Walk").click()
    page.get_by_role("button", name="Vary the nearest").click()
    expect(result).to_contain_text("One number of the code at a time")
    page.get_by_role("button", name="The strangest").click()
    expect(result.locator("tr")).to_have_count(11)
    expect(result.get_by_alt_text("where they differ")).to_have_count(10)
    box = result.bounding_box()
    assert box["y"] + 40 < page.viewport_size["height"]  # beside the map, not below the fold
    assert box["x"] > page.locator("#map").bounding_box()["x"] + 300
    page.get_by_role("button", name="Probe the codes").click()
    expect(result).to_contain_text("PCA")


def test_there_are_always_digits_to_look_inside_of(visit):
    page = visit("#explore")
    page.select_option("#explore-model", "digits")
    expect(page.locator("#near-name")).to_contain_text("number")
    expect(page.locator("#explore-status")).to_have_text("")


def test_a_model_is_trained_on_the_page(visit, three):
    page = visit("#train")
    page.on("dialog", lambda dialog: dialog.accept())
    page.set_input_files("#train-files", three)
    page.set_input_files("#train-files", three)  # again the same
    expect(page.locator("#train-chosen")).to_have_text("3 pictures")
    page.fill("#train-name", "of the page")
    page.select_option("#train-budget", "1m")
    page.select_option("#train-task", "reconstruct")
    page.get_by_role("button", name="Train", exact=True).click()
    card = page.locator(".training")
    expect(card.locator("[role=status]")).to_contain_text("Preparing")
    expect(card.locator("[role=status]")).to_contain_text("Training", timeout=300_000)
    expect(card.locator(".curve").first).to_have_attribute("d", re.compile("^M "), timeout=60_000)
    expect(card.locator("img")).to_be_visible()
    expect(card.locator("[data-part=gain]")).to_contain_text("dB")
    card.get_by_role("button", name="Stop").click()
    expect(card.locator("[role=status]")).to_contain_text("Stopped")
    card.get_by_role("button", name="Go on").click()
    expect(card.locator("[role=status]")).to_contain_text("Preparing")
    card.get_by_role("button", name="Stop").click()
    card.get_by_role("button", name="Delete").click()
    expect(card).to_have_count(0)


@pytest.fixture
def finished(photographic, tmp_path):
    """Keep a training as a server left it that has ended since: done, with its model, its curves and its examples."""
    folder = tmp_path / "trainings" / "of the day before"
    (folder / "pictures").mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "examples.png")
    photographic["denoise"].save(folder / f"{folder.name}.safetensors")
    notes = {
        "fields": {"task": "denoise", "budget": "1m"},
        "state": "done",
        "told": {"phase": "", "share": 1.0, "seconds": 60.0, "before_db": 20.0, "after_db": 26.5},
        "curve": [(float(second), 1 / (1 + second)) for second in range(60)],
        "held_out": [(float(second), 1.2 / (1 + second)) for second in range(0, 60, 10)],
        "message": "",
        "examples": 1,
    }
    (folder / "training.json").write_text(json.dumps(notes))
    return folder


def test_a_finished_model_is_found_again_and_tried_at_once(finished, visit, three, photographic):
    page = visit("#train")
    card = page.locator(".training")
    expect(card.locator("[data-part=name]")).to_have_text(finished.name)
    expect(card.locator("[data-part=status]")).to_have_text(re.compile(r"^Done\. .*1 min.* trained\.$"))
    expect(card.locator("[data-part=gain]")).to_contain_text("20.0 dB before, 26.5 dB now (PSNR): 6.5 dB better")
    expect(card.get_by_role("button", name="Go on")).to_be_hidden()
    with page.expect_download() as download:
        card.get_by_role("link", name="Download the model").click()
    assert download.value.path().read_bytes() == (finished / f"{finished.name}.safetensors").read_bytes()
    card.get_by_role("button", name="Try it now").click()
    expect(page.locator(f"[name=task][value='{finished.name}']")).to_be_checked()
    page.set_input_files("#files", three[:1])
    page.locator("#run").click()
    expect(page.locator("#restore-status")).to_have_text("1 restored")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    restored = np.asarray(Image.open(download.value.path()))
    assert (restored == photographic["denoise"].restore(np.asarray(Image.open(three[0])))).all()


def test_the_page_for_programs_lists_every_function_and_tries_them(visit, address, three):
    page = visit()
    page.goto(f"{address}/api.html")
    expect(page.get_by_role("heading", name="POST /api/trainings/{name}/stop")).to_be_visible()
    call = page.locator("section", has=page.get_by_role("heading", name="POST /api/restore"))
    call.locator("summary").click()
    call.get_by_label("image", exact=True).set_input_files(three[0])
    call.get_by_label("model", exact=True).fill("denoise")
    call.get_by_role("button", name="Try it").click()
    expect(call.locator("output")).to_contain_text("200")
    expect(call.locator("output img")).to_be_visible()
    call = page.locator("section", has=page.get_by_role("heading", name="GET /api/models/{model}/at"))
    call.locator("summary").click()
    for name, value in {"model": "nothing", "x": "0", "y": "0"}.items():
        call.get_by_label(name, exact=True).fill(value)
    call.get_by_role("button", name="Try it").click()
    expect(call.locator("output")).to_contain_text("There is no model nothing")
    visit.complaints.clear()  # the browser's own remark on the answer
