"""Choices of servers that are right and were accused once: each stays green, and what it resembles stays red."""

from __future__ import annotations

import pytest

from conformance.observe.drivers.progress import Progress
from conformance.penguin import (
    CONTROL,
    DIRECTORIES,
    FAN_OUT,
    FILTERS,
    FULL,
    LOST,
    RESUME,
    SUBSCRIBING,
    TOGETHER,
    words,
)
from conformance.rules.base import Case, checks
from conformance.script import Script
from conformance.transcript import Action
from tests.support.penguin_cases import (
    Events,
    Scene,
    Server,
    connected,
    copy,
    findings,
    one_turn,
    part_of,
    profile_of,
    red,
)

PART = "message.part.updated"


def _verdicts(case: Case, requirement: str) -> list[tuple[bool, bool, bool]]:
    """Of each check of a requirement: findings, inconclusive, not applicable."""
    said = [
        check.judge(case)
        for check in checks("penguin")
        if check.requirement == requirement and case.observation.probe in check.probes
    ]
    return [(bool(each.findings), bool(each.inconclusive), bool(each.not_applicable)) for each in said]


def _joined(*, after_idle: bool) -> Scene:
    """A stream that joins in mid-turn, in which busy and the user's message are said again at once."""
    server, script = Server(2), words("within")
    server.turn("s1", script)
    first = list(server.events)
    server.turn("s1", words("after"))
    again = [e for e in first if e["type"] == "session.status"][:1]
    again += [e for e in first if e["properties"].get("role") == "user"][-1:]
    shown = [*again, *first[-4:], *server.events[len(first) :]]
    if after_idle:  # the second turn's message is not announced: that is a defect, for its turn began here
        shown = [e for e in shown if not (e in server.events[len(first) :] and _announces(e))]
    scene = Scene(LOST, profile_of(), {"third": [connected(sessionID="s1"), *copy(shown)]})
    scene.spans["third"] = (1.2, 100.0)
    scene.joins.add("third")
    scene.prompt("s1", script, FULL, at=1.0)
    scene.prompt("s1", words("after"), "third", at=3.0)
    return scene


def _announces(event: dict[str, object]) -> bool:
    properties = event["properties"]
    return isinstance(properties, dict) and properties.get("role") == "assistant"


def test_busy_again_is_no_beginning() -> None:
    assert "PG-MSG-01" not in red(_joined(after_idle=False))
    assert "PG-MSG-02" not in red(_joined(after_idle=False))
    assert "PG-MSG-01" in red(_joined(after_idle=True))


def _unlabelled(events: Events) -> Events:
    """As the first document shows events: no session, no message, no snapshot."""
    bare = copy(events)
    for event in bare:
        event["properties"].pop("sessionID", None)
        for name in ("messageID", "sessionID", "text") if event["type"] == PART else ():
            part_of(event).pop(name, None)
    return [event for event in bare if event["type"] != PART or "delta" in event["properties"]]


def _two_without_labels() -> Scene:
    server, scene = Server(1), Scene(FILTERS, profile_of("penguin/1"))
    for at, (session, mark) in enumerate((("s1", "a-first"), ("s2", "b-first"))):
        server.turn(session, words(mark))
        scene.prompt(session, words(mark), CONTROL, at=1.0 + at)
    scene.streams[CONTROL] = [connected(), *_unlabelled(server.events)]
    return scene


def test_words_of_two_sessions_without_names_on_them_are_not_held_against_one() -> None:
    assert "PG-MSG-03" not in red(_two_without_labels())
    alone = _two_without_labels()
    alone.actions = alone.actions[:1]
    assert "PG-MSG-03" in red(alone)  # one session's stream, and other words in it


