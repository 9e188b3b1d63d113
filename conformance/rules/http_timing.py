"""Whether streaming is real (SSE-HTTP-02, 03), judged by what the scripted model still withheld."""

from __future__ import annotations

from collections.abc import Iterator

from conformance import exchanges
from conformance.findings import Finding, Judgement
from conformance.rules.base import Case, Stream, check


@check("SSE-HTTP-02", probes=(exchanges.IDLE,), families=("penguin",))
def head_of_idle_stream(case: Case) -> Judgement:
    """The head comes although nothing has happened yet."""
    exchange = case.stream("idle")
    if exchange is None:
        return Judgement()
    if case.observation.fact("head_before_cause"):
        return Judgement(judged=1)
    if exchange.transcript.head is None:
        return Judgement(inconclusive="the head never came at all")
    seconds = exchange.transcript.head.at - exchange.transcript.opened_at
    found = exchange.finding(
        "the head waits for the first event",
        expected="the head of an idle stream",
        observed=f"the head after {seconds:.1f} s, when something happened",
    )
    return Judgement((found,), 1)


@check("SSE-HTTP-02", probes=(exchanges.STREAMING,), families=("agentsmithy",))
def head_of_answer(case: Case) -> Judgement:
    """The head comes while the model still withholds its first chunk."""
    by_attempt: dict[str, list[tuple[Stream, bool]]] = {}
    for name, stream, pace in _attempts(case):
        head = stream.transcript.head
        early = None if head is None else exchanges.head_was_early(head.at, stream.messages, pace)
        if early is not None:
            by_attempt.setdefault(name, []).append((stream, early))
    return _twice(
        by_attempt,
        "the head waits for the model",
        "the head before the model's first chunk",
        "the head came with the first chunk",
    )


@check("SSE-HTTP-03", probes=(exchanges.STREAMING,))
def streaming(case: Case) -> Judgement:
    """The first chunk reaches the client while the model still withholds the second."""
    by_attempt: dict[str, list[tuple[Stream, bool]]] = {}
    for name, stream, pace in _attempts(case):
        real = exchanges.streamed(stream.messages, pace)
        if real is not None:
            by_attempt.setdefault(name, []).append((stream, real))
    return _twice(
        by_attempt,
        "the stream is held back",
        "the first chunk while the second is withheld",
        "both chunks at once",
    )


def _attempts(case: Case) -> Iterator[tuple[str, Stream, float]]:
    """Name, stream and pace (s) of every attempt."""
    for stream in case.streams:
        name, _, number = stream.role.rpartition("-")
        prompts = case.prompts(stream.role)
        script = prompts[0].script if prompts else None
        if name in exchanges.STREAMING_ROLES and number.isdigit() and script is not None:
            yield name, stream, script.pace_ms / 1000


def _twice(
    by_attempt: dict[str, list[tuple[Stream, bool]]], title: str, expected: str, observed: str
) -> Judgement:
    """One attempt that shows it is proof; its absence takes two, for the machine may have stood still."""
    findings: list[Finding] = []
    judged = 0
    for name, attempts in by_attempt.items():
        if any(good for _, good in attempts):
            judged += 1
            continue
        if len(attempts) < 2:
            return Judgement(tuple(findings), judged, inconclusive="it was tried once only")
        judged += 1
        stream = attempts[-1][0]
        place = exchanges.first_with(stream.messages, exchanges.FIRST_MARK)
        what = f"{title} (gzip accepted)" if name == "gzip" else title
        findings.append(stream.finding(what, expected=expected, observed=f"{observed}, twice", at=place))
    return Judgement(tuple(findings), judged)
