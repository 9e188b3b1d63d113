"""Silence is broken by heartbeats (SSE-CON-03)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from conformance.findings import Finding, Judgement
from conformance.heartbeat import allowed_silence, heartbeat_kind, quiet
from conformance.rules.base import RECORDED, Case, Stream, check


@dataclass(frozen=True, slots=True)
class Silence:
    """A stretch of a stream without a byte: from when to when (seconds), and the body's offset there."""

    begin: float
    end: float
    offset: int

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.begin


def longest_silence(stream: Stream) -> Silence:
    """The longest stretch of an event stream without a byte between its head and the recording's end."""
    transcript = stream.transcript
    assert transcript.head is not None
    last, offset = transcript.head.at, 0
    longest = Silence(last, last, 0)
    for chunk in transcript.chunks:
        if not chunk.data:
            continue
        longest = max(longest, Silence(last, chunk.at, offset), key=lambda silence: silence.seconds)
        last = chunk.at
        offset += len(chunk.data)
    return max(longest, Silence(last, transcript.ended_at, offset), key=lambda silence: silence.seconds)


def heartbeats(stream: Stream) -> Counter[str]:
    """The heartbeats in an event stream by kind, greetings right after its head apart."""
    head = stream.transcript.head
    assert head is not None
    since = head.at + quiet(stream.profile)
    found = Counter(kind for block in stream.walk() if block.at > since and (kind := heartbeat_kind(block)))
    if stream.tail.raw.startswith(b":") and stream.transcript.chunks[-1].at > since:
        found["comment"] += 1  # a comment line needs no blank line after it
    return found


@check("SSE-CON-03", probes=("silence",), recorded=True)
def heartbeat(case: Case) -> Judgement:
    """WHATWG HTML §9.2.7 advises a comment line every 15 s or so: proxies drop what is silent for longer."""
    if case.head_assumed:
        return Judgement(not_applicable="the recording has no arrival times")
    allowed = allowed_silence(case.profile)
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        silence, kinds = longest_silence(stream), heartbeats(stream)
        if silence.seconds > allowed:
            findings.append(
                Finding(
                    "a silence without a heartbeat",
                    f"a sign of life every {allowed:g} s at least (the declared period, or 15 s, plus slack)",
                    f"no byte from {silence.begin:.1f} s to {silence.end:.1f} s",
                    stream.role,
                    None,
                    (silence.offset, silence.offset),
                )
            )
        elif not kinds:
            continue
        judged += 1
        said = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())) or "none"
        notes.append(f"heartbeats: {said}; longest silence {silence.seconds:.1f} s")
    if judged or case.observation.probe == RECORDED:
        return Judgement(tuple(findings), judged, tuple(notes), not_applicable="no silence was long enough")
    return Judgement(inconclusive=f"the stream was never silent for {allowed:g} s, nor was a heartbeat seen")