@pytest.mark.parametrize("joined_late", [True, False])
def test_increments_without_snapshots_do_not_tell_what_came_before_us(joined_late: bool) -> None:
    """The whole text is said at the part's end only; the connection missed its first increment."""
    server, scene = Server(1), Scene(LOST, profile_of("penguin/1"))
    server.turn("s1", words("within"))
    events = copy(server.events)
    parts = [event for event in events if "delta" in event["properties"]]
    for event in parts:
        part_of(event).pop("text")
    end = copy(parts[-1:])[0]
    end["properties"].pop("delta")
    part_of(end)["text"] = "within one, within two, within three."
    at = events.index(parts[-1]) + 1
    scene.streams["third"] = [connected(), *events[events.index(parts[1]) : at], end, *events[at:]]
    scene.spans["third"] = (1.2, 100.0)
    scene.joins = {"third"} if joined_late else set()
    scene.prompt("s1", words("within"), FULL, at=1.0)
    assert ("PG-MSG-02" in red(scene)) is not joined_late


def test_the_progress_of_a_part_without_snapshots() -> None:
    scene = _two_without_labels()
    progress = Progress()
    progress.read(scene.case().streams[0].messages)
    assert progress.says("s2", "b-first two, b-first three.")
    assert not progress.says("s2", "a-first three.")


def test_a_tool_part_that_was_removed_need_not_end() -> None:
    scene = one_turn("tools")
    events = scene.streams["stream"]
    at = next(i for i, e in enumerate(events) if part_of(e).get("type") == "tool")
    draft = copy(events[at : at + 1])[0]
    part_of(draft).update(id="part_draft", callID="call_draft")
    named = {"sessionID": "s1", "messageID": part_of(draft)["messageID"], "partID": "part_draft"}
    removal = {**draft, "type": "message.part.removed", "properties": named}
    events[at:at] = [draft]
    _renumber(events)
    assert {"PG-TOOL-02a", "PG-TOOL-03"} <= red(scene)
    events[at + 1 : at + 1] = [removal]
    _renumber(events)
    assert red(scene) == set()
    progress = Progress()
    progress.read(scene.case().streams[0].messages)
    assert progress.closed("s1")


def _renumber(events: Events) -> None:
    for order, event in enumerate(events[1:], start=1):
        event |= {"id": f"evt:session:s1:{order:08d}", "order": order, "time": 1_000 + order}


def test_events_that_look_alike_do_not_tell_where_a_stream_joined() -> None:
    server, scene = Server(1), Scene(LOST, profile_of("penguin/1"))
    server.turn("s1", words("after"))
    events = _unlabelled(server.events)
    empty = {
        **copy(events[1:2])[0],
        "type": PART,
        "properties": {"part": {"type": "text", "id": "p"}, "delta": ""},
    }
    full = [empty, *copy(events), empty, *copy(events[-2:])]
    scene.streams = {FULL: [connected(), *full], "third": [connected(), *full[-3:]]}
    scene.spans["third"] = (0.9, 100.0)
    assert "PG-REC-01" not in red(scene)
    del scene.streams["third"][2]
    assert "PG-REC-01" in red(scene)


@pytest.mark.parametrize(("kind", "accused"), [("server.heartbeat", False), ("ping", False), ("toast", True)])
def test_heartbeats_that_are_events_are_no_part_of_what_was_missed(kind: str, accused: bool) -> None:
    server, scene = Server(1), Scene(LOST, profile_of("penguin/1"))
    server.turn("s1", words("after"))
    beat = {"type": kind, "properties": {}}
    events = copy(server.events)
    scene.streams = {
        FULL: [connected(), *events[:4], beat, *events[4:]],
        "third": [connected(), *copy(events[:6]), beat, *copy(events[6:])],
    }
    scene.spans["third"] = (0.9, 100.0)
    assert ("PG-REC-01" in red(scene)) is accused


