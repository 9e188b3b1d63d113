"""Which probes' streams the generic rows are judged over: a defect may show in one situation only."""

from __future__ import annotations

from conformance import agentsmithy, penguin
from conformance.findings import Finding
from conformance.rules.stream import Stream

# Every scripted turn, what each family plays beside, and the silent stream: nothing else shows heartbeats.
# Floods are left out: they cut and are cut.
EVERYWHERE: tuple[str, ...] = tuple(
    dict.fromkeys((*agentsmithy.STREAM_PROBES, *penguin.ALL_STREAMS, "silence"))
)

# Findings of one kind that are shown per stream; the rest is counted.
SHOWN = 10


def finding_at(stream: Stream, span: tuple[int, int], title: str, *, expected: str, observed: str) -> Finding:
    """A finding at a byte span, with the number of the event whose block it lies in, if any."""
    return Finding(title, expected, observed, stream.role, event_at(stream, span[0]), span)


def event_at(stream: Stream, offset: int) -> int | None:
    """The number of the event whose block holds that byte of the body; None in what dispatches nothing."""
    for block in stream.walk():
        if block.end > offset:
            return block.dispatch.index if block.dispatch is not None and block.start <= offset else None
    return None


def shown(data: bytes, limit: int = 80) -> str:
    """Bytes as short ASCII text for people."""
    text = ascii(data[:limit].decode("utf-8", "backslashreplace"))
    return text + ("…" if len(data) > limit else "")


def counted(stream: Stream, more: int, kind: str) -> tuple[str, ...]:
    """The note that says how many findings of a kind are not shown; () if all are."""
    return (f"{stream.role}: {more} more {kind}",) if more > 0 else ()
