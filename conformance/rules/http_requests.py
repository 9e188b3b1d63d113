"""Requests that few clients send: SSE-HTTP-05 to 08, SSE-CON-02."""

from __future__ import annotations

import re

from conformance import exchanges
from conformance.findings import Finding, Judgement
from conformance.http_status import client_error, server_error, successful
from conformance.rules.base import Case, Stream, check
from conformance.transcript import Ended, Transcript

_CUT = (Ended.TRUNCATED, Ended.RESET, Ended.PROTOCOL_ERROR)


def how(transcript: Transcript) -> str:
    """An answer in a few words."""
    head = transcript.head
    if head is None:
        return f"no answer ({transcript.detail or transcript.ended.value})"
    return f"{head.status} {head.media_type}".strip()


def _methods(case: Case) -> list[tuple[str, Stream]]:
    """Wrong methods with their exchanges. agentsmithy/1: its document's own client skeleton can only GET."""
    found = [
        (exchange.role.removeprefix(exchanges.METHOD_ROLE), exchange)
        for exchange in case.exchanges
        if exchange.role.startswith(exchanges.METHOD_ROLE)
    ]
    exempt = case.profile.protocol == "agentsmithy/1"
    return [(method, exchange) for method, exchange in found if not (exempt and method == "GET")]


@check("SSE-HTTP-05a", probes=(exchanges.METHODS,))
def wrong_method(case: Case) -> Judgement:
    """No stream, no 5xx but 501, no hang."""
    findings: list[Finding] = []
    wanted = "405 or another refusal"
    methods = _methods(case)
    for method, exchange in methods:
        transcript, head = exchange.transcript, exchange.transcript.head
        if transcript.is_event_stream:
            findings.append(
                exchange.finding(f"{method} gives an event stream", expected=wanted, observed=how(transcript))
            )
        elif head is not None and server_error(head.status) and head.status != 501:
            findings.append(
                exchange.finding(f"{method} fails in the server", expected=wanted, observed=how(transcript))
            )
        elif transcript.ended is Ended.DEADLINE:
            seconds = transcript.ended_at - transcript.opened_at
            findings.append(
                exchange.finding(
                    f"{method} hangs",
                    expected=wanted,
                    observed=f"{how(transcript)}, open after {seconds:.1f} s",
                )
            )
    return Judgement(tuple(findings), len(methods))


@check("SSE-HTTP-05b", probes=(exchanges.METHODS,))
def refused_method(case: Case) -> Judgement:
    """405, or another 4xx; 501 is what a server says that does not know the method at all."""
    methods = _methods(case)
    findings = tuple(
        exchange.finding(
            f"{method} is not refused", expected="405 or another 4xx", observed=how(exchange.transcript)
        )
        for method, exchange in methods
        if not _refuses(exchange.transcript)
    )
    return Judgement(findings, len(methods))


def _refuses(transcript: Transcript) -> bool:
    head = transcript.head
    return head is not None and (client_error(head.status) or head.status == 501)


@check("SSE-HTTP-05c", probes=(exchanges.METHODS, exchanges.HEAD_METHOD))
def allowed_methods(case: Case) -> Judgement:
    """A 405 names the methods that are allowed (RFC 9110 §15.5.6)."""
    findings: list[Finding] = []
    judged = 0
    for exchange in case.exchanges:
        head = exchange.transcript.head
        if head is not None and head.status == 405:
            judged += 1
            if not head.get_all("allow"):
                findings.append(
                    exchange.finding("a 405 without Allow", expected="an Allow header", observed="none")
                )
    return Judgement(tuple(findings), judged)


@check("SSE-HTTP-06", probes=(exchanges.HEAD_METHOD,))
def head_method(case: Case) -> Judgement:
    """A HEAD answer is its head (RFC 9110 §9.3.2); asked to close, the server then closes (RFC 9112 §9.6)."""
    exchange = case.stream("head")
    if exchange is None:
        return Judgement()
    transcript, head = exchange.transcript, exchange.transcript.head
    if head is None:
        if transcript.ended is Ended.DEADLINE:
            observed = f"nothing within {transcript.ended_at - transcript.opened_at:.1f} s"
            return Judgement((exchange.finding("HEAD hangs", expected="an answer", observed=observed),), 1)
        return Judgement(inconclusive=f"HEAD got {how(transcript)}")
    findings: list[Finding] = []
    surplus = transcript.framing.surplus if transcript.framing is not None else 0
    if surplus:
        findings.append(
            exchange.finding(
                "HEAD has a body", expected="nothing after the head", observed=f"{surplus} bytes"
            )
        )
    # A refusal is over with its head, and so is a page; a stream that is served to HEAD may run on behind it.
    stream = successful(head.status) and head.media_type == "text/event-stream"
    if stream and not case.observation.fact("peer_closed", True):
        findings.append(
            exchange.finding(
                "HEAD does not end",
                expected="the connection closed, as the request asked",
                observed="it stayed open",
            )
        )
    return Judgement(tuple(findings), 1)


