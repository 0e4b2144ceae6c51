"""Execute the notebooks and keep their outputs in the files: `python docs/run_notebooks.py [NAME ...]`.

Reading the docs needs no training: the site shows the outputs as they are committed. tests/test_notebooks.py runs the same code
with small budgets, and checks that no code is newer than its outputs.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path
from typing import Any

import nbformat

NOTEBOOKS = Path(__file__).parent / "notebooks"


def code_hash(notebook: Any) -> str:
    """Return what identifies a notebook's code, however it is laid out."""
    code = "\n\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    code = ast.dump(ast.parse(code))
    return hashlib.sha256(code.encode()).hexdigest()


def run(path: Path) -> None:
    """Execute a notebook from top to bottom, however long it takes, and save it with its outputs."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=None, record_timing=False, resources={"metadata": {"path": str(path.parent)}})
    client.on_cell_executed = lambda cell, cell_index, execute_reply: print(path.stem, cell_index, flush=True)
    client.execute()
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":  # progress is no result
            cell["outputs"] = [output for output in cell["outputs"] if not _is_progress(output)]
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "code_hash": code_hash(notebook),
    }
    nbformat.write(notebook, path)


def _is_progress(output: Any) -> bool:
    """Return whether an output is a progress bar, or a message beside the results."""
    shown = output["output_type"] == "display_data" and "text/html" in output["data"]
    return output.get("name") == "stderr" or shown


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")):
        run(NOTEBOOKS / f"{name}.ipynb")
