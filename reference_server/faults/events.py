"""Events of a session on a bus, in the words of Penguin and OpenCode alike: what faults and variants ask of them.

Penguin shows a message flat and an increment beside the text so far; OpenCode nests the message in `info` and has
an event of its own for an increment.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from reference_server.faults.hooks import Json, Memory, on_published
from reference_server.session import Event, Session

Publish = Callable[[Event, Memory], "Event | list[Event] | None"]


def on_event(name: str) -> Callable[[Publish], Publish]:
    """A fault of single events of a session: the function gives what is published in an event's place.

    Its memory lives as long as the session's turn; `memory["turn"]` is the turn's number on this server,
    `memory["session"]` the session's.
    """

    def register(publish: Publish) -> Publish:
        def change(memory: Memory, session: Session, events: Iterable[Event]) -> Iterator[Event]:
            sessions: Memory = memory.setdefault("sessions", {})
            mine: Memory = sessions.setdefault(session.id, {"session": len(sessions) + 1})
            for event in events:
                if begins_turn(event):
                    memory["turns"] = memory.get("turns", 0) + 1
                    number = mine["session"]
                    mine.clear()
                    mine.update(turn=memory["turns"], session=number)
                made = publish(event, mine)
                if made is not None:
                    yield from [made] if isinstance(made, Event) else made

        on_published(name)(change)
        return publish

    return register


def every(memory: Memory, number: int) -> bool:
    """Whether this turn is one of every `number` turns."""
    return bool(memory.get("turn", 0) % number == number - 1)


# ---------------------------------------------------------------- status


def is_status(event: Event, kind: str) -> bool:
    """Whether it is that status."""
    return event.type == "session.status" and event.properties["status"]["type"] == kind


def is_idle(event: Event) -> bool:
    """Whether it says that the turn is over."""
    return is_status(event, "idle") or event.type == "session.idle"


# ---------------------------------------------------------------- messages


def message_of(event: Event) -> Json | None:
    """The message of a message's event."""
    if event.type != "message.updated":
        return None
    message: Json = event.properties.get("info", event.properties)
    return message


def completed(event: Event) -> int | None:
    """When the message of the event was completed; None if it was not, or is none."""
    times: Json = (message_of(event) or {}).get("time", {})
    return times.get("completed")


def begins_turn(event: Event) -> bool:
    """Whether it is the user's message, when it begins."""
    message = message_of(event)
    return message is not None and message["role"] == "user" and completed(event) is None


def assistant(event: Event) -> bool:
    """Whether it is an assistant's message."""
    message = message_of(event)
    return message is not None and message["role"] == "assistant"


def retimed(event: Event, when: int | None) -> Event:
    """A message's event with another time of completion, or none."""
    message = message_of(event) or {}
    times = {name: value for name, value in message["time"].items() if name != "completed"}
    nothing = {} if "info" in event.properties else {"completed": None}
    return changed(event, time={**times, **(nothing if when is None else {"completed": when})})


# ---------------------------------------------------------------- parts


def part_of(event: Event) -> Json | None:
    """The part of a part's event."""
    return event.properties["part"] if event.type == "message.part.updated" else None


def tool_of(event: Event) -> Json | None:
    """The part of a tool's event."""
    part = part_of(event)
    return part if part is not None and part["type"] == "tool" else None


def state_of(event: Event) -> str | None:
    """The state of the event's tool."""
    tool = tool_of(event)
    return None if tool is None else tool["state"]["status"]


def ended(event: Event) -> bool:
    """Whether it is the event of a tool that has come to its end."""
    return state_of(event) in ("completed", "error")


def as_completed(event: Event, output: str) -> Event:
    """A failed tool's event, as if the tool had run well."""
    state = (tool_of(event) or {})["state"]
    kept = {name: value for name, value in state.items() if name != "error"}
    more = {"title": "", "metadata": {}} if is_nested(event) else {}
    return changed(event, state={**kept, "status": "completed", "output": output, **more})


def is_nested(event: Event) -> bool:
    """Whether a part's event is OpenCode's."""
    return "time" in event.properties


def delta_of(event: Event) -> str | None:
    """The increment of an event."""
    saying = event.type in ("message.part.updated", "message.part.delta")
    delta = event.properties.get("delta") if saying else None
    return delta if isinstance(delta, str) else None


def with_delta(event: Event, delta: Any) -> Event:
    """The event with another increment."""
    return Event(event.type, {**event.properties, "delta": delta})


def ends_text(event: Event) -> bool:
    """Whether it is the last word on a text or a reasoning that OpenCode tells."""
    return "end" in (part_of(event) or {}).get("time", {})


# ---------------------------------------------------------------- changes


def changed(event: Event, **members: Any) -> Event:
    """The event with other members in its part, its message, or else its properties."""
    properties = copy.deepcopy(event.properties)
    inner = "info" if event.type == "message.updated" else "part"
    properties.get(inner, properties).update(members)
    return Event(event.type, properties)
