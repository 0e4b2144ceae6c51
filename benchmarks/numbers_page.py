"""The docs' page of numbers, from what the benchmarks have printed.

    python benchmarks/real.py --testsets DIR > docs/numbers/real.jsonl
    python benchmarks/photos.py --testsets DIR > docs/numbers/photos.jsonl
    python benchmarks/colorize.py --pictures DIR/CBSD68 > docs/numbers/colorize.jsonl
    python benchmarks/numbers_page.py

The files hold the rows as the benchmarks printed them: JSON, one to a line. A page whose numbers are not its own fails the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"

PARTS = {
    "real": {
        "camera": "Noise of cameras",
        "noise": "Noise in files that were saved or resized since",
        "repair": "JPEG, as it was written, and resized or cropped since",
        "upscale": "Small JPEG files, upscaled",
        "clean": "Pictures without damage, compared with themselves",
        "gray": "Gray pictures in three channels: how far the channels differ afterwards",
    },
    "colorize": {"quality": "Color, predicted from gray", "speed": "Color: a large photograph from the command line"},
    "photos": {
        "denoise": "White noise of unknown strength",
        "upscale": "Upscaling after bicubic shrinking",
        "repair": "JPEG at its own size",
        "speed": "Beside non-local means as scikit-image sets it, on three pictures",
        "time": "A large photograph",
    },
}
"""The parts of each benchmark, in the order of the page: damage of the real world first."""

UNITS = {
    "psnr_db": "PSNR, dB",
    "gain_db": "gain, dB",
    "tint_of_255": "largest difference, of 255",
    "seconds_per_megapixel": "s / megapixel",
    "ciede2000": "CIEDE2000",
    "level": "damage",
}


def page() -> str:
    """Return the page as Markdown."""
    lines = [
        "# Numbers",
        "",
        "`benchmarks/real.py`, `benchmarks/colorize.py` and `benchmarks/photos.py` print every number here, in this order, and",
        "`python benchmarks/numbers_page.py` makes the tables. Published values are marked, and have no time. *Self-ensemble* is",
        "`--self-ensemble`. Times are of two threads of a processor with AVX-512 and bfloat16; those of the denoisers, and beside",
        "non-local means, were taken while others shared it, and vary by half; those of the upscalers on an AMD EPYC without AMX,",
        "which takes about twice as long. `denoise-gray` is the mean of two trainings",
        "whose shares were chosen on half of BSD68 and on CC15. `denoise-color` was trained on",
        "noise that is correlated from pixel to pixel as in CC15, and began as a mean of three trainings whose shares",
        "were chosen on CC15; the decoding of the colorizer was chosen on CBSD68 and other photos. Those figures are slightly",
        "favorable. A row without a time was measured on a busy machine. The digits have [their own page](results.md).",
    ]
    for benchmark, parts in PARTS.items():
        rows = [json.loads(line) for line in (DOCS / "numbers" / f"{benchmark}.jsonl").read_text().splitlines()]
        for part, title in parts.items():
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