def _with_events_of_nobody() -> Scene:
    """A resumed stream on which what belongs to no session comes too, with an order of its own."""
    server = Server(2)
    server.turn("s1", words("resumed"))
    server.updated("s1", "sse-conformance 1")
    events = copy(server.events)
    for number, place in enumerate((3, 6, 9), start=1):
        named = {"id": f"evt:global:{number:08d}", "order": number, "time": events[place]["time"]}
        events.insert(place, {**named, "type": "lsp.updated", "properties": {}})
    scene = Scene(
        RESUME, profile_of(), {FULL: [connected(), *events], "cut-1": [connected(), *copy(events[2:])]}
    )
    scene.streams["all"] = [connected(), *copy(e for e in events[2:] if e["type"] != "lsp.updated")]
    scene.queries = dict.fromkeys((FULL, "cut-1"), "?session_id=s1")
    scene.cursors = dict.fromkeys(("cut-1", "all"), str(events[1]["id"]))
    scene.facts["session"] = "s1"
    scene.prompt("s1", words("resumed"), FULL)
    return scene


def test_what_belongs_to_no_session_has_an_order_of_its_own() -> None:
    scene = _with_events_of_nobody()
    assert red(scene) == set()
    nobodys = next(e for e in scene.streams["cut-1"] if e["type"] == "lsp.updated")
    scene.streams["cut-1"].remove(nobodys)
    assert "PG-REC-02" in red(scene)


def test_calls_are_numbered_by_their_model() -> None:
    server, scene = Server(2), Scene(TOGETHER, profile_of())
    script = one_turn("tools").actions[0].script
    assert isinstance(script, Script)
    for session, role in (("s1", "a"), ("s2", "b")):
        server.turn(session, script)
        scene.prompt(session, script, role)
        scene.streams[role] = [connected(), *copy(e for e in server.events if e["_session"] == session)]
    scene.streams[CONTROL] = [connected(), *copy(server.events)]
    for events in scene.streams.values():
        for event in events:
            if part_of(event).get("callID"):
                part_of(event)["callID"] = "functions.read_file:0"
    assert "PG-CONC-01" not in red(scene)


@pytest.mark.parametrize(
    ("before", "after", "accused"),
    [
        ({"subscribers": 1}, {"subscribers": 4}, False),
        ({"lastAccessedAt": "10:00"}, {"lastAccessedAt": "10:01"}, False),
        ({"stats": {"streams": 1, "ok": True}}, {"stats": {"streams": 2, "ok": True}}, False),
        ({"directory": "/a"}, {"directory": "/b"}, True),
        ({"title": "t"}, {"title": "u"}, True),
        ({"archived": False}, {"archived": True}, True),
    ],
)
def test_counters_of_use_may_change(
    before: dict[str, object], after: dict[str, object], accused: bool
) -> None:
    scene = Scene(SUBSCRIBING, profile_of(), {"plain": [connected()]})
    scene.actions = [
        Action(0.1, "create-session", status=200, answer={"id": "s1"}, until=0.2),
        Action(1.0, "call", note="sessions before", status=200, answer=[{"id": "s1", **before}], until=1.1),
        Action(2.0, "call", note="sessions after", status=200, answer=[{"id": "s1", **after}], until=2.1),
    ]
    assert (red(scene) == {"PG-FLT-08"}) is accused


def test_a_target_that_names_no_directory_is_not_asked_about_them() -> None:
    scene = Scene(DIRECTORIES, profile_of(), facts={"unbound": "it does not say"})
    assert _verdicts(scene.case(), "PG-FLT-06a") == [(False, False, True)]


def test_sessions_that_cannot_be_told_apart_may_come_in_another_order() -> None:
    server, scene = Server(1), Scene(FAN_OUT, profile_of("penguin/1"))
    for session, mark in (("s1", "a-first"), ("s2", "b-first")):
        server.turn(session, words(mark))
    ours = _unlabelled([e for e in server.events if e["_session"] == "s1"])
    theirs = _unlabelled([e for e in server.events if e["_session"] == "s2"])
    scene.streams = {
        "all-0": [connected(), *ours, *theirs],
        "all-1": [connected(), *theirs, *ours],
    }
    assert findings(scene.case()) == {}
    scene.streams["all-1"].pop()
    assert "PG-FAN-01a" in red(scene)
