r"""Bytes as markup: text where it is text, escapes where it is not, the offending span marked.

`\n` and the like in `<i>` are characters that cannot be seen, `\xff` in `<b>` is a byte that is not UTF-8; a line
feed is followed by a line break of the page's own. So the exact bytes can be read back from
the markup (`report.js` does).
"""

from __future__ import annotations

import codecs
from itertools import groupby

from markupsafe import Markup, escape

from conformance.report.excerpt import Excerpt
from conformance.report.html_text import escaped

_INVALID = range(0xDC80, 0xDD00)  # what "surrogateescape" makes of a byte that is not UTF-8
_MARKED_SHARE = 0.7  # of a narrowed excerpt, for the marked span itself


def narrowed(excerpt: Excerpt, most: int) -> Excerpt:
    """At most so many of its bytes, the start of the marked span and some bytes before it among them."""
    data, (start, end) = excerpt.data, excerpt.marked
    if len(data) <= most:
        return excerpt
    inside = min(end - start, int(most * _MARKED_SHARE))
    first = max(0, start - (most - inside) // 2)
    last = min(len(data), first + most)
    first = max(0, last - most)
    return Excerpt(
        excerpt.role,
        excerpt.offset + first,
        data[first:last],
        (start - first, min(end, last) - first),
        excerpt.cut_before or first > 0,
        excerpt.cut_after or last < len(data),
    )


def markup(excerpt: Excerpt) -> Markup:
    """The excerpt's bytes, the marked ones in `<mark>`."""
    data, (start, end) = excerpt.data, excerpt.marked
    first = _whole_from(data, start) if excerpt.cut_before else 0
    last = len(data)
    if excerpt.cut_after:  # the marked span itself may go on beyond the excerpt
        last = _whole_until(data, start if end == len(data) else end)
    end = min(end, last)
    before, inside, after = data[first:start], data[start:end], data[end:last]
    marked = Markup("<mark>{}</mark>").format(_shown(inside))
    return Markup("{}{}{}").format(_shown(before), marked, _shown(after))


def first_shown(excerpt: Excerpt) -> int:
    """The offset in the body of the first byte that `markup` shows."""
    skipped = _whole_from(excerpt.data, excerpt.marked[0]) if excerpt.cut_before else 0
    return excerpt.offset + skipped


def _shown(data: bytes) -> Markup:
    made = []
    for kind, run in groupby(data.decode("utf-8", "surrogateescape"), key=_kind):
        characters = "".join(run)
        if kind == "text":
            made.append(str(escape(characters)))
        elif kind == "byte":
            made.append("".join(f"<b>\\x{ord(c) - 0xDC00:02x}</b>" for c in characters))
        else:
            made.append("".join(f"<i>{escaped(c)}</i>" + "\n" * (c == "\n") for c in characters))
    return Markup("".join(made))


def _kind(character: str) -> str:
    if ord(character) in _INVALID:
        return "byte"
    return "text" if character.isprintable() else "escape"


def _whole_from(data: bytes, most: int) -> int:
    # An excerpt that begins in the middle of a character must not look as if that were the server's doing.
    first = 0
    while first < min(3, most) and data[first] & 0xC0 == 0x80:
        first += 1
    return first


def _whole_until(data: bytes, least: int) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    pending = decoder.getstate()[0]
    return max(least, len(data) - len(pending))
