"""Residual blocks in whole numbers of 8 bits, for processors that have instructions for them.

On a processor without AMX a photograph takes two fifths of the time that float32 takes (benchmarks/fast.py). Only the two
convolutions of each block are computed so. What they are added to, and all else, stays in floats, so no such error adds up.
Weights have a scale for each output channel, and inputs one for each convolution, measured when the model was trained.

Source: Jacob et al. (2018), Quantization and training of neural networks for efficient integer-arithmetic-only inference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from isthmus.errors import UsageError
from isthmus.inference.device import has_amx
from isthmus.inference.engine import Engine
from isthmus.networks.unet import Residual

STEPS = 255
"""Of 8 bits."""

WHOLE = 1.5 * 2**23
"""From here on, a float32 holds whole numbers only, and its bits count them: adding this rounds."""

SHARE = 0.9
"""Share of the images whose numbers all lie within what 8 bits stand for."""


def compute_in_int8(engine: Engine) -> None:
    """Let an engine compute its network's residual blocks in 8 bits from now on; the weights that it saves stay as they are.

    Where it computes in bfloat16 with AMX, which is as fast, it goes on to.

    Raises:
        UsageError: If its network has none, was never measured, or the device has no instructions for it.
    """
    blocks = _blocks(engine.network)
    if not blocks or not all(block.seen[1] > block.seen[0] for block in blocks):
        raise UsageError(
            "`fast=True` is for photographic models that were trained to restore, such as denoise-color; this is none."
        )
    if engine.device.type != "cpu" or not has_fast_int8():
        raise UsageError("`fast=True` needs a processor with AVX-512 VNNI, and this device is none. Leave it out.")
    if engine.bfloat16 and has_amx():
        return
    for block in blocks:
        block.instead = _in_int8(block)


def has_fast_int8() -> bool:
    """Tell whether the processor multiplies and sums whole numbers of 8 bits in one instruction."""
    return bool(torch.cpu.get_capabilities().get("avx512_vnni"))


@contextmanager
def measured(network: nn.Module) -> Iterator[None]:
    """Within it, note the smallest and the largest number that goes into the convolutions of each residual block.

    Of each image's smallest and largest, those count that `SHARE` of the images stay within: steps are finer then, and the few
    numbers beyond become the nearest (docs/experiments.md).
    """
    blocks = _blocks(network)
    inputs: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in blocks]
    hooks = [
        layer.register_forward_pre_hook(_keep_ends(kept))
        for block, both in zip(blocks, inputs, strict=True)
        for layer, kept in zip((block.first, block.second), both, strict=True)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    for block, (before, between) in zip(blocks, inputs, strict=True):
        if before:
            low, high = torch.cat(before, 1).float()
            ends = (low.quantile(1 - SHARE).clamp(max=0), high.quantile(SHARE), torch.cat(between, 1)[1].float().quantile(SHARE))
            block.seen.copy_(torch.stack(ends))


def _keep_ends(kept: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor]], None]:
    """Return a hook that keeps each image's smallest and largest number, `(2, B)`."""

    def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
        kept.append(torch.stack((inputs[0].amin((1, 2, 3)), inputs[0].amax((1, 2, 3)))))

    return keep


def _blocks(network: nn.Module) -> list[Residual]:
    return [module for module in network.modules() if isinstance(module, Residual)]


def _in_int8(block: Residual) -> Callable[[Tensor], Tensor]:
    """Return what computes a block's output `(B, C, H, W)` from its input, in the input's floats."""
    low, high, highest = block.seen.tolist()
    first, second = _Convolution(block.first, low, high), _Convolution(block.second, 0.0, highest)

    def output(x: Tensor) -> Tensor:
        return second(first(first.quantized(x), second), x.dtype).add_(x)

    return output


class _Convolution:
    """A 3x3 convolution of 8-bit numbers, which become the floats `scale * (number - zero)`."""

    def __init__(self, layer: nn.Conv2d, low: float, high: float):
        weight = layer.weight.detach()
        self.scale = max((high - low) / STEPS, 1e-12)  # 0 where nothing passes
        self.zero = round(-low / self.scale)
        self.offset = torch.tensor(WHOLE + self.zero)
        scales = (weight.abs().amax((1, 2, 3)) / (STEPS // 2)).clamp(min=1e-12)  # one of each output channel
        whole = (weight / scales[:, None, None, None]).round().to(torch.int8)
        self.place = ([1, 1], [1, 1], [1, 1], 1)  # stride, padding, dilation, groups
        packed = torch.ops.onednn.qconv_prepack(whole, scales, self.scale, self.zero, *self.place, None)
        self.weight = (
            packed,
            scales,
            torch.zeros(len(scales), dtype=torch.int32),
            layer.bias.detach() if layer.bias is not None else None,
        )

    def quantized(self, x: Tensor) -> Tensor:
        """Return floats as 8-bit numbers, rounded; what lies outside becomes the nearest."""
        rounded = torch.add(self.offset, x.float(), alpha=1 / self.scale).clamp_(WHOLE, WHOLE + STEPS)
        return rounded.view(torch.int32).to(torch.uint8)  # a third of the time that torch takes to make 8 bits of floats

    def __call__(self, x: Tensor, becomes: torch.dtype | _Convolution) -> Tensor:
        """Return floats of a kind, or the 8-bit numbers that the rectified ones become for the next convolution."""
        given = (x, self.scale, self.zero, *self.weight, *self.place)
        to = (becomes.scale, 0, torch.uint8, "relu") if isinstance(becomes, _Convolution) else (1.0, 0, becomes, "none")
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(*given, *to, [], "")
        return result
