"""Files that come to the page and leave it: dropped, pasted, many, broken, too large, in another format."""

import re

import numpy as np
from PIL import Image
from playwright.sync_api import expect


def drop(page, where, files):
    """Drop files on a place of the window, as a person would."""
    page.evaluate(
        """([where, files]) => {
            const transfer = new DataTransfer();
            for (const [name, text, type] of files) {
                const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type }));
            }
            const target = document.querySelector(where);
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const event = new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
                if (target.dispatchEvent(event)) throw new Error("the browser would open the file");
            }
        }""",
        [where, files],
    )


def as_dropped(path):
    import base64

    return [path.name, base64.b64encode(path.read_bytes()).decode(), "image/png"]


def test_files_are_dropped_and_pasted_anywhere_in_every_room(visit, three):
    page = visit(permissions=["clipboard-read", "clipboard-write"], bypass_csp=True)  # so that the test may drop
    drop(page, "header", [as_dropped(three[0]), ["notes.txt", "aGVsbG8=", "text/plain"]])
    expect(page.locator("#strip li")).to_have_count(1)
    expect(page.locator("#restore-status")).to_have_text("notes.txt: not a picture that isthmus reads.")
    page.evaluate(
        """async ([name, text]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
        }""",
        as_dropped(three[1])[:2],
    )
    page.keyboard.press("Control+V")
    expect(page.locator("#strip li").nth(1)).to_contain_text("pasted-1.png")
    page.goto(page.url.split("#")[0] + "#train")
    drop(page, "footer", [as_dropped(three[0]), as_dropped(three[2])])
    expect(page.locator("#train-chosen")).to_have_text("2 pictures")
    page.goto(page.url.split("#")[0] + "#explore")
    page.select_option("#explore-model", "conv")
    expect(page.locator("#near-name")).to_contain_text("number")
    drop(page, "footer", [as_dropped(path) for path in three])
    expect(page.locator("#near-name")).to_contain_text("00.png")


def test_another_format_is_downloaded(visit, three, restored):
    page = visit()
    restored(page, three[:1])
    page.select_option("[name=format]", "webp")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    assert download.value.suggested_filename == "00.webp"
    assert download.value.path().read_bytes()[8:12] == b"WEBP"


def test_fifty_pictures(visit, pictures, tmp_path):
    paths = []
    for index in range(50):
        paths.append(tmp_path / f"{index:02}.png")
        paths[-1].write_bytes((pictures / f"{index % 12:02}.png").read_bytes())
    page = visit()
    page.set_input_files("#files", paths)
    page.check("[name=task][value=denoise]")
    page.get_by_role("button", name="Restore 50 pictures").click()
    expect(page.locator("#restore-status")).to_have_text("50 restored", timeout=120_000)
    assert page.locator("#strip .done").count() == 50
    page.get_by_role("button", name="Remove 00.png").click()
    expect(page.locator("#strip li")).to_have_count(49)


def test_what_fails_says_why_and_the_rest_goes_on(visit, three, tmp_path):
    (tmp_path / "<b>broken.png").write_bytes(b"hello")
    page = visit()
    page.check("[name=task][value=denoise]")
    page.set_input_files("#files", [*three, tmp_path / "<b>broken.png"])
    page.get_by_role("button", name="Restore 4 pictures").click()
    expect(page.locator("#restore-status")).to_have_text("3 restored, 1 failed")
    page.locator("#strip li button").nth(6).click()
    expect(page.locator("#numbers")).to_contain_text("<b>broken.png is not a picture in a known format")
    assert page.locator("#strip b").count() == 0  # its name is no HTML
    assert all("status of 422" in complaint for complaint in visit.complaints)  # the browser's own remarks on the answers
    visit.complaints.clear()


def test_what_is_too_large_is_told_before_it_is_sent(browser, serving, tmp_path):
    address, _ = serving(body_bytes=200_000)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)).save(tmp_path / "large.png")
    page = browser.new_page()
    page.goto(address)
    page.set_input_files("#files", tmp_path / "large.png")
    page.get_by_role("button", name="Restore", exact=True).click()
    expect(page.locator("#restore-status")).to_have_text("0 restored, 1 failed")
    expect(page.locator("#numbers")).to_contain_text("0 MB are more than the 0 MB that the server takes at once")
    page.close()


def test_the_page_takes_every_format_that_the_library_reads():
    from isthmus.imaging.picture import FORMATS
    from isthmus.web.app import PAGE

    pattern = re.search(r"PICTURES = /(.*)/i;", (PAGE / "picture" / "files.js").read_text())[1]
    assert all(re.search(pattern, f"a{end}", re.IGNORECASE) for end in FORMATS)
    assert not re.search(pattern, "a.txt", re.IGNORECASE)
