"""SSE-FMT-01 to 05: good streams stay green, each defect is found at its bytes."""

from __future__ import annotations

import pytest

from conformance.rules.everywhere import SHOWN
from conformance.transcript import Ended
from tests.support.sse_cases import case, judged, transcript

CHAT = b'data: {"type": "chat", "content": "x", "dialog_id": "d"}'
BOM = b"\xef\xbb\xbf"

LEGAL = {
    "LF": CHAT + b"\n\n",
    "CRLF": CHAT + b"\r\n\r\n",
    "CR": CHAT + b"\r\r",
    "mixed": CHAT + b"\r\n\n" + CHAT + b"\r\r\n" + CHAT + b"\n\r",
    "a BOM at the start": BOM + CHAT + b"\n\n",
    "a BOM alone, then nothing": BOM,
    "a BOM inside data": b'data: {"type": "chat", "content": "' + BOM + b'", "dialog_id": "d"}\n\n',
    "a BOM at the start and in the data": BOM + b'data: {"content": "' + BOM + b'"}\n\n',
    "a BOM right after a short name": b"id:" + BOM + b"\n" + CHAT + b"\n\n",
    "data that begins with a BOM": b"data:" + BOM + b"\n\n",
    "comments anywhere": b": hi\n\n:\n" + CHAT + b"\n: there\n\n: bye\n\n",
    "several data lines": b'data: {"type": "chat",\ndata: "content": "x"}\n\n',
    "no space after the colon": CHAT.replace(b": ", b":", 1) + b"\n\n",
    "fields without a colon": b"data\nid\nevent\n\n",
    "every field": b"id: 1\nevent: message\nretry: 10\n" + CHAT + b"\n\n",
    "an empty id": b"id:\n" + CHAT + b"\n\n",
    "many blank lines": b"\n\n\n" + CHAT + b"\n\n\n\n",
    "U+2028, U+2029 and U+0085 raw": 'data: "a\u2028b\u2029c\u0085d"\n\n'.encode(),
    "form feed and vertical tab in data": b'data: "a\\f" \x0b\x0c\n\n',
    "a retry alone at the end": CHAT + b"\n\nretry: 5\n",
    "a comment alone at the end": CHAT + b"\n\n: bye",
    "nothing": b"",
}
FORMAT = ("SSE-FMT-01", "SSE-FMT-02", "SSE-FMT-04a", "SSE-FMT-04b", "SSE-FMT-05")


@pytest.mark.parametrize("requirement", FORMAT)
@pytest.mark.parametrize("name", LEGAL)
def test_legal_streams_are_green(requirement: str, name: str) -> None:
    body = LEGAL[name]
    judgement = judged(requirement, case(body))
    assert judgement.findings == ()
    assert judgement.judged == bool(body)


def test_every_chunking_of_a_split_character_is_utf8() -> None:
    body = 'data: "é€😀"\n\n'.encode()
    for cut in range(len(body) + 1):
        assert judged("SSE-FMT-01", case(transcript(body[:cut], body[cut:]))).findings == ()
    single = transcript(*(bytes([byte]) for byte in body))
    assert judged("SSE-FMT-01", case(single)).findings == ()


