"""The command line as one of several processes, started by tests/training/test_processes.py, which sets what stands in capitals."""

import os
import sys

os.environ.update(ENVIRONMENT)  # noqa: F821
sys.argv = ["isthmus", *ARGUMENTS]  # noqa: F821
sys.stdout = sys.stderr = open(PRINTED, "w", buffering=1)  # noqa: F821, SIM115

import torch  # noqa: E402

from isthmus.__main__ import main  # noqa: E402

torch.set_num_threads(1)
main()
