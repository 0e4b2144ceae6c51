"""The photographs that the models that ship were trained on: where they come from, and how they become training data.

    python training/photographs.py list
    python training/photographs.py shrink SOURCE ORIGINALS --out PHOTOS
    python training/photographs.py squares PHOTOS --out SQUARES

sources.csv, beside this file, lists every source with its public place and its license; each of them allows that what a model
learns is passed on. `shrink` makes two copies of each original of a source: in `PHOTOS/large`, shrunk by 1.6 or more, so that
the camera's noise and the file's own compression are gone, and at most 1,100 pixels long; in `PHOTOS/everyday`, 160 pixels on
the short side, for color. `squares` cuts the large ones into squares of 192 pixels: `SQUARES/color`, `SQUARES/gray` and, with
both, `SQUARES/both`. Of squares that show hardly anything, such as sky, one in seven is kept. Test images of any benchmark are
not among them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus.imaging.picture import read_picture

LARGEST, SHRINK, SHORT_SIDE = 1100, 1.6, 160
"""Longest side of a large copy; by how much it is shrunk at least; short side of an everyday copy."""

SIDE, SCALES = 192, (1.0, 1.8)
"""Height and width of a square; what a picture's sides are divided by before it is cut."""

DETAIL, KEPT = 2.0, 0.15
"""The median length of the gradient, of 255, below which a square shows hardly anything; the share of those that is kept."""

GRAY_EVERY = 4
"""Of the gray squares, every fourth stands beside those in color in `both`."""


@dataclass(frozen=True)
class PhotoSource:
    """Where photographs come from, and under which license."""

    name: str
    place: str
    license: str
    large: int
    everyday: int
    earlier: bool
    """Whether only the trainings before those told in docs/experiments.md's last entry used it: the weights began with theirs."""

    def __str__(self) -> str:
        return f"{self.name}: {self.place}. {self.license}"


def sources() -> list[PhotoSource]:
    """Return all sources, in the order of sources.csv."""
    with (Path(__file__).parent / "sources.csv").open(newline="") as file:
        return [
            PhotoSource(
                row["source"], row["place"], row["license"], int(row["large"]), int(row["everyday"]), row["when"] == "earlier"
            )
            for row in csv.DictReader(file)
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    acts = parser.add_subparsers(dest="act", required=True)
    acts.add_parser("list", help="print every source, its place and its license")
    shrinking = acts.add_parser("shrink", help="make the large and the everyday copies of a source's originals")
    shrinking.add_argument("source", choices=[source.name for source in sources()], metavar="SOURCE")
    shrinking.add_argument("originals", type=Path)
    cutting = acts.add_parser("squares", help="cut squares from the large copies")
    cutting.add_argument("photographs", type=Path)
    for act in (shrinking, cutting):
        act.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.act == "list":
        print("\n".join(map(str, sources())))
    elif options.act == "shrink":
        count = sum(shrink(path, options.source, options.out) for path in pictures(options.originals))
        print(f"{count} photographs in {options.out}")
    else:
        count = sum(cut(path, options.out) for path in pictures(options.photographs / "large"))
        print(f"{count} squares in {options.out}")


def pictures(folder: Path) -> list[Path]:
    """Return the picture files below a folder."""
    kinds = (".jpg", ".jpeg", ".png", ".webp", ".jxl", ".tif", ".tiff")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)


def read(path: Path) -> Image.Image:
    """Return a picture in RGB."""
    if path.suffix == ".jxl":
        import imagecodecs

        pixels = imagecodecs.jpegxl_decode(path.read_bytes())
    else:
        pixels = read_picture(path).pixels
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.ndim == 2 or pixels.shape[2] > 1 else pixels[:, :, 0])).convert(
        "RGB"
    )


def shrink(original: Path, source: str, out: Path) -> int:
    """Write the two copies of a photograph, named after its source and its content; return 1."""
    image = read(original)
    name = f"{source}-{hashlib.sha256(original.read_bytes()).hexdigest()[:10]}"
    scales = {"large": max(SHRINK, max(image.size) / LARGEST), "everyday": min(image.size) / SHORT_SIDE}
    for kind, scale in scales.items():
        path = out / kind / (f"{name}.png" if kind == "large" else f"{name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        smaller(image, scale).save(path, **({} if kind == "large" else {"quality": 92}))
    return 1


def smaller(image: Image.Image, scale: float) -> Image.Image:
    """Return an image whose sides are divided by `scale`."""
    size = round(image.width / scale), round(image.height / scale)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def cut(path: Path, out: Path) -> int:
    """Write the squares of a picture; return how many."""
    rng = np.random.default_rng(int(hashlib.blake2b(path.stem.encode(), digest_size=6).hexdigest(), 16))
    image, written = read(path), 0
    for scale in SCALES:
        picture = smaller(image, scale)
        if min(picture.size) < SIDE:
            continue
        light = np.asarray(picture.convert("L"), np.float32)
        rows, columns = (np.linspace(0, length - SIDE, max(1, length // SIDE)).astype(int) for length in light.shape)
        for top, left in ((top, left) for top in rows for left in columns):
            if detail(light[top : top + SIDE, left : left + SIDE]) < DETAIL and rng.random() > KEPT:
                continue
            square = picture.crop((left, top, left + SIDE, top + SIDE))
            name = f"{path.stem}-{scale}-{top}-{left}.png"
            save(square, out / "color" / name)
            save(square.convert("L"), out / "gray" / name)
            save(square, out / "both" / name)
            if written % GRAY_EVERY == 0:
                save(square.convert("L"), out / "both" / f"gray-{name}")
            written += 1
    return written


def detail(light: np.ndarray) -> float:
    """Return the median length of the gradient."""
    return float(np.median(np.hypot(light[1:, :-1] - light[:-1, :-1], light[:-1, 1:] - light[:-1, :-1])))


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG, quickly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, compress_level=1)


if __name__ == "__main__":
    main()
