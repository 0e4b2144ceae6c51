import gzip

import numpy as np
import pytest
from PIL import Image

from isthmus.datasets import open_data, rewriting
from isthmus.datasets.arrays import read_idx, write_idx
from isthmus.errors import DataError, UsageError
from isthmus.restore import Restorer, restore_file


def invert(images):
    return 255 - images


@pytest.fixture
def idx_folder(tmp_path, labelled_digits):
    """A folder like MNIST's, of 200 and 113 digits."""
    images, labels = labelled_digits
    folder = tmp_path / "idx"
    for split, part in {"train": slice(200), "t10k": slice(200, None)}.items():
        write_idx(folder / f"{split}-images-idx3-ubyte.gz", images[part])
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", labels[part])
    return folder


@pytest.fixture
def pictures(tmp_path, labelled_digits):
    """A folder of 20 PNGs in a folder for each label, with notes beside."""
    folder = tmp_path / "pictures"
    for index in range(20):
        path = folder / f"label{index % 3}" / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labelled_digits[0][index]).save(path)
    (folder / "notes.csv").write_text("a,b\n")
    return folder


def names_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_an_npz_gives_images_and_labels(digits_npz, small_digits, labelled_digits):
    dataset = open_data(digits_npz).read("all")
    assert np.array_equal(dataset.images, small_digits[:, None])
    assert dataset.labels is not None
    assert np.array_equal(dataset.labels, labelled_digits[1][:200])


