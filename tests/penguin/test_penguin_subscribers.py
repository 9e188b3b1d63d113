"""PG-FAN, PG-CONC and PG-REC without a cursor, exactly: which stream differs, at which event, how much was compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.penguin import CONTROL, FAN_OUT, FULL, LOST, TOGETHER
from conformance.profile import Profile
from conformance.rules.base import Case, checks
from conformance.script import ModelTurn, Script, ToolCall, say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, connected, encode, profile_of

Places = list[tuple[str, int | None]]


def transcript(*events: Event, status: int = 200) -> Transcript:
    return Transcript(
        Request("GET", "http://127.0.0.1:1/api/v1/events/sse"),
        0.0,
        Head(0.0, status, "OK", "1.1", HEADERS),
        (Chunk(0.1, encode(events)),) if events else (),
        Ended.CLOSED_BY_US,
        99.0,
    )


def judge(
    row: str, probe: str, seen: dict[str, Transcript], *actions: Action, profile: Profile | None = None
) -> tuple[int, Places]:
    case = Case(Observation(probe, profile or profile_of(), tuple(seen.items()), actions))
    (found,) = (each for each in checks("penguin") if each.requirement == row and probe in each.probes)
    judgement = found.judge(case)
    return judgement.judged, [(each.role, each.event) for each in judgement.findings]


def said(text: str, session: str = "s", *, message: str = "m", name: str = "p", **more: Any) -> Event:
    part = {"id": name, "messageID": message, "sessionID": session, "type": "text", "text": text}
    return {
        "type": "message.part.updated",
        "properties": {"part": part, "delta": text, "sessionID": session},
        **more,
    }


def bare(text: str) -> Event:
    return {
        "type": "message.part.updated",
        "properties": {"part": {"type": "text", "text": text}, "delta": text},
    }


def renamed(title: str, session: str = "s") -> Event:
    return {"type": "session.updated", "properties": {"info": {"id": session, "title": title}}}


def made(*sessions: str) -> list[Action]:
    return [Action(0.5, "create-session", status=200, answer={"id": name}, until=0.6) for name in sessions]


# ---- fan-out

A, B, C = (said(text) for text in "abc")


@pytest.mark.parametrize(
    ("other", "result"),
    [
        ([A, B, C], (3, [])),
        ([A, C, B], (3, [2])),
        ([A, B], (3, [2])),
        ([A], (3, [1])),
        ([], (3, [None])),
        ([A, B, C, A], (3, [4])),
        ([A, B, said("x")], (3, [3])),
        ([A, said("x", "t"), B, C], (3, [])),  # another session's
    ],
)
def test_two_subscribers(other: list[Event], result: tuple[int, list[int | None]]) -> None:
    seen = {"all-1": transcript(connected(), A, B, C), "all-2": transcript(connected(), *other)}
    judged, places = judge("PG-FAN-01a", FAN_OUT, seen, *made("s"))
    assert (judged, [event for _, event in places]) == result
    assert {role for role, _ in places} <= {"all-2"}


def test_what_comes_after_the_last_common_fence_is_not_compared() -> None:
    first = transcript(connected(), A, renamed("1"), B)
    for other in ([A, renamed("1"), C], [A, renamed("1")], [A, renamed("1"), renamed("2")]):
        seen = {"all-1": first, "all-2": transcript(connected(), *other)}
        assert judge("PG-FAN-01a", FAN_OUT, seen, *made("s"))[1] == []


def test_subscribers_of_one_filter_are_compared_each_with_the_first() -> None:
    good, bad = transcript(connected(), A, B), transcript(connected(), B, A)
    seen = {
        "all-1": good,
        "all-2": good,
        "only-1": good,
        "only-2": bad,
        "only-3": bad,
        "single-1": bad,
        "page": good,
    }
    judged, places = judge("PG-FAN-01a", FAN_OUT, seen, *made("s", "t"))
    assert (judged, places) == (6, [("only-2", 1), ("only-3", 1)])
    assert judge("PG-FAN-01a", FAN_OUT, seen) == (0, [])  # nothing is known to be ours
    odd = [*made("s"), Action(0.7, "create-session", status=500, answer="no", until=0.8)]
    assert judge("PG-FAN-01a", FAN_OUT, seen, *odd)[0] == 6


def test_events_without_sessions_are_all_compared() -> None:
    a, b = bare("a"), bare("b")
    first = {"profile": profile_of("penguin/1")}
    for prefix, places in (("all", []), ("only", [("only-2", 1)])):
        seen = {f"{prefix}-1": transcript(connected(), a, b), f"{prefix}-2": transcript(connected(), b, a)}
        assert judge("PG-FAN-01a", FAN_OUT, seen, *made("s"), **first) == (2, places)
    seen = {"all-1": transcript(connected(), a, b), "all-2": transcript(connected(), a)}
    assert judge("PG-FAN-01a", FAN_OUT, seen, *made("s"), **first)[1] == [("all-2", 1)]


def test_order_across_sessions() -> None:
    x, y = said("x", "t"), said("y", "u")
    first = transcript(connected(), A, x, B)
    for other, result in (
        ([A, x, B], (3, [])),
        ([A, B, x], (3, [2])),
        ([x, A, B], (3, [1])),
        ([B, x, A], (0, [])),  # they differ within a session: another row's business
        ([A, y, x, B], (3, [])),  # what is not ours
    ):
        seen = {"all-1": first, "all-2": transcript(connected(), *other), "all-3": first}
        judged, places = judge("PG-FAN-01b", FAN_OUT, seen, *made("s", "t"))
        assert (judged - 3, [event for _, event in places]) == result


# ---- two sessions at once

ONE = Script(
    (ModelTurn(reasoning=("hm ",), text=("a-words ",), tools=(ToolCall("read_file", {"path": "first-a.txt"}),)),
     ModelTurn(text=("end a",))),
)  # fmt: skip
TWO = Script((ModelTurn(reasoning=("so ",), text=("b-words",)),))


def thought(text: str, session: str, name: str) -> Event:
    event = said(text, session, name=name, message=f"m{session}")
    event["properties"]["part"]["type"] = "reasoning"
    return event


def called(path: str, session: str, name: str = "t") -> Event:
    state = {"status": "completed", "input": {"path": path}}
    part = {
        "id": f"{name}{session}",
        "messageID": f"m{session}",
        "sessionID": session,
        "type": "tool",
        "state": state,
    }
    return {"type": "message.part.updated", "properties": {"part": part, "sessionID": session}}


def spoken(session: str, *texts: str) -> list[Event]:
    return [said(text, session, message=f"m{session}", name=f"p{session}{n}") for n, text in enumerate(texts)]


OF_A = [thought("hm ", "s", "rs"), *spoken("s", "a-words ", "end a"), called("first-a.txt", "s")]
OF_B = [thought("so ", "t", "rt"), *spoken("t", "b-words")]
TEXT_A, TEXT_B = len("a-words end a"), len("b-words")
IDS_A, IDS_B = 4, 2


def together(
    a: list[Event], b: list[Event], control: list[Event], profile: Profile | None = None
) -> tuple[int, Places]:
    seen = {"a": transcript(*a), "b": transcript(*b), CONTROL: transcript(*control), "other": transcript(*b)}
    acted = [
        Action(1.0, "prompt", session="s", stream="a", script=ONE, status=200, until=2.0),
        Action(1.1, "prompt", session="t", stream="b", script=TWO, status=200, until=2.0),
    ]
    return judge("PG-CONC-01", TOGETHER, seen, *acted, profile=profile)


ALL = 2 * (IDS_A + 1 + TEXT_A + IDS_B + 1 + TEXT_B)


def test_sessions_that_do_not_mix() -> None:
    assert together(OF_A, OF_B, [*OF_A, *OF_B]) == (ALL, [])
    interleaved = [OF_A[0], OF_B[0], OF_A[1], OF_B[1], *OF_A[2:]]
    assert together(OF_A, OF_B, interleaved) == (ALL, [])


def test_words_of_another_session() -> None:
    control = [*OF_A, *OF_B]
    lost = [event for event in OF_A if event != OF_A[2]]
    assert together(lost, OF_B, control)[1] == [("a", None)]
    assert together(OF_A, OF_B[:1], control)[1] == [("b", None)]
    assert together(OF_A, OF_B, [*lost, *OF_B])[1] == [(CONTROL, None)]
    assert together(OF_A[1:], OF_B, control)[1] == [("a", None)]  # reasoning
    mute = replace(profile_of(), capabilities=replace(profile_of().capabilities, reasoning=False))
    assert together(OF_A[1:], OF_B, control, mute)[1] == []
    foreign = [*OF_B, called("first-a.txt", "t"), called("second-a.txt", "t", "u")]
    assert together(OF_A, foreign, control)[1] == [("b", 2)]
    assert together(OF_A, OF_B, [*OF_A, *foreign])[1] == [(CONTROL, 6)]
    assert together([*OF_A, called("second-b.txt", "")], OF_B, control)[1] == [("a", 4)]


def test_a_stream_that_did_not_come_excuses_no_other() -> None:
    mixed = [*OF_B, called("first-a.txt", "t")]
    seen = {"a": replace(transcript(), head=None), "b": transcript(*mixed)}
    prompts = [
        Action(1.0, "prompt", session="s", stream="a", script=ONE, status=200, until=2.0),
        Action(1.1, "prompt", session="t", stream="b", script=TWO, status=200, until=2.0),
    ]
    assert judge("PG-CONC-01", TOGETHER, seen, *prompts)[1] == [("b", 2)]


def test_an_id_in_two_sessions() -> None:
    both = {**OF_B[1], "properties": {**OF_B[1]["properties"]}}
    both["properties"]["part"] = {**both["properties"]["part"], "id": "ps0"}
    judged, places = together(OF_A, OF_B, [*OF_A, OF_B[0], both])
    assert places == [(CONTROL, 5)]
    announced = [
        {"type": "message.updated", "properties": {"id": "m", "role": "assistant", "sessionID": session}}
        for session in ("s", "t", "t", "s")
    ]
    judged, places = together([*OF_A, *announced], OF_B, [*OF_A, *OF_B])
    assert places == [("a", 5), ("a", 7)]
    assert judged == ALL + 1


def test_without_names_the_control_stream_cannot_be_told_apart() -> None:
    texts = [bare("a-words end a")], [bare("b-words")]
    first = profile_of("penguin/1")
    first = replace(first, capabilities=replace(first.capabilities, reasoning=False))
    assert together(texts[0], texts[1], [*texts[0], *texts[1]], first) == (1 + TEXT_A + 1 + TEXT_B, [])
    assert together(texts[1], texts[1], [], first)[1] == [("a", None)]


# ---- a new connection

WHOLE = [connected(), *(said(text, name=text, id=f"e{text}") for text in "abcd"), renamed("1")]


def lost(
    second: list[Event], third: list[Event], *, resume: bool = False, full: bool = True, **asked: Any
) -> dict[str, Any]:
    profile = profile_of()
    profile = replace(profile, capabilities=replace(profile.capabilities, resume=resume))
    seen = {"first": transcript(*WHOLE[:2]), "second": transcript(*second), "third": transcript(*third)}
    if full:
        seen[FULL] = transcript(*WHOLE)
    prompt = Action(5.0, "prompt", session="s", stream="third", script=say("d"), status=200, until=6.0)
    prompt = replace(prompt, **asked)
    return {row: judge(row, LOST, seen, prompt, profile=profile) for row in ("PG-REC-01", "PG-REC-06")}


def test_a_new_connection() -> None:
    assert lost([connected(), *WHOLE[2:4]], [connected(), *WHOLE[4:]]) == {
        "PG-REC-01": (3, []),
        "PG-REC-06": (3, []),
    }
    assert lost([connected()], [connected(), *WHOLE[3:]])["PG-REC-06"] == (2, [])  # nothing to be repeated


@pytest.mark.parametrize(
    ("second", "third", "places"),
    [
        (WHOLE[2:4], [connected(), *WHOLE[4:]], [("second", None)]),
        ([], [connected(), *WHOLE[4:]], [("second", None)]),
        ([connected()], WHOLE[4:], [("third", None)]),
        ([connected()], [connected(), WHOLE[2], *WHOLE[4:]], [("third", 1)]),  # c is lost
        ([connected()], [connected(), renamed("1")], [("third", None)]),  # its own turn is
        ([connected()], [], [("third", None)]),
    ],
)
def test_a_new_connection_that_misses_something(
    second: list[Event], third: list[Event], places: Places
) -> None:
    assert lost(second, third)["PG-REC-01"][1] == places


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("after one, after bad.", "differs from character 17 on: "),
        ("of the turn before. after one, after bad.", "differs from character 17 on: "),
        ("nothing of it", "differs from character 0 on (13 characters instead of 21): "),
    ],
)
def test_a_turn_that_is_not_whole_is_compared_from_where_it_begins(shown: str, told: str) -> None:
    script = say("after one, after two.")
    prompt = Action(5.0, "prompt", session="s", stream="third", script=script, status=200, until=6.0)
    seen = {role: transcript(connected(), said(shown)) for role in (FULL, "second", "third")}
    case = Case(Observation(LOST, profile_of(), tuple(seen.items()), (prompt,)))
    (check,) = (each for each in checks("penguin") if each.requirement == "PG-REC-01")
    (found,) = check.judge(case).findings
    assert found.observed.startswith(f"the text {told}")


def test_a_turn_that_is_not_known_or_not_over_need_not_be_whole() -> None:
    untold = [connected()], [connected(), renamed("1")]
    for asked in ({"script": None}, {"until": None}, {"stream": "second"}):
        assert lost(*untold, **asked)["PG-REC-01"][1] == []


def test_what_a_new_connection_shows_again() -> None:
    again = [connected(), WHOLE[2], WHOLE[1]]
    assert lost(again, [connected(), *WHOLE[4:]])["PG-REC-06"] == (3, [("second", 2)])
    assert lost([connected(), WHOLE[2]], [connected(), WHOLE[2], *WHOLE[4:]])["PG-REC-06"] == (
        3,
        [("third", 1)],
    )
    assert lost([connected(), WHOLE[2]], [connected(), WHOLE[1], *WHOLE[4:]])["PG-REC-06"] == (
        3,
        [("third", 1)],
    )
    assert lost(again, [connected(), *WHOLE[4:]], resume=True)["PG-REC-06"] == (0, [])
    # Without an id and without words of its own an event may look like an older one.
    status = {"type": "session.status", "properties": {"sessionID": "s", "status": {"type": "busy"}}}
    assert lost([connected(), status], [connected(), status, *WHOLE[4:]])["PG-REC-06"][1] == []
