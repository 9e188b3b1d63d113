"""PG-REC with cursors, exactly: which resumed stream is wrong and where, how much was compared, what is forgiven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conformance.findings import Judgement
from conformance.penguin import CONTROL, FOREIGN_CURSOR, FULL, GAPS, RESUME, RESUME_LIVE, RETENTION
from conformance.rules import penguin_resume as rules
from conformance.rules.base import Case
from conformance.script import say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, connected, encode, gap, profile_of

SSE = "http://127.0.0.1:1/api/v1/events/sse"
Places = list[tuple[str, int | None]]
Said = tuple[int, Places]


def transcript(*events: Event, cursor: str | None = None, query: str = "", status: int = 200) -> Transcript:
    headers = () if cursor is None else (("Last-Event-ID", cursor),)
    head = Head(0.0, status, "", "1.1", HEADERS)
    chunks = (Chunk(0.1, encode(events)),) if events else ()
    request = Request("GET", f"{SSE}?last_event_id={query}" if query else SSE, headers)
    return Transcript(request, 0.0, head, chunks, Ended.CLOSED_BY_US, 99.0)


def event(order: int, session: str = "s", **more: Any) -> Event:
    part = {"id": f"p{order}", "messageID": "m", "sessionID": session, "type": "text", "text": f"{order}"}
    properties = {"part": part, "sessionID": session}
    named = {"id": f"evt:session:{session}:{order:08d}", "order": order, "time": 7}
    return {"type": "message.part.updated", "properties": properties, **named, **more}


def renamed(order: int, title: str) -> Event:
    return event(order, type="session.updated", properties={"info": {"id": "s", "title": title}})


WHOLE = [*(event(n) for n in range(1, 6)), renamed(6, "fence")]
FULL_STREAM = transcript(connected(), *WHOLE)


def name_of(order: int) -> str:
    return f"evt:session:s:{order:08d}"


def case(probe: str = RESUME, *, full: Transcript | None = FULL_STREAM, **more: Any) -> Case:
    seen: dict[str, Transcript] = {
        role.replace("_", "-"): made for role, made in more.pop("seen", {}).items()
    }
    streams = {**({} if full is None else {FULL: full}), **seen}
    facts = {"session": "s", **more.pop("facts", {})}
    profile = profile_of(**more)
    return Case(Observation(probe, profile, tuple(streams.items()), (), tuple(facts.items())))


def said(judgement: Judgement) -> Said:
    return judgement.judged, [(found.role, found.event) for found in judgement.findings]


# ---- exactly what followed


@pytest.mark.parametrize(
    ("events", "result"),
    [
        (WHOLE[2:], (4, [])),
        (WHOLE[1:], (1, [1])),
        (WHOLE[3:], (1, [1])),
        ([], (4, [None])),
        ([WHOLE[2], WHOLE[4], WHOLE[5]], (2, [2])),
        ([WHOLE[2], WHOLE[2], *WHOLE[3:]], (2, [2])),
        ([WHOLE[2], WHOLE[4], WHOLE[3], WHOLE[5]], (2, [2])),
        ([*WHOLE[2:5]], (4, [3])),
        ([*WHOLE[2:], event(9)], (4, [])),  # past the fence
        ([WHOLE[2], {**WHOLE[3], "time": 8}, *WHOLE[4:]], (2, [2])),
        ([WHOLE[2], event(9), *WHOLE[3:]], (2, [2])),
    ],
)
@pytest.mark.parametrize("role", ["cut-1", "again-1", "query-1", "both"])
def test_a_cursor_gives_what_followed(
    role: str, events: list[Event], result: tuple[int, list[int | None]]
) -> None:
    by_query = role in ("query-1", "both")
    asked = {"query": name_of(2)} if by_query else {"cursor": name_of(2)}
    of = case(seen={role: transcript(connected(), *events, **asked)})
    rule = rules.query_cursor if by_query else rules.resuming_gives_what_was_missed
    other = rules.resuming_gives_what_was_missed if by_query else rules.query_cursor
    assert said(rule(of)) == (result[0], [(role, at) for at in result[1]])
    assert said(other(of)) == (0, [])


def test_streams_that_were_cut_on_purpose_may_end_earlier() -> None:
    short = transcript(connected(), *WHOLE[2:4], cursor=name_of(2))
    wrong = transcript(connected(), WHOLE[3], cursor=name_of(2))
    assert said(rules.resuming_gives_what_was_missed(case(seen={"chain-1": short}))) == (2, [])
    assert said(rules.resuming_gives_what_was_missed(case(seen={"cut-1": short}))) == (4, [("cut-1", 2)])
    long = transcript(connected(), *WHOLE[2:], event(9), cursor=name_of(2))
    assert said(rules.resuming_gives_what_was_missed(case(seen={"chain-1": long}))) == (4, [("chain-1", 5)])
    cut = case(seen={"cut-1": short}, facts={"until:cut-1": name_of(4)})
    assert said(rules.resuming_gives_what_was_missed(cut)) == (2, [])
    assert said(rules.resuming_gives_what_was_missed(case(seen={"chain-1": wrong}))) == (1, [("chain-1", 1)])


def test_streams_that_were_not_resumed_are_passed_over() -> None:
    wrong = transcript(connected(), WHOLE[3], cursor=name_of(2))
    for first in (transcript(connected()), transcript(connected(), cursor="unknown")):
        of = case(seen={"cut-0": first, "cut-1": wrong})
        assert said(rules.resuming_gives_what_was_missed(of)) == (1, [("cut-1", 1)])
    assert rules.resuming_gives_what_was_missed(case(full=None)).inconclusive
    assert rules.resuming_gives_what_was_missed(case(full=transcript(status=500))).inconclusive


def test_an_unfiltered_stream_may_show_others() -> None:
    other = event(1, "t")
    for events, result in (
        ([WHOLE[2], other, *WHOLE[3:]], (4, [])),
        ([other, *WHOLE[2:], other], (4, [])),
        (WHOLE[2:], (4, [])),
        ([WHOLE[3], WHOLE[2], *WHOLE[4:]], (4, [])),  # order is told by `order`
        ([WHOLE[2], *WHOLE[4:]], (4, [("all", 1)])),
        ([other], (4, [("all", None)])),
        (WHOLE[1:], (4, [("all", 1)])),
    ):
        made = transcript(connected(), *events, cursor=name_of(2))
        assert said(rules.resuming_gives_what_was_missed(case(seen={"all": made}))) == result


@pytest.mark.parametrize(
    ("retention", "cursor", "accused"),
    [(None, 2, True), (3, 2, False), (4, 2, True), (5, 2, True), (0, 6, True)],
)
def test_a_gap_for_a_cursor_that_was_just_given_out(
    retention: int | None, cursor: int, accused: bool
) -> None:
    capabilities = replace(profile_of().capabilities, retention=retention)
    made = transcript(connected(), gap("x"), cursor=name_of(cursor))
    after = transcript(connected(), WHOLE[3], cursor=name_of(2))
    of = case(seen={"cut-1": made, "cut-2": after}, capabilities=capabilities)
    places: Places = [("cut-1", 1)] if accused else []
    assert said(rules.resuming_gives_what_was_missed(of)) == (2, [*places, ("cut-2", 1)])


def test_events_that_the_target_mixed_up_live_are_put_in_order() -> None:
    mixed = transcript(connected(), WHOLE[0], WHOLE[2], WHOLE[1], *WHOLE[3:])
    for events, result in (
        (WHOLE[2:], (4, [])),
        ([WHOLE[2], WHOLE[4], WHOLE[3], WHOLE[5]], (2, [("cut-1", 2)])),
    ):
        made = transcript(connected(), *events, cursor=name_of(2))
        assert said(rules.resuming_gives_what_was_missed(case(full=mixed, seen={"cut-1": made}))) == result


# ---- put together


def chained(*cuts: list[Event], until: dict[int, int] | None = None, full: Transcript = FULL_STREAM) -> Said:
    seen = {f"cut-{n}": transcript(connected(), *events) for n, events in enumerate(cuts)}
    facts = {f"until:cut-{n}": name_of(order) for n, order in (until or {}).items()}
    return said(rules.nothing_between_the_cuts(case(RESUME_LIVE, full=full, seen=seen, facts=facts)))


def test_cuts_put_together() -> None:
    assert chained(WHOLE[:2], WHOLE[2:4], WHOLE[4:]) == (6, [])
    assert chained(WHOLE[1:2], WHOLE[2:5]) == (4, [])  # the uncut one may have more before and after
    assert chained(WHOLE[:4], WHOLE[2:], until={0: 2}) == (6, [])
    assert chained(WHOLE[:2], WHOLE[3:]) == (5, [(FULL, None)])
    assert chained(WHOLE[:3], WHOLE[2:]) == (7, [(FULL, None)])
    assert chained([event(9)], WHOLE) == (7, [(FULL, None)])
    ten = [[each] for each in [*WHOLE, *(event(n) for n in range(7, 13))]]
    longer = transcript(connected(), *(each[0] for each in ten))
    assert chained(*ten, full=longer) == (12, [])  # in the order of their numbers
    assert chained(WHOLE[:2], [gap("x"), *WHOLE[3:]]) == (0, [])
    assert chained(WHOLE[:2], WHOLE[3:], full=transcript(*reversed(WHOLE))) == (0, [])
    seen = {"cut-0": transcript(connected(), *WHOLE[:2]), "cut-1": transcript(connected(), *WHOLE[3:])}
    (finding,) = rules.nothing_between_the_cuts(case(RESUME_LIVE, full=FULL_STREAM, seen=seen)).findings
    assert finding.observed == "5 events; they part at event 2"
    for of in (case(RESUME_LIVE), case(RESUME_LIVE, full=None, seen={"cut-0": FULL_STREAM})):
        assert rules.nothing_between_the_cuts(of).inconclusive


# ---- gaps


def turn(order: int) -> list[Event]:
    spoken = event(
        order, type="message.updated", properties={"id": "m", "role": "assistant", "sessionID": "s"}
    )
    return [spoken, renamed(order + 1, f"fence {order}")]


TURNS = [*turn(1), *turn(3)]
TWO_TURNS = transcript(connected(), *TURNS)


@pytest.mark.parametrize(
    ("events", "places"),
    [
        ([connected(), gap("x"), *TURNS[2:]], []),
        ([gap("x"), *TURNS[2:]], []),
        ([connected(), *TURNS[2:]], [1]),
        ([connected(), TURNS[2], gap("x"), TURNS[3]], [1]),
        ([connected()], [None]),
        ([connected(), gap("x")], [None]),
        ([connected(), gap("x"), TURNS[3]], [None]),
        ([connected(), gap("x"), event(99), TURNS[3]], [None]),  # an event that nobody else saw is no turn
        ([connected(), gap("x"), TURNS[0], *TURNS[2:]], [2]),
    ],
)
def test_a_cursor_that_cannot_be_replayed(events: list[Event], places: list[int | None]) -> None:
    of = case(GAPS, full=TWO_TURNS, seen={"unknown-word": transcript(*events, cursor="x")})
    assert said(rules.unknown_cursor_gives_a_gap(of)) == (1, [("unknown-word", at) for at in places])


def test_each_unknown_cursor_is_judged() -> None:
    good = transcript(connected(), gap("x"), *TURNS[2:], cursor="x")
    seen = {
        "unknown-a": transcript(status=400),
        "unknown-b": good,
        "unknown-c": replace(good, head=None),
        "unknown-d": transcript(connected(), cursor="x"),
        "other": transcript(status=400),
    }
    judged, places = said(rules.unknown_cursor_gives_a_gap(case(GAPS, full=TWO_TURNS, seen=seen)))
    assert (judged, [role for role, _ in places]) == (4, ["unknown-a", "unknown-c", "unknown-d"])
    assert rules.unknown_cursor_gives_a_gap(case(GAPS, full=None, seen=seen)).inconclusive


def test_an_old_cursor() -> None:
    def judge(*events: Event, cursor: str = name_of(1)) -> Judgement:
        seen = {"old": transcript(connected(), *events, cursor=cursor)}
        return rules.old_cursor_gives_a_gap(case(RETENTION, full=TWO_TURNS, seen=seen))

    kept = judge(*TURNS[1:])
    assert (said(kept), len(kept.notes)) == ((1, []), 1)
    told = judge(gap("x"), *TURNS[2:])
    assert (said(told), told.notes) == ((1, []), ())
    assert said(judge(gap("x"))) == (1, [("old", None)])
    assert said(judge(*TURNS[2:])) == (1, [("old", 1)])
    assert said(judge(*TURNS[1:], cursor="nobody's")) == (1, [("old", 1)])
    for of in (case(RETENTION), case(RETENTION, full=None, seen={"old": TWO_TURNS})):
        assert rules.old_cursor_gives_a_gap(of).inconclusive
    recent = case(RETENTION, seen={"cut-recent": transcript(connected(), WHOLE[3], cursor=name_of(2))})
    assert said(rules.resuming_within_the_retention(recent)) == (1, [("cut-recent", 1)])


# ---- filters and ids


def words(text: str, session: str) -> Event:
    part = {"id": text, "type": "text", "text": text, "messageID": f"m{session}"}
    return {"type": "message.part.updated", "properties": {"part": part, "sessionID": session}}


def test_a_replay_obeys_its_filter() -> None:
    spoken = {"id": "ma", "role": "assistant", "sessionID": "a", "agent": "default"}
    a = [{"type": "message.updated", "properties": spoken}, words("one", "a")]
    b = [words("eins", "b"), words("zwei", "b")]
    state = {"type": "session.status", "properties": {"sessionID": "a", "status": {"type": "busy"}}}
    prompts = tuple(
        Action(1.0, "prompt", session=name, agent="default", script=say("x"), status=200, until=2.0)
        for name in "ab"
    )
    facts = (("session-a", "a"), ("session-b", "b"))
    control = transcript(connected(), *a, *b)

    def judge(**seen: list[Event]) -> Said:
        streams = {CONTROL: control} | {
            role.replace("_", "-"): transcript(connected(), *events) for role, events in seen.items()
        }
        of = Case(Observation(FOREIGN_CURSOR, profile_of(), tuple(streams.items()), prompts, facts))
        return said(rules.replay_obeys_the_filter(of))

    assert judge(b_from_a=b, a_from_a=a, nobody_from_a=[state]) == (6, [])
    assert judge(b_from_a=[*b, a[1], a[1]], a_from_a=[*a, b[0]]) == (4, [("b-from-a", 3), ("a-from-a", 3)])
    assert judge(a_from_a=[b[0]]) == (2, [("a-from-a", 1)])
    assert judge(nobody_from_a=[state, a[1]]) == (2, [("nobody-from-a", 2)])
    assert judge(nobody_from_a=[b[0]]) == (2, [("nobody-from-a", 1)])
    streams = {CONTROL: control, "b-from-a": transcript(status=404), "a-from-a": transcript(b[0])}
    of = Case(Observation(FOREIGN_CURSOR, profile_of(), tuple(streams.items()), prompts, facts))
    assert said(rules.replay_obeys_the_filter(of)) == (2, [("a-from-a", 0)])


def test_an_id_names_one_event() -> None:
    def judge(**seen: list[Event]) -> Said:
        streams = {role: transcript(*events) for role, events in seen.items()}
        return said(rules.ids_name_one_event(case("text", full=None, seen=streams)))

    assert judge(x=WHOLE, y=WHOLE) == (6, [])
    assert judge(x=WHOLE, y=[{**WHOLE[0], "properties": {**WHOLE[0]["properties"], "delta": "x"}}]) == (6, [])
    bent = [{**WHOLE[0], "time": 9}, {**WHOLE[1], "type": "x"}, {**WHOLE[2], "id": WHOLE[3]["id"]}, WHOLE[4]]
    assert judge(x=WHOLE, y=bent) == (6, [("y", 0), ("y", 1), ("y", 2)])
    bare = {"type": "x", "properties": {"sessionID": "s"}}
    other = {"type": "x", "properties": {"sessionID": "t"}}
    assert judge(x=[bare, bare, {**bare, "_sse_id": "e"}, {**other, "_sse_id": "e"}]) == (1, [("x", 3)])
    frames = [{**connected(), "_sse_id": name_of(1)}, {**gap("x"), "_sse_id": name_of(2)}]
    assert judge(x=WHOLE, y=frames) == (6, [])
    announced = [
        event(1, type="message.updated", properties={"id": name, "role": "user", "sessionID": "s"})
        for name in "mn"
    ]
    assert judge(x=announced) == (1, [("x", 1)])
    many = [event(1, time=n) for n in range(20)]
    assert len(judge(x=many)[1]) == 10


def test_the_id_of_a_frame_replays_as_well() -> None:
    rule: Callable[[Case], Judgement] = rules.synthetic_ids_replay

    def judge(
        events: list[Event], role: str = "connected-1", since: int | None = 1, **more: list[Event]
    ) -> Said:
        facts = {} if since is None else {f"since:{role}": since}
        seen = {role: transcript(connected(), *events)} | {
            name.replace("_", "-"): transcript(connected(), *each) for name, each in more.items()
        }
        return said(rule(case(seen=seen, facts=facts)))

    assert judge(WHOLE[2:]) == (4, [])
    assert judge(WHOLE[3:]) == (1, [("connected-1", 1)])
    assert judge(WHOLE, since=-1) == judge(WHOLE, since=None) == (6, [])
    assert judge(WHOLE[1:], since=None) == (1, [("connected-1", 1)])
    assert judge(WHOLE[1:], since=0) == (5, [])
    assert judge(WHOLE[2:5]) == (4, [("connected-1", 3)])
    assert judge([gap("x")]) == (1, [])
    assert judge([gap("x")], connected_2=WHOLE[3:]) == (2, [("connected-2", 1)])
    assert judge([event(9)], since=5) == (1, [("connected-1", 1)])
    origin = [gap("x"), *WHOLE[2:]]
    assert judge(WHOLE[2:], "after-gap", unknown_word=origin) == (4, [])
    assert judge(WHOLE[3:], "after-gap", unknown_word=origin) == (1, [("after-gap", 1)])
    assert judge([], "after-gap") == (1, [])
    assert rule(case(full=None)).inconclusive
    # Frames without ids have nothing to be replayed.
    assert said(rule(case())) == (1, [])
    assert said(rule(case(seen={"other": transcript({**connected(), "_sse_id": "x"})}))) == (0, [])
    assert said(rule(case(seen={"other": transcript(connected()), "silent": transcript()}))) == (2, [])