@pytest.mark.parametrize(
    "keys", [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels")]
)
def test_an_npz_with_a_test_set_of_its_own_keeps_it(keys, tmp_path, digits):
    parts = (digits[:200], np.arange(200), digits[200:], np.arange(113))
    np.savez(tmp_path / "data.npz", **dict(zip(keys, parts, strict=True)))
    source = open_data(tmp_path / "data.npz")
    assert source.has_test
    assert [len(source.read(split)) for split in ("train", "test", "all")] == [200, 113, 313]
    assert np.array_equal(source.read("test").images[:, 0], digits[200:])
    assert np.array_equal(source.read("all").labels, np.r_[:200, :113])


def test_the_only_likely_array_is_taken_for_the_images(tmp_path, digits):
    np.savez(tmp_path / "data.npz", pixels=digits, weights=np.zeros(5))
    assert len(open_data(tmp_path / "data.npz").read("all")) == len(digits)


def test_two_likely_arrays_are_refused_with_what_there_is(tmp_path, digits):
    np.savez(tmp_path / "data.npz", a=digits, b=digits[:5])
    with pytest.raises(DataError, match=r"holds a \(313, 28, 28\), b \(5, 28, 28\)\. Name the array of the images 'images'"):
        open_data(tmp_path / "data.npz").read("all")


def test_an_npy_is_read(tmp_path, digits):
    np.save(tmp_path / "data.npy", digits)
    assert np.array_equal(open_data(tmp_path / "data.npy").read("all").images[:, 0], digits)


def test_an_array_is_read(digits):
    assert np.array_equal(open_data(digits).read("all").images[:, 0], digits)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_round_trip(dtype, end, tmp_path):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / f"data-idx3-ubyte{end}"
    write_idx(path, array)
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == bool(end)
    again = read_idx(path)
    assert again.dtype == dtype
    assert np.array_equal(again, array)


def test_idx_is_unzipped_by_its_bytes_not_its_name(tmp_path, digits):
    write_idx(tmp_path / "data-idx3-ubyte", digits)
    (tmp_path / "zipped-idx3-ubyte").write_bytes(gzip.compress((tmp_path / "data-idx3-ubyte").read_bytes()))
    assert np.array_equal(read_idx(tmp_path / "zipped-idx3-ubyte"), digits)


def test_idx_cannot_hold_every_type(tmp_path):
    with pytest.raises(DataError, match=r"An IDX file cannot hold uint16 values\. Choose an `out` that ends in \.npz or \.npy\."):
        write_idx(tmp_path / "data.idx", np.zeros((1, 2, 2), np.uint16))


def test_an_idx_folder_gives_its_splits(idx_folder, labelled_digits):
    source = open_data(idx_folder)
    assert source.has_test
    assert np.array_equal(source.read("train").images[:, 0], labelled_digits[0][:200])
    assert np.array_equal(source.read("test").labels, labelled_digits[1][200:])


def test_mnist_itself_is_found_in_the_users_folder(shared_data):
    source = open_data("mnist", shared_data)
    train, test = source.read("train"), source.read("test")
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.labels is not None
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.parametrize(("name", "shape"), [("digits", (1797, 1, 8, 8)), ("mnist-5k", (5000, 1, 28, 28))])
def test_embedded_sets_need_no_file(name, shape):
    dataset = open_data(name).read("all")
    assert dataset.images.shape == shape
    assert dataset.labels is not None
    assert len(set(dataset.labels.tolist())) == 10
    assert dataset.images.max() == 255


def test_a_folder_is_read_recursively_in_order_with_names_and_labels(pictures, digits):
    dataset = open_data(pictures).read("all")
    assert dataset.names == tuple(sorted(f"label{index % 3}/{index:02}.png" for index in range(20)))
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [name[:6] for name in dataset.names]
    order = [int(name[-6:-4]) for name in dataset.names]
    assert np.array_equal(dataset.images[:, 0], digits[order])


def test_hidden_files_are_not_read(pictures):
    (pictures / ".hidden.png").write_bytes(b"")
    (pictures / ".cache").mkdir()
    (pictures / ".cache" / "a.png").write_bytes(b"")
    assert len(open_data(pictures).read("all")) == 20


def test_mixed_sizes_come_in_the_commonest_and_color_wins(tmp_path):
    for name, size in (("a", (8, 8)), ("b", (20, 10)), ("c", (8, 8))):
        Image.new("L", size, 255).save(tmp_path / f"{name}.png")
    Image.new("RGB", (8, 8), (0, 0, 255)).save(tmp_path / "d.png")
    dataset = open_data(tmp_path).read("all")
    assert dataset.images.shape == (4, 3, 8, 8)
    assert dataset.images[1].min() == 255
    assert dataset.images[3, :, 0, 0].tolist() == [0, 0, 255]
    assert open_data(tmp_path).read("all", (5, 6)).images.shape == (4, 3, 5, 6)


def test_every_tenth_image_is_held_out():
    images = np.arange(35, dtype=np.uint8).repeat(4).reshape(35, 2, 2)
    source = open_data(images)
    assert not source.has_test
    assert source.read("test").images[:, 0, 0, 0].tolist() == [9, 19, 29]
    assert len(source.read("train")) == 32
    assert len(source.read("all")) == 35


def test_of_fewer_than_ten_images_all_are_in_every_split():
    source = open_data(np.zeros((9, 2, 2), np.uint8))
    assert [len(source.read(split)) for split in ("train", "test", "all")] == [9, 9, 9]


def test_a_fingerprint_tells_data_apart(digits):
    changed = digits.copy()
    changed[5, 5, 5] ^= 1
    assert open_data(digits).read("all").fingerprint() == open_data(digits.copy()).read("all").fingerprint()
    assert open_data(changed).read("all").fingerprint()["sha256"] != open_data(digits).read("all").fingerprint()["sha256"]


def test_rewriting_a_folder_keeps_number_shape_type_order_names_and_notes(pictures, tmp_path, digits):
    rewritten = open_data(pictures).rewrite(tmp_path / "out", invert)
    assert (rewritten.count, rewritten.skipped) == (20, ())
    assert names_below(tmp_path / "out") == names_below(pictures)
    assert (tmp_path / "out" / "notes.csv").read_text() == "a,b\n"
    before, after = open_data(pictures).read("all"), open_data(tmp_path / "out").read("all")
    assert after.names == before.names
    assert after.images.dtype == np.uint8
    assert np.array_equal(after.images, 255 - before.images)


def test_a_folder_that_was_interrupted_goes_on_where_it_was(pictures, tmp_path):
    def stop_after_three(done, total):
        assert total == 20
        if done >= 3:
            raise KeyboardInterrupt

    changed = []

    def invert_one(images):
        changed.append(len(images))
        return invert(images)

    out = tmp_path / "out"
    for index, path in enumerate(sorted(pictures.rglob("*.png"))):
        Image.new("L", (20 + index, 20)).save(path)  # each of another size, so that each is changed alone
    with pytest.raises(KeyboardInterrupt):
        open_data(pictures).rewrite(out, invert_one, on_progress=stop_after_three)
    assert len(list(out.rglob("*.png"))) == 4  # three were told, and one more was being written
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    with pytest.raises(UsageError, match="exists already"):
        open_data(pictures).rewrite(out, invert)
    rewritten = open_data(pictures).rewrite(out, invert_one, resume=True)
    assert (rewritten.count, rewritten.there) == (16, 4)
    assert len(changed) == 20
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert names_below(out) == names_below(pictures)


def test_many_large_pictures_are_not_changed_at_once(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(rewriting, "BATCH_BYTES", 4 * 28 * 28)
    counts = []

    def invert_some(images):
        counts.append(len(images))
        return invert(images)

    assert open_data(pictures).rewrite(tmp_path / "out", invert_some).count == 20
    assert max(counts) == 4
    assert sum(counts) == 20


def test_rewriting_an_npz_changes_the_images_and_nothing_else(tmp_path, digits):
    arrays = {"x_train": digits[:9], "y_train": np.arange(9), "x_test": digits[9:12, :, :, None], "note": np.array(["text"])}
    np.savez(tmp_path / "in.npz", **arrays)
    rewritten = open_data(tmp_path / "in.npz").rewrite(tmp_path / "out.npz", invert)
    assert rewritten.count == 12
    with np.load(tmp_path / "out.npz") as out:
        assert out.files == list(arrays)
        for key, array in arrays.items():
            assert out[key].dtype == array.dtype
            assert np.array_equal(out[key], 255 - array if key.startswith("x") else array)


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 8, 6, 3), (5, 3, 8, 6), (5, 8, 6, 1)])
def test_rewriting_an_npy_keeps_its_shape(shape, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.save(tmp_path / "in.npy", array)
    assert open_data(tmp_path / "in.npy").rewrite(tmp_path / "out.npy", invert).count == 5
    assert np.array_equal(np.load(tmp_path / "out.npy"), 255 - array)


def test_rewriting_an_idx_folder_gives_one_with_the_same_files(idx_folder, tmp_path, labelled_digits):
    assert open_data(idx_folder).rewrite(tmp_path / "out", invert).count == 313
    assert names_below(tmp_path / "out") == names_below(idx_folder)
    after = open_data(tmp_path / "out")
    assert np.array_equal(after.read("all").images[:, 0], 255 - labelled_digits[0])
    assert np.array_equal(after.read("all").labels, labelled_digits[1])


def test_rewriting_an_idx_file_gives_one(tmp_path, digits):
    write_idx(tmp_path / "in-idx3-ubyte", digits)
    assert open_data(tmp_path / "in-idx3-ubyte").rewrite(tmp_path / "out-idx3-ubyte.gz", invert).count == 313
    assert np.array_equal(read_idx(tmp_path / "out-idx3-ubyte.gz"), 255 - digits)


def test_a_folder_that_has_begun_reads_its_first_picture_before_it_is_asked(pictures, tmp_path):
    first = pictures / "label0" / "00.png"
    before = np.asarray(Image.open(first))
    begun = open_data(pictures).begin()
    assert next(iter(begun.begun.values())).result(timeout=60).pixels[:, :, 0].tolist() == before.tolist()
    first.write_bytes(b"no picture any more")
    assert begun.rewrite(tmp_path / "out", invert).count == 20
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "label0" / "00.png")), 255 - before)
    again = begun.rewrite(tmp_path / "again", invert)  # it is kept no longer
    assert (again.count, [skipped.name for skipped in again.skipped]) == (19, [str(first.relative_to(pictures))])
    unreadable = open_data(first).begin()
    with pytest.raises(DataError, match=r"00\.png"):
        unreadable.rewrite(tmp_path / "one.png", invert)


