"""The colorizer that ships: which photographs it was trained on, how, and how its file is made.

    python training/photographs.py shrink SOURCE ORIGINALS --out PHOTOS
    python training/colorize.py pictures PHOTOS --out COLOR
    python training/colorize.py train COLOR --out TRAINED
    python benchmarks/colorize.py --pictures CBSD68 --models TRAINED --only quality > SCORES.jsonl
    python training/colorize.py ship TRAINED --scores SCORES.jsonl

`pictures` takes the copies of 160 pixels on the short side, of each source as many as `MOST` says, so that no source's colors
become everybody's (of 500 shirts on white or 400 shelves, the network learns that the world is warm); of each large copy also one
of 300 pixels, of which squares are parts. Gray pictures and tinted ones are left out. `train` is `isthmus.train` with the preset
"colorize" for 122 minutes of one thread, and goes on where it was. `ship` writes the numbers in 16 bits into the package, with the
rows of SCORES.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import isthmus
from models import ship
from photographs import pictures, read, sources

SHORT_SIDE, LARGER_SIDE, LONGEST = 160, 300, 320
"""Short side of the copies, and of the second copy of a large picture; longest side, of which the middle is taken."""

MOST = {
    "clothing-dataset-cc0": 70,
    "grocery-store-mit": 70,
    "tf-flowers": 180,
    "pixabay-portraits": 240,
    "ffml-food-mit": 40,
    "dreambooth": 80,
    "aquarium-roboflow": 50,
    "howtocook-unlicense": 60,
    "based-cooking-pd": 70,
}
"""Pictures of a source, at most; of the others `OTHERS`."""

OTHERS = 320

COLORFUL, VARIED = 8.0, 4.0
"""Colorfulness (Hasler and Suesstrunk) of a picture that is not gray; how much colors vary in one that is not only tinted."""

BUDGET = "122m"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    acts = parser.add_subparsers(dest="act", required=True)
    choosing = acts.add_parser("pictures", help="choose and shrink photographs")
    choosing.add_argument("photographs", type=Path, help="what training/photographs.py shrink has written")
    training = acts.add_parser("train", help="train, or go on")
    training.add_argument("pictures", type=Path)
    training.add_argument("--budget", default=BUDGET)
    for act in (choosing, training):
        act.add_argument("--out", type=Path, required=True)
    shipping = acts.add_parser("ship", help="write the model's file into the package")
    shipping.add_argument("trained", type=Path)
    shipping.add_argument("--scores", type=Path, required=True, help="what benchmarks/colorize.py has printed")
    options = parser.parse_args()
    if options.act == "pictures":
        print(f"{choose(options.photographs, options.out):,} pictures in {options.out}")
    elif options.act == "train":
        torch.set_num_threads(1)
        out = options.out / "colorize.safetensors"
        isthmus.train(options.pictures, recipe="colorize", budget=options.budget, out=out, resume=True, checkpoint_seconds=180)
    else:
        taken = [source for source in sources() if source.everyday or source.large]
        rows = [json.loads(line) for line in options.scores.read_text().splitlines()]
        ship(options.trained / "colorize.safetensors", "training/colorize.py", [{"set": "CBSD68", **row} for row in rows], taken)


def choose(photographs: Path, out: Path) -> int:
    """Write copies of as many pictures of each source as are wanted; return how many."""
    by_source = defaultdict(list)
    for path in (*pictures(photographs / "everyday"), *pictures(photographs / "large")):
        by_source[re.sub(r"[-_][^-_]*$", "", path.stem)].append(path)
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for source, paths in by_source.items():
        left = MOST.get(source, OTHERS)
        for path in sorted(paths, key=lambda path: hashlib.sha256(path.name.encode()).hexdigest()):
            image = read(path)
            if left and min(image.size) >= SHORT_SIDE and is_colorful(small := shrunk(image, SHORT_SIDE)):
                left -= 1
                large = path.parent.name == "large"
                copies = {"L-" if large else "": small}
                if large and min(image.size) > LARGER_SIDE:
                    copies["L2-"] = shrunk(image, LARGER_SIDE, longest=None)
                for prefix, copy in copies.items():
                    copy.save(out / f"{prefix}{path.stem}.png")
                count += len(copies)
    return count


def shrunk(image: Image.Image, side: int, longest: int | None = LONGEST) -> Image.Image:
    """Return a picture with a short side of so many pixels; of a long one, the middle."""
    scale = side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS) if (width, height) != image.size else image
    if longest is None or max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))


def is_colorful(image: Image.Image) -> bool:
    """Tell whether a picture is neither gray nor all of one tint."""
    red, green, blue = np.moveaxis(np.asarray(image, np.float32), -1, 0)
    opponents = (red - green, (red + green) / 2 - blue)
    varied = float(np.hypot(*(part.std() for part in opponents)))
    return varied >= VARIED and varied + 0.3 * float(np.hypot(*(part.mean() for part in opponents))) >= COLORFUL


if __name__ == "__main__":
    main()
