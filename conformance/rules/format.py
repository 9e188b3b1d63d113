"""The bytes of the stream: encoding, byte order marks, line endings, what the end leaves pending.

These rules read the body as bytes, whole: tests that find nothing cost one search at the speed of memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.findings import Finding, Judgement
from conformance.rules.base import Case, Stream, check
from conformance.rules.everywhere import EVERYWHERE, SHOWN, counted, finding_at, shown
from conformance.transcript import Ended

BOM = b"\xef\xbb\xbf"
WINDOW = 4096  # bytes that are decoded at once after an error
COUNTED = 1000  # byte sequences of a stream after which nobody counts on


def bad_utf8(stream: Stream) -> Iterator[tuple[int, int, str]]:
    """Each byte sequence that is not UTF-8, as [start, end) in the body and the reason.

    Chunks are decoded as they came, with what a character left open carried over. A sequence that the end of
    the body cuts off counts only where the server ended the stream by itself.
    """
    offset, pending = 0, b""
    for chunk in stream.transcript.chunks:
        data = pending + chunk.data
        start, window = 0, len(data)  # after an error in windows: the rest is never copied again and again
        while start < len(data):
            try:
                (data if window == len(data) else data[start : start + window]).decode("utf-8")
                start += window
            except UnicodeDecodeError as error:
                window = WINDOW
                if error.reason != "unexpected end of data":
                    yield offset + start + error.start, offset + start + error.end, error.reason
                    start += error.end
                elif start + error.end < len(data):
                    start += error.start  # the window cut it, not the chunk
                else:
                    start += error.start
                    break
        pending = data[start:]
        offset += len(data) - len(pending)
    if pending and stream.transcript.ended is Ended.COMPLETE:
        yield offset, offset + len(pending), "the stream ends inside a character"


@check("SSE-FMT-01", probes=EVERYWHERE, recorded=True, every=False)
def utf8(case: Case) -> Judgement:
    """WHATWG HTML §9.2.4: event streams are always UTF-8; decoders replace what is not, so text is lost."""
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        judged += bool(stream.size)
        total = 0
        for start, end, reason in bad_utf8(stream):
            total += 1
            if total >= COUNTED:
                break
            if total > SHOWN:
                continue
            findings.append(
                finding_at(
                    stream,
                    (start, end),
                    "bytes that are not UTF-8",
                    expected="UTF-8 from the first byte to the last",
                    observed=f"{stream.body[start:end].hex(' ')} at byte {start}: {reason}",
                )
            )
        notes += counted(stream, total - SHOWN, "byte sequences that are not UTF-8")
    return Judgement(tuple(findings), judged, tuple(notes))


@check("SSE-FMT-02", probes=EVERYWHERE, recorded=True, every=False)
def byte_order_marks(case: Case) -> Judgement:
    """WHATWG HTML §9.2.5: one leading BOM is ignored; any other at a line's start spoils a field name."""
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        judged += bool(stream.size)
        total = 0
        for start in _marks(stream):
            total += 1
            if total > SHOWN:
                continue
            line = stream.body[start : start + 200].splitlines()[0]
            findings.append(
                finding_at(
                    stream,
                    (start, start + len(BOM)),
                    "U+FEFF at the start of a line",
                    expected="a field name or a colon at the start of the line",
                    observed=f"the line {shown(line)}, which every client drops",
                )
            )
        notes += counted(stream, total - SHOWN, "lines that start with U+FEFF")
    return Judgement(tuple(findings), judged, tuple(notes))


def _marks(stream: Stream) -> Iterator[int]:
    if stream.is_ascii:  # known at once, where a search takes its time
        return
    body = stream.body
    # A second mark right after the first is at the start of the first line, and not ignored.
    at = body.find(BOM, 1)
    while at >= 0:
        if body[at - 1] in b"\r\n" or (at == len(BOM) and body.startswith(BOM)):
            yield at
        at = body.find(BOM, at + len(BOM))


@check("SSE-FMT-03", probes=EVERYWHERE, recorded=True, every=False)
def line_endings(case: Case) -> Judgement:
    """Reported: which line endings are used. All three are legal (WHATWG HTML §9.2.5)."""
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        used = _endings(stream)
        if not used:
            continue
        judged += 1
        note = f"line endings: {used[0]}" if len(used) == 1 else f"line endings mixed: {', '.join(used)}"
        if used != ["LF"] and b"\n\n" not in stream.body:
            note += " (clients that split on LF LF see no event)"
        notes.append(note)
    return Judgement((), judged, tuple(dict.fromkeys(notes)))


def _endings(stream: Stream) -> list[str]:
    """The kinds of line ending that are used."""
    if not stream.holds(b"\r"):
        return ["LF"] if stream.holds(b"\n") else []
    body = stream.body
    crlf = body.count(b"\r\n")
    counts = {"LF": body.count(b"\n") - crlf, "CRLF": crlf, "CR": body.count(b"\r") - crlf}
    return [name for name, count in counts.items() if count]


@check("SSE-FMT-05", probes=EVERYWHERE, recorded=True, every=False)
def pending_at_the_end(case: Case) -> Judgement:
    """WHATWG HTML §9.2.6: at the end of the stream what no blank line has completed is discarded."""
    findings: list[Finding] = []
    judged = 0
    for stream in case.streams:
        if stream.transcript.ended is not Ended.COMPLETE or not stream.size or stream.decode_error:
            continue
        judged += 1
        tail = stream.tail
        lost = [name.decode() for name in (b"data", b"event", b"id") if name in tail.fields]
        if lost:
            findings.append(
                finding_at(
                    stream,
                    (tail.start, tail.start + len(tail.raw)),
                    "the stream ends before a blank line: clients discard what is pending",
                    expected="a blank line after the last event, then the end of the stream",
                    observed=f"undispatched {', '.join(lost)} in {shown(tail.raw)}",
                )
            )
    reason = "" if judged else "no stream was ended by the server"
    return Judgement(tuple(findings), judged, not_applicable=reason)
