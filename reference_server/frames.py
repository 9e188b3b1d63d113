"""Events to bytes: each event is encoded once, and its frame is shared by all who get it.

A frame is a whole SSE block with its blank line (WHATWG HTML §9.2.5), so any concatenation of frames is a
well-formed stream.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NEWLINES = {"lf": b"\n", "crlf": b"\r\n"}


@dataclass(frozen=True, slots=True)
class Encoder:
    """How one revision writes its events. `ascii` escapes all other characters within the JSON.

    JSON escapes CR, LF and NUL, so no event needs more than one `data` line.
    """

    line_ending: str = "lf"
    ascii: bool = False

    def frame(self, event: Mapping[str, Any], event_id: str | None = None) -> bytes:
        """The block of one event: an `id` line where it has one, and one `data` line."""
        newline = NEWLINES[self.line_ending]
        data = json.dumps(event, ensure_ascii=self.ascii, allow_nan=False).encode()
        if event_id is None:
            return b"data: %b%b%b" % (data, newline, newline)
        return b"id: %b%bdata: %b%b%b" % (event_id.encode(), newline, data, newline, newline)

    def comment(self, text: str) -> bytes:
        """A comment in a block of its own: it dispatches nothing and keeps a silent stream alive."""
        newline = NEWLINES[self.line_ending]
        return b": %b%b%b" % (text.encode(), newline, newline)
