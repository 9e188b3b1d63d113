"""The core of the decoder: where blocks end. No field is read here.

Lines are found in bytes by C code (`find`, `split`, `splitlines`: the latter, of bytes, splits at LF, CRLF
and CR only, which are the standard's line endings). No byte is looked at more than a constant number of
times, and no unfinished line or block is joined before it ends: that is what makes it linear under every
chunking.
"""

from __future__ import annotations

from collections.abc import Sequence

MIB = 1_048_576
MAX_LINE = 128 * MIB
MAX_EVENT = 256 * MIB

BOM = b"\xef\xbb\xbf"
LF, CR = 10, 13
LONG = 1024  # from here on `find` (memchr) finds line endings faster than `split`
PIECES, SMALL = (
    4096,
    128,
)  # so many pieces of a line are joined if smaller on average: tiny chunks cost memory
ENDINGS = (b"\n", b"\r\n", b"\r")

Pairs = list[tuple[bytes, bytes]]
Found = tuple[Pairs, list[bytes], list[bytes], list[Sequence[bytes]], bytes]
"""Blocks in their order: pairs, then values with their ids or groups, and the one line ending of those.

A pair is the text (the lines before the blank one, with their endings) and the blank line's ending. A value is that
of a block which is one line that begins with "data: ", or two, of which the first is "id: " and an id: then each
value has one. A group is the lines of a block, without endings.
"""

NOTHING: Found = ([], [], [], [], b"")


class Overflow(Exception):
    """A cap is passed by the byte at `offset`; `found` are the blocks that ended before."""

    def __init__(self, what: str, cap: int, offset: int, found: Found = NOTHING) -> None:
        super().__init__(f"{what} longer than {cap} bytes: the byte at offset {offset} is one too many")
        self.what = what
        self.cap = cap
        self.offset = offset
        self.found = found


