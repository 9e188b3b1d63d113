"""The connection behind a request, for the few things that ASGI cannot say."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEY = "reference_server.transport"


class ConnectionMiddleware:
    """Outermost: keeps the server's own transport in the scope before anything wraps `send`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI. Not a coroutine of its own, which would be there as long as a stream is."""
        if scope["type"] == "http":
            # uvicorn's `send` is a method of its request cycle, which has the transport
            cycle = getattr(send, "__self__", None)
            scope[_KEY] = getattr(cycle, "transport", None)
            if scope["http_version"] == "1.0" and hasattr(cycle, "chunked_encoding"):
                send = _until_the_close(cycle)
        return self.app(scope, receive, send)


def _until_the_close(cycle: Any) -> Send:
    """`send` of uvicorn's httptools protocol for a client of HTTP/1.0, which is not to be sent chunks (RFC 9112 §6.1).

    That protocol knows two ways: a length, and chunks without one. Here it is told to expect any length.
    """
    endless = False

    async def send(message: Message) -> None:
        nonlocal endless
        if message["type"] == "http.response.start":
            endless = all(name.lower() != b"content-length" for name, _ in message["headers"])
            if endless:
                cycle.chunked_encoding, cycle.expected_content_length = False, sys.maxsize
        elif endless and not message.get("more_body"):
            cycle.expected_content_length = len(message.get("body", b""))
        await cycle.send(message)

    return send


def transport_of(scope: Scope) -> asyncio.Transport | None:
    """The server's own transport, where it shows one: what is written to it goes around all framing."""
    transport: asyncio.Transport | None = scope.get(_KEY)
    return transport


def abort(scope: Scope) -> None:
    """Drop the connection at once, with what is still unsent. Does nothing on a server that hides it."""
    transport = scope.get(_KEY)
    if transport is not None:
        transport.abort()
