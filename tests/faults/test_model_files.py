"""FAULTS.md, Model files: each test makes one of its lines happen, with a real file."""

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import isthmus
from isthmus.storage import model_file

WIDE = {"code": 1 << 20, "hidden": [1 << 20], "decoder_hidden": [1 << 20]}


@pytest.fixture
def rewritten(tmp_path, model_files):
    """Return what writes the dense model's file with other tensors or other facts, checksum and all."""

    def rewrite(change):
        tensors, about = model_file.read(model_files["dense"], "model")
        change(tensors, about)
        about = {key: value for key, value in about.items() if key != "sha256"}
        model_file.write(tmp_path / "model.safetensors", "model", tensors, about)
        return tmp_path / "model.safetensors"

    return rewrite


@pytest.fixture
def refused(run, tmp_path, digits):
    """Return what checks that a file is refused with status 4 by every command, and gives the message."""
    np.save(tmp_path / "digits.npy", digits[:2])

    def refuse(path):
        status, out, err = run("info", path)
        assert (status, out) == (4, "")
        status, _, again = run("restore", path, tmp_path / "digits.npy", "--out", tmp_path / "out.npy")
        assert status == 4
        assert again == err
        assert not (tmp_path / "out.npy").exists()
        assert err.startswith("isthmus: ")
        assert err.count("\n") == 1
        return err

    return refuse


def write_header(path, header, rest=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)
    return path


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["trap.safetensors", "trap.pt"])
@pytest.mark.parametrize("protocol", [0, 2, 5, "torch"])
def test_25_a_pickle_is_refused_and_not_executed(name, protocol, tmp_path, model_files, run, digits):
    sprung, path = tmp_path / "sprung", tmp_path / name
    if protocol == "torch":
        torch.save({"weight": Trap(sprung)}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(sprung), protocol))
    np.save(tmp_path / "digits.npy", digits[:2])
    status, _, err = run("restore", path, tmp_path / "digits.npy", "--out", tmp_path / "out.npy")
    assert status == 4
    assert f"{path} is not a model file of isthmus (no safetensors header)." in err
    assert not sprung.exists()
    with pytest.raises(isthmus.ModelFileError):
        isthmus.load(path)
    assert not sprung.exists()


@pytest.mark.parametrize("kept", [0, 1, 7, 9, 100, 0.5, 0.999])
def test_26_a_truncated_file_is_refused(kept, tmp_path, model_files, refused):
    content = model_files["dense"].read_bytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    message = refused(path)
    assert any(text in message for text in ("is cut off", "no safetensors header")), message


def test_26_a_foreign_safetensors_file_is_refused(tmp_path, refused):
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    assert f"{path} is a safetensors file, but not one of isthmus: it holds no recipe." in refused(path)
    safetensors.torch.save_file({"weight": torch.zeros(3)}, path, {"isthmus": "{}"})
    assert f"{path} was not written by isthmus: it names no format version." in refused(path)


def test_26_a_file_with_trailing_bytes_is_refused(tmp_path, model_files, refused):
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_files["dense"].read_bytes() + b"more")
    assert f"{path} is cut off or damaged (" in refused(path)


def test_26_metadata_that_is_no_text_is_refused(tmp_path, model_files, refused):
    content = model_files["dense"].read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["other"] = 5
    path = write_header(tmp_path / "model.safetensors", header, content[8 + length :])
    assert f"{path} is cut off or damaged (" in refused(path)


def test_26_one_flipped_bit_is_noticed(tmp_path, model_files, refused):
    content = bytearray(model_files["dense"].read_bytes())
    content[-1000] ^= 1
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert f"{path} is damaged: its numbers do not have the SHA-256 that was written with them." in refused(path)


def test_26_a_missing_file_is_refused(tmp_path, refused):
    assert f"There is no model at {tmp_path / 'none.safetensors'}." in refused(tmp_path / "none.safetensors")


def test_26_a_checkpoint_is_no_model(tmp_path, refused):
    model_file.write(tmp_path / "checkpoint.safetensors", "checkpoint", {"a": torch.zeros(1)}, {})
    assert "is a checkpoint of isthmus, not a model." in refused(tmp_path / "checkpoint.safetensors")


def test_27_a_recipe_of_a_billion_channels_is_refused(rewritten, refused):
    path = rewritten(lambda tensors, about: about["recipe"].update(code=10**9))
    assert f"{path} does not describe a model that this isthmus knows: code must be 1 or more, not 1000000000." in refused(path)


