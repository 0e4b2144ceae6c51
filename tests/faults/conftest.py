"""What the tests of faults share."""

import os
import shutil
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """Return what mounts a disk of some bytes; unmounted at the end."""
    mounted = []

    def mount(options):
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a disk can be mounted by root only: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("a disk can be mounted by root only")
    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)
