"""Cancellation: an event that a caller sets from any thread, or a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopRequest(threading.Event):
    """Set when a signal arrived, or when the caller's own event is set.

    Args:
        other: The caller's event.
    """

    def __init__(self, other: threading.Event | None = None):
        super().__init__()
        self.other = other
        self.number = signal.SIGINT.value

    def is_set(self) -> bool:
        """Tell whether the work should end."""
        return super().is_set() or (self.other is not None and self.other.is_set())

    @property
    def exit_status(self) -> int:
        """What a process ended by such a signal returns: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


@contextmanager
def stop_requests(other: threading.Event | None = None) -> Iterator[StopRequest]:
    """Catch the first SIGINT or SIGTERM, so that a step can end and be saved; a second one ends the process at once."""
    request = StopRequest(other)
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number
        request.set()
        for caught in before:
            signal.signal(caught, signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():  # only there does Python deliver signals
        before |= {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
