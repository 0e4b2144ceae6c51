"""User input of any kind: checked, turned into a batch, and returned as the same kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from isthmus.corruptions import Corruption, parts_of
from isthmus.errors import DataError
from isthmus.imaging.arrays import Array, Layout, check_values, fill_hidden
from isthmus.imaging.picture import FORMATS, decode_picture, encode_picture, read_picture

CONVERTED = {"P": "RGB", "PA": "RGBA", "1": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}
CONVERTED |= {"La": "LA", "RGBa": "RGBA"}
"""The mode in which a PIL image goes through a model; afterwards it is converted back, but for palettes."""

ALPHA = {"LA": "L", "RGBA": "RGB"}


def change(images: Any, by: Callable[[Array], Array]) -> Any:
    """Change images of any kind.

    Args:
        images: An array, a tensor, a PIL image, a path, the bytes of a picture file, or a list or tuple of them.
        by: From an array to one of the same type and layout.

    Returns:
        The same kind; for a path, the pixels as an array. Palettes become RGB; transparency is kept.

    >>> change([np.zeros(2), torch.ones(2)], lambda array: array + 1)
    [array([1., 1.]), tensor([2., 2.])]
    """
    if isinstance(images, list | tuple):
        return type(images)(change(image, by) for image in images)
    if isinstance(images, torch.Tensor):
        half = images.dtype in (torch.bfloat16, torch.float16)  # NumPy has no bfloat16
        values = (images.float() if half else images).detach().cpu().numpy()
        return torch.from_numpy(np.ascontiguousarray(by(values))).to(images.device, images.dtype)
    if isinstance(images, Image.Image):
        return _change_pil(images, by)
    if isinstance(images, bytes):
        return _change_bytes(images, by)
    if isinstance(images, str | Path):
        return by(pixels_of(read_picture(Path(images)).pixels))
    array = np.asarray(images)
    if array.dtype == object:
        kinds = "an array, a tensor, a PIL image, the bytes of a picture file, a path, or a list of them"
        raise DataError(f"A {type(images).__name__} is no image. Accepted are {kinds}.")
    return by(array)


def pixels_of(pixels: Array) -> Array:
    """Return pixels `(H, W, C)` as `(H, W)` where they are gray."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _change_pil(image: Image.Image, by: Callable[[Array], Array]) -> Image.Image:
    mode = image.mode
    through = "RGBA" if mode == "P" and image.has_transparency_data else CONVERTED.get(mode, mode)
    if mode in ("I", "F"):
        return _change_wide(image, by)
    image = image.convert(through) if through != mode else image
    if through in ALPHA:
        pixels, alpha = np.asarray(image.convert(ALPHA[through])), np.asarray(image.getchannel("A"))
        changed = Image.fromarray(by(pixels_of(fill_hidden(pixels if pixels.ndim == 3 else pixels[:, :, None], alpha))))
        changed.putalpha(image.getchannel("A").resize(changed.size, Image.Resampling.BICUBIC))
    else:
        changed = Image.fromarray(by(np.asarray(image)))
    back = mode not in ("P", "PA", through) and len(changed.getbands()) == len(through)
    return changed.convert(mode) if back else changed


def _change_wide(image: Image.Image, by: Callable[[Array], Array]) -> Image.Image:
    """Change an image of 32-bit integers, which hold 16 bits, or of floats in [0, 1]."""
    values = np.asarray(image)
    if image.mode == "F":
        return Image.fromarray(by(values).astype(np.float32))
    if values.size and not 0 <= values.min() <= values.max() < 1 << 16:
        raise DataError(f"The image of mode I has values from {values.min()} to {values.max()}; accepted are 0 to 65535.")
    changed = by(values.astype(np.uint16))
    return Image.fromarray(changed.astype(np.int32)) if changed.ndim == 2 else Image.fromarray((changed >> 8).astype(np.uint8))


