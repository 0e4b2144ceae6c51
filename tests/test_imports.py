"""Importing isthmus changes nothing outside of it."""

import json
import subprocess
import sys

import pytest

PROBE = """
import json, logging, os, sys, threading, warnings
import lightning_fabric, matplotlib, sklearn.linear_model, torch  # what these change is their own doing

def outside():
    return {
        "backend": matplotlib.rcParams._get("backend").__class__.__name__,
        "rcParams": {key: repr(value) for key, value in dict.items(matplotlib.rcParams) if key != "backend"},
        "handlers": {name: [repr(h) for h in logging.getLogger(name).handlers] for name in ("", "isthmus", "PIL", "tifffile")},
        "level": logging.getLogger().level,
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads(), threading.active_count()],
        "filters": [repr(one) for one in warnings.filters],
        "environment": dict(os.environ),
        "seed": torch.initial_seed(),
    }

before = outside()
MODULE
after = outside()
print(json.dumps({key: [before[key], after[key]] for key in before if before[key] != after[key]}))
"""


@pytest.mark.parametrize("what", ["import isthmus; [getattr(isthmus, name) for name in isthmus.__all__]", "import isthmus.cli"])
def test_importing_changes_nothing_outside(what):
    done = subprocess.run([sys.executable, "-c", PROBE.replace("MODULE", what)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}
    assert len(done.stdout.splitlines()) == 1, "and prints nothing"


def test_a_model_works_without_torchs_compiler():
    """It takes longer to load than torch itself, and a first picture would wait for it."""
    work = (
        "import isthmus, numpy, sys; m = isthmus.load('denoise-gray', device='cpu'); m.restore(numpy.zeros((40, 40))); m.describe()"
    )
    probe = f"{work}; print(sorted({{'torch._dynamo', 'sympy', 'matplotlib', 'sklearn', 'scipy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
