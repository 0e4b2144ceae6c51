"""Ray beside one process: throughput and memory against workers and pictures; and what that makes of millions, on paper.

    python benchmarks/scale.py measure photos/ --counts 1000 10000 100000 > docs/numbers/scale.jsonl
    python benchmarks/scale.py measure --counts 1000000 --workers 2 >> docs/numbers/scale.jsonl
    python benchmarks/scale.py page docs/numbers/scale.jsonl
    python benchmarks/scale.py train --counts 1000 8000 64000 > docs/numbers/training.jsonl
    python benchmarks/scale.py names --counts 10000 100000 > docs/numbers/names.jsonl
    python benchmarks/scale.py rounding > docs/numbers/rounding.jsonl

`measure` restores photographs with one process without Ray, with 1 and 2 workers, and with two processes side by side, which
shows what the machine allows; and small pictures (32 x 32 pixels, gray) likewise. Each process has one thread. Memory is the
largest sum of what the processes have alone (PSS), read once a second. `page` prints tables: what was measured, and what follows
for more pictures and machines; prices are assumptions, given with the table.

`train` trains on small pictures in a folder and in shards, with room for one megabyte of them and with room for all, and prints
the highest memory of the process (PSS), and the images that it trained on in a second. `names` lists small pictures, reads their
sizes, and writes a manifest of as many rows and reads it: seconds, and the memory that stays taken. `rounding` trains one epoch by
one process and by two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from isthmus import load

PHOTOGRAPHS = 192
"""So many are restored."""

SIDE, RESTORED_SIDE, PICTURES_EACH = 64, 32, 10_000
"""Of a small picture to learn from, and of one to restore; how many lie in one folder."""

BYTES_OF_NAME = 120
"""Of one file's name in the driver's memory: a Path, its text, and the set of those that are done."""

NAMES_LISTED, TASKS_PER_SECOND, TOGETHER = 1000, 1000, 32
"""Names in one answer of S3; tasks that Ray hands out (a cautious figure: its authors report more); names of a task."""

CORE_HOUR, READ_1000, WRITE_1000, LIST_1000 = 0.02, 0.0004, 0.005, 0.005
"""US dollars, assumed: a core for an hour on a spot market; 1,000 reads, writes and listings of an object store."""


def small_pictures(folder: Path, count: int, side: int = SIDE) -> None:
    """Write gray pictures of noise, all different."""
    chance = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"{index // PICTURES_EACH:03}" / f"{index:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (side, side), dtype=np.uint8)).save(path, compress_level=1)


def memory(process: psutil.Process) -> int:
    """Return the bytes of a process and all that it started, pages in common counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def restored(pictures: Path, model: str, workers: int) -> dict[str, Any]:
    """Restore a folder; 0 workers are one process without Ray. With Ray, working counts from the first file written to the last."""
    out = Path(tempfile.mkdtemp(dir=pictures.parent)) / "out"
    command = [sys.executable, "-m", "isthmus", "restore", model, str(pictures), "--out", str(out), "--device", "cpu"]
    command += ["--cluster", f"local[{workers}]"] if workers else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began, highest = time.monotonic(), 0
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            highest = max(highest, memory(watched))
            time.sleep(1)
    seconds = time.monotonic() - began
    written = [path.stat().st_mtime for path in out.rglob("*.*") if path.suffix in (".png", ".jpg")]
    manifest = sum(path.stat().st_size for path in out.glob("_manifest/*"))
    shutil.rmtree(out.parent)
    return {
        "workers": workers,
        "pictures": len(written),
        "seconds": round(seconds, 1),
        "seconds_working": round(max(written) - min(written) if workers else seconds, 1),
        "memory_mb": round(highest / 1e6),
        "manifest_bytes": manifest,
    }


def side_by_side(pictures: Path, model: str) -> dict[str, Any]:
    """Restore half of a folder in each of two processes that know nothing of each other: what the machine itself allows."""
    with tempfile.TemporaryDirectory(dir=pictures.parent) as name:
        halves = [Path(name) / half for half in ("first", "second")]
        for half in halves:
            half.mkdir()
        paths = sorted(pictures.iterdir())
        for index, path in enumerate(paths):
            os.link(path, halves[index % 2] / path.name)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "isthmus", "restore", model, "--device", "cpu", "--quiet"]
        began = time.monotonic()
        silent: Any = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        both = [subprocess.Popen([*command, str(half), "--out", f"{half}-out"], **silent) for half in halves]
        assert [process.wait() for process in both] == [0, 0]
        return {"workers": "two processes side by side", "pictures": len(paths), "seconds": round(time.monotonic() - began, 1)}


