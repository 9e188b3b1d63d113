"""Faults of what OpenCode tells of a turn, in its own shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reference_server.faults.events import (
    assistant,
    begins_turn,
    changed,
    completed,
    delta_of,
    ended,
    ends_text,
    is_idle,
    on_event,
    part_of,
    state_of,
    with_delta,
)
from reference_server.faults.hooks import Json, Memory, Stream, on_events, on_published
from reference_server.session import Event, Session

# ---------------------------------------------------------------- ids and shapes


@on_events("heartbeat-without-id")
def no_id(stream: Stream, event: Json) -> Json:
    if event["type"] == "server.heartbeat":
        del event["id"]
    return event


@on_events("ids-by-the-millisecond")
def coarse_ids(stream: Stream, event: Json) -> Json:
    """An id is the time alone, so what is told within a millisecond shares one."""
    event["id"] = event["id"][: len("evt_") + 9]
    return event


@on_events("idle-shares-an-id")
def shared_id(stream: Stream, event: Json) -> Json:
    if event["type"] == "session.idle":
        event["id"] = stream.own.get("id", event["id"])
    stream.own["id"] = event["id"]
    return event


@on_event("message-told-flat")
def flat(event: Event, memory: Memory) -> Event:
    if completed(event) is None:
        return event
    return Event(event.type, {**event.properties["info"], "sessionID": event.properties["sessionID"]})


@on_event("part-time-a-text-once")
def time_text(event: Event, memory: Memory) -> Event:
    if state_of(event) != "running" or memory.get("done"):
        return event
    memory["done"] = True
    return Event(event.type, {**event.properties, "time": str(event.properties["time"])})


# ---------------------------------------------------------------- texts


@on_event("delta-before-its-part")
def delta_first(event: Event, memory: Memory) -> Event | list[Event] | None:
    part = part_of(event)
    if part is not None and part["type"] == "reasoning" and not ends_text(event):
        memory["kept"] = event
        return None
    kept = memory.pop("kept", None)
    return event if kept is None else [event, kept]


@on_event("delta-of-no-part")
def strange_delta(event: Event, memory: Memory) -> Event | list[Event]:
    """Once in a turn an increment comes for a part that nobody knows."""
    if delta_of(event) is None or memory.get("done"):
        return event
    memory["done"] = True
    return [changed(event, partID=f"{event.properties['partID']}0", delta="Whose is this?"), event]


@on_event("delta-after-the-end-of-its-part")
def late_delta(event: Event, memory: Memory) -> Event | list[Event]:
    if delta_of(event):
        memory["delta"] = event
    part = part_of(event)
    thought = part is not None and part["type"] == "reasoning" and ends_text(event)
    return [event, with_delta(memory["delta"], " and more")] if thought and "delta" in memory else event


@on_event("final-text-cut")
def cut_text(event: Event, memory: Memory) -> Event:
    part = part_of(event)
    cut = part is not None and part["type"] == "text" and ends_text(event)
    return changed(event, text=part["text"][:-1]) if cut and part is not None else event


@on_event("final-text-of-the-last-delta")
def last_delta(event: Event, memory: Memory) -> Event:
    """Once a text was long, its last word alone is told as its text."""
    memory["said"] = (delta_of(event) or "") or memory.get("said", "")
    memory["deltas"] = memory.get("deltas", 0) + (delta_of(event) is not None)
    part = part_of(event)
    long = part is not None and ends_text(event) and memory["deltas"] > 4
    if ends_text(event):
        memory["deltas"] = 0
    return changed(event, text=memory["said"]) if long else event


@on_event("said-lost-in-the-second-session")
def second_session(event: Event, memory: Memory) -> Event | None:
    """In every second session the third increment of a turn is lost, and missing in the final text as well."""
    if memory["session"] % 2:
        return event
    delta, part = delta_of(event), part_of(event)
    if delta is not None:
        memory["deltas"] = memory.get("deltas", 0) + 1
        if memory["deltas"] == 3:
            memory["lost"] = (event.properties["partID"], delta)
            return None
    if part is not None and ends_text(event) and memory.get("lost", ("", ""))[0] == part["id"]:
        return changed(event, text=part["text"].replace(memory["lost"][1], "", 1))
    return event


# ---------------------------------------------------------------- messages and tools


@on_event("part-ends-after-its-message")
def late_end(event: Event, memory: Memory) -> Event | list[Event] | None:
    part = part_of(event)
    if part is not None and part["type"] == "text" and ends_text(event):
        memory["kept"] = event
        return None
    ends = assistant(event) and completed(event) is not None
    return [event, memory.pop("kept")] if ends and "kept" in memory else event


@on_event("tool-pending-again")
def pending_again(event: Event, memory: Memory) -> Event | list[Event]:
    if state_of(event) == "pending":
        memory["pending"] = event
    return [event, memory["pending"], event] if state_of(event) == "running" else event


@on_event("tool-input-lost-at-its-end")
def input_lost(event: Event, memory: Memory) -> Event:
    part = part_of(event)
    if part is None or not ended(event):
        return event
    return changed(event, state={**part["state"], "input": {}})


@on_published("idle-missing-in-the-second-turn-of-a-session")
def second_turn(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
    turns: dict[str, int] = memory.setdefault("turns", {})
    for event in events:
        turns[session.id] = turns.get(session.id, 0) + begins_turn(event)
        if not (is_idle(event) and turns[session.id] == 2):
            yield event


@on_published("delta-under-another-session")
def strange_session(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
    """Where two sessions speak at once, one increment of a turn is labelled with the other's id."""
    speaking: dict[str, bool] = memory.setdefault("speaking", {})  # and whether it was mislabelled
    for event in events:
        if event.type == "session.idle":
            speaking.pop(session.id, None)
        elif delta_of(event) is not None:
            mislabelled = speaking.setdefault(session.id, False)
            others = [other for other in speaking if other != session.id]
            if others and not mislabelled:
                speaking[session.id] = True
                event = changed(event, sessionID=others[0])
        yield event
