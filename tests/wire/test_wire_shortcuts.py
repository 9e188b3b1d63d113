"""The shortcuts of the decoder: taken for what servers mostly send, and for nothing that only looks like it.

What comes of them is the same as without (`test_wire_properties.py`); that they are taken is what makes it quick.
"""

from __future__ import annotations

import pytest

from conformance._fields import only_value, read_lines
from conformance._framing import (
    LONG,
    MAX_EVENT,
    MAX_LINE,
    PIECES,
    SMALL,
    Framer,
    _after_block,
    _groups,
    _split,
    _values,
    _values_with_ids,
)
from conformance.wire import Decoder

ENDINGS = [b"\n", b"\r\n"]


def begun(cap: int = MAX_EVENT) -> Framer:
    """A framer past the place of a byte order mark, with nothing pending."""
    framer = Framer(min(cap, MAX_LINE), cap)
    framer._frame(b": \n\n")
    return framer


# ---- one block


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"data: x\n", b"x"),
        (b"data: x\r\n", b"x"),
        (b"data: x\r", b"x"),
        (b"data: \n", b""),
        (b"data: \r\n", b""),
        (b"data: \r", b""),
        (b"data: xyz: \n", b"xyz: "),
        (b"data:x\n", None),
        (b"data\n", None),
        (b"id: 1\n", None),
        (b"data: x\ndata: y\n", None),
        (b"data: x\rdata: y\r", None),
        (b"data: x\r\ndata: y\r\n", None),
        (b"data: x\rid: 1\n", None),
        (b"data: x\ry\n", None),
        (b"data: x\nid: 1\r", None),
        (b"data: x\nid: 1\r\n", None),
        (b"data: x\rid: 1\r\n", None),
        (b": \n", None),
        (b"", None),
    ],
)
def test_the_only_value_of_a_block(text: bytes, value: bytes | None) -> None:
    assert only_value(text) == value


@pytest.mark.parametrize(
    ("lines", "data", "others"),
    [
        ([b"id: 7", b"data: x"], b"x", (None, b"7", None, False)),
        ([b"id:7", b"data:x"], b"x", (None, b"7", None, False)),
        ([b"id: 7", b"data:x"], b"x", (None, b"7", None, False)),
        ([b"id: 7", b"data"], b"", (None, b"7", None, False)),
        ([b"id: 7", b"id: 8"], None, (None, b"8", None, False)),
        ([b"data: x", b"data: y"], b"x\ny", (None, None, None, False)),
        ([b"id: 7\0", b"data: x"], b"x", (None, None, None, True)),
        ([b"id:7\0", b"data: x"], b"x", (None, None, None, True)),
        ([b"id: \x01", b"data: x"], b"x", (None, b"\x01", None, False)),
        ([b"id:\x01", b"data: x"], b"x", (None, b"\x01", None, False)),
        ([b"id: ", b"data: x"], b"x", (None, b"", None, False)),
        ([b"identity: 7", b"data: x"], b"x", (None, None, None, True)),
        ([b"idle", b"database: x"], None, (None, None, None, True)),
        ([b": c", b"data: x"], b"x", (None, None, None, False)),
        ([b"event: e", b"id: 7", b"retry: 5", b"data: x"], b"x", (b"e", b"7", b"5", False)),
        ([b"data"], b"", (None, None, None, False)),
        ([], None, (None, None, None, False)),
    ],
)
def test_what_lines_set(
    lines: list[bytes], data: bytes | None, others: tuple[bytes | None, bytes | None, bytes | None, bool]
) -> None:
    assert read_lines(lines) == (data, others)


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        (b"data: x\n\n", False),
        (b"id: 1\ndata: x\n\n", False),
        (b": c\nevent: e\nid: 1\nretry: 5\ndata: x\n\n", False),
        (b"id: 1\nfoo: x\n\n", True),
        (b"id: 1\0\ndata: x\n\n", True),
        (b"id:1\0\ndata: x\n\n", True),
        (b"retry: x\ndata: x\n\n", True),
        (b"retry: 1\nretry:\n\n", True),
        (b"data: x\n\nid: 1\0\ndata: y\n\n" * 99, True),
        (b"id: 1\0\ndata: y\n\n" * 99, True),
        (b"data: x\n\nfoo: x\ndata: x\n\n", True),
        (b"data: x\n\nfoo: x\n", False),  # it is not complete
        (b"data: x\n\nid: 1\nFoo\n\n" * 99, True),
        (b"data: x\n\nid: 1\ndata: y\n\n" * 99, False),
    ],
)
def test_lines_that_set_nothing_are_noticed(body: bytes, ignored: bool) -> None:
    decoder = Decoder()
    assert decoder.ignored is False
    decoder.feed(body)
    assert decoder.ignored is ignored
    decoder.feed(b"\n\ndata: z\n\n")
    assert decoder.ignored is (ignored or body.endswith(b"foo: x\n"))  # … and not forgotten


