"""The picture of the rooms, drawn from the contract that the imports keep: `python docs/rooms.py` writes docs/images/rooms.svg."""

from __future__ import annotations

import tomllib
from html import escape
from pathlib import Path

DOCS = Path(__file__).parent
WIDTH, HIGH, GAP, SIDE = 760, 30, 8, 14

GROUPS = {
    "doors": ("#f2b84b", ("cli", "web", "reproducing", "portrait", "tuning", "estimator", "exporting", "hub", "doctor")),
    "seen and measured": (
        "#8fc7b9",
        ("report", "progress", "tables", "evaluating", "figures", "coding", "alternatives", "probing", "novelty", "bounds"),
    ),
    "made of codes": ("#a9c5e8", ("generating", "compression", "mixture", "reference", "codes")),
    "learning and work": (
        "#5cb3a9",
        (
            "training",
            "trainer",
            "subjects",
            "restoring",
            "runs",
            "supplying",
            "inference",
            "intake",
            "examples",
            "devices",
            "tiles",
            "shipped",
        ),
    ),
    "what is learnt": ("#d9c2e9", ("recipes", "tasks", "modelfile", "datasets", "models", "losses", "metrics", "corruptions")),
    "images and files": ("#d8d3c4", ("kinds", "pictures", "images", "colors", "png", "files", "errors")),
}
"""Colours of the rooms, by what they are about."""


def layers() -> list[list[str]]:
    """Return the rooms, those on top that may import all below."""
    with open(DOCS.parent / "pyproject.toml", "rb") as file:
        (contract,) = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]


def drawn() -> str:
    """Return the picture as SVG."""
    colours = {room: colour for colour, rooms in GROUPS.values() for room in rooms}
    boxes, top = [], GAP
    for rooms in layers():
        wide = (WIDTH - SIDE * 2 - GAP * (len(rooms) - 1)) / len(rooms)
        for place, room in enumerate(rooms):
            left = SIDE + place * (wide + GAP)
            boxes.append(f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{HIGH}" rx="6" fill="{colours[room]}"/>')
            boxes.append(f'<text x="{left + wide / 2:.1f}" y="{top + HIGH * 0.66:.1f}" text-anchor="middle">{escape(room)}</text>')
        top += HIGH + GAP
    left = SIDE
    for title, (colour, _) in GROUPS.items():
        boxes.append(f'<rect x="{left}" y="{top + 8}" width="12" height="12" rx="3" fill="{colour}"/>')
        boxes.append(f'<text x="{left + 17}" y="{top + 18}">{title}</text>')
        left += 24 + 7 * len(title)
    style = '<style>text{font:12px system-ui,sans-serif;fill:#1d2524}</style><rect width="100%" height="100%" fill="#faf8f3"/>'
    size = f'viewBox="0 0 {WIDTH} {top + 30}" width="{WIDTH}" height="{top + 30}"'
    title = "<title>The rooms of isthmus: each may import what stands below it</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>{title}{style}{"".join(boxes)}</svg>\n'


if __name__ == "__main__":
    (DOCS / "images" / "rooms.svg").write_text(drawn())
