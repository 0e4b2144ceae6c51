"""How good the models that ship are on damage as cameras, phones and programs make it, beside what one would use instead.

    python benchmarks/real.py --testsets DIR [--only camera noise clean gray upscale repair] [--models DIR] [--few N] [--own]

DIR holds CC15 (crops of three cameras' pictures, each with the mean of 500 shots), CBSD68 and BSD68, on which nothing of isthmus
was ever trained. Damage is made here with NumPy and Pillow, seeded, apart from what isthmus trains on. PSNR is that of the 8-bit
range over all channels, for each picture, then the mean; "gain_db" is what a method adds to the input's, or to bicubic enlarging's.
A picture without damage is compared with itself, and has no gain.
Non-local means are scikit-image's, told the level that scikit-image estimates; with OpenCV or the bm3d package installed (an
environment of its own, requirements-real.txt), theirs stand beside. Times are of two threads.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import restoration

from isthmus.imaging.arrays import Array
from isthmus.pretrained import FOLDER
from photos import Bench, Method, psnr

Picture = Array
"""`(H, W, 3)` uint8."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--testsets", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of model files; without it, those that ship")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--few", type=int, help="only the first N pictures of each set")
    parser.add_argument("--own", action="store_true", help="only the models and the input, not beside others")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options: Any = parser.parse_args()
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    for name in options.only:
        bench.part = name
        PARTS[name](bench)


def camera(bench: Bench) -> None:
    """Noisy shots beside the mean of many."""
    folder = bench.options.testsets / "CC15"
    pairs = [(read(path), read(Path(str(path).replace("_real", "_mean")))) for path in sorted(folder.glob("*_real.png"))]
    report(bench, "CC15", "cameras' own JPEGs", pairs[: bench.options.few], denoisers(bench))
    grays = [(in_gray(noisy_one), in_gray(mean)) for noisy_one, mean in pairs[: bench.options.few]]
    report(bench, "CC15", "cameras' own JPEGs, in gray", grays, own(bench, "denoise-gray"))


def in_gray(picture: Picture) -> Array:
    """Return a picture's lightness, `(H, W)` uint8."""
    return np.asarray(Image.fromarray(picture).convert("L"))


def noise(bench: Bench) -> None:
    """White noise that was then saved as a phone or a program saves it."""
    chains: dict[str, Callable[[Picture, np.random.Generator], tuple[Picture, Picture]]] = {
        "noise 20, JPEG 85 (4:2:0)": lambda clean, rng: (jpeg(noisy(clean, 20, rng), 85), clean),
        "noise 25, shrunk to 3/4, JPEG 90": lambda clean, rng: (
            jpeg(resized(noisy(clean, 25, rng), 0.75), 90),
            resized(clean, 0.75),
        ),
        "grain 12 of 1 pixel, JPEG 92": lambda clean, rng: (jpeg(grainy(clean, 12, 1.0, rng), 92), clean),
    }
    for level, chain in chains.items():
        rng = np.random.default_rng(0)
        pairs = [chain(clean, rng) for clean in pictures(bench, "CBSD68")]
        report(bench, "CBSD68", level, pairs, denoisers(bench))


def clean(bench: Bench) -> None:
    """Pictures without damage, which must come back as they are."""
    pairs = [(clean, clean) for clean in pictures(bench, "CBSD68")]
    for name in ("denoise-color", "repair"):
        report(bench, "CBSD68", "no damage", pairs, own(bench, name))
    grays = [(gray, gray) for gray in (picture[:, :, 0] for picture in pictures(bench, "BSD68"))]
    report(bench, "BSD68", "no damage, gray", grays, own(bench, "denoise-gray"))


def gray(bench: Bench) -> None:
    """Gray pictures stored in three channels, noisy or dithered: how far the channels differ afterwards, of 255, at most."""
    for level in ("noise 20", "dithered"):
        for name in ("denoise-color", "repair", "upscale-x2"):
            model = bench.model(name)
            if model is None:
                continue
            tints = []
            rng = np.random.default_rng(0)
            for picture in pictures(bench, "BSD68"):
                one = picture[:, :, 0]
                one = noisy(one, 20, rng) if level != "dithered" else np.asarray(Image.fromarray(one).convert("1").convert("L"))
                restored = model.restore(np.repeat(one[:, :, None], 3, 2)).astype(int)
                tints.append(int(np.ptp(restored, axis=-1).max()))
            bench.say(set="BSD68", level=level, images=len(tints), method=f"isthmus {name}", tint_of_255=max(tints))