@pytest.mark.parametrize("eol", ENDINGS)
@pytest.mark.parametrize(("times", "chunk"), [(1, 0), (99, 0), (99, 7)])
def test_whether_ids_and_retries_are_set_is_known(times: int, chunk: int, eol: bytes) -> None:
    for lines, ids, retries in (
        ([b"data: x"], False, False),
        ([b"event: e", b"data: x"], False, False),
        ([b"id: 1", b"data: x"], True, False),
        ([b"id", b"data: x"], True, False),
        ([b"id: 1", b"event: e", b"data: x"], True, False),
        ([b"retry: 1"], False, True),
        ([b"data: x", b"retry: 1", b"id: 2"], True, True),
    ):
        body = (eol.join(lines) + eol + eol) * times
        decoder = Decoder()
        for at in range(0, len(body), chunk or len(body)):
            decoder.feed(body[at : at + (chunk or len(body))])
        assert (decoder.ids, decoder.retries, decoder.ignored) == (ids, retries, False)


# ---- one chunk


@pytest.mark.parametrize(
    ("chunk", "value"),
    [
        (b"data: x\n\n", b"x"),
        (b"data: x\r\n\r\n", b"x"),
        (b"data: \n\n", b""),
        (b"data: \r\n\r\n", b""),
        (b"data: x", None),
        (b"data: x\n", None),
        (b"data: x\r\n", None),
        (b"data: \n", None),
        (b"data: x\r\r", None),
        (b"data: x\r\n\n", None),
        (b"data: x\n\r\n", None),
        (b"data: x\n\n\n", None),
        (b"data: x\n\ndata: y\n\n", None),
        (b"data: x\r\n\r\ndata: y\r\n\r\n", None),
        (b"data: x\ry\n\n", None),
        (b"data: x\ry\r\n\r\n", None),
        (b"data: x\ny\r\n\r\n", None),
        (b"data:x\n\n", None),
        (b"id: 1\n\n", None),
        (b"\n", None),
        (b"", None),
    ],
)
def test_a_chunk_that_is_one_event_of_one_line(chunk: bytes, value: bytes | None) -> None:
    assert begun()._lone(chunk) == value


def test_a_lone_event_is_one_only_where_nothing_else_is_open() -> None:
    assert Framer(MAX_LINE, MAX_EVENT)._lone(b"data: x\n\n") is None  # a byte order mark might still come
    for pending in (b"data: a", b"id: 1\n", b"data: a\r"):
        framer = begun()
        framer._frame(pending)
        assert framer._lone(b"data: x\n\n") is None
    framer = begun()
    framer._frame(b"data: a\r\n\r")
    assert framer._lone(b"data: x\n\n") is None  # its ending may have an LF to come


def test_a_lone_event_may_fill_the_cap() -> None:
    assert begun(9)._lone(b"data: x\n\n") == b"x"
    assert begun(8)._lone(b"data: x\n\n") is None