@check("SSE-HTTP-07", probes=(exchanges.HTTP10,))
def http10(case: Case) -> Judgement:
    """A server must not send chunks to a client that does not know them (RFC 9112 §6.1, §7.1)."""
    exchange = case.stream("http10")
    if exchange is None:
        return Judgement()
    transcript, head = exchange.transcript, exchange.transcript.head
    if head is None:
        return Judgement(inconclusive=f"an HTTP/1.0 request got {how(transcript)}")
    if head.status in (426, 505):
        return Judgement(not_applicable=f"HTTP/1.0 is refused with {head.status}")
    coding = head.get("transfer-encoding")
    if coding is not None:
        observed = f"Transfer-Encoding: {coding}"
    elif looks_chunked(transcript.body):
        observed = f"a body in chunks without the header: {transcript.body[:20]!r}"
    else:
        return Judgement(judged=1)
    found = exchange.finding(
        "chunks for HTTP/1.0", expected="a body that the close delimits", observed=observed
    )
    return Judgement((found,), 1)


def looks_chunked(body: bytes) -> bool:
    """Whether a body that was not decoded as chunks begins with a chunk."""
    size = re.match(rb"([0-9A-Fa-f]{1,8})(?:;[^\r\n]*)?\r\n", body)
    if size is None:
        return False
    end = size.end() + int(size.group(1), 16)
    return body[end : end + 2] == b"\r\n"


def _accepts(case: Case) -> list[tuple[str, Stream]]:
    """The values of Accept that were sent, with their exchanges."""
    found = ((value, case.stream(role)) for role, value in exchanges.ACCEPTS)
    return [(value, exchange) for value, exchange in found if exchange is not None]


@check("SSE-HTTP-08a", probes=(exchanges.ACCEPT,))
def other_accept(case: Case) -> Judgement:
    """Refused or served, but no failure of the server."""
    findings: list[Finding] = []
    judged, inconclusive = 0, ""
    for value, exchange in _accepts(case):
        head = exchange.transcript.head
        if head is None:
            inconclusive = f"Accept: {value} got {how(exchange.transcript)}"
            continue
        judged += 1
        if server_error(head.status):
            findings.append(
                exchange.finding(
                    f"Accept: {value} fails in the server",
                    expected="406, or an answer",
                    observed=how(exchange.transcript),
                )
            )
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


@check("SSE-HTTP-08b", probes=(exchanges.ACCEPT,))
def accept_note(case: Case) -> Judgement:
    """What happens is reported."""
    notes = [f"Accept: {value} is answered {how(seen.transcript)}" for value, seen in _accepts(case)]
    return Judgement(judged=len(notes), notes=tuple(notes))


def _cursors(case: Case) -> list[Stream]:
    return [entry for entry in case.exchanges if entry.role.startswith(exchanges.CURSOR_ROLE)]


@check("SSE-CON-02a", probes=(exchanges.CURSORS,))
def unknown_cursor(case: Case) -> Judgement:
    """A cursor is the client's to send, and may come from another server or another life."""
    findings: list[Finding] = []
    streams = _cursors(case)
    for exchange in streams:
        transcript, head = exchange.transcript, exchange.transcript.head
        name = f"Last-Event-ID {exchange.role.removeprefix(exchanges.CURSOR_ROLE)!r}"
        if head is not None and server_error(head.status):
            findings.append(
                exchange.finding(
                    f"{name} fails in the server", expected="the stream, or a 4xx", observed=how(transcript)
                )
            )
        elif transcript.is_event_stream and _cut_short(exchange):
            findings.append(
                exchange.finding(
                    f"{name} cuts the stream",
                    expected="a stream that goes on",
                    observed=f"{transcript.ended.value} after {len(exchange.events)} events",
                )
            )
    return Judgement(tuple(findings), sum(exchange.transcript.head is not None for exchange in streams))


def _cut_short(exchange: Stream) -> bool:
    """Broken off, or over before the first event; the stream of a GET ends by itself only when it is cut."""
    ended = exchange.transcript.ended
    if ended in _CUT:
        return True
    is_get = exchange.transcript.request.method == "GET"
    return ended is Ended.COMPLETE and (is_get or not exchange.events)


@check("SSE-CON-02b", probes=(exchanges.CURSORS,))
def cursor_served(case: Case) -> Judgement:
    """Served as if there were none, or with an explicit gap."""
    streams = _cursors(case)
    findings = tuple(
        exchange.finding(
            f"Last-Event-ID {exchange.role.removeprefix(exchanges.CURSOR_ROLE)!r} is refused",
            expected="200 and an event stream",
            observed=how(exchange.transcript),
        )
        for exchange in streams
        if not exchange.transcript.is_event_stream
    )
    return Judgement(findings, len(streams))
