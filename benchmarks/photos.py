"""How good the models that ship are on photographs, beside what one would use instead and what has been published.

    python benchmarks/photos.py --testsets DIR [--only time speed denoise upscale repair colorize] [--models DIR] [--few N]

DIR holds BSD68, Set12, CBSD68 and Set5, on which nothing of isthmus was ever trained. Protocols: noise is added in float and not
clipped, PSNR is that of the 8-bit range, for each image, then the mean; enlarged pictures are compared on the luminance, without a
border of as many pixels as the factor, after Matlab's bicubic has shrunk the luminance; a color picture's gray is its L of CIELAB.
Each row is a method on a set; "seconds_per_megapixel" is taken in the same run, with two threads.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import color, restoration

import isthmus
from isthmus.evaluation.metrics import METRICS
from isthmus.imaging.arrays import Array
from isthmus.imaging.bicubic import rescale
from isthmus.pretrained import FOLDER

PUBLISHED = {
    ("BSD68", 15): {"BM3D": 31.07, "DnCNN": 31.73, "FFDNet": 31.63, "DRUNet": 31.91},
    ("BSD68", 25): {"BM3D": 28.57, "DnCNN": 29.23, "FFDNet": 29.19, "DRUNet": 29.48},
    ("BSD68", 50): {"BM3D": 25.62, "DnCNN": 26.23, "FFDNet": 26.29, "DRUNet": 26.59},
    ("Set12", 15): {"BM3D": 32.37, "DnCNN": 32.86, "FFDNet": 32.75, "DRUNet": 33.25},
    ("Set12", 25): {"BM3D": 29.97, "DnCNN": 30.44, "FFDNet": 30.43, "DRUNet": 30.94},
    ("Set12", 50): {"BM3D": 26.72, "DnCNN": 27.18, "FFDNet": 27.32, "DRUNet": 27.90},
    ("CBSD68", 15): {"CBM3D": 33.52, "DnCNN": 33.90, "FFDNet": 33.87, "DRUNet": 34.30},
    ("CBSD68", 25): {"CBM3D": 30.71, "DnCNN": 31.24, "FFDNet": 31.21, "DRUNet": 31.69},
    ("CBSD68", 50): {"CBM3D": 27.38, "DnCNN": 27.95, "FFDNet": 27.96, "DRUNet": 28.51},
    ("Set5", 2): {"bicubic": 33.66, "SRCNN": 36.66, "FSRCNN": 37.00, "VDSR": 37.53},
    ("Set5", 3): {"bicubic": 30.39, "SRCNN": 32.75, "FSRCNN": 33.16, "VDSR": 33.66},
    ("Set5", 4): {"bicubic": 28.42, "SRCNN": 30.48, "FSRCNN": 30.71, "VDSR": 31.35},
}
"""PSNR in dB, as the methods' authors report it, by set and by sigma or factor."""

Method = Callable[[Array], Array]
"""From `(H, W)` or `(H, W, 3)` floats, as damaged, to the same, restored."""


