"""A connection to Ray: a cluster that runs already, or one of some processes on this machine. Nothing phones home."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from isthmus.errors import Interrupted, UsageError, one_line, printable, require

OBJECT_STORE_BYTES = 128 << 20
"""Shared memory of a cluster on this machine: names go through it, and no pictures."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_agent_register_timeout_ms": "300000",
}
"""Nothing is reported to anybody; what fails is raised, not logged; and a machine that is busy may take its time to start Ray."""

ANSWER_SECONDS = 10
"""Within it, a cluster's port must answer."""

ATTEMPTS = 3
"""How often Ray is started: it gives up after 30 seconds, which a busy machine needs to load it for the first time."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where to compute.

    Raises:
        UsageError: If the address or the number of GPUs cannot be meant.
    """

    address: str
    """"auto" for the cluster of this machine, HOST:PORT of another, or "local[N]" for N processes of this machine."""
    gpus_per_worker: float = 0.0
    """GPUs of each worker; a part of one, such as 0.5, shares it. 0 computes on processors, one core for each worker."""

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.gpus_per_worker < 0:
            raise UsageError(f"`gpus_per_worker` must be 0 or more, not {self.gpus_per_worker:g}.")
        if self.address.startswith("local") and not self.processes:
            raise UsageError(f"`cluster` must be auto, HOST:PORT or local[N] with N from 1, not {printable(self.address)}.")

    @property
    def processes(self) -> int:
        """How many processes of this machine; 0 for a cluster that runs already."""
        found = re.fullmatch(r"local\[(\d+)\]", self.address)
        return int(found[1]) if found else 0

    def device(self, name: str) -> str:
        """Return the device of the workers: a processor, if they get no GPU and "auto" is asked for."""
        return "cpu" if name == "auto" and not self.gpus_per_worker else name

    @contextlib.contextmanager
    def connected(self) -> Iterator[int]:
        """Connect; return for how many workers there is room now. SIGTERM ends what is within as Ctrl-C does.

        Raises:
            UsageError: If Ray is missing, or there is no cluster.
        """
        require("cluster", "ray", "pyarrow")
        os.environ.update(SETTINGS)
        import ray
        import ray.data

        options: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        if self.processes:
            options |= {
                "address": "local",
                "num_cpus": self.processes,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
            }
        else:
            self._check_answer()
            options = {"address": self.address, "log_to_driver": False, "logging_level": logging.ERROR}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _silent():
                    ray.init(**options)
                break
            except Exception as error:  # Ray has many
                ray.shutdown()
                if self.processes and "timed out" in str(error) and attempt < ATTEMPTS:
                    continue
                raise UsageError(self._unreachable(error)) from None
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised
        there = ray.cluster_resources()
        room = there.get("GPU", 0) / self.gpus_per_worker if self.gpus_per_worker else there.get("CPU", 0)
        try:
            if self.gpus_per_worker and room < 1:
                raise UsageError(f"The Ray cluster {self.address} has no GPU. Leave out `gpus_per_worker`, or add one.")
            with _terminated():
                yield max(1, int(room))
        finally:
            ray.shutdown()

    def _check_answer(self) -> None:
        """Make sure that something listens there: Ray itself tries for minutes."""
        found = re.fullmatch(r"\[?([^/\[\]]+)\]?:(\d{1,5})", self.address)
        if found:
            try:
                socket.create_connection((found[1], int(found[2])), timeout=ANSWER_SECONDS).close()
            except (OSError, OverflowError) as error:
                raise UsageError(self._unreachable(error)) from None

    def _unreachable(self, error: Exception) -> str:
        reason = one_line(error)
        if self.processes:
            return f"Ray does not start on this machine: {reason}. Leave out `cluster`, or try again when it is less busy."
        return (
            f"Cannot reach the Ray cluster {printable(self.address)}: {reason}. "
            "Start one (ray start --head), or use `cluster=local[2]` for two processes of this machine."
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within it, nothing that Ray's own libraries write to standard error is seen: what fails is raised."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Within it, SIGTERM raises `Interrupted`."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted("Terminated.", 128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
