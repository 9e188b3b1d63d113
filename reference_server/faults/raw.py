"""HTTP/1.1 written by hand, around the server's own: what an HTTP library refuses to send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.connection import transport_of
from reference_server.faults.hooks import Headers, header_of

Chunk = Callable[[bytes, int], bytes]


def chunk(body: bytes, number: int) -> bytes:
    """One chunk as RFC 9112 §7.1 has it."""
    return b"%x\r\n%b\r\n" % (len(body), body)


class RawStream:
    """`send` that writes event streams to the connection itself, and closes it when they end.

    `head` gives the header lines (without `Transfer-Encoding`, unless it says so); `chunks` how the n-th
    chunk is written (None: the body is delimited by the close); `last` what ends the body. Other answers
    go the ordinary way, and so do streams in chunks for HTTP/1.0 clients, who know none, unless `to_all`.
    """

    def __init__(
        self,
        scope: Scope,
        send: Send,
        *,
        head: Callable[[Headers], Headers] = lambda headers: [*headers, (b"transfer-encoding", b"chunked")],
        chunks: Chunk | None = chunk,
        last: bytes = b"0\r\n\r\n",
        version: bytes = b"1.1",
        linger: float = 0.0,
        to_all: bool = False,
    ) -> None:
        self._send = send
        plain = scope["http_version"] == "1.0" and chunks is not None and not to_all
        self._transport = None if plain else transport_of(scope)
        self._head = head
        self._chunks = chunks
        self._last = last
        self._version = version
        self._linger = linger
        self._raw = False
        self._number = 0

    async def __call__(self, message: Message) -> None:
        transport = self._transport
        if message["type"] == "http.response.start":
            media = header_of(message["headers"], "content-type") or ""
            self._raw = transport is not None and media.startswith("text/event-stream")
        if not self._raw or transport is None:
            await self._send(message)
            return
        if message["type"] == "http.response.start":
            lines = [b"HTTP/%b %d OK" % (self._version, message["status"])]
            lines += [name + b": " + value for name, value in self._head(list(message["headers"]))]
            transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
            return
        if body := message.get("body", b""):
            transport.write(body if self._chunks is None else self._chunks(body, self._number))
            self._number += 1
        if not message.get("more_body"):
            transport.write(self._last)
            if self._linger:
                await asyncio.sleep(self._linger)
            transport.close()

    @property
    def raw(self) -> bool:
        """Whether an event stream was written so."""
        return self._raw


async def serve_raw(app: ASGIApp, scope: Scope, receive: Receive, out: RawStream) -> None:
    """Serve a request through a `RawStream`, and return when its connection is gone."""
    await app(scope, receive, out)
    while out.raw and (await receive())["type"] != "http.disconnect":
        pass
