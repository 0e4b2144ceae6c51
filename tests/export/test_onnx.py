"""Models as ONNX files: what runs without isthmus gives what isthmus gives."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import isthmus
from isthmus.errors import IsthmusError, UsageError
from isthmus.export import onnx as exporting
from isthmus.export.onnx import export_onnx as export

SHOWN = Path(__file__).parents[2] / "docs" / "export.md"


def run_onnx(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: np.asarray(images, np.float32)})[0]


@pytest.mark.parametrize("task", ["denoise", "colorize", "upscale"])
def test_photographic_models_take_any_size_and_number(photographic, task, tmp_path):
    model = photographic[task]
    model.engine.bfloat16, before = False, model.engine.bfloat16
    written = export(model, tmp_path / "m.onnx")
    assert [part.name for part in written.parts] == ["whole", "encoder"]  # detail goes around the code: it alone is no image
    for shape in ((3, 33, 50), (1, 7, 9)):
        images = np.random.default_rng(0).random((shape[0], model.corruption.input_channels(3), *shape[1:]), np.float32)
        given = run_onnx(tmp_path / "m.onnx", images)
        np.testing.assert_allclose(given, model.restore(images), atol=1e-4)
        np.testing.assert_allclose(run_onnx(tmp_path / "m.encoder.onnx", images), model.encode(images), atol=1e-4)
    model.engine.bfloat16 = before


def test_what_is_not_missing_is_kept_by_a_model_that_completes(photographic, tmp_path):
    export(photographic["inpaint"], tmp_path / "m.onnx")
    images = np.random.default_rng(0).random((1, 4, 16, 16), np.float32)
    images[:, 3] = 0
    images[:, 3, 4:8, 4:8] = 1
    given = run_onnx(tmp_path / "m.onnx", images)
    kept = images[:, 3] < 0.5
    assert (given[0][:, kept[0]] == images[0, :3][:, kept[0]]).all()
    assert (given[0][:, ~kept[0]] != images[0, :3][:, ~kept[0]]).any()


@pytest.mark.parametrize("name", ["dense", "conv", "vae"])
def test_encoder_and_decoder_stand_alone_where_codes_are_images(request, name, tmp_path):
    model = request.getfixturevalue(name)
    model.engine.bfloat16, before = False, model.engine.bfloat16
    export(model, tmp_path / "m.onnx")
    images = np.random.default_rng(0).random((5, *model.image_shape), np.float32)
    codes = run_onnx(tmp_path / "m.encoder.onnx", images)
    np.testing.assert_allclose(codes, model.encode(images), atol=1e-4)
    np.testing.assert_allclose(run_onnx(tmp_path / "m.decoder.onnx", codes), model.decode(codes), atol=1e-4)
    np.testing.assert_allclose(run_onnx(tmp_path / "m.onnx", images), model.restore(images), atol=1e-4)
    model.engine.bfloat16 = before


def test_a_file_says_what_it_is(dense, tmp_path):
    export(dense, tmp_path / "m.onnx")
    says = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert json.loads(says["recipe"]) == dense.recipe.to_json()
    assert says["task"] == "reconstruct"
    assert says["part"] == "whole"
    assert says["isthmus"] == isthmus.__version__


def test_eight_bits_are_measured(denoiser, digits, tmp_path):
    written = export(denoiser, tmp_path / "m.onnx", digits, quantize="int8").quantized
    assert written.bytes < (tmp_path / "m.onnx").stat().st_size
    assert written.psnr_db_float - 1 < written.psnr_db < written.psnr_db_float + 1
    assert written.agreement_db > 25
    assert written.speedup > 0
    assert run_onnx(written.path, np.zeros((2, 1, 28, 28))).shape == (2, 1, 28, 28)


def test_a_file_that_differs_is_not_written(dense, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(IsthmusError, match=r"The whole as ONNX differs from the model by .*Nothing was written"):
        export(dense, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "m.bin"}, "must end in .onnx"),
        ({"out": "m.onnx", "quantize": "int9"}, "Did you mean 'int8'"),
        ({"out": "m.onnx", "quantize": "int8"}, "Pass them as `images`"),
    ],
)
def test_mistakes_get_a_sentence(dense, tmp_path, options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        export(dense, tmp_path / options.pop("out"), **options)


def test_the_command_never_overwrites(run, model_files, tmp_path):
    arguments = ("export", model_files["dense"], "--out", tmp_path / "m.onnx")
    status, out, _ = run(*arguments, "--json")
    assert status == 0
    assert [part["name"] for part in json.loads(out)["parts"]] == ["whole", "encoder", "decoder"]
    status, _, err = run(*arguments)
    assert status == 2
    assert "exists already" in err


def test_the_documented_script_needs_no_isthmus(photographic, pictures, tmp_path):
    export(photographic["denoise"], tmp_path / "denoise.onnx")
    (script,) = re.findall(r"```python\n(.*?)```", SHOWN.read_text(), re.DOTALL)
    assert "isthmus" not in script
    assert len(script.splitlines()) <= 20
    (tmp_path / "run.py").write_text(script)
    picture = tmp_path / "noisy.png"
    picture.write_bytes((pictures / "00.png").read_bytes())
    subprocess.run([sys.executable, "run.py", "denoise.onnx", "noisy.png", "clean.png"], cwd=tmp_path, check=True)
    given, wanted = (np.asarray(Image.open(path), float) for path in (tmp_path / "clean.png", picture))
    assert given.shape == wanted.shape
    np.testing.assert_allclose(given, np.asarray(photographic["denoise"].restore(np.asarray(Image.open(picture)))), atol=2)
