"""FAULTS.md, Data: each test makes one of its lines happen, with real files and a real server."""

import gzip
import hashlib
import http.server
import pickle
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.datasets import catalog
from isthmus.datasets.arrays import write_idx

FILE = "train-images-idx3-ubyte.gz"


@pytest.fixture
def idx(tmp_path, digits):
    """The bytes of an IDX file of 313 digits."""
    write_idx(tmp_path / "good-images-idx3-ubyte", digits)
    return (tmp_path / "good-images-idx3-ubyte").read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and no way around a local server."""
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def server(tmp_path):
    """A folder, and the address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda idx: b"\x01" + idx[1:], "is not an IDX file: byte 0 is 0x01, not 0x00."),
        (lambda idx: idx[:1] + b"\x07" + idx[2:], "is not an IDX file: byte 1 is 0x07, not 0x00."),
        (lambda idx: idx[:2] + b"\x63" + idx[3:], "is not an IDX file: byte 2 is 0x63, not a known type."),
        (lambda idx: idx[:3] + b"\x09" + idx[4:], "byte 3 says 9 dimensions, not 1 to 4."),
        (lambda idx: idx[:3], "is not an IDX file: byte 3 is the file's end"),
        (lambda idx: idx[:10], "is cut off: it ends at byte 10, within the header of 16 bytes."),
        (
            lambda idx: idx[:-100],
            "is cut off: it ends at byte 245308, but its header (bytes 4 to 15) says (313, 28, 28), which is 245408 bytes.",
        ),
        (
            lambda idx: idx + b"more",
            "goes on after byte 245407, but its header (bytes 4 to 15) says (313, 28, 28), which is 245408 bytes.",
        ),
        (
            lambda idx: idx[:4] + (1000).to_bytes(4) + idx[8:],
            "is cut off: it ends at byte 245408, but its header (bytes 4 to 15) says (1000, 28, 28), which is 784016 bytes.",
        ),
        (lambda idx: idx[:4] + b"\xff" * 12 + idx[16:], "says (4294967295, 4294967295, 4294967295), which is "),
    ],
    ids=["magic0", "magic1", "type", "dimensions", "tiny", "header", "cut_off", "too_long", "count", "huge"],
)
def test_19_a_wrong_idx_file_is_refused_with_the_byte(damage, message, end, tmp_path, idx, model_files, run):
    path = tmp_path / f"bad-images-idx3-ubyte{end}"
    path.write_bytes(gzip.compress(damage(idx)) if end else damage(idx))
    status, _, err = run("restore", model_files["conv"], path, "--out", tmp_path / "out-ubyte")
    assert status == 3
    assert str(path) in err
    assert message in err


def test_19_a_cut_off_gzip_is_refused(tmp_path, idx, run):
    (tmp_path / "bad-idx3-ubyte.gz").write_bytes(gzip.compress(idx)[:-500])
    status, _, err = run("info", tmp_path / "bad-idx3-ubyte.gz")
    assert status == 3
    assert "bad-idx3-ubyte.gz cannot be read: Compressed file ended before the end-of-stream marker was reached." in err


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("end", ["npz", "npy"])
def test_20_objects_in_numpy_files_are_refused_and_not_executed(end, tmp_path, run):
    sprung = tmp_path / "sprung"
    array = np.array([Trap(sprung)], object)
    path = tmp_path / f"trap.{end}"
    if end == "npz":
        np.savez(path, images=array)
    else:
        np.save(path, array)
    pickle.loads(pickle.dumps(Trap(sprung)))  # the trap works
    assert sprung.exists()
    sprung.unlink()
    status, _, err = run("info", path)
    assert status == 3
    assert f"{path} holds Python objects, which could run code: isthmus reads numbers only." in err
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda x: x * 255, "are floats from 0 to 255, not in [0, 1]; they look like 0..255: divide by 255, or convert to uint8."),
        (lambda x: x * 65535, "not in [0, 1]; they look like 0..65535: divide by 65535, or convert to uint16."),
        (lambda x: x * 2 - 1, "The images are floats from -1 to 1, not in [0, 1]; they look like [-1, 1]: use (x + 1) / 2."),
        (lambda x: (x - x.mean()) / x.std(), "look standardised: undo it (x * std + mean), so that 0 is black and 1 is white."),
        (lambda x: np.where(x > 0.9, np.nan, x), "values that are NaN or infinite: replace them, for example with np.nan_to_num."),
    ],
    ids=["255", "65535", "minus_one", "standardised", "nan"],
)  # fmt: skip
def test_21_floats_of_another_range_are_refused_with_the_fix(change, fix, tmp_path, digits, model_files, run):
    np.savez(tmp_path / "data.npz", images=change(digits / np.float32(255)).astype(np.float32))
    for command in (
        ("restore", model_files["conv"], tmp_path / "data.npz", "--out", tmp_path / "out.npz"),
        ("train", tmp_path / "data.npz", "--out", tmp_path / "model.safetensors"),
        ("info", tmp_path / "data.npz"),
    ):
        status, _, err = run(*command)
        assert status == 3
        assert f"{tmp_path / 'data.npz'}: The images " in err
        assert fix in err
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


