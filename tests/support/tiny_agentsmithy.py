"""A small AgentSmithy server made of raw bytes, right or wrong in one named way, for the probes of HTTP."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from conformance.script import OPENING, ModelTurn, Script
from tests.support.wire_server import Connection

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
BACKLOG = 65_536  # bytes that a connection may have unsent before `drops` throws away


@dataclass
class TinyAgentSmithy:
    """Serves `POST /api/chat`. `wrong` names what it does wrong ("" for nothing)."""

    wrong: str = ""
    gzip: bool = False
    vanished: int = 0
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, connection: Connection) -> None:
        """Answer one request."""
        line, _, rest = connection.request.partition(b"\r\n")
        method, path, version = line.split(b" ")
        raw_headers, _, body = rest.partition(b"\r\n\r\n")
        if method == b"HEAD" and self.wrong == "head-body":
            await connection.send(HEAD + b"\r\n", b"data: {}\n\n")
            return
        if path.endswith(b"/api/dialogs") or method != b"POST":
            allowed = method != b"PUT" or self.wrong != "put-500"
            status = b"405 Method Not Allowed\r\nAllow: POST" if allowed else b"500 Internal Server Error"
            await connection.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
            return
        if self.wrong == "leaks" and self.vanished > 20:
            await connection.send(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            return
        headers = raw_headers.lower()
        answer = _Answer(self, connection, version, packed=self.gzip and b"accept-encoding: gzip" in headers)
        try:
            if self.wrong == "one-at-a-time":
                async with self.busy:
                    await answer.play(_script(body))
            else:
                await answer.play(_script(body))
        except ConnectionError:
            self.vanished += 1
            raise


def _script(body: bytes) -> Script:
    prompt = json.loads(body)["messages"][-1]["content"]
    at = prompt.find(OPENING)
    if at < 0:
        return Script((ModelTurn(text=("Hello.",)),))
    return Script.from_data(json.JSONDecoder().raw_decode(prompt, at + len(OPENING))[0])


class _Answer:
    def __init__(
        self, server: TinyAgentSmithy, connection: Connection, version: bytes, *, packed: bool
    ) -> None:
        self.wrong = server.wrong
        self.connection = connection
        self.chunked = version == b"HTTP/1.1" or self.wrong == "chunks-for-1.0"
        self.packer = zlib.compressobj(wbits=31) if packed else None
        self.flush: Callable[[], bytes] = lambda: b""
        self.held = b""

    async def play(self, script: Script) -> None:
        packed = b"Content-Encoding: gzip\r\n" if self.packer else b""
        coding = b"Transfer-Encoding: chunked\r\n" if self.chunked else b""
        length = b"Content-Length: 9\r\n" if self.wrong == "length-too" and self.chunked else b""
        head = HEAD + packed + coding + length + b"\r\n"
        if self.wrong in ("late-head", "buffered"):
            self.held = head
        else:
            await self.connection.send(head)
        await self.event({"type": "user", "content": "…", "dialog_id": "d"}, first=True)
        for text in script.turns[0].text_chunks:
            await asyncio.sleep(script.pace_ms / 1000)
            await self.event({"type": "chat", "content": text, "dialog_id": "d"})
        await self.event({"type": "done", "done": True, "dialog_id": "d"})
        rest = self.packer.flush() if self.packer else b""
        end = b"" if self.wrong == "no-terminator" else b"0\r\n\r\n"
        await self.connection.send(self.held + self.frame(rest) + (end if self.chunked else b""))

    async def event(self, value: dict[str, object], *, first: bool = False) -> None:
        raw = b"data: " + json.dumps(value).encode() + b"\n\n"
        if self.packer:
            mode = zlib.Z_NO_FLUSH if self.wrong == "gzip-held" else zlib.Z_SYNC_FLUSH
            raw = self.packer.compress(raw) + self.packer.flush(mode)
        raw = self.frame(raw)
        writer = self.connection.writer
        if self.wrong == "buffered" or (self.wrong == "late-head" and first):
            self.held += raw
        elif self.wrong == "drops" and value["type"] != "done":
            if writer.transport.get_write_buffer_size() < BACKLOG:
                writer.write(raw)
            await asyncio.sleep(0)
        else:
            self.held, ready = b"", self.held + raw
            await self.connection.send(ready)

    def frame(self, raw: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(raw), raw) if self.chunked and raw else raw
