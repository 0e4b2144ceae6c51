"""Data larger than memory: shards, URLs, pictures that are read again; a training gets the same from all of them."""

import io
import os
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.datasets import Dataset, Images, Patches, Room, Shards, open_data, open_pairs, training_data
from isthmus.errors import DataError, UsageError
from isthmus.recipes import Recipe
from isthmus.training.trainer import Trainer

RECIPES = {
    "squares": Recipe(model="conv", task="denoise", noise=0.1, hidden=(4,), patch=16, batch_size=7, learning_rate=0.01),
    "whole": Recipe(model="conv", hidden=(4,), size=(16, 24), patch=0, batch_size=7, learning_rate=0.01),
}

SMALL = {"everything in memory": (1 << 30, 0), "a part on disk": (9000, 1 << 30), "a part read again": (9000, 9000), "none": (0, 0)}
"""Bytes in memory and on disk."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """24 pictures of several sizes, one of them gray, one of 16 bits, one no picture."""
    folder, chance = tmp_path_factory.mktemp("in") / "photos", np.random.default_rng(0)
    folder.mkdir()
    for index in range(24):
        shape, kind = ((20 + index, 40 - index), np.uint16) if index == 5 else ((30, 20, 3), np.uint8)
        shape = (5, 30) if index == 3 else shape
        Image.fromarray(chance.integers(0, np.iinfo(kind).max, shape, kind)).save(folder / f"{index:02}.png")
    (folder / "07.png").write_bytes(b"\x89PNG, and no more")
    return folder


def shard(path, files, *, tar_format=tarfile.PAX_FORMAT):
    """Write a shard of files, by name."""
    with tarfile.open(path, "w", format=tar_format) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    """The same pictures in three shards, each with a label."""
    out = tmp_path_factory.mktemp("out") / "photos"
    out.mkdir()
    files = sorted(folder.iterdir())
    for number in range(3):
        chosen = files[number * 8 : number * 8 + 8]
        labels = {f"{path.stem}.cls": str(int(path.stem) % 2).encode() for path in chosen}
        shard(
            out / f"shard-{number:03}.tar", {"./._hidden.png": b"", **{path.name: path.read_bytes() for path in chosen}, **labels}
        )
    return out


def trained(data, kind, memory=1 << 30, disk=0, **more):
    """Train for two epochs; return the trainer."""
    recipe = RECIPES[kind]
    learned, held_out = training_data(open_data(data), recipe.size, recipe.patch or 0, 20, room=Room(memory, disk))
    trainer = Trainer(recipe, learned, held_out, device="cpu", **more)
    for _ in range(2 * trainer.steps_per_epoch):
        trainer.step()
        trainer.state.position %= trainer.steps_per_epoch
    return trainer


def assert_same(one, other):
    assert {**one.model.info.data, "title": ""} == {**other.model.info.data, "title": ""}
    assert np.array_equal(one.usual, other.usual)
    for name, tensor in one.model.network.state_dict().items():
        assert (tensor == other.model.network.state_dict()[name]).all(), name


@pytest.fixture(scope="module", params=list(RECIPES))
def expected(folder, request):
    """What becomes of the folder in memory."""
    return request.param, trained(folder, request.param)


@pytest.mark.parametrize("room", list(SMALL))
def test_where_pictures_are_kept_does_not_matter(folder, expected, room):
    kind, in_memory = expected
    other = trained(folder, kind, *SMALL[room])
    assert_same(in_memory, other)
    places = [known.kept for known in other.dataset.pictures.known] if not isinstance(other.dataset, Dataset) else [np.zeros(0)]
    kinds = {type(place) for place in places}
    assert (
        kinds
        == {
            "everything in memory": {np.ndarray},
            "a part on disk": {np.ndarray, int},
            "a part read again": {np.ndarray, int, type(None)},
            "none": {type(None)},
        }[room]
    )


@pytest.mark.parametrize("memory", [1 << 30, 0])
def test_shards_train_as_their_pictures_do(shards, expected, memory):
    kind, in_memory = expected
    assert_same(in_memory, trained(shards, kind, memory))
    assert_same(in_memory, trained(shards / "shard-{000..002}.tar", kind, memory))


@pytest.mark.filterwarnings("ignore")  # libraries that speak to S3 warn of their own deprecations
def test_pictures_and_shards_of_s3_train_as_those_of_a_folder(folder, shards, expected, bucket):
    kind, in_memory = expected
    for path in (*folder.iterdir(), *shards.iterdir()):
        bucket.put(str(path), f"photos/{path.parent.parent.name[:2]}/{path.name}")
    for url, memory in (("s3://photos/in", 9000), ("s3://photos/ou", 1 << 30), ("s3://photos/ou/shard-{000..002}.tar", 0)):
        assert_same(in_memory, trained(url, kind, memory))


def test_without_room_the_command_line_trains_the_same(folder, shards, tmp_path, run):
    expected = {}
    for number, (data, *room) in enumerate([(folder,), (shards, "--memory", "1KB", "--disk", "2KB")]):
        options = ("--model", "conv", "--hidden", 4, "--patch", 16, "--epochs", 1, "--device", "cpu", "--seed", 3, "--quiet")
        status, _, err = run("train", data, "--out", tmp_path / f"{number}.safetensors", *options, *room)
        assert status == 5, err  # one is no picture
        weights = isthmus.load(tmp_path / f"{number}.safetensors").network.state_dict()
        expected = expected or weights
        assert all((weights[name] == tensor).all() for name, tensor in expected.items())
    status, _, err = run("train", folder, "--out", tmp_path / "other.safetensors", "--disk", "much")
    assert (status, err) == (2, "isthmus: --disk must be a size such as 1.5GB or 800MB, not much.\n")


def test_pairs_are_read_again(folder, tmp_path):
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    for path in sorted(folder.iterdir())[8:]:
        Image.open(path).point(lambda value: value // 2).save(noisy / path.name)
    cut = []
    for memory in (1 << 30, 0):
        squares, held_out = training_data(open_pairs(noisy, folder), None, 16, 5, room=Room(memory))
        cut.append((squares.fingerprint(), squares.cut(range(len(squares)), 1).tobytes(), held_out.images.tobytes()))
    assert cut[0] == cut[1]


def test_labels_stand_beside_the_pictures_or_in_their_folder(shards, tmp_path, folder):
    labels = open_data(shards).read("all", (8, 8)).labels
    assert labels.tolist() == [str(index % 2) for index in range(24) if index != 7]
    content = (folder / "00.png").read_bytes()
    shard(tmp_path / "a.tar", {"cat/1.png": content, "dog/2.png": content})
    shard(tmp_path / "b.tar", {"3.png": content})
    assert open_data(tmp_path / "a.tar").read().labels.tolist() == ["cat", "dog"]
    assert open_data(tmp_path / "b.tar").read().labels is None


def test_pictures_of_shards_are_restored_into_folders(shards, tmp_path, denoiser):
    source = open_data(shards / "shard-001.tar")
    written = source.rewrite(tmp_path / "out", lambda images: 255 - images)
    assert written.count == 8
    image = np.asarray(Image.open(tmp_path / "out" / "shard-001" / "09.png"))
    assert np.array_equal(image, 255 - np.moveaxis(source.one(1), 0, -1))
    assert (tmp_path / "out" / "shard-001" / "09.cls").read_text() == "1"


def test_members_whose_names_lead_elsewhere_are_skipped_and_told(folder, tmp_path, caplog):
    content = (folder / "00.png").read_bytes()
    names = ("../up.png", "/root.png", "a/../../up.png", "C:/disk.png", "in.png", "..\\up.png")
    shard(tmp_path / "odd.tar", dict.fromkeys(names, content))
    source = open_data(tmp_path / "odd.tar")
    assert [file.as_posix() for file in source.files] == ["odd/in.png"]
    assert "holds 5 files whose names lead out of a folder, such as ../up.png: they are skipped." in caplog.text


def test_links_and_devices_in_shards_are_no_pictures(folder, tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.LNKTYPE), ("c.png", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        tar.add(folder / "00.png", "d.png")
    assert [file.name for file in open_data(tmp_path / "odd.tar").files] == ["d.png"]


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_all_formats_of_tar_are_read(folder, tmp_path, tar_format):
    name = f"{'f' * 60}/{'n' * 70}.png"
    shard(tmp_path / "long.tar", {name: (folder / "01.png").read_bytes()}, tar_format=tar_format)
    source = open_data(tmp_path / "long.tar")
    assert [file.as_posix() for file in source.files] == [f"long/{name}"]
    assert np.array_equal(source.one(0), open_data(folder).one(1))


def damaged(content):
    """Yield what may become of a shard, by name."""
    yield "empty", b""
    yield "zipped", b"\x1f\x8b\x08" + content[:4000]
    yield "cut off within a picture", content[: len(content) // 2 + 100]
    yield "cut off between pictures", content[: content.index(b"10.png")]
    header = content.index(b"12.png")
    yield "overwritten", content[: header + 20] + b"?" * 300 + content[header + 320 :]
    yield "two in one", content + content


def test_a_damaged_shard_gets_a_sentence(shards, tmp_path, run):
    whole = (shards / "shard-001.tar").read_bytes()
    for name, content in damaged(whole):
        path = tmp_path / f"{name}.tar"
        path.write_bytes(content)
        with pytest.raises(DataError, match="is damaged") as told:
            open_data(path)
        assert str(told.value).startswith(str(path)), name
    status, _, err = run("train", path, "--out", tmp_path / "model.safetensors")
    assert (status, err.count("\n")) == (3, 1)


def test_no_shard_and_odd_patterns_get_a_sentence(shards, tmp_path):
    with pytest.raises(DataError, match=r"shard-003\.tar cannot be read: No such file"):
        open_data(shards / "shard-{002..003}.tar")
    with pytest.raises(UsageError, match=r"\{2\.\.1\} stands for 0 names\. Accepted are 1 to 1,000,000"):
        open_data(tmp_path / "shard-{2..1}.tar")
    shard(tmp_path / "text.tar", {"text.txt": b"text"})
    with pytest.raises(DataError, match=r"There are no pictures in .*text\.tar"):
        open_data(tmp_path / "text.tar")
    with zipfile.ZipFile(tmp_path / "zip.tar", "w") as file:
        file.writestr("a.png", b"")
    with pytest.raises(DataError, match=r"zip\.tar is damaged, or no tar archive"):
        open_data(tmp_path / "zip.tar")


@pytest.mark.parametrize("kind", list(RECIPES))
def test_a_picture_that_is_lost_or_changed_ends_the_training_with_a_sentence(folder, tmp_path, kind):
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in folder.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    recipe = RECIPES[kind]
    learned, _ = training_data(open_data(copied), recipe.size, recipe.patch or 0, 5, room=Room(0))
    assert isinstance(learned, Patches if recipe.patch else Images)
    (copied / "02.png").write_bytes((copied / "04.png").read_bytes())
    with pytest.raises(DataError, match=r"02\.png has changed since the training began\. Put it back; then pass `resume=True`\."):
        learned.cut(range(len(learned)), 0)
    (copied / "02.png").unlink()
    with pytest.raises(DataError, match=r"02\.png could be read when the training began, and cannot now: .*No such file"):
        learned.cut(range(len(learned)), 0)


def test_a_shard_that_became_shorter_gets_a_sentence(shards, tmp_path):
    path = tmp_path / "some.tar"
    path.write_bytes((shards / "shard-001.tar").read_bytes())
    learned, _ = training_data(open_data(path), None, 16, 5, room=Room(0))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=r"cannot now: .*some\.tar has become shorter since it was opened"):
        learned.cut(range(len(learned)), 0)


def test_a_full_disk_is_no_mistake(folder, monkeypatch):
    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(28, "No space left on device")

    expected = training_data(open_data(folder), None, 16, 5)[0]
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    learned = training_data(open_data(folder), None, 16, 5, room=Room(0, 1 << 30))[0]
    assert {known.kept for known in learned.pictures.known} == {None}
    assert np.array_equal(learned.cut(range(9), 1), expected.cut(range(9), 1))


def test_processes_on_one_machine_share_its_room():
    one, four = Room.of(1000, 500), Room.of(1000, 500, 4)
    assert (one.memory, one.disk, four.memory, four.disk) == (1000, 500, 250, 125)
    assert Room.of(None, 0).memory > 1 << 20


def test_a_source_of_shards_knows_its_sizes_and_titles(shards):
    source = open_data(str(shards))
    assert isinstance(source, Shards)
    assert (source.title, len(source.files)) == (str(shards), 24)
    assert source.sizes()[30, 20] == 21
