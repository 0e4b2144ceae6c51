"""The engine: passes images through a network in chunks that fit the cache, and large pictures in tiles."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from isthmus.corruptions import parse
from isthmus.errors import DataError, Interrupted, UsageError, lookup
from isthmus.imaging.arrays import Array, Window, to_unit
from isthmus.imaging.bicubic import CUBIC_RADIUS
from isthmus.inference.device import give_back_memory, keep_freed_memory, memory_errors
from isthmus.inference.tiling import Tile, rounded_up, spans, tiles
from isthmus.networks import Architecture, build
from isthmus.networks.base import Detail, Network, NetworkSpec
from isthmus.networks.bottlenecks import BOTTLENECKS, Bottleneck
from isthmus.networks.losses import LOSSES, Loss
from isthmus.networks.strips import Strips
from isthmus.recipes import Recipe
from isthmus.recipes.degradation import Degradation

TILE_SIDE = 1024
"""Height and width of what goes through the network at once of a larger picture, unless the memory is limited."""

SMALLEST_TILE = 256
"""Side below which tiles would be all margin."""

TILE_BYTES = 700
"""Memory that a pixel of a tile takes while it goes through the network, at most (benchmarks/photos.py measures it)."""

COPIES = 4
"""Of a picture's pixels and of the result's, at most: read, in the network's order, as it fills, and as the format codes it."""

SHRUNK_PIXELS = 1 << 21
"""Pixels that are shrunk at once of a picture that the network sees whole."""

STRIP_ROWS, STRIP_PIXELS = 7 / 32, 1 / 2
"""Rows of a strip, as a share of a tile's, and its pixels; with what is kept between strips, it takes about as much memory."""

Index = tuple[slice, ...]
See = Callable[[Tensor], Tensor]
ALL = slice(None)
WHOLE = Tile((ALL, ALL), (ALL, ALL), (ALL, ALL))


