"""A trained model: `restore`, `encode`, `decode`, `generate` on arrays, tensors and pictures; `load` reads its file."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from isthmus import pretrained
from isthmus.corruptions import Corruption
from isthmus.errors import DataError, IsthmusError, IsthmusWarning, ModelFileError, UsageError, printable
from isthmus.imaging.arrays import Array, from_unit
from isthmus.inference.density import CodeDensity
from isthmus.inference.device import choose_bfloat16, choose_device
from isthmus.inference.engine import Engine, build_network, progress_reporter, to_array
from isthmus.inference.inputs import InputSpec, change, times
from isthmus.inference.jpeg_artifacts import without_artifacts
from isthmus.inference.novelty_statistics import MAX_NUMBERS, TrainingStatistics, novelty_scores
from isthmus.networks import NETWORKS
from isthmus.networks.base import Network
from isthmus.networks.bottlenecks import Bottleneck
from isthmus.networks.losses import LOSSES
from isthmus.recipes import Recipe
from isthmus.recipes.degradation import Degradation
from isthmus.recipes.training_info import MOST_JPEGS, TrainingInfo
from isthmus.storage import model_file
from isthmus.storage.atomic import write_whole

CHECKED_IMAGES = 64
"""Images that a model compares with its training set, over all calls of `restore`."""

Images = TypeVar("Images")


class Model:
    """A trained autoencoder: the network, and the recipe that made it.

    Args:
        recipe: How it was trained.
        image_shape: (C, H, W) of the training images.
        info: What it was trained on, and how that went.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
    """

    def __init__(
        self, recipe: Recipe, image_shape: tuple[int, int, int], info: TrainingInfo | None = None, *, device: str = "auto"
    ):
        self.recipe = recipe.complete()
        self.image_shape = image_shape
        self.info = info or TrainingInfo()
        self.statistics: TrainingStatistics | None = None
        self.degradation = Degradation(self.recipe)
        self.loss = LOSSES[self.recipe.loss or ""]
        self.architecture = NETWORKS[self.recipe.network]
        scale = self.corruption.scale_factor
        self.input_spec = InputSpec(
            model=recipe.network,
            channels=image_shape[0],
            size=None if self.architecture.any_size else (-(-image_shape[1] // scale), -(-image_shape[2] // scale)),
            corruption=self.corruption,
        )
        where = choose_device(device)
        network, bfloat16 = build_network(self.recipe, image_shape), choose_bfloat16(recipe.precision, self.architecture, where)
        self.engine = Engine(network, self.architecture, self.degradation, self.loss, device=where, bfloat16=bfloat16)
        self.repairer = _plain("repair", device) if self.info.jpegs_undone < MOST_JPEGS else None
        self._checked = 0

    def restore(
        self,
        images: Images,
        *,
        strength: float = 1.0,
        self_ensemble: bool = False,
        mask: Array | None = None,
        hints: Array | None = None,
        on_progress: Callable[[float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Images:
        """Undo the corruption that the model was trained to undo; an upscaler that ships repairs JPEGs first.

        Args:
            images: An array or tensor `(H, W)`, `(H, W, C)`, `(n, H, W)`, `(n, C, H, W)` or `(n, H, W, C)` of uint8, uint16,
                bool or floats in [0, 1] (noise may exceed them a little); a PIL image; a picture file's bytes or path; or a list.
            strength: From 0 (input, only resized and recolored as needed) to 1 (output).
            self_ensemble: Average over all eight orientations, of a colorizer over two: a little better, that much slower. Needs
                a network that takes any size.
            mask: For an inpainting model: `(H, W)` or `(n, H, W)`, white or True where the image is missing.
            hints: For a colorizer: colors set at some places, `(H, W, C)` or `(n, H, W, C)`, as large as the images. Of RGBA, the
                pixels that are more opaque than not are colors; of RGB, those whose channels differ by more than 16 of 255.
            on_progress: Called with the share done, before each part of an array's pixels.
            stop: Set it, from any thread, to end the work with `Interrupted`.

        Returns:
            The same kind, shape and type; for a path, an array. Colorizing changes channels (bool to uint8), upscaling the size.

        Raises:
            DataError: If shape, size, channels, values, mask or hints do not fit the model.
            UsageError: If the strength is not in [0, 1], or the network cannot use self-ensemble.
            Interrupted: If `stop` was set.

        Warns:
            IsthmusWarning: Once, if the images look unlike the training set.
        """
        if not 0 <= strength <= 1:
            raise UsageError(f"The strength must be between 0 and 1, not {strength}.")
        if self_ensemble and not self.architecture.any_size:
            raise UsageError(f"A {self.recipe.network} model takes one image size only: pass no `self_ensemble`.")
        report, told = progress_reporter(on_progress, stop), {"mask": mask, "hints": hints}
        return change(images, lambda array: self._restore(array, strength, self_ensemble, report, told))  # type: ignore[no-any-return]

    def limit_memory(self, most: int) -> None:
        """Restore large images in tiles so small that the process stays within so many bytes, present ones included.

        Raises:
            UsageError: If that is too little for the smallest tile.
        """
        self.engine.limit_memory(most)
        if self.repairer is not None:
            self.repairer.limit_memory(most)

    def encode(self, images: Any) -> Array:
        """Return the latent codes of images: `(n, numbers)` or `(n, channels, h, w)` float32.

        Args:
            images: As for `restore`; a single image is a batch of one.
        """
        codes: list[Array] = []

        def keep(array: Array) -> Array:
            chunks = self.engine.chunks(*self.input_spec.batch(array)[1:])
            encoded = (self.engine.encode(self.corruption.to_model_input(degraded))[0] for _, degraded in chunks)
            codes.extend(to_array(self.bottleneck.point(part).float()) for part in encoded)
            return array

        change(images, keep)
        return np.concatenate(codes)

    def decode(self, codes: Array, size: tuple[int, int] | None = None) -> Array:
        """Return the images of latent codes, `(n, C, H, W)` float32 in [0, 1].

        Args:
            codes: As `encode` returns them.
            size: (H, W) of the images; by default, that of the training images.

        Raises:
            DataError: If the codes have another shape, or the model needs more than codes to make images.
        """
        if not self.decodes_codes:
            raise DataError(
                f"A {self.recipe.network} model with the loss {self.recipe.loss} passes detail around its code, so codes alone "
                "give no image. Train a conv or dense model with bce, mse or l1 to decode, generate or compress."
            )
        size = size or self.image_shape[1:]
        codes = np.asarray(codes, np.float32)
        shape = self.code_shape(size)
        if codes.shape[1:] != shape:
            needed = f"(n, {', '.join(map(str, shape))})"
            raise DataError(f"Codes of shape {codes.shape} do not fit. For {times(size)} pixels, this model needs {needed}.")
        step = self.engine.chunk_length(size)
        parts = (torch.from_numpy(part).to(self.device) for part in np.split(codes, range(step, len(codes), step)))
        return np.concatenate([to_array(self.engine.image(self.engine.output(part, size))) for part in parts])

    def generate(self, count: int, seed: int = 0, size: tuple[int, int] | None = None) -> Array:
        """Return new images, `(count, C, H, W)` float32 in [0, 1].

        Their codes come from the prior of a Gaussian bottleneck, or from the density fitted to the training images' codes.

        Args:
            count: How many, 1 or more.
            seed: Random seed.
            size: (H, W) of the images; by default, that of the training images.

        Raises:
            UsageError: If the count or the seed is out of range.
            DataError: If the size does not fit, or no density was fitted to codes of this shape.
        """
        if count < 1:
            raise UsageError(f"The count of new images must be 1 or more, not {count}.")
        if not 0 <= seed < 1 << 31:
            raise UsageError(f"The random seed must be between 0 and 2,147,483,647, not {seed}.")
        shape = (count, *self.code_shape(size))
        generator = torch.Generator().manual_seed(seed)
        codes = self.bottleneck.invent(shape, generator, lambda: torch.from_numpy(self.density(shape).sample(count, seed)))
        return self.decode(codes.numpy(), size)

    def novelty_scores(self, images: Array) -> dict[str, Array]:
        """Return how unlike the training set images are, by up to three scores `(n,)`; higher is stranger.

        Args:
            images: As for `restore`.

        Returns:
            "error": the mean squared difference between input and output, where both have the same channels.
            "surprise": minus the log-density of the code among the training images' codes, in nats, where the shapes agree.
            "either": the surprise, or the error where it is far beyond the usual, where there are both.
        """
        _, batch, beside = self.input_spec.batch(np.asarray(images))
        return novelty_scores(self.engine, self.statistics, batch, beside, self.code_shape() if self.statistics else None)

    def code_shape(self, size: tuple[int, int] | None = None) -> tuple[int, ...]:
        """Return the shape of one image's code, for an image size (H, W); by default, that of the training images.

        Raises:
            DataError: If the model takes images of another size only.
        """
        if size and size != self.image_shape[1:] and not self.architecture.any_size:
            raise DataError(f"This model decodes to {times(self.image_shape[1:])} pixels, not {times(size)}.")
        return self.network.code_shape((self.corruption.input_channels(self.image_shape[0]), *(size or self.image_shape[1:])))

    @property
    def network(self) -> Network:
        """The `torch.nn.Module`."""
        return self.engine.network

    @property
    def bottleneck(self) -> Bottleneck:
        """What turns the encoder's output into the code."""
        return self.network.bottleneck

    @property
    def corruption(self) -> Corruption:
        """What the model was trained to undo."""
        return self.degradation.corruption

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return self.engine.device

    @property
    def decodes_codes(self) -> bool:
        """Whether a code alone gives an image: nothing passes around it."""
        return not self.architecture.carries_detail and not self.loss.needs_seen

    @property
    def takes_mask(self) -> bool:
        """Whether images need a mask beside them: the model inpaints."""
        return "mask" in self.input_spec.companions

    @property
    def takes_hints(self) -> bool:
        """Whether colors can be set at some places of the images: the model colorizes."""
        return "hints" in self.input_spec.companions

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(H, W) to read images in; None for any size."""
        return None if self.architecture.any_size else self.image_shape[1:]

    @property
    def trained_on_patches(self) -> bool:
        """Whether it was trained on patches of larger images and takes any size, so no size is its own."""
        return self.architecture.any_size and self.info.from_patches

    @property
    def num_parameters(self) -> int:
        """How many trained numbers it has; those of `repairer` are not among them."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def describe(self) -> dict[str, Any]:
        """Return what there is to know about the model, as JSON can hold it."""
        return {
            "recipe": self.recipe.to_json(),
            "parameters": self.num_parameters,
            "image_shape": list(self.image_shape),
            "image_numbers": math.prod(self.image_shape),
            "code_shape": list(self.code_shape()),
            "code_numbers": math.prod(self.code_shape()),
            "any_size": self.architecture.any_size,
            "trained_on_patches": self.trained_on_patches,
            **{name: value for name, value in vars(self.info).items() if name not in ("scores", "sources")},
            "arithmetic": "bfloat16" if self.engine.bfloat16 else "float32",
        }

    def __repr__(self) -> str:
        """Return one line that says which model it is."""
        about = f"task={self.recipe.task!r}, model={self.recipe.network!r}, image_shape={self.image_shape}"
        return f"Model({about}, parameters={self.num_parameters}, device='{self.device}')"

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write the model file, whole or not at all; with `half`, numbers have 16 bits and the file half the size."""
        write_whole(Path(path), self.to_bytes(half=half))

    def to_bytes(self, *, half: bool = False) -> bytes:
        """Return the content of the model file."""
        about = {**vars(self.info), "recipe": self.recipe.to_json(), "image_shape": list(self.image_shape)}
        arrays = self.statistics.to_tensors() if self.statistics else {}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        weights = {name: tensor.half() if half else tensor for name, tensor in self.network.state_dict().items()}
        return model_file.pack("model", {**weights, **tensors}, about)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a model file; what was on a GPU goes to the best device there is."""
        return from_bytes, (self.to_bytes(), "cpu" if self.device.type == "cpu" else "auto")

    def density(self, shape: tuple[int, ...]) -> CodeDensity:
        """Return the density of the training images' codes, for codes of a shape `(n, ...)`.

        Raises:
            DataError: If the model has none, or one of other codes.
        """
        density = self.statistics.density if self.statistics else None
        if density is None or tuple(shape[1:]) != self.code_shape():
            raise DataError(
                f"The model has no density of codes of shape {tuple(shape[1:])}: it is untrained, its codes have more than "
                f"{MAX_NUMBERS:,} numbers, or the training images had another size."
            )
        return density

    def _restore(
        self, array: Array, strength: float, self_ensemble: bool, report: Callable[[float], None], told: dict[str, Array | None]
    ) -> Array:
        layout, batch, beside = self.input_spec.batch(array, **told)
        self._check_familiar(batch, beside)
        repaired = batch
        if self.repairer is not None and strength:
            repair = partial(self.repairer.restore, self_ensemble=self_ensemble, on_progress=lambda _: report(0.0))
            repaired = without_artifacts(batch, repair, self.info.jpegs_undone)
        gray_ones, scale = self.input_spec.gray_ones(batch), self.corruption.scale_factor
        count = 1 if self.input_spec.returns_gray(layout.to_batch(array).shape[1]) else self.image_shape[0]
        dtype = np.dtype(np.uint8) if array.dtype.kind == "b" and count > 1 else array.dtype  # one bit holds no color
        restored = np.empty((len(batch), count, *(side * scale for side in batch.shape[2:])), dtype)
        done = 0
        report(0.0)
        for place, seen, image in self.engine.restored(repaired, beside, self_ensemble=self_ensemble, given=batch):
            values = to_array(image if strength == 1 else torch.lerp(seen.clamp(0, 1).expand_as(image), image, strength))
            values[gray_ones[place[0]]] = values[gray_ones[place[0]]].mean(1, keepdims=True)
            restored[place] = from_unit(values[:, :count], dtype)
            done += restored[place].size
            if done < restored.size:
                report(done / restored.size)
        if told.get("mask") is not None and beside is not None:
            restored = np.where(beside[:, :1] >= 0.5, restored, layout.to_batch(array))
        return layout.from_batch(restored)

    def _check_familiar(self, batch: Array, beside: Array | None) -> None:
        """Warn once if images are stranger than all held-out ones; only the first `CHECKED_IMAGES` of a model are checked."""
        left = CHECKED_IMAGES - self._checked
        if left <= 0 or self.statistics is None or batch.shape[2:] != self.image_shape[1:]:
            return
        self._checked += len(batch[:left])
        told = beside if beside is None or len(beside) == 1 else beside[:left]
        if self.statistics.are_exceeded(novelty_scores(self.engine, self.statistics, batch[:left], told, self.code_shape())):
            self._checked = CHECKED_IMAGES
            warnings.warn("These images look unlike the training set, so results may be unreliable.", IsthmusWarning, stacklevel=5)


