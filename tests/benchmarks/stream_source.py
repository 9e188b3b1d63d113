"""Event streams for the benchmarks of clients: one event an HTTP chunk, numbered, with the time at which it was sent.

    python tests/benchmarks/stream_source.py    # prints its port; ends with its standard input

`/burst?events=N` as fast as the client reads; with `&alone=1` each chunk by a system call of its own.
`/paced?rate=R` R events a second, for ever, from a random moment on. `/idle` one event, then silence.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import time
from typing import cast
from urllib.parse import parse_qsl, urlsplit

SIZE = 210  # bytes of an event, its endings included
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = 64  # chunks that a burst writes at once


def chunk(number: int, sent: float = 0.0) -> bytes:
    """An event of `SIZE` bytes in a chunk of its own."""
    head = b'data: {"type": "chat", "number": %d, "sent": %.9f, "text": "' % (number, sent)
    event = head + b"y" * (SIZE - len(head) - 4) + b'"}\n\n'
    return b"%x\r\n%s\r\n" % (len(event), event)


class _Connection(asyncio.Protocol):
    """One request."""

    def __init__(self) -> None:
        self.request = b""
        self.number = 0
        self.interval = 0.0
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.request += data
        if not self.request.endswith(b"\r\n\r\n"):
            return
        parts = urlsplit(self.request.split()[1].decode())
        query = dict(parse_qsl(parts.query))
        self.transport.write(HEAD)
        if parts.path == "/burst":
            self.task = asyncio.ensure_future(self.burst(int(query["events"]), "alone" in query))
        elif parts.path == "/paced":
            self.interval = 1 / float(query["rate"])
            loop = asyncio.get_running_loop()
            self.due = loop.time() + random.random() * self.interval
            self.timer = loop.call_at(self.due, self.paced)
        else:
            self.transport.write(chunk(0))

    async def burst(self, events: int, alone: bool) -> None:
        """All of them, then the end."""
        step = 1 if alone else BLOCK
        for first in range(0, events, step):
            self.transport.write(b"".join(chunk(n) for n in range(first, min(events, first + step))))
            if not self.writable.is_set():
                await self.writable.wait()
        self.transport.write(b"0\r\n\r\n")
        self.transport.close()

    def paced(self) -> None:
        """The next one."""
        self.due += self.interval
        self.timer = asyncio.get_running_loop().call_at(self.due, self.paced)
        self.transport.write(chunk(self.number, time.monotonic()))
        self.number += 1


async def main() -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = loop.create_future()
    loop.add_reader(sys.stdin, lambda: ended.done() or ended.set_result(None))
    await ended


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main())
