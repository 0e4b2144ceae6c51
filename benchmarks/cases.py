"""Files of all kinds through the command line: what comes back right, what is refused, and what is wrong.

    python benchmarks/cases.py FOLDER [FOLDER ...] --verbs denoise upscale [--strength 0] [--model SMALL.safetensors]

Each file below the folders goes alone through each verb, in a process of its own that a crash or a hang ends. A result is compared
with its source by programs that are not isthmus: Pillow and libvips (`vips`) for the format, size, frames, depth, alpha and colors,
ExifTool (`exiftool`) for metadata; what is not installed is not compared. Colors are compared in a grid of 8 x 8 means, so that
denoising does not count; with strength 0, which only resizes, they must be the same.

A finding is one of: a traceback, a death or a hang; exit status 0 with a wrong result; metadata or depth lost without a word on
stderr; an error of more than a sentence. Each is a line of JSON; the last line counts all outcomes.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import functools
import io
import json
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from skimage.color import rgb2lab

import isthmus.cli.restore
import isthmus.restore
from isthmus import cli
from isthmus.imaging.arrays import Array
from isthmus.imaging.picture import FORMATS

VERBS = {
    "denoise": ["denoise"], "repair": ["repair"], "colorize": ["colorize"], "upscale": ["upscale"],
    "upscale-x3": ["upscale", "--factor", "3"], "upscale-x4": ["upscale", "--factor", "4"],
}  # fmt: skip
SCALES = {"upscale": 2, "upscale-x3": 3, "upscale-x4": 4}

HANG_SECONDS = 600
CLOSE, FAR = 5.0, 40.0
"""Of 255, between the means of the 64 parts of a picture and of its result: over all parts, and in one of them."""

LEAST_SIDE = 16
"""Pixels of a part's side."""

GROUPS = ("IFD0", "ExifIFD", "GPS", "IPTC", "JFIF", "PNG", "PNG-pHYs", "ICC-header", "GIF", "File", "XMP-")
"""ExifTool's groups that say something about the picture."""

STRUCTURE = """
Orientation ImageWidth ImageHeight ExifImageWidth ExifImageHeight BitsPerSample Compression PhotometricInterpretation StripOffsets
SamplesPerPixel RowsPerStrip StripByteCounts PlanarConfiguration TileWidth TileLength TileOffsets TileByteCounts Predictor
SubfileType ExtraSamples SampleFormat ColorMap YCbCrSubSampling YCbCrPositioning YCbCrCoefficients ReferenceBlackWhite FillOrder
JPEGTables T4Options T6Options InkSet NumberOfInks PageNumber MinSampleValue MaxSampleValue GrayResponseUnit GrayResponseCurve
OldSubfileType FileName Directory FileSize FileModifyDate FileAccessDate FileInodeChangeDate FilePermissions FileType
FileTypeExtension MIMEType ExifByteOrder EncodingProcess ColorComponents CurrentIPTCDigest ColorType Interlace Filter Palette
Transparency BackgroundColor SignificantBits PaletteHistogram JFIFVersion AnimationFrames AnimationPlays NumPlanes ImageLength
PixelXDimension PixelYDimension GIFVersion HasColorMap ColorResolutionDepth BitsPerPixel FrameCount Duration ThumbnailOffset
ThumbnailLength ThumbnailImage TransferFunction RenderingIntent BMPVersion TransparentColor RedMask GreenMask BlueMask AlphaMask
ColorSpace SMinSampleValue SMaxSampleValue ThumbnailTIFF PreviewImage PreviewImageStart PreviewImageLength
ProfileDataOffset Matteing
"""
"""What tells how the pixels lie in the file, and not what they show."""


