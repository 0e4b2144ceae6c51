"""The list of modules and the picture of the packages, made of the modules' docstrings and the import contract.

`python docs/modules.py` writes docs/modules.md and docs/images/packages.svg. Adding a module is adding its file.
"""

from __future__ import annotations

import ast
import tomllib
from html import escape
from pathlib import Path

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src" / "isthmus"
WIDTH, HIGH, GAP, SIDE = 760, 30, 8, 14
COLORS = ("#f2b84b", "#f6d38d", "#8fc7b9", "#5cb3a9", "#a9c5e8", "#d9c2e9", "#d8d3c4")


def layers() -> list[list[str]]:
    """Return the packages in their layers; each may import those of the layers below."""
    with open(DOCS.parent / "pyproject.toml", "rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def summary(path: Path) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def listed() -> str:
    """Return the list of modules as Markdown, from the top layer down."""
    lines = ["# Modules", "", "Imports point down this list. `python docs/modules.py` makes it of the modules' docstrings.", ""]
    for name in (name for layer in layers() for name in layer):
        folder = SOURCE / name
        first = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        lines.append(f"- `{name}{'/' if folder.is_dir() else '.py'}`: {summary(first)}")
        for path in sorted(folder.rglob("*.py")):
            if path.name != "__init__.py":
                lines.append(f"  - `{path.relative_to(folder)}`: {summary(path)}")
    return "\n".join(lines) + "\n"


def drawn() -> str:
    """Return the picture of the layers as SVG."""
    boxes, top = [], GAP
    for number, names in enumerate(layers()):
        wide = (WIDTH - SIDE * 2 - GAP * (len(names) - 1)) / len(names)
        for place, name in enumerate(names):
            left, color = SIDE + place * (wide + GAP), COLORS[number * len(COLORS) // len(layers())]
            boxes.append(f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{HIGH}" rx="6" fill="{color}"/>')
            boxes.append(f'<text x="{left + wide / 2:.1f}" y="{top + HIGH * 0.66:.1f}" text-anchor="middle">{escape(name)}</text>')
        top += HIGH + GAP
    style = '<style>text{font:12px system-ui,sans-serif;fill:#1d2524}</style><rect width="100%" height="100%" fill="#faf8f3"/>'
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    title = "<title>The packages of isthmus: each may import those below it</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{title}{style}{"".join(boxes)}</svg>\n'


if __name__ == "__main__":
    (DOCS / "modules.md").write_text(listed())
    (DOCS / "images" / "packages.svg").write_text(drawn())
