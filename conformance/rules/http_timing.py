"""Whether streaming is real (SSE-HTTP-02, 03), judged by what the scripted model still withheld."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from conformance import exchanges
from conformance.findings import Finding, Judgement
from conformance.http_status import successful
from conformance.penguin import BUSES
from conformance.rules.base import Case, Stream, check
from conformance.transcript import Ended


@check("SSE-HTTP-02", probes=(exchanges.IDLE,), families=BUSES)
def head_of_idle_stream(case: Case) -> Judgement:
    """The head comes although nothing has happened yet."""
    exchange = case.stream("idle")
    if exchange is None:
        return Judgement()
    if case.observation.fact("head_before_cause"):
        return Judgement(judged=1)
    if exchange.transcript.head is None:
        return Judgement(inconclusive="the head never came at all")
    head, opened = exchange.transcript.head, exchange.transcript.opened_at
    found = exchange.finding(
        "the head waits for the first event",
        expected="the head of an idle stream",
        observed=f"the head after {head.at - opened:.1f} s, when something happened",
    )
    return Judgement((found,), 1)


@check("SSE-HTTP-02", probes=(exchanges.STREAMING,), families=("agentsmithy",))
def head_of_answer(case: Case) -> Judgement:
    """The head comes while the model still withholds its first chunk."""
    by_attempt: dict[str, list[_Attempt]] = {}
    for name, stream, pace in _attempts(case):
        head, messages = stream.transcript.head, stream.messages
        early = exchanges.head_was_early(stream.transcript, messages, pace, _heartbeat(case))
        first = exchanges.first_with(messages, exchanges.FIRST_MARK)
        if early is not None and head is not None and first is not None:
            seen = (
                f"the head {first.event.at - head.at:.2f} s before the chunk that was withheld for {pace:g} s"
            )
            by_attempt.setdefault(name, []).append(_Attempt(stream, early, seen))
    return _by_attempts(by_attempt, "the head waits for something to say", "the head before anything is due")


@check("SSE-HTTP-03", probes=(exchanges.STREAMING,))
def streaming(case: Case) -> Judgement:
    """The first chunk reaches the client while the model still withholds the second."""
    by_attempt: dict[str, list[_Attempt]] = {}
    for name, stream, pace in _attempts(case):
        messages = stream.messages
        real = exchanges.streamed(messages, pace, _heartbeat(case))
        first = exchanges.first_with(messages, exchanges.FIRST_MARK)
        last = exchanges.first_with(messages, exchanges.LAST_MARK)
        if real is not None and first is not None and last is not None:
            seen = (
                f"the first {last.event.at - first.event.at:.2f} s before the second, withheld for {pace:g} s"
            )
            by_attempt.setdefault(name, []).append(_Attempt(stream, real, seen))
        elif name != "plain" and "plain" in by_attempt and _over(case, stream):
            seen = "nothing of an answer that is over, while a plain stream showed it"
            by_attempt.setdefault(name, []).append(_Attempt(stream, False, seen))
    return _by_attempts(by_attempt, "the stream is held back", "the first chunk while the second is withheld")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try: whether it shows what is asked, and what was seen."""

    stream: Stream
    good: bool
    seen: str


def _over(case: Case, stream: Stream) -> bool:
    """Whether the prompt of an open stream was answered well while the stream was watched."""
    prompt = case.prompts(stream.role)[0]
    if prompt.until is None or not successful(prompt.status):
        return False
    return stream.transcript.ended is Ended.CLOSED_BY_US and prompt.until <= stream.transcript.ended_at


def _heartbeat(case: Case) -> float | None:
    """The declared period."""
    return case.profile.capabilities.heartbeat


def _attempts(case: Case) -> Iterator[tuple[str, Stream, float]]:
    """Name, stream and pace (s) of every attempt."""
    for stream in case.streams:
        name, _, number = stream.role.rpartition("-")
        prompts = case.prompts(stream.role)
        script = prompts[0].script if prompts else None
        if name in exchanges.STREAMING_ROLES and number.isdigit() and script is not None:
            yield name, stream, script.pace_ms / 1000


def _by_attempts(by_attempt: dict[str, list[_Attempt]], title: str, expected: str) -> Judgement:
    """One attempt that shows it is proof; its absence takes several, for the machine may have stood still."""
    findings: list[Finding] = []
    judged = 0
    for name, attempts in by_attempt.items():
        if any(attempt.good for attempt in attempts):
            judged += 1
            continue
        if len(attempts) < 2:
            return Judgement(tuple(findings), judged, inconclusive="it was tried once only")
        judged += 1
        stream = attempts[-1].stream
        place = exchanges.first_with(stream.messages, exchanges.FIRST_MARK)
        what = f"{title} (gzip accepted)" if name == "gzip" else title
        observed = "; ".join(attempt.seen for attempt in attempts)
        findings.append(stream.finding(what, expected=expected, observed=observed, at=place))
    return Judgement(tuple(findings), judged)
