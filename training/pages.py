"""Pages of text as they were printed, and as they come out of a cellar: pairs for `isthmus train --task pairs`.

    python training/pages.py --out FOLDER [--train 10] [--test 5] [--seed 0]

FOLDER gets `train/` and `test/`, each with `clean/` and `dirty/`: gray pages of 800 x 600 pixels, PNG, the same names in both. The
type is DejaVu, which comes with matplotlib. What happens to a page: the ink fades, the light is uneven, there are stains and rings
of cups, folds, blur, and a little noise. Nothing moves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from isthmus.imaging.arrays import Array, from_unit

HEIGHT, WIDTH, MARGIN = 800, 600, 45

FACES = ("DejaVuSerif", "DejaVuSans", "DejaVuSerif-Italic", "DejaVuSansMono", "DejaVuSerif-Bold")

COMMON = (
    "the of and to in that was his he it with is for as had you not be her on at by which have or from this him but all she they "
    "were my are me one their so an said them we who would been will no when there if more out up into do any your what has man "
    "could other than our some very time upon about may its only now like little then can should made did us such great before "
    "must two these see know over much down after first good men own never most old shall day where those came come himself way "
    "work life without go make well through being long say might how am too even again many back here think every people went "
    "same last thought away under take found hand eyes still place while just also young yet though against things get ever give "
    "god years off face nothing right once another left part saw house world head three took new love always mrs put night each "
    "king between tell mind heart few because thing whom far seemed looked called whole de set both got find done heard look name"
)
"""The commonest words of English."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for train/ and test/")
    parser.add_argument("--train", type=int, default=10, help="pages to learn from")
    parser.add_argument("--test", type=int, default=5, help="pages to measure on")
    parser.add_argument("--seed", type=int, default=0, help="start of all chance")
    options = parser.parse_args()
    for index in range(options.train + options.test):
        rng = np.random.default_rng((options.seed, index))
        clean = printed(rng)
        split = "train" if index < options.train else "test"
        for kind, page in (("clean", clean), ("dirty", aged(clean, rng))):
            path = options.out / split / kind / f"page{index + 1:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(from_unit(page, np.dtype(np.uint8))).save(path)
    print(f"{options.train} + {options.test} pages in {options.out}")


def printed(rng: np.random.Generator) -> Array:
    """Return a clean page `(H, W)` in [0, 1]: a heading, paragraphs, and sometimes a table of figures."""
    page = Image.new("L", (WIDTH, HEIGHT), 255)
    draw = ImageDraw.Draw(page)
    body, size = str(rng.choice(FACES[:4])), int(rng.integers(11, 17))
    top = MARGIN + write(draw, MARGIN, _text(rng, 4).upper(), _font("DejaVuSerif-Bold", size + 8))
    while top < HEIGHT - 2 * MARGIN:
        font = _font(str(rng.choice((body, body, body, *FACES))), size)
        if rng.random() < 0.2:
            for _ in range(4):
                row = "".join(f"{rng.integers(0, 10**5):>9,}" for _ in range(4))
                top += write(draw, top, row, _font("DejaVuSansMono", size))
        else:
            line = "    " + _text(rng, 1).capitalize()
            for _ in range(int(rng.integers(20, 90))):
                word = " " + _text(rng, 1)
                if draw.textlength(line + word, font) > WIDTH - 2 * MARGIN:
                    top += write(draw, top, line, font)
                    line = ""
                line += word
            top += write(draw, top, line + ".", font)
        top += size
    return np.asarray(page, np.float32) / 255


def write(draw: ImageDraw.ImageDraw, top: float, line: str, font: ImageFont.FreeTypeFont) -> float:
    """Draw a line of text, unless it would run off the page; return its height in pixels."""
    height = 1.45 * font.size
    if top + height < HEIGHT - MARGIN / 2:
        draw.text((MARGIN, top), line, fill=15, font=font)
    return height


def aged(clean: Array, rng: np.random.Generator) -> Array:
    """Return what has become of a page `(H, W)` in [0, 1]."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    ink = 1 - clean
    ink = ink * (0.65 + 0.3 * _clouds(rng, 60))  # faded here more, there less
    paper = 0.86 + 0.06 * _clouds(rng, 25) + 0.02 * _clouds(rng, 2)
    for _ in range(int(rng.integers(2, 5))):  # stains, darker at their rims
        distance = _distance(rows, columns, rng) / rng.uniform(40, 130) + 0.25 * (_clouds(rng, 20) - 0.5)
        depth = rng.uniform(0.1, 0.3)
        paper -= depth * (0.6 * expit(25 * (1 - distance)) + 0.4 * np.exp(-(((distance - 1) / 0.07) ** 2)))
    for _ in range(int(rng.integers(0, 3))):  # rings of cups
        radius = rng.uniform(45, 70)
        ring = np.exp(-(((_distance(rows, columns, rng) - radius) / 3) ** 2))
        paper -= rng.uniform(0.15, 0.35) * ring * (0.4 + 0.6 * _clouds(rng, 30))
    for _ in range(int(rng.integers(1, 4))):  # folds: a dark edge beside a light one
        angle = rng.choice((0, np.pi / 2)) + rng.normal(0, 0.02)
        across = (rows - rng.uniform(0.15, 0.85) * HEIGHT) * np.cos(angle) + (columns - rng.uniform(0.15, 0.85) * WIDTH) * np.sin(
            angle
        )
        edge = np.exp(-((across / 1.5) ** 2)) - 0.7 * np.exp(-(((across - 4) / 2.5) ** 2))
        paper -= rng.uniform(0.1, 0.3) * edge
    slope = rng.normal(0, 0.12, 2)
    light = 1 + slope[0] * (rows / HEIGHT - 0.5) + slope[1] * (columns / WIDTH - 0.5)
    light -= rng.uniform(0.05, 0.25) * ((rows / HEIGHT - 0.5) ** 2 + (columns / WIDTH - 0.5) ** 2)
    page = gaussian_filter(paper * light * (1 - ink), rng.uniform(0.5, 1.0))
    noisy: Array = np.clip(page + rng.normal(0, 0.02, page.shape), 0, 1).astype(np.float32)
    return noisy


def _text(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(COMMON.split(), words))


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf")), size)


def _clouds(rng: np.random.Generator, scale: float) -> Array:
    """Return smooth chance `(H, W)` in [0, 1], whose features are some pixels wide."""
    field = gaussian_filter(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), scale, mode="wrap")
    smooth: Array = (field - field.min()) / np.ptp(field)
    return smooth


def _distance(rows: Array, columns: Array, rng: np.random.Generator) -> Array:
    """Return each pixel's distance from a point anywhere on the page, in pixels, `(H, W)`."""
    distance: Array = np.hypot(rows - rng.uniform(0, HEIGHT), columns - rng.uniform(0, WIDTH))
    return distance


if __name__ == "__main__":
    main()
