"""A client on a plain socket, for tests that look at bytes: HTTP head, chunks, events, how it ended."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from conformance.wire import Decoder

DEADLINE = 20.0  # seconds for anything to happen


class RawStream:
    """One request on a connection of its own. `head` is read at once; the body as it is asked for.

    `body` is what came after the head, with the chunk framing taken off; `terminated` whether the zero chunk
    came; `chunks` the sizes of the chunks.
    """

    def __init__(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        version: str = "1.1",
        receive_buffer: int | None = None,
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect((parts.hostname, parts.port))
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {target} HTTP/{version}", f"Host: {parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self.body = bytearray()
        self.chunks: list[int] = []
        self.terminated = False
        self.ended = False
        self.events: list[dict[str, Any]] = []
        self.ids: list[str | None] = []  # of each event: its own `id` line
        self._decoder = Decoder()
        self._raw = b""
        while b"\r\n\r\n" not in self._raw:
            self._receive()
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        self.head = head
        self.status = int(status.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
        self.chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        self._digest()

    def __enter__(self) -> RawStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def until(self, found: Callable[[RawStream], bool], within: float = DEADLINE) -> RawStream:
        """Read until `found` is true of this stream; fails when it ends or the time is over before that."""
        deadline = time.monotonic() + within
        while not found(self):
            assert not self.ended, f"the stream ended: {self.body[-500:]!r}"
            left = deadline - time.monotonic()
            assert left > 0, f"not within {within} s: {self.body[-500:]!r}"
            self.socket.settimeout(left)
            self._receive()
            self._digest()
        return self

    def until_event(self, kind: str, within: float = DEADLINE) -> dict[str, Any]:
        """Read until an event of this type is there, and return the newest such."""
        self.until(lambda s: any(e["type"] == kind for e in s.events), within)
        return next(event for event in reversed(self.events) if event["type"] == kind)

    def to_end(self, within: float = DEADLINE) -> RawStream:
        """Read until the response or the connection has ended."""
        return self.until(lambda s: s.ended or s.terminated, within)

    @property
    def types(self) -> list[str]:
        """The types of all events so far."""
        return [event["type"] for event in self.events]

    def _receive(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
        self._raw += data

    def _digest(self) -> None:
        start = len(self.body)
        if not self.chunked:
            self.body += self._raw
            self._raw = b""
        while self.chunked and not self.terminated:
            size, found, rest = self._raw.partition(b"\r\n")
            if not found:
                break
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            assert rest[length : length + 2] == b"\r\n", "bad chunk framing"
            self.terminated = length == 0
            if length:
                self.chunks.append(length)
            self.body += rest[:length]
            self._raw = rest[length + 2 :]
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            for block in self._decoder.feed(bytes(self.body[start:])):
                if block.dispatch is not None:
                    self.events.append(json.loads(block.dispatch.data))
                    self.ids.append(None if block.id is None else block.id.decode())


def chat_body(prompt: str, **members: Any) -> bytes:
    """A body for `POST /api/chat`."""
    return json.dumps({"messages": [{"role": "user", "content": prompt}], "stream": True, **members}).encode()


def script(*turns: dict[str, Any], **members: Any) -> str:
    """A prompt that holds a script."""
    return f"please [[script {json.dumps({'turns': list(turns), **members})}]] thanks"