def upscale(bench: Bench) -> None:
    """Small JPEGs, enlarged."""
    for factor, quality in ((2, 95), (2, 75), (3, 85), (4, 75)):
        pairs = []
        for picture in pictures(bench, "CBSD68"):
            height, width = (side // factor * factor for side in picture.shape[:2])
            wanted = picture[:height, :width]
            pairs.append((jpeg(resized(wanted, 1 / factor), quality), wanted))
        bicubic: dict[str, Method] = {"bicubic": partial(resized, scale=factor)}
        methods = {**bicubic, **own(bench, f"upscale-x{factor}")}
        report(bench, "CBSD68", f"shrunk by {factor}, JPEG {quality}", pairs, methods, base="bicubic")


def repair(bench: Bench) -> None:
    """JPEGs, as they are and resized or cropped since."""

    def later(quality: int, scale: float) -> Callable[[Picture], tuple[Picture, Picture]]:
        return lambda clean: (resized(jpeg(clean, quality), scale), resized(clean, scale))

    chains: dict[str, Callable[[Picture], tuple[Picture, Picture]]] = {
        **{f"JPEG {quality}": lambda clean, quality=quality: (jpeg(clean, quality), clean) for quality in (20, 40, 75)},
        "JPEG 40, resized by 0.75": later(40, 0.75),
        "JPEG 40, resized by 1.3": later(40, 1.3),
        "JPEG 60, resized by 0.6": later(60, 0.6),
        "JPEG 35, cropped by 3 and 5, JPEG 80": lambda clean: (jpeg(jpeg(clean, 35)[3:, 5:], 80), clean[3:, 5:]),
    }
    for level, chain in chains.items():
        pairs = [chain(clean) for clean in pictures(bench, "CBSD68")]
        report(bench, "CBSD68", level, pairs, own(bench, "repair"))


PARTS: dict[str, Callable[[Bench], None]] = {
    "camera": camera,
    "noise": noise,
    "clean": clean,
    "gray": gray,
    "upscale": upscale,
    "repair": repair,
}
"""What is measured, by name."""


def report(
    bench: Bench, testset: str, level: str, pairs: list[tuple[Picture, Picture]], methods: dict[str, Method], base: str = ""
) -> None:
    """Measure methods on pairs (damaged, wanted), and print what each adds to a base: a method's name, or the input."""
    damaged = any((seen.shape != wanted.shape) or (seen != wanted).any() for seen, wanted in pairs)
    if damaged and not base:
        methods = {"as it is": lambda seen: seen, **methods}
        base = "as it is"
    usual = 0.0
    for name, method in methods.items():
        values, seconds = [], 0.0
        for seen, wanted in pairs:
            restored, spent = bench.timed(method, seen)
            seconds += spent
            values.append(psnr(np.clip(restored, 0, 255) / 255, wanted / 255)["psnr_db"])
        mean = float(np.mean(values))
        usual = mean if name == base else usual
        speed = round(seconds / sum(wanted.shape[0] * wanted.shape[1] for _, wanted in pairs) * 1e6, 2)
        gain = {"gain_db": round(mean - usual, 2)} if damaged else {}
        facts = {"psnr_db": round(mean, 2), **gain, "seconds_per_megapixel": speed}
        bench.say(set=testset, level=level, images=len(pairs), method=name, **facts)


def own(bench: Bench, name: str) -> dict[str, Method]:
    model = bench.model(name)
    return {f"isthmus {name}": model.restore} if model else {}


def denoisers(bench: Bench) -> dict[str, Method]:
    """Return isthmus's and others' ways to denoise a color picture, by name."""
    methods = own(bench, "denoise-color")
    if bench.options.own:
        return methods

    def means(seen: Picture) -> Array:
        sigma = float(np.mean(restoration.estimate_sigma(seen / 255, channel_axis=-1)))
        settings = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * sigma, "sigma": sigma, "fast_mode": True}
        return restoration.denoise_nl_means(seen / 255, channel_axis=-1, **settings) * 255

    methods["non-local means, scikit-image"] = means
    try:
        import cv2
    except ImportError:
        bench.say(method="non-local means, OpenCV, strength 5", skipped="opencv-python-headless is not installed")
    else:
        methods["non-local means, OpenCV, strength 5"] = lambda seen: cv2.fastNlMeansDenoisingColored(seen, None, 5, 5, 7, 21)
    try:
        from bm3d import bm3d_rgb
    except ImportError:
        bench.say(method="BM3D", skipped="bm3d is not installed")
    else:
        methods["BM3D"] = lambda seen: (
            255 * bm3d_rgb(seen / 255, max(0.004, float(np.mean(restoration.estimate_sigma(seen / 255, channel_axis=-1)))))
        )
    return methods


def pictures(bench: Bench, testset: str) -> list[Picture]:
    paths = sorted(path for path in (bench.options.testsets / testset).rglob("*") if path.suffix in (".png", ".bmp", ".jpg"))
    return [read(path) for path in paths[: bench.options.few]]


def read(path: Path) -> Picture:
    return np.asarray(Image.open(path).convert("RGB"))


def noisy(picture: Array, sigma: float, rng: np.random.Generator) -> Array:
    return np.clip(np.rint(picture + rng.normal(0, sigma, picture.shape)), 0, 255).astype(np.uint8)


def grainy(picture: Array, sigma: float, size: float, rng: np.random.Generator) -> Array:
    """Add blurred noise of a standard deviation, the same in all channels."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(rng.normal(size=picture.shape[:2]), size)
    return np.clip(np.rint(picture + (field * (sigma / field.std()))[:, :, None]), 0, 255).astype(np.uint8)


def jpeg(picture: Array, quality: int) -> Array:
    """Return what a JPEG of a quality holds, its colors at half the resolution."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file))


def resized(picture: Array, scale: float) -> Array:
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()