@pytest.mark.parametrize("eol", ENDINGS)
def test_a_chunk_that_is_one_block_of_some_lines(eol: bytes) -> None:
    lines = [b"id: 1", b"event: e", b"data: x"]
    block = eol.join(lines) + eol + eol
    assert begun()._frame(block) == ([], [], [], [lines], eol)
    assert begun()._frame(block + block)[3] == []  # two are split by line
    for odd in (b"id: 1" + eol + b"data: x" + eol, b"id: 1\rdata: x" + eol + eol, b"id: 1\ndata: x\r\n\r\n"):
        assert begun()._frame(odd)[3] == []
    assert len(begun()._frame(b"x" * LONG + eol + b"y" + eol + eol)[0]) == 1


@pytest.mark.parametrize("eol", ENDINGS)
def test_a_long_chunk_of_equal_blocks_is_split_at_once(eol: bytes) -> None:
    plain = b"data: x" + eol + eol
    with_id = b"id: 1" + eol + b"data: x" + eol + eol
    assert begun()._frame(plain * 200) == ([], [b"x"] * 200, [], [], eol)
    named = b"event: e" + eol + b"data: x" + eol + eol
    assert begun()._frame(named * 200) == ([], [], [], [(b"event: e", b"data: x")] * 200, eol)
    assert begun()._frame(with_id * 200) == ([], [b"x"] * 200, [b"1"] * 200, [], eol)
    framer = begun()
    assert framer._frame(plain * 200 + b"data: rest") == ([], [b"x"] * 200, [], [], eol)
    assert framer._rest() == b"data: rest"


@pytest.mark.parametrize("text", [b"data: x\r\n", b"id: 1\r\ndata: x\r\n", b"event: e\r\ndata: x\r\n"])
def test_a_block_of_another_ending_comes_after_the_equal_ones(text: bytes) -> None:
    many = (text + b"\r\n") * 200
    blocks = [*[(text, b"\r\n")] * 200, (b"data: y\n", b"\n")]
    assert begun()._frame(many + b"data: y\n\n") == (blocks, [], [], [], b"")


@pytest.mark.parametrize("eol", ENDINGS)
def test_what_is_pending_ends_before_the_equal_blocks_begin(eol: bytes) -> None:
    many = (b"data: x" + eol + eol) * 200
    for before, rest, block in (
        (b"id: 1" + eol + b"da", b"ta: a" + eol + eol, b"id: 1" + eol + b"data: a" + eol),
        (b"da", b"ta: a" + eol + eol, b"data: a" + eol),
        (b"id: 1" + eol + b"data: a", eol + eol, b"id: 1" + eol + b"data: a" + eol),
    ):
        framer = begun()
        framer._frame(before)
        assert framer._frame(rest + many) == ([(block, eol)], [b"x"] * 200, [], [], eol)


def test_a_long_pending_value_is_put_together_once() -> None:
    many = b"data: x\n\n" * 200
    for before, rest in ((b"data: a", b"b\n\n"), (b"data: ab", b"\n\n"), (b"data: ", b"ab\n\n")):
        framer = begun()
        framer._frame(before)
        assert framer._frame(rest + many) == ([], [b"ab", *[b"x"] * 200], [], [], b"\n")
    framer = begun()
    framer._frame(b"data: a\n")
    assert framer._frame(b"\n" + many) == ([(b"data: a\n", b"\n")], [b"x"] * 200, [], [], b"\n")
    with_id = b"id: 1\ndata: x\n\n" * 200
    framer = begun()
    framer._frame(b"data: a")
    assert framer._frame(b"b\n\n" + with_id)[0] == [(b"data: ab\n", b"\n")]


# ---- the pieces of these


@pytest.mark.parametrize("eol", ENDINGS)
def test_values_of_blocks_that_are_all_one_line_of_data(eol: bytes) -> None:
    between = eol + eol
    assert _values(b"data: a", eol) == [b"a"]
    assert _values(between.join([b"data: a", b"data: ", b"data: b: "]), eol) == [b"a", b"", b"b: "]
    for odd in (b"id: 1", b"data:b", b"data: b" + eol + b"data: c", b"data: b\rdata: c", b"data: b\n"):
        assert _values(b"data: a" + between + odd, eol) == []
        assert _values(odd, eol) == []