class Bench:
    """Runs methods over a set of pictures and prints a row for each."""

    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.part = ""

    def say(self, **facts: Any) -> None:
        """Print a line of JSON."""
        print(json.dumps({"part": self.part, **facts}), flush=True)

    def model(self, name: str) -> isthmus.Model | None:
        path = self.options.models / f"{name}.safetensors"
        return isthmus.load(path) if path.exists() else None

    def methods(self, name: str, others: dict[str, Method]) -> dict[str, Method]:
        model = self.model(name)
        if model is None:
            self.say(method=f"isthmus {name}", skipped="there is no such model file")
            return {} if self.options.own else others
        own = {f"isthmus {name}": model.restore}
        if self.options.own:
            return own
        return {**own, f"isthmus {name}, self-ensemble": partial(model.restore, self_ensemble=True), **others}

    def pictures(self, testset: str, mode: str) -> Iterator[Array]:
        """Yield pictures as floats in [0, 1], `(H, W)` or `(H, W, 3)`."""
        paths = sorted(path for path in (self.options.testsets / testset).rglob("*") if path.suffix in (".png", ".bmp", ".jpg"))
        for path in paths[: self.options.few]:
            yield np.asarray(Image.open(path).convert(mode), np.float32) / np.float32(255)

    @staticmethod
    def timed(method: Method, seen: Array) -> tuple[Array, float]:
        """Return a method's result, and the seconds that it took."""
        began = time.perf_counter()
        return method(seen), time.perf_counter() - began

    def row(self, testset: str, level: int, method: str, values: list[dict[str, float]], seconds: float, pixels: int) -> None:
        means = {name: round(float(np.mean([value[name] for value in values])), 3) for name in values[0]}
        speed = {"seconds_per_megapixel": round(seconds / pixels * 1e6, 3)}
        self.say(set=testset, level=level, images=len(values), method=method, **means, **speed)

    def compare(
        self,
        testset: str,
        level: int,
        mode: str,
        damage: Callable[[Array], tuple[Array, Array]],
        measure: Callable[[Array, Array], dict[str, float]],
        methods: dict[str, Method],
    ) -> None:
        """Measure methods.

        Args:
            testset: A folder's name.
            level: Of the damage, for the row.
            mode: "L" or "RGB".
            damage: From a picture to (what a method gets, what is wanted).
            measure: From (restored, wanted) to values by name.
            methods: By name.
        """
        examples = [damage(picture) for picture in self.pictures(testset, mode)]
        for name, method in methods.items():
            values, seconds, pixels = [], 0.0, 0
            for seen, wanted in examples:
                restored, spent = self.timed(method, seen)
                seconds += spent
                pixels += wanted.shape[0] * wanted.shape[1]
                values.append(measure(np.clip(restored, 0, 1), wanted))
            self.row(testset, level, name, values, seconds, pixels)
        whole = not self.options.own and self.options.few is None
        for name, value in PUBLISHED.get((testset, level), {}).items() if whole else ():
            self.say(set=testset, level=level, method=f"{name}, published", psnr_db=value)


def psnr(restored: Array, wanted: Array) -> dict[str, float]:
    return {"psnr_db": float(-10 * np.log10(max(1e-10, np.mean(np.square(restored.astype(float) - wanted)))))}


def denoise(bench: Bench) -> None:
    for testset, mode, name in (("BSD68", "L", "denoise-gray"), ("Set12", "L", "denoise-gray"), ("CBSD68", "RGB", "denoise-color")):
        axis = None if mode == "L" else -1
        for level in (15, 25, 50):
            sigma = level / 255
            rng = np.random.default_rng(0)

            def damage(picture: Array, sigma: float = sigma, rng: np.random.Generator = rng) -> tuple[Array, Array]:
                return (picture + rng.normal(0, sigma, picture.shape)).astype(np.float32), picture

            fast = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * sigma, "sigma": sigma, "fast_mode": True}
            others: dict[str, Method] = {
                "non-local means": partial(restoration.denoise_nl_means, channel_axis=axis, **fast),
                "wavelets": partial(restoration.denoise_wavelet, sigma=sigma, channel_axis=axis, rescale_sigma=True),
                "total variation": partial(restoration.denoise_tv_chambolle, weight=1.5 * sigma, channel_axis=axis),
                "as it is": lambda seen: seen,
            }
            bench.compare(testset, level, mode, damage, psnr, bench.methods(name, others))


