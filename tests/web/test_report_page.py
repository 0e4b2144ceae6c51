"""A report in a real browser: readable on a phone and in the dark, with no fault that axe finds."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from isthmus.report.model_report import write_model_report


@pytest.fixture(scope="module")
def report(vae, small_digits, tmp_path_factory):
    return write_model_report(vae, small_digits, tmp_path_factory.mktemp("report")).as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_reads_well(browser, report, scheme, width):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(report)
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing runs off the side"
    assert page.locator("img").evaluate_all("all => all.every((one) => one.complete && one.naturalWidth > 0)")
    page.get_by_role("navigation").get_by_text("What to try next").click()
    assert page.locator("#what-to-try-next").bounding_box()["y"] < 800
    assert said == []
    page.close()
