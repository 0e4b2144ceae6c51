"""One `.safetensors` file: tensors, and one JSON object that says everything needed to use them. Nothing executable.

The same format holds a finished model and a training's checkpoint. Reading trusts nothing: safetensors checks every tensor's
type, shape and place against the file before it reads a number, and isthmus checks the JSON and the SHA-256 of the numbers.

Source of the format: safetensors' specification (8 bytes of header length, JSON, then the tensors end to end).
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from isthmus.errors import ModelFileError, printable
from isthmus.storage.atomic import write_whole

FORMAT_VERSION = 2
"""Raised when older versions of isthmus could no longer read what this one writes."""

NEEDED_VERSION = {2: "0.1"}
"""The first isthmus that reads each format version; newer formats carry theirs in the file."""

MAX_HEADER_BYTES = 8_000_000

Tensors = dict[str, torch.Tensor]


def write(path: Path, kind: str, tensors: Tensors, about: dict[str, Any]) -> None:
    """Write tensors and what is known of them, whole or not at all.

    Args:
        path: Where.
        kind: What the file is: "model" or "checkpoint".
        tensors: The numbers, by name.
        about: What JSON can hold.
    """
    write_whole(path, pack(kind, tensors, about))


def pack(kind: str, tensors: Tensors, about: dict[str, Any]) -> bytes:
    """Return the bytes that `write` writes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "needs_isthmus": NEEDED_VERSION[FORMAT_VERSION],
            "kind": kind,
            "sha256": _digest(tensors),
            **about,
        }
    )
    return safetensors.torch.save(tensors, {"isthmus": text})


def read(path: Path, kind: str) -> tuple[Tensors, dict[str, Any]]:
    """Read a file that `write` wrote.

    Raises:
        ModelFileError: If the file is missing, no such file, damaged, of another kind, or of a newer format.
    """
    name = printable(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"There is no model at {name}: {(error.strerror or str(error)).lower()}.") from None
    return unpack(content, kind, name)


def unpack(content: bytes, kind: str, name: str) -> tuple[Tensors, dict[str, Any]]:
    """Read the bytes that `pack` gave; messages call them `name`.

    Raises:
        ModelFileError: As `read`.
    """
    about = _metadata(content, name)
    if not isinstance(about.get("format_version"), int):
        raise ModelFileError(f"{name} was not written by isthmus: it names no format version.")
    if about["format_version"] > FORMAT_VERSION:
        needed = printable(str(about.get("needs_isthmus", "a newer version")))[:40]
        raise ModelFileError(
            f"{name} needs isthmus >= {needed}: its format is {about['format_version']}, and this one reads {FORMAT_VERSION}."
        )
    if about["format_version"] < FORMAT_VERSION:
        raise ModelFileError(
            f"{name} has the old format {about['format_version']}, and this isthmus reads {FORMAT_VERSION}. Train the model again."
        )
    if about.get("kind") != kind:
        raise ModelFileError(f"{name} is a {printable(str(about.get('kind')))[:20]} of isthmus, not a {kind}.")
    try:
        tensors = safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError, RuntimeError) as error:  # torch's: a type or a shape that it does not know
        raise ModelFileError(f"{name} is cut off or damaged ({str(error).splitlines()[0][:120]}).") from None
    if _digest(tensors) != about.pop("sha256", None):  # written anew, the numbers will have their own
        raise ModelFileError(f"{name} is damaged: its numbers do not have the SHA-256 that was written with them.")
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelFileError(f"{name} holds NaN or infinite values in {printable(key)}.")
    return tensors, about


def check_tensors(name: str, tensors: Tensors, wanted: dict[str, tuple[int, ...]]) -> None:
    """Compare a file's tensors with those that its recipe implies.

    Raises:
        ModelFileError: If one is missing, extra or of another shape; the message names it.
    """
    for key in sorted(wanted.keys() | tensors.keys()):
        shape = tuple(tensors[key].shape) if key in tensors else None
        if key not in wanted:
            raise ModelFileError(f"{name} holds a tensor {printable(key)} that its recipe does not know.")
        if shape is None:
            raise ModelFileError(f"{name} lacks the tensor {key} that its recipe implies.")
        if shape != wanted[key]:
            raise ModelFileError(f"{name}: the tensor {key} has shape {shape}, and its recipe implies {wanted[key]}.")


def _metadata(content: bytes, name: str) -> dict[str, Any]:
    """Return isthmus's part of a safetensors header; the library checks the rest of it when it loads the tensors."""
    foreign = ModelFileError(f"{name} is not a model file of isthmus (no safetensors header).")
    if len(content) < 10 or content[8:9] != b"{":
        raise foreign
    (length,) = struct.unpack("<Q", content[:8])
    if length > len(content) - 8:
        raise ModelFileError(f"{name} is cut off within its header.") if length < 1 << 32 else foreign
    if length > MAX_HEADER_BYTES:
        raise ModelFileError(f"{name} has a header of {length:,} bytes; at most {MAX_HEADER_BYTES:,} are accepted.")
    metadata = _parse(content[8 : 8 + length], name).get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("isthmus"), str):
        raise ModelFileError(f"{name} is a safetensors file, but not one of isthmus: it holds no recipe.")
    return _parse(metadata["isthmus"].encode(), name)


def _parse(text: bytes, name: str) -> dict[str, Any]:
    """Parse JSON that must be an object, each key once, every number finite, and not nested too deep for Python."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) != len(pairs):
            raise ValueError("a key stands twice")
        return keys

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number")

    try:
        value = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{name} is not a model file of isthmus: its header is no valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{name} is not a model file of isthmus: its header is no JSON object.")
    return value


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
