"""Whatever kind of image a person has: brought to an array, changed, and given back as the same kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from isthmus.imaging.arrays import Array
from isthmus.imaging.picture import read_picture


def change(images: Any, by: Callable[[Array], Array]) -> Any:
    """Change images of any kind.

    Args:
        images: An array, a tensor, a PIL image, a path, or a list or tuple of them.
        by: From an array to one of the same type, and of the same layout.

    Returns:
        The same kind; for a path, the picture's pixels as an array. A palette becomes RGB; transparency stays as it is.

    >>> change([np.zeros(2), torch.ones(2)], lambda array: array + 1)
    [array([1., 1.]), tensor([2., 2.])]
    """
    if isinstance(images, list | tuple):
        return type(images)(change(image, by) for image in images)
    if isinstance(images, torch.Tensor):
        return torch.from_numpy(by(images.detach().cpu().numpy())).to(images.device)
    if isinstance(images, Image.Image):
        return _change_pil(images, by)
    if isinstance(images, str | Path):
        pixels = read_picture(Path(images)).pixels
        return by(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return by(np.asarray(images))


def _change_pil(image: Image.Image, by: Callable[[Array], Array]) -> Image.Image:
    if image.mode == "P":
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode not in ("LA", "RGBA"):
        return Image.fromarray(by(np.asarray(image)))
    changed = Image.fromarray(by(np.asarray(image.convert(image.mode[:-1]))))
    changed.putalpha(image.getchannel("A").resize(changed.size, Image.Resampling.BICUBIC))
    return changed
