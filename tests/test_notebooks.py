"""The notebooks: their outputs are those of their code, and the code runs, with small budgets."""

import os
import runpy
from pathlib import Path

import matplotlib
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SMALL = {"ISTHMUS_EPOCHS": "1", "ISTHMUS_BUDGET": "0.5s"}

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4)["cells"] if cell["cell_type"] == "code"]


@every
def test_outputs_are_committed_and_no_older_than_the_code(path):
    script = runpy.run_path(str(ROOT / "docs" / "run_notebooks.py"), run_name="script")
    notebook = nbformat.read(path, as_version=4)
    assert notebook["metadata"].get("code_hash") == script["code_hash"](notebook), f"run python docs/run_notebooks.py {path.stem}"
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run from top to bottom, once"
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert len(outputs) >= 4
    assert [output["output_type"] for output in outputs if output["output_type"] == "error"] == []
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert os.fspath(ROOT) not in path.read_text()


@every
@pytest.mark.filterwarnings("ignore")
def test_the_code_runs(path, tmp_path, monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": path.stem}
    with matplotlib.rc_context():
        for number, cell in enumerate(code_cells(path)):
            exec(compile(cell["source"], f"{path.name}, cell {number}", "exec"), namespace)


def test_the_chapter_has_what_a_lesson_needs():
    """Diagrams, the formula, the loop in PyTorch, four experiments with figures, exercises with solutions."""
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "chapter.ipynb", as_version=4)
    text = "\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    kinds = [set(output.get("data", ())) for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert sum("image/svg+xml" in kind for kind in kinds) >= 2
    assert sum("image/png" in kind for kind in kinds) >= 18
    for part in ("\\mathrm{BCE}", "### The same in plain PyTorch", *(f"### Experiment {n}" for n in range(1, 5)), "### Solutions"):
        assert part in text, part
    assert text.count("**What it teaches:**") == 4
