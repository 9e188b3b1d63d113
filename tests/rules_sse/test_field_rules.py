"""SSE-FMT-06 and SSE-EVT-01 to 04: what is in the fields."""

from __future__ import annotations

import pytest

from conformance.profile import Capabilities, Profile
from conformance.rules import fields
from conformance.transcript import Ended
from tests.support.sse_cases import case, judged, transcript

CHAT = b'data: {"type": "chat", "content": "x", "dialog_id": "d"}'
DONE = b'data: {"type": "done", "done": true, "dialog_id": "d"}'
UNKNOWN = b'data: {"type": "tick"}'
EVENTS = tuple(f"SSE-EVT-{number}" for number in ("01a", "01b", "02a", "02b", "03a", "03b", "04"))

LEGAL = {
    "no field but data": CHAT + b"\n\n" + DONE + b"\n\n",
    "event: message": b"event: message\n" + CHAT + b"\n\n",
    "an empty event": b"event:\n" + CHAT + b"\n\n",
    "ids of their own": b"id: 1\n" + CHAT + b"\n\nid: 2\n" + DONE + b"\n\n",
    "an id after the data": CHAT + b"\nid: 1\n\n" + DONE + b"\nid: 2\n\n",
    "empty ids": b"id\n" + CHAT + b"\n\nid:\n" + DONE + b"\n\nid:\n" + DONE + b"\n\n",
    "an id alone that moves the cursor": b"id: 1\n" + CHAT + b"\n\nid: 5\n\nid: 6\n" + DONE + b"\n\n",
    "an id alone before an event without one": b"id: 1\n" + CHAT + b"\n\nid: 5\n\n" + DONE + b"\n\n",
    "a server that sets one cursor": CHAT + b"\n\n" + DONE + b"\n\nid: 9\n\n",
    "retry alone": b"retry: 3000\n\n" + CHAT + b"\n\n",
    "a retry of zero": b"retry: 0\n" + CHAT + b"\n\n",
    "comments between": b": c\n\n" + CHAT + b"\n: d\n\n",
}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", LEGAL)
@pytest.mark.parametrize("requirement", [*EVENTS, "SSE-FMT-06a", "SSE-FMT-06b"])
def test_legal_streams_are_green(requirement: str, name: str, newline: bytes) -> None:
    assert judged(requirement, case(LEGAL[name].replace(b"\n", newline))).findings == ()


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "chat"',
        b'{"type": "chat"} {"type": "done"}',
        b"[DONE]",
        b"",
        b"hello",
        b"{'type': 'chat'}",
        b'{"x": NaN}',
        b'{"x": Infinity}',
        b'{"x": -Infinity}',
        b'{"x": "a\tb"}',  # a raw control character inside a string
        b"\xef\xbb\xbf{}",
        b'{"x": 01}',
        b'{"x": 1,}',
        b'{"x": \xc2\xa01}',  # a no-break space is not JSON's white space
    ],
)
def test_data_that_is_no_json(data: bytes) -> None:
    body = CHAT + b"\n\ndata: " + data + b"\n\n" + DONE + b"\n\n"
    judgement = judged("SSE-FMT-06a", case(body))
    start = len(CHAT) + 2
    assert [(f.event, f.span) for f in judgement.findings] == [(1, (start, start + len(data) + 8))]
    assert judgement.judged == 3


