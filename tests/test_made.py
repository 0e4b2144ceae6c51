"""What the docs are made of is what it is made from: the page of numbers, the list of modules and the picture of the packages."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("script", "function", "file"),
    [
        ("benchmarks/numbers_page.py", "page", "docs/numbers.md"),
        ("docs/modules.py", "listed", "docs/modules.md"),
        ("docs/modules.py", "drawn", "docs/images/packages.svg"),
    ],
)
def test_a_file_is_what_its_script_writes(script, function, file):
    made = runpy.run_path(str(ROOT / script), run_name="script")[function]()
    assert (ROOT / file).read_text() == made, f"run python {script}"