@pytest.mark.parametrize(
    ("bad", "length"),
    [
        (b"\xff", 1),
        (b"\xc3(", 1),  # a lead byte without its follower
        (b"\xe2\x82(", 2),
        (b"\xed\xa0\x80", 1),  # a surrogate
        (b"\xc0\xaf", 1),  # overlong
        (b"\x80", 1),
        (b"\xf4\x90\x80\x80", 1),  # beyond U+10FFFF
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_bad_bytes_are_found_where_they_are(bad: bytes, length: int, chunked: bool) -> None:
    before = CHAT + b'\n\ndata: "' + "é".encode()
    body = before + bad + b'"\n\n' + CHAT + b"\n\n"
    pieces = [body[at : at + 1] for at in range(len(body))] if chunked else [body]
    judgement = judged("SSE-FMT-01", case(transcript(*pieces)))
    first = judgement.findings[0]
    assert first.span == (len(before), len(before) + length)
    assert first.event == 1
    assert str(len(before)) in first.observed


def test_bad_bytes_in_a_comment_count() -> None:
    judgement = judged("SSE-FMT-01", case(b": caf\xe9\n\n" + CHAT + b"\n\n"))
    assert [finding.span for finding in judgement.findings] == [(5, 6)]
    assert judgement.findings[0].event is None


def test_bad_bytes_of_the_second_stream_only() -> None:
    judgement = judged("SSE-FMT-01", case(CHAT + b"\n\n", b'data: "\xff"\n\n'))
    assert [finding.role for finding in judgement.findings] == ["stream-1"]


@pytest.mark.parametrize("ended", list(Ended))
def test_a_character_cut_off_at_the_end(ended: Ended) -> None:
    body = CHAT + b'\n\ndata: "\xf0\x9f\x98'
    judgement = judged("SSE-FMT-01", case(transcript(body, ended=ended)))
    assert len(judgement.findings) == (ended is Ended.COMPLETE)


def test_many_bad_bytes_end_soon_and_are_counted() -> None:
    judgement = judged("SSE-FMT-01", case(bytes(range(128, 256)) * 4096))
    assert len(judgement.findings) == 10
    assert "more" in judgement.notes[0]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (CHAT + b"\n\n" + BOM + CHAT + b"\n\n", len(CHAT) + 2),
        (CHAT + b"\r" + BOM + b": c\n\n", len(CHAT) + 1),
        (BOM + BOM + CHAT + b"\n\n", 3),
        (b"\n" + BOM + CHAT + b"\n\n", 1),
        (CHAT + b"\n\n" + BOM, len(CHAT) + 2),
    ],
)
def test_a_mark_at_a_later_line_is_found(body: bytes, at: int) -> None:
    judgement = judged("SSE-FMT-02", case(body))
    assert [finding.span for finding in judgement.findings] == [(at, at + 3)]
    assert judged("SSE-FMT-04a", case(body)).findings == ()  # one defect, one row
    assert judged("SSE-FMT-04b", case(body)).findings == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"type": "chat", "content": "x"}', "bare JSON"),
        (b'[{"type": "chat"}]', "bare JSON"),
        (b"{", "bare JSON"),
        (b'Data: {"type": "chat"}', "misspelt"),
        (b'DATA:{"type": "chat"}', "misspelt"),
        (b' data: {"type": "chat"}', "misspelt"),
        (b'\tdata: {"type": "chat"}', "misspelt"),
        (b'data : {"type": "chat"}', "misspelt"),
        (b'date: {"type": "chat", "content": "x"}', "no client knows"),
    ],
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_lines_in_place_of_data(line: bytes, why: str, newline: bytes) -> None:
    before = CHAT + newline * 2
    body = before + line + newline * 2 + CHAT + newline * 2
    judgement = judged("SSE-FMT-04a", case(body))
    assert [finding.span for finding in judgement.findings] == [(len(before), len(before) + len(line))]
    assert why in judgement.findings[0].title
    assert judged("SSE-FMT-04b", case(body)).findings == ()


def test_a_line_end_inside_an_event_is_lost_data() -> None:
    body = b'data: {"type": "chat",\n "content": "a\nfoo: b"}\n\n'
    judgement = judged("SSE-FMT-04a", case(body))
    assert [finding.span for finding in judgement.findings] == [(23, 37), (38, 46)]
    assert judged("SSE-FMT-04b", case(body)).findings == ()


def test_a_blank_beside_an_event_is_no_part_of_it() -> None:
    body = CHAT + b"\n \n\n"
    assert judged("SSE-FMT-04a", case(body)).findings == ()
    assert len(judged("SSE-FMT-04b", case(body)).findings) == 1


@pytest.mark.parametrize("value", [b'{"type": "trace"}', b'{"type": 7}', b'{"kind": "chat"}', b"[]", b"{"])
def test_a_block_of_its_own_is_lost_data_only_where_it_holds_a_known_event(value: bytes) -> None:
    body = CHAT + b"\n\nmeta: " + value + b"\n\n"
    assert judged("SSE-FMT-04a", case(body)).findings == ()
    assert len(judged("SSE-FMT-04b", case(body)).findings) == 1


def test_a_stream_of_json_lines_is_found_although_no_block_is_ever_complete() -> None:
    judgement = judged("SSE-FMT-04a", case(b'{"type": "chat"}\n{"type": "done"}\n'))
    assert [finding.span for finding in judgement.findings] == [(0, 16), (17, 33)]


