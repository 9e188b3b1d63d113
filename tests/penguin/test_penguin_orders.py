"""PG-CON, PG-EVT and PG-2, exactly: which event is wrong, how much was judged, which streams are held to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.catalogue import event_schemas
from conformance.penguin import CONNECT, CONTROL, LIFECYCLE
from conformance.rules.base import Case, checks
from conformance.rules.penguin_connection import ConnectedFirstAndOnce, connected_at_all
from conformance.rules.penguin_envelope import EventsMatchTheirSchemas, IdsUnique, KnownTypes
from conformance.rules.penguin_revision2 import OrderGrows
from conformance.script import say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, connected, encode, gap, profile_of, script_of

SSE = "http://127.0.0.1:1/api/v1/events/sse"


def transcript(*events: Event, url: str = SSE, until: float = 10.0, **more: Any) -> Transcript:
    chunks = (Chunk(0.1, encode(events)),) if events else ()
    made = Transcript(
        Request("GET", url), 0.0, Head(0.0, 200, "OK", "1.1", HEADERS), chunks, Ended.CLOSED_BY_US, until
    )
    return replace(made, **more)


def judge(rule: Any, *events: Event, on: str = "penguin/2", **changes: Any) -> tuple[int, list[int | None]]:
    profile = replace(profile_of(on), **changes)
    judgement = Case(Observation("text", profile, (("stream", transcript(*events)),))).judge_by(rule)
    return judgement.judged, [found.event for found in judgement.findings]


def verdict(
    row: str, probe: str, seen: dict[str, Transcript], *actions: Action, on: str = "penguin/2"
) -> Any:
    """What the last registered check of that row says which reads the probe."""
    case = Case(Observation(probe, profile_of(on), tuple(seen.items()), actions))
    return [each for each in checks("penguin") if each.requirement == row and probe in each.probes][-1].judge(
        case
    )


def places(judgement: Any) -> list[tuple[str, int | None]]:
    return [(found.role, found.event) for found in judgement.findings]


def status(kind: str = "busy", **more: Any) -> Event:
    return {"type": "session.status", "properties": {"sessionID": "s", "status": {"type": kind}}, **more}


def numbered(order: Any, time: Any = 1, stream: str = "s", **more: Any) -> Event:
    return status(id=f"evt:session:{stream}:{order:0>8}", order=order, time=time, **more)


# ---- the handshake


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([connected(), status()], (1, [])),
        ([status(), connected()], (2, [0, 1])),
        ([connected(), status(), connected(), connected()], (3, [2, 3])),
        ([{"no": "type"}, status()], (1, [0])),
        ([], (0, [])),
    ],
)
def test_connected_comes_first_and_once(events: list[Event], said: tuple[int, list[int]]) -> None:
    assert judge(ConnectedFirstAndOnce, *events) == said


def test_a_stream_that_never_says_anything_has_no_handshake() -> None:
    patience = profile_of().limits.settle
    seen = {
        "early": transcript(until=patience - 0.1),
        "silent": transcript(until=patience),
        "spoke": transcript(connected(), until=patience),
        "unanswered": transcript(until=99.0, head=None),
        "late": transcript(until=patience, head=Head(0.5, 200, "OK", "1.1", HEADERS)),
        "last": transcript(until=patience + 1),
    }
    case = Case(Observation("text", profile_of(), tuple(seen.items())))
    assert places(connected_at_all(case)) == [("silent", None), ("last", None)]
    scaled = Case(Observation("text", profile_of(timeout_scale=10.0), tuple(seen.items())))
    assert connected_at_all(scaled).findings == ()


def renamed(title: str, session: str = "s") -> Event:
    return {"type": "session.updated", "properties": {"info": {"id": session, "title": title}}}


def rename(title: str, stream: str, status: int | None = 200) -> Action:
    return Action(1.0, "rename-session", session="s", stream=stream, note=title, status=status, until=1.1)


def test_what_was_caused_after_connecting() -> None:
    acted = [rename("one", "a"), rename("two", "b"), rename("three", "c"), rename("four", "d", 500)]
    seen = {
        "a": transcript(connected(), renamed("one")),
        "b": transcript(connected()),
        "c": transcript(connected(), renamed("three")),
        "d": transcript(connected()),
        "e": transcript(connected(), renamed("two")),
        CONTROL: transcript(connected(), renamed("one"), renamed("three")),
    }
    said = verdict("PG-CON-02", CONNECT, seen, *acted)
    assert (places(said), said.judged, said.inconclusive) == ([("b", None), (CONTROL, None)], 5, "")
    # The control stream is held to nothing after the last title that it shows.
    short = seen | {CONTROL: transcript(connected(), renamed("one"))}
    said = verdict("PG-CON-02", CONNECT, short, *acted)
    assert (places(said), said.judged) == ([("b", None)], 3)
    # What nobody saw was not caused.
    unseen = seen | {"e": transcript(connected())}
    said = verdict("PG-CON-02", CONNECT, unseen, *acted)
    assert (places(said), said.judged, said.inconclusive) == ([], 3, "")
    nobody = {role: transcript(connected()) for role in seen}
    assert verdict("PG-CON-02", CONNECT, nobody, *acted).inconclusive
    assert not verdict("PG-CON-02", CONNECT, nobody, acted[-1]).inconclusive
    # A connection that shows nothing at all has no handshake, says PG-CON-01.
    assert places(verdict("PG-CON-02", CONNECT, seen | {"b": transcript()}, *acted)) == []


def test_a_turn_that_was_prompted_shows() -> None:
    def prompt(role: str, script: Any) -> Action:
        return Action(1.0, "prompt", session="s", stream=role, script=script, status=200, until=2.0)

    spoke = {"type": "message.updated", "properties": {"id": "m", "role": "assistant", "sessionID": "s"}}
    seen = {"bare": transcript(connected(), status()), "spoke": transcript(connected(), spoke)}
    failing = script_of("error-status", profile_of())
    for skipped in (None, failing, say("")):
        said = verdict("PG-CON-02", "text", seen, prompt("bare", skipped), prompt("spoke", say("x")))
        assert (places(said), said.judged) == ([], 1)
        said = verdict("PG-CON-02", "text", seen, prompt("spoke", skipped), prompt("bare", say("x")))
        assert (places(said), said.judged) == ([("bare", None)], 1)


# ---- envelopes and types


def test_a_problem_is_told_once_in_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"type": "session.status", "properties": {"sessionID": 7, "status": {"type": "busy"}}}
    bad |= {"id": "evt:session:s:00000001", "order": 1, "time": 1}
    worse = {"type": "session.status", "properties": 7, "id": "evt:session:s:00000001", "order": 1, "time": 1}
    assert judge(EventsMatchTheirSchemas, connected(), bad, bad, worse, worse) == (5, [1, 3])
    both = {
        "type": "session.status",
        "properties": {"sessionID": 7, "status": {}},
        "id": 7,
        "order": 1,
        "time": 1,
    }
    for first in ({**bad, "properties": both["properties"]}, {**both, "properties": bad["properties"]}):
        assert judge(EventsMatchTheirSchemas, first, both)[1][-1] == 1  # the other problem is told, too
    monkeypatch.setattr("conformance.rules.penguin_envelope.KINDS", 1)
    assert judge(EventsMatchTheirSchemas, bad, worse) == (2, [0])


def unknown(kind: str) -> Event:
    return {"type": kind, "properties": {}}


def shown(kind: str) -> Event:
    part = {"id": "p", "messageID": "m", "sessionID": "s", "type": kind}
    return {"type": "message.part.updated", "properties": {"part": part, "sessionID": "s"}}


def test_an_unknown_type_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        connected(),
        unknown("x"),
        unknown("x"),
        shown("text"),
        shown("x"),
        shown("x"),
        shown(""),
        {"no": "type"},
    ]
    assert judge(KnownTypes, *events) == (7, [1, 4])  # a part and an event may have one name
    assert judge(KnownTypes, shown("reasoning"), shown("tool"), status()) == (3, [])
    every = [shown(kind) for kind in sorted(event_schemas("penguin/2").parts)]
    assert judge(KnownTypes, *every, shown("x")) == (len(every) + 1, [len(every)])
    monkeypatch.setattr("conformance.rules.penguin_envelope.KINDS", 1)
    assert judge(KnownTypes, unknown("x"), unknown("y"), shown("z")) == (3, [0])


def test_ids_are_unique_but_for_frames_of_the_connection() -> None:
    a, b = status(id="a"), status(id="b")
    assert judge(IdsUnique, a, b, a, b) == (4, [2, 3])
    assert judge(IdsUnique, a, {**connected(), "id": "a"}, {**gap("x"), "id": "a"}) == (1, [])
    assert judge(IdsUnique, status(), status(id=""), status(id=""), status(id=7), status(id=7)) == (0, [])


# ---- order and time


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([numbered(1), numbered(2), numbered(3)], (3, [])),
        ([numbered(1), numbered(3), numbered(9)], (3, [])),  # holes are another row's business
        ([numbered(2), numbered(1)], (2, [1])),
        ([numbered(2), numbered(2)], (2, [1])),
        ([numbered(5), numbered(2), numbered(4), numbered(6)], (4, [1, 2])),
        ([numbered(1, 5), numbered(2, 5), numbered(3, 4), numbered(4, 5)], (4, [2])),
        ([numbered(1, 5), numbered(2, 3), numbered(3, 4)], (3, [1, 2])),
        ([numbered(2, 5), numbered(1, 4)], (2, [1, 1])),
        ([numbered(1), numbered(1, stream="t"), numbered(2), numbered(2, stream="t")], (4, [])),
        ([numbered(1), numbered(9, stream="t"), numbered(1)], (3, [2])),
        ([numbered(1), {**numbered(2), "_sse_id": "other"}], (2, [1])),
        ([numbered(1), {**numbered(2), "_sse_id": ""}], (2, [1])),
        ([{**numbered(1), "order": "1"}], (1, [0])),
        ([{**numbered(1), "order": True}], (1, [0])),
        ([{**numbered(1), "time": 1.5}], (1, [0])),
        ([{**numbered(1), "time": None}], (1, [0])),
        ([{"type": "x", "id": "a", "properties": {}}], (1, [])),
        ([{"type": "x", "id": "a", "properties": {}, "order": "1"}], (1, [0])),
        ([{"type": "x", "id": "a", "properties": {}, "time": "1"}], (1, [0])),
        ([connected(), gap("x"), {"no": "type"}], (0, [])),
    ],
)
def test_order_grows_and_time_does_not_go_back(events: list[Event], said: tuple[int, list[int]]) -> None:
    assert judge(OrderGrows, *events) == said


def test_a_run_of_several_streams_is_of_none_of_them() -> None:
    def runs(*runs: list[Event]) -> tuple[int, list[int | None]]:
        body = b": the run ends here\n\n".join(map(encode, runs))
        made = replace(transcript(), chunks=(Chunk(0.1, body),))
        judgement = Case(Observation("text", profile_of(), (("stream", made),))).judge_by(OrderGrows)
        return judgement.judged, [found.event for found in judgement.findings]

    first = [numbered(1, stream="a"), numbered(5, stream="b")]
    assert runs(first, [numbered(2, stream="a"), numbered(6, stream="b")]) == (4, [])
    for again in first:
        assert runs(first, [again]) == (3, [2])


def test_of_streams_the_newest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.rules.penguin_revision2.STREAMS", 2)
    a, b, c = (numbered(5, stream=name) for name in "abc")
    again = [numbered(1, stream=name) for name in "abc"]
    assert judge(OrderGrows, a, b, *again[:2])[1] == [2, 3]
    assert judge(OrderGrows, a, b, c, again[2], again[1])[1] == [3, 4]
    assert judge(OrderGrows, a, b, c, again[1], again[2])[1] == [3, 4]
    assert judge(OrderGrows, a, b, numbered(6, stream="a"), c, again[0])[1] == [4]


@pytest.mark.parametrize(
    ("events", "judged", "wrong"),
    [
        ([numbered(1), numbered(2), numbered(3)], 2, []),
        ([numbered(7), numbered(8)], 1, []),
        ([numbered(1), numbered(3), numbered(4), numbered(6)], 3, [1, 3]),
        ([numbered(1), numbered(3), numbered(2), numbered(4)], 3, [1]),
        ([numbered(3), numbered(1), numbered(4)], 2, []),
        ([numbered(1), gap("x"), numbered(9), numbered(10)], 1, []),
        ([numbered(1), connected(), numbered(2), {**connected(), "order": 9}, numbered(3)], 2, []),
        ([numbered(1), numbered(5, stream="t"), numbered(2), numbered(6, stream="t")], 2, []),
        ([numbered(1), status(), numbered(2)], 1, []),
    ],
)
def test_order_has_no_holes(events: list[Event], judged: int, wrong: list[int]) -> None:
    said = verdict("PG-2-01b", "text", {"stream": transcript(*events)})
    assert (said.judged, [found.event for found in said.findings]) == (judged, wrong)


def test_under_a_filter_that_leaves_events_out_holes_are_none() -> None:
    events = [numbered(1), numbered(3)]
    seen = {
        "agent": transcript(*events, url=f"{SSE}?agent_id=x"),
        "directory": transcript(*events, url=f"{SSE}?directory=x"),
        "session": transcript(*events, url=f"{SSE}?session_id=s"),
        "empty": transcript(*events, url=f"{SSE}?agent_id=&directory="),
    }
    said = verdict("PG-2-01b", "text", seen)
    assert (said.judged, places(said)) == (2, [("session", 1), ("empty", 1)])


def life(kind: str, session: str, title: str = "") -> Event:
    return {"type": f"session.{kind}", "properties": {"info": {"id": session, "title": title}}}


def test_sessions_show_their_life() -> None:
    actions = [
        Action(0.5, "call", status=500),
        Action(1.0, "create-session", status=200, answer={"id": "a"}, until=1.1),
        Action(2.0, "rename-session", session="a", note="new", status=200, until=2.1),
        Action(3.0, "delete-session", session="a", status=204, until=3.1),
    ]
    whole = [life("created", "a"), life("updated", "a", "new"), life("deleted", "a")]
    elsewhere = [
        life("created", "b"),
        life("updated", "b", "new"),
        life("deleted", "b"),
        life("updated", "a", "old"),
    ]

    def judge_life(*events: Event, acted: list[Action] = actions) -> Any:
        return verdict("PG-2-02", LIFECYCLE, {CONTROL: transcript(connected(), *events)}, *acted)

    said = judge_life(*elsewhere, *whole)
    assert (said.judged, said.findings, said.inconclusive) == (3, (), "")
    for missing in range(3):
        said = judge_life(*elsewhere, *whole[:missing], *whole[missing + 1 :])
        assert (said.judged, len(said.findings)) == (3, 1)
    assert len(judge_life(*elsewhere).findings) == 3
    refused = [*actions[:2], replace(actions[2], status=500), actions[3]]
    said = judge_life(*elsewhere, acted=refused)
    assert (said.judged, len(said.findings), bool(said.inconclusive)) == (1, 1, True)
    assert verdict("PG-2-02", LIFECYCLE, {}, *actions).inconclusive
    plain = transcript(*whole, head=Head(0.0, 500, "", "1.1", ()))
    assert verdict("PG-2-02", LIFECYCLE, {CONTROL: plain}, *actions).inconclusive
