"""One self-contained HTML page of texts, tables and figures; it requests nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.errors import require
from isthmus.report.tables import Table
from isthmus.storage.atomic import write_whole

require("evaluate", "jinja2")

import jinja2


@dataclass(frozen=True)
class Figure:
    """A picture with its caption."""

    name: str
    """Name of its file, without the end."""
    png: bytes
    caption: str

    @property
    def source(self) -> str:
        """The picture as a data URL."""
        return _data_url(self.png)


@dataclass(frozen=True)
class Map(Figure):
    """A figure that on the page is a square to stand on: beside it is the image of the place."""

    ground: bytes
    """A PNG of the square, edge to edge."""
    sheet: bytes
    """A PNG of the images of the places, `side` x `side` of one size, edge to edge."""
    side: int

    @property
    def sources(self) -> tuple[str, str]:
        """The ground and the sheet as data URLs."""
        return _data_url(self.ground), _data_url(self.sheet)


@dataclass
class Section:
    """A heading and what stands under it, in order."""

    heading: str
    paragraphs: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)


def write_report(folder: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write `report.html` and every figure as a PNG beside it.

    Args:
        folder: Where.
        title: The page's heading.
        sections: What stands on it.

    Returns:
        The page's path.
    """
    for section in sections:
        for figure in section.figures:
            write_whole(folder / f"{figure.name}.png", figure.png)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("isthmus.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("page.html.jinja").render(title=title, sections=sections)
    path = folder / "report.html"
    write_whole(path, page.encode())
    return path


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