with contextlib.suppress(ImportError):
    import pillow_heif

    pillow_heif.register_heif_opener()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--verbs", nargs="+", choices=VERBS, default=["denoise", "upscale"])
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--model", type=Path, help="instead of those that ship")
    parser.add_argument("--keep", type=Path, help="folder for the results")
    parser.add_argument("--largest", type=int, default=1_000_000, help="pixels beyond which a file is left out")
    options = parser.parse_args()
    files = [path for folder in options.folders for path in sorted(folder.rglob("*")) if wanted(path, options.largest)]
    more = ["--strength", str(options.strength), *(["--model", str(options.model)] if options.model else [])]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        out = options.keep or Path(temporary)
        for path, verb, (outcome, detail) in outcomes(files, options.verbs, out, more):
            counts[outcome] += 1
            if outcome not in ("right", "refused"):
                print(json.dumps({"file": str(path), "verb": verb, "finding": outcome, "detail": detail}), flush=True)
    print(json.dumps({"files": len(files), "results": sum(counts.values()), **counts}))


def wanted(path: Path, largest: int) -> bool:
    """Leave out what is no picture, and what takes long: the kinds matter here, not the size."""
    if not path.is_file() or path.suffix.lower() not in FORMATS:
        return False
    with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"), Image.open(path) as image:
        return image.width * image.height * getattr(image, "n_frames", 1) <= largest
    return path.stat().st_size <= 1 << 21


def outcomes(files: list[Path], verbs: list[str], out: Path, more: list[str]) -> Iterator[tuple[Path, str, tuple[str, Any]]]:
    pool = ProcessPoolExecutor(1)
    for index, path in enumerate(files):
        for verb in verbs:
            target = out / f"{index:05}-{verb}{'.tif' if FORMATS[path.suffix.lower()] == 'RAW' else path.suffix}"
            try:
                yield path, verb, pool.submit(outcome_of, path, verb, target, more).result()
            except BrokenProcessPool:
                yield path, verb, ("dead", f"the process died, or hung for {HANG_SECONDS} seconds")
                pool = ProcessPoolExecutor(1)
    pool.shutdown()


vars(isthmus.restore)["load"] = functools.cache(isthmus.load)  # loading takes longer than the rest


def outcome_of(path: Path, verb: str, target: Path, more: list[str]) -> tuple[str, Any]:
    """Return what became of a file: "right", "refused", or a finding with its details."""
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    try:
        status, said = run([*VERBS[verb], str(path), "--out", str(target), "--overwrite", "--device", "cpu", *more])
    except Exception:
        return "traceback", traceback.format_exc()[-1500:]
    finally:
        faulthandler.cancel_dump_traceback_later()
    if any(not line.startswith("isthmus: ") for line in said.splitlines()):
        return "noise", said[:500]
    if status:
        return ("refused", said) if status in (3, 5) and not target.exists() else ("status", [status, said[:300]])
    if not target.exists():
        targets = list(target.parent.glob(f"{target.stem}*/*")) if target.is_dir() else []
        if not targets:
            return "nothing written", said
        target = targets[0]
    close, far = (1.5, 8.0) if more[1] == "0.0" else (CLOSE, FAR)
    wrong = [*differences(path, target, SCALES.get(verb, 1), verb == "colorize", close, far, said), *lost(path, target, said)]
    return ("wrong", [wrong, said[:300]]) if wrong else ("right", "")


def run(arguments: list[str]) -> tuple[int, str]:
    """Run the command line here; return its exit status and what it says on stderr."""
    sys.argv, said = ["isthmus", *arguments], io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    raise RuntimeError("The command line did not exit.")


def differences(source: Path, result: Path, scale: int, colorized: bool, close: float, far: float, said: str) -> list[str]:
    """Return in what a result differs from its source, as other programs read them."""
    with warnings.catch_warnings(action="ignore"):
        before, after = by_pillow(source), by_pillow(result)
        if before is None or after is None:  # one program reads both: each has its own way with premultiplied colors
            before, after = by_vips(source), by_vips(result)
    if before is None or (colorized and by_pillow(source) is None):  # libvips takes signed numbers and floats as they are
        return []
    if after is None:
        return ["the result is not read by others"]
    found = []
    if len(before) != len(after) and "further pictures" not in said:
        found.append(f"{len(before)} frames became {len(after)}")
    for place, (old, new) in enumerate(zip(before, after, strict=False)):
        if new.shape[:2] != tuple(side * scale for side in old.shape[:2]):
            found.append(f"frame {place}: {old.shape} became {new.shape}")
            continue
        new = new.reshape(old.shape[0], scale, old.shape[1], scale, 3).mean((1, 3))
        apart = np.abs(grid(old, colorized) - grid(new, colorized))
        if apart.mean() > close or apart.max() > far:
            found.append(f"frame {place}: the parts differ by {apart.mean():.1f}, one by {apart.max():.1f}")
    return found


