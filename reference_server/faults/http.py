"""Faults of HTTP: status, headers, framing of the body, methods, buffering, credentials, limits."""

from __future__ import annotations

import asyncio
import zlib

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.connection import abort
from reference_server.faults.hooks import (
    Headers,
    Memory,
    Stream,
    asks_for_stream,
    ends_answer,
    header_of,
    is_heartbeat,
    is_stream_path,
    on_app,
    on_blocks,
    on_head,
)
from reference_server.faults.raw import RawStream, chunk, serve_raw


def without(headers: Headers, *names: bytes) -> Headers:
    """The headers without those names."""
    return [pair for pair in headers if pair[0].lower() not in names]


# ---------------------------------------------------------------- cursors


@on_app("non-ascii-cursor-500")
async def cursor_500(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    cursor = header_of(scope["headers"], "last-event-id") or ""
    if not cursor.isascii():
        await JSONResponse({"detail": "Internal Server Error"}, 500)(scope, receive, send)
        return
    await app(scope, receive, send)


@on_app("long-cursor-cuts-the-stream")
async def cursor_cut(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def out(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.start":
            await asyncio.sleep(0.05)
            abort(scope)

    long = len(header_of(scope["headers"], "last-event-id") or "") > 500
    await app(scope, receive, out if long else send)


@on_app("strange-cursor-refused")
async def cursor_refused(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    cursor = header_of(scope["headers"], "last-event-id")
    if cursor is not None and not cursor.startswith("evt:") and is_stream_path(scope):
        await JSONResponse({"detail": "bad Last-Event-ID"}, 400)(scope, receive, send)
        return
    await app(scope, receive, send)


# ---------------------------------------------------------------- heartbeats


@on_blocks("no-heartbeat")
def no_heartbeat(stream: Stream, given: bytes) -> bytes:
    return b"" if is_heartbeat(given) else given


@on_blocks("heartbeat-every-fifth-time")
def slow_heartbeat(stream: Stream, given: bytes) -> bytes:
    if not is_heartbeat(given):
        return given
    stream.own["beats"] = stream.own.get("beats", 0) + 1
    return given if stream.own["beats"] % 5 == 0 else b""


# ---------------------------------------------------------------- framing of the body


@on_app("last-chunk-missing")
async def no_last_chunk(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await serve_raw(app, scope, receive, RawStream(scope, send, last=b""))


@on_app("last-chunk-missing-once")
async def no_last_chunk_once(
    memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    if not asks_for_stream(scope):
        await app(scope, receive, send)
        return
    memory["asked"] = memory.get("asked", 0) + 1
    last = b"" if memory["asked"] == 12 else b"0\r\n\r\n"
    await serve_raw(app, scope, receive, RawStream(scope, send, last=last))


@on_app("chunk-size-too-large")
async def wrong_size(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    def wrong(body: bytes, number: int) -> bytes:
        return chunk(body, number) if number != 2 else b"%x\r\n%b\r\n" % (len(body) + 1, body)

    await serve_raw(app, scope, receive, RawStream(scope, send, chunks=wrong))


@on_app("chunk-size-0x")
async def hex_size(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    memory["asked"] = memory.get("asked", 0) + asks_for_stream(scope)
    due = memory["asked"] == 3

    def wrong(body: bytes, number: int) -> bytes:
        return b"0x" + chunk(body, number) if due and number == 2 else chunk(body, number)

    await serve_raw(app, scope, receive, RawStream(scope, send, chunks=wrong))


@on_app("bytes-after-the-last-chunk")
async def surplus(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    out = RawStream(scope, send, last=b"0\r\n\r\n: bye\n\n")
    await serve_raw(app, scope, receive, out)


@on_app("length-beside-chunked")
async def both(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    def head(headers: Headers) -> Headers:
        return [*headers, (b"transfer-encoding", b"chunked"), (b"content-length", b"1048576")]

    await serve_raw(app, scope, receive, RawStream(scope, send, head=head))


@on_app("length-too-large")
async def long_length(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _with_length(memory, app, scope, receive, send, 7)


@on_app("length-too-small")
async def short_length(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _with_length(memory, app, scope, receive, send, -7)


async def _with_length(
    memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send, more: int
) -> None:
    """Hold every tenth answer that is a stream back, and send it with a length that is that much off."""
    if asks_for_stream(scope):
        memory["asked"] = memory.get("asked", 0) + 1
    if not asks_for_stream(scope) or memory["asked"] % 10 != 3:
        await app(scope, receive, send)
        return
    held = _Held(send)
    await app(scope, receive, held)
    if held.start is None:
        return
    body = held.body
    length = str(len(body) + more).encode()
    out = RawStream(
        scope, send, head=lambda headers: [*headers, (b"content-length", length)], chunks=None, last=b""
    )
    await out(held.start)
    await out({"type": "http.response.body", "body": body})
    while (await receive())["type"] != "http.disconnect":
        pass


class _Held:
    """`send` that keeps an event stream until its end."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.start: Message | None = None
        self._parts: list[bytes] = []

    @property
    def body(self) -> bytes:
        """What was kept."""
        return b"".join(self._parts)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            media = header_of(message["headers"], "content-type") or ""
            if media.startswith("text/event-stream"):
                self.start = message
                return
        if self.start is None:
            await self._send(message)
        else:
            self._parts.append(message.get("body", b""))


@on_app("true-length")
async def true_length(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _with_length(memory, app, scope, receive, send, 0)


@on_head("length-of-a-gigabyte")
def huge_length(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    streaming = (header_of(headers, "content-type") or "").startswith("text/event-stream")
    return status, [*headers, (b"content-length", b"1073741824")] if streaming else headers


# ---------------------------------------------------------------- when it comes


@on_app("head-with-the-first-words")
async def late_head(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    held: list[Message] = []
    spoken = False

    async def out(message: Message) -> None:
        nonlocal spoken
        body = message.get("body", b"")
        words = b'"chat"' in body or b'"error"' in body
        spoken = spoken or words or (message["type"] == "http.response.body" and not message.get("more_body"))
        held.append(message)
        if spoken:
            for each in held:
                await send(each)
            held.clear()

    await app(scope, receive, out if asks_for_stream(scope) else send)


@on_app("head-with-the-first-write")
async def head_with_write(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    held: list[Message] = []

    async def out(message: Message) -> None:
        held.append(message)
        if message["type"] == "http.response.body":  # a heartbeat's too
            for each in held:
                await send(each)
            held.clear()

    await app(scope, receive, out if asks_for_stream(scope) else send)


@on_app("head-with-the-first-heartbeat")
async def head_with_heartbeat(
    memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    began = asyncio.get_running_loop().time()

    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(max(0.0, began + 4.5 - asyncio.get_running_loop().time()))
        await send(message)

    own = (
        asks_for_stream(scope)
        and scope["query_string"] == b""
        and not header_of(scope["headers"], "last-event-id")
    )
    await app(scope, receive, out if own else send)


@on_app("held-back-until-the-end")
async def held_back(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    held: list[bytes] = []

    async def out(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = message.get("body", b"")
        held.append(body)
        told = b"server.connected" in body or b"session." in body
        over = not message.get("more_body") or ends_answer(body) or told
        if over:
            await send({**message, "body": b"".join(held)})
            held.clear()

    await app(scope, receive, out if asks_for_stream(scope) else send)


@on_app("one-event-behind")
async def one_behind(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _behind(app, scope, receive, send, pushed=False)


@on_app("one-event-behind-until-a-heartbeat")
async def behind_heartbeat(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _behind(app, scope, receive, send, pushed=True)


async def _behind(app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, pushed: bool) -> None:
    """Serve with each piece of text held until the next event, or (`pushed`) until the next block of any kind."""
    held: list[bytes] = []

    async def out(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        ready: list[bytes] = []
        *blocks, rest = message.get("body", b"").split(b"\n\n")  # all of an answer that is no stream is rest
        for block in (each + b"\n\n" for each in blocks):
            if pushed or not is_heartbeat(block):
                ready += held
                held.clear()
            (held if b'"chat"' in block or b'"delta"' in block else ready).append(block)
        if not message.get("more_body"):
            ready += held
        await send({**message, "body": b"".join((*ready, rest))})

    await app(scope, receive, out if asks_for_stream(scope) else send)


@on_app("held-back-by-16-kb")
async def by_16k(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    held: list[bytes] = []

    async def out(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        new = message.get("body", b"")
        held.append(new)
        body = b"".join(held)
        settled = b"session." in body or b"server.connected" in body or ends_answer(new)
        if len(body) >= 16_384 or settled or not message.get("more_body"):
            held.clear()
            await send({**message, "body": body})

    await app(scope, receive, out if asks_for_stream(scope) else send)


@on_app("gzip-never-flushed")
async def unflushed_gzip(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _zipped(app, scope, receive, send, flush=False)


async def _zipped(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, flush: bool, always: bool = False
) -> None:
    """Compress event streams where the client accepts it (or always); flushed after each write, or not."""
    accepted = "gzip" in (header_of(scope["headers"], "accept-encoding") or "")
    if not (asks_for_stream(scope) and (accepted or always)):
        await app(scope, receive, send)
        return
    packer = zlib.compressobj(wbits=31)
    packing = False

    async def out(message: Message) -> None:
        nonlocal packing
        if message["type"] == "http.response.start":
            packing = message["status"] == 200
            if packing:
                coding = (b"content-encoding", b"gzip")
                headers = without(message["headers"], b"content-length")
                message = {**message, "headers": [*headers, coding, (b"vary", b"accept-encoding")]}
        elif packing:
            body = packer.compress(message.get("body", b""))
            if not message.get("more_body"):
                body += packer.flush()
            elif flush:
                body += packer.flush(zlib.Z_SYNC_FLUSH)
            message = {**message, "body": body}
        await send(message)

    await app(scope, receive, out)


@on_app("gzip-unasked")
async def unasked_gzip(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _zipped(app, scope, receive, send, flush=True, always=True)


# ---------------------------------------------------------------- headers


@on_head("cache-control-missing")
def cacheable(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, without(headers, b"cache-control")


@on_head("accel-buffering-missing")
def no_accel(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, without(headers, b"x-accel-buffering")
