"""What holds for every body: chunking changes nothing, line endings change nothing, nothing else is
raised."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from conformance.wire import Decoder, WireError
from tests.support.generated_profile import examples
from tests.support.wire_reading import cut, each_byte, meaning, read, read_block, read_data
from tests.support.wire_spec import interpret
from tests.support.wire_streams import contents, cuts, far_cuts, regular, rests, streams


@examples(400)
@given(streams, cuts)
@example(b"data: a\r\n\r\n", [10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
@example(b"data: a\n\ndata: b\n\n\n", [9])
@example(b"data: z\n\ndata: a\rid: 4\n\n", [9])
@example(b"data: z\n\ndata: a\rid: 4\r\n\r\n", [9])
@example(b"data: a\rid: 4\r\n\r\n", [])
@example(b"data: a\nb\r\n\r\n", [])
def test_blocks_and_spans_are_the_same_under_every_chunking(body: bytes, where: list[int]) -> None:
    whole = read([body])
    assert read(each_byte(body)) == whole
    assert read(cut(body, where)) == whole
    data = [block.data for block in whole.blocks if block.data is not None]
    for chunks in ([body], each_byte(body), cut(body, where)):
        assert read_data(chunks) == data


@examples(120)
@given(regular, far_cuts)
@example(b"data: x\r\n\r\n" * 99 + b"data: q\r" + b"data: x\r\n\r\n" * 99, [])
@example(b"data: x\r\n\r\n" * 99 + b"data: q\n" + b"data: x\r\n\r\n" * 99, [])
@example(b"data: x\n\n" + b"id: 7\ndata: b\n\n" * 99, [7])
@example(b"data: x\n\n" * 199 + b"data: q\r\r", [])
@example(b"id: 7\ndata: b\n\n" * 99 + b"data: q\r\r", [])
@example(b"id: 7\r\ndata: b\r\n\r\n" * 99 + b"data: q\n\n", [])
@example(b"id: 7\nevent: e\n\n" * 99 + b"data: q\n\n", [])
@example(b"data: x\n\n" + b"data: x\ndata: y\n\n" * 99 + b"\n", [7])
def test_long_regular_streams_too(body: bytes, where: list[int]) -> None:
    """Long chunks of blocks that are alike are split in bulk; what is odd among them must still be seen."""
    slowly = read(each_byte(body))
    assert meaning(slowly) == interpret(body)
    data = [block.data for block in slowly.blocks if block.data is not None]
    for chunks in ([body], cut(body, where)):
        assert read(chunks) == slowly
        assert read_data(chunks) == data


@examples(400)
@given(streams, cuts)
def test_it_reads_what_the_standard_says(body: bytes, where: list[int]) -> None:
    assert meaning(read(cut(body, where))) == interpret(body)


@examples(200)
@given(contents, rests, cuts)
def test_lf_cr_and_crlf_forms_give_the_same_events(
    groups: list[list[bytes]], rest: bytes, where: list[int]
) -> None:
    lines = [line for group in groups for line in group]
    forms = [b"".join(line + ending for line in lines) + rest for ending in (b"\n", b"\r\n", b"\r")]
    first, *others = [meaning(read(cut(body, where))) for body in forms]
    assert all(other == first for other in others)


@examples(200)
@given(streams, cuts)
def test_blocks_and_tail_cover_the_body(body: bytes, where: list[int]) -> None:
    reading = read(cut(body, where))
    position = 3 if reading.bom else 0
    assert reading.bom == body.startswith(b"\xef\xbb\xbf")
    for index, block in enumerate(reading.blocks):
        start, end = block.span
        assert (block.index, start) == (index, position)
        assert block.raw == body[start:end]
        assert b"".join(body[line.start : line.end] + line.ending for line in block.lines) == block.raw
        assert [line.start == line.end for line in block.lines] == [False] * (len(block.lines) - 1) + [True]
        position = end
    assert (reading.tail.start, reading.tail.raw) == (position, body[position:])
    numbers = [block.dispatch[0] for block in reading.blocks if block.dispatch is not None]
    assert numbers == list(range(len(numbers)))


@examples(200)
@given(streams, cuts)
def test_an_event_is_given_out_with_its_last_byte(body: bytes, where: list[int]) -> None:
    """Never held back: after each byte, the events are those of the body so far."""
    decoder = Decoder()
    given_out = 0
    for offset in range(len(body)):
        given_out += sum(block.dispatch is not None for block in decoder.feed(body[offset : offset + 1]))
        assert given_out == len(interpret(body[: offset + 1]).events)


@examples(300)
@given(streams, cuts, st.integers(1, 30), st.integers(1, 60))
@example(b"data: a\r\ndata: b\r\n\r\n", [8], 30, 17)
@example(b"data: a\r\ndata: b\r\n\r\n", [8], 30, 18)
def test_caps_fall_at_the_same_byte_under_every_chunking(
    body: bytes, where: list[int], max_line: int, max_event: int
) -> None:
    def outcome(chunks: list[bytes]) -> object:
        decoder = Decoder(max_line=max_line, max_event=max_event)
        blocks = []
        try:
            for chunk in chunks:
                blocks += decoder.feed(chunk)
        except WireError as error:
            blocks += error.blocks
            return [read_block(block) for block in blocks], str(error), error.offset, decoder.tail()
        return [read_block(block) for block in blocks], decoder.tail()

    whole = outcome([body])
    assert outcome(each_byte(body)) == whole
    assert outcome(cut(body, where)) == whole
