"""PG-FLT, exactly: which filtered stream is wrong and where, how much was compared, and what proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.findings import Judgement
from conformance.penguin import AGENTS, DIRECTORIES, FILTERS, OTHER_AGENT
from conformance.profile import Profile
from conformance.rules import penguin_filters as rules
from conformance.rules.base import Case
from conformance.rules.penguin_bindings import (
    does_directory_filter,
    nothing_of_another_directory,
    subscribing_changes_nothing,
)
from conformance.script import say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, connected, encode, gap, profile_of

SSE = "http://127.0.0.1:1/api/v1/events/sse"
Places = list[tuple[str, int | None]]


def transcript(*events: Event, status: int = 200, query: str = "") -> Transcript:
    head = Head(0.0, status, "", "1.1", HEADERS)
    chunks = (Chunk(0.1, encode(events)),) if events else ()
    return Transcript(Request("GET", SSE + query), 0.0, head, chunks, Ended.CLOSED_BY_US, 99.0)


def said(text: str, session: str, agent: str = "", message: str = "", **more: Any) -> Event:
    part = {"id": text, "type": "text", "text": text, "messageID": message or f"m{session}"}
    labels = {"sessionID": session} | ({"agentID": agent} if agent else {})
    return {"type": "message.part.updated", "properties": {"part": part, **labels}, **more}


def announced(session: str, agent: str, role: str = "assistant", name: str = "") -> Event:
    labels = {"sessionID": session, "agent": agent}
    return {"type": "message.updated", "properties": {"id": name or f"m{session}", "role": role, **labels}}


def status(session: str) -> Event:
    return {"type": "session.status", "properties": {"sessionID": session, "status": {"type": "busy"}}}


A = [announced("a", "default"), said("one", "a"), said("two", "a"), status("a")]
B = [announced("b", OTHER_AGENT), said("eins", "b"), status("b")]
ALL = [connected(), A[0], B[0], A[1], B[1], A[2], B[2], A[3]]
NONE = [connected()]


def case(
    probe: str = FILTERS, *, spoke: str = "ab", profile: Profile | None = None, **seen: Transcript
) -> Case:
    roles = {role.replace("_", "-"): made for role, made in seen.items()}
    agents = {"a": "default", "b": OTHER_AGENT}
    acted = tuple(
        Action(1.0, "prompt", session=name, agent=agents[name], script=say("x"), status=200, until=2.0)
        for name in spoke
    )
    facts = (("session-a", "a"), ("session-b", "b"), ("bound", True))
    return Case(Observation(probe, profile or profile_of(), tuple(roles.items()), acted, facts))


def places(judgement: Judgement) -> tuple[int, Places]:
    return judgement.judged, [(found.role, found.event) for found in judgement.findings]


WHOLE = transcript(*ALL)
PAGE = transcript(*ALL, status=404)


# ---- by session


@pytest.mark.parametrize(
    ("only_a", "only_b", "leaks", "misses"),
    [
        ([*NONE, *A], [*NONE, *B], (7, []), (7, [])),
        ([*NONE, *A, B[1]], [*NONE, *B], (7, [("only-a", 5)]), (7, [])),
        ([*NONE, *A], [*NONE, A[1], *B, A[3]], (7, [("only-b", 1), ("only-b", 5)]), (7, [])),
        ([*NONE, *A[1:]], [*NONE, *B], (7, []), (7, [("only-a", None)])),
        ([*NONE, *A], [*NONE, B[0], B[2]], (7, []), (7, [("only-b", None)])),
        ([*NONE, gap("x"), *A, {"no": "type"}], [*NONE, *B], (7, []), (7, [])),
    ],
)
def test_a_filter_by_session(
    only_a: list[Event], only_b: list[Event], leaks: tuple[int, Places], misses: tuple[int, Places]
) -> None:
    of = case(control=WHOLE, only_a=transcript(*only_a), only_b=transcript(*only_b))
    assert places(rules.nothing_of_another_session(of)) == leaks
    assert places(rules.everything_of_its_session(of)) == misses


def test_what_cannot_be_compared_does_not_excuse_the_rest() -> None:
    bad = transcript(*NONE, *B, A[1])
    for first in (None, PAGE):
        seen = {"control": WHOLE, "only_b": bad} | ({} if first is None else {"only_a": first})
        assert places(rules.nothing_of_another_session(case(**seen))) == (4, [("only-b", 4)])
    cut = case(control=WHOLE, only_b=transcript(*NONE, B[0]))  # what follows may be on its way
    assert places(rules.everything_of_its_session(cut)) == (1, [])
    lacking = transcript(*NONE, B[0], B[2])
    assert places(rules.everything_of_its_session(case(control=WHOLE, only_a=PAGE, only_b=lacking))) == (
        3,
        [("only-b", None)],
    )
    for control in (PAGE, transcript(*NONE)):
        of = case(control=control, only_a=transcript(*NONE, *A))
        assert rules.everything_of_its_session(of).inconclusive
        assert rules.nothing_of_another_session(of).inconclusive
    assert places(rules.everything_of_its_session(case(control=PAGE, only_a=transcript(*NONE, *A)))) == (
        0,
        [],
    )


def test_the_alias() -> None:
    good, leaks, lacks = (transcript(*NONE, *each) for each in (A, [*A, B[1]], A[1:]))
    assert places(rules.alias(case(control=WHOLE, alias_a=good))) == (4, [])
    assert places(rules.alias(case(control=WHOLE, alias_a=leaks))) == (4, [("alias-a", 5)])
    assert places(rules.alias(case(control=WHOLE, alias_a=lacks))) == (4, [("alias-a", None)])
    for of in (case(control=WHOLE), case(control=WHOLE, alias_a=PAGE)):
        assert rules.alias(of).not_applicable
        assert places(rules.alias(of)) == (0, [])


def test_labels_of_any_stream_that_asked_for_a_session() -> None:
    asked = "?session_id=a"
    seen = {
        "plain": transcript(*ALL),
        "empty": transcript(*ALL, query="?session_id="),
        "good": transcript(*NONE, *A, {"type": "x"}, query=asked),
        "bad": transcript(*NONE, A[0], B[0], B[1], query=asked),
        "frames": transcript(*NONE, {**gap("x"), "properties": {"sessionID": "b"}}, query=asked),
    }
    judgement = rules.no_other_label(case("text", **seen))
    assert places(judgement) == (5 + 2, [("bad", 2)])


# ---- by agent


def test_a_filter_by_agent() -> None:
    own, other = [A[0], A[1], A[2]], [B[0], B[1]]
    good = case(AGENTS, control=WHOLE, agent=transcript(*NONE, *own), other_agent=transcript(*NONE, *other))
    assert places(rules.agent_filter(good)) == (3 + 3 + 4 + 2, [])
    leaks = case(AGENTS, control=WHOLE, agent=transcript(*NONE, *own, B[1]))
    assert places(rules.agent_filter(leaks)) == (3 + 3, [("agent", 4)])
    lacks = case(AGENTS, control=WHOLE, other_agent=transcript(*NONE, B[0]), agent=PAGE)
    assert places(rules.agent_filter(lacks)) == (4 + 1, [])
    lacks = case(
        AGENTS, control=WHOLE, agent=transcript(*NONE, A[0], A[2]), other_agent=transcript(*NONE, *other)
    )
    assert places(rules.agent_filter(lacks)) == (3 + 3 + 4 + 2, [("agent", None)])
    # Session state belongs to no agent: it may pass or not.
    state = case(AGENTS, control=WHOLE, agent=transcript(*NONE, *own, A[3], B[2]))
    assert places(rules.agent_filter(state))[1] == []


def test_a_target_without_a_second_agent() -> None:
    control = transcript(*NONE, *A)
    of = case(AGENTS, spoke="a", control=control, other_agent=transcript(*NONE, A[1]))
    assert places(rules.agent_filter(of)) == (0, [])
    assert places(rules.unknown_filter_shows_nothing(of)) == (4, [("other-agent", 1)])
    quiet = case(AGENTS, spoke="a", control=control, other_agent=transcript(*NONE, A[3]))
    assert places(rules.unknown_filter_shows_nothing(quiet)) == (4, [])
    its_own = case(AGENTS, spoke="a", control=control, other_agent=transcript(*NONE, B[0]))
    assert places(rules.unknown_filter_shows_nothing(its_own)) == (4, [])
    both = case(AGENTS, control=WHOLE, other_agent=transcript(*NONE, A[1]))
    assert places(rules.unknown_filter_shows_nothing(both)) == (0, [])  # PG-FLT-03 judges it


def test_unknown_filters() -> None:
    for status_, judged in ((404, 1), (500, 0), (403, 0)):
        made = transcript(*ALL, status=status_)
        of = case(control=WHOLE, unknown_session=made, unknown_agent=transcript(*NONE))
        assert places(rules.unknown_filter_shows_nothing(of)) == (judged + 7, [])
    silent = replace(PAGE, head=None)
    assert places(rules.unknown_filter_shows_nothing(case(control=WHOLE, unknown_session=silent))) == (0, [])
    leaks = case(
        control=WHOLE, unknown_session=transcript(*NONE, B[2]), unknown_agent=transcript(*NONE, B[2], B[1])
    )
    assert places(rules.unknown_filter_shows_nothing(leaks)) == (
        14,
        [("unknown-session", 1), ("unknown-agent", 2)],
    )


# ---- labels


def relabelled(event: Event, **labels: Any) -> Event:
    return {**event, "properties": {**event["properties"], **labels}}


@pytest.mark.parametrize(
    ("events", "result"),
    [
        (A, (4, [])),
        ([A[0], relabelled(A[1], sessionID="b"), relabelled(A[2], sessionID="b")], (2, [("only-a", 2)])),
        ([A[0], relabelled(A[1], sessionID="")], (2, [])),  # a label that is not there is no lie
        ([A[0], relabelled(A[1], agentID="default")], (2, [])),  # nor is one that is true
        ([A[0], relabelled(A[1], agentID="other")], (2, [("only-a", 2)])),
        ([relabelled(A[0], agent="other"), A[1]], (1, [("only-a", 1)])),
        ([relabelled(A[0], agent=7), A[1]], (2, [])),
        ([said("new", "b"), A[1]], (1, [])),  # what only this stream shows
    ],
)
def test_filters_never_relabel(events: list[Event], result: tuple[int, Places]) -> None:
    seen = {"control": WHOLE, "only_a": transcript(*NONE, *events)}
    assert places(rules.filters_never_relabel(case(**seen))) == result
    full = {"full": WHOLE, "only_a": seen["only_a"]}
    assert places(rules.filters_never_relabel(case(**full))) == result
    more = rules.filters_never_relabel(case(first=transcript(*NONE, *A), **seen))
    assert places(more) == (result[0] + 4, result[1])


def test_without_a_control_stream_no_label_is_known() -> None:
    for seen in ({"only_a": WHOLE}, {"control": PAGE, "only_a": WHOLE}):
        judgement = rules.filters_never_relabel(case(**seen))
        assert (places(judgement), bool(judgement.inconclusive)) == ((0, []), True)


def test_an_event_that_the_control_stream_shows_with_two_labels_may_have_either() -> None:
    twice = transcript(*ALL, relabelled(A[1], sessionID="b"))
    either = transcript(*NONE, relabelled(A[1], sessionID="b"))
    assert places(rules.filters_never_relabel(case(control=twice, only_a=either))) == (1, [])


# ---- together


def test_filters_combine_by_and() -> None:
    good = {
        "control": WHOLE,
        "a_and_agent": transcript(*NONE, *A[:3]),
        "a_and_other": transcript(*NONE, A[3]),
    }
    assert places(rules.filters_combine_by_and(case(AGENTS, **good))) == (3 + 4 + 4, [])
    for role, events, found in (
        ("a_and_agent", [*A[:3], B[1]], [("a-and-agent", 4)]),
        ("a_and_agent", [A[0], A[2]], [("a-and-agent", None)]),
        ("a_and_other", [A[1]], [("a-and-other", 1)]),
        ("a_and_other", [A[3], B[1]], [("a-and-other", 2)]),
    ):
        of = case(AGENTS, **good | {role: transcript(*NONE, *events)})
        assert places(rules.filters_combine_by_and(of))[1] == found
    refused = case(AGENTS, **good | {"a_and_agent": PAGE})
    assert places(rules.filters_combine_by_and(refused)) == (4, [])


def test_a_session_in_another_directory() -> None:
    def judge(*events: Event, **more: Any) -> tuple[int, Places]:
        of = case(DIRECTORIES, control=WHOLE, a_in_b=transcript(*NONE, *events), **more)
        return places(rules.filters_combine_by_and(of))

    assert judge() == (4, [])
    assert judge(A[1]) == (4, [("a-in-b", 1)])
    assert judge(B[1]) == (4, [("a-in-b", 1)])
    assert judge(said("x", "c")) == (4, [])
    assert judge(A[1], profile=profile_of("penguin/1")) == (0, [])
    unbound = case(DIRECTORIES, control=WHOLE, a_in_b=transcript(*NONE, A[1]))
    unbound = Case(replace(unbound.observation, facts=unbound.observation.facts[:2]))
    assert places(rules.filters_combine_by_and(unbound)) == (0, [])


def test_parameters_that_are_empty_or_unknown() -> None:
    good = {"control": WHOLE, "empty": WHOLE, "unknown_parameter": WHOLE}
    assert places(rules.empty_and_unknown_parameters(case(**good))) == (14, [])
    for role, name in (("empty", "empty"), ("unknown_parameter", "unknown-parameter")):
        for made in (PAGE, transcript(*NONE, *A[1:], *B)):
            _, found = places(rules.empty_and_unknown_parameters(case(**good | {role: made})))
            assert found == [(name, None)]
    both = case(control=WHOLE, empty=PAGE, unknown_parameter=PAGE)
    assert places(rules.empty_and_unknown_parameters(both)) == (
        0,
        [("empty", None), ("unknown-parameter", None)],
    )
    assert places(rules.empty_and_unknown_parameters(case(control=WHOLE, unknown_parameter=WHOLE))) == (7, [])
    assert places(rules.empty_and_unknown_parameters(case(empty=PAGE))) == (0, [])


# ---- directories, and what subscribing does


def test_directories() -> None:
    good = {"control": WHOLE, "in_a": transcript(*NONE, *A), "in_b": transcript(*NONE, *B)}
    assert places(nothing_of_another_directory(case(DIRECTORIES, **good))) == (7, [])
    leaks = case(DIRECTORIES, **good | {"in_b": transcript(*NONE, *B, A[1])})
    assert places(nothing_of_another_directory(leaks)) == (7, [("in-b", 4)])
    for first in ({}, {"in_a": PAGE}):
        of = case(DIRECTORIES, control=WHOLE, in_b=transcript(*NONE, A[1]), **first)
        assert places(nothing_of_another_directory(of)) == (4, [("in-b", 1)])
    said_of_it = does_directory_filter(case(DIRECTORIES, **good))
    assert (said_of_it.judged, said_of_it.notes) == (7, ("directory filters",))
    assert does_directory_filter(leaks).notes == ("directory does not filter",)
    unbound = Case(replace(leaks.observation, facts=leaks.observation.facts[:2]))
    for rule in (nothing_of_another_directory, does_directory_filter):
        assert rule(unbound).not_applicable
        assert places(rule(unbound)) == (0, [])
    little = case(DIRECTORIES, control=transcript(*NONE), in_a=transcript(*NONE, *A))
    assert nothing_of_another_directory(little).inconclusive


def listed(before: Any, after: Any, *made: str) -> tuple[int, int]:
    actions = (
        Action(1.0, "call", note="sessions before", answer=before),
        *(Action(0.5, "create-session", answer={"id": name}) for name in made),
        Action(2.0, "call", note="sessions after", answer=after),
    )
    judgement = subscribing_changes_nothing(Case(Observation(FILTERS, profile_of(), (), actions)))
    assert bool(judgement.not_applicable) is (not isinstance(before, list) or not isinstance(after, list))
    return judgement.judged, len(judgement.findings)


def test_subscribing_changes_no_session() -> None:
    mine, other = {"id": "a", "title": "x"}, {"id": "z", "title": "y"}
    asked = {"id": "sse_conformance-unknown", "title": ""}
    assert listed([mine, other], [mine, other], "a") == (2, 0)
    assert listed([mine], [{**mine, "title": "new"}], "a") == (1, 1)
    assert listed([mine], [], "a") == (1, 1)
    assert listed([], [mine], "a") == (0, 1)
    assert listed([mine, other], [mine, {**other, "title": "new"}], "a") == (2, 0)  # other people's
    assert listed([mine, other], [mine], "a") == (2, 0)
    assert listed([other, mine], [other], "a") == (2, 1)
    theirs, renamed = {"id": "0"}, {"id": "0", "title": "new"}
    assert listed([theirs, mine], [renamed], "a") == (2, 1)  # … which excuse nothing of ours
    assert listed([mine], [mine, asked], "a") == (1, 1)  # it was made by asking for it
    for looked in ({"time": {"updated": 2}}, {"lastSeen": "now"}, {"clients": [1]}, {"count": 5}):
        assert listed([mine], [{**mine, **looked}], "a") == (1, 0)
    for changed in ({"archived": True}, {"meta": {"name": "x"}}, {"tags": ["x"]}):
        assert listed([mine], [{**mine, **changed}], "a") == (1, 1)
    assert listed(
        [{**mine, "meta": {"seen": "1", "n": 1}}], [{**mine, "meta": {"seen": "2", "n": 2}}], "a"
    ) == (1, 0)
    for odd in (None, {}, "x"):
        assert listed(odd, [mine], "a") == (0, 0)
        assert listed([mine], odd, "a") == (0, 0)