@pytest.mark.parametrize(
    "data",
    [
        b"1",
        b'"text"',
        b"null",
        b"[]",
        b' \t{"a": "\\u0000 \\ud83d\\ude00 \\ud800"} ',
        b'{"x": 1e999}',
        '{"a": "\u2028\u2029\u0085\x7f"}'.encode(),
        b"[" * 100_000 + b"]" * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_data_that_is_json(data: bytes) -> None:
    assert judged("SSE-FMT-06a", case(b"data:" + data + b"\n\n")).findings == ()


def test_json_beyond_our_reader_is_said_and_not_counted() -> None:
    judgement = judged("SSE-FMT-06a", case(b"data: " + b"[" * 100_000 + b"]" * 100_000 + b"\n\n"))
    assert judgement.judged == 0
    assert "not judged" in judgement.notes[0]


def test_json_over_several_data_lines() -> None:
    assert judged("SSE-FMT-06a", case(b'data: {"a":\ndata:\ndata: 1}\n\n')).findings == ()


@pytest.mark.parametrize(
    "data", [b'{"a": 1, "a": 1}', b'{"o": {"b": 1, "c": 2, "b": 3}}', b'[{"x": 1, "x": 2}]']
)
def test_duplicate_names(data: bytes) -> None:
    judgement = judged("SSE-FMT-06b", case(CHAT + b"\n\ndata: " + data + b"\n\n"))
    assert [finding.event for finding in judgement.findings] == [1]


def test_the_same_name_in_two_objects_is_no_duplicate() -> None:
    assert judged("SSE-FMT-06b", case(b'data: {"a": {"a": [{"a": 1}, {"a": 2}]}}\n\n')).findings == ()


def test_a_defect_of_every_event_is_shown_and_counted() -> None:
    judgement = judged("SSE-FMT-06a", case(b"data: x\n\n" * 1000))
    assert len(judgement.findings) == 25
    assert judgement.judged == 1000
    assert judgement.notes == ("stream: 975 more findings of this kind",)


def test_an_event_name_without_data() -> None:
    body = CHAT + b"\n\nevent: ping\n\n" + CHAT + b"\n\n"
    judgement = judged("SSE-EVT-01a", case(body))
    start = len(CHAT) + 2
    assert [finding.span for finding in judgement.findings] == [(start, start + 13)]


def test_ids_alone_are_counted() -> None:
    judgement = judged("SSE-EVT-01b", case(b"id: 1\n\nid: 2\n: c\n\nevent: x\nid: 3\n\n" + CHAT + b"\n\n"))
    assert judgement.notes == ("stream: 2 blocks with `id` alone",)


def test_a_documented_event_behind_a_name() -> None:
    body = CHAT + b"\n\nevent: chat\n" + CHAT + b"\n\n"
    assert [f.event for f in judged("SSE-EVT-02a", case(body)).findings] == [1]
    assert judged("SSE-EVT-02b", case(body)).findings == ()


@pytest.mark.parametrize("data", [UNKNOWN, b"data: ping", b"data: 1"])
def test_another_named_event(data: bytes) -> None:
    body = CHAT + b"\n\n" + data + b"\nevent: tick\n\n"
    assert [f.event for f in judged("SSE-EVT-02b", case(body)).findings] == [1]
    assert judged("SSE-EVT-02a", case(body)).findings == ()


def test_each_name_is_found_once_and_counted() -> None:
    for times in (1, 2, 9):
        judgement = judged("SSE-EVT-02a", case((b"event: chat\n" + CHAT + b"\n\n") * times))
        assert len(judgement.findings) == 1
        assert [f"on {times} chat events" in note for note in judgement.notes] == [True] * (times > 1)


def test_names_are_told_apart_up_to_a_number() -> None:
    rule = fields.NoHiddenEvents(case(CHAT).streams[0].context)
    named = b"".join(
        b"event: %d\n%b\n\n" % (number % (fields.NAMES + 5), CHAT) for number in range(fields.NAMES + 9)
    )
    messages = case(named).streams[0].messages
    assert sum(len(list(rule.feed(message))) for message in messages) == fields.NAMES
    rule.close(Ended.COMPLETE)
    assert len(rule.notes) == 4  # those that came again


def test_the_empty_name_and_the_last_name_count() -> None:
    body = b"event: chat\nevent: message\n" + CHAT + b"\n\nevent: chat\nevent\n" + CHAT + b"\n\n"
    assert judged("SSE-EVT-02a", case(body)).findings == ()


def test_an_id_with_nul() -> None:
    body = b"id: 1\n" + CHAT + b"\n\nid: a\0b\n" + CHAT + b"\n\n"
    at = body.index(b"id: a")
    judgement = judged("SSE-EVT-03a", case(body))
    assert [(f.event, f.span) for f in judgement.findings] == [(1, (at, at + 7))]


def test_nul_elsewhere_is_not_the_ids() -> None:
    assert judged("SSE-EVT-03a", case(b"id: 1\n: \0\n" + CHAT + b"\n\n")).findings == ()


def test_without_ids_nothing_is_said_of_them() -> None:
    body = b'data: {"id": 1}\n\n'
    assert judged("SSE-EVT-03a", case(body)).judged == 0
    assert judged("SSE-EVT-04", case(body)).judged == 0
    assert judged("SSE-EVT-03b", case(body)).judged == 0


@pytest.mark.parametrize("value", [b"+10", b"-1", b"1_0", b"1.5", b"3s", b"", b" 10", "١".encode(), b"0x10"])
def test_a_retry_that_is_ignored(value: bytes) -> None:
    body = CHAT + b"\nretry: " + value + b"\n\nretry: 10\n\n"
    judgement = judged("SSE-EVT-03b", case(body))
    start = len(CHAT) + 1
    assert [(f.event, f.span) for f in judgement.findings] == [(0, (start, start + 7 + len(value)))]
    assert judgement.judged == 2


def test_an_id_twice() -> None:
    body = b"id: 1\n" + CHAT + b"\n\nid: 2\n" + CHAT + b"\n\nid: 1\n" + DONE + b"\n\n"
    judgement = judged("SSE-EVT-04", case(body))
    assert [f.event for f in judgement.findings] == [2]
    assert "first on event 0" in judgement.findings[0].observed


@pytest.mark.parametrize(("repeated", "found"), [(b"1", [2]), (b"2", [])])
def test_the_newest_id_of_a_run_is_its_last(repeated: bytes, found: list[int]) -> None:
    body = b"id: 1\n" + CHAT + b"\n\nid: 2\n" + CHAT + b"\n\n: the run ends here\n\n"
    frame = b"id: " + repeated + b'\ndata: {"type": "server.heartbeat"}\n\n'
    judgement = judged("SSE-EVT-04", case(body + frame, protocol="penguin/2"))
    assert [f.event for f in judgement.findings] == found
    assert all("first on event 0" in f.observed for f in judgement.findings)


def test_ids_of_two_streams_may_be_the_same() -> None:
    body = b"id: 1\n" + CHAT + b"\n\n"
    assert judged("SSE-EVT-04", case(body, body)).findings == ()


def _penguin(kind: str, identity: str) -> bytes:
    return f'id: {identity}\ndata: {{"type": "{kind}", "properties": {{}}}}\n\n'.encode()


def test_synthetic_frames_may_repeat_the_newest_id() -> None:
    body = (
        _penguin("server.connected", "9")  # the newest that the server has, then what was missed up to it
        + _penguin("session.updated", "8")
        + _penguin("session.updated", "9")
        + _penguin("server.heartbeat", "9")
        + _penguin("server.heartbeat", "9")
        + _penguin("session.updated", "10")
    )
    assert judged("SSE-EVT-04", case(body, protocol="penguin/2")).findings == ()


def test_a_synthetic_frame_may_not_take_an_older_id() -> None:
    body = (
        _penguin("session.updated", "1")
        + _penguin("session.updated", "2")
        + _penguin("server.heartbeat", "1")
    )
    assert [f.event for f in judged("SSE-EVT-04", case(body, protocol="penguin/2")).findings] == [2]


def test_ids_in_blocks_of_their_own() -> None:
    body = b"id: 1\n\n" + CHAT + b"\n\nid: 2\n\n" + DONE + b"\n\n"
    judgement = judged("SSE-EVT-04", case(body))
    assert [f.event for f in judgement.findings] == [0]


def test_the_window_of_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "WINDOW", 3)
    body = b"".join(b"id: %d\n" % n + CHAT + b"\n\n" for n in (1, 2, 3, 4, 4, 1))
    assert [f.event for f in judged("SSE-EVT-04", case(body)).findings] == [4]


def test_rules_of_a_cut_stream() -> None:
    body = b"id: 1\n" + CHAT + b"\n\nevent: x\nid: 1\nda"
    cut = transcript(body, ended=Ended.CLOSED_BY_US)
    for requirement in EVENTS:
        assert judged(requirement, case(cut)).findings == ()


def test_strictness_is_not_the_rules_business() -> None:
    strict = Profile("agentsmithy/1", "http://localhost", strict=True, capabilities=Capabilities(resume=True))
    assert judged("SSE-EVT-02b", case(UNKNOWN + b"\n\n", profile=strict)).findings == ()
