"""FAULTS.md, memory: what is too large is told, and `--memory` is kept; real processes, whose system counts."""

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, coffee

LIMITED = """
import resource, sys
import torch.nn.functional
from isthmus.cli import main
taken = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmSize"))) * 1024
resource.setrlimit(resource.RLIMIT_AS, (taken + {more}, resource.RLIM_INFINITY))
main()
"""
"""Runs the command line with so many bytes more than it takes to begin with."""

MEASURED = """
from isthmus.cli import main
try:
    main()
finally:
    print("peak", next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""Runs the command line and prints the most memory that it had, in KiB; getrusage would count the parent's before it."""


def command(program, *arguments):
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limits")
def test_37_out_of_memory_names_the_options_to_lower(tmp_path, digits):
    np.save(tmp_path / "digits.npy", np.repeat(digits, 20, 0))
    program = LIMITED.format(more=400 << 20)
    options = ("--model", "conv", "--batch-size", 6000, "--epochs", 1, "--device", "cpu", "--quiet")
    status, _, err = command(program, "train", tmp_path / "digits.npy", "--out", tmp_path / "model.safetensors", *options)
    advice = "Use fewer or smaller images (--size), a smaller --batch-size, or --memory."
    assert (status, err) == (1, f"isthmus: Out of memory. {advice}\n")
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's counting")
@pytest.mark.parametrize(("verb", "side", "end"), [("colorize", 2000, ".jpg"), ("upscale", 200, ".tif")])
def test_75_memory_is_kept(verb, side, end, tmp_path):
    photograph = astronaut() if side > 1000 else coffee()[:, 100:500]
    picture = Image.fromarray(photograph).resize((side, side), Image.Resampling.BICUBIC)
    picture.convert("L" if verb == "colorize" else "RGB").save(tmp_path / f"in{end}")
    command_line = (verb, tmp_path / f"in{end}", "--out", tmp_path / f"out{end}", "--quiet", "--memory")
    status, _, err = command(MEASURED, *command_line, "1MB")
    assert status == 2
    needed = int(re.search(r"1 MB of memory are too little. isthmus needs ([\d,]+) MB", err)[1].replace(",", ""))
    most = needed + 15 + 4 * side**2 * (3 + 3 * (4 if verb == "upscale" else 1)) // 1_000_000  # four copies of input and output
    status, out, err = command(MEASURED, *command_line, f"{most}MB")
    assert status == 0, err
    assert (tmp_path / f"out{end}").exists()
    peak = int(re.search(r"peak (\d+)", out)[1]) * 1024
    assert peak <= most * 1_000_000, f"{peak / 1e6:.0f} of {most} MB"