class Framer:
    """Splits bytes into blocks."""

    __slots__ = (
        "_cap",
        "_fold_at",
        "_folded",
        "_held",
        "_held_before",
        "_lines",
        "_mark",
        "_max_event",
        "_max_line",
        "_overflow",
        "_part",
        "_plain",
        "_returned",
        "_size",
        "_total",
        "bom",
    )

    def __init__(self, max_line: int, max_event: int) -> None:
        if max_line < 1 or max_event < 1:
            raise ValueError("max_line and max_event: expected at least 1 byte")
        self.bom = False  # whether the body began with a byte order mark
        self._max_line = max_line
        self._max_event = max_event
        self._cap = min(max_line, max_event)
        self._total = 0  # bytes taken so far
        self._lines: list[bytes] = []  # the finished lines of the unfinished block, with their endings,
        self._size = 0  # and their bytes
        self._part: list[bytes] = []  # the unfinished line in pieces,
        self._held = 0  # its bytes,
        self._folded = 0  # how many of its pieces are large, or were made of small ones,
        self._held_before = 0  # the bytes in those,
        self._fold_at = PIECES  # and how many there are when it is time to look for more of those
        # States that are rare share one flag, so that most chunks pay one test for all of them.
        self._plain = False
        self._mark: bytes | None = b""  # the beginning of a byte order mark; None past its place
        self._returned = False  # the last byte was a CR: an LF now belongs to it
        self._overflow: Overflow | None = None

    def _frame(self, data: bytes) -> Found:
        """The blocks that these bytes end. Raises `Overflow` past a cap, then and ever after."""
        if not self._plain:
            data = self._prepare(data)
        pending = self._size + self._held
        if pending + len(data) > self._cap:
            self._weigh(data)
        self._total += len(data)
        if CR in data:
            return self._with_returns(data, pending)
        if LF not in data:
            self._hold(data)
            return NOTHING
        if not pending:
            if len(data) < LONG:  # an event or a few
                lines = data[:-2].split(b"\n")
                if data[-2:] == b"\n\n" and b"" not in lines:
                    return [], [], [], [lines], b"\n"
                return self._by_line(data), [], [], [], b""
            return self._in_bulk(data, 0, [], b"\n")
        if data[0] == LF and not self._held:
            return self._in_bulk(data, 1, self._by_line(data[:1]), b"\n")
        start = _after_block(data)
        if not start:
            return self._by_line(data), [], [], [], b""
        first = data.find(LF)
        part = self._part
        if first < start - 2 or self._lines or part[0][:6] != b"data: ":
            return self._in_bulk(data, start, self._by_line(data[:start]), b"\n")
        # The pending block is one line of data. It may be large: copy its value once, out of the pieces.
        part[0] = part[0][6:]
        part.append(data[:first])
        value = b"".join(part)
        self._clear_part()
        pairs, values, ids, groups, eol = self._in_bulk(data, start, [], b"\n")
        if pairs or ids or groups:
            return [(b"data: %b\n" % value, b"\n"), *pairs], values, ids, groups, eol
        return pairs, [value, *values], ids, groups, b"\n"

    def _with_returns(self, data: bytes, pending: int) -> Found:
        """The blocks of bytes with a CR: most likely all endings are CRLF."""
        if not pending and len(data) < LONG and data[-4:] == b"\r\n\r\n":
            lines = data[:-4].split(b"\r\n")
            if b"" not in lines and data.count(b"\r") == data.count(b"\n") == len(lines) + 1:
                return [], [], [], [lines], b"\r\n"
        # After a CRLF CRLF a block begins, whatever came before.
        start = data.find(b"\r\n\r\n") + 4 if pending else 0
        if start == 3 or len(data) < LONG or data.find(b"\r\n") < 0:
            return self._by_line(data), [], [], [], b""
        return self._in_bulk(data, start, self._by_line(data[:start]) if start else [], b"\r\n")

    def _lone(self, data: bytes) -> bytes | None:
        """The value, where the bytes are one event of one line that begins with "data: ", and nothing is pending.

        Its endings are both LF or both CRLF. What a server flushes by itself mostly arrives by itself.
        """
        if self._held or self._lines or data[:6] != b"data: " or data[-1] != LF or not self._plain:
            return None
        if data[-2] == LF:
            value = data[6:-2]
        elif data[-4:] == b"\r\n\r\n":
            value = data[6:-4]
        else:
            return None
        if LF in value or CR in value or len(data) > self._cap:
            return None
        self._total += len(data)
        return value

    def _clear_part(self) -> None:
        self._part = []
        self._held = self._held_before = self._folded = 0
        self._fold_at = PIECES

    def _in_bulk(self, data: bytes, start: int, pairs: Pairs, eol: bytes) -> Found:
        """The blocks from `start` on, where a block begins; `pairs` came before.

        Most likely all blocks are like the first: then they are split by what stands between them.
        """
        values: list[bytes] = []
        ids: list[bytes] = []
        groups: list[Sequence[bytes]] = []
        first = data.find(eol, start)
        if start < first < start + LONG:
            end = data.rfind(eol + eol, first)
            if end >= 0:
                if data.startswith(eol, first + len(eol)):
                    values = _values(data[start:end], eol)
                else:
                    values, ids = _values_with_ids(data[start:end], eol)
                if not values:
                    groups = _groups(data[start:end], eol)
                if values or groups:
                    start = end + 2 * len(eol)
        rest = data[start:] if start else data
        if LF in rest or CR in rest:
            later = self._by_line(rest)
            if later:
                groups += [
                    (b"id: " + each, b"data: " + value) for each, value in zip(ids, values, strict=False)
                ]
                groups += [(b"data: " + value,) for value in values[len(ids) :]]
                pairs += [(eol.join(lines) + eol, eol) for lines in groups]
                return pairs + later, [], [], [], b""
        elif rest:
            self._hold(rest)
        return pairs, values, ids, groups, eol

    def _hold(self, data: bytes) -> None:
        """Bytes without a line ending."""
        part = self._part
        part.append(data)
        self._held += len(data)
        if len(part) >= self._fold_at:
            if self._held - self._held_before < PIECES * SMALL:
                part[self._folded :] = [b"".join(part[self._folded :])]
            self._folded = len(part)
            self._held_before = self._held
            self._fold_at = self._folded + PIECES

    def _by_line(self, data: bytes) -> Pairs:
        """The blocks of any bytes."""
        lines = _split(data)
        last = data[-1]
        if last == CR:
            self._returned = True
            self._plain = False
        rest = lines.pop() if last not in (LF, CR) else b""
        if self._held:
            self._part.append(lines[0])
            lines[0] = b"".join(self._part)
            self._clear_part()
        if rest:
            self._hold(rest)
        block = self._lines
        pairs: Pairs = []
        for line in lines:
            if len(line) < 3 and line in ENDINGS:
                pairs.append((b"".join(block), line))
                block = []
            else:
                block.append(line)
        self._lines = block
        self._size = sum(map(len, block)) if pairs else self._size + sum(map(len, lines))
        return pairs

    def _prepare(self, data: bytes) -> bytes:
        """The bytes without a byte order mark at the start of the body, and without the LF of a split
        CRLF."""
        if self._overflow is not None:
            raise Overflow(self._overflow.what, self._overflow.cap, self._overflow.offset)
        if self._mark is not None:
            data = self._mark + data
            if len(data) < len(BOM) and BOM.startswith(data):
                self._mark = data
                return b""
            self._mark = None
            if data.startswith(BOM):
                self.bom = True
                data = data[len(BOM) :]
                self._total = len(BOM)
                self._skipped(len(BOM))
        if self._returned and data:
            self._returned = False
            if data[0] == LF:
                if not self._lines:
                    self._skipped(1)
                elif self._size == self._max_event:
                    self._overflow = Overflow("event", self._max_event, self._total)
                    raise self._overflow
                else:
                    self._lines[-1] += b"\n"
                    self._size += 1
                self._total += 1
                data = data[1:]
        self._plain = not self._returned
        return data

    def _weigh(self, data: bytes) -> None:
        """Find the first byte that passes a cap, if one does; take what is before it, and raise `Overflow`.

        A line is measured without its ending, an event without the ending of its blank line, so that it makes
        no difference whether the LF of a CRLF is here yet.
        """
        size, held, taken = self._size, self._held, 0
        # Without a line ending there is one long line to measure, which may be long: no need to split it.
        lines = data.splitlines(keepends=True) if LF in data or CR in data else [data]
        for line in lines:
            content = len(line.rstrip(b"\r\n")) if line[-1:] in (b"\n", b"\r") else len(line)
            if not content and not held:
                size = 0
                taken += len(line)
                continue
            line_room, event_room = self._max_line - held, self._max_event - size - held
            if content > line_room or len(line) > event_room:
                by_line = content > line_room and line_room <= event_room
                kept = line_room if by_line else event_room
                break
            if content == len(line):
                held += content
            else:
                size += held + len(line)
                held = 0
            taken += len(line)
        else:
            return
        found = self._frame(data[: taken + kept])
        what, cap = ("line", self._max_line) if by_line else ("event", self._max_event)
        self._overflow = Overflow(what, cap, self._total, found)
        self._plain = False
        raise self._overflow

    def _skipped(self, count: int) -> None:
        """Bytes between blocks: a byte order mark, or the LF that completes the newest block's ending."""

    def _rest(self) -> bytes:
        """What is pending."""
        return (self._mark or b"") + b"".join(self._lines) + b"".join(self._part)


