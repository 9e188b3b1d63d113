"""Faults of the filters of Penguin's event bus."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.bus import Filter, Labels
from reference_server.faults.hooks import (
    Json,
    Memory,
    Stream,
    on_answer,
    on_app,
    on_events,
    on_wanted,
    subscribes,
)


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
class _Worn(Filter):
    """Lets everything through once it has let many events through."""

    seen: Any = None

    def passes(self, labels: Labels) -> bool:
        passes = Filter.passes(self, labels)
        self.seen["n"] = self.seen.get("n", 0) + passes
        return passes or (self.session is not None and self.seen["n"] > 20)


@on_wanted("session-filter-wears-off")
def wears_off(memory: Memory, wanted: Filter) -> Filter:
    return _Worn(wanted.session, wanted.agent, wanted.directory, {})


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
    unknown = wanted.agent is not None and "nobody" in wanted.agent
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


@on_events("agent-written-in-capitals")
def capitals(stream: Stream, event: Json) -> Json:
    if stream.query.get("agent_id") and "agent" in event["properties"]:
        event["properties"]["agent"] = event["properties"]["agent"].upper()
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
    query = scope["query_string"].decode("latin-1")
    if subscribes(scope) and "unknown" in query:
        memory["made"] = query.partition("session_id=")[2].partition("&")[0]
    await app(scope, receive, send)


@on_answer("subscribing-makes-a-session")
def shows_session(scope: Scope, memory: Memory, status: int, body: bytes) -> tuple[int, bytes]:
    listed = scope["method"] == "GET" and scope["path"].endswith("/session")
    if not listed or "made" not in memory or status != 200:
        return status, body
    return status, json.dumps([*json.loads(body), {"id": memory["made"], "title": ""}]).encode()


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
