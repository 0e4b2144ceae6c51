"""The models that ship, by name."""

from __future__ import annotations

from pathlib import Path

from isthmus.errors import ModelFileError, nearest, printable

FOLDER = Path(__file__).parent / "weights"


GROUPS = {"denoise": ("denoise-gray", "denoise-color")}
"""Names that stand for several models, of which each image gets the one of its channels; the last one takes all others."""


def names() -> list[str]:
    """Return the models' names, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def locate(model: str | Path) -> Path:
    """Return the file of a model: the one at a path, or else the one that ships under this name.

    Raises:
        ModelFileError: If there is neither.
    """
    path, name = Path(model), str(model)
    if path.exists():
        return path
    if name in names():
        return FOLDER / f"{name}.safetensors"
    ship = f" Models that ship: {', '.join(names())}." if names() else ""
    raise ModelFileError(f"There is no model at {printable(name)}.{nearest(name, names())}{ship}")