def test_rewriting_one_picture_gives_one(pictures, tmp_path, digits):
    assert open_data(pictures / "label1" / "01.png").rewrite(tmp_path / "out.png", invert).count == 1
    with Image.open(tmp_path / "out.png") as out:
        assert np.array_equal(np.asarray(out), 255 - digits[1])


def test_rewriting_onto_itself_or_over_something_is_refused(pictures, digits_npz):
    with pytest.raises(UsageError, match=r"is the input itself\. Choose another `out`"):
        open_data(pictures).rewrite(pictures, invert, overwrite=True)
    with pytest.raises(UsageError, match=r"exists already\. Choose another `out`, or pass `overwrite=True`"):
        open_data(digits_npz).rewrite(digits_npz, invert)


def test_the_outputs_name_must_fit_the_arrays(digits_npz, tmp_path):
    with pytest.raises(UsageError, match=r"The name of `out` sets the format of arrays, so .*out.npy must end in \.npz\."):
        open_data(digits_npz).rewrite(tmp_path / "out.npy", invert)


def test_a_misspelt_name_is_told_the_nearest(tmp_path):
    with pytest.raises(DataError) as refused:
        open_data("mnits")
    assert str(refused.value) == (
        "There is no file or folder mnits, and no dataset of that name. Did you mean 'mnist'? "
        "Datasets: mnist, fashion-mnist, binary-mnist, digits, mnist-5k."
    )


def test_no_images_are_refused(tmp_path):
    np.save(tmp_path / "none.npy", np.empty((0, 8, 8), np.uint8))
    with pytest.raises(DataError, match=r"none\.npy holds no images"):
        open_data(tmp_path / "none.npy").read("all")


def test_a_picture_becomes_the_same_alone_or_among_others(tmp_path, digits):
    folder, out = tmp_path / "digits", tmp_path / "out"
    folder.mkdir()
    for index, digit in enumerate(digits[:13]):
        Image.fromarray(digit).save(folder / f"{index:02}.png")
    restorer = Restorer(["denoise-gray"], device="cpu")
    open_data(folder).rewrite(out, restorer.restore)
    for path in folder.iterdir():
        alone = restore_file("denoise-gray", path, tmp_path / path.name)
        assert alone.read_bytes() == (out / path.name).read_bytes()
