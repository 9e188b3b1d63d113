"""Every event's data is one JSON value (SSE-FMT-06)."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.findings import Finding
from conformance.message import Message
from conformance.rules.base import Run, StreamRule, stream_check
from conformance.rules.everywhere import EVERYWHERE


def _excerpt(text: str, limit: int = 80) -> str:
    return ascii(text[:limit]) + ("…" if len(text) > limit else "")


@stream_check("SSE-FMT-06a", probes=EVERYWHERE)
class OneJsonValue(StreamRule):
    """RFC 8259 §2: exactly one value; NaN and Infinity are not JSON (§6).

    An event with empty data dispatches (a `data:` line is enough) and is no JSON value. JSON that is merely
    too deep or too long for this reader is nobody's fault (§9) and is noted.
    """

    def feed(self, message: Message) -> Iterable[Finding]:
        """Judge the next event."""
        if not message.error:
            self.judged += 1
            return ()
        if message.limited:
            if not self.notes:
                self.notes.append(f"event {message.event.index} is not judged: {message.error}")
            return ()
        self.judged += 1
        return (
            self.finding(
                message,
                "an event whose data is not one JSON value",
                expected="exactly one JSON value (RFC 8259) in the joined data lines",
                observed=f"{_excerpt(message.event.data)}: {message.error}",
            ),
        )

    def takes(self, run: Run) -> bool:
        """The data of an ordinary event is one JSON object."""
        self.judged += len(run.messages) if run.ordinary else 0
        return run.ordinary


@stream_check("SSE-FMT-06b", probes=EVERYWHERE)
class NoDuplicateNames(StreamRule):
    """RFC 8259 §4: names within an object should be unique; readers differ in which value they take."""

    def feed(self, message: Message) -> Iterable[Finding]:
        """Judge the next event."""
        self.judged += 1
        if not message.duplicates:
            return ()
        names = ", ".join(ascii(name) for name in dict.fromkeys(message.duplicates))
        return (
            self.finding(
                message,
                "an object with a member twice",
                expected="unique names within each object",
                observed=f"{names} more than once in {_excerpt(message.event.data)}",
            ),
        )

    def takes(self, run: Run) -> bool:
        """No name comes twice in an ordinary event."""
        self.judged += len(run.messages) if run.ordinary else 0
        return run.ordinary
