"""What all commands share: the app, what DATA means, and how results are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from isthmus import __version__
from isthmus.cli.progress import say
from isthmus.errors import DataError, UsageError, printable

if TYPE_CHECKING:
    from isthmus.datasets import Rewritten, Source
    from isthmus.model import Model

DONE_IN_PART = 5

MAX_BAD = 0.5
"""As `isthmus.datasets.MAX_BAD`, which takes NumPy to load; a test compares them."""

app = App(
    name="isthmus",
    version=__version__,
    help="""Autoencoders for your own images: learn from them on this machine, then clean, colour, enlarge, repair, complete,
    compress, describe, compare and invent images like them.

    isthmus train photos/ --task denoise --budget 10m --out clean.safetensors

    isthmus restore clean.safetensors noisy/ --out cleaned/
    """,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # main() tells the signals apart
    default_parameter=Parameter(
        negative="",
        consume_multiple=True,
        show_default=False,  # the texts name them: 0 or nothing would only puzzle
        parse=re.compile(r"^(?!data$)"),
    ),
)

Data = Annotated[str, Parameter(name="DATA", parse=True)]
"""DATA means the same everywhere: a picture, a folder, .npz, .npy, an IDX file or folder, or a name."""


def load_model(path: Path, device: str) -> Model:
    """Read a model file."""
    from isthmus.model import load

    return load(path, device=device)


def open_source(data: str, data_dir: Path | None, max_bad: float) -> Source:
    """Tell what DATA is."""
    from isthmus.datasets import open_data

    return open_data(data, data_dir, max_bad=max_bad)


def parse_bytes(text: str) -> int:
    """Return the bytes that a text such as 1.5GB or 800MB stands for.

    >>> parse_bytes("1.5GB")
    1500000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", text.strip().upper())
    if not match:
        raise UsageError(f"Memory is given like 1.5GB or 800MB, not {printable(text)}.")
    return int(float(match[1]) * {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}[match[2]])


def show(result: dict[str, Any], text: str, as_json: bool, *, flush: bool = False) -> None:
    """Print a result on stdout, as JSON or as text; flushed, it is read while the command goes on."""
    print(json.dumps(result) if as_json else text, flush=flush)


def show_rewritten(
    rewritten: Rewritten,
    out: Path,
    seconds: float,
    as_json: bool,
    quiet: bool = False,
    *,
    facts: Mapping[str, Any] | None = None,
    remark: str = "",
) -> int:
    """Print what became of images that were written again; return the exit status.

    Args:
        rewritten: How many were, and what was skipped.
        out: Where to.
        seconds: How long it took.
        as_json: Print one JSON object.
        quiet: Do not name what was skipped on stderr.
        facts: What else the JSON says.
        remark: What else the text says.
    """
    name = printable(str(out))
    for skipped in rewritten.skipped:
        if not quiet:
            say(f"Skipped {skipped.reason}")
    if not rewritten.count + rewritten.there:
        raise DataError(f"None of the pictures could be read: nothing was written to {name}.")
    skipped_names = [printable(skipped.name) for skipped in rewritten.skipped]
    result = {
        "images": rewritten.count,
        "out": name,
        "seconds": round(seconds, 3),
        "images_per_second": round(rewritten.count / seconds, 1),
        "there": rewritten.there,
        "skipped": skipped_names,
        **(facts or {}),
    }
    text = f"{rewritten.count:,} images in {seconds:.2f} s ({rewritten.count / seconds:,.0f} a second): {name}"
    if rewritten.there:
        text += f"\n{rewritten.there:,} were there already, and are as they were"
    if remark:
        text += f"\n{remark}"
    if rewritten.skipped:
        text += f"\n{len(skipped_names):,} skipped: {', '.join(skipped_names[:10])}{' ...' if len(skipped_names) > 10 else ''}"
    show(result, text, as_json)
    return DONE_IN_PART if rewritten.skipped else 0