def measure(photographs: Path | None, counts: list[int], workers: list[int], runs: int) -> Iterator[dict[str, Any]]:
    """Yield the rows; the numbers of workers take turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photographs"
        folder.mkdir()
        pixels = 0
        for path in sorted(photographs.rglob("*.*"))[:PHOTOGRAPHS] if photographs else []:
            with Image.open(path) as image:
                image.convert("RGB").save(folder / f"{path.stem}.png", compress_level=1)
                pixels += image.width * image.height
        for run in range(runs if pixels else 0):
            for number in workers:
                row = restored(folder, "denoise-color", number)
                yield {"what": "photographs", "run": run, "megapixels": round(pixels / 1e6, 1), **row}
            yield {"what": "photographs", "run": run, **side_by_side(folder, "denoise-color")}
        for count in counts:
            small = Path(name) / f"small-{count}"
            small_pictures(small, count, RESTORED_SIDE)
            for number in workers:
                yield {"what": "small", "run": 0, **restored(small, "denoise-gray", number)}
            shutil.rmtree(small)


def shards(folder: Path, out: Path) -> None:
    """Write what is in a folder's subfolders as shards, one for each."""
    out.mkdir()
    for part in sorted(folder.iterdir()):
        with tarfile.open(out / f"{part.name}.tar", "w") as tar:
            for path in sorted(part.iterdir()):
                tar.add(path, path.name)


def trained(data: Path, room: list[str], seconds: int) -> dict[str, Any]:
    """Train for some seconds."""
    with tempfile.TemporaryDirectory() as out:
        model = Path(out) / "model.safetensors"
        command = [sys.executable, "-m", "isthmus", "train", str(data), "--out", str(model), "--device", "cpu", "--model", "conv"]
        command += [
            "--hidden",
            "4",
            "--size",
            str(SIDE),
            str(SIDE),
            "--batch-size",
            "64",
            "--budget",
            f"{seconds}s",
            *room,
            "--json",
        ]
        highest = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            watched = psutil.Process(process.pid)
            while process.poll() is None:
                highest = max(highest, memory(watched))
                time.sleep(0.2)
            assert process.stdout
            told = json.loads(process.stdout.read())
    rate = told["steps"] * 64 / told["train_seconds"]
    return {"memory_mb": round(highest / 1e6), "images_per_second": round(rate)}


def measure_training(counts: list[int], seconds: int) -> Iterator[dict[str, Any]]:
    """Yield the rows."""
    with tempfile.TemporaryDirectory() as name:
        for count in counts:
            folder, packed = Path(name) / f"folder-{count}", Path(name) / f"shards-{count}"
            small_pictures(folder, count)
            shards(folder, packed)
            for data in (folder, packed):
                for room in (["--memory", "1MB", "--disk", "0"], []):
                    kind = {"what": "training", "kind": data.name.partition("-")[0], "pictures": count, "room": " ".join(room)}
                    yield {**kind, **trained(data, room, seconds)}
            shutil.rmtree(folder)
            shutil.rmtree(packed)


def rounding() -> Iterator[dict[str, Any]]:
    """Yield how far the weights of a training in float32 end from those of one process with one thread: largest and mean."""
    task = ["isthmus", "train", "mnist-5k", "--epochs", "1", "--precision", "float32", "--device", "cpu", "--model", "conv"]
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "-m"]
    kinds = {"one process": (1, []), "one process, two threads": (2, []), "two processes, one thread each": (1, torchrun)}
    usual: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind, (threads, by) in kinds.items():
            out = Path(name) / f"{kind}.safetensors"
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
            subprocess.run([sys.executable, "-m", *by, *task, "--out", out], env=environment, check=True, capture_output=True)
            weights = load(out, device="cpu").network.state_dict()
            usual = usual or weights
            apart = [(weights[key] - tensor).abs() for key, tensor in usual.items()]
            mean = sum(float(each.sum()) for each in apart) / sum(each.numel() for each in apart)
            yield {"what": "rounding", "kind": kind, "largest": max(float(each.max()) for each in apart), "mean": mean}


def counted(count: int) -> dict[str, Any]:
    """Measure what does not depend on pixels: names in a folder, members of a shard, rows of a manifest."""
    import pyarrow as pa

    from isthmus.cluster.manifest import WRITTEN, Manifest
    from isthmus.datasets import open_data
    from isthmus.storage.store import Store

    row: dict[str, Any] = {"what": "names", "names": count}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        before, began = psutil.Process().memory_full_info().uss, time.perf_counter()
        result = work()
        row[f"{name}_seconds"] = round(time.perf_counter() - began, 2)
        row[f"{name}_memory_mb"] = round((psutil.Process().memory_full_info().uss - before) / 1e6, 1)
        return result

    with tempfile.TemporaryDirectory() as name:
        folder, packed, out = Path(name) / "in", Path(name) / "shards", Store.at(Path(name) / "out")
        small_pictures(folder, count)
        shards(folder, packed)
        source = timed("folder", lambda: open_data(folder))
        in_shards = timed("shards", lambda: open_data(packed))
        timed("sizes", source.sizes)
        assert len(in_shards.files) == len(source.files) == count
        manifest = Manifest(out, "_manifest/", {})
        paths = list(map(str, source.files))
        for first in range(0, count, TOGETHER):
            some = paths[first : first + TOGETHER]
            columns = {"path": some, "outcome": [WRITTEN] * len(some), "reason": [""] * len(some)}
            columns |= {"seconds": np.random.default_rng(first).random(len(some)).tolist(), "worker": ["node-1:1000"] * len(some)}
            manifest.add(pa.table(columns))
        manifest.flush()
        row["manifest_bytes"] = sum(path.stat().st_size for path in Path(out.root).glob("_manifest/*"))
        done = timed("manifest", lambda: Manifest(out, "_manifest/", {}).begin(resume=True))
        assert len(done) == count
    return row


