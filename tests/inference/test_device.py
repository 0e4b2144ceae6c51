"""Which arithmetic is taken where."""

import pytest
import torch

from isthmus.inference.device import has_fast_bfloat16


@pytest.mark.parametrize(("has", "fast"), [({}, False), ({"avx512_bf16": True}, False), ({"amx_bf16": True}, True)])
def test_bfloat16_is_fast_with_amx_only(has, fast, monkeypatch):
    """Without it, a photograph takes half as long again as in float32 (docs/experiments.md)."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert has_fast_bfloat16(torch.device("cpu")) is fast
