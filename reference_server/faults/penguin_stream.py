"""Faults of Penguin's events: handshake, shapes, messages, ids, order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reference_server.faults.hooks import (
    Json,
    Memory,
    Stream,
    event_of,
    on_blocks,
    on_events,
    on_published,
)
from reference_server.session import Event, Session

Publish = Callable[[Event, Memory], "Event | list[Event] | None"]


def on_event(name: str) -> Callable[[Publish], Publish]:
    """A fault of single events of a session: the function gives what is published in an event's place.

    Its memory lives as long as the session's turn; `memory["turn"]` is the turn's number on this server.
    """

    def register(publish: Publish) -> Publish:
        def changed(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
            mine: Memory = memory.setdefault("sessions", {}).setdefault(session.id, {})
            for event in events:
                if is_user_begin(event):
                    memory["turns"] = memory.get("turns", 0) + 1
                    mine.clear()
                    mine["turn"] = memory["turns"]
                made = publish(event, mine)
                if made is not None:
                    yield from [made] if isinstance(made, Event) else made

        on_published(name)(changed)
        return publish

    return register


def is_status(event: Event, kind: str) -> bool:
    """Whether it is that status."""
    return event.type == "session.status" and event.properties["status"]["type"] == kind


def is_user_begin(event: Event) -> bool:
    """Whether it is the user's message, when it begins."""
    return (
        event.type == "message.updated"
        and event.properties["role"] == "user"
        and event.properties["time"]["completed"] is None
    )


def part_of(event: Event) -> Json | None:
    """The part of a part's event."""
    return event.properties["part"] if event.type == "message.part.updated" else None


def tool_of(event: Event) -> Json | None:
    """The part of a tool's event."""
    part = part_of(event)
    return part if part is not None and part["type"] == "tool" else None


def delta_of(event: Event) -> str | None:
    """The increment of an event."""
    delta = event.properties.get("delta") if part_of(event) is not None else None
    return delta if isinstance(delta, str) else None


def assistant(event: Event) -> bool:
    """Whether it is an assistant's message."""
    return event.type == "message.updated" and event.properties["role"] == "assistant"


def changed(event: Event, **members: Any) -> Event:
    """The event with other members in its part, or in its properties."""
    properties = copy.deepcopy(event.properties)
    properties.get("part", properties).update(members)
    return Event(event.type, properties)


def every(memory: Memory, number: int) -> bool:
    """Whether this turn is one of every `number` turns."""
    return bool(memory.get("turn", 0) % number == number - 1)


# ---------------------------------------------------------------- the handshake


@on_blocks("connected-twice")
def connected_twice(stream: Stream, given: bytes) -> bytes:
    return given + given if stream.count == 0 and b"server.connected" in given else given


@on_blocks("connected-again-after-a-heartbeat")
def connected_again(stream: Stream, given: bytes) -> bytes:
    if b"server.connected" in given:
        stream.own["hello"] = given
    again = stream.count == 5 and b"data: " in given and stream.number % 4 == 0
    return given + stream.own["hello"] if again else given


@on_blocks("connected-missing-with-a-cursor")
def connected_missing(stream: Stream, given: bytes) -> bytes:
    resumed = stream.header("last-event-id") is not None
    return b"" if resumed and b"server.connected" in given else given


@on_blocks("connected-after-the-replay")
def connected_late(stream: Stream, given: bytes) -> bytes:
    if stream.header("last-event-id") is not None and b"server.connected" in given:
        stream.own["hello"] = given
        return b""
    hello: bytes = stream.own.pop("hello", b"")
    return given + hello


@on_blocks("status-before-connected")
def before_connected(stream: Stream, given: bytes) -> bytes:
    if stream.count == 0 and "agent_id" in stream.query:
        status = b'{"type": "server.heartbeat", "properties": {}}'
        return b"data: " + status + b"\n\n" + given
    return given


