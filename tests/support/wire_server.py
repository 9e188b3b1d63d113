"""A server that sends exactly the bytes that a test says, and a transport that receives them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from conformance.observe.transport import LiveStream, Transport
from conformance.profile import Limits, Profile, Tls
from conformance.transcript import Request, Transcript

Handler = Callable[["Connection"], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SECONDS = 5.0  # how long a test waits for what must come


class Connection:
    """One accepted connection: the request as received, and the ways to answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request = b""

    async def read_request(self) -> bytes:
        """The head of the request, and its body where it has a Content-Length."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        body = b""
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                body = await self.reader.readexactly(int(line.partition(b":")[2]))
        self.request = head + body
        return self.request

    async def send(self, *pieces: bytes) -> None:
        """Send each piece by itself, and give the reader a turn after each."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def left(self) -> str:
        """How the client left: "closed" or "reset"."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return "reset"
        return "closed"

    def reset(self) -> None:
        """Reset the connection."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on a free loopback port; gives the base URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connection = Connection(reader, writer)
        try:
            await connection.read_request()
            await handler(connection)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            with contextlib.suppress(Exception):
                writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(accepted, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'https' if tls else 'http'}://{shown}:{port}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # closed transports are torn down in the next turns of the loop


@contextlib.asynccontextmanager
async def transport_to(
    url: str,
    *,
    limits: Limits | None = None,
    tls: Tls | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> AsyncIterator[Transport]:
    """A transport to that target."""
    profile = Profile("penguin/2", url, headers=headers)
    profile = replace(profile, limits=limits or profile.limits, tls=tls or profile.tls)
    origin = time.monotonic()
    transport = Transport(profile, lambda: time.monotonic() - origin)
    try:
        yield transport
    finally:
        await transport.close()


def sends(*pieces: bytes, reset: bool = False) -> Handler:
    """Answer with these pieces, then close (or reset)."""

    async def handler(connection: Connection) -> None:
        await connection.send(*pieces)
        if reset:
            await asyncio.sleep(0.05)  # what was sent must be read before the reset can take it away
            connection.reset()

    return handler


async def fetch(handler: Handler, method: str = "GET", *, limits: Limits | None = None) -> Transcript:
    """One exchange with such a server, to its end."""
    async with serving(handler) as url, transport_to(url, limits=limits) as transport:
        stream = await transport.open(Request(method, f"{url}/events"))
        await stream.wait_end(SECONDS)
        return stream.transcript()


def fetched(
    *pieces: bytes, method: str = "GET", reset: bool = False, limits: Limits | None = None
) -> Transcript:
    """What is recorded of a server that sends these pieces."""
    return asyncio.run(fetch(sends(*pieces, reset=reset), method, limits=limits))


__all__ = [
    "CHUNKED",
    "HEAD",
    "SECONDS",
    "Connection",
    "LiveStream",
    "fetch",
    "fetched",
    "sends",
    "serving",
    "transport_to",
]
