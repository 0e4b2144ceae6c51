import importlib
import inspect
import json
import re
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import isthmus
from isthmus import restore
from isthmus.cli.app import COMMANDS
from isthmus.datasets import folder
from isthmus.imaging.content import quiet_libraries
from isthmus.recipes import PRESETS, Recipe

NAMES = [name for _, _, name, _ in COMMANDS]


def test_help_names_every_command_and_begins_with_an_example(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert re.search(r"isthmus train photos/ --task denoise .*Restore pictures.*Train a model", out, re.DOTALL)
    for command in NAMES:
        assert re.search(rf"\b{command}\b", out)


@pytest.mark.parametrize("command", [name for name in NAMES if name != "completion"])
def test_the_help_of_a_command_has_an_example_before_its_options(command, run):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert re.search(rf"Example: isthmus {command} .*(Arguments|Parameters)", out, re.DOTALL)
    assert re.search(r"--json .*one JSON object", out)


@pytest.mark.parametrize(("module", "name", "sentence"), [command[1:] for command in COMMANDS])
def test_the_table_of_commands_says_what_each_says_of_itself(module, name, sentence):
    function = getattr(importlib.import_module(f"isthmus.cli.{module}"), name)
    assert inspect.getdoc(function).split("\n\n")[0].replace("\n", " ") == sentence


def test_every_public_function_of_a_module_of_commands_is_a_command():
    for module in {command[1] for command in COMMANDS}:
        loaded = importlib.import_module(f"isthmus.cli.{module}")
        own = [value for value in vars(loaded).values() if inspect.isfunction(value) and value.__module__ == loaded.__name__]
        with_status = {function.__name__ for function in own if function.__annotations__.get("return") == "int"}
        assert {name for name in with_status if not name.startswith("_")} <= set(NAMES)


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
    assert err.startswith("isthmus: There is no file or folder no-such-data, and no dataset of that name.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--out", "m.safetensors", "--epohcs", "3"), "Unknown option: --epohcs. Did you mean --epochs?"),
        (("trian", "digits"), 'Unknown command "trian". Did you mean "train"?'),
        (("train", "digits", "--out", "m.safetensors", "--epochs", "many"), 'unable to convert "many" into float'),
        (("train", "digits"), "requires an argument"),
        (("train", "digits", "--out", "m.safetensors", "--model", "dnese"), "Unknown model 'dnese'. Did you mean 'dense'?"),
        (("train", "digits", "--out", "m.safetensors", "--recipe", "vea"), "Unknown recipe 'vea'. Did you mean 'vae'? There are: "),
        (("train", "digits", "--out", "m.safetensors", "--recipe", "no.json"), "There is no recipe at no.json: no such file"),
        (("train", "digits", "--out", "m.safetensors", "--recipe"), "requires an argument"),
        (("train", "digits", "--out", "m.safetensors", "--task", "denose"), "Unknown task 'denose'. Did you mean 'denoise'?"),
        (("train", "digits", "--out", "m.pt"), "The name of a model file must end in .safetensors, and m.pt does not."),
        (
            ("train", "digits", "--out", "m.safetensors", "--device", "gpu"),
            "Unknown device 'gpu'. Devices: auto, cpu, cuda, mps, or one of several such as cuda:1.",
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
        "generate": ("generate", model, "--count", "5", "--out", tmp_path / "new.npz"),
        "evaluate": ("evaluate", model, data),
        "probe": ("probe", model, data, "--plot", tmp_path / "probe.png"),
        "novelty": ("novelty", model, data, "--plot", tmp_path / "strangest.png"),
        "report": ("report", model, data, "--out", tmp_path / "page"),
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
    assert printed["generate"] == {"images": 5, "out": str(tmp_path / "new.npz")}
    assert [row["tested_on"] for row in printed["probe"]["rows"]] == ["pixels", "PCA 32", "code"]
    assert len(printed["novelty"]["scores"]) == len(printed["novelty"]["p_values"]) == 40
    assert printed["report"] == {"report": str(tmp_path / "page" / "report.html")}
    for figure in ("probe.png", "strangest.png", "page/map.png"):
        with Image.open(tmp_path / figure) as picture:
            assert min(picture.size) > 80, figure
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
    novelty = run("novelty", model_files["dense"], tmp_path / "in.npy")[1]
    assert re.search(r"in\.npy \(all, 40 images\): \d+ of 40 are stranger than 99 % of the held-out images\n", novelty)
    assert re.search(r"strangest +either +p\nimage \d+ +[-\d.]+ +[01]\.\d{4}\n", novelty)
    assert re.search(
        r"5 images: .*new\.png\n", run("generate", model_files["vae"], "--count", "5", "--out", tmp_path / "new.png")[1]
    )


def test_a_probes_text_is_a_table(run, model_files, tmp_path, labelled_digits):
    np.savez(tmp_path / "in.npz", images=labelled_digits[0], labels=labelled_digits[1])
    status, out, _ = run("probe", model_files["dense"], tmp_path / "in.npz", "--classifiers", "neighbors", "forest")
    assert status == 0
    assert re.search(r"trained on +tested on +numbers +neighbors % +forest %\npixels +pixels +784 +\d\d\.\d\d ", out)
    np.save(tmp_path / "in.npy", labelled_digits[0])
    status, out, err = run("probe", model_files["dense"], tmp_path / "in.npy")
    assert (status, out) == (3, "")
    assert err.startswith(
        f"isthmus: {tmp_path / 'in.npy'} has no labels, and a probe needs them. Pass an .npz with images and labels"
    )


def test_evaluate_bounds_the_likelihood_of_a_vae_if_asked(run, model_files, tmp_path, small_digits):
    np.save(tmp_path / "in.npy", small_digits[:20])
    command = ("evaluate", model_files["vae"], tmp_path / "in.npy")
    assert json.loads(run(*command, "--json")[1])["bound"] is None
    status, out, _ = run(*command, "--bound-samples", "50", "--json")
    bound = json.loads(out)["bound"]
    assert status == 0
    assert (bound["samples"], bound["images"]) == (50, 20)
    assert 0 < bound["bound_nats"] < bound["elbo_nats"] < 196 * np.log(2)
    text = run(*command, "--bound-samples", "50")[1]
    nats = f"{bound['bound_nats']:.2f} nats an image (50 samples); evidence bound {bound['elbo_nats']:.2f}"
    assert f"Negative log-likelihood at most {nats}\n" in text
    status, _, err = run("evaluate", model_files["conv"], tmp_path / "in.npy", "--bound-samples", "50")
    assert status == 2
    assert "A likelihood bound needs a Gaussian bottleneck, and this model's is relu. Train one with --code-kind gaussian." in err


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "colorize"])
def test_train_begins_from_a_named_recipe(name, run, tmp_path, digits_npz):
    status, out, err = run("train", digits_npz, "--recipe", name, "--epochs", "1", "--out", tmp_path / "m.safetensors", "--json")
    assert status == 0, err
    expected = replace(PRESETS[name], epochs=1, budget=None).complete().to_json()
    assert json.loads(out)["recipe"] == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {}),
        (("--hidden", "6"), {"hidden": [6], "decoder_hidden": [6]}),
        (("--epochs", "2", "--code-kind", "linear"), {"epochs": 2, "budget": None, "code_kind": "linear"}),
        (("--task", "denoise", "--noise", "0.2"), {"task": "denoise", "corruption": "gaussian-noise(std=0.2, clip=True)"}),
    ],
    ids=str,
)
def test_train_begins_from_a_recipe_in_a_file_and_options_change_it(options, expected, run, tmp_path, digits_npz):
    recipe = Recipe(model="dense", hidden=(9, 8), code=3, decoder_hidden=(7, 5), budget="0.1s", warm_up=0.0, beta=0.0, size=(9, 8))
    (tmp_path / "r.json").write_text(json.dumps(recipe.to_json()))
    command = ("train", digits_npz, "--recipe", tmp_path / "r.json", "--out", tmp_path / "m.safetensors", "--json")
    status, out, err = run(*command, *options)
    assert status == 0, err
    wanted = {**recipe.complete().to_json(), **expected}
    assert json.loads(out)["recipe"] == {name: value for name, value in wanted.items() if value is not None}


