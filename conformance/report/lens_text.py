"""A lens as plain text for a terminal: a table for each stream, then why."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.lens.compare import Difference
from conformance.lens.result import Lens, StreamLens
from conformance.report.html_text import count, plain
from conformance.report.lens_view import Oddity, eyes


def render(lens: Lens) -> str:
    """What each client sees of each stream; then each deviation that shows, once; then who was not there."""
    parts = ["\n".join(_stream(stream, lens)) for stream in lens.streams]
    shown = {oddity.id: oddity for one in eyes(lens) for oddity in one.oddities}
    parts += ["\n".join(_why(oddity)) for oddity in shown.values() if oddity.deviation is not None]
    if not lens.streams:
        parts.append(
            "there is no event stream in it that could be played: an answer of 200, text/event-stream"
        )
    missing = [
        plain(f"{viewer.title} did not take part: {viewer.missing}")
        for viewer in lens.viewers
        if viewer.missing
    ]
    return "\n\n".join([*parts, *(["\n".join(missing)] if missing else [])]) + "\n"


def _stream(stream: StreamLens, lens: Lens) -> Iterator[str]:
    names = {viewer.key: viewer.name for viewer in lens.viewers}
    width = max(map(len, [*names.values(), "the standard"]))
    read = "" if stream.read == stream.size else f", of which the first {stream.read:,} were played"
    chunks = count(stream.chunks, "chunk")
    yield plain(f"{stream.role}: {count(stream.size, 'byte')} in {chunks}{read}, {stream.content_type}")
    yield f"  {'client':<{width}}  events"
    yield f"  {'the standard':<{width}}  {stream.events:>6}"
    for glimpse in stream.glimpses:
        said = "the same" if glimpse.difference is None else _difference(glimpse.difference)
        yield plain(f"  {names[glimpse.client]:<{width}}  {glimpse.events:>6}  {said}")


def _difference(found: Difference) -> str:
    where = "" if found.at is None else f"from byte {found.at:,}: "
    why = (
        f" ({', '.join(found.deviations)})"
        if found.deviations
        else " (on no list of deviations: please report it)"
    )
    return f"{where}sees {found.client}, the standard gives {found.standard}{why}"


def _why(oddity: Oddity) -> Iterator[str]:
    deviation = oddity.deviation
    assert deviation is not None
    yield f"{deviation.id}: {deviation.what}"
    yield f"  the standard  {deviation.clause}"
    yield f"  for a server  {deviation.effect}"


__all__ = ["render"]
