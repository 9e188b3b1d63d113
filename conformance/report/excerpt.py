"""The bytes that prove a finding, cut out of a body so that a document needs nothing but the result file."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 1_536  # bytes of one excerpt
_BEFORE = 256  # bytes of context in front of the span
_AFTER = 256  # and behind it


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Bytes around a finding's span, redacted.

    `offset` is where `data` begins in the content-decoded body as it was received (bytes). `marked` is the
    span [start, end) within `data`; it ends at the end of `data` where the span itself is longer than an
    excerpt may be. `cut_before` and `cut_after` say whether the body goes on beyond `data`.
    """

    role: str
    offset: int
    data: bytes
    marked: tuple[int, int]
    cut_before: bool = False
    cut_after: bool = False


def cut(role: str, body: bytes, span: tuple[int, int]) -> Excerpt:
    """The excerpt for the span [start, end) of a redacted body."""
    start = min(max(span[0], 0), len(body))
    end = min(max(span[1], start), len(body))
    first = max(0, start - _BEFORE)
    last = min(len(body), end + _AFTER, first + LONGEST)
    marked = (start - first, min(end, last) - first)
    return Excerpt(role, first, body[first:last], marked, first > 0, last < len(body))
