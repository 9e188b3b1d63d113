"""The fields of a block's lines (WHATWG HTML §9.2.6, "process the field")."""

from __future__ import annotations

from collections.abc import Sequence

Others = tuple[bytes | None, bytes | None, bytes | None, bool]
"""The values of `event`, `id`, `retry`, None where no line sets them; and whether a line is ignored.

That is one whose field is not known, or whose value its field does not take; comments are no such lines.
"""


def only_value(text: bytes) -> bytes | None:
    """The value, where the text is one line that begins with "data: "; None for everything else.

    Nothing is copied but the value, which may be large.
    """
    if text[:6] != b"data: ":
        return None
    last = len(text) - 1
    feed, returned = text.find(10), text.find(13)
    if feed == last and (returned < 0 or returned == last - 1):
        return text[6:feed] if returned < 0 else text[6:returned]
    return text[6:last] if returned == last and feed < 0 else None


def read_lines(lines: Sequence[bytes]) -> tuple[bytes | None, Others]:
    """What the lines of a block (without their endings) set: `data` (joined with LF), and the others."""
    if len(lines) == 2:  # as nearly always, where events have ids
        first, second = lines
        if first[:4] == b"id: " and second[:6] == b"data: " and 0 not in first:
            return second[6:], (None, first[4:], None, False)
    data: list[bytes] = []
    event = identity = retry = None
    ignored = False
    for line in lines:
        if line[:6] == b"data: ":
            data.append(line[6:])
            continue
        if line[:4] == b"id: ":
            if 0 not in line:
                identity = line[4:]
            else:
                ignored = True
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"id":
            if 0 not in value:
                identity = value
            else:
                ignored = True
        elif field == b"event":
            event = value
        elif field == b"retry":
            if value.isdigit():  # of bytes: ASCII digits, at least one
                retry = value
            else:
                ignored = True
        elif field:  # not a comment
            ignored = True
    return b"\n".join(data) if data else None, (event, identity, retry, ignored)
