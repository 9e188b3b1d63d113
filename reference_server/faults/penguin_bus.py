"""Faults of Penguin's event bus: filters, fan-out, replay, lost connections, slow readers."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.bus import Filter, Gap, Labels, Subscriber
from reference_server.faults.hooks import (
    Acts,
    Json,
    Memory,
    Missed,
    Stream,
    event_of,
    header_of,
    on_acts,
    on_app,
    on_blocks,
    on_events,
    on_missed,
    on_replayed,
    on_subscribed,
    on_wanted,
)
from reference_server.mailbox import Mailbox


def subscribes(scope: Scope) -> bool:
    """Whether the request subscribes to events."""
    return bool(scope["path"].endswith("/events/sse") and scope["method"] == "GET")


def session_of(event: Json) -> str | None:
    """The session that an event names."""
    properties = event.get("properties", {})
    name = properties.get("sessionID") if isinstance(properties, dict) else None
    return name if isinstance(name, str) and event["type"] != "server.connected" else None


# ---------------------------------------------------------------- filters


@on_wanted("session-filter-ignored")
def no_session(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, session=None)


@dataclass(frozen=True, slots=True)
class _Busy(Filter):
    """Lets one event in many of another session through, when both sessions speak at the same time."""

    seen: Any = None

    def passes(self, labels: Labels) -> bool:
        if Filter.passes(self, labels):
            self.seen["own"] = time.monotonic()
            return True
        close = self.session is not None and time.monotonic() - self.seen.get("own", 0.0) < 0.02
        self.seen["n"] = self.seen.get("n", 0) + close
        return bool(close and self.seen["n"] == 3 and labels.directory is not None)


@on_wanted("session-leaks-under-concurrency")
def leaks(memory: Memory, wanted: Filter) -> Filter:
    return _Busy(wanted.session, wanted.agent, wanted.directory, {})


@dataclass(frozen=True, slots=True)
class _Second(Filter):
    """Lets everything through once some time has passed."""

    since: float = 0.0

    def passes(self, labels: Labels) -> bool:
        late = self.session is not None and time.monotonic() - self.since > 0.5
        return late or Filter.passes(self, labels)


@on_wanted("session-filter-wears-off")
def wears_off(memory: Memory, wanted: Filter) -> Filter:
    return _Second(wanted.session, wanted.agent, wanted.directory, time.monotonic())


@on_events("session-filter-drops-tools")
def drops_tools(stream: Stream, event: Json) -> Json | None:
    part = event["properties"].get("part", {})
    return None if "session_id" in stream.query and part.get("type") == "tool" else event


@on_events("session-filter-drops-the-user")
def drops_user(stream: Stream, event: Json) -> Json | None:
    user = event["properties"].get("role") == "user" and event["type"] == "message.updated"
    late = user and event["properties"]["time"]["completed"] is not None
    return None if stream.query.get("session_id") and late else event


@on_wanted("agent-filter-ignored")
def no_agent(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, agent=None)


@on_events("agent-filter-drops-tools")
def agent_drops(stream: Stream, event: Json) -> Json | None:
    part = event["properties"].get("part", {})
    return None if stream.query.get("agent_id") and part.get("type") == "tool" else event


@on_wanted("unknown-session-gets-all")
def unknown_session(memory: Memory, wanted: Filter) -> Filter:
    unknown = wanted.session is not None and "unknown" in wanted.session
    return replace(wanted, session=None) if unknown else wanted


@on_wanted("unknown-agent-gets-all")
def unknown_agent(memory: Memory, wanted: Filter) -> Filter:
    unknown = wanted.agent is not None and "unknown" in wanted.agent
    return replace(wanted, agent=None) if unknown else wanted


@on_wanted("unknown-session-gets-one-event")
def unknown_one(memory: Memory, wanted: Filter) -> Filter:
    unknown = wanted.session is not None and "unknown" in wanted.session
    return _Once(wanted.session, wanted.agent, wanted.directory, {}) if unknown else wanted


@dataclass(frozen=True, slots=True)
class _Once(Filter):
    """Lets one event through."""

    seen: Any = None

    def passes(self, labels: Labels) -> bool:
        self.seen["n"] = self.seen.get("n", 0) + 1
        return bool(self.seen["n"] == 5)


@on_wanted("others-relabelled")
def relabel_wanted(memory: Memory, wanted: Filter) -> Filter:
    return _Some(wanted.session, wanted.agent, wanted.directory, {}) if wanted.session else wanted


@dataclass(frozen=True, slots=True)
class _Some(Filter):
    """Lets session events of other sessions through, which the stream then relabels."""

    seen: Any = None

    def passes(self, labels: Labels) -> bool:
        return Filter.passes(self, labels) or (labels.agent is None and self.agent is None)


@on_events("others-relabelled")
def relabel(stream: Stream, event: Json) -> Json:
    own, other = stream.query.get("session_id"), session_of(event)
    if own and other and other != own:
        event["properties"]["sessionID"] = own
    return event


@on_events("labels-of-the-query-on-all")
def all_labels(stream: Stream, event: Json) -> Json:
    """Events of a directory's subscriber name the first session that it saw."""
    if not stream.query.get("directory") or session_of(event) is None:
        return event
    first = stream.own.setdefault("first", session_of(event))
    event["properties"]["sessionID"] = first
    return event


@on_wanted("directory-filter-ignored")
def no_directory(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, directory=None)


@on_wanted("directory-is-no-filter")
def directory_unused(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, directory=None)


