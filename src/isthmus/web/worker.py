"""Where work is done: one piece at a time, off the event loop, and given up when nobody waits for it any longer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

Result = TypeVar("Result")

LOOK_SECONDS = 0.1
"""How often is looked whether the client is still there."""


class ClientDisconnected(Exception):  # noqa: N818  # nobody's error
    """The client has left."""


class Worker:
    """Does one piece of work at a time, in the order in which they came."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.shares: dict[str, float] = {}
        """Of each job that has a name, the share that is done; -1 while it waits for its turn."""
        self.given_up = 0
        """Pieces of work whose clients had left."""

    async def do(self, request: Request, work: Callable[[Callable[[float], None]], Result], job: str = "") -> Result:
        """Do work for a request.

        Args:
            request: Whose client waits.
            work: Called in a thread, with what it calls now and then with the share that is done, and which raises
                `ClientDisconnected`.
            job: A name under which `shares` tells how far it is.

        Raises:
            ClientDisconnected: If the client left before the work was done.
        """
        gone = threading.Event()

        def on_progress(share: float) -> None:
            if gone.is_set():
                raise ClientDisconnected
            if job:
                self.shares[job] = share

        leaving = asyncio.ensure_future(_leaving(request))
        if job:
            self.shares[job] = -1.0
        try:
            async with self.turn:
                if leaving.done():
                    raise ClientDisconnected
                working = asyncio.ensure_future(asyncio.to_thread(work, on_progress))
                await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    gone.set()
                return await working  # the turn ends when the thread has
        except ClientDisconnected:
            self.given_up += 1
            raise
        finally:
            leaving.cancel()
            self.shares.pop(job, None)


async def _leaving(request: Request) -> None:
    """End when the client has left."""
    while not await request.is_disconnected():
        await asyncio.sleep(LOOK_SECONDS)