@pytest.mark.parametrize(
    "shape", [[10**9, 28, 28], [1, 10**9, 28], [1 << 11, 1 << 20, 1 << 20], [-1, 28, 28], [1, 28], "abc", None]
)
def test_27_images_of_an_impossible_shape_are_refused(shape, rewritten, refused):
    path = rewritten(lambda tensors, about: about.update(image_shape=shape))
    assert f"{path} does not describe a model that this isthmus knows: " in refused(path)


def test_27_a_recipe_of_terabytes_is_refused_before_allocating(rewritten, refused):
    path = rewritten(lambda tensors, about: about["recipe"].update(WIDE))  # 4 TB of weights
    assert f"{path}: the tensor decoder.0.bias has shape (784,), and its recipe implies (1048576,)." in refused(path)


def test_27_a_header_of_terabytes_is_refused_before_allocating(tmp_path, refused):
    entry = {"dtype": "F32", "shape": [10**9, 1000], "data_offsets": [0, 4 * 10**12]}
    about = json.dumps({"format_version": model_file.FORMAT_VERSION, "kind": "model"})
    path = write_header(tmp_path / "model.safetensors", {"weight": entry, "__metadata__": {"isthmus": about}})
    assert f"{path} is cut off or damaged (" in refused(path)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "F4"},
        {"dtype": 5},
        {"shape": [1] * 200},
        {"shape": [-1]},
        {"shape": [2**62, 2**62]},
        {"shape": [2, 0]},
        {"shape": [2**62, 2**62, 0], "data_offsets": [0, 0]},
        {"data_offsets": [4, 8]},
        {"data_offsets": [0, 4, 8]},
    ],
    ids=str,
)
def test_27_an_impossible_tensor_is_refused(change, tmp_path, refused):
    about = json.dumps({"format_version": model_file.FORMAT_VERSION, "kind": "model"})
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **change}
    header = {"weight": entry, "__metadata__": {"isthmus": about}}
    assert f"{tmp_path / 'model.safetensors'} is " in refused(write_header(tmp_path / "model.safetensors", header, bytes(4)))


def test_28_a_missing_tensor_is_named(rewritten, refused):
    path = rewritten(lambda tensors, about: tensors.pop("encoder.0.bias"))
    assert f"{path} lacks the tensor encoder.0.bias that its recipe implies." in refused(path)


def test_28_an_extra_tensor_is_named(rewritten, refused):
    path = rewritten(lambda tensors, about: tensors.update(spare=torch.zeros(1)))
    assert f"{path} holds a tensor spare that its recipe does not know." in refused(path)


def test_28_a_tensor_of_another_shape_is_named(rewritten, refused):
    path = rewritten(lambda tensors, about: tensors.update({"encoder.0.bias": torch.zeros(31)}))
    assert f"{path}: the tensor encoder.0.bias has shape (31,), and its recipe implies (32,)." in refused(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_29_weights_that_are_no_numbers_are_refused(value, rewritten, refused):
    path = rewritten(lambda tensors, about: tensors["encoder.0.weight"].view(-1)[7:8].fill_(value))
    assert f"{path} holds NaN or infinite values in encoder.0.weight." in refused(path)


DENSITY = (
    *(f"density.{part}" for part in ("mean", "deviations", "smallest")),
    *(f"mixture.{part}" for part in ("mean", "axes", "rest", "weights", "centers", "factors")),
)
REFERENCE = ("statistics.errors", "statistics.surprises", *DENSITY)


def test_28_the_reference_is_in_the_file(model_files):
    assert set(REFERENCE) < set(model_file.read(model_files["dense"], "model")[0])


@pytest.mark.parametrize("name", REFERENCE)
def test_28_a_missing_part_of_the_reference_is_named(name, rewritten, refused):
    path = rewritten(lambda tensors, about: tensors.pop(name))
    assert f"{path} is damaged: its statistics lack or add {name}." in refused(path)


def test_28_an_extra_part_of_the_reference_is_named(rewritten, refused):
    path = rewritten(lambda tensors, about: tensors.update({"density.spare": torch.zeros(1)}))
    assert f"{path} is damaged: its statistics lack or add density.spare." in refused(path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *((name, shape) for name in REFERENCE for shape in ((), (0,), (0, 0, 0), (1, 1), (1, 40, 40), (2, 2, 2, 2))),
        *((name, (length,)) for name in DENSITY for length in (2, 34)),
    ],
    ids=str,
)
def test_28_a_part_of_the_reference_of_another_shape_is_refused(name, shape, rewritten, refused):
    path = rewritten(lambda tensors, about: tensors.update({name: torch.ones(shape)}))
    assert f"{path} is damaged: " in refused(path)


