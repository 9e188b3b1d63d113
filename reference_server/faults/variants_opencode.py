"""Variants of OpenCode's events that the original itself shows, or could: a run against any must stay green."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import aclosing

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_server.agent import Retrying, Said
from reference_server.bus import Subscriber
from reference_server.faults.events import (
    assistant,
    begins_turn,
    changed,
    completed,
    delta_of,
    ended,
    is_idle,
    message_of,
    on_event,
    part_of,
    retimed,
    state_of,
    tool_of,
)
from reference_server.faults.hooks import (
    Acts,
    Json,
    Memory,
    Stream,
    block,
    is_stream_path,
    on_acts,
    on_app,
    on_events,
    on_published,
    on_subscribed,
)
from reference_server.faults.variants_of_turns import on_each_event
from reference_server.mailbox import Mailbox
from reference_server.session import Event, Session, now

# ---------------------------------------------------------------- the end of a turn


@on_event("errors-as-the-original-tells-them")
def original_errors(event: Event, memory: Memory) -> Event | list[Event] | None:
    """The error, idle, then the message's last word, then idle again."""
    info = message_of(event) or {}
    if "error" in info:
        memory["last"] = event
        return None
    if event.type != "session.error":
        return event
    session = event.properties["sessionID"]
    idle = [
        Event("session.status", {"sessionID": session, "status": {"type": "idle"}}),
        Event("session.idle", {"sessionID": session}),
    ]
    return [event, *idle, *filter(None, [memory.pop("last", None)])]


@on_event("nothing-after-idle")
def idle_last(event: Event, memory: Memory) -> Event | list[Event] | None:
    """What is told of the session at a turn's end comes before its idle."""
    if is_idle(event):
        memory.setdefault("idle", []).append(event)
        return None
    return [event, *memory.pop("idle")] if event.type == "session.diff" and "idle" in memory else event


def _idle_from_the_start(event: Event) -> Iterable[Event]:
    """A session is idle when it is made, as after an abort of nothing."""
    if event.type != "session.created":
        return [event]
    session = event.properties["sessionID"]
    status = {"sessionID": session, "status": {"type": "idle"}}
    return [event, Event("session.status", status), Event("session.idle", {"sessionID": session})]


on_each_event("idle-without-busy", _idle_from_the_start)


# ---------------------------------------------------------------- messages and parts


@on_event("message-first-told-when-complete")
def told_late(event: Event, memory: Memory) -> Event:
    """Under load a message's first event may already say that it is complete: every second one does."""
    if not assistant(event) or completed(event) is not None:
        return event
    memory["begun"] = memory.get("begun", 0) + 1
    return event if memory["begun"] % 2 else retimed(event, now())


def _snapshots(event: Event) -> Iterable[Event]:
    """A tool that runs is told again, with what it has put out so far."""
    tool = tool_of(event)
    if tool is None or state_of(event) != "running":
        return [event]
    outputs = ("", "some", "some more")
    return [event, *(changed(event, state={**tool["state"], "metadata": {"output": o}}) for o in outputs)]


on_each_event("tools-told-while-they-run", _snapshots)
on_each_event("tools-start-at-running", lambda e: [] if state_of(e) == "pending" else [e])


@on_event("texts-told-between-deltas")
def snapshots(event: Event, memory: Memory) -> Event | list[Event]:
    """After each increment of a short text the part is told whole as well."""
    part, delta = part_of(event), delta_of(event)
    if part is not None and part["type"] in ("text", "reasoning"):
        memory["part"], memory["text"] = event, part["text"]
    if delta is None:
        return event
    memory["text"] = memory.get("text", "") + delta
    short = "part" in memory and len(memory["text"]) < 500
    return [event, changed(memory["part"], text=memory["text"])] if short else event


@on_event("tools-outlive-their-message")
def outliving(event: Event, memory: Memory) -> Event | list[Event] | None:
    """A tool comes to its end after its message does."""
    if ended(event):
        memory.setdefault("tools", []).append(event)
        return None
    ends = assistant(event) and completed(event) is not None
    return [event, *memory.pop("tools", [])] if ends else event


@on_acts("failed-attempt-leaves-a-part-open")
async def open_part(memory: Memory, acts: Acts) -> Acts:
    """What a model said before its call failed stays open for ever; the next attempt speaks in a part of its own."""
    async with aclosing(acts):
        async for act in acts:
            if isinstance(act, Retrying):
                yield Said("What I was going to ")
            yield act


@on_event("other-kinds-of-parts")
def other_parts(event: Event, memory: Memory) -> Event | list[Event]:
    """A patch before the end of each step, and a todo list."""
    part = part_of(event)
    if part is None or part["type"] != "step-finish":
        return event
    owner = {name: part[name] for name in ("messageID", "sessionID")}
    patch = {"id": f"{part['id']}p", **owner, "type": "patch", "hash": "a1b2c3", "files": []}
    todo = {"content": "look", "status": "pending", "priority": "high"}
    told = Event("todo.updated", {"sessionID": part["sessionID"], "todos": [todo]})
    return [Event(event.type, {**event.properties, "part": patch}), told, event]