def page(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield "| pictures | workers | seconds, starting included | pictures a second, from the first to the last | memory, MB |"
    yield "|---|---|---|---|---|"
    apart = [row["seconds"] for row in rows if "memory_mb" not in row]
    rows = [row for row in rows if "memory_mb" in row]
    middle: dict[tuple[str, int, int], dict[str, Any]] = {}
    for key in dict.fromkeys((row["what"], row["pictures"], row["workers"]) for row in rows):
        same = [row for row in rows if (row["what"], row["pictures"], row["workers"]) == key]
        middle[key] = row = sorted(same, key=lambda row: row["seconds_working"])[len(same) // 2]
        name = f"{row['pictures']:,} {'of 32 x 32' if row['what'] == 'small' else 'photographs'}"
        rate = f"{row['pictures'] / row['seconds_working']:.2f}"
        yield f"| {name} | {row['workers'] or 'no Ray'} | {row['seconds']:.0f} | {rate} | {row['memory_mb']:,} |"
    photographs = {workers: row for (what, _, workers), row in middle.items() if what == "photographs"}
    if {1, 2} <= set(photographs):
        ratio = photographs[1]["seconds_working"] / photographs[2]["seconds_working"]
        yield f"\nTwo workers restore photographs {ratio:.2f} times as fast as one."
    if apart:
        yield f"\nTwo processes side by side, which know nothing of each other, take {min(apart):.0f} seconds, starting included."
    many = [row for (what, _, _), row in middle.items() if what == "small"]
    if not many or 1 not in photographs:
        return
    most = max(many, key=lambda row: row["pictures"])
    kinds = {
        f"photographs of {photographs[1]['megapixels'] / photographs[1]['pictures']:.2f} megapixels": photographs[1]["pictures"]
        / photographs[1]["seconds_working"],
        "32 x 32": most["pictures"] / most["seconds_working"] / 2,
    }
    yield "\n| pictures | kind | nodes of 16 cores | hours | bounded by | names, GB | listings | manifest, GB | dollars |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind, rate in kinds.items():
        for count in (10**6, 10**7, 10**8, 10**9):
            for nodes in (1, 10, 100, 1000):
                work, handing = count / (rate * 16 * nodes), count / TOGETHER / TASKS_PER_SECOND
                hours, bound = max((work / 3600, "cores"), (handing / 3600, "the driver's tasks"))
                requests = count / 1000 * (READ_1000 + WRITE_1000) + count / NAMES_LISTED / 1000 * LIST_1000
                names, manifest = count * BYTES_OF_NAME / 1e9, count * most["manifest_bytes"] / most["pictures"] / 1e9
                yield (
                    f"| 10^{len(str(count)) - 1} | {kind} | {nodes:,} | {hours:,.2f} | {bound} | {names:,.2f} | "
                    f"{count // NAMES_LISTED:,} | {manifest:,.2f} | {hours * 16 * nodes * CORE_HOUR + requests:,.0f} |"
                )


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("photographs", type=Path, nargs="?")
    measuring.add_argument("--counts", type=int, nargs="*", default=[1000, 10_000])
    measuring.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2], help="0 is one process without Ray")
    measuring.add_argument("--runs", type=int, default=3)
    trainings = commands.add_parser("train")
    trainings.add_argument("--counts", type=int, nargs="*", default=[1000, 8000])
    trainings.add_argument("--seconds", type=int, default=10)
    naming = commands.add_parser("names")
    naming.add_argument("--counts", type=int, nargs="*", default=[10_000, 100_000])
    commands.add_parser("rounding")
    paging = commands.add_parser("page")
    paging.add_argument("rows", type=Path)
    chosen = parser.parse_args()
    if chosen.command != "page":
        measured: Iterable[dict[str, Any]]
        if chosen.command == "train":
            measured = measure_training(chosen.counts, chosen.seconds)
        elif chosen.command == "rounding":
            measured = rounding()
        elif chosen.command == "names":
            measured = map(counted, chosen.counts)
        else:
            measured = measure(chosen.photographs, chosen.counts, chosen.workers, chosen.runs)
        for row in measured:
            print(json.dumps(row), flush=True)
    else:
        print("\n".join(page([json.loads(line) for line in chosen.rows.read_text().splitlines()])))


if __name__ == "__main__":
    main()
