"""The docs' pictures of what the models that ship do: before, after and the ground truth, with PSNR.

    python benchmarks/figures.py --out docs/images [--models DIR] [--only denoise-color phone ...]

`phone` is README's picture: two photographs with noise of standard deviation 20, saved as JPEG 85 with 4:2:0, before and after
`isthmus denoise`.

The photographs come with scikit-image and may be shown (the astronaut by NASA, the cat, the coffee and the rocket: CC0 or public
domain); nothing of isthmus was trained on them.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

import isthmus
from isthmus.corruptions import parse
from isthmus.evaluation.metrics import psnr_db
from isthmus.imaging.arrays import Array
from isthmus.pretrained import FOLDER
from isthmus.report import figures
from isthmus.storage.atomic import write_whole

SIDE = 180
"""Of the cut-outs that are shown."""

CUTS = {"astronaut": (10, 140), "chelsea": (60, 130), "coffee": (120, 60), "rocket": (200, 240)}
"""Top left corners."""

DAMAGE = {
    "denoise-gray": ("gaussian-noise(0.098, clip=False)", "noise of 25"),
    "denoise-color": ("camera-noise(0.006, 0.004, mosaic=0, smoothed=1) | jpeg(88)", "high ISO, JPEG 88"),
    "upscale-x2": ("downscale(2)", "bicubic"),
    "upscale-x3": ("downscale(3)", "bicubic"),
    "upscale-x4": ("downscale(4)", "bicubic"),
    "repair": ("jpeg(15)", "JPEG 15"),
    "colorize": ("grayscale", "gray"),
}
"""What is done to the photographs for each model, and what that is called."""


PHONE_SIDE, PHONE_GAP = 228, 6
PHONE_CUTS = {"coffee": (30, 300), "chelsea": (35, 110)}
"""README's picture: sides and gap in pixels, and the top left corners."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=FOLDER, help="folder of model files; without it, those that ship")
    parser.add_argument("--only", nargs="*", choices=(*DAMAGE, "phone"), default=[*DAMAGE, "phone"])
    options = parser.parse_args()
    if "phone" in options.only:
        write_whole(options.out / "before-after.png", phone(isthmus.load(options.models / "denoise-color.safetensors")))
    for name in [name for name in options.only if name in DAMAGE]:
        path = options.models / f"{name}.safetensors"
        if path.exists():
            write_whole(options.out / f"{name}.png", before_and_after(isthmus.load(path), *DAMAGE[name]))


def before_and_after(model: isthmus.Model, corruption: str, label: str) -> bytes:
    """Draw cut-outs: damaged, restored, and as they were."""
    rows: dict[str, list[Array]] = {label: [], "isthmus": [], "truth": []}
    for photograph, (top, left) in CUTS.items():
        picture = getattr(data, photograph)()[top : top + SIDE, left : left + SIDE].astype(np.float32) / np.float32(255)
        truth = torch.from_numpy(np.moveaxis(picture, -1, 0)[None].copy())
        truth = truth.mean(1, keepdim=True) if model.image_shape[0] == 1 else truth
        damage = parse(corruption)
        damaged, truth = damage.degrade(truth, truth, torch.Generator().manual_seed(0))
        before = damage.to_model_input(damaged).clamp(0, 1)
        after = torch.from_numpy(model.restore(damaged.numpy()))
        for row, images in zip(rows.values(), (before, after, truth), strict=True):
            row.append(images.expand(-1, truth.shape[1], -1, -1).numpy()[0])
    stacks = {name: np.stack(images) for name, images in rows.items()}
    captions = [[f"{value:.1f} dB" for value in psnr_db(stacks[name], stacks["truth"])] for name in (label, "isthmus")]
    return figures.grid(stacks, [*captions, ["" for _ in CUTS]], scale=1.9)


def phone(model: isthmus.Model) -> bytes:
    """Draw pairs of cut-outs in a row: as a JPEG file of a noisy sensor, and denoised; their PSNR is printed."""
    row: list[Array] = []
    for seed, (name, (top, left)) in enumerate(PHONE_CUTS.items()):
        clean = getattr(data, name)()
        noisy = clean + np.random.default_rng(seed).normal(0, 20, clean.shape)
        file = io.BytesIO()
        Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85, subsampling="4:2:0")
        before = np.asarray(Image.open(file))
        after = model.restore(before)
        print(name, *(f"{psnr_db(unit(image), unit(clean))[0]:.2f} dB" for image in (before, after)))
        row += [image[top : top + PHONE_SIDE, left : left + PHONE_SIDE] for image in (before, after)]
    white = np.full((PHONE_SIDE, PHONE_GAP, 3), 255, np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.hstack([part for image in row for part in (image, white)][:-1])).save(file, "PNG", optimize=True)
    return file.getvalue()


def unit(image: Array) -> Array:
    """Return an image `(H, W, C)` of bytes as `(1, C, H, W)` in [0, 1]."""
    return np.moveaxis(image, -1, 0)[None] / np.float32(255)


if __name__ == "__main__":
    main()
