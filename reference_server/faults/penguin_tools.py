"""Faults of tools, errors and status on a bus."""

from __future__ import annotations

from reference_server.faults.events import (
    as_completed,
    changed,
    delta_of,
    ended,
    every,
    is_idle,
    is_status,
    message_of,
    on_event,
    state_of,
    tool_of,
)
from reference_server.faults.hooks import Json, Memory
from reference_server.session import Event

# ---------------------------------------------------------------- tools


@on_event("tool-running-after-its-end")
def runs_again(event: Event, memory: Memory) -> Event | list[Event]:
    if state_of(event) == "running":
        memory["running"] = event
    return [event, memory["running"], event] if ended(event) else event


@on_event("tool-error-becomes-completed")
def error_completed(event: Event, memory: Memory) -> Event | list[Event]:
    failed = state_of(event) == "error" and every(memory, 2)
    return [event, as_completed(event, "")] if failed else event


@on_event("second-tool-never-ends")
def never_ends(event: Event, memory: Memory) -> Event | None:
    tool = tool_of(event)
    if tool is None:
        return event
    if state_of(event) == "running":
        memory["tools"] = memory.get("tools", 0) + 1
        if memory["tools"] == 2:
            memory["lost"] = tool["id"]
    return None if ended(event) and tool["id"] == memory.get("lost") else event


@on_event("call-id-changes")
def call_id(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    return changed(event, callID=f"{tool['callID']}-end") if tool is not None and ended(event) else event


def _why(event: Event) -> str:
    """Why the event's tool failed, "" if it did not."""
    reason: str = (tool_of(event) or {}).get("state", {}).get("error", "")
    return reason


@on_event("failed-tool-completed")
def failed_completed(event: Event, memory: Memory) -> Event:
    why = _why(event)
    odd = "unknown tool" in why or "must be a string" in why
    return event if not why or odd else as_completed(event, why)


@on_event("tool-name-changes")
def tool_name(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    failed = tool is not None and state_of(event) == "error"
    return changed(event, tool=f"{tool['tool']}!") if tool is not None and failed else event


@on_event("unknown-tool-completed")
def unknown_completed(event: Event, memory: Memory) -> Event:
    return as_completed(event, "unknown tool") if "unknown tool" in _why(event) else event


@on_event("bad-arguments-completed")
def bad_completed(event: Event, memory: Memory) -> Event:
    return as_completed(event, "") if "must be a string" in _why(event) else event


@on_event("tool-shown-twice")
def shown_twice(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is not None and every(memory, 2):
        again = changed(event, id=f"{tool['id']}-2", callID=f"{tool['callID']}-2")
        return [event, again]
    return event


@on_event("tool-part-changes-its-id")
def part_id(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    return changed(event, id=f"{tool['id']}-end") if tool is not None and ended(event) else event


# ---------------------------------------------------------------- errors and status


def error_of(event: Event) -> Json:
    """The error of a message or a session, empty if there is none."""
    said = message_of(event) or (event.properties if event.type == "session.error" else {})
    error: Json = said.get("error", {})
    return error


def without_error(event: Event) -> Event | None:
    """The event without its error; None where it says nothing else."""
    if event.type == "session.error":
        return None
    if message_of(event) is None or not error_of(event):
        return event
    if "info" not in event.properties:
        return Event(event.type, {k: v for k, v in event.properties.items() if k != "error"})
    info = {k: v for k, v in event.properties["info"].items() if k != "error"}
    return Event(event.type, {**event.properties, "info": info})


@on_event("error-removed-from-message")
def no_error(event: Event, memory: Memory) -> Event | None:
    return without_error(event)


@on_event("error-removed-after-words")
def no_error_later(event: Event, memory: Memory) -> Event | None:
    memory["said"] = memory.get("said") or bool(delta_of(event))
    return without_error(event) if memory["said"] else event


@on_event("idle-missing-after-an-error")
def no_idle_error(event: Event, memory: Memory) -> Event | None:
    memory["failed"] = memory.get("failed") or error_of(event).get("name") == "APIError"
    return None if is_idle(event) and memory["failed"] else event


@on_event("idle-missing-after-an-abort")
def no_idle_abort(event: Event, memory: Memory) -> Event | None:
    memory["aborted"] = memory.get("aborted") or "Aborted" in error_of(event).get("name", "")
    return None if is_idle(event) and memory["aborted"] else event


@on_event("busy-for-ever-after-a-retry")
def no_idle_retry(event: Event, memory: Memory) -> Event | None:
    memory["retried"] = memory.get("retried") or is_status(event, "retry")
    return None if is_idle(event) and memory["retried"] else event


@on_event("idle-missing-when-empty")
def no_idle_empty(event: Event, memory: Memory) -> Event | None:
    memory["said"] = memory.get("said") or delta_of(event) is not None or tool_of(event) is not None
    memory["failed"] = memory.get("failed") or bool(error_of(event))
    quiet = not memory["said"] and not memory["failed"]
    return None if is_idle(event) and quiet else event
