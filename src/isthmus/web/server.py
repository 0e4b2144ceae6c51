"""The server: a socket, and what ends it well."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from isthmus.errors import UsageError, printable

DRAIN_SECONDS = 30
"""How long requests under way may take after the server was told to end."""


def serve(app: FastAPI, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Answer until a signal comes; then finish what is under way.

    Args:
        app: What answers.
        host: Name or address to listen on.
        port: From 1 on; 0 for any that is free.
        tell: Called with the address, once it is open.

    Raises:
        UsageError: If the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"Cannot listen on {printable(host)}, port {port} ({reason.lower()}): name another `port`, or 0 for any that is free."
        ) from None

    class Patient(H11Protocol):
        """Closes connections that say nothing."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(app.state.limits.head_seconds, self._look)

        def _look(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    shown = f"[{host}]" if family == socket.AF_INET6 else host
    listener.listen()
    config = uvicorn.Config(
        app, log_level="warning", http=Patient, timeout_graceful_shutdown=DRAIN_SECONDS, server_header=False, lifespan="on"
    )
    app.state.server = uvicorn.Server(config)  # whose `should_exit` ends it
    tell(f"http://{shown}:{listener.getsockname()[1]}/")
    app.state.server.run(sockets=[listener])
