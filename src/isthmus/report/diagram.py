"""The architecture of a network as a drawing: its layers, the shapes between them, and where the code is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import torch
from torch import Tensor, nn

from isthmus.model import Model
from isthmus.networks.base import Network

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""What holds weights; everything else is told by the shapes before and after."""

WIDEST, STEP, HEIGHT, MIDDLE = 34.0, 98.0, 272.0, 122.0
"""Pixels: the widest box, from one box to the next, the drawing's height, and the line that the boxes are centered on."""

TALLEST = 140.0
"""Pixels of the highest box."""

STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#1d2430;text-anchor:middle}.soft{fill:#5c6675;font-size:10px}.strong{font-weight:600}"
    ".box{fill:#c9dcef;stroke:#0b5fa5}.code{fill:#f2b84b;stroke:#8a5a00}.way{stroke:#5c6675;fill:none}"
)

TIP = (
    '<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 0L6 3L0 6z" fill="#5c6675"/></marker></defs>'
)


@dataclass(frozen=True)
class Stage:
    """One or more layers that lead to one shape."""

    shape: tuple[int, ...]
    """(C, H, W), or (numbers,), after the layers."""
    layers: tuple[str, ...] = ()
    """What the layers do, in order."""
    weights: int = 0
    """Trained numbers in them."""
    code: bool = False
    """Whether the shape is that of the code."""
    change: str = ""
    """"halve" or "double", where the sides change beside the first layer."""


def stages(model: Model) -> list[Stage]:
    """Return what an image goes through, from the input's shape to the output's, with the layers between.

    Layers that keep the shape count as one stage with those before them.

    >>> from isthmus.recipes import Recipe
    >>> model = Model(Recipe(model="dense", code=32, hidden=()), (1, 28, 28), device="cpu")
    >>> [(stage.shape, stage.weights) for stage in stages(model)]
    [((1, 28, 28), 0), ((32,), 25120), ((1, 28, 28), 25872)]
    """
    network = model.network
    size = (model.image_shape[1], model.image_shape[2])
    image = torch.zeros((1, model.corruption.input_channels(model.image_shape[0]), *size), device=model.device)
    with torch.no_grad():
        inward, (encoded, detail) = _layers_of(network, lambda: network.encode(image))
        code = network.bottleneck.point(encoded)
        outward, output = _layers_of(network, lambda: network.decode(code, size, detail))
    found = [Stage(_shape(image))]
    for place, (layer, _, after) in enumerate(inward, 1):
        following = inward[place][1] if place < len(inward) else _shape(code)
        pooled = len(following) == len(after) and following[0] == after[0]
        shape = following if pooled or place == len(inward) else after
        found.append(Stage(shape, (_does(layer),), _weights(layer), place == len(inward), _change(after, shape)))
    for layer, _, after in outward:
        found.append(Stage(after, (_does(layer),), _weights(layer), False, _change(found[-1].shape, after)))
    found[-1] = replace(found[-1], shape=_shape(output))
    return _merged(found)


def architecture(model: Model) -> str:
    """Return an SVG of the model's layers: each box is what stands between them, as high as it has pixels, in logarithms."""
    found = stages(model)
    wide = STEP * len(found) + 8
    parts = [f'<rect width="{wide:.0f}" height="{HEIGHT:.0f}" fill="#fff" rx="6"/>']
    tallest = max(_extent(stage.shape)[0] for stage in found)
    boxes = []
    for place, stage in enumerate(found):
        high, broad = _extent(stage.shape)
        high, center = TALLEST * high / tallest, STEP * (place + 0.5) + 4
        broad = min(WIDEST, 8 + 4 * broad)
        boxes.append((center, broad, high))
        corner = f'x="{center - broad / 2:.1f}" y="{MIDDLE - high / 2:.1f}"'
        kind = "code" if stage.code else "box"
        parts.append(f'<rect class="{kind}" {corner} width="{broad:.1f}" height="{high:.1f}" rx="2"/>')
        name = "input" if not place else "output" if place == len(found) - 1 else "code" if stage.code else ""
        parts.append(_text(center, 16, name, "strong"))
        parts.append(_text(center, HEIGHT - 66, _times(stage.shape), "strong"))
        if len(stage.shape) == 3:
            parts.append(_text(center, HEIGHT - 53, f"{math.prod(stage.shape):,} numbers", "soft"))
    for place in range(1, len(found)):
        (left, before, _), (right, after, _) = boxes[place - 1], boxes[place]
        start, end, middle = left + before / 2 + 3, right - after / 2 - 4, (left + right) / 2
        parts.append(f'<path class="way" marker-end="url(#tip)" d="M{start:.1f} {MIDDLE}H{end:.1f}"/>')
        for line, text in enumerate(_lines(found[place])):
            parts.append(_text(middle, HEIGHT - 34 + 12 * line, text, "soft"))
    if model.architecture.carries_detail:
        (first, *_), (last, *_) = boxes[0], boxes[-1]
        parts.append(f'<path class="way" stroke-dasharray="4 3" marker-end="url(#tip)" d="M{first:.1f} 48V34H{last:.1f}V46"/>')
        parts.append(_text((first + last) / 2, 30, "detail passes around the code", "soft"))
    title = " → ".join(_times(stage.shape) for stage in found)
    size = f'viewBox="0 0 {wide:.0f} {HEIGHT:.0f}" width="{wide:.0f}" height="{HEIGHT:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}><title>{escape(title)}</title><style>{STYLE}</style>{TIP}'
    return f"{head}{''.join(parts)}</svg>"


def _layers_of(network: Network, run: Any) -> tuple[list[tuple[nn.Module, tuple[int, ...], tuple[int, ...]]], Any]:
    """Return the layers that hold weights, as they are run, each with the shapes before and after it, and what `run` returns."""
    seen: list[tuple[nn.Module, tuple[int, ...], tuple[int, ...]]] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        seen.append((layer, _shape(given[0]), _shape(result)))

    hooks = [layer.register_forward_hook(note) for layer in network.modules() if isinstance(layer, LAYERS)]
    try:
        result = run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen, result


def _merged(found: list[Stage]) -> list[Stage]:
    """Join stages of one shape that follow each other, between the input and the output."""
    joined = [found[0]]
    for stage in found[1:]:
        last = joined[-1]
        if len(joined) > 1 and stage.shape == last.shape and not last.code:
            layers = (*last.layers, *stage.layers)
            joined[-1] = Stage(stage.shape, layers, last.weights + stage.weights, stage.code, last.change)
        else:
            joined.append(stage)
    return joined


def _does(layer: nn.Module) -> str:
    """Return what a layer is, in a word or two."""
    if isinstance(layer, nn.Linear):
        return "dense"
    side = layer.kernel_size[0]  # type: ignore[index]  # it is a convolution
    return f"conv {side}x{side}"


def _change(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    """Return what happens between two shapes besides a layer: the sides are halved, or doubled."""
    if len(before) != 3 or len(after) != 3 or before[1] == after[1]:
        return ""
    return "halve" if after[1] < before[1] else "double"


def _lines(stage: Stage) -> tuple[str, ...]:
    """Return the lines under an arrow."""
    layers = f"{len(stage.layers)} layers" if len(stage.layers) > 1 else stage.layers[0]
    return layers, *filter(None, [stage.change]), f"{stage.weights:,} weights"


def _extent(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return how high and how broad a shape is drawn, in logarithms: of an image, its side and its channels."""
    if len(shape) == 3:
        return math.log2(max(shape[1:]) ** 2 + 1), math.log2(shape[0] + 1)
    return math.log2(math.prod(shape) + 1), 1.0


def _weights(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape[1:])


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
