"""Messages: events with their data read as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from conformance.quick_json import quick_json, quick_jsons
from conformance.wire import Block, Event

TOO_MUCH = "more than this reader can hold"  # legal JSON beyond a limit of ours: nobody's fault


class Message:
    """An event, by its block, with its data read as JSON.

    `value` is the JSON value (None where `error` says why there is none); `duplicates` are member names
    that occur twice in one object. `type` is the event's `type` member where it is an object with a string
    there, else ""; `body` is the JSON object, {} where it is none. `limited`: there is no value because of a
    limit of this reader (nesting, digits of a number), not because the data is no JSON. Not frozen, for speed;
    nobody changes one. `memo` is where rules that read the value alike keep what they read.
    """

    __slots__ = ("block", "body", "duplicates", "error", "memo", "type", "value")

    def __init__(self, block: Block, value: Any, error: str = "", duplicates: tuple[str, ...] = ()) -> None:
        self.block = block
        self.value = value
        self.error = error
        self.duplicates = duplicates
        self.memo: Any = None
        self.body = body = value if isinstance(value, dict) else {}
        kind = body.get("type")
        self.type: str = kind if isinstance(kind, str) else ""

    @property
    def event(self) -> Event:
        """The event."""
        event = self.block.dispatch
        assert event is not None
        return event

    @property
    def limited(self) -> bool:
        """Whether a limit of this reader, not the data, is why there is no value."""
        return self.error.startswith(TOO_MUCH)

    @property
    def properties(self) -> dict[str, Any]:
        """The envelope's `properties` object (Penguin, OpenCode), {} where there is none."""
        properties = self.body.get("properties")
        return properties if isinstance(properties, dict) else {}

    def __repr__(self) -> str:
        return f"Message({self.event!r}, error={self.error!r})"


class _Duplicate(Exception):
    """A member name occurs twice in one object."""


class _NotJsonError(ValueError):
    """A constant that JSON does not have."""


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(items)
    if len(made) != len(items):
        raise _Duplicate
    return made


def _constant(name: str) -> Any:
    raise _NotJsonError(f"{name} is not JSON")


# Made once: `json.loads` with hooks makes a decoder per call, at three times the cost of the reading itself.
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant).decode


def read_message(block: Block) -> Message:
    """Read the data of a block that dispatches as exactly one JSON value (RFC 8259); NaN and Infinity are errors."""
    data = block.data or b""
    value = quick_json(data)
    if value is not None:
        return Message(block, value)
    try:
        return Message(block, _decode(data.decode("utf-8", "replace")))
    except _Duplicate:
        return _read_with_duplicates(block, data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        return Message(block, None, _reason(error))


def read_messages(blocks: Sequence[Block]) -> list[Message]:
    """Read the data of blocks that all dispatch, as `read_message` does, but sooner."""
    values = quick_jsons([block.data or b"" for block in blocks])
    return [*map(read_message, blocks)] if values is None else [*map(Message, blocks, values)]


def _read_with_duplicates(block: Block, text: str) -> Message:
    duplicates: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for name, _ in items:
            if name in seen:
                duplicates.append(name)
            seen.add(name)
        return dict(items)

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        return Message(block, None, _reason(error))
    return Message(block, value, duplicates=tuple(duplicates))


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | _NotJsonError):
        return str(error)
    # Nesting beyond the interpreter's stack, or an integer of more digits than it converts.
    return f"{TOO_MUCH}: {error}"
