"""The trained model at work: `restore`, `encode`, `decode`, `generate`, on whatever kind of image a person has."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from isthmus import pretrained
from isthmus.errors import DataError, IsthmusError, ModelFileError, UsageError, printable
from isthmus.imaging.arrays import Array, from_unit
from isthmus.inference import kinds
from isthmus.inference.device import choose_bfloat16, choose_device
from isthmus.inference.engine import Inference, build_network, chunk_length, to_array
from isthmus.inference.inputs import Intake, times
from isthmus.inference.reference import FIT_CODES, MAX_NUMBERS, CodeDensity, Reference
from isthmus.networks import MODELS, Detail, propagate
from isthmus.networks.bottlenecks import Code
from isthmus.networks.losses import LOSSES
from isthmus.recipes import Recipe
from isthmus.recipes.degradation import ExampleMaker
from isthmus.storage import model_file
from isthmus.storage.atomic import write_whole

LOG = logging.getLogger("isthmus")

LOOKED_AT = 64
"""Images of a call to `restore` that are compared with the training images, at most."""


class Model(ExampleMaker):
    """A trained autoencoder: the network, and the recipe that made it.

    Args:
        recipe: What it has learnt, and how.
        image_shape: (C, H, W) of the images that it was trained on.
        about: What else its file says: data, history, scores.
        device: Where it computes: "auto", "cpu", "cuda" or "mps".
    """

    reference: Reference | None = None
    """What new images are compared with; a model that has learnt nothing has none."""
    warned = False
    """Whether strange images have been remarked on, which happens once."""

    def __init__(
        self, recipe: Recipe, image_shape: tuple[int, int, int], about: dict[str, Any] | None = None, *, device: str = "auto"
    ):
        super().__init__(recipe)
        self.image_shape = image_shape
        self.about = about or {}
        self.loss = LOSSES[recipe.loss]
        self.architecture = MODELS[recipe.model]
        small = tuple(-(-side // self.corruption.enlarges) for side in image_shape[1:])
        self.intake = Intake(
            model=recipe.model,
            channels=image_shape[0],
            size=None if self.architecture.any_size else cast(tuple[int, int], small),
            corruption=self.corruption,
        )
        self.device = choose_device(device)
        self.bfloat16 = choose_bfloat16(recipe.precision, self.architecture, self.device)
        self.inference = Inference(
            build_network(recipe, image_shape),
            self.architecture,
            self.corruption,
            self.loss,
            device=self.device,
            bfloat16=self.bfloat16,
        )
        self.network = cast(nn.Module, self.inference.network)

    def restore(
        self,
        images: Any,
        *,
        strength: float = 1.0,
        careful: bool = False,
        mask: Array | None = None,
        watch: Callable[[float], None] | None = None,
    ) -> Any:
        """Undo what the model has learnt to undo.

        Args:
            images: An array or tensor `(H, W)`, `(H, W, C)`, `(n, H, W)`, `(n, C, H, W)` or `(n, H, W, C)` of uint8, uint16,
                bool or floats in [0, 1] (a little outside, as noise leaves them, is fine); a PIL image; a path; or a list of them.
            strength: How much of it, from 0 (nothing: only the size and the colours change, as they must) to 1.
            careful: Look at each image in all eight orientations and take the mean: a little better, eight times slower. Only a
                model that takes any size can do that.
            mask: What is missing, for a model that completes: `(H, W)` or `(n, H, W)`, white or True where it is. The rest is kept.
            watch: Called before each part of an array's pixels with the share that is done; what it raises ends the work.

        Returns:
            The same kind and type; for a path, the picture's pixels as an array. The shape is the same, unless the model gives
            colour to gray images, or enlarges.

        Raises:
            DataError: If the shape, size, channels, values or mask do not fit the model; the message says what does.
            UsageError: If the strength is not in [0, 1], or care cannot be taken.
        """
        if not 0 <= strength <= 1:
            raise UsageError(f"The strength must lie between 0 and 1, not {strength}.")
        if careful and not self.architecture.any_size:
            raise UsageError(f"A {self.recipe.model} model takes one size and one orientation only, so it cannot be careful.")
        return kinds.change(images, lambda array: self._restore(array, strength, careful, mask, watch))

    def limit_memory(self, most: int) -> None:
        """Restore large pictures in tiles so small that the process stays within so many bytes, its present ones included.

        Raises:
            UsageError: If that is too little for the smallest tile.
        """
        self.inference.limit_memory(most)

    def encode(self, images: Array) -> Array:
        """Return the codes of images: `(n, numbers)` or `(n, channels, h, w)` float32.

        Args:
            images: As for `restore`; a single image is a batch of one.
        """
        chunks = self.inference.chunks(self.intake.batch(np.asarray(images))[1])
        return np.concatenate([to_array(self._code(self.corruption.as_seen(damaged)).float()) for _, damaged in chunks])

    def decode(self, codes: Array, size: tuple[int, int] | None = None) -> Array:
        """Return the images that codes stand for, `(n, C, H, W)` float32 in [0, 1].

        Args:
            codes: As `encode` gives them.
            size: (H, W) of the images; without it, that of the training images.

        Raises:
            DataError: If the codes do not have this model's shape, or are no images without what is seen beside them.
        """
        if self.architecture.carries_detail or self.loss.needs_seen:
            raise DataError(
                f"A {self.recipe.model} model carries detail around its code, so its codes alone are no images: "
                "train a conv or a dense model with bce, mse or l1 to decode, generate or compress."
            )
        size = size or self.image_shape[1:]
        codes = np.asarray(codes, np.float32)
        wanted = self.code_shape(size)
        if codes.shape[1:] != wanted:
            raise DataError(
                f"Codes of shape {codes.shape} do not fit: "
                f"this model's are (n, {', '.join(map(str, wanted))}) for {times(size)} pixels."
            )
        step = chunk_length((self.image_shape[0], *size))
        parts = (torch.from_numpy(part).to(self.device) for part in np.split(codes, range(step, len(codes), step)))
        return np.concatenate([to_array(self.loss.image(self.output(part, size))) for part in parts])

    def generate(self, count: int, seed: int = 0, size: tuple[int, int] | None = None) -> Array:
        """Return new images, `(count, C, H, W)` float32 in [0, 1].

        Their codes come from the prior of a Gaussian code, or else from the density fitted on the training images' codes.

        Args:
            count: How many, from 1 up.
            seed: The same seed gives the same images.
            size: (H, W) of the images; without it, that of the training images.

        Raises:
            UsageError: If the count is not positive, or the seed negative.
            DataError: If the size does not fit, or the code is a point and no density has been fitted on codes of this size.
        """
        if count < 1:
            raise UsageError(f"The count of new images must be 1 or more, not {count}.")
        if not 0 <= seed < 1 << 31:
            raise UsageError(f"The seed must be a number from 0 to 2,147,483,647, not {seed}.")
        shape = (count, *self.code_shape(size))
        generator = torch.Generator().manual_seed(seed)
        codes = self.bottleneck.invent(shape, generator, lambda: torch.from_numpy(self.density(shape).sample(count, seed)))
        return self.decode(codes.numpy(), size)

    def compare(self, images: Array) -> dict[str, Array]:
        """Return how strange images are, by up to three scores; higher is stranger.

        Args:
            images: As for `restore`.

        Returns:
            "error": the squared difference between an image and what the model gives for it, the mean over its values; `(n,)`.
            "surprise": how unlikely its code is under the density of the training images' codes, in nats; absent where the
            code has another shape than theirs. Where the model gives other channels than it sees, there is no "error".
            "either": the surprise, or the error where it is far beyond the usual (`Reference.either_of`), where there are both.
        """
        _, batch = self.intake.batch(np.asarray(images))
        scores: dict[str, list[Array]] = {"error": [], "surprise": []}
        density = self.reference.density if self.reference else None
        known = self.code_shape() if density else None
        for _, damaged in self.inference.chunks(batch):
            seen = self.corruption.as_seen(damaged)
            code, restored = self.inference.code_and_image(seen)
            if restored.shape == seen.shape:
                scores["error"].append(to_array((restored - seen).square().mean((1, 2, 3))))
            if density and code.shape[1:] == known:
                scores["surprise"].append(density.surprise(code.float().flatten(1).cpu().numpy()))
        found = {name: np.concatenate(parts).astype(np.float64) for name, parts in scores.items() if parts}
        if self.reference and self.reference.either is not None and len(found) == len(scores):
            found["either"] = self.reference.either_of(found)
        return found

    def density(self, shape: tuple[int, ...]) -> CodeDensity:
        """Return the density of the training images' codes, for codes of a shape `(n, ...)`.

        Raises:
            DataError: If the model remembers none, or one of other codes.
        """
        density = self.reference.density if self.reference else None
        if density is None or tuple(shape[1:]) != self.code_shape():
            raise DataError(
                f"The model remembers no codes of shape {tuple(shape[1:])}: none were learnt, or they have more than "
                f"{MAX_NUMBERS:,} numbers, or belong to images of another size."
            )
        return density

    def size_of(self, images: Array) -> tuple[int, int]:
        """Return (H, W) of images, as `restore` takes them."""
        _, batch = self.intake.batch(np.asarray(images))
        return batch.shape[2], batch.shape[3]

    def remember(self, images: Array, held_out: Array) -> None:
        """Keep what new images will be compared with.

        Args:
            images: `(n, C, H, W)`, of the training images, as the model is given them at work.
            held_out: `(m, C, H, W)`, of others.
        """
        density = None
        if len(images) > 1 and math.prod(self.code_shape()) <= MAX_NUMBERS:
            codes = self.encode(images[:: math.ceil(len(images) / FIT_CODES)])
            if codes.shape[1:] == self.code_shape():  # enlarged images may be a little larger than those learnt from
                density = CodeDensity.fit(codes.reshape(len(codes), -1), self.recipe.seed)
        self.reference = Reference(errors=np.zeros(1, np.float32), density=density)
        self.reference = Reference.remember(self.compare(held_out), density)

    def code_shape(self, size: tuple[int, int] | None = None) -> tuple[int, ...]:
        """Return the shape of one image's code, for an image size (H, W).

        Raises:
            DataError: If the model takes images of another size only.
        """
        if size and size != self.image_shape[1:] and not self.architecture.any_size:
            raise DataError(f"This model decodes to {times(self.image_shape[1:])} pixels, not {times(size)}.")
        network = build_network(self.recipe, self.image_shape, device="meta")
        channels = self.corruption.seen_channels(self.image_shape[0])
        encoded, _ = network.encode(torch.empty((1, channels, *(size or self.image_shape[1:])), device="meta"))
        return tuple(network.bottleneck.point(encoded).shape[1:])

    def parameters(self) -> int:
        """Return how many numbers were learnt."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def describe(self) -> dict[str, Any]:
        """Return what there is to know about the model, as JSON can hold it."""
        return {
            "recipe": self.recipe.to_json(),
            "parameters": self.parameters(),
            "image_shape": list(self.image_shape),
            "image_numbers": math.prod(self.image_shape),
            "code_shape": list(self.code_shape()),
            "code_numbers": math.prod(self.code_shape()),
            "any_size": self.architecture.any_size,
            "learnt_from_squares": self.learnt_from_squares,
            "data": self.about.get("data", {}),
            "skipped": self.about.get("skipped", []),
            "history": self.about.get("history", []),
            "steps": self.about.get("steps", 0),
            "train_seconds": self.about.get("train_seconds", 0.0),
            "arithmetic": "bfloat16" if self.bfloat16 else "float32",
        }

    @property
    def learnt_from_squares(self) -> bool:
        """Whether it has learnt from squares cut from pictures of any size, and takes any size, so that none is its own."""
        return self.architecture.any_size and len(self.about.get("data", {}).get("shape", ())) == 3

    def _restore(
        self, array: Array, strength: float, careful: bool, mask: Array | None, watch: Callable[[float], None] | None
    ) -> Array:
        layout, batch = self.intake.batch(array, mask)
        self._remark_on(batch)
        channels, enlarges = self.image_shape[0], self.corruption.enlarges
        gray = self.intake.gives_gray(layout.to_batch(array).shape[1])
        size = tuple(side * enlarges for side in batch.shape[2:])
        restored = np.empty((len(batch), 1 if gray else channels, *size), array.dtype)
        done = 0
        for place, damaged, inner in self.inference.pieces(batch, enlarges):
            if watch:
                watch(done / restored.size)
            done += restored[place].size
            result = self._image(self.corruption.as_seen(damaged), strength, careful)[inner]
            restored[place] = from_unit(to_array(result.mean(1, keepdim=True) if gray else result), array.dtype)
        if mask is not None:
            restored = np.where(batch[:, -1:] >= 0.5, restored, layout.to_batch(array))
        return layout.from_batch(restored)

    def _image(self, seen: Tensor, strength: float, careful: bool) -> Tensor:
        """Return `(B, C, H, W)` in [0, 1] for `(B, C', H, W)`: the network's at full strength, what is seen at none."""
        restored = self.inference.image(seen, careful=careful)
        if strength == 1:
            return restored
        channels = [min(channel, seen.shape[1] - 1) for channel in range(self.image_shape[0])]  # gray for RGB, and no mask
        return torch.lerp(seen[:, channels].clamp(0, 1), restored, strength)

    def restore_seen(self, seen: Array) -> Array:
        """Return `(n, C, H, W)` float32 in [0, 1] for what `corrupt` gave."""
        restored = np.empty((len(seen), self.image_shape[0], *seen.shape[2:]), np.float32)
        for place, window, inner in self.inference.pieces(seen):
            restored[place] = to_array(self.inference.image(window)[inner])
        return restored

    def losses(self, seen: Array, clean: Array, seed: int = 0) -> Array:
        """Return what training makes small, for each image `(n,)`: the error of the network's own output and its code's cost.

        Args:
            seen: `(n, C', H, W)`, as `corrupt` gives it.
            clean: `(n, C, H, W)` floats in [0, 1].
            seed: Of the code's chance, where it is a distribution.
        """
        parts = []
        generator = torch.Generator(self.device).manual_seed(seed)
        for chosen, batch in self.inference.chunks(seen):
            copies = batch.repeat(self.bottleneck.views, 1, 1, 1).contiguous(memory_format=torch.channels_last)
            with self.inference.at_work():
                output, divergence = propagate(self.inference.network, copies, generator)
            errors = self.loss(output, torch.from_numpy(clean[chosen]).to(self.device), reduction="none").flatten(1)
            parts.append((errors.mean(1) + self.recipe.beta * divergence / errors.shape[1]).cpu().numpy())
        return np.concatenate(parts)

    def start_from(self, other: Model) -> None:
        """Take over another model's weights, as far as they have the same names and shapes.

        Raises:
            UsageError: If that is less than half of the weights.
        """
        own, learnt = self.network.state_dict(), other.network.state_dict()
        shared = {name: learnt[name] for name in own.keys() & learnt.keys() if own[name].shape == learnt[name].shape}
        share = sum(tensor.numel() for tensor in shared.values()) / self.parameters()
        if share < 0.5:
            raise UsageError(
                f"The model to start from shares {share:.0%} of this one's weights: give the same --model, --code and --hidden."
            )
        self.network.load_state_dict(own | shared)

    def save(self, path: str | Path, *, half: bool = False) -> None:
        """Write the model file, whole or not at all; with `half`, its numbers in 16 bits, which takes half the room."""
        write_whole(Path(path), self.to_bytes(half=half))

    def to_bytes(self, *, half: bool = False) -> bytes:
        """Return the content of the model file."""
        about = {**self.about, "recipe": self.recipe.to_json(), "image_shape": list(self.image_shape)}
        arrays = self.reference.to_tensors() if self.reference else {}
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        weights = {name: tensor.half() if half else tensor for name, tensor in self.network.state_dict().items()}
        return model_file.pack("model", {**weights, **tensors}, about)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by way of the model file; what was on a GPU goes to the best device that there is."""
        return _from_bytes, (self.to_bytes(), "cpu" if self.device.type == "cpu" else "auto")

    def _remark_on(self, batch: Array) -> None:
        """Log a warning, once, if images are stranger than all that were held out of the training."""
        if self.warned or self.reference is None or batch.shape[2:] != self.image_shape[1:]:
            return
        usual = self.reference.held_out()
        scores = self.compare(batch[:LOOKED_AT]).items()
        if any(np.median(values) > usual[name][-1] for name, values in scores if name in usual):
            self.warned = True
            LOG.warning("These images do not look like those that the model has learnt from: do not trust what it makes of them.")

    @property
    def bottleneck(self) -> Code:
        """What makes the code of what the encoder gives."""
        return self.inference.bottleneck

    def encoded(self, seen: Tensor) -> Tensor:
        """Return what the bottleneck makes the code of, for a batch `(B, C', H, W)` on the model's device."""
        return self.inference.encode(seen)[0]

    def output(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a code on the model's device, a size (H, W), and detail beside the code."""
        return self.inference.output(code, size, detail)

    def _code(self, seen: Tensor) -> Tensor:
        return self.bottleneck.point(self.encoded(seen))


def load(path: str | Path, *, device: str = "auto") -> Model:
    """Read a model file.

    Args:
        path: The file that `train` or `Model.save` wrote; or the name of a model that ships, such as "denoise-color".
        device: Where the model computes: "auto", "cpu", "cuda" or "mps".

    Raises:
        ModelFileError: If it is not a model file, is damaged, or is newer than this version.
    """
    return _assemble(printable(str(path)), *model_file.read(pretrained.locate(path), "model"), device)


def _from_bytes(content: bytes, device: str) -> Model:
    name = "The pickled model"
    return _assemble(name, *model_file.unpack(content, "model", name), device)


def _assemble(name: str, tensors: model_file.Tensors, about: dict[str, Any], device: str) -> Model:
    """Return the model of a file's content; messages call it `name`."""
    remembered = {
        key: tensors.pop(key).float().numpy() for key in list(tensors) if key.startswith(("reference.", "density.", "mixture."))
    }
    try:
        recipe = Recipe.of(about.pop("recipe"))
        image_shape = about.pop("image_shape")
        channels, height, width = (int(number) for number in image_shape)
        if not (1 <= channels <= 1 << 10 and 1 <= height <= 1 << 20 and 1 <= width <= 1 << 20):
            raise ModelFileError(f"image_shape is {image_shape}")
        shape = (channels, height, width)
        wanted = cast(nn.Module, build_network(recipe, shape, device="meta")).state_dict()
    except (IsthmusError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{name} does not describe a model that this isthmus knows: {error}") from None
    model_file.check_tensors(name, tensors, {key: tuple(tensor.shape) for key, tensor in wanted.items()})
    model = Model(recipe, shape, about, device=device)
    model.network.load_state_dict(tensors)
    try:
        model.reference = Reference.of(remembered, math.prod(model.code_shape()))
    except (ModelFileError, KeyError, IndexError) as error:
        raise ModelFileError(f"{name} is damaged: {error}.") from None
    return model
