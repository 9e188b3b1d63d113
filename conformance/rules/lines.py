"""Lines that are no field of the standard: data lost on the way, or merely unknown (SSE-FMT-04)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from conformance.catalogue import event_schemas
from conformance.findings import Finding, Judgement
from conformance.rules.base import Case, Stream, check
from conformance.rules.everywhere import EVERYWHERE, SHOWN, counted, finding_at, shown
from conformance.rules.format import BOM
from conformance.rules.stream import FIELDS
from conformance.transcript import Ended
from conformance.wire import Block

KNOWN = 10_000  # lines of one stream that are looked at in detail


@dataclass(frozen=True, slots=True)
class Stray:
    """A line that clients ignore: where it starts, its bytes, why it stands in place of data ("" if not)."""

    start: int
    line: bytes
    lost: str

    @property
    def name(self) -> bytes:
        """What a client takes as the field's name."""
        return self.line.partition(b":")[0]


def strays(stream: Stream) -> list[Stray]:
    """The lines of a stream that no client reads, comments apart; judged once per stream.

    Lines that start with U+FEFF are SSE-FMT-02's. The last line counts only if it is complete, or the
    server ended the stream by itself.
    """
    found = [] if stream.known_fields_only else list(islice(_stray_lines(stream), KNOWN))
    if not found:
        return []
    placed: list[Stray] = []
    pending = iter(found)
    current = next(pending, None)
    for block in chain(stream.walk(), (None,)):
        inside: list[tuple[int, bytes]] = []
        while current is not None and (block is None or current[0] < block.end):
            inside.append(current)
            current = next(pending, None)
        if inside:
            placed.extend(_judge(stream, block, inside))
        if current is None:
            break
    return placed


def _stray_lines(stream: Stream) -> Iterator[tuple[int, bytes]]:
    body = stream.body
    open_end = stream.transcript.ended is not Ended.COMPLETE
    for match in re.finditer(rb"[^\r\n]+", body):
        line, start = match[0], match.start()
        if open_end and match.end() == len(body):
            return
        if start == 0:
            line = line.removeprefix(BOM)
            start = match.end() - len(line)
        if line.startswith((b":", BOM)) or not line or line.partition(b":")[0] in FIELDS:
            continue
        yield start, line


def _judge(stream: Stream, block: Block | None, lines: list[tuple[int, bytes]]) -> Iterator[Stray]:
    continuation = block is not None and block.data is not None and _continues(block)
    alone = block is not None and block.data is None
    knows = event_schemas(stream.profile.protocol).knows
    for start, line in lines:
        yield Stray(start, line, "part of an event's data" if continuation else _lost(line, alone, knows))


def _lost(line: bytes, alone: bool, knows: Callable[[str], bool]) -> str:
    name, _, value = line.partition(b":")
    if name.strip().lower() == b"data":
        return "a `data` line with a misspelt name"
    text = line.strip()
    if text.startswith(b"{") or (text.startswith(b"[") and _json(text) is not None):
        return "bare JSON"
    if alone:
        event = _json(value)
        kind = event.get("type") if isinstance(event, dict) else None
        if isinstance(kind, str) and knows(kind):
            return f"a {kind} event under a name that no client knows"
    return ""


def _continues(block: Block) -> bool:
    """Whether the data is JSON only together with the lines that clients drop: a line end inside an event."""
    if _json(block.data or b"") is not None:
        return False
    parts = [
        line.value if line.field == b"data" else block.raw[line.start - block.start : line.end - block.start]
        for line in block.lines
        if line.field not in (b"", b"event", b"id", b"retry")
    ]
    return _json(b"\n".join(parts)) is not None


def _json(data: bytes) -> object:
    # Line ends in strings are let pass (`strict`): the question is what the server meant to send.
    try:
        return json.loads(data, strict=False)
    except (ValueError, RecursionError):
        return None


@check("SSE-FMT-04a", probes=EVERYWHERE, recorded=True, every=False)
def lost_lines(case: Case) -> Judgement:
    """WHATWG HTML §9.2.6: a line whose field name is not known is ignored, whatever it was meant to be."""
    return _report(case, lost=True)


@check("SSE-FMT-04b", probes=EVERYWHERE, recorded=True, every=False)
def unknown_fields(case: Case) -> Judgement:
    """WHATWG HTML §9.2.5 knows four fields and comments; anything else is ignored by every client."""
    return _report(case, lost=False)


def _report(case: Case, *, lost: bool) -> Judgement:
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        judged += bool(stream.size)
        chosen = [stray for stray in stream.once("strays", strays) if bool(stray.lost) is lost]
        seen = _first_of_each(chosen, lost)[:SHOWN]
        for stray in seen:
            findings.append(
                finding_at(
                    stream,
                    (stray.start, stray.start + len(stray.line)),
                    f"{stray.lost} is dropped silently"
                    if lost
                    else "a field that the standard does not know",
                    expected="`data`, `event`, `id`, `retry` or a comment, spelt exactly so",
                    observed=f"the line {shown(stray.line)}",
                )
            )
        notes += counted(stream, len(chosen) - len(seen), "such lines")
    return Judgement(tuple(findings), judged, tuple(notes))


def _first_of_each(chosen: list[Stray], lost: bool) -> list[Stray]:
    # A custom field on every event is one finding; lost data is shown where it is lost.
    if lost:
        return chosen
    first: dict[bytes, Stray] = {}
    for stray in chosen:
        first.setdefault(stray.name, stray)
    return list(first.values())
