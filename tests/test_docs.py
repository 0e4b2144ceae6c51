"""Every block of code in the README and the docs runs, on small pictures and for seconds instead of minutes."""

import re
import shlex
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from isthmus.corruptions import CORRUPTIONS
from isthmus.datasets.arrays import write_idx
from isthmus.datasets.catalog import embedded
from isthmus.networks import NETWORKS
from isthmus.recipes.tasks import TASKS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

ELSEWHERE = {
    "isthmus serve": "tests/web",
    "isthmus push": "tests/export/test_hub.py",
    "isthmus export denoise-color --web": "tests/web/test_standalone.py",
    "isthmus pull": "tests/export/test_hub.py",
    "isthmus reproduce": "tests/report/test_chapter.py",
    "curl": "tests/web/test_api.py",
    "make": "make itself",
    "pip": "make install",
    "uv": "make install",
    "python benchmarks/": "by hand",
    "python training/": "by hand",
    "python run.py": "tests/export/test_onnx.py",
}
"""Commands that are run in another place, by how they begin."""

SHORT = [
    (r"--budget \S+", "--budget 2s"),
    (r'budget="\w+"', 'budget="2s"'),
    (r"--epochs \d+", "--epochs 1"),
    (r"--bound-samples \d+", "--bound-samples 5"),
    (r"(--recipe (features|vae))", r"\1 --epochs 1"),
    (r"--patch \d+", "--patch 32"),
    (r"--model photographic", "--model photographic --patch 64"),
    (r"(mnist(?!-5k).*?)( *#|$)", r"\1 --data-dir .\2"),
]
"""What is made short, or found without a network."""


def blocks(page):
    """Return the page's fenced blocks, (language, code)."""
    return re.findall(r"^```([\w{}-]*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(code):
    """Return the command lines of a block: what begins with a name that is run, without remarks."""
    for line in code.replace("\\\n", " ").splitlines():
        if line.startswith(("isthmus ", *ELSEWHERE)):
            yield line.partition(" #")[0].strip()


def shortened(text):
    for pattern, short in SHORT:
        text = re.sub(pattern, short, text)
    return text


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The folders and files that the pages speak of."""
    root = tmp_path_factory.mktemp("sources")
    cuts = [
        np.ascontiguousarray(p[y : y + 72, x : x + 96])
        for p in (astronaut(), chelsea(), coffee())
        for y, x in ((0, 100), (90, 150), (180, 60), (200, 200))
    ]
    rng = np.random.default_rng(0)
    for folder in ("photos", "clean-ones", "color-photos", "scans", "more-scans", "noisy", "dirty", "small", "downloads", "album"):
        (root / folder).mkdir()
        for index, cut in enumerate(cuts):
            pixels = cut
            if folder in ("noisy", "dirty"):
                pixels = (cut + rng.normal(0, 20, cut.shape)).clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(pixels)
            picture = picture.convert("L") if folder == "album" else picture
            name = f"{index:02}.jpg" if folder == "downloads" else f"{index:02}.png"
            picture.save(root / folder / name)
    images, labels = embedded("mnist-5k")
    few = slice(None, None, 40)
    for folder in ("parts", "new-parts"):
        (root / folder).mkdir()
        for index, image in enumerate(images[few]):
            Image.fromarray(image).save(root / folder / f"{index:03}.png")
    for name, index in (("seven", 3500), ("two", 1000)):
        Image.fromarray(images[index]).save(root / f"{name}.png")
    Image.fromarray(cuts[0]).save(root / "scan.png")
    mask = np.zeros(cuts[0].shape[:2], np.uint8)
    mask[20:30, 30:60] = 255
    Image.fromarray(mask).save(root / "scratches.png")
    Image.fromarray(cuts[4]).convert("L").save(root / "portrait.png")
    Image.fromarray(np.dstack([np.full_like(cuts[4], (200, 120, 60)), mask])).save(root / "dots.png")
    (root / "mnist").mkdir()
    for kind, chosen in (("train", slice(0, None, 12)), ("t10k", slice(5, None, 60))):
        write_idx(root / "mnist" / f"{kind}-images-idx3-ubyte", images[chosen])
        write_idx(root / "mnist" / f"{kind}-labels-idx1-ubyte", labels[chosen].astype(np.uint8))
    return root


@pytest.fixture
def worker(sources, tmp_path, monkeypatch):
    """A folder of one's own with all of that, in which a page's commands are run; the tables are as before afterwards."""
    shutil.copytree(sources, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    before = [(table, set(table)) for table in (CORRUPTIONS, TASKS, NETWORKS)]
    yield tmp_path / "desk"
    for table, entries in before:
        for name in set(table) - entries:
            table.remove(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore")
def test_every_block_of_code_runs(page, worker, run, monkeypatch, sources):
    module = types.ModuleType(f"docs_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    photographs = np.stack([np.asarray(Image.open(path)) for path in sorted((sources / "noisy").iterdir())])
    digits = np.stack([np.asarray(Image.open(path)) for path in sorted((sources / "parts").iterdir())])
    vars(module).update(noisy=photographs, images=digits if page.stem == "compress" else photographs)
    for language, code in blocks(page):
        if language == "python" and "sys.argv" not in code:  # a script of its own: tests/export/test_onnx.py
            exec(compile(shortened(code), f"{page.name}", "exec"), vars(module))
        if language == "":
            for line in commands(code):
                if not line.startswith(tuple(ELSEWHERE)):
                    follow(shortened(line), run)


def follow(line, run):
    """Run one command line; where its result stands already, it gives way."""
    arguments = shlex.split(line)[1:]
    written = None
    if ">" in arguments:
        arguments, written = arguments[: arguments.index(">")], arguments[-1]
    if "--out" in arguments:
        out = Path(arguments[arguments.index("--out") + 1])
        shutil.rmtree(out, ignore_errors=True) if out.is_dir() else out.unlink(missing_ok=True)
    status, printed, err = run(*arguments)
    assert status == 0, f"{line}\n{err}"
    if written:
        Path(written).write_text(printed)


def test_what_is_not_run_here_is_known():
    lines = [line for page in PAGES for language, code in blocks(page) if language == "" for line in code.splitlines()]
    strange = [
        line for line in lines if re.match(r"(isthmus|python|pip|curl|make|hf|apt)\b", line) and not next(commands(line), "")
    ]
    assert strange == []


def test_an_example_of_extending_has_fewer_than_thirty_lines():
    sizes = [len(code.splitlines()) for language, code in blocks(ROOT / "docs" / "extend.md") if language == "python"]
    assert len(sizes) == 4
    assert max(sizes) < 30


def test_where_to_find_what_names_files_that_exist():
    page = (ROOT / "docs" / "extend.md").read_text().partition("## Where to find what")[2]
    files = re.findall(r"\| `([\w/]+\.py)` \|", page)
    assert len(files) == 12
    assert [file for file in files if not (ROOT / "src" / "isthmus" / file).is_file()] == []
