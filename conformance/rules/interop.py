"""What stock clients make of the same bytes (SSE-INT-01). Reported only: the standard is the referee."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.findings import Judgement
from conformance.lens.compare import difference, noted
from conformance.lens.in_process import HttpxSse, Naive, Referee
from conformance.lens.reading import Answer, Client
from conformance.rules.base import Case, Stream, check
from conformance.rules.everywhere import EVERYWHERE

READ = 1_048_576  # bytes of each stream that the clients read

CLIENTS: tuple[Client, ...] = (HttpxSse(), Naive())
_REFEREE = Referee()


@check("SSE-INT-01", probes=EVERYWHERE, recorded=True, every=False)
def stock_clients(case: Case) -> Judgement:
    """Each way in which a client's events differ from the standard's is named once."""
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        answer = _answer(stream)
        truth = _REFEREE.read(answer)
        if not truth.events:
            continue
        judged += 1
        for client in CLIENTS:
            found = difference(client, answer, client.read(answer), truth)
            if found is not None:
                notes += noted(client.title, found)
        if stream.size > READ:
            notes.append(f"{stream.role}: clients read the first {READ} bytes of {stream.size}")
    return Judgement((), judged, tuple(dict.fromkeys(notes)))


def _answer(stream: Stream) -> Answer:
    head = stream.transcript.head
    content_type = (head.get("content-type") if head is not None else None) or ""
    return Answer(tuple(_first_bytes(stream)), content_type)


def _first_bytes(stream: Stream) -> Iterator[bytes]:
    left = READ
    for chunk in stream.transcript.chunks:
        if left <= 0:
            return
        yield chunk.data[:left]
        left -= len(chunk.data)


__all__ = ["CLIENTS"]
