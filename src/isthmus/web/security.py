"""What stands between the network and the functions: whom the server answers, how much it takes, how long it waits.

A page elsewhere on the web could otherwise let a visitor's browser talk to a server on the same machine; so requests whose Host is
another name (DNS rebinding), or whose Origin is another page, are refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

DRAIN_SECONDS = 2.0
"""How long what was refused is still read, so that the sender comes to read the answer."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server takes."""

    body_bytes: int = 200_000_000
    """Of one request."""
    body_seconds: float = 60.0
    """Within which a request's body must have arrived."""
    head_seconds: float = 10.0
    """Within which a connection must have sent its first request."""
    requests: int = 8
    """That bring work, at once: one is worked on, the others wait."""


class Guard:
    """Lets a request pass, or refuses it with a sentence.

    Args:
        app: What answers.
        host: The name or address that the server listens on.
        limits: What it takes.
    """

    def __init__(self, app: App, host: str, limits: Limits):
        self.app, self.limits = app, limits
        self.host = host
        self.everywhere = not _is_loopback(host)
        self.busy = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=dict(scope))
        send = _with_headers(send)
        refusal = self._refusal(headers)
        if refusal:
            await _drain(receive)
            await refusal(dict(scope), receive, send)
            return
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        if self.busy >= self.limits.requests:
            await _drain(receive)
            await _sentence(503, "The server has as much work as it can hold: try again soon.", {"Retry-After": "5"})(
                dict(scope), receive, send
            )
            return
        self.busy += 1
        try:
            await self.app(scope, self._patient(receive), send)
        finally:
            self.busy -= 1

    def knows(self, host: str) -> bool:
        """Tell whether a Host header names this server."""
        name = urlsplit(f"//{host}").hostname or ""
        if name in ("localhost", self.host):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.everywhere or address.is_loopback

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            known = self.knows(host) and (origin is None or urlsplit(origin).netloc == host)
        except ValueError:
            known = False
        if not known or headers.get("sec-fetch-site") == "cross-site":
            return _sentence(403, "This server answers its own page and programs on its own machine only.")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self.limits.body_bytes:
            return _sentence(413, self._too_large())
        return None

    def _patient(self, receive: Receive) -> Receive:
        """Return what receives a body that is neither too large nor too slow."""
        deadline = time.monotonic() + self.limits.body_seconds
        received, complete = 0, False

        async def receive_part() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()  # the client leaves
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise HTTPException(408, f"The request did not arrive within {self.limits.body_seconds:g} seconds.") from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self.limits.body_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return receive_part

    def _too_large(self) -> str:
        return f"The request is larger than the {self.limits.body_bytes:,} bytes that the server takes at once."


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sentence(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, {"Connection": "close", **(headers or {})})


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


async def _drain(receive: Receive) -> None:
    """Read what is on its way, for a moment, and forget it."""
    deadline = time.monotonic() + DRAIN_SECONDS
    more = True
    while more and time.monotonic() < deadline:
        try:
            message = await asyncio.wait_for(receive(), deadline - time.monotonic())
        except TimeoutError:
            return
        more = message.get("more_body", False)
