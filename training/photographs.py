"""The photographs that the models that ship have learned from: fetched from Debian's packages, shrunk, written as PNGs.

    python training/photographs.py --out FOLDER [--packages FOLDER]

Needs apt-get and dpkg-deb. FOLDER gets `color/` and `gray/`, each photograph in up to four sizes: half of the original and less, so
that the camera's noise, the blur and the JPEG's blocks are gone. It also gets `squares-color/`, `squares-gray/` and, with both,
`squares-both/`: squares of such pictures, without those that show hardly anything, such as sky.

There are two kinds of photographs: forty large ones, made as wallpapers; and 273 of landscapes, cities and machines, 1440 pixels
wide, from a game whose makers collected what photographers had given away. Every photograph may be used, changed and passed on
under the license beside its name; what a model learns of them is free to use. Pictures that are drawn, and test images of any
benchmark, are not among them.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from isthmus.imaging.picture import read_picture

SHRINK = (2.0, 2.8, 4.0, 5.6)
"""An original's sides are divided by these."""

LONGEST, SHORTEST = 1600, 240
"""A longer side above this is shrunk further; a shorter side below it is left out."""

SQUARES_SHRINK, SQUARES_LONGEST = (2.0, 2.8, 4.0, 5.6, 8.0), 3000
"""The same for the pictures that squares are cut from."""

SIDE, DETAIL = 160, 2.5
"""Height and width of a square, and the median of its gradient's length, of 255, below which it is left out."""


@dataclass(frozen=True)
class Photographer:
    """Whose photographs, under which license, from which of Debian's packages."""

    name: str
    license: str
    package: str
    files: tuple[str, ...]
    """Below /usr/share; with patterns. What an earlier photographer's patterns name is not taken again."""


def _lomiri(name: str, license: str, *files: str, year: str = "16.04") -> Photographer:
    return Photographer(name, license, f"lomiri-wallpapers-{year}", tuple(f"backgrounds/{file}.jpg" for file in files))


def _mate(name: str, *files: str) -> Photographer:
    return Photographer(name, "GPL-2+", "mate-backgrounds", tuple(f"backgrounds/mate/nature/{file}.jpg" for file in files))


def _plasma(name: str, *files: str, size: str = "2560x1600") -> Photographer:
    paths = tuple(f"wallpapers/{file}/contents/images/{size}.jpg" for file in files)
    return Photographer(name, "LGPL-3", "plasma-workspace-wallpapers", paths)


def _endless_sky(name: str, license: str, *patterns: str) -> Photographer:
    folder = "games/endless-sky/plugins/endless-sky-high-dpi/images/land"
    return Photographer(name, license, "endless-sky-high-dpi", tuple(f"{folder}/{pattern}@2x.jpg" for pattern in patterns))


