"""Whose an event is, where filters are judged: by the control stream, by labels, by words."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.penguin import CONTROL, FILTERS, FULL
from conformance.rules._penguin import live
from conformance.rules._penguin_filters import foreign, missing, passed, unlabelled
from conformance.rules._penguin_marks import Ledger
from conformance.rules.base import Case, Stream
from conformance.script import say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, connected, encode, profile_of


def spoken(
    text: str, session: str = "", *, message: str = "", agent: str = "", named: str = "", part: str = "p"
) -> Event:
    shown: Event = {"id": part, "type": "text", "text": text}
    if message:
        shown["messageID"] = message
    if agent:
        shown["agentID"] = agent
    properties: Event = {"part": shown, **({"sessionID": session} if session else {})}
    return {"type": "message.part.updated", "properties": properties, **({"id": named} if named else {})}


def announced(message: str, role: str, session: str = "", agent: str = "", named: str = "") -> Event:
    properties = {"id": message, "role": role, "sessionID": session, "agent": agent}
    return {"type": "message.updated", "properties": properties, **({"id": named} if named else {})}


def exchange(*events: Event, status: int = 200) -> Transcript:
    return Transcript(
        Request("GET", "http://127.0.0.1:1/api/v1/events/sse"),
        0.0,
        Head(0.0, status, "OK", "1.1", HEADERS),
        (Chunk(0.1, encode(events)),),
        Ended.CLOSED_BY_US,
        10.0,
    )


def case(control: Transcript | None, *, role: str = CONTROL, spoke: dict[str, str] | None = None) -> Case:
    speaks = {"s1": "default", "s2": "other"} if spoke is None else spoke
    prompts = tuple(
        Action(1.0, "prompt", session=session, agent=agent, script=say("x"), status=200, until=2.0)
        for session, agent in speaks.items()
    )
    made = () if control is None else ((role, control),)
    return Case(Observation(FILTERS, profile_of(), made, prompts, (("session-a", "s1"), ("session-b", "s2"))))


def one(event: Event) -> Any:
    (message,) = live(Stream("x", exchange(event), profile_of()))
    return message


CONTROLLED = [
    connected(),
    announced("user", "user", "s1", named="e1"),
    announced("m1", "assistant", "s1", "default", named="e2"),
    announced("m2", "assistant", "s2", "other", named="e3"),
    announced("m3", "assistant", "s2", named="e4"),
    spoken("b-first", "s2", message="m2", named="e5"),
    spoken("hello", named="e6"),
]


@pytest.mark.parametrize(
    ("event", "owner"),
    [
        (spoken("a-first", "s1", message="m1", named="e5"), "s2"),  # the control stream says so
        (spoken("a-first", "s1", message="m2"), "s2"),  # the message is of that session
        (spoken("b-first", "s1", message="m9"), "s2"),  # the words are
        (spoken("a-second", "s2"), "s1"),
        (spoken("a-first b-first", "s2"), "s2"),  # of both: then it is what it says of itself
        (spoken("a-firsts xb-first", "s1"), "s1"),
        (spoken("hello", "s1"), "s1"),
        (spoken("hello", "s1", named="e6"), "s1"),  # the control stream does not know either
        (spoken("hello"), ""),
        ({"type": "session.status", "properties": {"sessionID": "s2"}}, "s2"),
        ({"type": "session.status", "properties": {}, "id": 7}, ""),
    ],
)
def test_the_session_that_an_event_is_of(event: Event, owner: str) -> None:
    assert Ledger(case(exchange(*CONTROLLED))).whose(one(event)) == owner


@pytest.mark.parametrize(
    ("event", "agent"),
    [
        (announced("m1", "assistant", "s1", "liar"), "default"),
        (announced("m9", "assistant", "s1", "someone"), "someone"),
        (announced("m9", "assistant", "s2"), "other"),  # who was prompted there speaks
        (announced("m3", "assistant", "s2", "liar"), "other"),
        (announced("m9", "assistant"), ""),
        (announced("user", "user", "s1", "default"), ""),
        (spoken("x", "s1", message="m2"), "other"),
        (spoken("x", "s1", message="m3"), "other"),
        (spoken("x", "s1", message="user"), ""),
        (spoken("a-first", "s1", message="m9"), "default"),
        (spoken("hello", "s1", message="m9"), ""),  # nobody knows whose words these are
        (spoken("[[script a-first", "s1", message="m9"), ""),  # a prompt
        ({"type": "session.status", "properties": {"sessionID": "s1"}}, ""),
    ],
)
def test_the_agent_whose_output_an_event_is(event: Event, agent: str) -> None:
    assert Ledger(case(exchange(*CONTROLLED))).agent_of(one(event)) == agent


def test_what_the_control_stream_shows_is_counted() -> None:
    ledger = Ledger(case(exchange(*CONTROLLED)))
    assert (ledger.count("s1"), ledger.count("s2"), ledger.count("s3"), ledger.total) == (2, 3, 0, 5)
    assert (ledger.count_agent("default"), ledger.count_agent("other"), ledger.count_agent("x")) == (2, 3, 0)
    assert ledger.agents == ("default", "other")
    assert Ledger(case(exchange(*CONTROLLED), role=FULL)).total == 5
    assert Ledger(case(exchange(*CONTROLLED), spoke={})).agents == ()


@pytest.mark.parametrize(
    ("control", "spoke", "enough"),
    [
        (exchange(*CONTROLLED), None, True),
        (exchange(*CONTROLLED[:3]), None, False),
        (exchange(*CONTROLLED[:3]), {"s1": "default"}, True),  # nobody spoke in the other
        (exchange(*CONTROLLED[3:]), None, False),
        (exchange(), None, False),
        (exchange(*CONTROLLED, status=500), None, False),
        (None, None, False),
    ],
)
def test_a_control_stream_that_shows_too_little_proves_nothing(
    control: Transcript | None, spoke: dict[str, str] | None, enough: bool
) -> None:
    ledger = Ledger(case(control, spoke=spoke))
    assert bool(ledger.judge((), 3).inconclusive) is not enough
    assert ledger.judge((), 3).judged == 3
    found = ledger.case.exchanges[0].finding("x", expected="x", observed="x") if control else None
    if found is not None:  # what was found was found
        assert ledger.judge([found], 3).inconclusive == ""
        assert ledger.judge([found], 3).findings == (found,)


def test_a_prompt_that_was_refused_spoke_to_nobody() -> None:
    refused = Action(1.0, "prompt", session="s2", agent="other", status=404, until=2.0)
    of = Case(Observation(FILTERS, profile_of(), (), (refused,)))
    assert Ledger(of).agents == ()


# ---- a filtered stream beside the control stream


def stream(*events: Event, status: int = 200) -> Stream:
    return Stream("filtered", exchange(*events, status=status), profile_of())


def test_a_filter_passed_where_a_stream_came() -> None:
    assert passed(stream())
    assert not passed(stream(status=404))
    assert not passed(None)


def test_ten_events_that_do_not_belong_are_shown() -> None:
    many = [spoken(f"{n}", "s2") for n in range(12)]
    found = foreign(stream(connected(), *many), lambda message: True, "x", "x")
    assert [each.event for each in found] == list(range(1, 11))
    ledger = Ledger(case(exchange(*CONTROLLED)))
    (one_of_many,) = foreign(stream(*many[:2]), lambda m: "1" in str(m.body), "x", "x", ledger)
    assert one_of_many.event == 1
    assert foreign(stream(*many), lambda message: False, "x", "x") == []


A = [spoken(text, "s1", part=text) for text in ("one", "two", "three")]
B = [spoken(text, "s2", part=text) for text in ("eins", "zwei")]


def compared(filtered: list[Event], control: list[Event]) -> tuple[list[int | None], int]:
    found, judged = missing(
        stream(*filtered), stream(*control), lambda m: m.properties.get("sessionID") == "s1", "x", "x"
    )
    return [each.event for each in found], judged


@pytest.mark.parametrize(
    ("filtered", "control", "result"),
    [
        (A, [A[0], B[0], A[1], B[1], A[2]], ([], 3)),
        ([A[1], A[0], A[2]], A, ([], 3)),  # order is another row's business
        ([*B, *A], [*A, *B], ([], 3)),  # so is what does not belong
        (A[1:], A, ([None], 3)),
        ([A[0], A[2]], A, ([None], 3)),
        (A[:2], A, ([], 2)),  # the last may be on its way
        ([], A, ([None], 3)),
        ([A[0], A[0], *A[1:]], A, ([1], 1)),
        ([A[0], A[0], *A[1:]], [A[0], *A], ([], 3)),  # doubled by the server, not by the filter
        ([A[0], A[0], A[0], *A[1:]], [A[0], *A], ([2], 1)),
        ([B[0], B[0], *A], [*B, *A], ([], 3)),
    ],
)
def test_what_a_filter_lets_through(
    filtered: list[Event], control: list[Event], result: tuple[list[int | None], int]
) -> None:
    assert compared(filtered, control) == result


def test_a_filter_changes_no_content_but_may_change_labels() -> None:
    named = [spoken(text, "s1", named=f"e{text}") for text in ("one", "two")]
    relabelled = [spoken(text, "s1", agent="x", named=f"e{text}") for text in ("one", "two")]
    changed = [named[0], spoken("other", "s1", named="etwo")]
    assert compared(relabelled, named) == ([], 2)
    assert compared(changed, named) == ([1], 2)


def test_labels_are_no_content() -> None:
    plain, labelled = one(spoken("x")), one(spoken("x", "s1", agent="y"))
    assert unlabelled(plain) == unlabelled(labelled) != unlabelled(one(spoken("z")))
    assert unlabelled(one(spoken("x", named="e"))) == unlabelled(one(spoken("z", named="e"))) == "e"
    assert unlabelled(one({**spoken("x"), "id": 7})) != unlabelled(one({**spoken("z"), "id": 7}))