@pytest.mark.parametrize("eol", ENDINGS)
def test_values_and_ids_of_blocks_that_are_all_an_id_and_one_line_of_data(eol: bytes) -> None:
    between = eol + eol
    one, two = b"id: 1" + eol + b"data: a", b"id: " + eol + b"data: "
    assert _values_with_ids(one, eol) == ([b"a"], [b"1"])
    assert _values_with_ids(between.join([one, two, one]), eol) == ([b"a", b"", b"a"], [b"1", b"", b"1"])
    for odd in (
        b"data: a",
        b"id: 1",
        b"id:1" + eol + b"data: a",
        b"id: 1" + eol + b"data:a",
        b"id: 1\0" + eol + b"data: a",
        b"id: 1" + eol + b"event: e" + eol + b"data: a",
        b"data: a" + eol + b"id: 1",
        one + eol,
        one + eol + b"data: b",
        b"id: 1\r" + eol + b"data: a",
        b"id: 1" + eol + b"data: a\rb",
        one + b"\r\n\nid: 2\ndata: b",
    ):
        assert _values_with_ids(odd, eol) == ([], [])
        assert _values_with_ids(one + between + odd, eol) == ([], [])
        assert _values_with_ids(odd + between + one, eol) == ([], [])


@pytest.mark.parametrize("eol", ENDINGS)
def test_groups_of_as_many_lines(eol: bytes) -> None:
    between = eol + eol
    two = eol.join([b"id: 1", b"data: a"])
    assert _groups(two, eol) == [(b"id: 1", b"data: a")]
    assert _groups(between.join([two, two, two]), eol) == [(b"id: 1", b"data: a")] * 3
    assert _groups(between.join([b"a", b"b"]), eol) == [(b"a",), (b"b",)]
    for odd in (b"data: a", eol.join([b"a", b"b", b"c"]), two + eol, eol + two):
        assert _groups(between.join([two, odd]), eol) == []
        assert _groups(between.join([two, odd, two]), eol) == []


def test_groups_know_no_other_line_ending() -> None:
    for odd in (b"data: a\rb", b"data: a\nb"):
        assert _groups(b"id: 1\r\n" + odd, b"\r\n") == []


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (b"\n\n", 2),
        (b"a\n\nb", 3),
        (b"a\nb\n\n\n", 5),
        (b"\n\n\n", 2),
        (b"\na\n\n", 4),
        (b"a\nb\n", 0),
        (b"\n", 0),
        (b"ab", 0),
        (b"", 0),
    ],
)
def test_where_an_unfinished_block_ends(data: bytes, after: int) -> None:
    assert _after_block(data) == after


@pytest.mark.parametrize("first", [b"", b"a", b"x" * LONG, b"x" * (2 * LONG)])
@pytest.mark.parametrize("rest", [b"", b"b", b"b\n", b"b\n\nc", b"\n", b"b\rc\n"])
def test_lines_are_split_with_their_endings(first: bytes, rest: bytes) -> None:
    data = first + b"\n" + rest
    assert _split(data) == data.splitlines(keepends=True)


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (SMALL - 1, 1), (SMALL, PIECES), (2 * SMALL, PIECES)])
def test_small_pieces_of_a_line_are_put_together_and_large_ones_are_not(size: int, kept: int) -> None:
    framer = begun()
    for _ in range(PIECES - 1):
        framer._frame(b"x" * size)
    assert len(framer._part) == PIECES - 1
    framer._frame(b"x" * size)
    assert len(framer._part) == kept
    for _ in range(PIECES):
        framer._frame(b"y")
    assert len(framer._part) == kept + 1
    for _ in range(PIECES):
        framer._frame(b"z" * SMALL)
    assert len(framer._part) == kept + 1 + PIECES
    assert framer._rest() == b"x" * size * PIECES + b"y" * PIECES + b"z" * SMALL * PIECES
    ((text, _),) = framer._frame(b"\n\n")[0]
    assert len(text) == PIECES * (size + 1 + SMALL) + 1
    framer._frame(b"x")
    assert framer._part == [b"x"]
