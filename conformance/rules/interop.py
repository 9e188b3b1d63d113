"""What stock clients make of the same bytes (SSE-INT-01). Reported only: the standard is the referee."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from conformance.findings import Judgement
from conformance.rules.base import Case, Stream, check
from conformance.rules.everywhere import EVERYWHERE
from conformance.wire import Decoder, WireError

READ = 1_048_576  # bytes of each stream that the clients read


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a client hands it on: its type ("message" by default) and data."""

    type: str
    data: str


def referee(chunks: tuple[bytes, ...]) -> list[Seen]:
    """The events by the standard."""
    decoder = Decoder()
    found: list[Seen] = []
    for chunk in chunks:
        try:
            blocks = decoder.feed(chunk)
        except WireError:
            break
        found += [Seen(b.dispatch.type, b.dispatch.data) for b in blocks if b.dispatch is not None]
    return found


def httpx_sse(chunks: tuple[bytes, ...]) -> list[Seen]:
    """The events as `httpx_sse.EventSource` gives them: its own line splitting and decoder, text by httpx.

    httpx decodes with the charset of the response; UTF-8 is what it takes where none or UTF-8 is named.
    """
    lines, decoder = SSELineDecoder(), SSEDecoder()
    text = codecs.getincrementaldecoder("utf-8")(errors="replace")
    found: list[Seen] = []

    def take(ready: list[str]) -> None:
        for line in ready:
            event = decoder.decode(line.rstrip("\n"))
            if event is not None:
                found.append(Seen(event.event or "message", event.data))

    for chunk in chunks:
        if piece := text.decode(chunk):
            take(lines.decode(piece))
    take(lines.flush())
    return found


def lf_lf(chunks: tuple[bytes, ...]) -> list[Seen]:
    """The events of a client that splits on LF LF and joins what follows `data:`, as home-made ones do."""
    blocks = b"".join(chunks).decode("utf-8", "replace").split("\n\n")
    found: list[Seen] = []
    for block in blocks[:-1]:
        fields = [line.partition(":") for line in block.split("\n")]
        data = [value.removeprefix(" ") for name, _, value in fields if name == "data"]
        if data:
            names = [value.removeprefix(" ") for name, _, value in fields if name == "event"]
            found.append(Seen((names or [""])[-1] or "message", "\n".join(data)))
    return found


CLIENTS: tuple[tuple[str, Callable[[tuple[bytes, ...]], list[Seen]]], ...] = (
    ("httpx-sse", httpx_sse),
    ("a client that splits on LF LF", lf_lf),
)


@check("SSE-INT-01", probes=EVERYWHERE, recorded=True, every=False)
def stock_clients(case: Case) -> Judgement:
    """Each way in which a client's events differ from the standard's is named once."""
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        chunks = tuple(_first_bytes(stream))
        truth = referee(chunks)
        if not truth:
            continue
        judged += 1
        for client, read in CLIENTS:
            notes += (f"{client}: {difference}" for difference in _differences(truth, read(chunks)))
        if stream.size > READ:
            notes.append(f"{stream.role}: clients read the first {READ} bytes of {stream.size}")
    return Judgement((), judged, tuple(dict.fromkeys(notes)))


def _first_bytes(stream: Stream) -> Iterator[bytes]:
    left = READ
    for chunk in stream.transcript.chunks:
        if left <= 0:
            return
        yield chunk.data[:left]
        left -= len(chunk.data)


def _differences(truth: list[Seen], seen: list[Seen]) -> Iterator[str]:
    if truth == seen:
        return
    if not seen:
        yield "sees no event at all"
        return
    phantom = [event for event in seen if not event.data and event.type == "message"]
    if phantom and [event for event in seen if event.data] == [event for event in truth if event.data]:
        yield "sees events without data where blocks dispatch nothing (after an `id`, `event` or `retry`)"
        return
    for index, (right, wrong) in enumerate(zip_longest(truth, seen)):
        if right == wrong:
            continue
        if wrong is None:
            yield f"sees {len(seen)} events, not {len(truth)}"
        elif right is None:
            yield f"sees {len(seen)} events, not {len(truth)}: {_short(wrong)} has no counterpart"
        else:
            yield f"its event {index} is {_short(wrong)}, not {_short(right)}"
        return


def _short(event: Seen) -> str:
    return f"{event.type!a} with data {event.data[:60]!a}{'…' if len(event.data) > 60 else ''}"


__all__ = ["CLIENTS", "Seen", "httpx_sse", "lf_lf", "referee"]