def strange(folder, images):
    """Write images as pictures into a folder."""
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


def test_restore_remarks_on_strange_images_and_on_nothing_else(run, tmp_path, model_files, digits):
    dense, usual, odd = model_files["dense"], strange(tmp_path / "usual", digits[:9]), strange(tmp_path / "odd", 255 - digits[:9])
    assert run("restore", dense, usual, "--out", tmp_path / "a")[::2] == (0, "")
    remark = "isthmus: These images look unlike the training set, so results may be unreliable.\n"
    assert run("restore", dense, odd, "--out", tmp_path / "b")[::2] == (0, remark)
    assert run("restore", dense, odd, "--out", tmp_path / "c", "--quiet")[::2] == (0, "")
    assert run("novelty", dense, odd, "--plot", tmp_path / "d.png")[::2] == (0, "")


def test_a_remark_is_made_as_usual_while_the_first_picture_is_still_being_decoded(run, tmp_path, model_files, digits, monkeypatch):
    odd = strange(tmp_path / "odd", 255 - digits[:9])
    begun, loaded = threading.Event(), threading.Event()
    read, restorer, restore_data = folder.read_picture, restore.Restorer, restore.restore_data

    def slow(path):
        with quiet_libraries():
            if path.name == "0.png":
                begun.set()
                assert loaded.wait(60)
            return read(path)

    def made(*arguments, **options):
        assert begun.wait(60)
        return restorer(*arguments, **options)

    def restored(*arguments, **options):
        loaded.set()
        return restore_data(*arguments, **options)

    monkeypatch.setattr(folder, "read_picture", slow)
    monkeypatch.setattr(restore, "Restorer", made)
    monkeypatch.setattr(restore, "restore_data", restored)
    remark = "isthmus: These images look unlike the training set, so results may be unreliable.\n"
    assert run("restore", model_files["dense"], odd, "--out", tmp_path / "out")[::2] == (0, remark)
    begun.clear()
    loaded.clear()
    assert run("restore", model_files["dense"], odd, "--out", tmp_path / "quiet", "--quiet")[::2] == (0, "")


