"""Variants of what agents do and of events: unusual and legal. A run against any of them must stay green."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing

from reference_server.agent import AgentEvent, CallEnded, Reasoned, Said, ToolEnded
from reference_server.faults.events import assistant, changed, delta_of, is_status, tool_of
from reference_server.faults.hooks import (
    Acts,
    Json,
    Memory,
    Stream,
    block,
    event_of,
    on_acts,
    on_blocks,
    on_events,
    on_published,
)
from reference_server.session import Event, Session

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


@on_blocks("session-below-a-session")
def below(stream: Stream, given: bytes) -> bytes:
    """A tool's work shows as a turn of a session below, in the middle of the turn, to whoever asked for all."""
    event = event_of(given)
    part = (event or {}).get("properties", {}).get("part", {})
    if event is None or stream.query or part.get("type") != "tool" or part["state"]["status"] != "running":
        return given
    child = f"session_of_{part['id']}"
    times = {"created": event["time"], "completed": event["time"]}
    path = {"cwd": "/workspace", "root": "/workspace"}
    tokens = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    message: Json = {"id": f"msg_{child}", "sessionID": child, "role": "assistant", "agent": "sub"}
    message |= {"parentID": "", "modelID": "m", "providerID": "p", "mode": "build", "cost": 0.0}
    message |= {"path": path, "tokens": tokens, "time": times}
    text = {
        "id": f"part_{child}",
        "messageID": message["id"],
        "sessionID": child,
        "type": "text",
        "text": "sub",
    }
    events = (
        ("session.status", {"sessionID": child, "status": {"type": "busy"}}),
        ("message.updated", {**message, "time": {**times, "completed": None}}),
        ("message.part.updated", {"part": text, "delta": "sub", "sessionID": child}),
        ("message.updated", message),
        ("session.status", {"sessionID": child, "status": {"type": "idle"}}),
    )
    out = given
    for order, (kind, properties) in enumerate(events, 1):
        name = f"evt:session:{child}:{order:08d}"
        body = {"id": name, "order": order, "time": event["time"], "type": kind, "properties": properties}
        out += b"id: " + name.encode() + b"\n" + block(body, ascii_only=True)
    return out