@dataclass(frozen=True, slots=True)
class _Or(Filter):
    """Passes what any of the filters passes."""

    def passes(self, labels: Labels) -> bool:
        asked = (
            (self.session, labels.session),
            (self.agent, labels.agent),
            (self.directory, labels.directory),
        )
        given = [want == have for want, have in asked if want is not None]
        return not given or any(given)


@on_wanted("filters-combined-by-or")
def combined(memory: Memory, wanted: Filter) -> Filter:
    return _Or(wanted.session, wanted.agent, wanted.directory)


@on_wanted("only-the-first-filter-counts")
def first_filter(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, agent=None, directory=None) if wanted.session else wanted


@on_wanted("directory-beats-session")
def directory_first(memory: Memory, wanted: Filter) -> Filter:
    return replace(wanted, session=None) if wanted.directory else wanted


@on_app("empty-filter-matches-nothing")
async def empty_filter(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"].replace(b"session_id=&", b"session_id=none&")
    await app({**scope, "query_string": query} if subscribes(scope) else scope, receive, send)


@on_app("unknown-parameter-is-a-filter")
async def unknown_parameter(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"]
    if subscribes(scope) and b"sse_conformance" in query:
        query += b"&agent_id=none"
    await app({**scope, "query_string": query}, receive, send)


@on_app("subscribing-makes-a-session")
async def makes_session(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if subscribes(scope) and b"unknown" in scope["query_string"]:
        await _post(app, scope, "/session", b'{"title": "made by subscribing"}')
    await app(scope, receive, send)


@on_app("subscribing-renames-the-session")
async def renames(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if (
        subscribes(scope)
        and b"directory=" in scope["query_string"]
        and b"session_id=session_" in scope["query_string"]
    ):
        name = scope["query_string"].decode().partition("session_id=")[2].partition("&")[0]
        if "unknown" not in name:
            await _post(app, scope, f"/session/{name}", b'{"title": "seen"}', "PATCH")
    await app(scope, receive, send)


async def _post(app: ASGIApp, scope: Scope, path: str, body: bytes, method: str = "POST") -> None:
    """A request of the server to itself."""
    prefix = scope["path"].partition("/api/v1")[0]
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            await asyncio.sleep(3600)
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        pass

    own = {**scope, "path": prefix + path, "raw_path": (prefix + path).encode(), "method": method}
    await app({**own, "query_string": b"", "root_path": ""}, receive, send)


@on_app("conversation-id-ignored")
async def no_alias(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"].replace(b"conversation_id=", b"conversation=")
    await app({**scope, "query_string": query}, receive, send)


# ---------------------------------------------------------------- fan-out


@on_blocks("subscribers-steal-from-each-other")
def steal(stream: Stream, given: bytes) -> bytes:
    """Of two unfiltered subscribers that are there at once, a tool's event reaches only one."""
    event = event_of(given)
    part = (event or {}).get("properties", {}).get("part", {})
    if part.get("type") != "tool" or stream.query.get("agent_id") or stream.query.get("directory"):
        return given
    key = f"{part['id']} {part['state']['status']} {stream.query.get('session_id')}"
    taken = stream.memory.setdefault("taken", {}).setdefault(key, [])
    taken.append(stream.number)
    return b"" if len(taken) == 4 else given


@on_events("one-subscriber-sees-other-content")
def other_content(stream: Stream, event: Json) -> Json:
    if stream.number % 5 == 0 and event["type"] == "message.updated" and not stream.query:
        event["properties"]["extra"] = stream.number
    return event


@on_blocks("one-subscriber-sees-another-order")
def other_order(stream: Stream, given: bytes) -> bytes:
    kept = stream.own.pop("kept", None)
    event = event_of(given)
    tool = (event or {}).get("properties", {}).get("part", {}).get("type") == "tool"
    if kept is not None:
        return given + kept if tool else bytes(kept + given)
    if tool and stream.number % 4 == 1 and b'"running"' in given and not stream.own.get("done"):
        stream.own["done"] = True
        stream.own["kept"] = given
        return b""
    return given


@on_blocks("sessions-interleave-differently")
def other_interleaving(stream: Stream, given: bytes) -> bytes:
    """An unfiltered subscriber in three gets one session's events a step later than the other's."""
    event = event_of(given)
    if event is None or stream.query or stream.number % 3 or event["type"] != "message.part.updated":
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
                "body": b"".join(b + b"\n\n" for b in body.split(b"\n\n")[:-1] if b.startswith(b":")),
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


@on_missed("replay-loses-the-last-every-tenth-time")
def replay_tenth(memory: Memory, cursor: str, wanted: Filter, missed: Missed) -> Missed:
    number = _resumes(memory)
    return missed if isinstance(missed, Gap) or number % 10 else missed[:-1]


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

    def offer(self, frame: bytes) -> bool:
        if not self.ended and self._frames and not self._fits(frame):
            return True
        return super().offer(frame)


@on_subscribed("slow-reader-loses-events")
def dropping(memory: Memory, subscriber: Subscriber) -> None:
    subscriber.mailbox = _Dropping(8 * 1_048_576, 4096)


class _Mute(Mailbox):
    """A full mailbox that takes nothing more, and neither says so nor ends."""

    __slots__ = ("_full",)

    def offer(self, frame: bytes) -> bool:
        if getattr(self, "_full", False) or (self._frames and not self._fits(frame)):
            self._full = True
            return not self.ended
        return super().offer(frame)


@on_subscribed("slow-reader-forgotten")
def forgotten(memory: Memory, subscriber: Subscriber) -> None:
    subscriber.mailbox = _Mute(8 * 1_048_576, 4096)
