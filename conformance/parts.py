"""How the events of the message and part protocols are read: Penguin's flat shapes, in one place.

Rules and drivers ask these functions and never reach into `properties` for themselves, so that a protocol
with other shapes (OpenCode nests the message in `info` and sends deltas as events of their own) needs to be
taught here only. A member that is missing or wrongly typed reads as "" or None: whether it may be is the
schemas' business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conformance.heartbeat import DATA_HEARTBEATS
from conformance.message import Message

CONNECTED = "server.connected"
GAP = "server.replay_gap"
# Frames that a server makes for one connection: they are no events of any session, and no replay repeats them.
SYNTHETIC = frozenset({CONNECTED, GAP, *DATA_HEARTBEATS})

TERMINAL = frozenset({"completed", "error"})  # tool states after which nothing follows


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """A message as an event announces it. Times are milliseconds, None where absent or null.

    `timed`: the event says anything about times at all.
    """

    id: str
    session: str
    role: str
    agent: str
    parent: str
    created: float | None
    completed: float | None
    timed: bool
    error: Any


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A part of a message as an event shows it.

    `text` is cumulative, `delta` the increment. `envelope_session` is `properties.sessionID`.
    `ended`: the part itself carries an end time. The `tool…` members are those of a tool part's state.
    """

    id: str
    message: str
    session: str
    envelope_session: str
    agent: str
    type: str
    text: str | None
    delta: str | None
    ended: bool
    tool: str
    call: str
    status: str
    input: Any


def message_info(message: Message) -> MessageInfo | None:
    """The message that a `message.updated` event announces, None for other events."""
    if message.type != "message.updated":
        return None
    if not isinstance(message.memo, MessageInfo):
        message.memo = _message_info(message.properties)
    return message.memo


def _message_info(raw: dict[str, Any]) -> MessageInfo:
    times = raw.get("time")
    times = times if isinstance(times, dict) else {}
    return MessageInfo(
        id=_text(raw, "id"),
        session=_text(raw, "sessionID"),
        role=_text(raw, "role"),
        agent=_text(raw, "agent") or _text(raw, "agentID"),
        parent=_text(raw, "parentID"),
        created=_number(times, "created"),
        completed=_number(times, "completed"),
        timed="completed" in times or "created" in times,
        error=raw.get("error"),
    )


def part_info(message: Message) -> PartInfo | None:
    """The part that a `message.part.updated` event shows, None for other events."""
    if message.type != "message.part.updated":
        return None
    if not isinstance(message.memo, PartInfo):
        message.memo = _part_info(message.properties)
    return message.memo


def _part_info(properties: dict[str, Any]) -> PartInfo:
    raw = properties.get("part")
    raw = raw if isinstance(raw, dict) else {}
    state, times = raw.get("state"), raw.get("time")
    state = state if isinstance(state, dict) else {}
    text, delta = raw.get("text"), properties.get("delta")
    return PartInfo(
        id=_text(raw, "id"),
        message=_text(raw, "messageID"),
        session=_text(raw, "sessionID"),
        envelope_session=_text(properties, "sessionID"),
        agent=_text(raw, "agentID") or _text(properties, "agentID"),
        type=_text(raw, "type"),
        text=text if isinstance(text, str) else None,
        delta=delta if isinstance(delta, str) else None,
        ended=isinstance(times, dict) and _number(times, "end") is not None,
        tool=_text(raw, "tool"),
        call=_text(raw, "callID"),
        status=_text(state, "status"),
        input=state.get("input"),
    )


def status_of(message: Message) -> tuple[str, str] | None:
    """Session and kind ("busy", "idle", "retry" …) of a `session.status` event, None for other events."""
    if message.type != "session.status":
        return None
    status = message.properties.get("status")
    kind = _text(status, "type") if isinstance(status, dict) else status
    return _text(message.properties, "sessionID"), kind if isinstance(kind, str) else ""


def session_of(message: Message) -> str:
    """The session that an event says it belongs to, "" where it names none."""
    properties = message.properties
    named = _text(properties, "sessionID")
    if named:
        return named
    for inside in ("part", "info"):
        nested = properties.get(inside)
        if isinstance(nested, dict) and (named := _text(nested, "sessionID")):
            return named
    info = properties.get("info")
    if message.type.startswith("session.") and isinstance(info, dict):
        return _text(info, "id")
    return ""


def title_of(message: Message) -> str:
    """The title that a `session.updated` event carries, "" for other events."""
    info = message.properties.get("info")
    return _text(info, "title") if message.type == "session.updated" and isinstance(info, dict) else ""


def shows_failure(message: Message) -> bool:
    """Whether the event makes a failing model visible.

    That is: an error on a message, an error event, an error toast, or a status "retry" or "error".
    """
    info = message_info(message)
    if info is not None:
        return bool(info.error)
    status = status_of(message)
    if status is not None:
        return status[1] in ("retry", "error")
    if message.type.startswith("tui.toast"):
        return _text(message.properties, "variant") == "error"
    return message.type == "error" or message.type.endswith((".error", ".failed"))


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def _number(raw: dict[str, Any], name: str) -> float | None:
    value = raw.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