def _change_bytes(content: bytes, by: Callable[[Array], Array]) -> bytes:
    picture = decode_picture(content, "The picture")
    suffix = next(suffix for suffix, name in FORMATS.items() if name == picture.coding.kind)
    return encode_picture(picture.changed_by(by), f"picture{suffix}")


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Which images fit a model."""

    model: str
    """The network's name, for messages."""
    channels: int
    """Channels of the output."""
    size: tuple[int, int] | None
    """(H, W) of the input; None for any."""
    corruption: Corruption
    """What the model undoes."""

    @property
    def companions(self) -> dict[str, Corruption]:
        """What a person gives beside the images ("mask", "hints"), and the part of the corruption that knows it."""
        return {part.companion: part for part in parts_of(self.corruption) if part.companion}

    def batch(self, array: Array, **told: Array | None) -> tuple[Layout, Array, Array | None]:
        """Return an array's layout, the array as `(n, C, H, W)`, gray as RGB where needed, and what stands beside it.

        Args:
            array: The images. Of a batch `(n, C', H, W)`, the last channels may be what stands beside them.
            **told: What a person gives beside the images, by the name of what it is: a mask, hints.

        Returns:
            Layout, images, and what stands beside them, `(1 or n, K, H, W)`; None, where the model knows no such thing.

        Raises:
            DataError: If it does not fit the model.
        """
        if array.ndim == 3 and array.shape[2] == 4 and min(array.shape[:2]) > 4:
            raise DataError(
                f"An array of shape {array.shape} is RGBA, or gray images of 4 columns. Pass `x[..., :3]`, a PIL image with its "
                "transparency, or gray images as (n, 1, H, W)."
            )
        beside, needed = self.corruption.beside, self.corruption.input_channels(self.channels)
        within = beside if array.ndim == 4 and array.shape[1] in (needed, self.channels + beside) else 0
        layout = Layout.of(array.shape, array.shape[1] if within else self.channels)
        batch = layout.to_batch(array)
        batch, channels = batch[:, : batch.shape[1] - within], batch[:, batch.shape[1] - within :]
        if batch.shape[1] not in (1, self.channels):
            kind = "gray" if self.channels == 1 else "RGB"
            raise DataError(f"The images have {batch.shape[1]} channels, and this model takes {self.channels} ({kind}).")
        if 0 in batch.shape:
            raise DataError(f"An array of shape {array.shape} is empty.")
        if self.size and batch.shape[2:] != self.size:
            raise DataError(
                f"The images have {times(batch.shape[2:])} pixels, and this {self.model} model takes {times(self.size)} only. "
                "Resize them, or train a conv model, which takes any size."
            )
        check_values(array)
        known = self.companions
        for name, value in told.items():
            if value is not None and name not in known:
                task = "inpaint" if name == "mask" else "colorize"
                raise DataError(f'This model takes no {name}: only a model trained with `task="{task}"` does.')
        if not known or within:
            return layout, self._in_channels(batch), channels if within else None
        parts = [part.given(told.get(name), batch.shape) for name, part in known.items()]
        if len(parts) == 1:
            return layout, self._in_channels(batch), parts[0]
        together = [np.broadcast_to(part, (max(map(len, parts)), *part.shape[1:])) for part in parts]
        return layout, self._in_channels(batch), np.concatenate(together, 1)

    def returns_gray(self, given: int) -> bool:
        """Tell whether images of so many channels are gray ones given to a color model: the result is gray again."""
        return self.channels > 1 and given == 1 and self._image_channels >= self.channels

    def gray_ones(self, batch: Array) -> Array:
        """Tell which images of a batch for a color model are gray, in however many channels: their results are, `(n,)` bool."""
        count = self.channels
        if count == 1 or self._image_channels < count:
            return np.zeros(len(batch), bool)
        return np.array([all(np.array_equal(image[0], image[channel]) for channel in range(1, count)) for image in batch])

    @property
    def _image_channels(self) -> int:
        """Channels of the network's input without what stands beside the image."""
        return self.corruption.input_channels(self.channels) - self.corruption.beside

    def _in_channels(self, batch: Array) -> Array:
        return np.repeat(batch, self._image_channels, 1) if batch.shape[1] == 1 < self._image_channels else batch


def times(size: tuple[int, ...]) -> str:
    """Return a size for people.

    >>> times((28, 20))
    '28 x 20'
    """
    return " x ".join(map(str, size))