def test_generate_walks_and_traverses(run, tmp_path, model_files, digits):
    start, end = (tmp_path / name for name in ("a.png", "b.png"))
    Image.fromarray(digits[0]).save(start)
    Image.fromarray(digits[1]).save(end)
    dense = model_files["dense"]
    assert run("generate", dense, "--walk", start, end, "--steps", "4", "--out", tmp_path / "walk.npz")[0] == 0
    assert run("generate", dense, "--traverse", start, "--steps", "4", "--out", tmp_path / "lines.npz")[0] == 0
    assert run("generate", dense, "--walk", start, end, "--steps", "4", "--out", tmp_path / "walk.png")[0] == 0
    with np.load(tmp_path / "walk.npz") as file:
        assert np.array_equal(file["images"][[0, -1], 0], isthmus.load(dense, device="cpu").restore(digits[:2]))
    with np.load(tmp_path / "lines.npz") as file:
        assert file["images"].shape == (10 * 4, 1, 28, 28)
    with Image.open(tmp_path / "walk.png") as sheet:
        assert sheet.size == (4 * 2 * 28 + 3 * 2, 2 * 28), "in one row"
    for options, message in {
        ("--walk", start, end, "--traverse", start): "Pass either --walk or --traverse, not both.",
        ("--walk", start, end, "--steps", "1"): "A walk needs 2 steps or more, not 1.",
        ("--traverse", start, "--steps", "0"): "A traversal needs 2 steps or more, not 0.",
        ("--count", "0"): "The count of new images must be 1 or more, not 0.",
        ("--seed", "-1"): "The random seed must be between 0 and 2,147,483,647, not -1.",
    }.items():
        status, out, err = run("generate", dense, *options, "--out", tmp_path / "new.png")
        assert (status, out, err) == (2, "", f"isthmus: {message}\n")
    assert not (tmp_path / "new.png").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_overwritten_unless_asked(overwrite, run, tmp_path, digits_npz, model_files):
    conv = model_files["conv"]
    assert run("encode", conv, digits_npz, "--out", tmp_path / "codes.npz")[0] == 0
    for name, command in {
        "m.safetensors": ("train", digits_npz, "--epochs", "1"),
        "out.npz": ("restore", conv, digits_npz),
        "out_codes.npz": ("encode", conv, digits_npz),
        "decoded.npz": ("decode", conv, tmp_path / "codes.npz"),
        "new.png": ("generate", conv, "--count", "2"),
        "probe.png": ("probe", conv, digits_npz, "--plot"),
        "strangest.png": ("novelty", conv, digits_npz, "--plot"),
    }.items():
        out = tmp_path / name
        out.write_bytes(b"precious")
        option = [] if command[-1] == "--plot" else ["--out"]
        status, _, err = run(*command, *option, out, *(["--overwrite"] if overwrite else []))
        if overwrite:
            assert status == 0
            assert out.read_bytes() != b"precious"
        else:
            assert status == 2
            assert err == f"isthmus: {out} exists already. Choose another --out, or pass --overwrite.\n"
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


def test_a_shell_completes_commands_and_options(run, tmp_path):
    status, script, _ = run("completion", "bash")
    assert status == 0
    (tmp_path / "isthmus.bash").write_text(script)
    ask = """
        source isthmus.bash
        complete_line() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            $(complete -p isthmus | sed 's/.*-F \\([^ ]*\\).*/\\1/') isthmus "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"
            echo "${COMPREPLY[@]}"
        }
        complete_line isthmus deno
        complete_line isthmus denoise --self
    """
    done = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["denoise", "--self-ensemble"]


def test_the_doctor_measures_and_remarks(run, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("isthmus.doctor._cores", lambda: 99)
    monkeypatch.setattr("isthmus.doctor.SIDE", 64)  # emulated bfloat16 takes half a minute for a megapixel
    status, out, err = run("doctor", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert set(found["seconds_per_megapixel"]) == {"float32", "bfloat16"}
    assert all(seconds > 0 for seconds in found["seconds_per_megapixel"].values())
    assert any("of 99 cores because of OMP_NUM_THREADS=1" in remark for remark in found["remarks"])
    assert found["extras"]["tune"] is True
    text = run("doctor")[1]
    assert "to denoise a megapixel" in text
