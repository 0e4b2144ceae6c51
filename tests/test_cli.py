import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus.cli import app

COMMANDS = ("reproduce", "train", "restore", "encode", "decode", "evaluate", "info")


def test_help_names_every_command_and_begins_with_an_example(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert re.search(r"isthmus train photos/ --task denoise .*--out clean\.safetensors.*Commands", out, re.DOTALL)
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", out)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_an_example_before_its_options(command, run):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert re.search(rf"Example: isthmus {command} .*(Arguments|Parameters)", out, re.DOTALL)
    assert re.search(r"--json .*one JSON object", out)


def test_every_registered_command_is_tested_here():
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)


def test_version(run):
    assert run("--version") == (0, f"{isthmus.__version__}\n", "")


def test_help_needs_no_torch():
    program = "import sys; sys.argv = ['isthmus', '--help']\nimport isthmus.cli\ntry: isthmus.cli.main()\nexcept SystemExit: pass\n"
    check = "assert not {'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules), 'help would be slow'"
    done = subprocess.run([sys.executable, "-c", program + check], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: isthmus COMMAND" in done.stdout


def test_the_module_is_the_command(start):
    process = start("info", "no-such-data")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert err.startswith("isthmus: There is no file or folder no-such-data, and no data set of that name.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--out", "m.safetensors", "--epohcs", "3"), "Unknown option: --epohcs. Did you mean --epochs?"),
        (("trian", "digits"), 'Unknown command "trian". Did you mean "train"?'),
        (("train", "digits", "--out", "m.safetensors", "--epochs", "many"), 'unable to convert "many" into int'),
        (("train", "digits"), "requires an argument"),
        (("train", "digits", "--out", "m.safetensors", "--model", "dnese"), "Unknown model 'dnese'. Did you mean 'dense'?"),
        (("train", "digits", "--out", "m.safetensors", "--task", "denose"), "Unknown task 'denose'. Did you mean 'denoise'?"),
        (("train", "digits", "--out", "m.pt"), "A model's name must end in .safetensors, and m.pt does not."),
        (
            ("train", "digits", "--out", "m.safetensors", "--device", "gpu"),
            "Unknown device 'gpu'. There are: auto, cpu, cuda, mps.",
        ),
    ],
)
def test_wrong_usage_exits_2_and_says_what_was_meant(arguments, message, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert not (tmp_path / "m.safetensors").exists()


def test_bad_data_exits_3_and_tells_the_nearest_name(run):
    status, _, err = run("info", "mnist5k")
    assert status == 3
    assert "Did you mean 'mnist-5k'?" in err


def test_a_bad_model_file_exits_4(run, tmp_path):
    (tmp_path / "m.safetensors").write_bytes(b"no model at all")
    status, _, err = run("info", tmp_path / "m.safetensors")
    assert status == 4
    assert err == f"isthmus: {tmp_path / 'm.safetensors'} is not a model file of isthmus (no safetensors header).\n"


def test_done_in_part_exits_5_and_done_exits_0(run, tmp_path, model_files, digits):
    (tmp_path / "in").mkdir()
    for index in range(3):
        Image.fromarray(digits[index]).save(tmp_path / "in" / f"{index}.png")
    assert run("restore", model_files["conv"], tmp_path / "in", "--out", tmp_path / "whole")[0] == 0
    (tmp_path / "in" / "2.png").write_bytes(b"")
    assert run("restore", model_files["conv"], tmp_path / "in", "--out", tmp_path / "part")[0] == 5


def test_every_command_gives_one_json_object(run, tmp_path, digits):
    np.savez(tmp_path / "in.npz", images=digits[:40], labels=np.arange(40))
    model, data = tmp_path / "m.safetensors", tmp_path / "in.npz"
    steps = {
        "train": ("train", data, "--out", model, "--epochs", "1", "--model", "dense"),
        "restore": ("restore", model, data, "--out", tmp_path / "restored.npz"),
        "encode": ("encode", model, data, "--out", tmp_path / "codes.npz"),
        "decode": ("decode", model, tmp_path / "codes.npz", "--out", tmp_path / "decoded.npz"),
        "evaluate": ("evaluate", model, data),
        "info model": ("info", model),
        "info data": ("info", data),
    }
    printed = {}
    for name, step in steps.items():
        status, out, _ = run(*step, "--json")
        assert status == 0, name
        assert out.count("\n") == 1, name
        printed[name] = json.loads(out)
        assert isinstance(printed[name], dict), name
    assert printed["train"]["parameters"] == 50_992
    assert printed["restore"]["images"] == printed["encode"]["images"] == printed["decode"]["images"] == 40
    assert printed["evaluate"]["scores"][0]["method"] == "isthmus dense"
    assert printed["info data"]["labels"] == {str(label): 1 for label in range(40)}
    with np.load(tmp_path / "restored.npz") as restored, np.load(tmp_path / "decoded.npz") as decoded:
        assert np.array_equal(restored["images"], decoded["images"][:, 0])
        assert restored["labels"].tolist() == decoded["labels"].tolist() == list(range(40))


def test_texts_for_people_name_what_counts(run, model_files, tmp_path, digits):
    out = run("info", model_files["dense"])[1]
    assert re.search(r"parameters +50,992\n", out)
    assert re.search(r"code of an image +32 numbers for 784\n", out)
    assert re.search(r"images +1,797, 8 x 8 pixels, gray, uint8\n", run("info", "digits")[1])
    np.save(tmp_path / "in.npy", digits[:40])
    assert re.search(r"isthmus dense +32 +40 ", run("evaluate", model_files["dense"], tmp_path / "in.npy")[1])


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_overwritten_unless_asked(overwrite, run, tmp_path, digits_npz, model_files):
    conv = model_files["conv"]
    assert run("encode", conv, digits_npz, "--out", tmp_path / "codes.npz")[0] == 0
    for name, command in {
        "m.safetensors": ("train", digits_npz, "--epochs", "1"),
        "out.npz": ("restore", conv, digits_npz),
        "out_codes.npz": ("encode", conv, digits_npz),
        "decoded.npz": ("decode", conv, tmp_path / "codes.npz"),
    }.items():
        out = tmp_path / name
        out.write_bytes(b"precious")
        status, _, err = run(*command, "--out", out, *(["--overwrite"] if overwrite else []))
        if overwrite:
            assert status == 0
            assert out.read_bytes() != b"precious"
        else:
            assert status == 2
            assert err == f"isthmus: {out} exists already: name another --out, or add --overwrite.\n"
            assert out.read_bytes() == b"precious"


def test_decode_names_pictures_as_they_were(run, tmp_path, model_files, digits):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    Image.fromarray(digits[0]).save(tmp_path / "in" / "a.png")
    Image.fromarray(digits[1]).save(tmp_path / "in" / "sub" / "b.png")
    assert run("encode", model_files["conv"], tmp_path / "in", "--out", tmp_path / "codes.npz")[0] == 0
    assert run("decode", model_files["conv"], tmp_path / "codes.npz", "--out", tmp_path / "out")[0] == 0
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")) == ["a.png", "sub/b.png"]
    np.savez(tmp_path / "evil.npz", codes=np.zeros((1, 8, 4, 4), np.float32), names=np.array(["../../escaped.png"]))
    status, _, err = run("decode", model_files["conv"], tmp_path / "evil.npz", "--out", tmp_path / "out2")
    assert status == 3
    assert "names a picture outside of the folder: ../../escaped.png" in err


def test_quiet_prints_no_progress(run, tmp_path, digits_npz):
    loud = run("train", digits_npz, "--out", tmp_path / "a.safetensors", "--epochs", "1")
    quiet = run("train", digits_npz, "--out", tmp_path / "b.safetensors", "--epochs", "1", "--quiet")
    assert re.search(r"isthmus: a: 100%  epoch 1  loss \d\.\d{4}  held out \d\.\d{4}", loud[2])
    assert (quiet[0], quiet[2]) == (0, "")


def test_the_share_of_unreadable_pictures_is_the_same_everywhere():
    from isthmus import cli, datasets

    assert cli.MAX_BAD == datasets.MAX_BAD