def test_28_a_density_without_parts_is_refused(rewritten, refused):
    empty = ("mixture.weights", "mixture.centers", "mixture.factors")
    path = rewritten(lambda tensors, about: tensors.update({name: tensors[name][:0] for name in empty}))
    assert f"{path} is damaged: the density has no parts." in refused(path)


def test_28_a_reference_in_another_arithmetic_is_read(rewritten, run, dense):
    path = rewritten(lambda tensors, about: tensors.update({name: tensors[name].bfloat16() for name in REFERENCE}))
    assert run("info", path)[0] == 0
    again = isthmus.load(path, device="cpu").statistics
    assert np.allclose(again.errors, dense.statistics.errors, rtol=0.01)
    assert np.allclose(again.density.mean, dense.statistics.density.mean, rtol=0.01)


@pytest.mark.parametrize("value", [0.0, -1.0])
@pytest.mark.parametrize("name", ["density.smallest", "mixture.rest", "mixture.weights", "mixture.factors"])
def test_29_variances_and_weights_that_are_not_positive_are_refused(name, value, rewritten, refused):
    path = rewritten(lambda tensors, about: tensors[name].view(-1)[:1].fill_(value))
    assert f"{path} is damaged: the density's variances and weights are not all positive." in refused(path)


@pytest.mark.parametrize("name", ["errors", "surprises"])
def test_29_a_reference_out_of_order_is_refused(name, rewritten, refused):
    path = rewritten(lambda tensors, about: tensors[f"statistics.{name}"][:2].copy_(torch.tensor([2e9, 1e9])))
    assert f"{path} is damaged: the statistics' {name} are no ascending list." in refused(path)


@pytest.mark.parametrize("name", REFERENCE)
def test_29_a_reference_that_is_no_number_is_refused(name, rewritten, refused):
    path = rewritten(lambda tensors, about: tensors[name].view(-1)[:1].fill_(np.nan))
    assert f"{path} holds NaN or infinite values in {name}." in refused(path)


def test_30_an_old_format_is_refused(rewritten, refused):
    path = rewritten(lambda tensors, about: about.update(format_version=1))
    assert f"{path} has the old format 1, and this isthmus reads 2. Train the model again." in refused(path)


def test_30_a_newer_format_says_which_isthmus_it_needs(rewritten, refused):
    path = rewritten(lambda tensors, about: about.update(format_version=99, needs_isthmus="7.3"))
    assert f"{path} needs isthmus >= 7.3: its format is 99, and this one reads 2." in refused(path)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("dense", (4, 30, 28), "have 30 x 28 pixels, and this dense model takes 28 x 28 only. Resize them, or train a conv model"),
        ("conv", (4, 3, 28, 28), "of shape (4, 3, 28, 28) is not one of (H, W), (H, W, C), (n, H, W), (n, C, H, W), (n, H, W, C)"),
        ("color", (4, 4, 28, 28), "of shape (4, 4, 28, 28) is not one of (H, W), (H, W, C), (n, H, W), (n, C, H, W)"),
    ],
)  # fmt: skip
def test_31_images_that_do_not_fit_are_refused_with_what_would(model, shape, message, tmp_path, model_files, run):
    np.savez(tmp_path / "data.npz", images=np.zeros(shape, np.uint8))
    status, _, err = run("restore", model_files[model], tmp_path / "data.npz", "--out", tmp_path / "out.npz")
    assert status == 3
    assert message in err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("depth", [1000, 1_000_000])
def test_32_a_deep_header_is_refused(depth, tmp_path, refused):
    path = write_header(tmp_path / "model.safetensors", b'{"a":' * depth + b"0" + b"}" * depth)
    assert f"{path}" in refused(path)


def test_32_a_deep_recipe_is_refused(tmp_path, refused):
    metadata = {"isthmus": '{"recipe":' * 200_000 + "0" + "}" * 200_000}
    path = write_header(tmp_path / "model.safetensors", {"__metadata__": metadata})
    assert f"{path} is not a model file of isthmus: its header is no valid JSON (" in refused(path)


def test_32_a_header_of_100_megabytes_is_refused(tmp_path, refused):
    path = write_header(tmp_path / "model.safetensors", b'{"a":"' + b"x" * 100_000_000 + b'"}')
    assert f"{path} has a header of 100,000,008 bytes; at most 8,000,000 are accepted." in refused(path)


@pytest.mark.parametrize(
    "header", [b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}}', b"{}" + b"\xff" * 9]
)
def test_32_a_header_of_nonsense_is_refused(header, tmp_path, refused):
    assert str(tmp_path) in refused(write_header(tmp_path / "model.safetensors", header))
