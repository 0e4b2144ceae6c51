"""The docs' page of numbers, from what the benchmarks have printed.

    python benchmarks/photos.py --testsets DIR > docs/numbers/photos.jsonl
    python benchmarks/numbers_page.py

The file holds the rows as the benchmark printed them: JSON, one to a line. A page whose numbers are not its own fails the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"

PARTS = {
    "denoise": "Noise, of which the models are not told how strong it is",
    "upscale": "Enlarging",
    "repair": "JPEG",
    "colorize": "Color",
    "speed": "Beside non-local means as scikit-image sets it, on three pictures",
    "time": "A large photograph",
}
"""The parts of benchmarks/photos.py, in the order of the page."""

UNITS = {
    "psnr_db": "PSNR, dB",
    "seconds_per_megapixel": "s / megapixel",
    "ciede2000": "CIEDE2000",
    "level": "sigma, factor or quality",
}


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Numbers",
        "",
        "`python benchmarks/photos.py --testsets DIR` prints every number here, and `python benchmarks/numbers_page.py` makes the",
        "tables. What others have published is marked so, without a time. *careful* is `--careful`. Times are of two threads of a",
        "processor with AVX-512 and bfloat16. The numbers of the digits stand in the README, beside the commands that print them.",
    ]
    rows = [json.loads(line) for line in (DOCS / "numbers" / "photos.jsonl").read_text().splitlines()]
    for part, title in PARTS.items():
        of_part = [row for row in rows if row["part"] == part]
        for subject in dict.fromkeys(row.get("set", "") for row in of_part):
            heading = f"{title}: {subject}" if subject else title
            lines += ["", f"## {heading}", "", *table([row for row in of_part if row.get("set", "") == subject])]
    return "\n".join(lines) + "\n"


def table(rows: list[dict[str, Any]]) -> Iterable[str]:
    """Return rows as a table."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ("part", "set", "images")]
    yield f"| {' | '.join(UNITS.get(name, name.replace('_', ' ')) for name in names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(str(row.get(name, '')) for name in names)} |"


if __name__ == "__main__":
    (DOCS / "numbers.md").write_text(page())
