"""The choice of device and of arithmetic."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache

import torch

from isthmus.errors import UsageError
from isthmus.networks import Architecture

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" takes the fastest that there is.

    Raises:
        UsageError: If the machine has none, or the name is unknown.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, is_there in there.items() if is_there)
    kind, _, number = name.partition(":")
    if kind not in there or (number and not number.isdigit()) or name.endswith(":"):
        raise UsageError(f"Unknown device '{name}'. Devices: {', '.join(DEVICES)}, or one of several such as cuda:1.")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not there[kind] or int(number or 0) >= count:
        raise UsageError(
            f'torch {torch.__version__} finds no device {name} on this machine. Use `device="cpu"` or `device="auto"`.'
        )
    return torch.device(name)


def choose_bfloat16(precision: str, architecture: Architecture, device: torch.device) -> bool:
    """Tell whether layers compute in bfloat16: as the recipe says, or with "auto" where it makes them faster."""
    if precision != "auto":
        return precision == "bfloat16"
    return architecture.bfloat16 and has_fast_bfloat16(device)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether networks are faster in bfloat16: on a processor with AMX, or on one of AMD whose AVX-512 has bfloat16.

    Intel's AVX-512 alone takes half as long again for a photograph as in float32, AMD's half as long (docs/experiments.md).
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    of_amd = str(capabilities.get("cpu_name", "")).startswith("AMD")
    return has_amx() or bool(of_amd and capabilities.get("avx512_bf16"))


def has_amx() -> bool:
    """Tell whether the processor multiplies whole matrices of bfloat16."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


@cache
def keep_freed_memory() -> None:
    """Let the C library keep what a network's layers free, for the next ones.

    Otherwise glibc asks the system for each large array anew, and the system fills it with zeros: a quarter of a photograph's
    time. It is a setting of the whole process, and of glibc alone; variables of the environment that set the same are heeded.

    Source: mallopt(3).
    """
    if not any(name.startswith("MALLOC_") for name in os.environ):
        _of_c_library("mallopt", _MMAP_THRESHOLD, _LARGEST)
        _of_c_library("mallopt", _TRIM_THRESHOLD, _MOST)


def give_back_memory() -> None:
    """Give the system what was kept. Source: malloc_trim(3)."""
    _of_c_library("malloc_trim", 0)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""

_LARGEST, _MOST = 1 << 27, 1 << 30
"""Bytes of the largest array that is kept, and of all that is kept. A layer's result for a tile takes half the former."""


def _of_c_library(function: str, *arguments: int) -> None:
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library than glibc, or another system
        getattr(ctypes.CDLL(None), function)(*arguments)


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Within it, torch's failures to get memory, on any device, are a `MemoryError`.

    Raises:
        MemoryError: In place of torch's own.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise MemoryError("Out of memory.") from error
