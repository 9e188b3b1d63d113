"""Caps on a line and on an event: one typed error, nothing lost before it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest

from conformance.wire import Block, DataDecoder, Decoder, Tail, WireError

LF, CRLF = b"\n", b"\r\n"


def feed_all(decoder: Decoder, chunks: Iterable[bytes], seen: list[Block]) -> None:
    for chunk in chunks:
        seen += decoder.feed(chunk)


@pytest.mark.parametrize("ending", [LF, CRLF, b"\r"])
@pytest.mark.parametrize("step", [1, 5, 1000])
def test_a_line_of_exactly_the_cap_passes_and_one_byte_more_does_not(ending: bytes, step: int) -> None:
    for length, fits in ((20, True), (21, False)):
        body = b"data: a" + 2 * ending + b"data: " + b"x" * (length - 6) + 2 * ending
        decoder = Decoder(max_line=20)
        chunks = [body[i : i + step] for i in range(0, len(body), step)]
        if fits:
            assert len([block for chunk in chunks for block in decoder.feed(chunk)]) == 2
            continue
        seen: list[Block] = []
        with pytest.raises(WireError) as caught:
            feed_all(decoder, chunks, seen)
        start = 7 + 2 * len(ending)
        where = start + 20
        assert caught.value.offset == where
        assert str(caught.value) == f"line longer than 20 bytes: the byte at offset {where} is one too many"
        assert [block.data for block in (*seen, *caught.value.blocks)] == [b"a"]
        assert decoder.tail() == Tail(start, body[start:where], (b"data",))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_of_many_lines_has_a_cap_too(step: int) -> None:
    decoder = Decoder(max_line=50, max_event=100)
    body = b"data: 0123\n" * 9 + b"\n" + b"data: 0123\n" * 20
    seen: list[Block] = []
    chunks = [body[i : i + step] for i in range(0, len(body), step)]
    message = "event longer than 100 bytes: the byte at offset 200 is one too many"
    with pytest.raises(WireError, match=f"^{message}$") as caught:
        feed_all(decoder, chunks, seen)
    assert len([*seen, *caught.value.blocks]) == 1


@pytest.mark.parametrize("step", [1, 1000])
def test_where_both_caps_fall_on_one_byte_it_is_the_line(step: int) -> None:
    decoder = Decoder(max_line=10, max_event=10)
    with pytest.raises(WireError, match="line longer than 10 bytes"):
        feed_all(decoder, [(b"x" * 11)[i : i + step] for i in range(0, 11, step)], [])


@pytest.mark.parametrize("step", [1, 1000])
def test_many_events_may_be_larger_together_than_the_cap(step: int) -> None:
    body = b"data: 0123\n\n" * 100
    decoder = Decoder(max_line=11, max_event=11)
    assert sum(len(decoder.feed(body[i : i + step])) for i in range(0, len(body), step)) == 100


def test_the_lf_of_a_crlf_counts_when_it_comes_late() -> None:
    for max_event, fits in ((9, True), (8, False)):
        decoder = Decoder(max_event=max_event)
        decoder.feed(b"data: x\r")
        if fits:
            assert decoder.feed(b"\n") == []
            assert len(decoder.feed(b"\r")) == 1
            assert decoder.feed(b"\n") == []  # of the blank line: that one never counts
        else:
            with pytest.raises(WireError, match="offset 8 "):
                decoder.feed(b"\n")


def test_after_the_error_it_stays_an_error() -> None:
    decoder = Decoder(max_line=10)
    with pytest.raises(WireError) as first:
        decoder.feed(b"data: a\n\n" + b"x" * 11)
    for more in (b"", b"\n\n", b"data: b\n\n"):
        with pytest.raises(WireError) as again:
            decoder.feed(more)
        assert (str(again.value), again.value.offset, again.value.blocks) == (str(first.value), 19, ())
    assert len(first.value.blocks) == 1


def test_data_alone_has_the_same_caps() -> None:
    decoder = DataDecoder(max_line=10)
    with pytest.raises(WireError) as caught:
        decoder.feed(b"data: a\n\ndata: b\n\ndata: 01234\n\n")
    assert caught.value.data == (b"a", b"b")
    assert caught.value.offset == 28
    whole = DataDecoder(max_line=10)
    with pytest.raises(WireError):
        whole.feed(b"data: 01234\n\n")  # also where a chunk is one event
    assert DataDecoder(max_line=11).feed(b"data: 01234\n\n") == [b"01234"]
    assert DataDecoder(max_event=12, max_line=11).feed(b"data: 01234\n\n") == [b"01234"]
    with pytest.raises(WireError, match="event longer"):
        DataDecoder(max_event=11, max_line=11).feed(b"data: 01234\n\n")


def test_caps_must_leave_room() -> None:
    for max_line, max_event in ((0, 5), (5, 0), (-1, 5)):
        with pytest.raises(ValueError, match="at least 1 byte"):
            Decoder(max_line=max_line, max_event=max_event)


def test_one_byte_is_room_enough() -> None:
    decoder = Decoder(max_line=1, max_event=1)
    assert decoder.feed(b"\n\r\n") != []
    with pytest.raises(WireError, match="event longer than 1 bytes: the byte at offset 4 is one too many"):
        decoder.feed(b"x\n")


def test_without_caps_of_ones_own_large_lines_and_events_pass() -> None:
    line = b"data: " + b"x" * 1_000
    for body in (b"data: " + b"x" * 2_000_000 + LF, (line + LF) * 2_000):
        (block,) = Decoder().feed(body + LF)
        assert block.end == len(body) + 1


def test_offsets_count_what_came_in_whole_chunks() -> None:
    decoder = Decoder(max_line=11)
    for _ in range(3):
        assert len(decoder.feed(b"data: 01234\n\n")) == 1
    with pytest.raises(WireError) as caught:
        decoder.feed(b"data: 012345\n\n")
    assert caught.value.offset == 3 * 13 + 11


@pytest.mark.parametrize("piece", [b"x", b"xy", b"x" * 4096])
def test_an_endless_line_takes_bounded_memory(piece: bytes) -> None:
    cap = 300_000
    decoder = Decoder(max_line=cap)
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            # A fresh object each time, as from a socket.
            feed_all(decoder, (bytes(bytearray(piece)) for _ in range(2 * cap)), [])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * cap