@on_event("permission-asked-before-tools")
def permission(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is None or state_of(event) != "running":
        return event
    request, session = f"per_{tool['id']}", tool["sessionID"]
    asked: Json = {"id": request, "sessionID": session, "permission": tool["tool"], "patterns": ["*"]}
    asked |= {
        "metadata": {},
        "always": [],
        "tool": {"messageID": tool["messageID"], "callID": tool["callID"]},
    }
    replied = {"sessionID": session, "requestID": request, "reply": "once"}
    return [Event("permission.asked", asked), event, Event("permission.replied", replied)]


# ---------------------------------------------------------------- other events


@on_published("cold-start")
def plugins(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
    """The first prompt of a directory is followed by dozens of events of the server's own."""
    warm: set[str] = memory.setdefault("warm", set())
    for event in events:
        yield event
        if begins_turn(event) and session.directory not in warm:
            warm.add(session.directory)
            for number in range(40):
                yield Event("plugin.added", {"id": f"plugin-{number}"})
            yield Event("catalog.updated", {})
            yield Event("reference.updated", {})
            yield Event("integration.updated", {})


@on_acts("cold-start")
async def slow_first(memory: Memory, acts: Acts) -> Acts:
    """The first prompt takes a second and a half longer."""
    if not memory.setdefault("begun", False):
        memory["begun"] = True
        await asyncio.sleep(1.5)
    async with aclosing(acts):
        async for act in acts:
            yield act


@on_events("event-types-from-elsewhere")
def other_types(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] != "session.status":
        return event
    name = f"{event['id']}n"
    session = event["properties"]["sessionID"]
    return [
        event,
        {"id": name, "type": "session.weather", "properties": {"sessionID": session, "sky": "blue"}},
    ]


@on_events("ids-of-another-form")
def other_ids(stream: Stream, event: Json) -> Json:
    event["id"] = event["id"][::-1].lower().replace("_", "-") + event["id"][-14:]
    return event


class _Overtaking(Mailbox):
    """Puts a heartbeat before what is queued, again and again, under an id later than those it overtakes."""

    __slots__ = ("_offered",)

    def offer(self, frames: bytes, count: int = 1) -> bool:
        self._offered = getattr(self, "_offered", 0) + 1
        if self.count and self._offered % 50 == 0:
            name = f"evt_ffffffffffff{self._offered:014d}"
            self.owe(block({"id": name, "type": "server.heartbeat", "properties": {}}))
        return super().offer(frames, count)


@on_subscribed("heartbeats-overtake")
def overtaking(memory: Memory, subscriber: Subscriber) -> None:
    subscriber.mailbox = _Overtaking(8 * 1_048_576, 4096)


@on_app("a-page-for-any-other-request")
async def any_page(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Other methods of the stream's address are answered with a page."""
    if is_stream_path(scope) and scope["method"] not in ("GET", "OPTIONS"):
        await HTMLResponse("<!doctype html><title>OpenCode</title>")(scope, receive, send)
        return
    await app(scope, receive, send)


# ---------------------------------------------------------------- sessions below


@on_published("agent-below-an-agent")
def below(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
    """A tool's work is a whole turn of a session below, with an idle of its own, in the middle of the turn."""
    for event in events:
        yield event
        tool = tool_of(event)
        if tool is not None and state_of(event) == "running":
            yield from _turn_below(session, tool)


def _turn_below(parent: Session, tool: Json) -> Iterator[Event]:
    child, at = f"ses_of_{tool['id']}", now()
    tokens = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    info = {
        "id": child,
        "slug": "below",
        "version": "1",
        "projectID": "reference",
        "directory": parent.directory,
        "path": "",
        "parentID": parent.id,
        "title": "below",
        "cost": 0,
        "tokens": tokens,
        "time": {"created": at, "updated": at},
    }
    user = {
        "id": f"msg_user_{tool['id']}",
        "sessionID": child,
        "role": "user",
        "time": {"created": at},
        "agent": "general",
        "model": {"providerID": "reference", "modelID": "scripted"},
    }
    answer = {
        "id": f"msg_{tool['id']}",
        "sessionID": child,
        "role": "assistant",
        "time": {"created": at},
        "parentID": user["id"],
        "modelID": "scripted",
        "providerID": "reference",
        "mode": "general",
        "agent": "general",
        "path": {"cwd": parent.directory, "root": parent.directory},
        "cost": 0,
        "tokens": tokens,
    }
    text = {"id": f"prt_{child}", "messageID": answer["id"], "sessionID": child, "type": "text"}
    asked = {"id": f"prt_user_{child}", "messageID": user["id"], "sessionID": child, "type": "text"}
    told = {"sessionID": child, "messageID": answer["id"], "partID": text["id"], "field": "text"}

    def part(part: Json) -> Event:
        return Event("message.part.updated", {"sessionID": child, "part": part, "time": at})

    def status(kind: str) -> Event:
        return Event("session.status", {"sessionID": child, "status": {"type": kind}})

    yield Event("session.created", {"sessionID": child, "info": info})
    yield Event("message.updated", {"sessionID": child, "info": user})
    yield part({**asked, "text": "look there"})
    yield status("busy")
    yield Event("message.updated", {"sessionID": child, "info": answer})
    yield part({**text, "text": "", "time": {"start": at}})
    yield Event("message.part.delta", {**told, "delta": "sub"})
    yield part({**text, "text": "sub", "time": {"start": at, "end": at}})
    done = {**answer, "time": {"created": at, "completed": at}, "finish": "stop"}
    yield Event("message.updated", {"sessionID": child, "info": done})
    yield status("idle")
    yield Event("session.idle", {"sessionID": child})
    yield Event("session.updated", {"sessionID": child, "info": info})
