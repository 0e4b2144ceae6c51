"""What is done to a clean image, so that a model can learn to undo it.

A corruption is a small value object: called with a batch `(B, C, H, W)` in [0, 1] and a `torch.Generator`, it returns what a model
sees of it, `(B, C', H, W)`. Height and width never change. It does so in two steps: `damage` gives what a person has (a small
picture, a gray one), `as_seen` what the model sees of that (stretched), which is also what is done at work. Corruptions compose
with `|`, left to right, and are written the same way as text, on the command line and in the model file:
`gaussian-noise(0.5) | salt-and-pepper(0.1)`. This room loads without torch.
"""

from __future__ import annotations

import ast
import dataclasses
import re

from isthmus.corruptions.base import Chain, Corruption, Nothing
from isthmus.corruptions.camera import Blur, Downscale, Grayscale, Jpeg
from isthmus.corruptions.noise import Binarize, GaussianNoise, PoissonNoise, SaltAndPepper
from isthmus.corruptions.paired import Given, Neighbours
from isthmus.corruptions.spatial import Erase, Mask, Warp
from isthmus.errors import UsageError, look_up

CORRUPTIONS: dict[str, type[Corruption]] = {
    kind.name: kind
    for kind in (
        *(Nothing, GaussianNoise, PoissonNoise, SaltAndPepper, Binarize),
        *(Grayscale, Downscale, Blur, Jpeg),
        *(Mask, Erase, Warp),
        *(Neighbours, Given),
    )
}


def parse(text: str) -> Corruption:
    """Return the corruption that a text names.

    Args:
        text: One or more of `name`, `name(value, ...)` or `name(field=value, ...)`, joined by `|`.

    Raises:
        UsageError: If a name is unknown, or its values do not fit.

    >>> parse("salt-and-pepper(0.2)")
    SaltAndPepper(share=0.2)
    >>> parse("gaussian-noise(0.2) | salt-and-pepper") == GaussianNoise(0.2) | SaltAndPepper()
    True
    """
    parts = [_parse_one(part.strip()) for part in text.split("|")]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _parse_one(text: str) -> Corruption:
    match = re.fullmatch(r"([\w-]+)(?:\((.*)\))?", text)
    if not match:
        raise UsageError(f"Cannot read the corruption '{text}': write it like gaussian-noise(0.5).")
    kind = look_up("corruption", match[1], CORRUPTIONS)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # as above
    values: dict[str, object] = {}
    for position, item in enumerate(filter(None, (item.strip() for item in (match[2] or "").split(",")))):
        name, _, value = item.rpartition("=")
        name = name.strip() or (names[position] if position < len(names) else "?")
        try:
            number = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            number = None
        if name not in names or not isinstance(number, bool | int | float):
            raise UsageError(f"Cannot read '{item}' in '{text}': {match[1]} takes {', '.join(names) or 'no values'}.")
        values[name] = number
    return kind(**values)
