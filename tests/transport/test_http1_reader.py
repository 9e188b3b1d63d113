"""The reader of HTTP/1.x responses: what it reads, what it finds wrong, under every chunking."""

from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.observe.http1 import MAX_HEAD, MAX_INTERIM, MAX_LINE, ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"
TE = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(raw: bytes, method: str = "GET", cuts: list[int] | None = None) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader(method)
    body = b""
    borders = [0, *sorted(cut % (len(raw) + 1) for cut in cuts or []), len(raw)]
    for start, end in itertools.pairwise(borders):
        body += reader.feed(raw[start:end])
    return reader, body


def outcome(raw: bytes, method: str = "GET", cuts: list[int] | None = None) -> tuple[object, ...]:
    reader, body = read(raw, method, cuts)
    failed, errors = bool(reader.failed), tuple(reader.errors)
    return reader.head, body, reader.delimiter, reader.done, errors, failed, reader.surplus


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n"
BOTH = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
TWICE = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"

RIGHT = {
    "chunked": (TE + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!", "chunked"),
    "chunk extensions": (TE + b'5;a=b;c="d"\r\nhello\r\n0;last\r\n\r\n', b"hello", "chunked"),
    "padded size": (TE + b"00005  \r\nhello\r\n000\r\n\r\n", b"hello", "chunked"),
    "upper case size": (TE + b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", "chunked"),
    "trailers": (TE + b"1\r\nx\r\n0\r\nX-Checksum: 1\r\nX-More: 2\r\n\r\n", b"x", "chunked"),
    "length": (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", "content-length"),
    "a length twice": (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", b"hi", "content-length"),
    "length 0": (OK + b"Content-Length: 0\r\n\r\n", b"", "content-length"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", "none"),
    "not modified": (b"HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", b"", "none"),
    "interim answers": (INTERIM + TE + b"0\r\n\r\n", b"", "chunked"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x", "content-length"),
    "blanks around a value": (OK + b"Content-Length:\t 1 \r\n\r\nx", b"x", "content-length"),
    "a coding in capitals": (OK + b"transfer-encoding: Chunked\r\n\r\n0\r\n\r\n", b"", "chunked"),
    "an idle connection's 408": (TE + b"0\r\n\r\nHTTP/1.1 408 Request Timeout\r\n\r\n", b"", "chunked"),
}

WRONG = {
    "no size": (TE + b"hello\r\n", "not a chunk size"),
    "negative size": (TE + b"-5\r\nhello\r\n", "not a chunk size"),
    "hex prefix": (TE + b"0x5\r\nhello\r\n", "not a chunk size"),
    "size too short": (TE + b"4\r\nhello\r\n0\r\n\r\n", "wrong chunk size"),
    "size too long by one": (TE + b"6\r\nhello\r\n0\r\n\r\n", "bare LF"),
    "size too long": (TE + b"7\r\nhello\r\n0\r\n\r\n", "wrong chunk size"),
    "an empty size line": (TE + b"5\r\nhello\r\n\r\n", "not a chunk size"),
    "a huge size": (TE + b"ffffffffffffffff1\r\n", "not a chunk size"),
    "line feeds": (TE + b"5\nhello\n0\n\n", "bare LF"),
    "line feeds in the head": (b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\r\n\r\n", "bare LF"),
    "length beside chunks": (OK + BOTH + b"0\r\n\r\n", "Content-Length"),
    "two lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Content-Length"),
    "length that is no number": (OK + b"Content-Length: +5\r\n\r\nhello", "Content-Length"),
    "chunked twice": (OK + TWICE + b"0\r\n\r\n", "more than once"),
    "chunks of HTTP/1.0": (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0"),
    "an unknown coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "did not offer"),
    "a folded header": (OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", "obs-fold"),
    "a header without a colon": (OK + b"nonsense\r\nContent-Length: 0\r\n\r\n", "malformed header"),
    "a blank before the colon": (OK + b"X : 1\r\nContent-Length: 0\r\n\r\n", "malformed header"),
    "garbage": (b"hello there, no HTTP here\r\n\r\n", "not an HTTP/1.x response"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "status line"),
    "a bad status": (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
    "an endless size line": (TE + b"1" * (MAX_LINE + 2), "longer than"),
    "an endless trailer section": (TE + b"0\r\n" + b"X: y\r\n" * (MAX_LINE // 4 + 1), "trailer section"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_responses_are_read_without_complaint(name: str) -> None:
    raw, body, delimiter = RIGHT[name]
    reader, got = read(raw)
    assert (got, reader.delimiter, reader.done) == (body, delimiter, True)
    assert (reader.errors, reader.failed, reader.surplus) == ([], "", 0)


@pytest.mark.parametrize("name", WRONG)
def test_violations_are_named(name: str) -> None:
    raw, words = WRONG[name]
    reader, _ = read(raw)
    assert any(words in error for error in reader.errors), reader.errors


@pytest.mark.parametrize("name", [*RIGHT, *WRONG])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_chunking_changes_nothing(name: str, data: st.DataObject) -> None:
    raw = RIGHT[name][0] if name in RIGHT else WRONG[name][0]
    cuts = data.draw(st.lists(st.integers(0, min(len(raw), 400)), max_size=12))
    whole, cut = outcome(raw), outcome(raw, cuts=cuts)
    # A failure may quote more or less of what came; that it failed, and all the rest, must agree.
    assert (*whole[:4], len(whole[4]), *whole[5:]) == (*cut[:4], len(cut[4]), *cut[5:])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [name for name, (raw, *_) in RIGHT.items() if len(raw) < 300])
def test_one_byte_at_a_time(name: str) -> None:
    raw = RIGHT[name][0]
    assert outcome(raw, cuts=list(range(len(raw)))) == outcome(raw)


def test_surplus_is_counted() -> None:
    assert read(TE + b"0\r\n\r\nmore")[0].surplus == 4
    assert read(OK + b"Content-Length: 2\r\n\r\nhello")[0].surplus == 3
    assert read(OK + b"Content-Length: 2\r\n\r\nhe", method="HEAD")[0].surplus == 2
    assert read(OK + b"Content-Length: 2\r\n\r\n", method="HEAD")[0].surplus == 0


def test_what_the_close_delimits_is_done_at_the_close() -> None:
    reader, body = read(OK + b"\r\nhello")
    assert (body, reader.delimiter, reader.done) == (b"hello", "close", False)
    reader.eof()
    assert reader.done


def test_what_is_cut_is_not_done() -> None:
    for raw in (TE + b"5\r\nhel", TE + b"5\r\nhello\r\n", OK + b"Content-Length: 9\r\n\r\nhello"):
        reader, _ = read(raw)
        reader.eof()
        assert not reader.done
        assert reader.errors == []


def test_the_head_is_capped() -> None:
    reader, _ = read(OK + b"X: " + b"y" * MAX_HEAD)
    assert reader.capped
    assert "larger than" in reader.failed
    assert read(OK + b"X: " + b"y" * MAX_HEAD + b"\r\n\r\n")[0].capped


def test_interim_answers_are_capped() -> None:
    assert read(b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1))[0].capped


def test_header_order_case_and_bytes_are_kept() -> None:
    reader, _ = read(OK + b"B: 1\r\na: \xff\r\nb: 2\r\nContent-Length: 0\r\n\r\n")
    assert reader.head is not None
    assert reader.head.headers == (("B", "1"), ("a", "\xff"), ("b", "2"), ("Content-Length", "0"))
    assert reader.head.values("b") == ["1", "2"]


BODIES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
CUTS = st.lists(st.integers(0, 600), max_size=10)


@given(pieces=BODIES, cuts=CUTS, chunked=st.booleans())
def test_it_reads_what_h11_writes(pieces: list[bytes], cuts: list[int], chunked: bool) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.next_event()
    server.next_event()
    headers = [] if chunked else [(b"Content-Length", str(len(b"".join(pieces))).encode())]
    raw = server.send(h11.Response(status_code=200, headers=headers)) or b""
    for piece in pieces:
        raw += server.send(h11.Data(data=piece)) or b""
    raw += server.send(h11.EndOfMessage()) or b""
    reader, body = read(raw, cuts=cuts)
    assert (body, reader.done, reader.errors, reader.surplus) == (b"".join(pieces), True, [], 0)
    assert reader.delimiter == ("chunked" if chunked else "content-length")


@given(raw=st.binary(max_size=300), cuts=CUTS, method=st.sampled_from(["GET", "HEAD"]), headed=st.booleans())
def test_nothing_makes_it_raise(raw: bytes, cuts: list[int], method: str, headed: bool) -> None:
    reader, _ = read((TE if headed else b"") + raw, method, cuts)
    reader.eof()
