"""The decoder: bytes of an event stream in any chunking become blocks and events (WHATWG HTML §9.2.5, 9.2.6).

Sans-IO; the referee of this suite. One core (`conformance._framing`) finds where blocks end; two ways out of
it: `Decoder` gives whole blocks and events with their spans, `DataDecoder` the data bytes alone, for load.
Time and memory are linear in the bytes, whatever the chunking.

Offsets count bytes of the body from 0. A leading byte order mark counts and belongs to no block; apart from
it the blocks and the tail cover the body without gaps. Blocks are the same under every chunking (except for
`at`), which takes one rule: a block is given out at once at the CR of its blank line, and if the next byte is
an LF, the two are one ending (§9.2.5), so that the `end`, `raw` and last line of that block grow by the LF
when it arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

from conformance._fields import only_value, read_lines
from conformance._framing import MAX_EVENT, MAX_LINE, NOTHING, Found, Framer, Overflow


class WireError(Exception):
    """The decoder's only error: a line or an event larger than its cap. One line: what, where, the cap.

    `offset`: of the first byte past the cap. `blocks`: what the same call of `Decoder.feed` completed before
    it (`data`: the same for `DataDecoder.feed`), so that what is known does not depend on the chunking.
    """

    def __init__(
        self, message: str, offset: int = 0, blocks: tuple[Block, ...] = (), data: tuple[bytes, ...] = ()
    ) -> None:
        super().__init__(message)
        self.offset = offset
        self.blocks = blocks
        self.data = data


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a block: byte span [start, end) without its ending, the ending ("\\n", "\\r\\n", "\\r").

    `field` is the bytes before the colon (whole line without one; b"" for a comment), `value` what follows
    with one space removed. The blank line has start == end.
    """

    start: int
    end: int
    ending: bytes
    field: bytes
    value: bytes


class Event:
    """A dispatched event: number in its stream (from 0), `data`, `type` ("message" by default),
    `last_event_id`, its block, `at`.

    `data`, `type` and `last_event_id` are decoded when asked for, as UTF-8 with U+FFFD for what is not
    (§9.2.6). Two of them are equal if they are the same event of the same decoder.
    """

    __slots__ = ("_data", "block")

    block: Block
    _data: str | None

    @property
    def index(self) -> int:
        """Its number in its stream, from 0."""
        return self.block.number

    @property
    def data(self) -> str:
        """The values of its `data` lines, joined with LF."""
        data = self._data
        if data is None:
            data = self._data = (self.block.data or b"").decode("utf-8", "replace")
        return data

    @property
    def type(self) -> str:
        """The value of its last `event` line; "message" where that is empty or missing."""
        return (self.block.event or b"message").decode("utf-8", "replace")

    @property
    def last_event_id(self) -> str:
        """The newest id of the stream when this was dispatched, whichever block set it; "" before any."""
        return self.block._last_id.decode("utf-8", "replace")

    @property
    def at(self) -> float:
        """Arrival of the chunk that completed it."""
        return self.block.at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and other.block is self.block

    def __hash__(self) -> int:
        return hash(self.block)

    def __repr__(self) -> str:
        return f"Event({self.index}, type={self.type!r}, id={self.last_event_id!r}, data={self.data[:80]!r})"


