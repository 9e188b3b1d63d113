"""The rules over messages and parts, event by event: which event is wrong, how much was judged, what is forgiven."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.rules import penguin_deltas, penguin_messages
from conformance.rules.base import Case
from conformance.rules.penguin_deltas import DeltasMakeTheText
from conformance.rules.penguin_messages import (
    CompletionsStand,
    MessagesBeforeTheirParts,
    PartsEndBeforeTheirMessage,
)
from conformance.rules.penguin_tools import StatesGoForward
from conformance.transcript import Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, encode, gap, profile_of

Said = tuple[int, list[int | None]]  # how much was judged, the events of the findings


def judge(rule: Any, *events: Event, late: bool = False, on: str = "penguin/2", **changes: Any) -> Said:
    made = Transcript(
        Request("GET", "http://127.0.0.1:1/api/v1/events/sse"),
        0.0,
        Head(0.0, 200, "OK", "1.1", HEADERS),
        (Chunk(0.1, encode(events)),),
        Ended.CLOSED_BY_US,
        10.0,
        from_start=not late,
    )
    profile = replace(profile_of(on), **changes)
    judgement = Case(Observation("text", profile, (("stream", made),))).judge_by(rule)
    return judgement.judged, [found.event for found in judgement.findings]


def msg(
    name: str = "m",
    role: str = "assistant",
    session: str = "s",
    created: float | None = 1,
    completed: float | None = None,
    **more: Any,
) -> Event:
    times = {"created": created, "completed": completed}
    body = {"id": name, "sessionID": session, "role": role, "time": times, **more}
    return {"type": "message.updated", "properties": body}


def part(
    text: str | None = None,
    delta: str | None = None,
    *,
    name: str = "p",
    of: str = "m",
    session: str = "s",
    envelope: str | None = None,
    kind: str = "text",
    **more: Any,
) -> Event:
    shown = {"id": name, "messageID": of, "sessionID": session, "type": kind, **more}
    if text is not None:
        shown["text"] = text
    properties: Event = {"part": shown, "sessionID": session if envelope is None else envelope}
    return {
        "type": "message.part.updated",
        "properties": properties if delta is None else {**properties, "delta": delta},
    }


def inc(delta: str, name: str = "p", of: str = "m", session: str = "s", field: str = "text") -> Event:
    told = {"partID": name, "messageID": of, "sessionID": session, "field": field, "delta": delta}
    return {"type": "message.part.delta", "properties": told}


def status(kind: str, session: str = "s") -> Event:
    return {"type": "session.status", "properties": {"sessionID": session, "status": {"type": kind}}}


def failed(session: str = "s") -> Event:
    return {"type": "session.error", "properties": {"sessionID": session, "error": {"name": "x"}}}


BUSY, IDLE = status("busy"), status("idle")


# ---- PG-MSG-01


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([msg(), part("x")], (2, [])),
        ([part("x"), msg()], (2, [0])),
        ([part("x"), part("y"), part("z", of="n")], (5, [0, 2])),  # each message once
        ([msg(), part("x", envelope="t")], (2, [1])),
        ([msg(session="t"), part("x")], (2, [1])),
        ([msg(session=""), part("x")], (2, [])),
        ([msg(), part("x", session="", envelope="s")], (1, [])),
        ([msg(), part("x", session="s", envelope="")], (1, [])),
        ([msg(), part("x", of="")], (1, [])),
        ([msg(), part("x", of="", envelope="t")], (1, [1])),
        ([msg(name=""), part("x", of="m")], (2, [1])),
    ],
)
def test_a_message_is_announced_before_its_parts(events: list[Event], said: Said) -> None:
    assert judge(MessagesBeforeTheirParts, *events) == said


def test_what_came_before_the_connection_is_not_missed() -> None:
    rule = MessagesBeforeTheirParts
    assert judge(rule, part("x"), late=True) == (1, [])
    assert judge(rule, IDLE, BUSY, part("x"), late=True) == (2, [2])
    assert judge(rule, gap("x"), part("x")) == (1, [])
    assert judge(rule, part("x", envelope="t"), late=True) == (1, [0])  # this it says of itself


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([msg(), part(""), inc("x"), inc("y")], (4, [])),
        ([msg(), inc("x"), inc("y"), part("xy")], (3, [1])),
        ([msg(), part(""), inc("x", of="n")], (3, [2])),
        ([msg(), part(""), inc("x", name="q"), inc("y", name="r")], (4, [2, 3])),
        ([part(""), inc("x")], (3, [0])),
        ([inc("x"), part("")], (3, [0, 1])),
    ],
)
def test_a_part_is_shown_before_its_increments(events: list[Event], said: Said) -> None:
    assert judge(MessagesBeforeTheirParts, *events, on="opencode/1")[1] == said[1]


def test_increments_of_what_was_before_the_connection() -> None:
    rule = MessagesBeforeTheirParts
    assert judge(rule, inc("x"), late=True, on="opencode/1") == (0, [])
    assert judge(rule, gap("x"), inc("x"), on="opencode/1")[1] == []


def test_of_messages_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penguin_messages, "MESSAGES", 2)
    rule = MessagesBeforeTheirParts
    assert judge(rule, msg("a"), msg("b"), part("x", of="a"), part("x", of="c"))[1] == [3]
    assert judge(rule, msg("a"), msg("b"), msg("c"), part("x", of="c", session="t"))[1] == [3]
    # Once one was forgotten nobody is held to what came before.
    assert judge(rule, msg("a"), msg("b"), msg("c"), part("x", of="a"), part("x", of="z"))[1] == []
    many = [part("x", of=f"z{n}") for n in range(4)]
    assert judge(rule, *many, *many)[1] == [0, 1, 2, 3, 6, 7]  # beyond the window one is told again
    parts = [part("", name=name) for name in ("p", "q")]
    assert judge(rule, msg(), *parts, inc("x", name="z"), on="opencode/1")[1] == [3]
    assert judge(rule, msg(), *parts, part("", name="r"), inc("x", name="z"), on="opencode/1")[1] == []
    assert judge(rule, msg(), *parts, part("", name="r"), inc("x", "r", of="n"), on="opencode/1")[1] == [4]


# ---- PG-MSG-04


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([msg(), msg(completed=2)], (1, [])),
        ([msg(), msg(completed=1)], (1, [])),
        ([msg(created=5, completed=4)], (1, [0])),
        ([msg(created=None, completed=4)], (0, [])),
        ([msg(completed=2), msg(completed=3)], (3, [])),
        ([msg(completed=2), msg()], (2, [1])),
        ([msg(completed=2), msg(), msg()], (2, [1])),
        ([msg(completed=2), {**msg(), "properties": {"id": "m", "role": "assistant"}}, msg()], (2, [2])),
        ([msg(completed=2), msg("n")], (1, [])),
        ([msg("", created=5, completed=4)], (0, [])),
    ],
)
def test_completions(events: list[Event], said: Said) -> None:
    assert judge(CompletionsStand, *events) == said


def test_of_completions_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penguin_messages, "MESSAGES", 2)
    done = [msg(name, completed=2) for name in ("a", "b")]
    assert judge(CompletionsStand, *done, msg("a"))[1] == [2]
    assert judge(CompletionsStand, *done, msg("c", completed=2), msg("a"), msg("b"))[1] == [4]


# ---- PG-MSG-05


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([BUSY, msg(), part("x"), msg(completed=2), IDLE], (2, [])),
        ([BUSY, msg(), msg(completed=2), part("x"), part("y"), IDLE], (3, [3])),
        ([BUSY, msg(completed=2), part("x"), IDLE], (1, [])),  # its first event may be late itself
        ([BUSY, msg(), msg(completed=2), msg(), part("x"), IDLE], (3, [])),
        ([BUSY, msg(), IDLE, part("x"), msg(completed=2)], (2, [3])),
        ([BUSY, msg(), IDLE, msg(completed=2), part("x")], (2, [3])),
        ([BUSY, msg(), IDLE, msg(completed=2, error={"name": "x"}), part("x")], (2, [])),
        ([BUSY, msg(), failed(), IDLE, msg(completed=2), part("x")], (2, [])),
        ([BUSY, msg(), failed("t"), IDLE, msg(completed=2)], (1, [4])),
        ([msg(), IDLE, part("x")], (1, [])),  # no turn was seen to begin
        ([BUSY, msg(), status("idle", "t"), part("x")], (1, [])),
        ([BUSY, msg(), status("retry"), part("x"), IDLE], (1, [])),
        ([BUSY, IDLE, msg(), part("x")], (1, [])),
        ([BUSY, msg("u", "user"), IDLE, msg("u", "user"), part("x", of="u")], (0, [])),
        ([BUSY, msg(""), IDLE, part("x", of="")], (0, [])),
        ([BUSY, msg(), IDLE, BUSY, part("x"), IDLE], (1, [4])),
        ([BUSY, msg(), msg("n"), IDLE, msg("n"), msg()], (2, [4, 5])),
        ([BUSY, msg(), inc("x"), msg(completed=2), inc("y")], (3, [4])),
    ],
)
def test_nothing_comes_after_the_end(events: list[Event], said: Said) -> None:
    assert judge(PartsEndBeforeTheirMessage, *events) == said


def test_of_open_messages_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penguin_messages, "MESSAGES", 2)
    rule = PartsEndBeforeTheirMessage
    assert judge(rule, BUSY, msg("a"), msg("b"), IDLE, msg("a"), msg("b"))[1] == [4, 5]
    assert judge(rule, BUSY, msg("a"), msg("b"), msg("c"), IDLE, msg("c"), msg("b"), msg("a"))[1] == [5, 6]
    sessions = [each for name in ("x", "y", "z") for each in (status("busy", name), msg(name, session=name))]
    ends = [status("idle", name) for name in ("x", "y", "z")]
    again = [msg(name, session=name) for name in ("x", "y", "z")]
    assert len(judge(rule, *sessions[:4], *ends[:2], *again[:2])[1]) == 2
    assert len(judge(rule, *sessions, *ends, *again)[1]) < 3


# ---- PG-MSG-02


def grown(*steps: tuple[str | None, str | None], **more: Any) -> list[Event]:
    return [part(text, delta, **more) for text, delta in steps]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([BUSY, *grown(("a", "a"), ("ab", "b")), IDLE], (2, [])),
        ([BUSY, *grown(("a", "a"), ("abc", "b")), IDLE], (2, [2])),
        ([BUSY, *grown(("a", "a"), ("abc", "b"), ("abc", "c")), IDLE], (3, [])),  # a snapshot ran ahead
        ([BUSY, *grown(("a", "a"), ("xb", "b")), IDLE], (2, [2, 2])),
        ([BUSY, *grown(("a", "a"), ("ab", None)), IDLE], (2, [2])),
        ([BUSY, *grown(("a", None), ("ab", None)), IDLE], (1, [])),  # without increments
        ([BUSY, *grown((None, "a"), (None, "b")), IDLE], (0, [])),  # without texts
        ([BUSY, *grown(("", ""), ("a", "a")), IDLE], (2, [])),
        ([BUSY, *grown(("a", "a")), part("ab", "b", time={"end": 5}), part("abc", "c"), IDLE], (4, [3])),
        ([BUSY, *grown(("a", "a")), part("a", "", time={"end": 5}), part("a", ""), IDLE], (3, [])),
        ([BUSY, *grown(("a", "b"), kind="reasoning"), IDLE], (1, [1])),
        ([BUSY, *grown(("a", "b"), kind="tool"), IDLE], (0, [])),
        ([BUSY, *grown(("a", "b"), name=""), IDLE], (0, [])),
        ([BUSY, *grown(("a", "b"))], (0, [])),  # its turn was still going on
        ([*grown(("a", "b"))], (1, [0])),
        ([BUSY, *grown(("a", "a")), IDLE, *grown(("ab", "c"))], (3, [3])),  # after a turn that is over
        ([BUSY, *grown(("a", "b")), IDLE, *grown(("ac", "c")), IDLE], (3, [1])),  # told once
        ([BUSY, *grown(("a", "b")), status("idle", "t")], (0, [])),
        ([BUSY, *grown(("a", "a")), *grown(("x", "y"), name="q"), IDLE], (2, [2])),
    ],
)
def test_deltas_make_the_text(events: list[Event], said: Said) -> None:
    assert judge(DeltasMakeTheText, *events) == said


def test_a_part_that_was_removed_or_lies_before_a_gap_is_not_compared() -> None:
    removed = {"type": "message.part.removed", "properties": {"partID": "p", "messageID": "m"}}
    wrong, right = grown(("a", "b")), grown(("a", "a"), name="q")
    assert judge(DeltasMakeTheText, BUSY, *wrong, removed, IDLE) == (0, [])
    assert judge(DeltasMakeTheText, BUSY, *wrong, *right, removed, IDLE) == (1, [])
    assert judge(DeltasMakeTheText, BUSY, *wrong, gap("x"), IDLE) == (0, [])
    assert judge(DeltasMakeTheText, BUSY, *wrong, gap("x"), *grown(("ab", "b")), IDLE) == (1, [])


@pytest.mark.parametrize(
    ("steps", "events"),
    [
        ([("xa", "a"), ("xab", "b")], []),  # it began before the connection
        ([("xa", "a"), ("xabc", "b")], [2]),
        ([(None, "a"), ("xa", None)], []),  # what it had before is not known
        ([("xay", "a"), ("xayb", "b")], []),
    ],
)
def test_a_part_that_began_before_the_connection(steps: list[Any], events: list[int]) -> None:
    assert judge(DeltasMakeTheText, BUSY, *grown(*steps), IDLE, late=True)[1] == events


def test_of_parts_those_that_changed_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penguin_deltas, "PARTS", 2)
    wrong = [grown(("a", "b"), name=name)[0] for name in ("p", "q", "r", "s")]
    assert judge(DeltasMakeTheText, BUSY, *wrong[:2], IDLE)[1] == [1, 2]
    assert judge(DeltasMakeTheText, BUSY, *wrong[:3], IDLE)[1] == [2, 3]
    assert judge(DeltasMakeTheText, BUSY, *wrong, IDLE)[1] == [
        3
    ]  # the fourth may have been one of the forgotten
    again = grown(("a", ""), name="p")
    assert judge(DeltasMakeTheText, BUSY, *wrong[:2], *again, wrong[2], IDLE)[1] == [3, 4]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([BUSY, part(""), inc("a"), inc("b"), part("ab"), IDLE], (2, [])),
        ([BUSY, part(""), inc("a"), inc("b"), part("abc"), IDLE], (2, [4])),
        ([BUSY, part(""), inc("a"), inc("b"), IDLE], (0, [])),  # its final text was not told
        ([BUSY, part("x"), inc("a"), part("xa"), IDLE], (2, [])),
        ([BUSY, part("a"), inc("a"), part("a"), IDLE], (2, [])),  # the text had run ahead
        ([BUSY, part(""), inc("a"), part("a", time={"end": 5}), inc("b"), IDLE], (2, [4])),
        ([BUSY, part(""), inc(""), inc("x", field="title"), part(""), IDLE], (1, [])),
        ([BUSY, part(""), inc("a", name=""), part("", name="q"), IDLE], (0, [])),
    ],
)
def test_increments_that_come_apart_make_the_text(events: list[Event], said: Said) -> None:
    assert judge(DeltasMakeTheText, *events, on="opencode/1") == said


def test_texts_that_a_plugin_rewrites_are_not_compared() -> None:
    events = [BUSY, *grown(("a", "a"), ("xb", "b")), IDLE]
    assert judge(DeltasMakeTheText, *events, rewrites_text=True) == (0, [])
    late = [BUSY, part("a", "a", time={"end": 5}), part("b", "b"), IDLE]
    assert judge(DeltasMakeTheText, *late, rewrites_text=True) == (1, [2])


# ---- PG-TOOL-01


def tool(state: str, name: str = "p", call: str = "c", kind: str = "tool") -> Event:
    return part(name=name, kind=kind, callID=call, state={"status": state})


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ("pending running completed", (2, [])),
        ("pending completed completed", (2, [])),
        ("running running error", (2, [])),
        ("running pending", (1, [1])),
        ("completed running", (1, [1])),
        ("completed error", (1, [1])),
        ("error completed", (1, [1])),
        ("error error", (1, [])),
        ("completed pending running", (2, [1])),
        ("completed waiting completed", (1, [])),
    ],
)
def test_states_go_forward(states: str, said: Said) -> None:
    assert judge(StatesGoForward, *(tool(state) for state in states.split())) == said
    assert judge(StatesGoForward, *(tool(state, name="") for state in states.split())) == said
    assert judge(StatesGoForward, *(tool(state, name="", call="") for state in states.split())) == (0, [])
    assert judge(StatesGoForward, *(tool(state, kind="text") for state in states.split())) == (0, [])


def test_of_tool_parts_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.rules.penguin_tools.WINDOW", 2)
    done = [tool("completed", name) for name in ("a", "b")]
    assert judge(StatesGoForward, *done, tool("running", "a"))[1] == [2]
    more = [*done, tool("completed", "c")]
    assert judge(StatesGoForward, *more, tool("running", "b"))[1] == [3]
    assert judge(StatesGoForward, *more, tool("running", "a"))[1] == []
