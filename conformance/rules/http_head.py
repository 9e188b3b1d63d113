"""What the head of an event stream says: SSE-CON-01, SSE-HTTP-04a, 04b."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.findings import Finding, Judgement
from conformance.http_status import client_error, successful
from conformance.rules.base import RECORDED, Case, Stream, check
from conformance.rules.http_framing import ANY_STREAM
from conformance.transcript import Ended, Head
from conformance.turns import TURN_PROBES

_UTF8 = ("utf-8", "utf8")
_ASSUMED = "the response head was not recorded"


@check("SSE-CON-01", probes=TURN_PROBES, recorded=True, every=False)
def stream_head(case: Case) -> Judgement:
    """A request that is right is answered 200, `text/event-stream`, in UTF-8 (WHATWG HTML §9.2.2, §9.2.3)."""
    if case.head_assumed:
        return Judgement(not_applicable=_ASSUMED)
    findings: list[Finding] = []
    judged = 0
    excuse = ""
    for exchange in case.exchanges:
        reason = _excuse(case, exchange)
        if reason:
            excuse = reason
            continue
        judged += 1
        findings.extend(_head_findings(exchange))
    return Judgement(tuple(findings), judged, not_applicable="" if judged else excuse)


def _excuse(case: Case, exchange: Stream) -> str:
    """Why an exchange need not be an event stream, "" if it must."""
    transcript, head = exchange.transcript, exchange.transcript.head
    if head is None:
        return (
            "the exchange was ended before it was answered" if transcript.ended is Ended.CLOSED_BY_US else ""
        )
    if successful(head.status):
        return ""
    probe, name = case.observation.probe, f"answered {head.status}"
    if probe == RECORDED:
        return f"a plain HTTP answer is recorded, {name}"
    if any(action.script is not None and action.script.fails for action in case.prompts()):
        return f"a prompt that fails may be refused, {name}"
    if probe == "large" and client_error(head.status):
        return f"a large prompt may be refused, {name}"
    if head.status in (429, 503) and case.profile.capabilities.rate_limit:
        return f"limited, {name}"
    return ""


def _head_findings(exchange: Stream) -> Iterator[Finding]:
    transcript, head = exchange.transcript, exchange.transcript.head
    if head is None:
        yield exchange.finding(
            "no answer",
            expected="200 and an event stream",
            observed=f"{transcript.ended.value}: {transcript.detail}".removesuffix(": "),
        )
        return
    if head.status != 200:
        yield exchange.finding(
            "not answered with 200",
            expected="status 200",
            observed=f"status {head.status} {head.reason}".strip(),
        )
    if not successful(head.status):
        return  # what kind of answer a refusal is does not matter here
    kinds = [value.split(";", 1)[0].strip().lower() for value in head.get_all("content-type")]
    if not kinds or any(kind != "text/event-stream" for kind in kinds):
        yield exchange.finding(
            "the wrong media type",
            expected="Content-Type: text/event-stream",
            observed=f"Content-Type: {head.get('content-type')}" if kinds else "no Content-Type",
        )
    charset = _charset(head)
    if charset and charset not in _UTF8:
        yield exchange.finding(
            "the wrong charset", expected="no charset, or UTF-8", observed=f"charset={charset}"
        )


def _charset(head: Head) -> str:
    """The charset parameter in lower case, "" without one."""
    for parameter in (head.get("content-type") or "").split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').strip().lower()
    return ""


def _streams(case: Case) -> Iterator[tuple[Stream, Head]]:
    for stream in case.streams:
        head = stream.transcript.head
        if head is not None and stream.transcript.request.method != "HEAD":
            yield stream, head


@check("SSE-HTTP-04a", probes=ANY_STREAM, recorded=True, every=False)
def not_cached(case: Case) -> Judgement:
    """The stream of a GET must not come from a cache; the answer to a POST is not cached anyway."""
    if case.head_assumed:
        return Judgement(not_applicable=_ASSUMED)
    findings: list[Finding] = []
    judged = 0
    for stream, head in _streams(case):
        judged += 1
        directives = {
            part.split("=")[0].strip().lower() for part in (head.get("cache-control") or "").split(",")
        }
        if not directives & {"no-cache", "no-store"}:
            findings.append(
                stream.finding(
                    "the stream may be cached",
                    expected="Cache-Control: no-cache or no-store",
                    observed=f"Cache-Control: {head.get('cache-control') or '(absent)'}",
                )
            )
    return Judgement(tuple(findings), judged)


@check("SSE-HTTP-04b", probes=ANY_STREAM, recorded=True, every=False)
def not_buffered(case: Case) -> Judgement:
    """nginx and some others do not buffer an answer that has this header."""
    if case.head_assumed:
        return Judgement(not_applicable=_ASSUMED)
    seen = [(head.get("x-accel-buffering") or "").strip().lower() == "no" for _, head in _streams(case)]
    if not seen:
        return Judgement()
    said = "yes" if all(seen) else "no" if not any(seen) else "on some streams only"
    return Judgement(judged=len(seen), notes=(f"X-Accel-Buffering: no — {said}",))
