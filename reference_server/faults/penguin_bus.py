"""Faults of Penguin's event bus: fan-out, replay, lost connections, slow readers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.bus import Filter, Gap, Subscriber
from reference_server.faults.hooks import (
    Acts,
    Json,
    Memory,
    Missed,
    Stream,
    at_end,
    ends_answer,
    event_of,
    header_of,
    is_heartbeat,
    on_acts,
    on_app,
    on_blocks,
    on_events,
    on_missed,
    on_replayed,
    on_subscribed,
    subscribes,
)
from reference_server.faults.penguin_filters import session_of
from reference_server.mailbox import Mailbox

# ---------------------------------------------------------------- fan-out


@on_blocks("subscribers-steal-from-each-other")
def steal(stream: Stream, given: bytes) -> bytes:
    """Of several subscribers with the same filter, the fourth does not get a tool's event."""
    event = event_of(given)
    part = (event or {}).get("properties", {}).get("part", {})
    by_session = stream.query.keys() <= {"session_id"}
    if part.get("type") != "tool" or (stream.filtered and not by_session):
        return given
    key = f"{part['id']} {part['state']['status']} {stream.query.get('session_id')}"
    taken = stream.memory.setdefault("taken", {}).setdefault(key, [])
    taken.append(stream.number)
    return b"" if len(taken) == 4 else given


@on_events("one-subscriber-sees-other-content")
def other_content(stream: Stream, event: Json) -> Json:
    if stream.number % 5 == 0 and event["type"] == "message.updated" and not stream.filtered:
        event["properties"]["extra"] = stream.number
    return event


