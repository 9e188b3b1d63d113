"""Which deviation a request is served with: the server's own, or the one that its header names."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_server.faults.catalogue import UnknownFaultError
from reference_server.faults.hooks import build
from reference_server.seam import Deviation, serve_with

HEADER = b"x-reference-fault"


def _named(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER:
            return str(value.decode("latin-1")).strip()
    return None


class Refusing:
    """400 for a request that names a fault on a server that was started without leave for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI."""
        if scope["type"] == "http" and _named(scope) is not None:
            text = "faults are refused: the server was started without --allow-faults"
            return JSONResponse({"detail": text}, 400)(scope, receive, send)
        return self.app(scope, receive, send)


class Choosing:
    """Serves each request with the deviation that it names, else with the server's own, if there is one.

    A deviation may count ("every tenth reconnect"): it lives as long as the server, once for each name.
    """

    def __init__(self, app: ASGIApp, fault: str | None) -> None:
        self.app = app
        self._fault = fault
        self._built: dict[str, Deviation] = {}
        if fault is not None:
            self._deviation(fault)  # an unknown one is refused at the start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = _named(scope) or self._fault
        if name is None:
            await self.app(scope, receive, send)
            return
        try:
            deviation = self._deviation(name)
        except UnknownFaultError as error:
            await JSONResponse({"detail": str(error)}, 400)(scope, receive, send)
            return
        await serve_with(deviation, self.app, scope, receive, send)

    def _deviation(self, name: str) -> Deviation:
        if name not in self._built:
            self._built[name] = build(name)
        return self._built[name]
