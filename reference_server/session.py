"""What the protocols with an event bus have in common: sessions, prompts in them, and the events of a turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from reference_server.agent import AgentEvent

Json = dict[str, Any]


@dataclass(slots=True)
class Session:
    """A session, whatever it is called on the wire. Times in milliseconds since the epoch.

    `made` counts what has been named in it, `messages` its messages; `order` and `newest` are number and time of
    its newest event, where a protocol numbers them.
    """

    id: str
    title: str
    directory: str
    created: int
    updated: int
    parent: str | None = None
    made: int = 0
    messages: int = 0
    order: int = 0
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a user asks: texts of one message, the agent to ask, and the message's id if the client chose it."""

    texts: tuple[str, ...]
    agent: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A protocol event before it is numbered."""

    type: str
    properties: Json


class Turn(Protocol):
    """The events of one prompt, in order, in the words of one protocol."""

    error: str | None

    def begin(self) -> Iterator[Event]:
        """What comes before the agent's first event."""

    def show(self, event: AgentEvent) -> Iterator[Event]:
        """The protocol's events for one of the agent's."""

    def fail(self, name: str, data: Json) -> Iterator[Event]:
        """The turn breaks off: what is open ends in error. Nothing, if the agent had come to its end."""

    def end(self) -> Iterator[Event]:
        """What ends every turn."""


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
