"""PG-MSG-03, -04, PG-ERR and PG-WIRE-01 over turns, exactly: which turns a stream is held to, and which it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conformance.findings import Judgement
from conformance.profile import Profile
from conformance.rules.base import Case
from conformance.rules.penguin_turns import (
    busy_is_followed_by_idle,
    failing_model_is_visible,
    finished_turn_is_completed,
    text_is_what_was_said,
    wire_bytes_per_byte_of_text,
)
from conformance.script import Failure, ModelTurn, Script, ToolCall, say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, encode, profile_of

SSE = "http://127.0.0.1:1/api/v1/events/sse"
HI = say("Hi ", "there")
THOUGHT = Script((ModelTurn(reasoning=("hm",), text=("so",)),))
FAILS = Script((ModelTurn(error=Failure("no", status=400)),))
Places = list[tuple[str, int | None]]
Rule = Callable[[Case], Judgement]


def transcript(
    *events: Event | tuple[float, Event],
    opened: float = 0.0,
    until: float = 99.0,
    ended: Ended = Ended.CLOSED_BY_US,
    query: str = "",
) -> Transcript:
    timed = [each if isinstance(each, tuple) else (opened + 1.5, each) for each in events]
    chunks = tuple(Chunk(at, encode([event])) for at, event in timed)
    head = Head(opened, 200, "OK", "1.1", HEADERS)
    return Transcript(Request("GET", SSE + query), opened, head, chunks, ended, until)


def said(text: str, session: str = "s", *, name: str = "p", message: str = "m", kind: str = "text") -> Event:
    part = {"id": name, "messageID": message, "sessionID": session, "type": kind, "text": text}
    return {"type": "message.part.updated", "properties": {"part": part, "delta": text, "sessionID": session}}


def msg(
    completed: float | None = 2,
    *,
    name: str = "m",
    role: str = "assistant",
    session: str = "s",
    parent: str = "u",
    **more: Any,
) -> Event:
    times = {"created": 1, "completed": completed}
    body = {"id": name, "sessionID": session, "role": role, "parentID": parent, "time": times, **more}
    return {"type": "message.updated", "properties": body}


def status(kind: str, session: str = "s") -> Event:
    return {"type": "session.status", "properties": {"sessionID": session, "status": {"type": kind}}}


def prompt(script: Script | None = HI, at: float = 1.0, until: float | None = 2.0, **more: Any) -> Action:
    given = {"session": "s", "stream": "stream", "status": 200, "prompt": "do it", **more}
    return Action(at, "prompt", script=script, until=until, **given)


def judge(
    rule: Rule,
    seen: Transcript | dict[str, Transcript],
    *actions: Action,
    profile: Profile | None = None,
) -> tuple[int, Places]:
    streams = seen if isinstance(seen, dict) else {"stream": seen}
    judgement = rule(Case(Observation("text", profile or profile_of(), tuple(streams.items()), actions)))
    return judgement.judged, [(found.role, found.event) for found in judgement.findings]


# ---- PG-MSG-03


@pytest.mark.parametrize(
    ("events", "script", "said_of_it"),
    [
        ([said("Hi there")], HI, (1, [])),
        ([said("Hi "), said("there", name="q")], HI, (1, [])),
        ([said("Hi there"), said("!", name="q")], HI, (1, [("stream", 1)])),
        ([], HI, (1, [("stream", None)])),
        ([said("do it", name="u"), said("Hi there")], HI, (1, [])),  # the prompt, whoever's it is
        ([said("anything")], say(""), (0, [])),
        ([said("hm", kind="reasoning", name="r"), said("so")], THOUGHT, (2, [])),
        ([said("so")], THOUGHT, (2, [("stream", None)])),
        ([said("hm", kind="reasoning", name="r"), said("Hi there")], HI, (2, [("stream", None)])),
        ([said("hm", kind="reasoning", name="r")], THOUGHT, (2, [("stream", None)])),
    ],
)
def test_what_was_said(events: list[Event], script: Script, said_of_it: tuple[int, Places]) -> None:
    assert judge(text_is_what_was_said, transcript(*events), prompt(script)) == said_of_it


def test_without_reasoning_in_the_profile_it_is_not_asked_for() -> None:
    mute = replace(profile_of(), capabilities=replace(profile_of().capabilities, reasoning=False))
    assert judge(text_is_what_was_said, transcript(said("so")), prompt(THOUGHT), profile=mute) == (1, [])


WRONG = transcript(said("wrong"))


@pytest.mark.parametrize(
    ("actions", "judged"),
    [
        ([prompt()], 1),
        ([prompt(), prompt(at=3.0, until=4.0)], 1),  # the session once
        ([prompt(None)], 0),
        ([prompt(), prompt(None, at=3.0, until=4.0)], 0),
        ([prompt(), prompt(at=3.0, until=100.0)], 0),
        ([prompt(), prompt(at=3.0, until=99.0)], 1),
        ([prompt(FAILS)], 0),
        ([prompt(), prompt(FAILS, at=3.0)], 0),
        ([prompt(), Action(1.5, "abort", session="s")], 0),
        ([prompt(), Action(1.5, "abort", session="t")], 1),
    ],
)
def test_which_sessions_are_judged(actions: list[Action], judged: int) -> None:
    assert judge(text_is_what_was_said, WRONG, *actions) == (judged, [("stream", 0)] * judged)


def test_a_session_that_cannot_be_judged_does_not_excuse_another() -> None:
    streams = {"stream": WRONG, "other": transcript(said("wrong", "t"))}
    other = prompt(session="t", stream="other")
    for excused in (prompt(None), prompt(FAILS), prompt(until=100.0), prompt(status=500)):
        for actions in ((excused, other), (other, excused)):
            assert judge(text_is_what_was_said, streams, *actions) == (1, [("other", 0)])
    twice = prompt(at=3.0, until=4.0)
    assert judge(text_is_what_was_said, streams, prompt(), twice, other)[1] == [("stream", 0), ("other", 0)]


@pytest.mark.parametrize(
    ("opened", "events", "judged"), [(2.5, [said("Hi there")], 1), (1.5, [], 0), (3.5, [], 0)]
)
def test_a_stream_is_held_to_the_turns_after_it_was_opened(
    opened: float, events: list[Event], judged: int
) -> None:
    made = transcript(*events, opened=opened)
    assert judge(text_is_what_was_said, made, prompt(say("before ")), prompt(at=3.0, until=4.0)) == (
        judged,
        [],
    )


def bare(text: str) -> Event:
    return {
        "type": "message.part.updated",
        "properties": {"part": {"type": "text", "text": text}, "delta": text},
    }


@pytest.mark.parametrize(
    ("other", "query", "judged"),
    [
        (prompt(session="t", stream="x"), "", 0),
        (prompt(session="t", stream="x"), "?session_id=s", 1),
        (prompt(session="t", stream="x", at=99.0, until=100.0), "", 1),
        (prompt(session="t", stream="x", at=98.9, until=100.0), "", 0),
        (prompt(session="t", stream="x", at=0.1, until=0.5), "", 1),  # over before the stream was opened
        (prompt(session="t", stream="x", at=0.1, until=0.6), "", 0),
        (prompt(session="t", stream="x", at=0.1, until=None), "", 0),
        (prompt(at=3.0, until=4.0), "", 1),
    ],
)
def test_words_without_names_of_two_sessions_are_not_judged(other: Action, query: str, judged: int) -> None:
    made = transcript(bare("wrong"), opened=0.5, query=query)
    first = profile_of("penguin/1")
    assert judge(text_is_what_was_said, made, prompt(), other, profile=first)[0] == judged
    assert judge(text_is_what_was_said, transcript(said("wrong"), opened=0.5), prompt(), other)[0] == 1


# ---- PG-MSG-04


@pytest.mark.parametrize(
    ("events", "bad"),
    [
        ([msg()], False),
        ([msg(None), msg()], False),
        ([msg(), msg(None)], False),  # that it is taken back another check says
        ([msg(None)], True),
        ([], True),
        ([msg(role="user")], True),
        ([msg(session="t")], True),
        ([msg(session="")], False),
        ([msg(parent="u"), msg(None, name="n", parent="v")], True),
        ([msg(parent="u"), msg(None, name="n", parent="u")], False),
    ],
)
def test_a_finished_turn_is_completed(events: list[Event], bad: bool) -> None:
    places: Places = [("stream", None)] if bad else []
    assert judge(finished_turn_is_completed, transcript(*events), prompt()) == (1, places)
    first = judge(finished_turn_is_completed, transcript(*events), prompt(), profile=profile_of("penguin/1"))
    assert first == (0, [])


CALLS = Script((ModelTurn(tools=(ToolCall("read_file", {"path": "x"}),)), ModelTurn()))


@pytest.mark.parametrize(
    ("actions", "events", "judged"),
    [
        ([prompt()], [], 1),
        ([prompt(None)], [], 1),
        ([prompt(CALLS)], [], 1),
        ([prompt(say(""))], [], 0),  # nothing was said
        ([prompt(), Action(1.5, "abort", session="s")], [], 0),
        ([prompt(), Action(1.5, "abort", session="s")], [said("Hi")], 1),
        ([prompt(FAILS)], [], 0),
        ([prompt(FAILS)], [said("Hi")], 1),
        ([prompt(at=-1.0, until=0.5)], [], 0),  # it was under way when the stream was opened
        ([prompt(), prompt(at=3.0, until=4.0)], [], 1),
    ],
)
def test_which_turns_must_be_completed(actions: list[Action], events: list[Event], judged: int) -> None:
    other = prompt(session="t", stream="other")
    streams = {"stream": transcript(*events), "other": transcript()}
    assert judge(finished_turn_is_completed, streams, *actions)[0] == judged
    assert judge(finished_turn_is_completed, streams, *actions, other)[1][-1:] == [("other", None)]


# ---- PG-ERR-01

ERROR = msg(error={"name": "x"})


@pytest.mark.parametrize(
    ("events", "bad"),
    [
        ([ERROR], False),
        ([status("retry")], False),
        ([status("retry", "")], False),
        ([{"type": "session.error", "properties": {"sessionID": "s"}}], False),
        ([status("retry", "t")], True),
        ([status("busy"), msg(), status("idle")], True),
        ([], True),
    ],
)
def test_a_failing_model_is_visible(events: list[Event], bad: bool) -> None:
    places: Places = [("stream", None)] if bad else []
    assert judge(failing_model_is_visible, transcript(*events), prompt(FAILS)) == (1, places)
    streams = {"stream": transcript(*events), "other": transcript()}
    other = prompt(FAILS, session="t", stream="other")
    for skipped in (prompt(), prompt(None), prompt(FAILS, until=None), prompt(FAILS, stream="nowhere")):
        assert judge(failing_model_is_visible, streams, skipped, other) == (1, [("other", None)])


# ---- PG-ERR-02


@pytest.mark.parametrize(
    ("events", "said_of_it"),
    [
        ([status("busy"), status("idle")], (1, [])),
        ([status("busy"), status("idle"), status("idle", "t")], (1, [])),
        ([status("busy"), status("idle"), status("busy")], (1, [("stream", 2)])),
        ([status("busy")], (1, [("stream", 0)])),
        ([status("busy"), status("idle", "t")], (1, [("stream", 0)])),
        ([status("idle", "t")], (0, [])),
        ([], (0, [])),
    ],
)
def test_busy_is_followed_by_idle(events: list[Event], said_of_it: tuple[int, Places]) -> None:
    assert judge(busy_is_followed_by_idle, transcript(*events), prompt()) == said_of_it


def test_how_long_idle_is_waited_for() -> None:
    limits = profile_of().limits
    assert limits.settle < limits.turn
    at_once = replace(profile_of(), stimulus=(("prompt", "x"),))  # type: ignore[arg-type]
    scaled = profile_of(timeout_scale=2.0)
    for profile, patience in (
        (profile_of(), limits.settle),
        (at_once, limits.turn),
        (scaled, 2 * limits.settle),
    ):
        for watched, judged in ((0.9 * patience - 0.1, 0), (0.9 * patience + 0.1, 1)):
            made = transcript(status("busy"), until=2.0 + watched)
            assert judge(busy_is_followed_by_idle, made, prompt(), profile=profile)[0] == judged
    # Where idle came nothing need be waited for.
    assert judge(busy_is_followed_by_idle, transcript(status("idle"), until=2.0), prompt())[0] == 1


def test_streams_that_show_no_end_of_their_own_are_not_held_to_idle() -> None:
    other = prompt(session="t", stream="other")
    for excused, action in (
        (transcript(status("busy"), ended=Ended.DEADLINE), prompt()),
        (transcript(status("busy"), ended=Ended.CAPPED), prompt()),
        (transcript(status("busy"), ended=Ended.RESET), prompt()),
        (transcript(status("busy")), prompt(until=None)),
        (transcript(status("busy")), prompt(stream="nowhere")),
    ):
        streams = {"stream": excused, "other": transcript(status("busy", "t"))}
        assert judge(busy_is_followed_by_idle, streams, action, other) == (1, [("other", 0)])


def test_bytes_on_the_wire_are_told_of_turns_that_said_something() -> None:
    streams = {"stream": transcript(said("Hi there")), "other": transcript()}
    silent = prompt(session="t", stream="other")
    assert judge(wire_bytes_per_byte_of_text, streams, silent, prompt()) == (1, [])
    assert judge(wire_bytes_per_byte_of_text, streams, prompt(None)) == (0, [])
