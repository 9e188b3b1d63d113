"""By what the driver takes a turn for ended, where a stream shows statuses and where it shows none."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from conformance.observe.drivers.penguin import PenguinDriver, Sent
from conformance.observe.transport import Answer
from tests.support.penguin_cases import Events, Scene, one_turn, profile_of


def _final(events: Events, *, answered: bool) -> bool:
    """Whether a prompt of session s1, whose stream has shown these events, counts as played to its end."""

    async def ask() -> bool:
        driver = PenguinDriver(profile_of())
        scene = Scene("text", profile_of(), {"stream": events})
        stream: Any = SimpleNamespace(messages=scene.case().streams[0].messages)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if answered:
            answer.set_result(Answer(200))
        driver._sent.append(Sent("s1", None, stream, 0, answer))  # type: ignore[arg-type]
        return driver.is_final(stream)

    return asyncio.run(ask())


def _events(*, statuses: str, completed: bool = True) -> Events:
    """A turn with all its statuses, without the last one, or with none."""
    events = one_turn("tools").streams["stream"]
    if statuses != "all":
        idle = [e for e in events if e["properties"].get("status", {}).get("type") == "idle"]
        events = [e for e in events if e not in idle]
    if statuses == "none":
        events = [e for e in events if e["type"] != "session.status"]
    return [e for e in events if completed or not e["properties"].get("time", {}).get("completed")]


@pytest.mark.parametrize(
    ("events", "answered", "final"),
    [
        (_events(statuses="all"), False, True),
        (_events(statuses="no idle"), True, False),
        (_events(statuses="none"), True, True),
        (_events(statuses="none"), False, False),
        (_events(statuses="none", completed=False), True, False),
        ([], True, False),
    ],
)
def test_when_a_turn_is_over(events: Events, answered: bool, final: bool) -> None:
    assert _final(events, answered=answered) is final
