"""How the events of the message and part protocols are read: Penguin's shapes and OpenCode's, in one place.

Penguin's messages are flat and its increments come with the part that they make grow; OpenCode nests a message in
`info` and sends an increment as an event of its own. Both read alike here: rules and drivers ask these functions and
never reach into `properties` for themselves, nor ask which protocol it is. A member that is missing or wrongly typed
reads as "" or None: whether it may be is the schemas' business.
"""

from __future__ import annotations

from typing import Any

from conformance.event_schemas import event_schemas
from conformance.heartbeat import DATA_HEARTBEATS
from conformance.message import Message

CONNECTED = "server.connected"
GAP = "server.replay_gap"
# Frames that a server makes for one connection: they are no events of any session, and no replay repeats them.
SYNTHETIC = frozenset({CONNECTED, GAP, *DATA_HEARTBEATS})

TERMINAL = frozenset({"completed", "error"})  # tool states after which nothing follows


# The types of event that these readers know.
MESSAGE = "message.updated"
PART = "message.part.updated"
DELTA = "message.part.delta"
STATUS = "session.status"
ERROR = "session.error"


def sends_increments_apart(protocol: str) -> bool:
    """Whether the revision sends increments as events of their own: then a part's events carry all of its text."""
    return event_schemas(protocol).knows(DELTA)


def tells_of_sessions(protocol: str) -> bool:
    """Whether the revision tells of sessions: their state, and with it when a turn ends.

    One that does not (penguin/1) shows no ids, completion times and arguments either.
    """
    return event_schemas(protocol).knows(STATUS)


class MessageInfo:
    """A message as an event announces it. Times are milliseconds, None where absent or null.

    `timed`: the event says anything about times at all. `agent`, `parent` and `error` are read when asked for. Not
    frozen, for speed; nobody changes one.
    """

    __slots__ = ("_raw", "completed", "created", "id", "role", "session", "timed")

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self.id = _text(raw, "id")
        self.session = _text(raw, "sessionID")
        self.role = _text(raw, "role")
        times = raw.get("time")
        self.created: float | None = None
        self.completed: float | None = None
        self.timed = False
        if isinstance(times, dict):
            self.created = _number(times, "created")
            self.completed = _number(times, "completed")
            self.timed = "completed" in times or "created" in times

    @property
    def agent(self) -> str:
        """The agent that speaks, "" where none is named."""
        return _text(self._raw, "agent") or _text(self._raw, "agentID")

    @property
    def parent(self) -> str:
        """The message that it answers, "" where none is named."""
        return _text(self._raw, "parentID")

    @property
    def error(self) -> Any:
        """What failed, None where nothing did."""
        return self._raw.get("error")


class PartInfo:
    """A part of a message as an event shows it.

    `text` is cumulative, `delta` the increment. An increment that comes as an event of its own has ids and `delta`
    alone, and neither `text` nor `type`. `envelope_session` is `properties.sessionID`. `ended`: the part itself
    carries an end time. `agent`, and `tool`, `call`, `status` and `input`, which are those of a tool part and its
    state, are read when asked for. Not frozen, for speed; nobody changes one.
    """

    __slots__ = (
        "_properties",
        "_raw",
        "delta",
        "ended",
        "envelope_session",
        "id",
        "message",
        "session",
        "text",
        "type",
    )

    def __init__(self, properties: dict[str, Any]) -> None:
        raw = properties.get("part")
        self._properties = properties
        self._raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        get = self._raw.get
        # Most events of a stream are parts: in line, what `_text` does.
        self.id: str = value if isinstance(value := get("id"), str) else ""
        self.message: str = value if isinstance(value := get("messageID"), str) else ""
        self.session: str = value if isinstance(value := get("sessionID"), str) else ""
        self.type: str = value if isinstance(value := get("type"), str) else ""
        self.text: str | None = value if isinstance(value := get("text"), str) else None
        self.delta: str | None = value if isinstance(value := properties.get("delta"), str) else None
        self.envelope_session: str = value if isinstance(value := properties.get("sessionID"), str) else ""
        times = get("time")
        self.ended = isinstance(times, dict) and _number(times, "end") is not None

    @property
    def agent(self) -> str:
        """The agent whose part it is, "" where none is named."""
        return _text(self._raw, "agentID") or _text(self._properties, "agentID")

    @property
    def tool(self) -> str:
        """The name of the tool."""
        return _text(self._raw, "tool")

    @property
    def call(self) -> str:
        """The id of the call."""
        return _text(self._raw, "callID")

    @property
    def status(self) -> str:
        """The tool's state: "pending", "running", "completed", "error"."""
        return _text(self._state, "status")

    @property
    def input(self) -> Any:
        """The arguments of the call."""
        return self._state.get("input")

    @property
    def _state(self) -> dict[str, Any]:
        state = self._raw.get("state")
        return state if isinstance(state, dict) else {}


def message_info(message: Message) -> MessageInfo | None:
    """The message that a `message.updated` event announces, None for other events."""
    return info_of(message) if message.type == MESSAGE else None


def info_of(message: Message) -> MessageInfo:
    """The message that an event announces which is known to be a `message.updated`."""
    if message.memo is None:
        flat = message.properties
        nested = flat.get("info")
        message.memo = MessageInfo(nested if isinstance(nested, dict) and "id" not in flat else flat)
    info: MessageInfo = message.memo
    return info


def part_info(message: Message) -> PartInfo | None:
    """The part that a `message.part.updated` or `message.part.delta` event shows, None for other events."""
    kind = message.type
    return part_of(message) if kind == PART else increment_of(message) if kind == DELTA else None


def part_of(message: Message) -> PartInfo:
    """The part that an event shows which is known to be a `message.part.updated`."""
    if message.memo is None:
        message.memo = PartInfo(message.properties)
    part: PartInfo = message.memo
    return part


def increment_of(message: Message) -> PartInfo:
    """What a `message.part.delta` event adds to a part: it reads as an event of that part with nothing but it.

    An increment of another field than `text` adds no text.
    """
    if message.memo is None:
        told = message.properties
        names = {
            "id": told.get("partID"),
            "messageID": told.get("messageID"),
            "sessionID": told.get("sessionID"),
        }
        grown = {"delta": told.get("delta")} if told.get("field") == "text" else {}
        message.memo = PartInfo({"part": names, "sessionID": told.get("sessionID"), **grown})
    part: PartInfo = message.memo
    return part


def status_of(message: Message) -> tuple[str, str] | None:
    """Session and kind ("busy", "idle", "retry" …) of a `session.status` event, None for other events."""
    if message.type != STATUS:
        return None
    if message.memo is None:
        properties = message.properties
        status = properties.get("status")
        kind = status.get("type") if isinstance(status, dict) else status
        message.memo = _text(properties, "sessionID"), kind if isinstance(kind, str) else ""
    read: tuple[str, str] = message.memo
    return read


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