@pytest.mark.parametrize(
    "line",
    [
        b"foo: bar",
        b"foo",
        b"ping: 1",
        b"Event: message",
        b"ID: 7",
        b'meta: {"trace": 1}',
        b"[INFO] starting",
        b"x-type: {}",
    ],
)
def test_unknown_fields_are_only_unknown(line: bytes) -> None:
    body = CHAT + b"\n" + line + b"\n\n" + (CHAT + b"\n" + line + b"\n\n") * 3
    judgement = judged("SSE-FMT-04b", case(body))
    assert [finding.span for finding in judgement.findings] == [(len(CHAT) + 1, len(CHAT) + 1 + len(line))]
    assert judgement.findings[0].event == 0
    assert judged("SSE-FMT-04a", case(body)).findings == ()


CUT = [Ended.CLOSED_BY_US, Ended.DEADLINE, Ended.CAPPED, Ended.RESET, Ended.TRUNCATED]
PENDING = [CHAT, CHAT + b"\n", b"id: 1", b"event: x\n", b": c\nid: 1\n", CHAT + b"\r\n"]


@pytest.mark.parametrize("ended", CUT)
def test_a_line_that_the_end_cut_is_not_judged(ended: Ended) -> None:
    for cut in range(1, len(CHAT)):
        body = CHAT + b"\n\n" + CHAT[:cut]
        for requirement in FORMAT:
            assert judged(requirement, case(transcript(body, ended=ended))).findings == ()


@pytest.mark.parametrize("pending", PENDING)
def test_what_the_server_leaves_undispatched(pending: bytes) -> None:
    body = CHAT + b"\n\n"
    judgement = judged("SSE-FMT-05", case(body + pending))
    assert [finding.span for finding in judgement.findings] == [(len(body), len(body) + len(pending))]


@pytest.mark.parametrize("ended", [ended for ended in Ended if ended is not Ended.COMPLETE])
def test_streams_that_the_server_did_not_end_leave_nothing(ended: Ended) -> None:
    judgement = judged("SSE-FMT-05", case(transcript(CHAT, ended=ended)))
    assert judgement.findings == ()
    assert judgement.judged == 0


def test_a_cr_at_the_very_end_is_a_blank_line() -> None:
    assert judged("SSE-FMT-05", case(CHAT + b"\r\r")).findings == ()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (LEGAL["LF"], "line endings: LF"),
        (LEGAL["CRLF"], "line endings: CRLF (clients that split on LF LF see no event)"),
        (LEGAL["CR"], "line endings: CR (clients that split on LF LF see no event)"),
        (CHAT + b"\r\n\r\n" + CHAT + b"\n\n", "line endings mixed: LF, CRLF"),
    ],
)
def test_line_endings_are_reported(body: bytes, said: str) -> None:
    judgement = judged("SSE-FMT-03", case(body))
    assert judgement.notes == (said,)
    assert judgement.findings == ()


def test_plain_answers_are_not_judged() -> None:
    answer = transcript(b'{"detail": "\xff"}', status=422, headers=(("content-type", "application/json"),))
    for requirement in FORMAT:
        assert judged(requirement, case(answer)).judged == 0


@pytest.mark.parametrize(
    ("requirement", "block"),
    [
        ("SSE-FMT-01", b"data: \xff\n\n"),
        ("SSE-FMT-02", b"data: 1\n" + BOM + b"\n\n"),
        ("SSE-FMT-04a", b"data: 1\n\n{}\n\n"),
        ("SSE-FMT-04b", b"data: 1\nfield%d\n\n"),
        ("SSE-EVT-03a", b"id: \0\n\n"),
        ("SSE-EVT-03b", b"retry: x\n\n"),
    ],
)
def test_findings_beyond_the_shown_are_counted(requirement: str, block: bytes) -> None:
    for more in (-1, 0, 1, 2):
        body = b"".join(block.replace(b"%d", b"%d" % number) for number in range(SHOWN + more))
        judgement = judged(requirement, case(body))
        assert len(judgement.findings) == min(SHOWN + more, SHOWN)
        assert [f": {more} more " in note for note in judgement.notes] == [True] * (more > 0)