def _values(text: bytes, eol: bytes) -> list[bytes]:
    """The values, where all blocks are one line that begins with "data: "; none where one is not."""
    if text[:6] != b"data: ":
        return []
    values = text[6:].split(eol + eol + b"data: ")
    joined = b"".join(values)
    return [] if LF in joined or CR in joined else values


def _values_with_ids(text: bytes, eol: bytes) -> tuple[list[bytes], list[bytes]]:
    """The values and ids, where all blocks are a line that begins with "id: " and one with "data: "; else none."""
    if text[:4] != b"id: ":
        return [], []
    blocks = text[4:].split(eol + eol + b"id: ")
    ids, both, values = map(list, zip(*(block.partition(eol + b"data: ") for block in blocks), strict=True))
    names, joined = b"".join(ids), b"".join(values)
    # An id with NUL is none.
    if not all(both) or 0 in names or LF in names or CR in names or LF in joined or CR in joined:
        return [], []
    return values, ids


def _groups(text: bytes, eol: bytes) -> list[Sequence[bytes]]:
    """The lines of each block, where all blocks have as many lines as the first; none where one has not."""
    lines = text.split(eol)
    size = lines.index(b"") if b"" in lines else len(lines)
    step = size + 1
    if (len(lines) + 1) % step or any(lines[size::step]):
        return []
    columns = [lines[i::step] for i in range(size)]
    if not all(map(all, columns)):
        return []
    if eol != b"\n":
        joined = b"".join(lines)
        if LF in joined or CR in joined:
            return []
    return list(zip(*columns, strict=True))


def _after_block(data: bytes) -> int:
    """Where, in bytes without a CR, the unfinished block ends with an LF LF; 0 if it does not."""
    feed = data.find(LF)
    while feed >= 0:
        after = feed + 1
        feed = data.find(LF, after)
        if feed == after:
            return after + 1
    return 0


def _split(data: bytes) -> list[bytes]:
    """The lines with their endings; the last one may have none."""
    end = data.find(LF)
    if end < LONG or CR in data:
        return data.splitlines(keepends=True)
    lines: list[bytes] = []
    start = 0
    while end >= 0:
        lines.append(data[start : end + 1])
        start = end + 1
        end = data.find(LF, start)
    if start < len(data):
        lines.append(data[start:])
    return lines
