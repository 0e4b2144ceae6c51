"""What scripts write is what they would write now, and every script can be imported."""

import os
import re
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


@pytest.mark.parametrize("folder", ["benchmarks", "training"])
def test_scripts_call_what_there_is(folder):
    """A name that isthmus has no more, or an argument that a function does not take, would show only after hours."""
    scripts = [str(path) for path in SCRIPTS if path.parent.name == folder]
    environment = {**os.environ, "MYPYPATH": str(ROOT / folder)}
    checked = subprocess.run([sys.executable, "-m", "mypy", *scripts], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert f"checked {len(scripts)} source files" in checked.stdout, checked.stdout + checked.stderr
    assert [line for line in checked.stdout.splitlines() if re.search(r"\[(attr|name)-defined\]|\[call-arg\]", line)] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_can_be_imported(script):
    if "import keras" in script.read_text():
        pytest.skip("needs Keras, in an environment of its own")
    code = f"import runpy, sys; sys.path.insert(0, {str(script.parent)!r}); runpy.run_path({str(script)!r}, run_name='script')"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
