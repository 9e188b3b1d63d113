"""Spans, endings, tails, arrival times: what a judge reads from blocks."""

from __future__ import annotations

import pytest

from conformance.wire import Block, Decoder, Line, Tail


def blocks_of(*chunks: bytes) -> list[Block]:
    decoder = Decoder()
    return [block for chunk in chunks for block in decoder.feed(chunk)]


def test_lines_of_a_block() -> None:
    (block,) = blocks_of(b": hi\r\ndata:a\nfoo\rdata\n\r\n")
    assert block.lines == (
        Line(0, 4, b"\r\n", b"", b"hi"),
        Line(6, 12, b"\n", b"data", b"a"),
        Line(13, 16, b"\r", b"foo", b""),
        Line(17, 21, b"\n", b"data", b""),
        Line(22, 22, b"\r\n", b"", b""),
    )
    assert (block.start, block.end, block.data, block.comments) == (0, 24, b"a\n", (b" hi",))


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_endings_are_told_right_whatever_the_chunks(ending: bytes, step: int) -> None:
    body = b"".join(line + ending for line in (b"data: a", b"", b"id: 1", b"data: b", b"", b": c", b""))
    blocks = blocks_of(*(body[i : i + step] for i in range(0, len(body), step)))
    assert [line.ending for block in blocks for line in block.lines] == [ending] * 7
    assert [body[block.start : block.end] for block in blocks] == [block.raw for block in blocks]
    assert blocks[-1].end == len(body)


def test_a_block_is_given_out_at_the_cr_and_grows_by_its_lf() -> None:
    decoder = Decoder()
    (block,) = decoder.feed(b"data: a\r\n\r", 1.5)
    assert (block.end, block.raw, block.lines[-1].ending) == (10, b"data: a\r\n\r", b"\r")
    assert decoder.tail() == Tail(10, b"", ())
    assert decoder.feed(b"", 2.0) == []  # an empty chunk changes nothing
    assert decoder.feed(b"\n", 2.5) == []
    assert (block.end, block.raw, block.lines[-1].ending) == (11, b"data: a\r\n\r\n", b"\r\n")
    assert block.at == 1.5
    assert decoder.tail() == Tail(11, b"", ())
    (second,) = decoder.feed(b"\n", 3.0)
    assert (second.start, second.end, second.dispatch, second.at) == (11, 12, None, 3.0)
    assert block.end == 11


def test_at_is_the_arrival_of_the_completing_chunk() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: a\n", 1.0) == []
    first, second = decoder.feed(b"\ndata: b\n\nid: 3", 2.0)
    assert (first.at, second.at) == (2.0, 2.0)
    event = second.dispatch
    assert event is not None
    assert event.at == 2.0
    assert event.block is second
    (timeless,) = Decoder().feed(b"data: a\n\n")
    assert timeless.at == 0.0


def test_a_byte_order_mark_counts_and_belongs_to_no_block() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\xef\xbb") == []
    assert (decoder.tail(), decoder.bom) == (Tail(0, b"\xef\xbb", (b"\xef\xbb",)), False)
    (block,) = decoder.feed(b"\xbfdata: a\n\n")
    assert (block.start, block.end, block.raw, decoder.bom) == (3, 12, b"data: a\n\n", True)


def test_fields_that_are_ignored_set_nothing_but_show_in_lines() -> None:
    (block,) = blocks_of(b"id: 1\0\nretry: 1x\nevent: e\ndata\n\n")
    assert (block.id, block.retry, block.event, block.data) == (None, None, b"e", b"")
    assert [(line.field, line.value) for line in block.lines[:2]] == [(b"id", b"1\0"), (b"retry", b"1x")]
    (block,) = blocks_of(b"id: 1\nid: 2\0\nretry: 5\nretry: x\n\n")
    assert (block.id, block.retry, block.data, block.dispatch) == (b"1", b"5", None, None)


def test_events_number_what_dispatches_only() -> None:
    blocks = blocks_of(b": ping\n\ndata: a\n\nevent: x\n\nid: 4\ndata: b\n\n\ndata: c\n\n")
    events = [block.dispatch for block in blocks]
    assert [event and (event.index, event.data, event.last_event_id) for event in events] == [
        None,
        (0, "a", ""),
        None,
        (1, "b", "4"),
        None,
        (2, "c", "4"),
    ]
    assert [block.index for block in blocks] == list(range(6))


def test_an_event_is_itself_however_often_it_is_asked_for() -> None:
    first, second = blocks_of(b"data: a\n\ndata: a\n\n")
    assert first.dispatch == first.dispatch
    assert first.dispatch != second.dispatch
    assert len({first.dispatch, first.dispatch, second.dispatch}) == 2


@pytest.mark.parametrize(
    ("body", "tail"),
    [
        (b"", Tail(0, b"", ())),
        (b"data: a\n\n", Tail(9, b"", ())),
        (b"data: a\n\ndata: b", Tail(9, b"data: b", (b"data",))),
        (b"data: a\n\nid: 1\r\ndata: b\r\n", Tail(9, b"id: 1\r\ndata: b\r\n", (b"id", b"data"))),
        (b"data: a\ndata: b\nevent: e\n", Tail(0, b"data: a\ndata: b\nevent: e\n", (b"data", b"event"))),
        (b": ping", Tail(0, b": ping", ())),
        (b"data", Tail(0, b"data", (b"data",))),
        (b"\xef\xbb\xbf", Tail(3, b"", ())),
    ],
)
def test_tail(body: bytes, tail: Tail) -> None:
    for step in (1, len(body) + 1):
        decoder = Decoder()
        for start in range(0, len(body), step):
            decoder.feed(body[start : start + step])
        assert decoder.tail() == tail
        assert decoder.tail() == tail  # looking changes nothing


def test_invalid_utf8_is_replaced_in_text_and_kept_in_bytes() -> None:
    (block,) = blocks_of(b"event: \xff\nid: \xfe\ndata: a\xe2\x82\n\n")
    event = block.dispatch
    assert event is not None
    assert (event.type, event.last_event_id, event.data) == ("�", "�", "a�")
    assert (block.event, block.id, block.data) == (b"\xff", b"\xfe", b"a\xe2\x82")


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "lines", [[b"data: x"], [b"id: 7", b"data: x"], [b"event: e", b"data: xyz"], [b"id: 7", b"id: 8"]]
)
@pytest.mark.parametrize("together", [1, 2, 200])
def test_numbers_and_spans_go_on_from_chunk_to_chunk(eol: bytes, lines: list[bytes], together: int) -> None:
    block = b"".join(line + eol for line in lines) + eol
    chunks = [b"data: first" + eol + eol, *([block * together] * 3), b": last" + eol + eol]
    body, seen = b"".join(chunks), blocks_of(*chunks)
    assert [each.index for each in seen] == list(range(3 * together + 2))
    assert b"".join(each.raw for each in seen) == body
    assert [body[each.start : each.end] for each in seen] == [each.raw for each in seen]
    numbers = [each.dispatch.index for each in seen if each.dispatch is not None]
    assert numbers == list(range(1 + (3 * together if b"data" in block else 0)))
    last = next((line[4:].decode() for line in reversed(lines) if line.startswith(b"id: ")), "")
    assert {each.dispatch.last_event_id for each in seen[1:] if each.dispatch is not None} <= {last}