SOURCES = (
    _lomiri(
        "Aitzol Berasategi",
        "CC-BY-4.0",
        *("aitzgorri_by_Aitzol_Berasategi", "friends_by_Aitzol_Berasategi", "life_by_Aitzol_Berasategi"),
        *("picosdeeuropa_by_Aitzol_Berasategi", "sunset_by_Aitzol_Berasategi"),
    ),
    _lomiri('Trevor "Freespace"', "CC-BY-4.0", "Picture_0B_by_freespace", "Picture_1A_by_freespace"),
    _lomiri("Jakub Mede", "CC-BY-4.0", "Wine_by_Jakkub_Mede"),
    _lomiri("Clemens Engelhardt", "CC0-1.0", "seeding_by_Clements_Engelhardt"),
    _lomiri("Sander Klootwijk", "CC-BY-SA-4.0", "Bridge_by_Sander_Klootwijk"),
    _lomiri('"Bolly"', "CC-BY-SA-4.0", "Dragonfly_by_Bolly"),
    _lomiri("Peter Nerlich", "CC-BY-SA-4.0", "free_by_Peter_Nerlich", "greentock_by_Peter_Nerlich"),
    _lomiri("Lukas Baubkus", "CC-BY-SA-3.0", "Kleiber_by_Lukas_Baubkus", year="20.04"),
    _mate("Charles Barbin", "Aqua", "LadyBird", "YellowFlower", "Garden", "TwoWings"),
    _mate("Lennart Poettering", "Blinds"),
    _mate("Marco Cogoni", "Dune"),
    _mate("Jens Ansorg", "FreshFlower"),
    _mate("Timothy Schellhase", "GreenMeadow"),
    _mate('"blackcombwhistler07"', "RainDrops"),
    _mate("Sergey Nazarov", "Storm"),
    _mate("Jean-François Fortin Tam", "Wood"),
    Photographer("Wyng Stancikaite", "GPL-2+", "mate-backgrounds", ("backgrounds/mate/abstract/Elephants_5640x3172.jpg",)),
    _plasma("Maciej Wiklo", "BytheWater"),
    _plasma("Risto Saukonpää", "ColdRipple", "DarkestHour", "Kite", "OneStandsOut", "Path", "summer_1am"),
    _plasma("Dmitri Popov", "ColorfulCups"),
    _plasma("Ian Hex", "EveningGlow"),
    _plasma("Martin Klapetek", "FallenLeaf"),
    _plasma("Sigi Sagi", "Grey"),
    _endless_sky("Berthold Werner", "CC-BY-SA-3.0", "bwerner*"),
    _endless_sky("Myrabella", "CC-BY-SA-3.0", "myrabella*"),
    _endless_sky("Dmitry A. Mottl", "CC-BY-SA-3.0", "dmottl*"),
    _endless_sky("Matthew Field", "CC-BY-SA-3.0", "mfield*"),
    _endless_sky("Chris Pickel", "CC-BY-SA-4.0", "*-sfiera"),
    _endless_sky("Michael Wilso", "CC-BY-SA-4.0", "*-striker"),
    _endless_sky("harro.eu", "CC-BY-SA-4.0", "*-harro"),
    _endless_sky("Iridium Ore", "CC-BY-SA-4.0", "*-iridium"),
    _endless_sky("Eric Denni", "CC-BY-SA-4.0", "*-spfld"),
    _endless_sky("Michael Zahniser", "CC-BY-SA-4.0", "lava5"),
    _endless_sky("NASA and USGS", "public domain", "nasa*", "space*", "earthrise", "desert0", "lava0", "station[1-4]"),
    _endless_sky("donors to morguefile.com and unsplash.com", "public domain", "*"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--packages", type=Path, help="folder for the packages; those that it holds are not fetched again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        packages = options.packages or Path(temporary)
        packages.mkdir(parents=True, exist_ok=True)
        for package in sorted({source.package for source in SOURCES}):
            unpack(package, packages)
        taken: set[Path] = set()
        count = squares = 0
        for source in SOURCES:
            share = packages / source.package / "usr" / "share"
            for original in (path for pattern in source.files for path in sorted(share.glob(pattern)) if path not in taken):
                taken.add(original)
                file = original.relative_to(share)
                name = f"{source.package}-{'-'.join(file.with_suffix('').parts[-4:])}".replace("/", "-")
                count += shrink(original, options.out, name)
                squares += cut(original, options.out, name)
                print(f"{file}: {source.name}, {source.license}, Debian's {source.package}", flush=True)
    print(f"{len(taken)} photographs, {count} pictures in {options.out}/color and in {options.out}/gray, {squares} squares")


def unpack(package: str, folder: Path) -> None:
    """Fetch a package of Debian's and unpack it, unless it is there."""
    if (folder / package).is_dir():
        return
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True, capture_output=True)
    (archive,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "--extract", archive, folder / package], check=True)


def shrink(original: Path, out: Path, name: str) -> int:
    """Write a photograph in several sizes, in color and in gray; return in how many."""
    pictures = dict(sizes(original, SHRINK, LONGEST))
    for size, picture in pictures.items():
        save(picture, out / "color" / f"{name}-{size}.png")
        save(picture.convert("L"), out / "gray" / f"{name}-{size}.png")
    return len(pictures)


def cut(original: Path, out: Path, name: str) -> int:
    """Write the squares of a photograph in several sizes that show something; return how many."""
    written = 0
    for size, picture in sizes(original, SQUARES_SHRINK, SQUARES_LONGEST):
        gray = picture.convert("L")
        light = np.asarray(gray, np.float32)
        rows, columns = (np.linspace(0, length - SIDE, length // SIDE).astype(int) for length in light.shape)
        for top in rows:
            for left in columns:
                if detail(light[top : top + SIDE, left : left + SIDE]) < DETAIL:
                    continue
                box = (left, top, left + SIDE, top + SIDE)
                file = f"{name}-{size}-{top}-{left}.png"
                save_square(picture.crop(box), out, file)
                written += 1
    return written


def save_square(square: Image.Image, out: Path, file: str) -> None:
    """Write a square in color, in gray, and both together."""
    for kind, picture in (("color", square), ("gray", square.convert("L"))):
        save(picture, out / f"squares-{kind}" / file)
        save(picture, out / "squares-both" / f"{kind}-{file}")


def detail(light: np.ndarray) -> float:
    """Return the median length of the gradient."""
    return float(np.median(np.hypot(light[1:, :-1] - light[:-1, :-1], light[:-1, 1:] - light[:-1, :-1])))


def sizes(original: Path, shrink: tuple[float, ...], longest: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield a photograph in RGB, in the sizes that are wanted, each with what its sides were divided by."""
    pixels = read_picture(original).pixels
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0]).convert("RGB")
    first = max(shrink[0], max(image.size) / longest)
    for factor in (first * step / shrink[0] for step in shrink):
        if min(image.size) / factor < SHORTEST:
            return
        yield f"{factor:.1f}", image.resize((round(image.width / factor), round(image.height / factor)), Image.Resampling.LANCZOS)


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


if __name__ == "__main__":
    main()