def load(path: str | Path, *, device: str = "auto") -> Model:
    """Read a model file.

    Args:
        path: A file that `train` or `Model.save` wrote; or the name of a model that ships, such as "denoise-color".
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        ModelFileError: If it is no model file, is damaged, or needs a newer version.
    """
    return _assemble(printable(str(path)), *model_file.read(pretrained.locate(path), "model"), device)


def _plain(name: str, device: str) -> Model:
    """Return a model that ships, which passes images through its network and nothing before."""
    tensors, about = model_file.read(pretrained.locate(name), "model")
    return _assemble(name, tensors, {**about, "jpegs_undone": MOST_JPEGS}, device)


def from_bytes(content: bytes, device: str) -> Model:
    """Return the model of a file's content."""
    return _assemble("The pickled model", *model_file.unpack(content, "model", "The pickled model"), device)


def _assemble(name: str, tensors: model_file.Tensors, about: dict[str, Any], device: str) -> Model:
    """Return the model of a file's content; messages call it `name`."""
    kept = [key for key in tensors if key.startswith(("statistics.", "density.", "mixture."))]
    statistics = {key: tensors.pop(key).float().numpy() for key in kept}
    try:
        recipe = Recipe.from_json(about["recipe"]).complete()
        channels, height, width = (int(number) for number in about["image_shape"])
        if not (1 <= channels <= 1 << 10 and min(height, width) >= 1 and max(height, width) <= 1 << 20):
            raise ModelFileError(f"image_shape is {about['image_shape']}")
        shape = (channels, height, width)
        info = TrainingInfo.from_json(about)
        expected = build_network(recipe, shape, device="meta").state_dict()
    except (IsthmusError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ModelFileError(f"{name} does not describe a model that this isthmus knows: {error}") from None
    model_file.check_tensors(name, tensors, {key: tuple(tensor.shape) for key, tensor in expected.items()})
    model = Model(recipe, shape, info, device=device)
    model.network.load_state_dict(tensors)
    try:
        model.statistics = TrainingStatistics.from_tensors(statistics, math.prod(model.code_shape()))
    except (ModelFileError, KeyError, IndexError) as error:
        raise ModelFileError(f"{name} is damaged: {error}.") from None
    return model