class Block:
    """Lines up to and with a blank line. `start`, `end`: byte span in the body, the blank line included.

    `at`: arrival of the chunk that completed it. `number`: of its event, or of the next one's. `raw`: its bytes.
    `data`/`event`/`id`/`retry`: raw field values as bytes, None where the block does not set them (`data` joined with
    b"\n"). `dispatch`: the event, or None: a block dispatches where it has a `data` line, be its value empty.

    An `id` with NUL and a `retry` of anything but ASCII digits are ignored (§9.2.6): they set nothing,
    `lines` has them.
    """

    # One object per event, and no cycle: a reference from the block to its event would leave both to the
    # garbage collector, at half the speed.
    __slots__ = (
        "_close",
        "_last_id",
        "_text",
        "at",
        "data",
        "end",
        "event",
        "id",
        "index",
        "number",
        "retry",
        "start",
    )

    index: int
    number: int
    start: int
    end: int
    at: float
    data: bytes | None
    event: bytes | None
    id: bytes | None
    retry: bytes | None
    _last_id: bytes  # the newest id of the stream, this block included
    _text: bytes | None  # what comes before `_close`; None: a line of data, before it perhaps one with the id
    _close: bytes

    @property
    def dispatch(self) -> Event | None:
        """Its event; None where it has no data."""
        if self.data is None:
            return None
        event = Event()
        event.block = self
        event._data = None
        return event

    @property
    def raw(self) -> bytes:
        """Its bytes, those of the span."""
        text, close = self._text, self._close
        if text is None:
            id_line = b"" if self.id is None else b"id: " + self.id + close[: len(close) // 2]
            text = id_line + b"data: " + (self.data or b"")
        return text + close

    @property
    def lines(self) -> tuple[Line, ...]:
        """Its lines, comments and unknown fields included, the blank line last."""
        found: list[Line] = []
        start = self.start
        for line in self.raw.splitlines(keepends=True):
            content = line.rstrip(b"\r\n")
            field, _, value = content.partition(b":")
            found.append(
                Line(start, start + len(content), line[len(content) :], field, value.removeprefix(b" "))
            )
            start += len(line)
        return tuple(found)

    @property
    def comments(self) -> tuple[bytes, ...]:
        """Its comments, after the colon (a space there is kept)."""
        return tuple(line[1:] for line in self.raw.splitlines() if line.startswith(b":"))

    def __repr__(self) -> str:
        return f"Block({self.index}, [{self.start}, {self.end}), {self.raw[:80]!r})"


@dataclass(frozen=True, slots=True)
class Tail:
    """What is pending: bytes since the last complete block, and which fields they set.

    `fields`: names in the order of their first line; the unfinished last line counts, comments do not.
    """

    start: int
    raw: bytes
    fields: tuple[bytes, ...]


class Decoder(Framer):
    """Bytes in, blocks out.

    `max_line` counts the bytes of a line without its ending, `max_event` those of a block without the ending
    of its blank line. `ids`, `retries`: whether a block so far sets an id, or a `retry`. `ignored`: whether
    one has a line, no comment, that sets nothing, for its field or its value is not known (§9.2.6).
    """

    __slots__ = ("_index", "_last_id", "_next", "_number", "_open", "ids", "ignored", "retries")

    def __init__(self, *, max_line: int = MAX_LINE, max_event: int = MAX_EVENT) -> None:
        super().__init__(max_line, max_event)
        self._index = 0  # of the next block
        self._number = 0  # of the next event
        self._next = 0  # where the next block starts
        self._last_id = b""
        self._open: Block | None = None  # the newest block, while an LF may still belong to it
        self.ids = self.retries = self.ignored = False

    def feed(self, data: bytes, at: float = 0.0) -> list[Block]:
        """The blocks that these bytes complete. Raises `WireError` past a cap, then and ever after."""
        value = self._lone(data)
        if value is not None:
            return [self._value_block(value, data[6 + len(value) :], at)]
        try:
            found = self._frame(data)
        except Overflow as overflow:
            blocks = self._blocks_of(overflow.found, at)
            raise WireError(str(overflow), overflow.offset, blocks=tuple(blocks)) from None
        return [] if found is NOTHING else self._blocks_of(found, at)

    def tail(self) -> Tail:
        """What is pending now. After a `WireError`: what was pending before the byte that was too many."""
        raw = self._rest()
        names = (line.partition(b":")[0] for line in raw.splitlines())
        return Tail(self._next, raw, tuple(dict.fromkeys(name for name in names if name)))

    def _blocks_of(self, found: Found, at: float) -> list[Block]:
        pairs, values, ids, groups, eol = found
        blocks: list[Block] = []
        for text, close in pairs:
            value = only_value(text)
            if value is None:
                blocks.append(self._block(text.splitlines(), text, close, at))
            else:
                blocks.append(self._value_block(value, text[6 + len(value) :] + close, at))
        for lines in groups:
            blocks.append(self._block(lines, eol.join(lines) + eol, eol, at))
        if not self._returned:
            self._open = None
        elif blocks:
            self._open = blocks[-1]
        return self._value_blocks(values, ids, eol + eol, at, blocks) if values else blocks

    def _block(self, lines: Sequence[bytes], text: bytes, close: bytes, at: float) -> Block:
        data, (event, identity, retry, ignored) = read_lines(lines)
        block = Block()
        block.index = self._index
        self._index += 1
        block.start = start = self._next
        block.end = self._next = start + len(text) + len(close)
        block.at = at
        block.data = data
        block.event = event
        block.id = identity
        block.retry = retry
        block.number = self._number
        if data is not None:
            self._number += 1
        block._text = text
        block._close = close
        if identity is not None:
            self._last_id = identity
            self.ids = True
        if retry is not None:
            self.retries = True
        if ignored:
            self.ignored = True
        block._last_id = self._last_id
        return block

    def _value_block(self, value: bytes, close: bytes, at: float) -> Block:
        block = Block()
        block.index = self._index
        self._index += 1
        block.start = start = self._next
        block.end = self._next = start + 6 + len(value) + len(close)
        block.at = at
        block.data = value
        block.event = block.id = block.retry = block._text = None
        block.number = self._number
        self._number += 1
        block._last_id = self._last_id
        block._close = close
        return block

    def _value_blocks(
        self, values: Sequence[bytes], ids: Sequence[bytes], close: bytes, at: float, blocks: list[Block]
    ) -> list[Block]:
        # What most streams are made of: everything inline.
        index, number, start, last_id = self._index, self._number, self._next, self._last_id
        around = len(close) + 6
        around_id = len(close) // 2 + 4
        if ids:
            self.ids = True
        for value, identity in zip(values, ids or repeat(None), strict=False):
            block = Block()
            block.index = index
            block.start = start
            if identity is not None:
                start += len(identity) + around_id
                last_id = identity
            block.end = start = start + len(value) + around
            block.at = at
            block.data = value
            block.id = identity
            block.event = block.retry = block._text = None
            block.number = number
            block._last_id = last_id
            block._close = close
            index += 1
            number += 1
            blocks.append(block)
        self._index, self._number, self._next, self._last_id = index, number, start, last_id
        return blocks

    def _skipped(self, count: int) -> None:
        self._next += count
        if self._open is not None:
            self._open._close += b"\n"
            self._open.end += count


class DataDecoder(Framer):
    """The same core for load: bytes in, the data bytes of each dispatched event out."""

    __slots__ = ()

    def __init__(self, *, max_line: int = MAX_LINE, max_event: int = MAX_EVENT) -> None:
        super().__init__(max_line, max_event)

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that these bytes complete, as UTF-8 bytes as received."""
        value = self._lone(data)
        if value is not None:
            return [value]
        try:
            found = self._frame(data)
        except Overflow as overflow:
            raise WireError(str(overflow), overflow.offset, data=tuple(self._read(overflow.found))) from None
        return [] if found is NOTHING else self._read(found)

    @staticmethod
    def _read(found: Found) -> list[bytes]:
        pairs, values, _, groups, _ = found
        if not pairs and not groups:
            return values
        read = [_data_of(text) for text, _ in pairs]
        read += [read_lines(lines)[0] for lines in groups]
        return [data for data in read if data is not None] + values


def _data_of(text: bytes) -> bytes | None:
    value = only_value(text)
    return read_lines(text.splitlines())[0] if value is None else value


__all__ = ["Block", "DataDecoder", "Decoder", "Event", "Line", "Tail", "WireError"]
