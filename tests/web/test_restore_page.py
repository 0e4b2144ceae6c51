"""The room where pictures are restored, used as a person would: the line is dragged, files are dropped, masks painted."""

import io
import re
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect


def seen(page, share=None):
    """Return what the view shows, `(H, W, 3)`."""
    return np.asarray(Image.open(io.BytesIO(page.locator("#view").screenshot())).convert("RGB")).astype(int)


def picture_in(shown, wanted):
    """Return the picture in the middle of the view, at one pixel of the screen for each of its own; it is to look like `wanted`."""
    height, width = wanted.shape[:2]
    top, left = (shown.shape[0] - height) // 2, (shown.shape[1] - width) // 2
    cuts = [shown[top + down : top + down + height, left + right : left + right + width] for down in (0, 1) for right in (0, 1)]
    return min(cuts, key=lambda cut: np.abs(cut - wanted).mean())  # the middle may lie within a pixel


def off(shown, wanted):
    """Return how far the picture in the view is from another, of 255, without its margin, on which the line may lie."""
    return np.abs(picture_in(shown, wanted) - wanted)[8:-8, 8:-8].mean()


def soon(page, check):
    """Wait until something is true, as a busy machine draws late."""
    for _ in range(200):
        if check():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not become true")


def pixels_of(download):
    return np.asarray(Image.open(io.BytesIO(download.path().read_bytes())))


def middle_of(page):
    box = page.locator("#view").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box


@pytest.fixture
def large(tmp_path):
    """A picture of 4 megapixels that takes a while, and what one of 300 x 200 pixels in two colors looks like."""
    path = tmp_path / "large.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (2100, 2100, 3), np.uint8)).save(path)
    return path


def test_pictures_are_restored_shown_and_taken_home(visit, three, photographic, restored):
    page = visit()
    restored(page, three)
    wanted = photographic["denoise"].restore(np.asarray(Image.open(three[0])))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "00.png"
    assert (pixels_of(download.value) == wanted).all()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["00.png", "01.png", "02.png"]
        last = np.asarray(Image.open(io.BytesIO(archive.read("02.png"))))
    assert (last == photographic["denoise"].restore(np.asarray(Image.open(three[2])))).all()


def test_the_result_is_above_the_fold_and_large(visit, three, restored):
    page = visit(viewport={"width": 1280, "height": 800})
    restored(page, three)
    box = page.locator("#view").bounding_box()
    assert box["y"] < 100
    assert box["y"] + box["height"] < 720
    assert box["width"] * box["height"] > 0.5 * 1280 * 800
    strip = page.locator("#strip").bounding_box()
    assert strip["y"] + strip["height"] <= 800


@pytest.mark.parametrize("how", ["mouse", "finger", "keys"])
def test_the_line_is_dragged_on_the_picture(visit, three, photographic, restored, how):
    page = visit(has_touch=how == "finger")
    restored(page, three, "colorize")
    original = np.asarray(Image.open(three[0])).astype(int)
    given = photographic["colorize"].restore(original.astype(np.uint8)).astype(int)
    assert np.abs(given - original).mean() > 4
    page.get_by_role("button", name="1 : 1").click()
    x, y, box = middle_of(page)
    for place, wanted in ((box["x"] + box["width"] - 3, original), (box["x"] + 3, given)):
        if how == "mouse":
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move((x + place) / 2, y, steps=4)
            page.mouse.move(place, y)
            page.mouse.up()
        elif how == "finger":
            touch = page.context.new_cdp_session(page)
            for kind, at in (("touchStart", x), ("touchMove", (x + place) / 2), ("touchMove", place), ("touchEnd", None)):
                points = [] if at is None else [{"x": at, "y": y}]
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        else:
            page.locator("#view").focus()
            for _ in range(26):
                page.keyboard.press("ArrowRight" if wanted is original else "ArrowLeft")
            if wanted is given:
                page.keyboard.press("Home")
        x = place
        soon(page, lambda wanted=wanted: off(seen(page), wanted) < 2)


