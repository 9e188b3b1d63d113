"""The rules over bytes and fields, exactly: how much of several streams is judged, and which bytes are the evidence.

Streams in which there is nothing to say stand before and between those of which there is.
"""

from __future__ import annotations

import pytest

from conformance.rules.everywhere import SHOWN
from conformance.transcript import Ended
from tests.support.sse_cases import case, judged, transcript

Place = tuple[str, int | None, bytes]  # role, event, the bytes

GOOD = b'data: {"type": "done"}\n\n'
ODD = b'event: x\ndata: {"type": "chat"}\n\n'  # an event that no rule may merely count

CASES: list[tuple[str, list[bytes], int, list[Place]]] = [
    ("SSE-FMT-01", [b"", GOOD, b"data: \xe4\xb8\xadx\xff\n\n: \xfe\n\n"], 2, [
        ("stream-2", 0, b"\xff"), ("stream-2", None, b"\xfe"),
    ]),
    ("SSE-FMT-01", [b"data: a\xe4\xb8b\n\ndata: \xe4\n\n"], 1, [("stream", 0, b"\xe4\xb8"), ("stream", 1, b"\xe4")]),
    ("SSE-FMT-01", [GOOD + b"data: \xe4\xb8"], 1, [("stream", None, b"\xe4\xb8")]),
    ("SSE-FMT-02", [b"", GOOD, b"\xef\xbb\xbf" + GOOD, GOOD + b"\xef\xbb\xbfdata: x\n\n"], 3, [
        ("stream-3", None, b"\xef\xbb\xbf"),
    ]),
    ("SSE-FMT-02", [b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n"], 1, [("stream", None, b"\xef\xbb\xbf")]),
    ("SSE-FMT-02", [b"data: a\xef\xbb\xbf\n\r\xef\xbb\xbfx\n\n"], 1, [("stream", None, b"\xef\xbb\xbf")]),
    ("SSE-FMT-03", [b"", b": x", GOOD], 1, []),
    ("SSE-FMT-04a", [b"", GOOD, GOOD + b"Data: x\n\n" + GOOD], 2, [("stream-2", None, b"Data: x")]),
    ("SSE-FMT-04a", [b'data: {"a":\n1}\n\n{"b": 2}\n\n'], 1, [("stream", 0, b"1}"), ("stream", None, b'{"b": 2}')]),
    ("SSE-FMT-04b", [b"", GOOD, b"foo: 1\n" + GOOD + b"foo: 2\nbar\n" + GOOD], 2, [
        ("stream-2", 0, b"foo: 1"), ("stream-2", 1, b"bar"),
    ]),
    ("SSE-FMT-04b", [b"\xef\xbb\xbffoo: 1\ndata: x\n\n"], 1, [("stream", 0, b"foo: 1")]),
    ("SSE-FMT-04b", [GOOD + b"\xef\xbb\xbffoo: 1\ndata: x\n\n", b"\xef\xbb\xbf\nfoo\n\n"], 2, [
        ("stream-1", None, b"foo"),
    ]),
    ("SSE-FMT-04b", [b"foo\n\n" + GOOD + b"bar\nfoo\n\nbaz: x\n" + GOOD + b"foo"], 1, [
        ("stream", None, b"foo"), ("stream", None, b"bar"), ("stream", 1, b"baz: x"),
    ]),
    ("SSE-FMT-05", [b"", GOOD, GOOD + b": x", GOOD + b"id: 1\n", GOOD + b"data: x"], 4, [
        ("stream-3", None, b"id: 1\n"), ("stream-4", None, b"data: x"),
    ]),
    ("SSE-FMT-06a", [ODD * 2 + b"data: x\n\n" + GOOD], 4, [("stream", 2, b"data: x\n\n")]),
    ("SSE-FMT-06b", [ODD * 2 + b'data: {"a": 1, "a": 2}\n\n' + GOOD], 4, [
        ("stream", 2, b'data: {"a": 1, "a": 2}\n\n'),
    ]),
    ("SSE-EVT-01a", [ODD * 2 + GOOD + b"event: x\n\n: c\n\n"], 5, [("stream", None, b"event: x\n\n")]),
    ("SSE-EVT-01b", [ODD * 2 + GOOD + b"id: 1\n\n: c\n\n"], 5, []),
    ("SSE-EVT-02a", [ODD * 2 + GOOD], 3, [("stream", 0, ODD)]),
    ("SSE-EVT-02b", [b"event: x\ndata: 1\n\n" * 2 + ODD + GOOD], 4, [("stream", 0, b"event: x\ndata: 1\n\n")]),
    ("SSE-EVT-03a", [GOOD, b"id: 1\n" + GOOD, b"id: 2\0\n" + GOOD + b"id: \x003\n\n", b"id\n\n"], 3, [
        ("stream-2", 0, b"id: 2\0"), ("stream-2", None, b"id: \x003"),
    ]),
    ("SSE-EVT-03a", [b"id: 1\ndata: \0\n\nid: 2\0\n\n"], 1, [("stream", None, b"id: 2\0")]),
    ("SSE-EVT-03a", [b"\xef\xbb\xbfid: 2\0\n\n", b": x\rid: 3\0\r\r", b"data: x\n\nid: 4\0\n\n"], 3, [
        ("stream", None, b"id: 2\0"), ("stream-1", None, b"id: 3\0"), ("stream-2", None, b"id: 4\0"),
    ]),
    ("SSE-EVT-03b", [GOOD, b"retry: 5\nretry: x\n" + GOOD + b"retry: 6\n\nretry\n\n"], 4, [
        ("stream-1", 0, b"retry: x"), ("stream-1", None, b"retry"),
    ]),
    ("SSE-EVT-03b", [b"data: retry\n\n", b"retries: x\n\nretry: +1\r\n\r\n"], 1, [("stream-1", None, b"retry: +1")]),
    ("SSE-EVT-04", [b"id: 1\ndata: a\n\nid\ndata: b\n\ndata: c\n\nid: 1\ndata: d\n\n"], 2, [
        ("stream", 3, b"id: 1\ndata: d\n\n"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "bodies", "count", "places"), CASES, ids=[f"{each[0]}-{n}" for n, each in enumerate(CASES)]
)
def test_what_is_judged_and_where_the_evidence_is(
    row: str, bodies: list[bytes], count: int, places: list[Place]
) -> None:
    of = case(*bodies)
    found = judged(row, of)
    bytes_of = {stream.role: stream.body for stream in of.streams}
    said = [(f.role, f.event, bytes_of[f.role][slice(*f.span)] if f.span else b"") for f in found.findings]
    assert said == places
    assert found.judged == count
    assert bool(found.not_applicable) is (count == 0)
    # In pieces it is the same.
    pieces = [transcript(*(body[i : i + 3] for i in range(0, len(body), 3))) for body in bodies]
    again = judged(row, case(*pieces))
    assert (again.judged, again.findings) == (found.judged, found.findings)


@pytest.mark.parametrize(
    ("row", "one"),
    [
        ("SSE-FMT-01", b"data: \xff\n\n"),
        ("SSE-FMT-02", b"data: x\n\n\xef\xbb\xbfdata: x\n\n"),
        ("SSE-FMT-04a", b"Data: x\n\n"),
        ("SSE-EVT-03a", b"id: \0\n\n"),
        ("SSE-EVT-03b", b"retry: x\n\n"),
    ],
)
def test_of_many_defects_the_first_are_shown_and_the_rest_counted(row: str, one: bytes) -> None:
    for number in (SHOWN - 1, SHOWN, SHOWN + 1, SHOWN + 20):
        found = judged(row, case(one * number, one))
        assert len(found.findings) == min(number, SHOWN) + 1
        assert [note for note in found.notes if "more" in note] == (
            [note for note in found.notes if f" {number - SHOWN} more" in note] if number > SHOWN else []
        )
        assert bool(found.notes) is (number > SHOWN)


def test_a_field_on_every_event_is_one_finding_and_a_count() -> None:
    found = judged("SSE-FMT-04b", case(b"foo: 1\ndata: x\n\n" * 5 + b"bar\n\n"))
    assert [each.event for each in found.findings] == [0, None]
    assert [note for note in found.notes if " 4 more" in note] == list(found.notes) != []
    assert judged("SSE-FMT-04b", case(b"foo: 1\nbar: 1\n\n")).notes == ()


@pytest.mark.parametrize("row", ["SSE-EVT-03a", "SSE-EVT-03b"])
def test_what_no_stream_sends_is_not_applicable(row: str) -> None:
    found = judged(row, case(GOOD, b"x: id\n\ndata: id\n\ndata: retry: x\n\n"))
    assert (found.judged, bool(found.not_applicable)) == (0, True)


def test_a_stream_that_the_server_did_not_end_leaves_nothing_behind() -> None:
    found = judged("SSE-FMT-05", case(transcript(GOOD + b"data: x", ended=Ended.RESET), GOOD + b"data: x"))
    assert [each.role for each in found.findings] == ["stream-1"]
    assert found.judged == 1
    found = judged("SSE-FMT-05", case(transcript(GOOD, ended=Ended.CLOSED_BY_US)))
    assert (found.judged, bool(found.not_applicable)) == (0, True)


def test_how_often_a_name_came_is_noted_where_it_came_again() -> None:
    once = judged("SSE-EVT-02a", case(ODD + GOOD))
    assert (len(once.findings), once.notes) == (1, ())
    thrice = judged("SSE-EVT-02a", case(ODD * 3 + b'event: y\ndata: {"type": "chat"}\n\n'))
    assert len(thrice.findings) == 2
    assert [note for note in thrice.notes if " 3 " in note] == list(thrice.notes) != []


def test_line_endings_are_told_once_for_streams_that_are_alike() -> None:
    found = judged("SSE-FMT-03", case(GOOD, b"", GOOD, b"data: x\r\n\r\n", b"data: x\r\rdata: y\n\n"))
    assert found.judged == 4
    assert len(found.notes) == 3
    assert [("no event" in note) for note in found.notes] == [False, True, False]
