"""A verdict as text for a terminal: what was expected, what was observed, and the bytes that prove it."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.findings import Finding, Verdict
from conformance.judge import Result
from conformance.report.model import FoundFinding
from conformance.rules.base import Stream

_SHOWN_FINDINGS = 3
_EVENTS_AROUND = 2
_LINE = 160  # characters of one event in the list of events
_BYTES_AROUND = 48
_SPAN = 320  # bytes of the offending span that are shown


def describe(result: Result, findings: Sequence[FoundFinding], streams: Sequence[Stream | None]) -> str:
    """The whole block for one requirement. `findings` and `streams` belong to `result.evidence`, one each."""
    row = result.requirement
    lines = [
        f"{row.id} [{result.level.value}] {result.verdict.value}: {row.statement}",
        f"source: {row.source}",
    ]
    if result.reason:
        lines.append(f"reason: {result.reason}")
    shown = list(zip(findings, result.evidence, streams, strict=True))[:_SHOWN_FINDINGS]
    for found, evidence, stream in shown:
        lines += ["", f"  {found.title}", f"    expected: {_one_line(found.expected)}"]
        lines += [f"    observed: {_one_line(found.observed)}", f"    probe:    {found.probe}"]
        if stream is not None:
            lines += [f"    {line}" for line in _where(stream, evidence.finding)]
        if found.saved:
            lines.append(f"    exchange: {found.saved}")
        if found.curl:
            lines.append(f"    again:    {found.curl}")
    if len(findings) > _SHOWN_FINDINGS:
        lines += ["", f"  … and {len(findings) - _SHOWN_FINDINGS} more findings"]
    if result.verdict in (Verdict.FAIL, Verdict.WARN):
        lines += ["", f"  more: sse-conformance explain {row.id}"]
    return "\n".join(lines)


def _where(stream: Stream, finding: Finding) -> list[str]:
    lines: list[str] = []
    events = stream.events
    if finding.event is not None and events:
        lines.append(f"stream {stream.role!r}, {len(events)} events:")
        first = max(0, finding.event - _EVENTS_AROUND)
        for event in events[first : finding.event + _EVENTS_AROUND + 1]:
            mark = ">" if event.index == finding.event else " "
            lines.append(f"{mark} #{event.index} at {event.at:.3f} s  {_one_line(event.data, _LINE)}")
    elif finding.role:
        transcript = stream.transcript
        status = "no response" if transcript.head is None else f"status {transcript.head.status}"
        ended = transcript.ended.value + (f" ({transcript.detail})" if transcript.detail else "")
        lines.append(f"stream {stream.role!r}: {status}, {len(events)} events, ended: {ended}")
    if finding.span is not None:
        lines += _bytes(stream.transcript.body, finding.span)
    return lines


def _bytes(body: bytes, span: tuple[int, int]) -> list[str]:
    start, end = span
    before = body[max(0, start - _BYTES_AROUND) : start]
    inside = body[start:end]
    more = ""
    if len(inside) > _SPAN:
        inside, more = inside[:_SPAN], f"… ({end - start} bytes)"
    after = body[end : end + _BYTES_AROUND] if not more else b""
    return [f"bytes {start}–{end}: {_escape(before)}⟦{_escape(inside)}{more}⟧{_escape(after)}"]


def _escape(data: bytes) -> str:
    """Bytes as ASCII text in the way of a Python literal, so that invisible ones show."""
    return repr(data)[2:-1]


def _one_line(text: str, longest: int = 600) -> str:
    flat = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return flat if len(flat) <= longest else f"{flat[:longest]}… ({len(flat)} characters)"
