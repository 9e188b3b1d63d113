"""Faults that only load shows. They count over all streams of the server, so they are for `--fault`.

Each has parameters (`--fault loses-under-load:over=5,every=100`), so that a small test can show it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.bus import Filter, Gap
from reference_server.connection import transport_of
from reference_server.faults.hooks import (
    Json,
    Memory,
    Missed,
    Stream,
    asks_for_stream,
    event_of,
    on_app,
    on_blocks,
    on_missed,
    parameter,
    with_event,
)


def is_text(block: bytes) -> bool:
    """Whether a block carries a piece of what the agent says."""
    return b'"type": "chat", ' in block or b'"delta": ' in block


def ends_turn(block: bytes) -> bool:
    """Whether a block says that an answer is over."""
    return b'"type": "done"' in block or b'"type": "session.idle"' in block or b'{"type": "idle"}' in block


def busy(memory: Memory) -> bool:
    """Whether more than `over` streams are open."""
    return int(memory.get("open", 0)) > parameter(memory, "over")


def due(memory: Memory) -> bool:
    """Counts one more while there is load; whether it is an `every`-th one."""
    if not busy(memory):
        return False
    count = memory["counted"] = int(memory.get("counted", 0)) + 1
    return count % parameter(memory, "every") == 0


async def counting(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve rightly, and know how many streams are open."""
    if not asks_for_stream(scope):
        await app(scope, receive, send)
        return
    memory["open"] = memory.get("open", 0) + 1
    try:
        await app(scope, receive, send)
    finally:
        memory["open"] -= 1


# ---------------------------------------------------------------- events

for _name in (
    "loses-under-load",
    "doubles-under-load",
    "reorders-under-load",
    "alters-under-load",
    "invalid-under-load",
    "leaks-under-load",
    "ends-missing-under-load",
    "replay-loses-under-load",
    "memory-grows-under-load",
):
    on_app(_name)(counting)


@on_blocks("loses-under-load")
def loses(stream: Stream, given: bytes) -> bytes:
    return b"" if is_text(given) and due(stream.memory) else given


@on_blocks("doubles-under-load")
def doubles(stream: Stream, given: bytes) -> bytes:
    return given + given if is_text(given) and due(stream.memory) else given


@on_blocks("reorders-under-load")
def reorders(stream: Stream, given: bytes) -> bytes:
    if kept := bytes(stream.own.pop("kept", b"")):
        return given + kept if is_text(given) else kept + given
    if is_text(given) and due(stream.memory):
        stream.own["kept"] = given
        return b""
    return given


def _with_text(given: bytes, change: Callable[[str], object]) -> bytes:
    event = event_of(given)
    assert event is not None
    holder: Json = event.get("properties", event)
    name = "delta" if "delta" in holder else "content"
    holder[name] = change(holder[name])
    return with_event(given, event)


@on_blocks("alters-under-load")
def alters(stream: Stream, given: bytes) -> bytes:
    if not (is_text(given) and due(stream.memory)):
        return given
    return _with_text(given, lambda text: text[:-1] + ("!" if text.endswith("?") else "?"))


@on_blocks("invalid-under-load")
def invalid(stream: Stream, given: bytes) -> bytes:
    return _with_text(given, len) if is_text(given) and due(stream.memory) else given


def _owner(stream: Stream) -> str | None:
    """Whose events a stream is to show; None: everybody's."""
    path = stream.scope["path"]
    if path.endswith("/api/chat"):
        return str(stream.number)
    return stream.query.get("directory", "") if path.endswith("/event") else stream.query.get("session_id")


@on_blocks("leaks-under-load")
def leaks(stream: Stream, given: bytes) -> bytes:
    if not is_text(given):
        return given
    if "owner" not in stream.own:
        stream.own["owner"] = _owner(stream)
    owner, path = stream.own["owner"], stream.scope["path"]
    if owner is None:
        return given
    # what the newest two speakers said last: one of them is somebody else
    newest: list[tuple[str, bytes]] = stream.memory.setdefault("newest", {}).setdefault(path, [])
    others = [each for each in newest if each[0] != owner]
    newest[:] = [(owner, given), *others[:1]]
    return others[0][1] + given if others and due(stream.memory) else given


@on_blocks("ends-missing-under-load")
def no_end(stream: Stream, given: bytes) -> bytes:
    """OpenCode says it twice, one after the other: both are missing."""
    if not ends_turn(given):
        stream.own.pop("swallowing", None)
        return given
    if "swallowing" not in stream.own:
        stream.own["swallowing"] = due(stream.memory)
    return b"" if stream.own["swallowing"] else given


@on_missed("replay-loses-under-load")
def replay_loses(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return missed if isinstance(missed, Gap) or not missed or not due(memory) else missed[1:]


@on_blocks("memory-grows-under-load")
def grows(stream: Stream, given: bytes) -> bytes:
    memory, size = stream.memory, parameter(stream.memory, "bytes")
    left = memory.setdefault("left", [])
    if busy(memory) and (len(left) + 1) * size <= parameter(memory, "mib") << 20:
        left.append(b"x" * size)
    return given


# ---------------------------------------------------------------- connections


@on_app("cuts-under-load")
async def cuts(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    cut = False

    async def out(message: Message) -> None:
        nonlocal cut
        if cut:
            return
        await send(message)
        cut = is_text(message.get("body", b"")) and due(memory)
        if cut and (transport := transport_of(scope)) is not None:
            transport.close()

    await counting(memory, app, scope, receive, out)


@on_app("refuses-under-load")
async def refuses(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if asks_for_stream(scope) and memory.get("open", 0) >= parameter(memory, "over"):
        await JSONResponse({"detail": "too many streams"}, 503)(scope, receive, send)
        return
    await counting(memory, app, scope, receive, send)


@on_app("late-first-event-under-load")
async def late(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        if asks_for_stream(scope) and busy(memory):
            await asyncio.sleep(parameter(memory, "ms") / 1000)
        await app(scope, receive, send)

    await counting(memory, begin, scope, receive, send)


@on_app("stalls-under-load")
async def stalls(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def out(message: Message) -> None:
        if is_text(message.get("body", b"")) and due(memory):
            await asyncio.sleep(parameter(memory, "ms") / 1000)
        await send(message)

    await counting(memory, app, scope, receive, out)


@on_app("slow-reader-delays-others")
async def one_writer(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if not asks_for_stream(scope):
        await app(scope, receive, send)
        return
    lock: asyncio.Lock = memory.setdefault("lock", asyncio.Lock())
    memory["begun"] = memory.get("begun", 0) + 1
    slow = memory["begun"] % parameter(memory, "every") == 0

    async def out(message: Message) -> None:
        if not busy(memory):
            await send(message)
            return
        async with lock:
            if slow and b"data: " in message.get("body", b""):
                await asyncio.sleep(parameter(memory, "ms") / 1000)
            await send(message)

    await counting(memory, app, scope, receive, out)


@on_app("descriptors-leak-under-load")
async def leaks_descriptors(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        finally:
            if asks_for_stream(scope) and due(memory):
                memory.setdefault("left", []).append(os.open(os.devnull, os.O_RDONLY))

    await counting(memory, leaving, scope, receive, send)
