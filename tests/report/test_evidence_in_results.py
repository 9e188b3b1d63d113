"""The bytes and the picture that a finding carries: true to the observation, bounded, and without secrets."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from conformance.findings import Finding
from conformance.judge import Evidence
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.redact import Redactor
from conformance.report.excerpt import LONGEST, cut
from conformance.report.exhibits import Exhibit, exhibited
from conformance.report.lanes import Lanes
from conformance.report.timeline import MOST_LANES, MOST_MARKS, MarkKind
from conformance.rules.base import Case
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript

PROFILE = default_profile("penguin/2", "http://127.0.0.1:9")
EVENT_STREAM = (("content-type", "text/event-stream"),)


def exchange(*chunks: tuple[float, bytes], opened: float = 0.0, closed: float = 10.0) -> Transcript:
    """A stream with these bytes at these times."""
    return Transcript(
        Request("GET", "http://127.0.0.1:9/api/v1/events/sse?session_id=s"),
        opened,
        Head(opened + 0.01, 200, "OK", "1.1", EVENT_STREAM),
        tuple(Chunk(at, data) for at, data in chunks),
        Ended.CLOSED_BY_US,
        closed,
    )


def observed(
    *streams: Transcript, actions: tuple[Action, ...] = (), profile: Profile = PROFILE
) -> Observation:
    """An observation whose streams are called s0, s1 …"""
    return Observation("text", profile, tuple((f"s{n}", s) for n, s in enumerate(streams)), actions)


def event(kind: str, number: int = 0) -> bytes:
    """One event of that type."""
    return b'data: {"type": "%s", "properties": {"n": %d}}\n\n' % (kind.encode(), number)


@pytest.mark.parametrize(
    ("size", "span", "offset", "marked", "before", "after"),
    [
        (100, (10, 20), 0, (10, 20), False, False),
        (5_000, (1_000, 1_100), 744, (256, 356), True, True),
        (5_000, (4_900, 5_000), 4_644, (256, 356), True, False),
        (5_000, (100, 4_900), 0, (100, 1_536), False, True),  # longer than an excerpt: its beginning
        (100, (100, 100), 0, (100, 100), False, False),  # at the very end
        (100, (90, 400), 0, (90, 100), False, False),  # nothing beyond the body
        (0, (0, 0), 0, (0, 0), False, False),
    ],
)
def test_an_excerpt_shows_the_span_and_some_of_what_is_around_it(
    size: int, span: tuple[int, int], offset: int, marked: tuple[int, int], before: bool, after: bool
) -> None:
    body = bytes(n % 251 for n in range(size))
    made = cut("stream", body, span)
    assert (made.offset, made.marked, made.cut_before, made.cut_after) == (offset, marked, before, after)
    assert made.data == body[offset : offset + len(made.data)]
    assert len(made.data) <= LONGEST
    start, end = made.marked
    assert made.data[start:end] == body[span[0] : min(span[1], offset + len(made.data))]


def test_a_timeline_has_a_lane_for_each_connection_and_one_for_what_the_probe_did() -> None:
    first = exchange((0.02, event("server.connected")), (1.5, b": hi\n\n"), (2.0, event("message.updated")))
    second = exchange((3.0, event("server.heartbeat")), opened=1.0, closed=4.0)
    actions = (Action(0.5, "prompt", until=2.5), Action(0.1, "create-session"))
    made = Lanes(Case(observed(first, second, actions=actions))).timeline(Finding("t", "e", "o", "s0", 1))
    assert made is not None
    assert made.seconds == 10.0
    assert made.at == 2.0
    did, one, two = made.lanes
    assert [(mark.at, mark.kind, mark.label) for mark in did.marks] == [
        (0.1, MarkKind.ACTION, "create-session"),
        (0.5, MarkKind.ACTION, "prompt"),
    ]
    assert one.title == "GET /api/v1/events/sse?session_id=s"
    assert (one.opened, one.head, one.closed, one.status, one.events) == (0.0, 0.01, 10.0, 200, 2)
    assert [(mark.kind, mark.label) for mark in one.marks] == [
        (MarkKind.EVENT, "server.connected"),
        (MarkKind.HEARTBEAT, "comment"),
        (MarkKind.EVENT, "message.updated"),
    ]
    assert one.marked == 2
    assert two.marked is None
    assert [mark.kind for mark in two.marks] == [MarkKind.HEARTBEAT]


def test_a_span_without_an_event_marks_the_block_that_it_lies_in() -> None:
    head, comment = event("server.connected"), b": hello\n\n"
    stream = exchange((0.02, head + comment), (5.0, event("x")))
    finding = Finding("t", "e", "o", "s0", None, (len(head) + 2, len(head) + 4))
    made = Lanes(Case(observed(stream))).timeline(finding)
    assert made is not None
    (lane,) = made.lanes
    assert lane.marked == 1
    assert (lane.marks[1].kind, lane.marks[1].label) == (
        MarkKind.COMMENT,
        "comment",
    )  # a greeting, no heartbeat
    assert made.at == 0.02


def test_a_long_stream_is_thinned_but_never_the_offending_event() -> None:
    chunks = [(1.0, b"".join(event("message.part.updated", n) for n in range(5_000))), (60.0, event("late"))]
    lanes = Lanes(Case(observed(exchange(*chunks, closed=61.0))))
    for number in (0, 1, 777, 4_999, 5_000):
        made = lanes.timeline(Finding("t", "e", "o", "s0", number))
        assert made is not None
        (lane,) = made.lanes
        assert lane.events == 5_001
        assert len(lane.marks) <= MOST_MARKS + 1
        assert lane.marked is not None
        assert lane.marks[lane.marked].at == made.at == (60.0 if number == 5_000 else 1.0)
        assert list(lane.marks) == sorted(lane.marks, key=lambda mark: mark.at)
        assert lane.marks[-1].label == "late"  # a lone event is not lost in a burst


def test_no_kind_of_mark_crowds_out_another() -> None:
    chunks = [(n / 10, (event("x"), b": beat\n\n", b"id: 1\n\n")[n % 3]) for n in range(1, 3_000)]
    made = Lanes(Case(observed(exchange(*chunks, closed=301.0)))).timeline(Finding("t", "e", "o", "s0"))
    assert made is not None
    marks = made.lanes[0].marks
    assert 100 <= len(marks) <= MOST_MARKS
    counts = [sum(mark.kind is kind for mark in marks) for kind in list(MarkKind)[:3]]
    assert max(counts) - min(counts) <= 2
    gaps = [after.at - before.at for before, after in pairwise(marks)]
    assert max(gaps) <= 301 / 49 + 0.4  # the whole length is shown


def test_of_many_connections_the_offending_one_is_shown_and_the_rest_counted() -> None:
    streams = [exchange((n + 0.1, event("x")), opened=float(n), closed=n + 1.0) for n in range(50)]
    made = Lanes(Case(observed(*streams))).timeline(Finding("t", "e", "o", "s49", 0))
    assert made is not None
    assert len(made.lanes) == MOST_LANES
    assert made.lanes[-1].role == "s49"
    assert made.lanes[-1].marked == 0
    assert made.hidden == 50 - MOST_LANES


def test_an_exchange_without_an_answer_is_a_lane_too() -> None:
    silent = replace(exchange(), head=None, ended=Ended.NO_RESPONSE, detail="reset")
    made = Lanes(Case(observed(silent))).timeline(Finding("t", "e", "o", "s0"))
    assert made is not None
    (lane,) = made.lanes
    assert (lane.head, lane.status, lane.events, lane.marked, made.at) == (None, None, 0, None, None)
    assert lane.how == "ended without a response: reset"
    assert Lanes(Case(observed())).timeline(Finding("t", "e", "o")) is None


def test_the_first_findings_carry_bytes_and_pictures_and_none_carries_a_secret() -> None:
    secret = "q7Zk-very-secret-31337"
    profile = replace(PROFILE, headers=(("Authorization", f"Bearer {secret}"),))
    body = event(f"told.{secret}") * 6
    observation = observed(
        exchange((0.1, body)), actions=(Action(0.2, "prompt", prompt=secret),), profile=profile
    )
    redactor = Redactor(profile)
    exhibit = Exhibit(redactor.observation(observation), "observations/x.json")
    size = len(event(f"told.{secret}"))
    evidence = [
        Evidence("text", Finding(secret, secret, secret, "s0", n, (n * size, (n + 1) * size)))
        for n in range(6)
    ]
    found = exhibited(evidence, lambda probe: exhibit, redactor.text)
    assert [entry.excerpt is not None for entry in found] == [True] * 3 + [False] * 3
    assert [entry.timeline is not None for entry in found] == [True] + [False] * 5
    assert secret not in repr(found)
    for number, entry in enumerate(found[:3]):
        assert entry.excerpt is not None
        start, end = entry.excerpt.marked
        assert end - start == size  # spans are those of the body as it was received
        assert entry.excerpt.data[start:end].startswith(b'data: {"type": "told.'), number
        assert entry.saved == "observations/x.json"
        assert entry.curl.startswith("curl -N")


def test_half_a_secret_at_the_edge_of_an_excerpt_is_not_shown() -> None:
    secret = "q7Zk-very-secret-31337"
    profile = replace(PROFILE, headers=(("Authorization", f"Bearer {secret}"),))
    for shift in range(len(secret)):
        body = b"x" * (300 - shift) + secret.encode() + b"y" * 1_000
        shown = Redactor(profile).observation(observed(exchange((0.1, body)), profile=profile))
        stream = Case(shown).stream("s0")
        assert stream is not None
        made = cut("s0", stream.body, (300 + 256, 300 + 260))
        assert secret[-6:].encode() not in made.data