@on_events("event-lost-after-connected")
def lost_after_connected(stream: Stream, event: Json) -> Json | None:
    if stream.count == 1 and event["type"] == "session.updated" and stream.number % 3 == 0:
        return None
    return event


@on_blocks("deaf-stream")
def deaf(stream: Stream, given: bytes) -> bytes:
    """One subscriber in eleven hears nothing but the handshake."""
    return b"" if stream.number % 11 == 5 and stream.count > 0 and b"data: " in given else given


# ---------------------------------------------------------------- shapes


@on_event("part-without-type")
def no_type(event: Event, memory: Memory) -> Event:
    part = part_of(event)
    if part is not None and part["type"] == "reasoning":
        event = changed(event)
        del event.properties["part"]["type"]
    return event


@on_event("delta-a-list")
def delta_list(event: Event, memory: Memory) -> Event | list[Event]:
    if delta_of(event) and not memory.setdefault("done", False):
        memory["done"] = True
        return [event, Event(event.type, {**event.properties, "delta": []})]
    return event


@on_event("properties-a-list-on-deletion")
def properties_list(event: Event, memory: Memory) -> Event:
    return Event(event.type, []) if event.type == "session.deleted" else event  # type: ignore[arg-type]


@on_event("tool-state-a-text")
def state_text(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is not None and tool["state"]["status"] == "error":
        return [event, changed(event, state="error")]
    return event


@on_event("unknown-event-type")
def unknown_event(event: Event, memory: Memory) -> Event | list[Event]:
    if tool_of(event) is not None:
        return [event, Event("tool.progress", {"sessionID": event.properties["sessionID"]})]
    return event


@on_event("unknown-part-type")
def unknown_part(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is not None and tool["state"]["status"] == "running":
        part = {key: tool[key] for key in ("messageID", "sessionID")}
        part |= {"id": tool["id"] + "-mood", "type": "mood"}
        return [event, Event(event.type, {"part": part, "sessionID": tool["sessionID"]})]
    return event


@on_events("json-id-doubled")
def json_id_doubled(stream: Stream, event: Json) -> Json:
    if "id" in event and event.get("order") == 9:
        event["id"] = event["id"][:-8] + "00000008"
    return event


# ---------------------------------------------------------------- messages


@on_event("part-before-its-message")
def part_first(event: Event, memory: Memory) -> Event | list[Event]:
    kept = memory.pop("kept", None)
    if assistant(event) and event.properties["time"]["completed"] is None:
        memory["kept"] = event
        return [] if kept is None else [kept]
    if kept is None:
        return event
    return [event, kept] if part_of(event) is not None else [kept, event]


@on_event("part-of-no-message")
def orphan(event: Event, memory: Memory) -> Event:
    part = part_of(event)
    lost = part is not None and part["type"] == "tool" and every(memory, 2)
    return changed(event, messageID=f"{part['messageID']}-x") if lost and part is not None else event


@on_event("part-of-another-session")
def other_session(event: Event, memory: Memory) -> Event:
    part = part_of(event)
    strange = part is not None and part["type"] == "reasoning"
    return changed(event, sessionID="session_other") if strange else event


@on_event("delta-lost-text-right")
def delta_lost(event: Event, memory: Memory) -> Event | None:
    if delta_of(event) is None:
        return event
    memory["deltas"] = memory.get("deltas", 0) + 1
    return None if memory["deltas"] == 2 and every(memory, 2) else event


@on_event("delta-twice-text-right")
def delta_twice(event: Event, memory: Memory) -> Event | list[Event]:
    if delta_of(event) is None:
        return event
    memory["deltas"] = memory.get("deltas", 0) + 1
    return [event, event] if memory["deltas"] == 3 else event


@on_event("deltas-out-of-order")
def delta_swap(event: Event, memory: Memory) -> Event | list[Event] | None:
    kept = memory.pop("kept", None)
    if kept is not None:
        return [event, kept] if delta_of(event) is not None else [kept, event]
    if delta_of(event) is not None:
        memory["deltas"] = memory.get("deltas", 0) + 1
        if memory["deltas"] == 2:
            memory["kept"] = event
            return None
    return event


@on_event("snapshot-shrinks")
def shrinks(event: Event, memory: Memory) -> Event:
    if delta_of(event) is None:
        return event
    memory["deltas"] = memory.get("deltas", 0) + 1
    return changed(event, text=event.properties["part"]["text"][:1]) if memory["deltas"] == 3 else event


@on_event("delta-off-by-a-space-once")
def delta_space(event: Event, memory: Memory) -> Event:
    delta, part = delta_of(event), event.properties.get("part", {})
    if delta is None or len(part.get("text", "")) < 100 or memory.get("done"):
        return event
    memory["done"] = True
    return Event(event.type, {**event.properties, "delta": delta + " "})


@on_event("completed-missing")
def no_completion(event: Event, memory: Memory) -> Event:
    if assistant(event) and every(memory, 2):
        return Event(
            event.type, {**event.properties, "time": {**event.properties["time"], "completed": None}}
        )
    return event


@on_event("completed-before-created")
def early_completion(event: Event, memory: Memory) -> Event:
    times = event.properties["time"] if assistant(event) else {}
    if times.get("completed"):
        return Event(
            event.type, {**event.properties, "time": {**times, "completed": times["created"] - 1000}}
        )
    return event


@on_event("completed-taken-back")
def completion_back(event: Event, memory: Memory) -> Event | list[Event]:
    times = event.properties["time"] if assistant(event) else {}
    if times.get("completed") and every(memory, 3):
        return [event, Event(event.type, {**event.properties, "time": {**times, "completed": None}})]
    return event


@on_event("message-after-idle")
def after_idle(event: Event, memory: Memory) -> Event | list[Event]:
    if assistant(event):
        memory["last"] = event
    return [event, memory["last"]] if is_status(event, "idle") and "last" in memory else event


@on_event("part-after-its-message")
def part_late(event: Event, memory: Memory) -> Event | list[Event]:
    if delta_of(event) is not None:
        memory["part"] = Event(event.type, {k: v for k, v in event.properties.items() if k != "delta"})
    times = event.properties["time"] if assistant(event) else {}
    return [event, memory["part"]] if times.get("completed") and "part" in memory else event


# ---------------------------------------------------------------- the wire, and revision 2


@on_event("part-carries-ballast")
def ballast(event: Event, memory: Memory) -> Event:
    return changed(event, snapshot="x" * 2_000) if delta_of(event) is not None else event


@on_blocks("sse-id-is-not-the-json-id")
def other_id(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if event is not None and given.startswith(b"id: ") and event.get("order") == 5:
        return given.replace(b"\n", b"-sse\n", 1)
    return given


@on_events("order-stands-still")
def order_still(stream: Stream, event: Json) -> Json:
    if event.get("order") == 7:
        event["order"] = 6
    return event


@on_events("order-goes-back-late")
def order_back(stream: Stream, event: Json) -> Json:
    if event.get("order") == 40:
        event["order"] = 3
    return event


@on_events("time-goes-back")
def time_back(stream: Stream, event: Json) -> Json:
    if event.get("order") == 6:
        event["time"] -= 60_000
    return event


@on_events("time-in-seconds")
def time_seconds(stream: Stream, event: Json) -> Json:
    if event.get("order", 0) > 3:
        event["time"] = event["time"] / 1000
    return event


@on_events("order-leaves-a-number-out")
def order_gap(stream: Stream, event: Json) -> Json:
    if event.get("order", 0) > 8:
        event["order"] += 1
    return event


@on_event("creation-not-told")
def no_created(event: Event, memory: Memory) -> Event | None:
    return None if event.type == "session.created" else event


@on_event("deletion-of-sessions-not-told")
def no_deleted(event: Event, memory: Memory) -> Event | None:
    return None if event.type == "session.deleted" else event
