"""Export to ONNX: the whole model, and its encoder and decoder where codes alone give images.

Each file is compared with the model itself on real images before it is written. With `quantize`, a second file of the whole has
its numbers in 8 bits, and what that costs and gains is measured.
"""

from __future__ import annotations

import io
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from isthmus.datasets import Data, open_data
from isthmus.errors import IsthmusError, UsageError, lookup, printable
from isthmus.evaluation.metrics import psnr_db
from isthmus.evaluation.test_data import check_measurable, example_of, size_for
from isthmus.imaging.arrays import Array, middle
from isthmus.model import Model
from isthmus.recipes.degradation import Sample
from isthmus.storage.atomic import check_output, write_whole

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TOLERANCE = 1e-4
"""How far a file's values may be from the model's."""

OPSET = 20
"""Version of ONNX's operators."""

CHECKED, SIDE = 32, 256
"""So many images are compared, of pictures of any size their middles of so many pixels a side."""

ROUNDS = 7
"""How often each of two files is timed, in turn."""

QUANTIZATIONS = {"int8": "weights and activations in 8 bits, each layer's range learned from images"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One ONNX file that was written."""

    name: str
    """"whole", "encoder" or "decoder"."""
    path: str
    bytes: int
    inputs: dict[str, list[str | int]]
    """The input's name and shape; an axis of any length has a name."""
    outputs: dict[str, list[str | int]]
    largest_difference: float
    """Between its values and the model's, on real images."""


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """What numbers in 8 bits cost and gain."""

    path: str
    bytes: int
    psnr_db: float | None
    """Of the restored images beside the clean ones, mean; None where there are no clean ones."""
    psnr_db_float: float | None
    """The same, of the file whose numbers are floats."""
    agreement_db: float
    """Peak signal-to-noise ratio of the one's images beside the other's, mean."""
    speedup: float
    """Times as fast as the floats' file: the ratio of the medians, timed in turn."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how near it is."""

    parts: tuple[Part, ...]
    compared_on: str
    """The images on which the parts were compared."""
    quantized: Quantized | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def export_onnx(
    model: Model,
    out: str | Path,
    data: Data | None = None,
    *,
    quantize: str = "",
    data_dir: str | Path | None = None,
    overwrite: bool = False,
) -> Exported:
    """Write a model as `NAME.onnx`, and where they stand alone, `NAME.encoder.onnx` and `NAME.decoder.onnx`.

    The whole takes what a person has, `(batch, C, height, width)` float32 in [0, 1], and gives what they want; a model that
    completes images takes the mask as one channel more, 1 where something is missing. The number of images is free; the size as
    well, where the model takes any.

    Args:
        model: Any model.
        out: Where to; the name ends in .onnx.
        data: Real images to compare on, and to learn the ranges of 8-bit numbers from; without, a photograph of an astronaut
            (NASA), which is enough for a model of photographs.
        quantize: "int8" for a second file, `NAME.int8.onnx`.
        data_dir: Folder with named datasets.
        overwrite: Replace what is there.

    Raises:
        UsageError: If what ONNX needs is not installed, a name is wrong, a file exists, or images are missing to learn ranges from.
        IsthmusError: If a file's values differ from the model's by more than `TOLERANCE`: none is written.
    """
    path = Path(out)
    if path.suffix != ".onnx":
        raise UsageError(f"An ONNX file's name must end in .onnx, and {printable(str(path))} does not.")
    if quantize:
        lookup("quantization", quantize, QUANTIZATIONS)
        if data is None and not model.trained_on_patches:
            raise UsageError("Quantizing needs images like the training set, to measure value ranges. Pass them as `images`.")
    if model.architecture.working_size:
        raise UsageError(
            f"A {model.recipe.network} model sees the whole picture at {model.architecture.working_size} pixels, which ONNX cannot "
            "describe for any size. Export a photographic or a conv model, or use isthmus itself."
        )
    _check_installed()
    paths = {"whole": path, **{name: path.with_suffix(f".{name}.onnx") for name in _PARTS if name != "whole"}}
    for each in (*paths.values(), *([path.with_suffix(f".{quantize}.onnx")] if quantize else [])):
        check_output(each, overwrite=overwrite)
    model = _in_float32(model)
    example, title = _real_images(model, data, data_dir)
    contents, parts = {}, []
    for name, make in _PARTS.items():
        if name == "decoder" and (not model.decodes_codes):
            continue  # its codes alone are no images
        content, part = _convert(name, make(model), _inputs_of(name, model, example), paths[name], model)
        contents[name] = content
        parts.append(part)
    quantized = _quantize(contents["whole"], path.with_suffix(f".{quantize}.onnx"), example) if quantize else None
    for part in parts:
        write_whole(Path(part.path), contents[part.name])
    return Exported(parts=tuple(parts), compared_on=title, quantized=quantized)


class _Whole(nn.Module):
    """From what a person has to what they want."""

    takes, gives = "image", "restored"

    def __init__(self, model: Model):
        super().__init__()
        self.network = model.network
        self.corruption, self.loss, self.bottleneck = model.corruption, model.loss, model.bottleneck
        self.any_size = model.architecture.any_size
        self.completes = model.takes_mask

    def forward(self, image: Tensor) -> Tensor:
        """Return images `(B, C, H, W)` for `(B, C', h, w)`."""
        seen = self.corruption.to_model_input(image)
        encoded, detail = self.network.encode(seen)
        output = self.network.decode(self.bottleneck.point(encoded), (seen.shape[-2], seen.shape[-1]), detail)
        restored = self.loss.image(output, seen[:, : seen.shape[1] - self.corruption.beside])
        return torch.where(image[:, -1:] >= 0.5, restored, image[:, :-1]) if self.completes else restored


class _Encoder(_Whole):
    """From what a person has to the code."""

    gives = "code"

    def forward(self, image: Tensor) -> Tensor:
        """Return codes for `(B, C', h, w)`."""
        return self.bottleneck.point(self.network.encode(self.corruption.to_model_input(image))[0])


class _Decoder(_Whole):
    """From the code to an image as large as those learned from; of squares, as large as the code map times the network's stride."""

    takes, gives = "code", "image"

    def __init__(self, model: Model):
        super().__init__(model)
        self.size = None if model.trained_on_patches else model.image_shape[1:]
        self.any_size = self.size is None
        self.stride = model.engine.network.stride

    def forward(self, code: Tensor) -> Tensor:
        """Return images `(B, C, H, W)` for codes."""
        size = self.size or (code.shape[-2] * self.stride, code.shape[-1] * self.stride)
        return self.loss.image(self.network.decode(code, size))


_PARTS: dict[str, Callable[[Model], _Whole]] = {"whole": _Whole, "encoder": _Encoder, "decoder": _Decoder}


def _check_installed() -> None:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise UsageError("This needs the extra 'onnx'. Install it: pip install 'isthmus[onnx]'.") from None
    onnxruntime.set_default_logger_severity(3)


def _in_float32(model: Model) -> Model:
    """Return a copy of a model on the CPU that computes in float32, as what is exported does."""
    copy = Model(model.recipe, model.image_shape, model.info, device="cpu")
    copy.network.load_state_dict(model.network.state_dict())
    copy.engine.bfloat16 = False
    return copy


def _real_images(model: Model, data: Data | None, data_dir: str | Path | None) -> tuple[Sample, str]:
    """Return real images as the model is given them at work, and what they are."""
    if data is None:
        from skimage.data import astronaut

        photograph: Array = astronaut()  # type: ignore[no-untyped-call]
        title = "a photograph of an astronaut (NASA)"
        if model.image_shape[0] == 1:
            photograph = photograph.mean(2, keepdims=True).astype(np.uint8)
        data = np.stack([part for row in np.split(photograph, 2) for part in np.split(row, 2, 1)])
    else:
        title = ""
    dataset = open_data(data, data_dir).read("all", size_for(model))
    images = dataset.take(slice(CHECKED)).images
    images = middle(images, SIDE) if model.architecture.any_size else images
    try:
        check_measurable(model)
    except IsthmusError:  # nobody knows what damage to do to them: they are taken as they are
        clean = model.degradation.prepare(images)
        return Sample(clean=clean, degraded=clean, model_input=clean), title or dataset.title
    return example_of(model, images, 0), title or dataset.title


def _inputs_of(name: str, model: Model, example: Sample) -> list[Array]:
    """Return what a part is compared on: where the size is free, others than the one that it was traced with."""
    whole = example.degraded
    if name == "decoder":
        whole = whole if model.trained_on_patches else middle(whole, *model.image_shape[1:])
        return [model.encode(whole)]
    if not model.architecture.any_size:
        return [whole]
    height, width = whole.shape[2:]
    return [whole, whole[:1, :, : max(1, height // 2 - 3), : max(1, width - 5)]]


def _convert(name: str, module: _Whole, inputs: list[Array], path: Path, model: Model) -> tuple[bytes, Part]:
    """Return one file's content, compared with the module."""
    axes = {0: "batch"}
    if module.any_size:
        axes |= {2: "height", 3: "width"}
    traced = torch.from_numpy(np.repeat(inputs[0][:1], 2, 0))  # two, because of one an exporter thinks that there is always one
    shapes = ({axis: torch.export.Dim(called) for axis, called in axes.items()},)
    with _silent():
        program = torch.onnx.export(
            module.eval(),
            (traced,),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=[module.takes],
            output_names=[module.gives],
            opset_version=OPSET,
        )
    assert program is not None
    proto = program.model_proto
    for key, value in _metadata(name, model).items():
        proto.metadata_props.add(key=key, value=value)
    content = proto.SerializeToString()
    session = _session(content)
    worst = 0.0
    for images in inputs:
        with torch.inference_mode():
            wanted = module(torch.from_numpy(images)).numpy()
        worst = max(worst, float(np.abs(_run(session, images) - wanted).max()))
    if not worst <= TOLERANCE:
        raise IsthmusError(
            f"The {name} as ONNX differs from the model by {worst:.2g}, more than {TOLERANCE:g}. Nothing was written to "
            f"{printable(str(path))}."
        )
    about: dict[str, dict[str, list[str | int]]] = {
        "inputs": {value.name: list(value.shape) for value in session.get_inputs()},
        "outputs": {value.name: _named(value.shape) for value in session.get_outputs()},
    }
    return content, Part(name=name, path=str(path), bytes=len(content), largest_difference=worst, **about)


def _named(shape: list[str | int]) -> list[str | int]:
    """Return a shape whose computed lengths are called so."""
    return [length if isinstance(length, int) or length.isidentifier() else "computed" for length in shape]


def _metadata(name: str, model: Model) -> dict[str, str]:
    """Return what a file says of itself."""
    values = {
        "isthmus": version("isthmus"),
        "part": name,
        "task": model.recipe.task,
        "range": "float32 from 0 (black) to 1 (white), channels first, RGB or gray",
        "scale": model.corruption.scale_factor,
        "recipe": model.recipe.to_json(),
        "image_shape": list(model.image_shape),
        "scores": model.info.scores,
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _quantize(content: bytes, path: Path, example: Sample) -> Quantized:
    """Write the whole with numbers of 8 bits, and measure it."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.left = iter(example.degraded)

        def get_next(self) -> dict[str, Array] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image[None]}

    with tempfile.TemporaryDirectory() as folder, _silent():
        quantize_static(
            onnx.load_from_string(content),
            Path(folder) / "quantized.onnx",
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": False},
        )
        quantized = (Path(folder) / "quantized.onnx").read_bytes()
    sessions = [_session(content), _session(quantized)]
    floats, ints = (_run(session, example.degraded) for session in sessions)
    is_clean = example.clean is not example.degraded
    cut = np.s_[..., : example.clean.shape[2], : example.clean.shape[3]]
    scores = [float(psnr_db(given[cut], example.clean).mean()) if is_clean else None for given in (floats, ints)]
    seconds: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for taken, session in zip(seconds, sessions, strict=True):
            began = time.perf_counter()
            _run(session, example.degraded[:8])
            taken.append(time.perf_counter() - began)
    write_whole(path, quantized)
    return Quantized(
        path=str(path),
        bytes=len(quantized),
        psnr_db=scores[1],
        psnr_db_float=scores[0],
        agreement_db=float(psnr_db(ints, floats).mean()),
        speedup=statistics.median(seconds[0]) / statistics.median(seconds[1]),
    )


def _session(content: bytes) -> InferenceSession:
    import onnxruntime

    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def _run(session: InferenceSession, images: Array) -> Array:
    (name,) = (value.name for value in session.get_inputs())
    return np.asarray(session.run(None, {name: np.ascontiguousarray(images)})[0])


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what exporters say of their progress from the user."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
