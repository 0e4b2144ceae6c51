"""What this machine offers: the device, its speed, and likely bottlenecks."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus import pretrained
from isthmus.datasets.catalog import cache_folder
from isthmus.errors import printable
from isthmus.inference.device import choose_device, has_fast_bfloat16
from isthmus.model import load

EXTRAS = {
    "evaluate": ("evaluate, report, reproduce", "skimage"),
    "compress": ("encode --bits", "constriction"),
    "onnx": ("export", "onnxscript"),
    "hub": ("push, pull", "huggingface_hub"),
    "tune": ("tune", "optuna"),
    "track": ("train --tensorboard", "tensorboard"),
    "map": ("maps by UMAP in a report", "umap"),
}
"""What each extra is for, and a module of it."""

SIDE = 512
"""Height and width of the image that is restored to take the time."""

ROUNDS = 3

THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

ENOUGH_SECONDS = 2.0
"""Time after which no further round is measured."""

SLOW_SECONDS = 3.0
"""A megapixel that takes longer to clean is worth a remark."""


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What was found."""

    machine: dict[str, Any]
    """Facts, by name."""
    extras: dict[str, bool]
    """Which extras are installed."""
    seconds_per_megapixel: dict[str, float]
    """Time to denoise, by arithmetic; the median of a few."""
    remarks: tuple[str, ...]
    """What is slow, why, and what to do."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def diagnose(device: str = "auto") -> Checkup:
    """Examine the machine, and time the model that denoises color photos.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        UsageError: If there is no such device.
    """
    chosen = choose_device(device)
    fast = has_fast_bfloat16(chosen)
    cache = cache_folder()
    machine = {
        "isthmus": version("isthmus"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": _cores(),
        "threads": torch.get_num_threads(),
        "memory_gb": _memory_gb(),
        "device": chosen.type,
        "arithmetic": "bfloat16" if fast else "float32",
        "models_that_ship": len(pretrained.names()),
        "cache": printable(str(cache)),
        "cache_mb": round(sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6) if cache.is_dir() else 0,
    }
    extras = {name: find_spec(module) is not None for name, (_, module) in EXTRAS.items()}
    seconds = {arithmetic: _seconds(chosen.type, arithmetic == "bfloat16") for arithmetic in ("float32", "bfloat16")}
    remarks = _remarks(machine, seconds, fast)
    return Checkup(machine=machine, extras=extras, seconds_per_megapixel=seconds, remarks=remarks)


def _seconds(device: str, bfloat16: bool) -> float:
    """Return how long a megapixel takes to clean."""
    model = load("denoise-color", device=device)
    model.engine.bfloat16 = bfloat16
    image = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
    model.restore(image[:64, :64])  # what is prepared once
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        model.restore(image)
        taken.append(time.perf_counter() - began)
        if sum(taken) > ENOUGH_SECONDS:
            break
    return round(statistics.median(taken) / SIDE**2 * 1e6, 3)


def _remarks(machine: dict[str, Any], seconds: dict[str, float], fast: bool) -> tuple[str, ...]:
    found = []
    chosen, other = ("bfloat16", "float32") if fast else ("float32", "bfloat16")
    limits = [f"{name}={os.environ[name]}" for name in THREAD_SETTINGS if name in os.environ]
    if machine["device"] == "cpu" and machine["threads"] < machine["cores"]:
        why = f" because of {', '.join(limits)}" if limits else ""
        found.append(f"torch uses {machine['threads']} of {machine['cores']} cores{why}: unset that to use all.")
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 1.3 * machine["cores"]:
        found.append(f"Other programs use the processor: the load is {os.getloadavg()[0]:.1f} on {machine['cores']} cores.")
    if seconds[other] < 0.8 * seconds[chosen]:
        found.append(f'{other} is faster here than {chosen}, the default: train with `precision="{other}"`.')
    if not fast and machine["device"] == "cpu":
        found.append("The processor has no fast bfloat16 (AMX, or AMD's AVX-512 BF16): photographs take twice as long as with it.")
    if seconds[chosen] > SLOW_SECONDS:
        found.append(f"A photograph of 12 megapixels takes about {12 * seconds[chosen]:.0f} s.")
    if machine["memory_gb"] and machine["memory_gb"] < 4:
        found.append('Memory is low: restore large pictures with `memory="1GB"`.')
    if _has_cuda_build() and machine["device"] == "cpu":
        found.append("torch is a CUDA build, and this machine has no GPU: the CPU build is gigabytes smaller, and as fast.")
    return tuple(found)


def _has_cuda_build() -> bool:
    try:
        return torch.version.cuda is not None and "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False


def _processor() -> str:
    cpu = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if "model name" in line] if cpu.exists() else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gb() -> float:
    """Return the memory that is free or can be made free, in GB; 0 where the system does not say."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return 0.0
    found = [line.split()[1] for line in info.read_text().splitlines() if line.startswith("MemAvailable")]
    return round(int(found[0]) / 1e6, 1) if found else 0.0
