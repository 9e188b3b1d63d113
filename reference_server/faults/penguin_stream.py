"""Faults of events on a bus: handshake, shapes, messages, ids, order. OpenCode's events have the same names."""

from __future__ import annotations

from reference_server.faults.events import (
    assistant,
    changed,
    completed,
    delta_of,
    every,
    is_status,
    message_of,
    on_event,
    part_of,
    retimed,
    state_of,
    tool_of,
    with_delta,
)
from reference_server.faults.hooks import (
    Json,
    Memory,
    Stream,
    again,
    event_of,
    is_heartbeat,
    on_blocks,
    on_events,
)
from reference_server.session import Event

# ---------------------------------------------------------------- the handshake


@on_blocks("connected-twice")
def connected_twice(stream: Stream, given: bytes) -> bytes:
    return given + again(given) if stream.count == 0 and b"server.connected" in given else given


@on_blocks("connected-again-after-a-heartbeat")
def connected_again(stream: Stream, given: bytes) -> bytes:
    if b"server.connected" in given:
        stream.own["hello"] = given
    due = stream.count == 5 and b"data: " in given and stream.number % 4 == 0
    return given + again(stream.own["hello"]) if due else given


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
    deaf = stream.number % 11 == 5 and stream.count > 0
    return b"" if deaf and not is_heartbeat(given) else given


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
        return [event, with_delta(event, [])]
    return event


@on_event("properties-a-list-on-deletion")
def properties_list(event: Event, memory: Memory) -> Event:
    return Event(event.type, []) if event.type == "session.deleted" else event  # type: ignore[arg-type]


@on_event("tool-state-a-text")
def state_text(event: Event, memory: Memory) -> Event | list[Event]:
    return [event, changed(event, state="error")] if state_of(event) == "error" else event


@on_event("unknown-event-type")
def unknown_event(event: Event, memory: Memory) -> Event | list[Event]:
    if tool_of(event) is not None:
        return [event, Event("tool.progress", {"sessionID": event.properties["sessionID"]})]
    return event


@on_event("unknown-part-type")
def unknown_part(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is None or state_of(event) != "running":
        return event
    part = {"id": f"{tool['id']}-mood", "messageID": tool["messageID"], "sessionID": tool["sessionID"]}
    return [event, Event(event.type, {**event.properties, "part": {**part, "type": "mood"}})]


@on_events("json-id-doubled")
def json_id_doubled(stream: Stream, event: Json) -> Json:
    if "id" in event and event.get("order") == 9:
        event["id"] = event["id"][:-8] + "00000008"
    return event


@on_events("events-named-after-their-parts")
def ids_of_parts(stream: Stream, event: Json) -> Json:
    told = event["properties"].get("part") or event["properties"].get("info") or {}
    return {"id": told["id"], **event} if "id" in told else event


# ---------------------------------------------------------------- messages


@on_event("part-before-its-message")
def part_first(event: Event, memory: Memory) -> Event | list[Event]:
    kept = memory.pop("kept", None)
    if assistant(event) and completed(event) is None:
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
    delta = delta_of(event)
    if delta is None:
        return event
    before = memory["said"] = memory.get("said", 0) + len(delta)
    if before < 100 or memory.get("done"):
        return event
    memory["done"] = True
    return with_delta(event, delta + " ")


@on_event("completed-missing")
def no_completion(event: Event, memory: Memory) -> Event:
    return retimed(event, None) if assistant(event) and every(memory, 2) else event


@on_event("completed-before-created")
def early_completion(event: Event, memory: Memory) -> Event:
    message = message_of(event)
    if message is None or not assistant(event) or completed(event) is None:
        return event
    return retimed(event, message["time"]["created"] - 1000)


@on_event("completed-taken-back")
def completion_back(event: Event, memory: Memory) -> Event | list[Event]:
    if assistant(event) and completed(event) is not None and every(memory, 3):
        return [event, retimed(event, None)]
    return event


@on_event("message-after-idle")
def after_idle(event: Event, memory: Memory) -> Event | list[Event]:
    if assistant(event):
        memory["last"] = event
    return [event, memory["last"]] if is_status(event, "idle") and "last" in memory else event


@on_event("part-after-its-message")
def part_late(event: Event, memory: Memory) -> Event | list[Event]:
    if part_of(event) is not None and delta_of(event) is not None:
        memory["part"] = Event(event.type, {k: v for k, v in event.properties.items() if k != "delta"})
    ends = assistant(event) and completed(event) is not None
    return [event, memory["part"]] if ends and "part" in memory else event


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
