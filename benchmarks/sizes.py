"""What an installation weighs: the wheel, the core with all that it needs, each extra on top of it, and each direct dependency.

    python benchmarks/sizes.py

Sizes are those of the files that the packages installed in this environment list as theirs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def closure(requirements: list[str], extra: str = "") -> set[str]:
    """Return the names of the installed packages that requirements lead to."""
    found: set[str] = set()
    left = [(Requirement(text), extra) for text in requirements]
    while left:
        wanted, asked = left.pop()
        if wanted.marker and not wanted.marker.evaluate({"extra": asked}):
            continue
        name = wanted.name.lower().replace("_", "-")
        known = name in found
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        if not known or wanted.extras:
            left += [(Requirement(text), one) for text in needs for one in ("", *wanted.extras)]
    return found - {"isthmus"}


def megabytes(names: set[str]) -> float:
    """Return the size of packages' files."""
    files = (file.locate() for name in names for file in metadata.files(name) or [])
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file()) / 1e6


def main() -> None:
    own = metadata.requires("isthmus") or []
    core = closure(own)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            folder,
            str(ROOT),
        ]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        print(f"wheel: {wheel.stat().st_size / 1e6:.1f} MB")
    print(f"core: {megabytes(core):,.0f} MB, {len(core)} packages, of which torch {megabytes({'torch'}):,.0f} MB")
    for extra in ("evaluate", "compress", "tune", "onnx", "hub", "camera", "track", "cluster"):
        more = closure(own, extra) - core
        print(f"[{extra}]: {megabytes(more):,.0f} MB more, {len(more)} packages")
    direct = {Requirement(text).name.lower() for text in own} - {"isthmus"}
    print(", ".join(f"{name} {megabytes({name}):,.0f}" for name in sorted(direct) if closure([name])))


if __name__ == "__main__":
    main()
