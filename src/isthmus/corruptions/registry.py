"""The registry of corruptions, and their notation as text.

A corruption is a small value object: called with a batch `(B, C, H, W)` in [0, 1] and a `torch.Generator`, it returns the network's
input, `(B, C', H, W)`. It does so in two steps: `damage` makes what a user has (a small image, a gray one), `to_model_input` makes
the network's input of that, which also happens at inference. Corruptions compose with `|`, left to right, and are written the same
way as text, on the command line and in a model file: `gaussian-noise(0.5) | salt-and-pepper(0.1)`. A pair `(low, high)` gives each
image a value of its own. This file loads without torch.
"""

from __future__ import annotations

import re

from isthmus.corruptions.base import Chain, Corruption, Nothing, split_outside
from isthmus.corruptions.camera import Blur, CameraNoise, FilmGrain, Grayscale, Sharpen
from isthmus.corruptions.choice import Either, Shuffled
from isthmus.corruptions.compression import Jpeg, Webp
from isthmus.corruptions.hints import Hints
from isthmus.corruptions.noise import Binarize, GaussianNoise, PoissonNoise, SaltAndPepper
from isthmus.corruptions.prints import Fade, Scratches
from isthmus.corruptions.resampling import Downscale, Resize
from isthmus.corruptions.spatial import Erase, Mask, Warp
from isthmus.errors import UsageError, lookup
from isthmus.plugins import Registry

CORRUPTIONS: Registry[type[Corruption]] = Registry(
    "corruption",
    "isthmus.corruptions",
    {
        kind.name: kind
        for kind in (
            *(Nothing, GaussianNoise, PoissonNoise, SaltAndPepper, Binarize),
            *(CameraNoise, FilmGrain, Sharpen),
            *(Grayscale, Downscale, Blur, Resize, Jpeg, Webp),
            *(Fade, Scratches),
            *(Mask, Hints, Erase, Warp),
            *(Either, Shuffled),
        )
    },
)


def register_corruption(kind: type[Corruption]) -> type[Corruption]:
    """Add a corruption under its `name`; use it as a decorator of the class.

    Raises:
        UsageError: If the name is missing or taken.
    """
    if not kind.name:
        raise UsageError(f"{kind.__name__} has no name. Set `name: ClassVar = ...`.")
    CORRUPTIONS.add(kind.name, kind)
    return kind


def parse(text: str) -> Corruption:
    """Return the corruption that a text names.

    Args:
        text: One or more of `name`, `name(value, ...)` or `name(field=value, ...)`, joined by `|`. A value is a number or, where
            each image is to get one of its own, a pair `(low, high)`. `either(2 * name, 1 * name | name)` and
            `shuffled(name, name)` hold others.

    Raises:
        UsageError: If a name is unknown, or its values do not fit.

    >>> parse("salt-and-pepper(0.2)")
    SaltAndPepper(share=0.2)
    >>> parse("gaussian-noise((0.1, 0.2)) | salt-and-pepper") == GaussianNoise((0.1, 0.2)) | SaltAndPepper()
    True
    """
    parts = [_parse_one(part.strip()) for part in split_outside(text, "|")]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _parse_one(text: str) -> Corruption:
    match = re.fullmatch(r"([\w-]+)(?:\((.*)\))?", text, re.DOTALL)
    if not match:
        raise UsageError(f"Cannot read the corruption '{text}': write it like gaussian-noise(0.5).")
    return lookup("corruption", match[1], CORRUPTIONS).from_text(match[2] or "", parse)
