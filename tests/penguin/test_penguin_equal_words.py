"""Turns whose parts look alike: equal calls, a read of the file just written, parts without ids that begin alike."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from conformance.script import ModelTurn, Script, ToolCall
from tests.support.penguin_cases import Events, Scene, Server, connected, findings, part_of, profile_of

READ = {"path": "a.txt"}
GOOD, BAD = ToolCall("read_file", READ, result="x"), ToolCall("read_file", READ, fails=True)
WRITE = ToolCall("write_to_file", {"path": "a.txt", "content": "x"}, edits="/srv/work/a.txt")
BELOW = ToolCall("read_file", {"path": "d/a.txt"}, fails=True)


def _scene(*calls: ToolCall) -> Scene:
    """One model call for each tool call."""
    script = Script((*(ModelTurn(tools=(call,)) for call in calls), ModelTurn(text=("done",))))
    profile = profile_of()
    server = Server()
    server.turn("s1", script)
    scene = Scene("tools", profile, {"stream": [connected(sessionID="s1"), *server.events]})
    scene.prompt("s1", script, "stream")
    return scene


def _ends(events: Events) -> list[int]:
    """Where tool parts end."""
    states = [part_of(event).get("state", {}).get("status") for event in events]
    return [number for number, status in enumerate(states) if status in ("completed", "error")]


@pytest.mark.parametrize(
    "calls", [(BAD, GOOD), (GOOD, BAD), (WRITE, BAD), (BELOW, BAD, GOOD), (BAD, BAD), (WRITE, WRITE)]
)
def test_calls_of_one_file_are_told_apart(calls: Sequence[ToolCall]) -> None:
    assert findings(_scene(*calls).case()) == {}


@pytest.mark.parametrize(("calls", "end"), [((BAD, GOOD), 0), ((WRITE, BAD), 1), ((BAD, BAD), 1)])
def test_a_failing_call_beside_one_that_succeeds_must_still_fail(calls: Sequence[ToolCall], end: int) -> None:
    scene = _scene(*calls)
    events = scene.streams["stream"]
    state = part_of(events[_ends(events)[end]])["state"]
    state |= {"status": "completed", "output": ""}
    assert "PG-TOOL-02b" in findings(scene.case())


@pytest.mark.parametrize("calls", [(BAD, GOOD), (WRITE, BAD), (BAD, BAD)])
@pytest.mark.parametrize("end", [0, 1])
def test_the_part_of_one_of_two_such_calls_is_missed(calls: Sequence[ToolCall], end: int) -> None:
    scene = _scene(*calls)
    events = scene.streams["stream"]
    gone = part_of(events[_ends(events)[end]])["id"]
    scene.streams["stream"] = [event for event in events if part_of(event).get("id") != gone]
    assert "PG-TOOL-03" in findings(scene.case())


def _nameless(*snapshots: tuple[str, str]) -> Scene:
    """Text parts without ids, as the document of revision 1 shows them: text so far and increment."""
    script = Script((ModelTurn(text=tuple(delta for _, delta in snapshots)),))
    events: Events = [
        {
            "type": "message.part.updated",
            "properties": {"part": {"type": "text", "text": text}, "delta": delta},
        }
        for text, delta in snapshots
    ]
    scene = Scene("text", profile_of("penguin/1"), {"stream": [connected(), *events]})
    scene.prompt("s1", script, "stream")
    return scene


@pytest.mark.parametrize(
    "snapshots",
    [
        (("a", "a"), ("ab", "b")),
        (("a", "a"), ("a", "a"), ("ab", "b")),
        (("ab", "ab"), ("abc", "abc")),
        (("", ""), ("a", "a"), ("aa", "a")),
    ],
)
def test_a_part_without_an_id_that_begins_like_the_one_before_is_another(
    snapshots: Sequence[tuple[str, str]],
) -> None:
    assert findings(_nameless(*snapshots).case()) == {}


def test_an_increment_that_is_lost_between_parts_without_ids_is_missed() -> None:
    scene = _nameless(("a", "a"), ("ab", "b"), ("abc", "c"))
    del scene.streams["stream"][-1]
    assert set(findings(scene.case())) == {"PG-MSG-03"}
