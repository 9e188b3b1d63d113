"""What the Penguin rules compare by: which events two streams share, which turns a stream was there for."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.parts import GAP
from conformance.rules import _penguin as penguin
from conformance.rules import _penguin_beginnings
from conformance.rules._penguin_beginnings import Beginnings
from conformance.rules.base import Case, Stream, StreamContext
from conformance.script import say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, connected, encode, gap, profile_of, script_of

BUSY, IDLE = "busy", "idle"


def status(kind: str, session: str = "s1", **more: Any) -> Event:
    return {"type": "session.status", "properties": {"sessionID": session, "status": {"type": kind}}, **more}


def renamed(title: str, **more: Any) -> Event:
    info = {"id": "s1", "title": title}
    return {"type": "session.updated", "properties": {"sessionID": "s1", "info": info}, **more}


def said(text: str, **more: Any) -> Event:
    part = {"id": "p", "messageID": "m", "sessionID": "s1", "type": "text", "text": text}
    return {"type": "message.part.updated", "properties": {"part": part, "delta": text}, **more}


def numbered(order: int, stream: str = "s1", **more: Any) -> Event:
    return said(f"{stream} {order}", id=f"evt:session:{stream}:{order:08d}", order=order, time=order, **more)


def transcript(
    *events: Event | tuple[float, Event],
    opened: float = 0.0,
    until: float = 100.0,
    ended: Ended = Ended.CLOSED_BY_US,
    url: str = "http://127.0.0.1:1/api/v1/events/sse",
    sends: tuple[tuple[str, str], ...] = (),
    media: tuple[tuple[str, str], ...] = HEADERS,
) -> Transcript:
    timed = [each if isinstance(each, tuple) else (opened + 0.1, each) for each in events]
    chunks = tuple(Chunk(at, encode([event])) for at, event in timed)
    return Transcript(
        Request("GET", url, sends), opened, Head(opened, 200, "OK", "1.1", media), chunks, ended, until
    )


def stream(*events: Event, protocol: str = "penguin/2", **more: Any) -> Stream:
    return Stream("stream", transcript(*events, **more), profile_of(protocol))


def live(*events: Event) -> list[Any]:
    return penguin.live(stream(*events))


def shown(messages: list[Any]) -> list[str]:
    return [penguin.title_of(m) or penguin.shown_text(m).partition("\n")[0] for m in messages]


def prompt(at: float = 1.0, *, until: float | None = None, status: int | None = 200, **more: Any) -> Action:
    made = {"session": "s1", "stream": "stream", "script": say("Hi"), **more}
    return Action(at, "prompt", status=status, until=at + 1 if until is None else until, **made)


def case(made: Transcript, *actions: Action, protocol: str = "penguin/2") -> Case:
    return Case(Observation("text", profile_of(protocol), (("stream", made),), actions))


# ---- events


def test_the_order_of_members_makes_no_other_event() -> None:
    assert penguin.canonical({"a": 1, "b": [{"c": 2, "d": 3}]}) == penguin.canonical(
        {"b": [{"d": 3, "c": 2}], "a": 1}
    )
    assert penguin.canonical([1, 2]) != penguin.canonical([2, 1])


@pytest.mark.parametrize("named", [{}, {"id": ""}, {"id": 7}, {"id": None}])
def test_an_event_without_an_id_is_known_by_its_whole_value(named: Event) -> None:
    first, same, other = live(said("a", **named), said("a", **named), said("b", **named))
    assert penguin.identity(first) == penguin.identity(same) != penguin.identity(other)
    assert penguin.identity(first) == penguin.canonical(first.body)


def test_an_event_with_an_id_is_known_by_that() -> None:
    first, other = live(said("a", id="evt:1"), said("b", id="evt:1"))
    assert penguin.identity(first) == penguin.identity(other) == "evt:1"


def test_frames_of_one_connection_are_not_compared() -> None:
    assert shown(live(connected(), said("a"), gap("x"), {"no": "type"}, {"type": "ping"}, said("b"))) == [
        "a",
        "b",
    ]


@pytest.mark.parametrize(
    ("right", "ours", "theirs"),
    [
        ([said("a"), renamed("1"), said("b"), renamed("2")], "a 1 b 2", "a 1 b 2"),
        ([said("a"), renamed("1"), said("b"), said("c")], "a 1", "a 1"),
        ([renamed("2"), said("x"), renamed("1"), said("y")], "a 1 b 2", "2 x 1"),
        ([said("a"), renamed("3"), said("b")], "a 1 b 2 c", "a 3 b"),
        ([], "a 1 b 2 c", ""),
    ],
)
def test_streams_are_compared_up_to_the_last_fence_that_both_show(
    right: list[Event], ours: str, theirs: str
) -> None:
    left = live(said("a"), renamed("1"), said("b"), renamed("2"), said("c"))
    found = penguin.until_common_fence(left, live(*right))
    assert tuple(" ".join(shown(each)) for each in found) == (ours, theirs)


@pytest.mark.parametrize(
    ("filtered", "ours", "theirs"),
    [
        ([said("a")], "a", "a"),
        ([said("b")], "b", "a b"),
        ([said("a"), said("c")], "a c", "a b 1 c"),
        ([said("d"), said("a")], "d a", "a b 1 c d"),
        ([said("z")], "z", "a b 1 c d"),
        ([], "", "a b 1 c d"),
        ([said("a"), renamed("1")], "a 1", "a b 1"),
        ([renamed("1"), said("c")], "1", "a b 1"),  # past the fence nothing is compared
    ],
)
def test_where_a_filter_lets_no_fence_through_the_last_event_of_both_is_the_end(
    filtered: list[Event], ours: str, theirs: str
) -> None:
    control = live(said("a"), said("b"), renamed("1"), said("c"), said("d"))
    found = penguin.until_common(live(*filtered), control)
    assert tuple(" ".join(shown(each)) for each in found) == (ours, theirs)


def test_order_is_each_stream_s_own() -> None:
    assert penguin.orderly(live(numbered(1), numbered(1, "s2"), numbered(2), numbered(2, "s2")))
    assert penguin.orderly(live(numbered(3), numbered(3), said("without"), numbered(4)))
    assert not penguin.orderly(live(numbered(3), numbered(2)))
    assert not penguin.orderly(live(numbered(3), said("without"), numbered(9, "s2"), numbered(2)))
    assert penguin.orderly(live(said("a"), said("b")))


def test_events_are_put_in_their_stream_s_order_and_other_streams_keep_their_places() -> None:
    mixed = live(numbered(2), numbered(7, "s2"), numbered(1), numbered(3), numbered(6, "s2"))
    assert shown(penguin.by_order(mixed)) == ["s1 1", "s2 6", "s1 2", "s1 3", "s2 7"]
    some = live(numbered(2), said("without"), numbered(1))
    assert penguin.by_order(some) == some


def test_cursors() -> None:
    asked = transcript(
        url="http://h/sse?last_event_id=q&session_id=&session_id=s%201", sends=(("LAST-EVENT-ID", "h"),)
    )
    assert penguin.cursor_of(asked.request) == "q"
    assert penguin.query(asked.request) == {"last_event_id": "q", "session_id": "s 1"}
    assert penguin.cursor_of(transcript(sends=(("Last-Event-ID", "h"),)).request) == "h"
    assert (
        penguin.cursor_of(
            transcript(url="http://h/sse?last_event_id=", sends=(("Last-Event-ID", "h"),)).request
        )
        == "h"
    )
    assert penguin.cursor_of(transcript().request) is None
    assert penguin.query(transcript(url="http://h/sse?agent_id=").request) == {"agent_id": ""}


# ---- after a gap


FULL = [connected(), said("a"), said("b"), renamed("1"), said("c"), renamed("2")]


@pytest.mark.parametrize(
    "events",
    [FULL, FULL[2:], FULL[4:], FULL[-1:], FULL[:-1], [gap("x"), *FULL[3:]], [said("new"), *FULL[3:]]],
)
def test_a_stream_that_goes_on(events: list[Event]) -> None:
    assert penguin.goes_on(stream(*events), stream(*FULL)) == []


@pytest.mark.parametrize(
    ("events", "event"),
    [
        ([connected(), gap("x")], None),
        ([connected(), said("new")], None),
        ([said("new"), said("a"), *FULL[4:]], 1),  # b and a renaming are lost
        ([*FULL[2:4], *FULL[3:]], 0),  # a renaming comes twice
        ([said("c"), said("b"), *FULL[5:]], 0),
    ],
)
def test_a_stream_that_does_not_go_on(events: list[Event], event: int | None) -> None:
    (found,) = penguin.goes_on(stream(*events), stream(*FULL))
    assert found.event == event


# ---- turns


@pytest.mark.parametrize(
    ("opened", "midway"), [(0.5, False), (1.0, False), (1.1, True), (1.9, True), (2.0, False), (3.0, False)]
)
def test_a_stream_that_was_opened_while_a_turn_was_under_way(opened: float, midway: bool) -> None:
    of = case(transcript(opened=opened), prompt(1.0, until=2.0))
    assert penguin.joined_midway(of, of.streams[0], "s1") is midway
    assert not penguin.joined_midway(of, of.streams[0], "s2")
    unanswered = Action(1.0, "prompt", session="s1", stream="stream")
    of = case(transcript(opened=opened), unanswered)
    assert penguin.joined_midway(of, of.streams[0], "s1") is (opened > 1.0)


@pytest.mark.parametrize(
    ("events", "gone"),
    [
        ([(1.5, status(IDLE))], False),
        ([(1.0, status(IDLE))], False),
        ([(1.5, status(IDLE, ""))], False),
        ([(1.5, status(BUSY)), (1.9, status(IDLE)), (1.9, said("x"))], False),
        ([(0.9, status(IDLE))], True),  # of the turn before
        ([(1.5, status(IDLE, "s2"))], True),
        ([(1.5, status(BUSY))], True),
        ([], True),
    ],
)
def test_a_stream_that_its_server_ended_before_the_turn_s_end(
    events: list[tuple[float, Event]], gone: bool
) -> None:
    for ended in (Ended.COMPLETE, Ended.TRUNCATED, Ended.RESET):
        of = case(transcript(*events, ended=ended), prompt(1.0))
        assert penguin.dropped(of.streams[0], prompt(1.0)) is gone
        assert bool(list(penguin.turns(of))) is not gone
        first = case(transcript(*events, ended=ended), prompt(1.0), protocol="penguin/1")  # it shows no end
        assert penguin.dropped(first.streams[0], prompt(1.0)) is False
    left = case(transcript(*events), prompt(1.0))
    assert penguin.dropped(left.streams[0], prompt(1.0)) is False


@pytest.mark.parametrize(
    "missed",
    [
        prompt(stream="another"),
        prompt(stream=""),
        prompt(status=500),
        prompt(status=None),
        prompt(until=100.5),
        Action(1.0, "prompt", session="s1", stream="stream", script=say("Hi"), status=200),
    ],
)
def test_turns_that_a_stream_did_not_see_to_their_end_are_passed_over(missed: Action) -> None:
    seen = prompt(2.0)
    of = case(transcript(), missed, seen)
    assert [action for action, _ in penguin.turns(of)] == [seen]


def test_a_turn_may_end_with_its_stream() -> None:
    assert list(penguin.turns(case(transcript(until=2.0), prompt(1.0, until=2.0))))
    assert not list(penguin.turns(case(transcript(media=(("content-type", "text/html"),)), prompt())))
    for ended in (Ended.DEADLINE, Ended.CAPPED):
        assert not list(penguin.turns(case(transcript((1.5, status(IDLE)), ended=ended), prompt())))


@pytest.mark.parametrize(
    ("action", "calm"),
    [
        (Action(1.0, "abort", session="s1"), False),
        (Action(1.0, "abort", session="s2"), True),
        (Action(1.0, "rename-session", session="s1"), True),
        (prompt(script=None), True),
        (prompt(script=script_of("error-status", profile_of())), False),
        (prompt(script=script_of("error-status", profile_of()), session="s2"), True),
    ],
)
def test_what_excuses_gaps_in_a_session(action: Action, calm: bool) -> None:
    for actions in ([prompt(), action], [action, prompt()]):
        assert penguin.undisturbed(case(transcript(), *actions), "s1") is calm


# ---- where turns begin


def beginnings(*events: Event, from_start: bool = False) -> Beginnings:
    made = Beginnings(StreamContext("stream", profile_of(), from_start))
    for message in stream(*events).messages:
        assert made.feed(message) == ()
    return made


def test_a_stream_that_was_there_from_the_start_has_seen_every_turn() -> None:
    assert beginnings(from_start=True).seen("s1")
    assert beginnings(status(IDLE), status(BUSY, "s2"), from_start=True).seen("s3")
    assert not beginnings(gap("x"), from_start=True).seen("s1")
    made = beginnings(from_start=True)
    made.forget()
    assert not made.seen("s1")


@pytest.mark.parametrize(
    ("events", "begun"),
    [
        ([], False),
        ([status(BUSY)], False),  # it is said again while a turn goes on
        ([status(BUSY), status(BUSY)], False),
        ([status(IDLE)], False),
        ([status(IDLE), status(BUSY)], True),
        ([status(IDLE), status("retry")], True),
        ([status(IDLE), status(BUSY), status(IDLE)], True),
        ([status(IDLE), status(IDLE)], False),
        ([status(IDLE, "s2"), status(BUSY)], False),
        ([status(BUSY, "s2"), status(IDLE), status(BUSY, "s2")], False),
        ([{"type": "session.created", "properties": {"info": {"id": "s1"}}}], True),
        ([{"type": "session.created", "properties": {"info": {"id": "s2"}}}], False),
        ([{"type": "session.created", "properties": {"info": {"id": "s1"}}}, gap("x")], False),
        ([status(IDLE), gap("x"), status(BUSY)], False),
        ([gap("x"), status(IDLE), status(BUSY)], True),
    ],
)
def test_a_turn_begins_with_busy_after_idle(events: list[Event], begun: bool) -> None:
    assert beginnings(*events).seen("s1") is begun
    assert GAP in Beginnings.KINDS


def test_the_oldest_session_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_penguin_beginnings, "MESSAGES", 3)
    begun = [status(IDLE), status(BUSY)]
    others = [status(IDLE, "x"), status(IDLE, "y")]
    assert beginnings(*begun, *others).seen("s1")
    assert not beginnings(*begun, *others, status(IDLE, "z")).seen("s1")