def upscale(bench: Bench) -> None:
    for factor in (2, 3, 4):

        def damage(picture: Array, factor: int = factor) -> tuple[Array, Array]:
            height, width = (side // factor * factor for side in picture.shape[:2])
            luma = np.rint(color.rgb2ycbcr(picture[:height, :width])[:, :, 0]) / 255
            return scaled(luma, 1 / factor), luma

        def measure(restored: Array, wanted: Array, border: int = factor) -> dict[str, float]:
            inner = slice(border, -border)
            return psnr(np.rint(restored * 255)[inner, inner] / 255, wanted[inner, inner])

        others: dict[str, Method] = {"bicubic": lambda small, factor=factor: scaled(small, factor)}
        bench.compare("Set5", factor, "RGB", damage, measure, bench.methods(f"upscale-x{factor}", others))


def scaled(image: Array, scale: float) -> Array:
    """Scale `(H, W)` as Matlab's imresize does."""
    size = (round(image.shape[0] * scale), round(image.shape[1] * scale))
    return rescale(torch.from_numpy(image)[None, None].double(), size, scale)[0, 0].numpy()


def repair(bench: Bench) -> None:
    for quality in (10, 20, 40, 80):

        def damage(picture: Array, quality: int = quality) -> tuple[Array, Array]:
            file = io.BytesIO()
            Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
            return np.asarray(Image.open(file), np.float32) / np.float32(255), picture

        others: dict[str, Method] = {"the JPEG": lambda seen: seen}
        bench.compare("BSD68", quality, "L", damage, psnr, bench.methods("repair", others))
        bench.compare("CBSD68", quality, "RGB", damage, psnr, bench.methods("repair", others))


def colorize(bench: Bench) -> None:
    def damage(picture: Array) -> tuple[Array, Array]:
        lab = color.rgb2lab(picture)
        return color.lab2rgb(lab * [1, 0, 0])[:, :, 0].astype(np.float32), picture

    def measure(restored: Array, wanted: Array) -> dict[str, float]:
        pair = np.moveaxis(restored, -1, 0)[None].astype(np.float32), np.moveaxis(wanted, -1, 0)[None]
        found = {name: round(float(METRICS[name](*pair)[0]), 3) for name in ("ciede2000", "colorfulness")}
        return {**psnr(restored, wanted), **found, "of_the_truth": float(METRICS["colorfulness"](pair[1], pair[1])[0])}

    others: dict[str, Method] = {"left gray": lambda gray: np.repeat(gray[:, :, None], 3, 2)}
    bench.compare("CBSD68", 0, "RGB", damage, measure, bench.methods("colorize", others))


def large(bench: Bench) -> None:
    """Denoise a color photograph of 12 megapixels in a process of its own: seconds, and the most memory that it took."""
    import resource

    model = bench.model("denoise-color")
    if model is None:
        return
    picture = next(bench.pictures("CBSD68", "RGB"))
    times = (-(-3000 // picture.shape[0]), -(-4000 // picture.shape[1]), 1)
    tiled = np.tile(np.rint(picture * 255).astype(np.uint8), times)[:3000, :4000]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    model.restore(tiled)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"megapixels": tiled.shape[0] * tiled.shape[1] / 1e6, "seconds": round(seconds, 1)}
    tile_bytes = round((peak - before) * 1024 / model.engine.tile_side**2)
    bench.say(method="isthmus denoise-color", **facts, peak_mb=round(peak / 1024), bytes_for_a_pixel_of_a_tile=tile_bytes)


def speed(bench: Bench) -> None:
    """Denoise at sigma 25 beside non-local means with scikit-image's own sizes (patches of 7, 11 away), on a few pictures."""
    sigma = 25 / 255
    rng = np.random.default_rng(0)

    def damage(picture: Array) -> tuple[Array, Array]:
        return (picture + rng.normal(0, sigma, picture.shape)).astype(np.float32), picture

    bench.options.few = 3
    for testset, mode, name, axis in (("BSD68", "L", "denoise-gray", None), ("CBSD68", "RGB", "denoise-color", -1)):
        means = partial(restoration.denoise_nl_means, h=0.8 * sigma, sigma=sigma, channel_axis=axis)
        others: dict[str, Method] = {"non-local means, fast": means, "non-local means, exact": partial(means, fast_mode=False)}
        bench.compare(testset, 25, mode, damage, psnr, bench.methods(name, others))


PARTS: dict[str, Callable[[Bench], None]] = {
    "time": large,
    "speed": speed,
    "denoise": denoise,
    "upscale": upscale,
    "repair": repair,
    "colorize": colorize,
}
"""What is measured, by name; the large picture first, while nothing else has taken memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testsets", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of model files; without it, those that ship")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--few", type=int, help="only the first N pictures of each set")
    parser.add_argument("--own", action="store_true", help="only the models, neither with care nor beside others")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options: Any = parser.parse_args()
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    few = options.few
    for name in options.only:
        options.few, bench.part = few, name
        PARTS[name](bench)


if __name__ == "__main__":
    main()