def test_strength_blends_without_a_request(visit, three, photographic, restored):
    page = visit()
    restored(page, three[:1], "denoise")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    original = np.asarray(Image.open(three[0])).astype(int)
    given = photographic["denoise"].restore(original.astype(np.uint8)).astype(int)
    page.get_by_role("button", name="1 : 1").click()
    page.locator("#view").focus()
    page.keyboard.press("Home")
    page.locator("#strength").fill("40")
    wanted = 0.6 * original + 0.4 * given
    soon(page, lambda: off(seen(page), wanted) < 1)
    assert requests == []
    expect(page.locator("#stale")).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    saved = pixels_of(download.value).astype(int)
    assert np.abs(saved - wanted).max() <= 1
    assert [url.split("?")[0].rsplit("/", 1)[1] for url in requests if "/api/" in url] == ["picture"]  # written anew, not computed


def test_the_wheel_zooms_at_the_pointer_and_two_fingers_pinch(visit, three, restored):
    page = visit(has_touch=True)
    restored(page, three[:1])
    page.locator("#view").focus()
    page.keyboard.press("End")
    x, y, box = middle_of(page)
    place = (box["x"] + box["width"] * 0.6, y + 40)
    local = (round(place[1] - box["y"]), round(place[0] - box["x"]))
    page.get_by_role("button", name="Fit").click()
    page.wait_for_timeout(100)
    before = seen(page)[local]
    page.mouse.move(*place)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(500)
    after = seen(page)
    assert np.abs(after[local] - before).max() < 40  # the same place of the picture is under the pointer
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 120), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    soon(page, lambda: (seen(page) != after).any())


def test_holding_shows_the_original(visit, three, restored):
    page = visit()
    restored(page, three[:1], "colorize")
    page.get_by_role("button", name="1 : 1").click()
    page.locator("#view").focus()
    page.keyboard.press("Home")
    original = np.asarray(Image.open(three[0])).astype(int)
    page.wait_for_timeout(100)
    given = seen(page)
    x, y, _ = middle_of(page)
    page.mouse.move(x + 10, y + 10)
    page.mouse.down()
    assert off(given, original) > 1
    soon(page, lambda: off(seen(page), original) < 1)
    page.mouse.up()
    soon(page, lambda: (seen(page) == given).all())


def test_old_results_are_marked(visit, three, restored):
    page = visit()
    restored(page, three[:2], "denoise")
    expect(page.locator("#stale")).to_be_hidden()
    page.check("[name=task][value=colorize]")
    expect(page.locator("#stale")).to_be_visible()
    expect(page.locator("#strip small").first).to_have_text("old settings")
    expect(page.locator("#run")).to_have_text("Restore 2 pictures")
    page.check("[name=task][value=denoise]")
    expect(page.locator("#stale")).to_be_hidden()


def test_settings_are_remembered(visit):
    page = visit()
    page.check("[name=task][value=repair]")
    page.locator("#strength").fill("70")
    page.select_option("[name=format]", "jpg")
    page.locator("[name=quality]").fill("55")
    page.reload()
    expect(page.locator("[name=task][value=repair]")).to_be_checked()
    expect(page.locator("#strength-value")).to_have_text("70 %")
    expect(page.locator("[name=format]")).to_have_value("jpg")
    expect(page.locator("#quality-value")).to_have_text("55")


def test_how_far_a_picture_is_and_cancelling(visit, large, three):
    page = visit()
    page.check("[name=task][value=denoise]")
    page.set_input_files("#files", [large, *three])
    page.get_by_role("button", name="Restore 4 pictures").click()
    expect(page.locator("#strip small").first).to_have_text(re.compile(r"\d+ %"))  # within the picture
    expect(page.locator("#restore-status")).to_have_text(re.compile(r"1 of 4, about .* left"))
    page.get_by_role("button", name="Cancel this one").click()
    expect(page.locator("#restore-status")).to_have_text("3 restored")
    expect(page.locator("#strip small").first).to_have_text("waiting")
    page.get_by_role("button", name="Restore", exact=True).click()
    page.get_by_role("button", name="Cancel all").click()
    expect(page.locator("#restore-status")).to_have_text("Cancelled.")
    expect(page.locator("#strip small").nth(1)).to_have_text("done")