class Engine:
    """Passes images through a trained network.

    Args:
        network: The network; it is moved to the device.
        architecture: What is known of its kind.
        degradation: What it was trained to undo.
        loss: What says what its output means.
        device: Where it computes.
        bfloat16: Whether its layers compute in bfloat16.
    """

    def __init__(
        self,
        network: Network,
        architecture: Architecture,
        degradation: Degradation,
        loss: Loss,
        *,
        device: torch.device,
        bfloat16: bool,
    ):
        moved = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the stub
        self.network: Network = moved.eval()
        self.architecture, self.degradation, self.loss = architecture, degradation, loss
        self.device, self.bfloat16 = device, bfloat16
        self.tile_side = TILE_SIDE
        if device.type == "cpu":
            keep_freed_memory()
        self.memory: tuple[int, int] | None = None  # at most, and taken to begin with

    def limit_memory(self, most: int) -> None:
        """Take tiles so small that the process stays within so many bytes, its present ones included.

        Raises:
            UsageError: If that is too little for the smallest tile.
        """
        import psutil

        self.memory = most, psutil.Process().memory_info().rss
        try:
            self._tile_side(0)
        except DataError as error:
            self.memory = None
            raise UsageError(str(error)) from None

    def _tile_side(self, pixels: int) -> int:
        """Return how large tiles may be, where the pixels of a picture and of its result take so many bytes."""
        if self.memory is None:
            return self.tile_side
        most, taken = self.memory
        taken += self.architecture.fixed_bytes + COPIES * pixels
        side = math.isqrt(max(0, most - taken) // TILE_BYTES) // 64 * 64
        if side < SMALLEST_TILE:
            needed = math.ceil((taken + TILE_BYTES * SMALLEST_TILE**2) / 1e6)
            raise DataError(
                f"{most / 1e6:,.0f} MB of memory are too little. isthmus needs {needed:,} MB for this, in the smallest tiles."
            )
        return min(side, self.tile_side)

    @property
    def bottleneck(self) -> Bottleneck:
        """What makes the code of what the encoder gives."""
        return self.network.bottleneck

    def floats(self, images: Array) -> Tensor:
        """Return images as floats on the device, in [0, 1] unless the model has learned from such as are not."""
        values = torch.from_numpy(to_unit(images)).to(self.device)
        return values.clamp_(0, 1) if self.degradation.in_range else values

    def chunks(self, images: Array, beside: Array | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield parts of `(n, C, H, W)`, with their place in it, as floats on the device, and with what stands beside them."""
        scale = self.degradation.corruption.scale_factor
        step = self.chunk_length((images.shape[2] * scale, images.shape[3] * scale))
        for start in range(0, len(images), step):
            chosen = slice(start, start + step)
            yield chosen, self._degraded(images, beside, chosen)

    def restored(
        self,
        images: Array,
        beside: Array | None = None,
        *,
        at_inference: bool = True,
        self_ensemble: bool = False,
        given: Array | None = None,
    ) -> Iterator[tuple[Index, Tensor, Tensor]]:
        """Yield the parts of what the network gives: (where each belongs, the input there, the image), `(B, C, H, W)` in [0, 1].

        A network that sees the whole picture looks at it once; its output is joined with the picture part by part.

        Args:
            images: `(n, C, H, W)`.
            beside: What stands beside them, `(1 or n, K, H, W)`.
            at_inference: Whether they are what a person has, and not yet the network's input.
            self_ensemble: Take the mean over the orientations.
            given: Images like `images`, whose input is yielded instead of theirs.
        """
        see = self.degradation.corruption.to_model_input if at_inference else _as_it_is
        scale = self.degradation.corruption.scale_factor if at_inference else 1
        size, side = (images.shape[2], images.shape[3]), self._tile_side(images.nbytes + self._result_bytes(images, scale))
        step = self.chunk_length((size[0] * scale, size[1] * scale))
        for start in range(0, len(images), step):
            chosen = slice(start, start + step)
            if self.network.takes_strips and not self_ensemble and max(size) * scale > side:
                yield from self._in_strips(images, beside, chosen, see, scale, side, images if given is None else given)
                continue
            whole = None
            if self.architecture.working_size:
                whole = self.outputs(self._small(images, beside, chosen, see), self_ensemble=self_ensemble)
            for tile in self._tiles(size, scale, side):
                outer, inner = (tuple(_times(span, scale) for span in spans) for spans in (tile.outer, tile.inner))
                seen = see(self._degraded(images, beside, chosen, tile.window))
                output = self.outputs(seen, self_ensemble=self_ensemble) if whole is None else whole
                image = self.image(output, self.pixels(seen), None if whole is None else Window(size, tile.window))
                shown = seen if given is None or given is images else see(self._degraded(given, beside, chosen, tile.window))
                yield (chosen, ALL, *outer), self.pixels(shown)[(ALL, ALL, *inner)], image[(ALL, ALL, *inner)]
        if max(size) * scale > side:
            give_back_memory()

    def _in_strips(
        self, images: Array, beside: Array | None, chosen: slice, see: See, scale: int, side: int, given: Array
    ) -> Iterator[tuple[Index, Tensor, Tensor]]:
        """Yield what `restored` does, of a network that takes strips: each band of columns from top to bottom."""
        margin = CUBIC_RADIUS if scale > 1 else 0
        radius, stride = math.ceil(self.network.receptive_radius / scale) + margin, self.network.stride
        length = rounded_up(max(round(side * STRIP_ROWS), self.network.receptive_radius + 1), stride)
        width = max(side, round(side**2 * STRIP_PIXELS) // length) // scale
        height = images.shape[2] * scale

        def seen(of: Array, columns: slice, first: int, stop: int) -> Tensor:
            """Return some rows, as the network counts them."""
            top, bottom = max(0, first // scale - margin), math.ceil(stop / scale) + margin
            rows = see(self._degraded(of, beside, chosen, (slice(top, bottom), columns)))
            return rows[:, :, first - top * scale : stop - top * scale]

        for window, inner, outer in spans(images.shape[3], width, radius, stride):
            strips, done = Strips(), 0
            for first in range(0, height, length):
                strips.last = first + length >= height
                strip = seen(images, window, first, min(first + length, height))
                with self.at_inference():
                    strip = strip.contiguous(memory_format=torch.channels_last)
                    output = self.network.strip(strip, height - done, strips)
                there = slice(done, done + output.shape[2])
                done = there.stop
                before = strips.waiting(self, strip, output.shape[2])
                image = self.image(output, self.pixels(before))
                shown = before if given is images else seen(given, window, there.start, there.stop)
                part = (ALL, ALL, ALL, _times(inner, scale))
                yield (chosen, ALL, there, _times(outer, scale)), self.pixels(shown)[part], image[part]

    def _result_bytes(self, images: Array, scale: int) -> int:
        """Return how many bytes the result of some images takes."""
        return images.nbytes * scale**2 * (3 if self.loss.needs_seen and images.shape[1] == 1 else 1)

    def restore_inputs(self, inputs: Array) -> Array:
        """Return `(n, C, H, W)` float32 in [0, 1] for network inputs `(n, C', H, W)`, as `Degradation` gives them."""
        parts = ((place, to_array(image)) for place, _, image in self.restored(inputs, at_inference=False))
        first = next(parts)
        restored = np.empty((len(inputs), first[1].shape[1], *inputs.shape[2:]), np.float32)
        restored[first[0]] = first[1]
        for place, part in parts:
            restored[place] = part
        return restored

    def pixels(self, seen: Tensor) -> Tensor:
        """Return a network's inputs `(B, C', H, W)` without what stands beside the images."""
        return seen[:, : seen.shape[1] - self.degradation.corruption.beside]

    def _degraded(self, images: Array, beside: Array | None, chosen: slice, window: Index = (ALL, ALL)) -> Tensor:
        """Return a part of some images, and of what stands beside them, as floats on the device."""
        values = self.floats(images[(chosen, ALL, *window)])
        if beside is None:
            return values
        told = self.floats(beside[(chosen if len(beside) > 1 else ALL, ALL, *window)])
        return torch.cat([values, told.expand(len(values), -1, -1, -1)], 1)

    def _small(self, images: Array, beside: Array | None, chosen: slice, see: See) -> Tensor:
        """Return what is seen of some images, shrunk a whole number of times, to twice the working size or more."""
        height, width = images.shape[2:]
        factor = max(1, min(height, width) // (2 * self.architecture.working_size))
        if factor == 1:
            return see(self._degraded(images, beside, chosen))
        step = max(1, SHRUNK_PIXELS // (width * factor)) * factor
        strips = (see(self._degraded(images, beside, chosen, (slice(top, top + step), ALL))) for top in range(0, height, step))
        return torch.cat([functional.avg_pool2d(strip, factor, ceil_mode=True) for strip in strips], 2)

    def chunk_length(self, size: tuple[int, int]) -> int:
        """Return how many images of a size (H, W), as the network sees them, go through it at once."""
        return max(1, self.architecture.chunk_pixels // math.prod(size))

    def encode(self, seen: Tensor) -> tuple[Tensor, Detail]:
        """Return what the bottleneck makes the code of, for `(B, C', H, W)` on the device, and the detail beside it.

        How many images are computed at once decides the last bit of a float, as the sums are then taken in another order. A chunk
        that is not full is therefore filled up, here and in `output`, so that an image becomes the same, alone or among others.
        """
        length = self.chunk_length((seen.shape[-2], seen.shape[-1]))
        with self.at_inference():
            encoded, detail = self.network.encode(_filled(seen, length).contiguous(memory_format=torch.channels_last))
        return encoded[: len(seen)], tuple(part[: len(seen)] for part in detail)

    def output(self, code: Tensor, size: tuple[int, int], detail: Detail = ()) -> Tensor:
        """Return logits or values `(B, C, H, W)` for a code on the device, a size (H, W), and the detail beside the code."""
        count, length = len(code), self.chunk_length(size)
        code, detail = _filled(code, length), tuple(_filled(part, length) for part in detail)
        code = code.float()  # as it comes back from `Model.encode`, so that decode(encode(x)) is restore(x) to the last bit
        code = code.contiguous(memory_format=torch.channels_last) if code.dim() == 4 else code
        with self.at_inference():
            return self.network.decode(code, size, detail)[:count]

    def code_and_image(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of `(B, C', H, W)` and the images `(B, C, H, W)` in [0, 1] that the network gives for it."""
        encoded, detail = self.encode(seen)
        code = self.bottleneck.point(encoded)
        return code, self.image(self.output(code, (seen.shape[-2], seen.shape[-1]), detail), self.pixels(seen))

    def image(self, output: Tensor, seen: Tensor | None = None, window: Window | None = None) -> Tensor:
        """Return the images that outputs stand for, as the loss says; colors one by one.

        torch raises the last few of many values to a power in another way than the others, to another last bit.
        """
        if len(output) < 2 or not self.loss.needs_seen:
            return self.loss.image(output, seen, window)
        each = (slice(place, place + 1) for place in range(len(output)))
        return torch.cat([self.loss.image(output[one], None if seen is None else seen[one], window) for one in each])

    def outputs(self, seen: Tensor, *, self_ensemble: bool = False) -> Tensor:
        """Return logits or values for `(B, C', H, W)`.

        Args:
            seen: The batch.
            self_ensemble: Take the mean over the eight orientations, or over two for a network to which it matters what is above.
                Source: Timofte et al. (2016), "enhanced prediction".
        """
        if not self_ensemble:
            return self._output_of(seen)
        orientations = [(turns, axes) for turns in range(1 if self.architecture.upright else 4) for axes in ((), (3,))]
        total = torch.zeros((), device=self.device)
        for turns, axes in orientations:
            total = total + self._output_of(seen.rot90(turns, (2, 3)).flip(axes)).flip(axes).rot90(-turns, (2, 3))
        return total / len(orientations)

    def _output_of(self, seen: Tensor) -> Tensor:
        encoded, detail = self.encode(seen)
        return self.output(self.bottleneck.point(encoded), (seen.shape[-2], seen.shape[-1]), detail)

    def _tiles(self, size: tuple[int, int], scale: int, side: int) -> Iterator[Tile]:
        if not self.architecture.any_size:
            yield WHOLE
        elif self.architecture.working_size:  # what is done for each pixel depends on no other
            yield from tiles(size, side, 0, 1)
        else:
            radius = self.network.receptive_radius
            radius = radius if scale == 1 else math.ceil(radius / scale) + CUBIC_RADIUS
            yield from tiles(size, side // scale, radius, self.network.stride)

    @contextlib.contextmanager
    def at_inference(self) -> Iterator[None]:
        """Within it, the network computes in its arithmetic, and remembers nothing for learning."""
        with memory_errors(), torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            yield


def build_network(recipe: Recipe, image_shape: tuple[int, int, int], device: str = "cpu") -> Network:
    """Build a recipe's network for images of a shape (C, H, W); on the device "meta", without its numbers."""
    with torch.device(device), _Unfilled() if device == "meta" else contextlib.nullcontext():
        return build(
            recipe.network,
            NetworkSpec(
                image_shape=(LOSSES[recipe.loss or ""].outputs(image_shape[0]), *image_shape[1:]),
                input_channels=parse(recipe.corruption or "nothing").input_channels(image_shape[0]),
                code=recipe.code or 0,
                hidden=recipe.hidden or (),
                decoder_hidden=recipe.decoder_hidden or (),
                bottleneck=lookup("kind of code", recipe.code_kind or "", BOTTLENECKS),
            ),
        )


class _Unfilled(TorchFunctionMode):
    """Leaves out the drawing of first weights: on the device "meta" there are none, yet torch would load its compiler for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in (torch.Tensor.normal_, torch.Tensor.uniform_) else func(*args, **(kwargs or {}))


def _filled(batch: Tensor, length: int) -> Tensor:
    """Return a batch of so many, the same ones over and over: what is measured of them is of no others."""
    return batch[torch.arange(length, device=batch.device) % len(batch)] if len(batch) < length else batch


def to_array(image: Tensor) -> Array:
    """Return a tensor of the network's as an array."""
    return np.asarray(image.cpu().numpy())


def _as_it_is(images: Tensor) -> Tensor:
    return images


def _times(span: slice, factor: int) -> slice:
    return span if factor == 1 or span == ALL else slice(span.start * factor, span.stop * factor)


def progress_reporter(on_progress: Callable[[float], None] | None, stop: threading.Event | None) -> Callable[[float], None]:
    """Return what is called with the share done: it reports it, and raises `Interrupted` once `stop` is set."""

    def report(share: float) -> None:
        if stop is not None and stop.is_set():
            raise Interrupted("Stopped.")
        if on_progress:
            on_progress(share)

    return report
