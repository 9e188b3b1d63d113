"""The connection behind a request, for the few things that ASGI cannot say."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

_KEY = "reference_server.transport"


class ConnectionMiddleware:
    """Outermost: keeps the server's own transport in the scope before anything wraps `send`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            # uvicorn's `send` is a method of its request cycle, which has the transport
            scope[_KEY] = getattr(getattr(send, "__self__", None), "transport", None)
        await self.app(scope, receive, send)


def transport_of(scope: Scope) -> asyncio.Transport | None:
    """The server's own transport, where it shows one: what is written to it goes around all framing."""
    transport: asyncio.Transport | None = scope.get(_KEY)
    return transport


def abort(scope: Scope) -> None:
    """Drop the connection at once, with what is still unsent. Does nothing on a server that hides it."""
    transport = scope.get(_KEY)
    if transport is not None:
        transport.abort()
