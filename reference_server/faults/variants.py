"""Variants: unusual and legal. A run against any of them must stay green."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.agent import AgentEvent, CallEnded, Reasoned, Said, ToolEnded
from reference_server.faults.hooks import (
    Acts,
    Headers,
    Json,
    Memory,
    Stream,
    block,
    event_of,
    header_of,
    on_acts,
    on_app,
    on_blocks,
    on_events,
    on_head,
    on_published,
    with_event,
)
from reference_server.faults.http import _zipped, asks_for_stream
from reference_server.faults.penguin_stream import assistant, changed, delta_of, is_status, tool_of
from reference_server.faults.raw import RawStream, serve_raw
from reference_server.shape_penguin import Event, Session

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
    event["x_trace"] = {"span": stream.count}
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
    if scope["method"] == "HEAD" and scope["path"].endswith(("/events/sse", "/api/chat")):
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


# ---------------------------------------------------------------- what the agent does


def on_each(name: str, cut: Callable[[AgentEvent], Iterable[AgentEvent]]) -> None:
    """A variant of single acts."""

    @on_acts(name)
    async def cutting(memory: Memory, acts: Acts) -> Acts:
        async with aclosing(acts):
            async for act in acts:
                for each in cut(act):
                    yield each


def _letters(act: AgentEvent) -> Iterable[AgentEvent]:
    """Short texts letter by letter."""
    if isinstance(act, Said | Reasoned) and len(act.text) < 100:
        return [type(act)(letter) for letter in act.text]
    return [act]


def _with_empty(act: AgentEvent) -> Iterable[AgentEvent]:
    return [type(act)(""), act] if isinstance(act, Said | Reasoned) and len(act.text) < 100 else [act]


on_each("letter-by-letter", _letters)
on_each("empty-pieces", _with_empty)


@on_acts("pieces-joined")
async def joined(memory: Memory, acts: Acts) -> AsyncGenerator[AgentEvent, None]:
    """Pieces that come together go out as one."""
    held: Said | None = None
    loop = asyncio.get_running_loop()
    at = loop.time()
    async with aclosing(acts):
        async for act in acts:
            soon = loop.time() - at < 0.001
            at = loop.time()
            if isinstance(act, Said) and len(act.text) < 40 and soon and held is None:
                held = act
                continue
            if held is not None and isinstance(act, Said):
                act, held = Said(held.text + act.text), None
            elif held is not None:
                yield held
                held = None
            yield act


@on_acts("parallel-tools-end-in-reverse")
async def reverse_ends(memory: Memory, acts: Acts) -> AsyncGenerator[AgentEvent, None]:
    ended: list[AgentEvent] = []
    async with aclosing(acts):
        async for act in acts:
            if isinstance(act, ToolEnded):
                ended.insert(0, act)
                continue
            if isinstance(act, CallEnded):
                for each in ended:
                    yield each
                ended = []
            yield act


# ---------------------------------------------------------------- AgentSmithy


@on_events("unknown-types")
def unknown_types(stream: Stream, event: Json) -> Json | list[Json]:
    if stream.count == 1 and event.get("type") in ("chat", "chat_start", "done"):
        return [{"type": "usage", "tokens": 5, "dialog_id": event["dialog_id"]}, event]
    return event


@on_events("empty-segments")
def empty_segments(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] != "tool_call":
        return event
    frame = {"dialog_id": event["dialog_id"]}
    return [{"type": "chat_start", **frame}, {"type": "chat_end", **frame}, event]


@on_blocks("comment-after-done")
def comment_after(stream: Stream, given: bytes) -> bytes:
    return given + b": bye\n\n" if b'"done": true' in given and event_of(given) is not None else given


@on_events("summary-before-the-answer")
def summary(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] != "user":
        return event
    frame = {"dialog_id": event["dialog_id"]}
    return [event, {"type": "summary_start", **frame}, {"type": "summary_end", **frame}]


# ---------------------------------------------------------------- Penguin


def on_each_event(name: str, show: Callable[[Event], Iterable[Event]]) -> None:
    """A variant of single events of a session."""

    @on_published(name)
    def showing(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            yield from show(event)


on_each_event("busy-repeated", lambda e: [e, e] if is_status(e, "busy") else [e])
on_each_event("idle-twice", lambda e: [e, e] if is_status(e, "idle") else [e])


def _pending(event: Event) -> Iterable[Event]:
    """Pending before running, and running twice."""
    tool = tool_of(event)
    if tool is None or tool["state"]["status"] != "running":
        return [event]
    return [changed(event, state={**tool["state"], "status": "pending"}), event, event]


def _told_again(event: Event) -> Iterable[Event]:
    """The final text of a part once more before its message ends, without an increment."""
    part = event.properties.get("part", {})
    if delta_of(event) is None or len(part["text"]) > 500:
        return [event]
    return [event, Event(event.type, {k: v for k, v in event.properties.items() if k != "delta"})]


def _message_again(event: Event) -> Iterable[Event]:
    return [event, copy.deepcopy(event)] if assistant(event) else [event]


on_each_event("tools-pending-first", _pending)
on_each_event("snapshots-without-delta", _told_again)
on_each_event("messages-repeated", _message_again)


@on_blocks("heartbeat-is-an-event")
def beat_event(stream: Stream, given: bytes) -> bytes:
    if not given.startswith(b":"):
        return given
    return block({"type": "server.heartbeat", "properties": {}}, ascii_only=True)


@on_published("session-below-a-session")
def below(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
    """A tool's work shows as a turn of a session below, in the middle of the turn."""
    for event in events:
        yield event
        tool = tool_of(event)
        if tool is None or tool["state"]["status"] != "running":
            continue
        number = memory["n"] = memory.get("n", 0) + 1
        child = f"{session.id}_sub{number}"
        times = {"created": session.created, "completed": session.created}
        message: Json = {
            "id": f"msg_{child}",
            "sessionID": child,
            "role": "assistant",
            "time": times,
            "agent": "sub",
        }
        message |= {"parentID": "", "modelID": "m", "providerID": "p", "mode": "build", "cost": 0.0}
        message |= {"path": {"cwd": session.directory, "root": session.directory}}
        message |= {"tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}}
        part = {"id": f"part_{child}", "messageID": message["id"], "sessionID": child, "type": "text"}
        yield Event("session.status", {"sessionID": child, "status": {"type": "busy"}})
        yield Event("message.updated", {**message, "time": {**times, "completed": None}})
        yield Event(
            "message.part.updated", {"part": {**part, "text": "sub"}, "delta": "sub", "sessionID": child}
        )
        yield Event("message.updated", message)
        yield Event("session.status", {"sessionID": child, "status": {"type": "idle"}})
