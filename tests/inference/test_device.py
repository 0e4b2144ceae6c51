"""Which arithmetic is taken where, and what becomes of memory."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from isthmus.inference import device
from isthmus.inference.device import has_fast_bfloat16, keep_freed_memory


@pytest.mark.parametrize(
    ("has", "fast"),
    [
        ({}, False),
        ({"avx512_bf16": True, "cpu_name": "Intel(R) Xeon(R) Processor"}, False),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC 9654"}, True),
        ({"avx512_bf16": False, "cpu_name": "AMD EPYC 7763"}, False),
        ({"amx_bf16": True}, True),
    ],
)
def test_bfloat16_is_fast_with_amx_or_in_vectors_of_amd(has, fast, monkeypatch):
    """In Intel's vectors, a photograph takes half as long again as in float32; in AMD's, half (docs/experiments.md)."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert has_fast_bfloat16(torch.device("cpu")) is fast


def test_what_the_environment_says_of_memory_is_heeded(monkeypatch):
    said = []
    monkeypatch.setattr(device, "_of_c_library", lambda *call: said.append(call))
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "0")
    keep_freed_memory.__wrapped__()
    assert not said
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    keep_freed_memory.__wrapped__()
    assert [call[0] for call in said] == ["mallopt", "mallopt"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the kernel does not tell how much memory is taken")
def test_memory_is_kept_for_the_next_layer_and_given_back_after_a_picture():
    """In a process of its own: the setting is the whole process's."""
    program = """
import resource, torch
from isthmus.inference.device import give_back_memory, keep_freed_memory
keep_freed_memory()
rss = lambda: int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = rss()
torch.ones(12_500_000)
kept = rss() - before
give_back_memory()
print(kept > 40e6, rss() - before < 20e6)
"""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "True"]


@pytest.mark.parametrize(
    ("said", "counts"), [({}, "3000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "active"}, None)], ids=str
)
def test_threads_that_wait_sleep_soon_unless_the_environment_says_otherwise(said, counts):
    """As the library that runs torch's threads tells of itself when it is loaded."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = (sys.executable, "-c", "import isthmus; isthmus.load('denoise-gray')")
    shown = subprocess.run(
        command, env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"} | said, capture_output=True, text=True, check=True
    ).stderr
    found = re.search("GOMP_SPINCOUNT = '(\\d+)'", shown)
    if found is None:
        pytest.skip("torch's threads are not run by libgomp here")
    assert found[1] == counts or (counts is None and int(found[1]) > 1_000_000)
