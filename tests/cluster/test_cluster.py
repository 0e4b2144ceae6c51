"""Ray on this machine: the same bytes as one process, whatever is killed; S3 by a server on loopback."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import isthmus
from isthmus.errors import IsthmusError, UsageError
from isthmus.storage import atomic
from isthmus.storage.store import Store, is_url

os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it when it is imported; its own clusters ask for a token
os.environ.setdefault("RAY_worker_niceness", "0")  # else a busy machine would let its workers wait
ray = pytest.importorskip("ray", reason="needs Ray, isthmus[cluster]")

from isthmus.cluster.images import encode_pictures, score_pictures  # noqa: E402
from isthmus.cluster.manifest import FIELDS, Manifest  # noqa: E402
from isthmus.cluster.pictures import MANIFEST, How, restore_pictures  # noqa: E402
from isthmus.cluster.run import run as run_job  # noqa: E402
from isthmus.cluster.session import SETTINGS, Cluster  # noqa: E402
from isthmus.datasets import open_data  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray warns of its own deprecations and unclosed files

HEAD = """
import sys, ray
node = ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 << 20, _node_ip_address="127.0.0.1")
print("ready", node.address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processors, which runs already."""
    environment = {**os.environ, **SETTINGS, "OMP_NUM_THREADS": "1"}
    for _ in range(4):  # on a busy machine, Ray gives up on itself after 30 seconds
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        found = next((line.split()[1] for line in head.stdout if line.startswith("ready ")), None)
        if found:
            break
        head.wait()
    else:
        pytest.skip("Ray does not start on this machine")
    yield Cluster(address=found)
    head.stdin.close()
    head.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 small gray pictures of several sizes, and one that is none."""
    folder, chance = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    for index in range(40):
        pixels = chance.integers(0, 256, (20 + index // 3 % 3, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02}.{'png' if index % 2 else 'jpg'}")
    (folder / "broken.png").write_bytes(b"\x89PNG, and no more")
    (folder / "labels.csv").write_text("00.jpg,3\n")
    return folder


@pytest.fixture(scope="module")
def how():
    return How(models=(isthmus.load("denoise-gray", device="cpu").to_bytes(),), device="cpu")


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    """What one process makes of the folder, by name."""
    out = tmp_path_factory.mktemp("one") / "out"
    model = isthmus.load("denoise-gray", device="cpu")
    source = open_data(folder)
    source.rewrite(out, lambda images: model.restore(images))
    return contents(out)


def contents(folder):
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert not [name for name in files if name.startswith(".")]
    return files


def rows(out, *columns):
    return pq.read_table(out / MANIFEST).select(columns or ["path", "outcome", "reason"]).to_pylist()


@dataclass(frozen=True, kw_only=True)
class Job:
    """Writes a file for each picture; for one named "07.png" it does something else."""

    out: Store
    odd: str
    extra: dict = field(default_factory=dict)

    def start(self):
        def work(names):
            for name in names:
                if name == "07.png" and self.odd == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                if name == "07.png" and self.odd == "full":
                    os.fsync = full
                self.out.write(name, b"done")
                yield [{}]

        return work


def full(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def by_value():
    """Let the workers have what this module defines, which they cannot import."""
    module = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(module)
    yield
    ray.cloudpickle.unregister_pickle_by_value(module)


def test_two_workers_write_what_one_process_writes_although_one_is_killed(cluster, folder, how, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.cluster.run.TASKS_PER_WORKER", 4)  # five files each, of which neighbors are restored together
    told, killed = [], []

    def kill_one(done, total):
        told.append((done, total))
        if not killed:
            for process in psutil.process_iter(["cmdline"]):
                with contextlib.suppress(psutil.Error):
                    if "ray::MapWorker" in " ".join(process.cmdline()):
                        process.kill()
                        killed.append(process.pid)
                        break

    written = restore_pictures(how, open_data(folder), tmp_path / "out", cluster, on_progress=kill_one)
    assert killed
    assert contents(tmp_path / "out") == expected
    assert (written.count, written.there, [one.name for one in written.skipped]) == (40, 0, ["broken.png"])
    assert told[-1] == (41, 41)
    table = rows(tmp_path / "out", "path", "outcome", "reason", "seconds", "worker")
    assert sorted(row["path"] for row in table) == sorted(path.name for path in folder.iterdir() if path.suffix != ".csv")
    assert [(row["path"], row["outcome"]) for row in table if row["outcome"] != "written"] == [("broken.png", "failed")]
    assert all(row["seconds"] > 0 and ":" in row["worker"] for row in table)


@pytest.mark.usefixtures("by_value")
def test_a_picture_that_kills_its_workers_is_named_and_ends_nothing(cluster, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.cluster.run.RETRIES", 0)  # each takes seconds
    out = Store.at(tmp_path / "out")
    manifest = Manifest(out, MANIFEST, {})
    with manifest.held(overwrite=False, resume=False):
        written = run_job(Job(out=out, odd="killed"), open_data(folder), manifest, cluster, resume=False)
    assert written.count == 40
    assert [one.name for one in written.skipped] == ["07.png"]
    assert "again and again" in written.skipped[0].reason
    assert len(list((tmp_path / "out").glob("*.*g"))) == 40


@pytest.mark.usefixtures("by_value")
def test_a_full_disk_ends_the_run_with_a_sentence(cluster, folder, tmp_path):
    assert atomic.os is os  # what the job replaces is what is called
    out = Store.at(tmp_path / "out")
    manifest = Manifest(out, MANIFEST, {})
    with pytest.raises(IsthmusError, match="Disk full while writing"), manifest.held(overwrite=False, resume=False):
        run_job(Job(out=out, odd="full"), open_data(folder), manifest, cluster, resume=False)
    files = [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    assert {path.read_bytes() for path in files} <= {b"done"}
    assert "07.png" not in [path.name for path in files]


def test_a_run_that_was_killed_is_resumed(cluster, folder, expected, tmp_path, start, run):
    out = tmp_path / "out"
    options = ("--cluster", "local[2]", "--device", "cpu")
    first = start("restore", "denoise-gray", folder, "--out", out, *options, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while first.poll() is None and not list(out.glob("*.*g")):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert all(expected[path.name] == path.read_bytes() for path in out.glob("*.*g"))
    status, _, said = run("restore", "denoise-gray", folder, "--out", out, "--cluster", cluster.address, "--resume")
    assert (status, contents(out)) == (5, expected), said


def test_codes_and_scores_are_those_of_one_process(cluster, digits, conv, tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.cluster.run.TASKS_PER_WORKER", 4)
    pictures = tmp_path / "digits"
    pictures.mkdir()
    for index, digit in enumerate(digits[:30]):
        Image.fromarray(digit).save(pictures / f"{index:02}.png")
    Image.fromarray(255 - digits[0]).save(pictures / "strange.png")
    images = open_data(pictures).read("all").images
    encoded = encode_pictures(conv, open_data(pictures), tmp_path / "codes", cluster)
    assert encoded.count == 31
    table = pq.read_table(tmp_path / "codes").sort_by("path")
    codes = np.stack(
        [np.reshape(code, shape) for code, shape in zip(*(table[name].to_pylist() for name in ("code", "shape")), strict=True)]
    )
    np.testing.assert_allclose(codes, conv.encode(images), atol=1e-4)
    scored = score_pictures(conv, open_data(pictures), tmp_path / "scores", cluster)
    table = pq.read_table(tmp_path / "scores" / "scores.parquet")
    assert table["path"][0].as_py() == "strange.png"
    scores = table["score"].to_numpy()
    assert np.all(np.diff(scores) <= 0)
    from isthmus.evaluation.novelty import novelty

    one = novelty(conv, pictures)
    np.testing.assert_allclose(scores, np.sort(one.scores)[::-1], rtol=1e-3)
    assert scored.result["images"] == 31


def test_pictures_go_from_s3_to_s3(cluster, folder, how, expected, bucket):
    for path in folder.iterdir():
        if path.name != "broken.png":
            bucket.put(str(path), f"photos/in/{path.name}")
    written = restore_pictures(how, open_data("s3://photos/in"), "s3://photos/out", cluster)
    assert (written.count, written.skipped) == (40, ())
    bucket.invalidate_cache()  # it remembers what it has listed, and others have written since
    assert {path.split("/")[-1]: bucket.cat(path) for path in bucket.glob("photos/out/*.*")} == expected
    with pytest.raises(UsageError, match="exists already"):
        restore_pictures(how, open_data("s3://photos/in"), "s3://photos/out", cluster)
    again = restore_pictures(how, open_data("s3://photos/in"), "s3://photos/out", cluster, resume=True)
    assert (again.count, again.there) == (0, 40)


@pytest.mark.parametrize(("size", "expected"), [(1000, 31), (1_000_000, 16), (9_000_000, 1), (50_000_000, 1)])
def test_a_task_has_many_small_files_or_few_large_ones(tmp_path, monkeypatch, size, expected):
    """1,000 files for two workers: 16 tasks for each at least, and about 16 MiB a task."""
    names = [f"{index}.png" for index in range(1000)]
    for name in names:
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, size)
    asked = []

    class ACluster(Cluster):
        @contextlib.contextmanager
        def connected(self):
            yield 2

    def passed(job, names, together, *others, alone):
        asked.append(together)
        yield pa.Table.from_pylist([{"path": name, "outcome": "written", "name": os.fsencode(name)} for name in names], schema)

    schema = pa.schema([*FIELDS, ("name", pa.binary())])
    monkeypatch.setattr("isthmus.cluster.run._passed", passed)
    out = Store.at(tmp_path / "out")
    written = run_job(Job(out=out, odd=""), open_data(tmp_path), Manifest(out, "", {}), ACluster(address="local[2]"), resume=False)
    assert (written.count, asked) == (1000, [expected])


def test_mistakes_get_a_sentence(folder, tmp_path, run):
    def said(*more, out=tmp_path / "out"):
        status, _, text = run("restore", "denoise-gray", folder, "--out", out, *more)
        assert status == 2, text
        return text

    assert "local[N]" in said("--cluster", "local[0]")
    assert "need --cluster" in said(out="s3://bucket/out")
    assert "the input itself" in said("--cluster", "local[1]", out=folder)
    assert "Cannot reach the Ray cluster" in said("--cluster", "127.0.0.1:1")


def test_urls_and_windows_drives_are_told_apart():
    assert [is_url(name) for name in ("s3://a/b", "gs://a", "C:\\photos", "C:/photos", "photos", "a/b:c")] == [True, True] + 4 * [
        False
    ]
    assert Store.at("file:///tmp/x").root == "/tmp/x"
    assert Store.at("s3://a/b/").root == "s3://a/b"