def grid(image: Array, gray: bool) -> Array:
    """Return the means of up to 8 x 8 parts of an image `(H, W, 3)`, or of its lightness, large enough that noise cancels out."""
    image = rgb2lab(image / 255)[:, :, :1] * 2.55 if gray else image  # what a colorizer keeps
    rows, columns = (min(8, -(-side // LEAST_SIDE)) for side in image.shape[:2])
    parts = [np.array_split(row, columns, 1) for row in np.array_split(image, rows)]
    return np.array([[part.mean((0, 1)) for part in row] for row in parts])


def by_pillow(path: Path) -> list[Array] | None:
    """Return all frames, upright, in sRGB of 8 bits over gray; None where Pillow does not open the file as it is."""
    with contextlib.suppress(Exception), Image.open(path) as image:
        if image.mode[0] in "IF" or image.mode == "LAB":
            return None
        frames = []
        for place in range(1 if image.format in ("MPO", "JPEG") else getattr(image, "n_frames", 1)):
            image.seek(place)
            whole = ImageOps.exif_transpose(image)
            if whole.has_transparency_data:
                whole = Image.alpha_composite(Image.new("RGBA", whole.size, (127, 127, 127, 255)), whole.convert("RGBA"))
            frames.append(np.asarray(whole.convert("RGB")).astype(np.float32))
        return frames
    return None


def by_vips(path: Path) -> list[Array] | None:
    if not shutil.which("vips"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        one, two, three = (str(Path(folder, name)) for name in ("1.v", "2.v", "3.png"))
        for step in (["autorot", str(path), one], ["colourspace", one, two, "srgb"], ["flatten", two, f"{three}[strip]"]):
            if subprocess.run(["vips", *step], capture_output=True, check=False).returncode:
                return None
        with Image.open(three) as image:
            values = np.asarray(image)
            values = values / 257 if values.dtype == np.uint16 else values
            values = values.reshape(*values.shape[:2], -1)[:, :, :3]
            return [np.repeat(values[:, :, :1], 3, 2).astype(np.float32) if values.shape[2] < 3 else values.astype(np.float32)]


def lost(source: Path, result: Path, said: str) -> list[str]:
    """Return the metadata that a result lacks, by ExifTool, where nothing was said of it."""
    if not shutil.which("exiftool"):
        return []
    command = ["exiftool", "-j", "-G1", "-n", "-a", str(source), str(result)]
    answer = subprocess.run(command, capture_output=True, check=False).stdout or b"[]"
    both: dict[str, dict[str, Any]] = {entry["SourceFile"]: entry for entry in json.loads(answer.decode(errors="replace"))}
    before, after = both.get(str(source), {}), both.get(str(result), {})
    structure = STRUCTURE.split()
    names = [name for name in before if name.startswith(GROUPS) and name.split(":")[-1] not in structure]
    gone = [name for name in names if name not in after]
    if any(word in said for word in ("notes", "metadata", "EXIF is damaged", "profile is damaged", "say does not come back")):
        return []
    found = [f"lost {' '.join(gone[:12])}"] if gone else []
    bits = [next((part[key] for key in part if key.endswith(":BitsPerSample")), None) for part in (before, after)]
    deepest = [max((int(number) for number in str(bit).split() if number.isdigit()), default=0) for bit in bits]
    if deepest[1] and deepest[0] > 8 and deepest[1] < deepest[0]:
        found.append(f"{deepest[0]} bits became {deepest[1]}")
    return found


if __name__ == "__main__":
    main()