@pytest.mark.parametrize("model", ["dense", "conv"])
@pytest.mark.parametrize("count", [1, 3])
def test_22_fewer_images_than_a_batch_train(model, count, tmp_path, digits, run):
    np.save(tmp_path / "few.npy", digits[:count])
    out = tmp_path / "few.safetensors"
    status, _, _ = run("train", tmp_path / "few.npy", "--out", out, "--model", model, "--batch-size", "1000", "--epochs", "2")
    assert status == 0
    restored = isthmus.load(out, device="cpu").restore(digits[:count])
    assert restored.shape == (count, 28, 28)
    assert restored.dtype == np.uint8


def test_23_a_download_with_the_wrong_hash_is_deleted_and_fails(server, cache):
    folder, address = server
    (folder / FILE).write_bytes(b"not what was promised")
    download = catalog.Download(mirrors=(address,), sha256={FILE: "0" * 64})
    with pytest.raises(isthmus.DataError) as refused:
        catalog.find("mnist", download=download)
    assert str(refused.value) == (
        f"mnist is not on this machine, and {address} gave a file with another SHA-256, which was deleted. "
        f"Copy {FILE} to {cache}, or pass `data_dir`, a folder that has them in mnist/."
    )
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_23_a_wrong_mirror_is_passed_over_for_the_next(server, cache):
    folder, address = server
    (folder / "wrong").mkdir()
    (folder / "wrong" / FILE).write_bytes(b"wrong")
    (folder / FILE).write_bytes(b"right")
    download = catalog.Download(mirrors=(f"{address}wrong/", address), sha256={FILE: hashlib.sha256(b"right").hexdigest()})
    assert catalog.find("mnist", download=download) == (cache / FILE,)
    assert (cache / FILE).read_bytes() == b"right"


def closed_port():
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{there.getsockname()[1]}/"


def test_24_offline_says_what_to_bring_and_where_to_put_it(cache):
    mirrors = (closed_port(), closed_port())
    with pytest.raises(isthmus.DataError) as refused:
        catalog.find("mnist", download=catalog.Download(mirrors=mirrors, sha256={FILE: "0" * 64, "b.gz": "0" * 64}))
    assert str(refused.value) == (
        f"mnist is not on this machine, and {mirrors[0]} cannot be reached; {mirrors[1]} cannot be reached. "
        f"Copy {FILE}, b.gz to {cache}, or pass `data_dir`, a folder that has them in mnist/."
    )


def test_24_offline_takes_what_is_cached(cache):
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(b"right")
    download = catalog.Download(mirrors=(closed_port(),), sha256={FILE: hashlib.sha256(b"right").hexdigest()})
    assert catalog.find("mnist", download=download) == (cache / FILE,)


def test_24_offline_takes_a_users_own_files_zipped_or_not(tmp_path, cache):
    download = catalog.Download(mirrors=(closed_port(),), sha256={FILE: "0" * 64})
    (tmp_path / "own" / "mnist").mkdir(parents=True)
    unzipped = tmp_path / "own" / "mnist" / "train-images-idx3-ubyte"
    unzipped.write_bytes(b"mine")
    assert catalog.find("mnist", tmp_path / "own", download) == (unzipped,)
