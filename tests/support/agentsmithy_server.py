"""A small AgentSmithy server inside the test's own event loop, whose answers the test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.agentsmithy_cases import Events, encode

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body as JSON."""
        return json.loads(self.body)


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def answers(status: int, value: Any) -> Answer:
    """A JSON answer."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


def streams(
    events: Events | Callable[[Received], Events], *, end: bool = True, pause: asyncio.Event | None = None
) -> Answer:
    """An event stream; without `end` it stays open, and `pause` is set once its client has gone."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        made = events(request) if callable(events) else events
        body = encode(made)
        writer.write(SSE_HEAD + f"{len(body):x}\r\n".encode() + body + b"\r\n")
        if end:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        while not end:
            await asyncio.sleep(0.01)
            writer.write(b"3\r\n:\n\n\r\n")
            try:
                await writer.drain()
            except ConnectionError:
                if pause is not None:
                    pause.set()
                return

    return answer


@dataclass(slots=True)
class SmallServer:
    """Its base URL, what it has received, and its answers by method and path (404 for anything else)."""

    url: str = ""
    routes: dict[tuple[str, str], Answer] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    serving: set[asyncio.Task[Any]] = field(default_factory=set)

    def of(self, method: str, prefix: str = "") -> list[Received]:
        """The requests with that method, below that path."""
        return [r for r in self.received if r.method == method and r.path.startswith(prefix)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's request, then close it."""
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self.serving.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Received(method, path, headers, body)
        self.received.append(request)
        known = (self.routes.get((method, target)) for target in (path, path.partition("?")[0]))
        answer = next(filter(None, known), answers(404, {"detail": "Not Found"}))
        await answer(request, writer)


@contextlib.asynccontextmanager
async def small_server(routes: dict[tuple[str, str], Answer]) -> AsyncIterator[SmallServer]:
    """A server with these routes, on a free loopback port."""
    made = SmallServer(routes=routes)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        while made.serving:
            for task in made.serving:
                task.cancel()
            await asyncio.wait(made.serving)
