"""One self-contained HTML page of texts, tables and figures; it requests nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.errors import require
from isthmus.report.tables import Table
from isthmus.storage.atomic import write_whole

require("evaluate", "jinja2")

import jinja2
from markupsafe import Markup


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


@dataclass(frozen=True)
class Drawing:
    """A drawing in lines, with its caption."""

    name: str
    """Name of its file, without the end."""
    svg: str
    caption: str

    @property
    def source(self) -> str:
        """The drawing as a data URL."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


@dataclass
class Section:
    """A heading and what stands under it, in order."""

    heading: str
    paragraphs: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    """A list; what stands between backticks is code."""
    tables: list[Table] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """What a link to it ends in."""
        return re.sub(r"[^a-z0-9]+", "-", self.heading.lower()).strip("-")


def write_report(folder: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write `report.html` and every figure beside it, as a PNG or an SVG.

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
        for drawing in section.drawings:
            write_whole(folder / f"{drawing.name}.svg", drawing.svg.encode())
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("isthmus.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["code"] = _with_code
    page = environment.get_template("page.html.jinja").render(title=title, sections=sections)
    path = folder / "report.html"
    write_whole(path, page.encode())
    return path


def _with_code(text: str) -> Markup:
    """Return a text as HTML, with what stands between backticks as code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>" if place % 2 else "{}").format(part) for place, part in enumerate(parts))


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
