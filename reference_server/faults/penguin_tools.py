"""Faults of Penguin's tools, errors and status."""

from __future__ import annotations

from reference_server.faults.hooks import (
    Memory,
)
from reference_server.faults.penguin_stream import (
    changed,
    delta_of,
    every,
    is_status,
    on_event,
    tool_of,
)
from reference_server.session import Event

# ---------------------------------------------------------------- tools


@on_event("tool-running-after-its-end")
def runs_again(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is None:
        return event
    if tool["state"]["status"] == "running":
        memory["running"] = event
        return event
    return [event, memory["running"], event]


@on_event("tool-error-becomes-completed")
def error_completed(event: Event, memory: Memory) -> Event | list[Event]:
    tool = tool_of(event)
    if tool is not None and tool["state"]["status"] == "error" and every(memory, 2):
        state = {key: value for key, value in tool["state"].items() if key != "error"}
        return [event, changed(event, state={**state, "status": "completed", "output": ""})]
    return event


@on_event("second-tool-never-ends")
def never_ends(event: Event, memory: Memory) -> Event | None:
    tool = tool_of(event)
    if tool is None:
        return event
    if tool["state"]["status"] == "running":
        memory["tools"] = memory.get("tools", 0) + 1
        if memory["tools"] == 2:
            memory["lost"] = tool["id"]
        return event
    return None if tool["id"] == memory.get("lost") else event


@on_event("call-id-changes")
def call_id(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    ended = tool is not None and tool["state"]["status"] != "running"
    return changed(event, callID=f"{tool['callID']}-end") if ended and tool is not None else event


@on_event("failed-tool-completed")
def failed_completed(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    if tool is None or tool["state"]["status"] != "error" or "unknown tool" in tool["state"]["error"]:
        return event
    if "must be a string" in tool["state"]["error"]:
        return event
    state = {key: value for key, value in tool["state"].items() if key != "error"}
    return changed(event, state={**state, "status": "completed", "output": tool["state"]["error"]})


@on_event("tool-name-changes")
def tool_name(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    ended = tool is not None and tool["state"]["status"] == "error"
    return changed(event, tool=f"{tool['tool']}!") if ended and tool is not None else event


@on_event("unknown-tool-completed")
def unknown_completed(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    if tool is None or "unknown tool" not in tool["state"].get("error", ""):
        return event
    state = {key: value for key, value in tool["state"].items() if key != "error"}
    return changed(event, state={**state, "status": "completed", "output": "unknown tool"})


@on_event("bad-arguments-completed")
def bad_completed(event: Event, memory: Memory) -> Event:
    tool = tool_of(event)
    if tool is None or "must be a string" not in tool["state"].get("error", ""):
        return event
    state = {key: value for key, value in tool["state"].items() if key != "error"}
    return changed(event, state={**state, "status": "completed", "output": ""})


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
    ended = tool is not None and tool["state"]["status"] != "running"
    return changed(event, id=f"{tool['id']}-end") if ended and tool is not None else event


# ---------------------------------------------------------------- errors and status


def without_error(event: Event) -> Event:
    """The event without its error."""
    if event.type == "message.updated" and "error" in event.properties:
        return Event(event.type, {k: v for k, v in event.properties.items() if k != "error"})
    return event


@on_event("error-removed-from-message")
def no_error(event: Event, memory: Memory) -> Event:
    return without_error(event)


@on_event("error-removed-after-words")
def no_error_later(event: Event, memory: Memory) -> Event:
    memory["said"] = memory.get("said") or bool(delta_of(event))
    return without_error(event) if memory["said"] else event


@on_event("idle-missing-after-an-error")
def no_idle_error(event: Event, memory: Memory) -> Event | None:
    if event.type == "message.updated" and event.properties.get("error", {}).get("name") == "APIError":
        memory["failed"] = True
    return None if is_status(event, "idle") and memory.pop("failed", False) else event


@on_event("idle-missing-after-an-abort")
def no_idle_abort(event: Event, memory: Memory) -> Event | None:
    if event.type == "message.updated" and "Aborted" in event.properties.get("error", {}).get("name", ""):
        memory["aborted"] = True
    return None if is_status(event, "idle") and memory.pop("aborted", False) else event


@on_event("busy-for-ever-after-a-retry")
def no_idle_retry(event: Event, memory: Memory) -> Event | None:
    if is_status(event, "retry"):
        memory["retried"] = True
    return None if is_status(event, "idle") and memory.get("retried") else event


@on_event("idle-missing-when-empty")
def no_idle_empty(event: Event, memory: Memory) -> Event | None:
    memory["said"] = memory.get("said") or delta_of(event) is not None or tool_of(event) is not None
    memory["failed"] = memory.get("failed") or "error" in event.properties
    quiet = not memory["said"] and not memory["failed"]
    return None if is_status(event, "idle") and quiet else event
