"""Faults of OpenCode's event streams: handshake, directories, fan-out, lost connections."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.bus import Filter, Labels
from reference_server.faults.hooks import (
    Json,
    Memory,
    Stream,
    again,
    block,
    event_of,
    is_heartbeat,
    on_app,
    on_blocks,
    on_events,
    on_wanted,
    subscribes,
)

# ---------------------------------------------------------------- the handshake


@on_blocks("connected-missing-in-every-fifth-stream")
def no_connected(stream: Stream, given: bytes) -> bytes:
    return b"" if stream.number % 5 == 0 and b"server.connected" in given else given


@on_blocks("heartbeat-before-connected")
def beat_first(stream: Stream, given: bytes) -> bytes:
    if stream.number % 3 or b"server.connected" not in given:
        return given
    event = {"id": f"evt_{stream.number}", "type": "server.heartbeat", "properties": {}}
    return block(event) + given


@on_app("head-after-four-seconds")
async def late_head(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if subscribes(scope):
        await asyncio.sleep(4.5)
    await app(scope, receive, send)


# ---------------------------------------------------------------- directories


@dataclass(frozen=True, slots=True)
class _Leaky(Filter):
    """A filter with a memory."""

    seen: Any = None

    def fits(self, labels: Labels) -> bool:
        """Whether the filter passes it rightly."""
        return Filter.passes(self, labels)


def _remembering(made: type[_Leaky], wanted: Filter) -> Filter:
    return made(wanted.session, wanted.agent, wanted.directory, {})


@dataclass(frozen=True, slots=True)
class _AtOnce(_Leaky):
    def passes(self, labels: Labels) -> bool:
        """Lets the third foreign event in a row of close ones through."""
        if self.fits(labels):
            self.seen["own"] = time.monotonic()
            return True
        close = time.monotonic() - self.seen.get("own", 0.0) < 0.02
        self.seen["n"] = self.seen.get("n", 0) + close
        return bool(close and self.seen["n"] == 3)


@on_wanted("directory-leaks-under-concurrency")
def leaks_at_once(memory: Memory, wanted: Filter) -> Filter:
    return _remembering(_AtOnce, wanted)


@dataclass(frozen=True, slots=True)
class _Worn(_Leaky):
    def passes(self, labels: Labels) -> bool:
        """Lets everything through once it has let many events through."""
        fits = self.fits(labels)
        self.seen["n"] = self.seen.get("n", 0) + fits
        return bool(fits or self.seen["n"] > 20)


@on_wanted("directory-filter-wears-off")
def wears_off(memory: Memory, wanted: Filter) -> Filter:
    return _remembering(_Worn, wanted)


@dataclass(frozen=True, slots=True)
class _OneEvent(_Leaky):
    def passes(self, labels: Labels) -> bool:
        """Lets one foreign event through in all its time."""
        if self.fits(labels):
            return True
        self.seen["n"] = self.seen.get("n", 0) + 1
        return bool(self.seen["n"] == 7)


@on_wanted("directory-leaks-one-event")
def leaks_one(memory: Memory, wanted: Filter) -> Filter:
    return _remembering(_OneEvent, wanted)


@dataclass(frozen=True, slots=True)
class _Beginning(Filter):
    def passes(self, labels: Labels) -> bool:
        """Passes every directory whose name begins so."""
        return (labels.directory or "").startswith(self.directory or "")


@on_wanted("directory-matched-by-its-beginning")
def by_beginning(memory: Memory, wanted: Filter) -> Filter:
    return _Beginning(wanted.session, wanted.agent, wanted.directory)


@dataclass(frozen=True, slots=True)
class _Sessions(_Leaky):
    def passes(self, labels: Labels) -> bool:
        """Passes what is told of sessions outside their turns, wherever they are."""
        return self.fits(labels) or labels.agent is None


@on_wanted("sessions-told-to-every-directory")
def sessions_everywhere(memory: Memory, wanted: Filter) -> Filter:
    return _remembering(_Sessions, wanted)


# ---------------------------------------------------------------- several subscribers


@on_events("same-id-other-payload")
def other_payload(stream: Stream, event: Json) -> Json:
    """To one subscriber in three the beginning of a message is told late, when it is over, under the same id."""
    info = event["properties"].get("info", {})
    if stream.number % 3 == 0 and info.get("role") == "assistant" and "completed" not in info["time"]:
        info["time"]["completed"] = info["time"]["created"]
    return event


# ---------------------------------------------------------------- lost connections


BACK = 1.0  # seconds within which a client that was lost comes back


@on_app("deaf-after-a-loss-in-mid-turn")
async def deaf_after(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Who was lost while an agent spoke, and is back at once, hears nothing but the handshake and heartbeats."""
    if not subscribes(scope):
        await app(scope, receive, send)
        return
    clock = asyncio.get_running_loop().time
    lost: dict[bytes, float] = memory.setdefault("lost", {})
    place = scope["query_string"]
    deaf: bool | None = (
        None  # known once there is something to hear: the loss may be noticed after the return
    )
    speaking = False

    async def out(message: Message) -> None:
        nonlocal deaf, speaking
        kept = b""
        for each in (text + b"\n\n" for text in message.get("body", b"").split(b"\n\n")[:-1]):
            quiet = is_heartbeat(each) or b"server.connected" in each
            if not quiet and deaf is None:
                deaf = clock() - lost.pop(place, 0.0) < BACK
            speaking = (speaking or b'"type": "message.' in each) and b'"session.idle"' not in each
            kept += each if quiet or not deaf else b""
        await send({**message, "body": kept} if deaf and "body" in message else message)

    try:
        await app(scope, receive, out)
    finally:
        if speaking and not deaf:
            lost[place] = clock()


@on_blocks("old-event-to-new-subscribers")
def old_again(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if event is None:
        return given
    last: dict[str, bytes] = stream.memory.setdefault("last", {})
    directory = stream.query.get("directory", "")
    if event["type"] == "message.part.updated":
        last[directory] = given
    return given + last.get(directory, b"") if event["type"] == "server.connected" else given


@on_blocks("connected-again-with-the-first-message")
def hello_twice(stream: Stream, given: bytes) -> bytes:
    """Every tenth stream is greeted a second time when its first message begins."""
    due = stream.number % 10 == 0 and b'"message.updated"' in given and not stream.own.get("done")
    if b"server.connected" in given:
        stream.own["hello"] = given
    if due and "hello" in stream.own:
        stream.own["done"] = True
        return again(stream.own["hello"]) + given
    return given
