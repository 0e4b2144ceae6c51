"""What scripts write is what they would write now, and every script can be imported."""

import runpy
import subprocess
import sys
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


SCRIPTS = sorted(path for folder in ("benchmarks", "training") for path in (ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_can_be_imported(script):
    if "import keras" in script.read_text():
        pytest.skip("needs Keras, in an environment of its own")
    code = f"import runpy, sys; sys.path.insert(0, {str(script.parent)!r}); runpy.run_path({str(script)!r}, run_name='script')"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
