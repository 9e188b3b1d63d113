"""Variants of bytes, lines and HTTP: unusual and legal. A run against any of them must stay green."""

from __future__ import annotations

import asyncio
import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.faults.hooks import (
    Headers,
    Json,
    Memory,
    Stream,
    asks_for_stream,
    event_of,
    header_of,
    is_stream_path,
    on_app,
    on_blocks,
    on_events,
    on_head,
    with_event,
)
from reference_server.faults.http import _zipped
from reference_server.faults.raw import RawStream, serve_raw

EARLY = 4_096  # bytes of a stream that are cut small: cutting megabytes so shows nothing more


# ---------------------------------------------------------------- bytes and lines


@on_blocks("crlf")
def crlf(stream: Stream, given: bytes) -> bytes:
    return given.replace(b"\n", b"\r\n")


@on_blocks("cr")
def cr(stream: Stream, given: bytes) -> bytes:
    return given.replace(b"\n", b"\r")


@on_blocks("mixed-line-endings")
def mixed(stream: Stream, given: bytes) -> bytes:
    return given.replace(b"\n", (b"\n", b"\r\n", b"\r")[stream.count % 3])


@on_blocks("bom-at-the-start")
def bom(stream: Stream, given: bytes) -> bytes:
    first = not stream.own.setdefault("begun", False)
    stream.own["begun"] = True
    return b"\xef\xbb\xbf" + given if first else given


@on_blocks("comments-everywhere")
def comments(stream: Stream, given: bytes) -> bytes:
    return b": before\n\n:\n" + given.replace(b"\n\n", b"\n: inside\n\n: after\n\n")


@on_blocks("several-data-lines")
def several_lines(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if event is None:
        return given
    data = json.dumps(event, indent=1, ensure_ascii=given.isascii()).encode()
    lines = b"\n".join(b"data: " + line for line in data.split(b"\n"))
    head = given.partition(b"data: ")[0]
    return head + lines + b"\n\n"


@on_blocks("no-space-after-the-colon")
def no_space(stream: Stream, given: bytes) -> bytes:
    return given.replace(b"data: ", b"data:", 1)


@on_blocks("empty-data-line-at-the-end")
def empty_line(stream: Stream, given: bytes) -> bytes:
    return given[:-1] + b"data\n\n" if b"data: " in given else given


@on_blocks("named-message")
def named(stream: Stream, given: bytes) -> bytes:
    return b"event: message\n" + given if b"data: " in given else given


@on_blocks("retry-sent")
def retry(stream: Stream, given: bytes) -> bytes:
    return b"retry: 1500\n\n" + given if stream.count == 0 and b"data: " in given else given


@on_blocks("id-after-data")
def id_after(stream: Stream, given: bytes) -> bytes:
    if not given.startswith(b"id: "):
        return given
    first, _, rest = given.partition(b"\n")
    return rest[:-1] + first + b"\n\n"


@on_blocks("ids-where-none-are-promised")
def ids(stream: Stream, given: bytes) -> bytes:
    return b"id: %d-%d\n" % (stream.number, stream.count) + given if b"data: " in given else given


@on_blocks("escaped-json")
def escaped(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    return given if event is None else with_event(given.partition(b"data: ")[0] + b"data: \n\n", event)


@on_blocks("unescaped-json")
def unescaped(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if event is None:
        return given
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    return given.partition(b"data: ")[0] + b"data: " + data + b"\n\n"


@on_events("members-in-another-order")
def reordered(stream: Stream, event: Json) -> list[Json]:
    return [_reversed(event)]


def _reversed(event: Json) -> Json:
    return {k: _reversed(v) if isinstance(v, dict) else v for k, v in reversed(event.items())}


@on_events("members-beyond-the-document")
def more_members(stream: Stream, event: Json) -> Json:
    event["x_trace"] = {"span": "a1b2", "parent": None}
    return event


@on_app("one-byte-per-chunk")
async def single_bytes(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _cut(app, scope, receive, send, 1)


@on_app("seven-bytes-per-chunk")
async def seven_bytes(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _cut(app, scope, receive, send, 7)


async def _cut(app: ASGIApp, scope: Scope, receive: Receive, send: Send, size: int) -> None:
    sent = 0

    async def out(message: Message) -> None:
        nonlocal sent
        body = message.get("body", b"")
        small = min(len(body), max(0, EARLY - sent))
        sent += len(body)
        for at in range(0, small, size):
            await send(
                {"type": "http.response.body", "body": body[at : min(at + size, small)], "more_body": True}
            )
            await asyncio.sleep(0)
        await send({**message, "body": body[small:]} if message["type"] == "http.response.body" else message)

    await app(scope, receive, out if asks_for_stream(scope) else send)


@on_app("many-events-per-chunk")
async def many_events(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """What is said within 20 ms goes out at once."""
    if not asks_for_stream(scope):
        await app(scope, receive, send)
        return
    held: list[bytes] = []
    timer: list[asyncio.Task[None]] = []

    async def later() -> None:
        await asyncio.sleep(0.02)
        body = b"".join(held)
        held.clear()
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def out(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        held.append(message.get("body", b""))
        if not message.get("more_body"):
            for task in timer:
                if not task.done():
                    await task
            body = b"".join(held)
            held.clear()
            await send({**message, "body": body})
        elif not timer or timer[-1].done():
            timer[:] = [asyncio.create_task(later())]

    try:
        await app(scope, receive, out)
    finally:
        for task in timer:
            task.cancel()


# ---------------------------------------------------------------- HTTP


@on_app("gzip-flushed")
async def zipped(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await _zipped(app, scope, receive, send, flush=True)


@on_app("close-delimited")
async def closed(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    def head(headers: Headers) -> Headers:
        return [*headers, (b"connection", b"close")]

    await serve_raw(app, scope, receive, RawStream(scope, send, head=head, chunks=None, last=b""))


@on_app("http-1-0")
async def old_http(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    out = RawStream(scope, send, head=lambda headers: headers, chunks=None, last=b"", version=b"1.0")
    await serve_raw(app, scope, receive, out)


@on_app("chunk-extensions-and-trailers")
async def extensions(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    def chunk(body: bytes, number: int) -> bytes:
        return b"%X;n=%d\r\n%b\r\n" % (len(body), number, body)

    if scope["http_version"] == "1.0":
        await app(scope, receive, send)
        return
    out = RawStream(scope, send, chunks=chunk, last=b"0\r\nx-end: yes\r\n\r\n")
    await serve_raw(app, scope, receive, out)


@on_app("slow-server")
async def slow(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Every answer begins 300 ms late."""
    await asyncio.sleep(0.3)
    await app(scope, receive, send)


@on_head("media-type-in-capitals")
def capitals(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, [
        (n, b"Text/Event-Stream ; Charset=UTF-8" if v.startswith(b"text/event-stream") else v)
        for n, v in headers
    ]


@on_head("no-charset-no-store")
def no_store(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    if not (header_of(headers, "content-type") or "").startswith("text/event-stream"):
        return status, headers
    kept = [pair for pair in headers if pair[0] not in (b"content-type", b"cache-control")]
    return status, [
        *kept,
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store, no-transform"),
    ]


@on_app("head-is-allowed")
async def head_allowed(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] == "HEAD" and is_stream_path(scope):
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    await app(scope, receive, send)


@on_app("not-acceptable-is-refused")
async def refused_accept(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    accept = header_of(scope["headers"], "accept") or "*/*"
    wanted = "*/*" in accept or ("text/event-stream" in accept and "text/event-stream;q=0" not in accept)
    if asks_for_stream(scope) and not wanted:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 406, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})
        return
    await app(scope, receive, send)
