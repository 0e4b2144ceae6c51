"""The documentation as a site: it builds without a warning, its search finds the field's words, its code can be copied."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORDS = {
    "latent": "glossary",
    "hyperparameter": "glossary",
    "super-resolution": "upscale",
    "anomaly": "novelty",
    "embedding": "codes",
    "artifact": "repair",
}
"""Words of the field, and a page that a search for them must list."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--builder", "html", "docs", str(out)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page(color_scheme="dark")
    yield page
    page.close()


@pytest.mark.parametrize(("word", "target"), WORDS.items())
def test_the_search_finds_the_fields_words(site, page, word, target):
    page.goto((site / "search.html").as_uri() + f"?q={word}")
    page.locator(f'#search-results a[href*="{target}.html"]').first.wait_for(timeout=60_000)


def test_code_has_a_button_that_copies_it_and_figures_keep_their_white_in_the_dark(site, page):
    page.goto((site / "gallery.html").as_uri())
    blocks = page.locator("div.highlight pre").count()
    assert blocks >= 14
    page.locator("button.copybtn").first.wait_for(state="attached", timeout=60_000)
    assert page.locator("button.copybtn").count() == blocks
    pictures = page.locator("img.sd-card-img-top")
    assert pictures.count() >= 14
    assert pictures.evaluate_all("all => all.every((one) => one.complete && one.naturalWidth > 0)")
    assert pictures.first.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(255, 255, 255)"


def test_every_card_of_the_gallery_leads_somewhere(site):
    cards = re.findall(r'<div class="sd-card-title[^>]*>\s*(.*?)</div>', (site / "gallery.html").read_text(), re.DOTALL)
    targets = [re.search(r'href="([\w/.-]+\.html)"', card)[1] for card in cards]
    assert len(targets) == (ROOT / "docs" / "gallery.md").read_text().count("{grid-item-card}")
    assert [target for target in targets if not (site / target).is_file()] == []


def test_the_chapter_shows_its_outputs_without_a_training(site):
    chapter = (site / "notebooks" / "chapter.html").read_text()
    assert chapter.count("<img") >= 20


def test_every_public_function_has_an_example_on_the_page_of_the_api():
    import isthmus

    code = "\n".join(re.findall(r"^```py(?:thon)?\n(.*?)^```", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE | re.DOTALL))
    functions = [name for name in isthmus.__all__ if type(getattr(isthmus, name)).__name__ == "function"]
    assert [name for name in functions if f"isthmus.{name}(" not in code and not name.startswith("register_")] == []


def test_the_formula_is_drawn_and_no_page_asks_another_machine(site, page):
    for path in site.rglob("*.html"):
        assert not re.search(r"<(script|link|img)[^>]*(src|href)=.(https?:)?//(?!isthmus)", path.read_text()), path
    page.goto((site / "notebooks" / "chapter.html").as_uri())
    box = page.locator("math munderover").first.bounding_box()
    assert box["height"] > 1.5 * page.locator("math mfrac mi").first.bounding_box()["height"]  # a sum with its bounds