def test_a_colorizer_is_told_a_color_by_a_click(visit, three, restored):
    page = visit()
    restored(page, three[:1], "colorize")
    expect(page.locator("#hints-tools")).to_be_visible()
    results = []

    def take_home():
        with page.expect_download() as download:
            page.get_by_role("button", name="Download", exact=True).click()
        results.append(pixels_of(download.value).astype(int))

    take_home()
    page.get_by_role("button", name="Set colors").click()
    page.locator("#color").fill("#1e1ec8")
    x, y, _ = middle_of(page)
    with page.expect_response(lambda answer: answer.url.endswith("/restore")):
        page.mouse.click(x - 30, y - 30)
    expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#restore-status")).to_have_text("1 restored")
    take_home()
    assert (results[0] != results[1]).any()  # the rest has followed
    page.locator("#view").focus()
    page.keyboard.press("ArrowRight")
    with page.expect_response(lambda answer: answer.url.endswith("/restore")):
        page.keyboard.press("Enter")  # another one, without a mouse
    expect(page.locator("#stale")).to_be_hidden()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator("#strip small")).to_have_text("done")


def test_what_is_missing_is_painted(visit, tmp_path, photographic):
    original = np.full((200, 300, 3), 128, np.uint8)
    original[80:120, 130:170] = (255, 0, 255)
    Image.fromarray(original).save(tmp_path / "hole.png")
    page = visit()
    page.check("[name=task][value=inpaint]")
    page.set_input_files("#files", tmp_path / "hole.png")
    page.locator("#brush-size").fill("120")
    expect(page.locator("#brush-mask")).to_have_attribute("aria-pressed", "true")
    x, y, _ = middle_of(page)
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator("#restore-status")).to_have_text("1 restored")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    given = pixels_of(download.value)
    assert (given[:20] == original[:20]).all()  # what was not painted is as it was
    assert (given[95:105, 145:155] != original[95:105, 145:155]).any()


def test_transparency_lies_on_a_checkerboard(visit, tmp_path, restored):
    clear = np.zeros((64, 64, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "clear.png")
    page = visit()
    page.set_input_files("#files", tmp_path / "clear.png")
    expect(page.locator("#numbers")).to_contain_text(re.compile("64 . 64 pixels"))
    page.get_by_role("button", name="1 : 1").click()

    def middle():
        shown = seen(page)
        return shown[shown.shape[0] // 2 - 24 :, shown.shape[1] // 2 - 24 :][:48, :48]

    soon(page, lambda: set(np.unique(middle())) == {0xCC, 0xFF})


@pytest.mark.parametrize("sample", ["noisy-phone", "small", "gray"])
def test_samples_come_along(visit, sample, restored):
    page = visit()
    page.locator(f"#sample-{sample}").click()
    expect(page.locator("#strip li")).to_contain_text(f"{sample}.jpg")
    expect(page.locator("#numbers")).to_contain_text("pixels")


def test_pictures_that_no_browser_shows(visit, tmp_path):
    import tifffile

    deep = np.full((40, 60, 3), 40_000, np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    (tmp_path / "photo.nef").write_bytes(b"no raw")
    page = visit()
    tifffile.imwrite(tmp_path / "other.tif", deep, photometric="rgb")
    page.set_input_files("#files", [tmp_path / "deep.tif", tmp_path / "other.tif"])
    expect(page.locator("#numbers")).to_contain_text(re.compile(r"60 . 40 pixels \(0.0 megapixels\), TIF of"))
    middle = "document.querySelector('#strip li:nth-child(2) canvas').getContext('2d').getImageData(28, 28, 1, 1).data[0]"
    soon(page, lambda: abs(page.evaluate(middle) - 156) <= 1)  # the other's thumbnail: 40,000 of 65,535
    page.set_input_files("#more-files", tmp_path / "photo.nef")
    page.locator("#strip li").nth(2).locator("button").first.click()
    expect(page.locator("#numbers")).to_contain_text("photo.nef")
    expect(page.locator("#numbers .warn")).to_be_visible()  # it is no RAW, or the extra is missing: the server says which
    visit.complaints.clear()