@on_blocks("one-subscriber-sees-another-order")
def other_order(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if event is None:
        return given
    tool = event.get("properties", {}).get("part", {}).get("type") == "tool"
    kept: bytes | None = stream.own.get("kept")
    if kept is not None:
        if session_of(event) != stream.own["of"]:
            return given
        del stream.own["kept"]
        return given + kept if tool else kept + given
    if tool and stream.number % 4 == 1 and b'"running"' in given and not stream.own.get("done"):
        stream.own |= {"done": True, "kept": given, "of": session_of(event)}
        return b""
    return given


@on_blocks("sessions-interleave-differently")
def other_interleaving(stream: Stream, given: bytes) -> bytes:
    """An unfiltered subscriber in three gets one session's events a step later than the other's."""
    event = event_of(given)
    told = (event or {}).get("type", "").startswith("message.part.")
    if event is None or stream.filtered or stream.number % 3 or not told:
        return bytes(stream.own.pop("kept", b"") + given) if event is not None else given
    kept = stream.own.pop("kept", b"")
    other = session_of(event) != stream.own.get("session")
    stream.own["session"] = session_of(event)
    if kept and other:
        return given + bytes(kept)
    if not kept and stream.count % 4 == 0:
        stream.own["kept"] = given
        return b""
    return bytes(kept + given)


# ---------------------------------------------------------------- lost connections and replay


@on_app("deaf-after-a-reset")
async def deaf_after(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A session whose subscriber was reset says nothing to the next one but the handshake."""
    if not subscribes(scope):
        await app(scope, receive, send)
        return
    session = scope["query_string"]
    gone = memory.setdefault("gone", {})
    deaf = gone.pop(session, False)
    told = spoke = False

    async def out(message: Message) -> None:
        nonlocal told, spoke
        body = message.get("body", b"")
        if deaf and told and message["type"] == "http.response.body":
            message = {
                **message,
                "body": b"".join(b + b"\n\n" for b in body.split(b"\n\n")[:-1] if is_heartbeat(b)),
            }
        told = told or b"server.connected" in body
        spoke = spoke or b"message.part.updated" in body
        await send(message)

    try:
        await app(scope, receive, out)
    finally:
        if spoke and b"session_id" in session and header_of(scope["headers"], "last-event-id") is None:
            gone[session] = True


def _resumes(memory: Memory) -> int:
    memory["resumes"] = int(memory.get("resumes", 0)) + 1
    return int(memory["resumes"])


@on_missed("replay-loses-the-first")
def replay_first(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return missed if isinstance(missed, Gap) else missed[1:]


@on_missed("replay-loses-one-every-tenth-time")
def replay_tenth(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    number = _resumes(memory)
    return missed if isinstance(missed, Gap) or number % 10 else missed[1:]


@on_missed("replay-repeats-the-cursor")
def replay_cursor(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return missed if isinstance(missed, Gap) or not missed else (missed[0], *missed)


@on_missed("replay-reversed")
def replay_reversed(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return missed if isinstance(missed, Gap) else tuple(reversed(missed))


@on_missed("replay-swaps-two")
def replay_swaps(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    if isinstance(missed, Gap) or len(missed) < 6:
        return missed
    return (*missed[:3], missed[4], missed[3], *missed[5:])


@on_missed("replay-off-by-one-at-page-borders")
def replay_pages(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    if isinstance(missed, Gap):
        return missed
    return tuple(event for index, event in enumerate(missed, 1) if index % 16)


@on_missed("replay-of-one-page")
def replay_page(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return missed if isinstance(missed, Gap) else missed[:200]


@on_missed("replay-empty-while-events-arrive")
def replay_live(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return missed if isinstance(missed, Gap) or len(missed) > 3 else missed[1:]


@on_events("replay-changes-content")
def replay_content(stream: Stream, event: Json) -> Json:
    resumed = stream.header("last-event-id") or stream.query.get("last_event_id")
    if resumed and event.get("order") == 6:
        event["properties"]["replayed"] = True
    return event


@on_app("query-cursor-ignored")
async def no_query(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"].replace(b"last_event_id=", b"ignored=")
    await app({**scope, "query_string": query}, receive, send)


@on_app("header-beats-query-cursor")
async def header_wins(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"]
    if header_of(scope["headers"], "last-event-id"):
        query = query.replace(b"last_event_id=", b"ignored=")
    await app({**scope, "query_string": query}, receive, send)


@on_missed("gap-not-told")
def no_gap(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return () if isinstance(missed, Gap) else missed


@on_missed("gap-not-told-for-own-kind")
def no_gap_own(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return () if isinstance(missed, Gap) and cursor.endswith("99999999") else missed


@on_missed("gap-not-told-when-too-old")
def no_gap_old(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    known = cursor.startswith("evt:session:session_2") and not cursor.endswith("99999999")
    return () if isinstance(missed, Gap) and known else missed


@on_blocks("dead-after-the-gap")
def dead_after_gap(stream: Stream, given: bytes) -> bytes:
    if stream.own.get("gap") and b"data: " in given:
        return b""
    stream.own["gap"] = b"server.replay_gap" in given
    return given


@on_replayed("replay-ignores-the-filter")
def replay_all(memory: Memory, wanted: Filter) -> Filter:
    return Filter()


@on_replayed("replay-ignores-the-agent")
def replay_agents(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, agent=None)


@on_blocks("connected-has-an-id")
def connected_id(stream: Stream, given: bytes) -> bytes:
    return b"id: hello-%d\n" % stream.number + given if b"server.connected" in given else given


@on_missed("connected-has-an-id")
def hello_cursor(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return () if cursor.startswith("hello-") else missed


@on_missed("gap-has-an-unknown-id")
def gap_cursor(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    return () if cursor == "gap-1" else missed


@on_blocks("gap-has-an-unknown-id")
def gap_with_id(stream: Stream, given: bytes) -> bytes:
    return b"id: gap-1\n" + given if b"server.replay_gap" in given else given


@on_blocks("old-event-again")
def old_again(stream: Stream, given: bytes) -> bytes:
    """A subscriber that comes back gets the last event of the session before once more."""
    event = event_of(given)
    if event is None:
        return given
    session = stream.query.get("session_id")
    last = stream.memory.setdefault("last", {})
    again = last.get(session, b"") if stream.count == 0 and session else b""
    if session and event["type"] == "message.part.updated":
        last[session] = given
    return given + bytes(again)


# ---------------------------------------------------------------- slow readers

_BOUNDS = (8 * 1_048_576, 4096)  # bytes and events of a mailbox, as the server itself has them by default


@on_subscribed("stalled-subscriber-holds-agents")
def note_mailbox(memory: Memory, subscriber: Subscriber) -> None:
    memory.setdefault("boxes", []).append(subscriber.mailbox)


@on_acts("stalled-subscriber-holds-agents")
async def held_by_stalled(memory: Memory, acts: Acts) -> Acts:
    async with aclosing(acts):
        async for act in acts:
            boxes = memory.get("boxes", [])
            while any(box.queued > 2_000_000 and not box.ended for box in boxes):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # a mailbox tells nobody when it is read
            yield act


@on_app("stalled-reader-holds-all")
async def one_writer(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    lock = memory.setdefault("lock", asyncio.Lock())

    async def out(message: Message) -> None:
        async with lock:
            await send(message)

    await app(scope, receive, out)


class _Dropping(Mailbox):
    """A full mailbox that drops what comes, and goes on."""

    __slots__ = ()

    def offer(self, frames: bytes, count: int = 1) -> bool:
        if not self.ended and self._frames and not self._fits(frames, count):
            return True
        return super().offer(frames, count)


@on_subscribed("slow-reader-loses-events")
def dropping(memory: Memory, subscriber: Subscriber) -> None:
    subscriber.mailbox = _Dropping(*_BOUNDS)


class _EndsAfterError(Mailbox):
    """A mailbox that ends with the turn whose model failed."""

    __slots__ = ("_failed",)

    def offer(self, frames: bytes, count: int = 1) -> bool:
        taken = super().offer(frames, count)
        self._failed = getattr(self, "_failed", False) or b'"error": {' in frames
        if self._failed and _ends_turn(frames):
            self.end()
        return taken


def _ends_turn(frames: bytes) -> bool:
    """Whether these hold the last event of a turn: idle, or in revision 1 the completed answer."""
    if b"id: evt:" in frames:
        return b'{"type": "idle"}' in frames
    return b'"type": "session.idle"' in frames or (b'data: {"type"' in frames and ends_answer(frames))


@on_subscribed("half-block-after-an-error")
def ends_after_error(memory: Memory, subscriber: Subscriber) -> None:
    subscriber.mailbox = _EndsAfterError(*_BOUNDS)


@at_end("half-block-after-an-error")
def half_block_after_error(stream: Stream) -> bytes:
    return b'data: {"type": "message.upd'


class _Mute(Mailbox):
    """A full mailbox that takes nothing more, and neither says so nor ends."""

    __slots__ = ("_full",)

    def offer(self, frames: bytes, count: int = 1) -> bool:
        if getattr(self, "_full", False) or (self._frames and not self._fits(frames, count)):
            self._full = True
            return not self.ended
        return super().offer(frames, count)


@on_subscribed("slow-reader-forgotten")
def forgotten(memory: Memory, subscriber: Subscriber) -> None:
    subscriber.mailbox = _Mute(*_BOUNDS)
