"""Origins, credentials, rate limits: SSE-HTTP-09, 10, 11."""

from __future__ import annotations

from collections.abc import Iterator

from conformance import exchanges
from conformance.findings import Finding, Judgement
from conformance.http_status import successful
from conformance.rules.base import Case, Stream, check
from conformance.rules.http_requests import how
from conformance.turns import TURN_PROBES

_ALLOW_ORIGIN = "access-control-allow-origin"


@check("SSE-HTTP-09a", probes=(exchanges.ORIGIN,))
def allowed_origin(case: Case) -> Judgement:
    """An allowed origin may read the stream (Fetch standard, CORS check); `*` does not go with credentials."""
    findings: list[Finding] = []
    judged = 0
    for number, origin in enumerate(case.observation.fact("origins", ())):
        plain, cookie = case.stream(f"origin-{number}"), case.stream(f"cookie-{number}")
        if plain is None or cookie is None:
            continue
        for exchange in (plain, cookie):
            head = exchange.transcript.head
            if head is None or not successful(head.status):
                return Judgement(
                    tuple(findings),
                    judged,
                    inconclusive=f"a request from {origin} got {how(exchange.transcript)}",
                )
        judged += 2
        findings.extend(_not_allowed(plain, origin, "an allowed origin may not read the stream"))
        # Where no credentials are allowed, a page's request has none, whatever else a server is sent.
        asked = (plain, cookie, case.stream(f"preflight-{number}"))
        if "*" in _said(cookie) and any(each is not None and _allows_credentials(each) for each in asked):
            findings.append(
                cookie.finding(
                    "`*` to a request with a cookie, where credentials are allowed",
                    expected=f"Access-Control-Allow-Origin: {origin}",
                    observed="Access-Control-Allow-Origin: *",
                )
            )
    return Judgement(tuple(findings), judged, not_applicable="" if judged else "no origin was tried")


def _said(exchange: Stream) -> tuple[str, ...]:
    head = exchange.transcript.head
    return () if head is None else head.get_all(_ALLOW_ORIGIN)


def _allows_credentials(exchange: Stream) -> bool:
    head = exchange.transcript.head
    return head is not None and (head.get("access-control-allow-credentials") or "").strip() == "true"


def _not_allowed(exchange: Stream, origin: str, title: str) -> Iterator[Finding]:
    said = _said(exchange)
    if said not in ((origin,), ("*",)):
        yield exchange.finding(
            title,
            expected=f"Access-Control-Allow-Origin: {origin} or *",
            observed=f"Access-Control-Allow-Origin: {', '.join(said) or '(absent)'}",
        )


@check("SSE-HTTP-09b", probes=(exchanges.ORIGIN,))
def preflight(case: Case) -> Judgement:
    """The preflight passes (Fetch standard, CORS-preflight fetch): 2xx, the origin, the headers."""
    findings: list[Finding] = []
    judged = 0
    for number, origin in enumerate(case.observation.fact("origins", ())):
        exchange = case.stream(f"preflight-{number}")
        if exchange is not None:
            judged += 1
            findings.extend(_preflight_findings(exchange, origin))
    return Judgement(tuple(findings), judged, not_applicable="" if judged else "no origin was tried")


def _preflight_findings(exchange: Stream, origin: str) -> Iterator[Finding]:
    head = exchange.transcript.head
    if head is None or not successful(head.status):
        yield exchange.finding(
            "the preflight is refused", expected="2xx without credentials", observed=how(exchange.transcript)
        )
        return
    yield from _not_allowed(exchange, origin, "the preflight does not allow the origin")
    listed = (head.get("access-control-allow-headers") or "").lower().split(",")
    allowed = {name.strip() for name in listed}
    missing = [name for name in exchanges.needed_headers(exchange.profile) if not allowed & {name, "*"}]
    if missing:
        yield exchange.finding(
            "the preflight does not allow a header that the protocol needs",
            expected=f"Access-Control-Allow-Headers with {', '.join(missing)}",
            observed=head.get("access-control-allow-headers") or "(absent)",
        )


@check("SSE-HTTP-09c", probes=(*TURN_PROBES, exchanges.ORIGIN), recorded=True, every=False)
def no_wildcard_with_credentials(case: Case) -> Judgement:
    """Browsers refuse the pair, so whoever sends it meant something else."""
    if case.head_assumed:
        return Judgement(not_applicable="the response head was not recorded")
    findings: list[Finding] = []
    judged = 0
    for exchange in case.exchanges:
        head = exchange.transcript.head
        if head is None or not head.get_all(_ALLOW_ORIGIN):
            continue
        judged += 1
        if "*" in head.get_all(_ALLOW_ORIGIN) and _allows_credentials(exchange):
            findings.append(
                exchange.finding(
                    "`*` beside Access-Control-Allow-Credentials",
                    expected="the origin itself, or no credentials",
                    observed="Access-Control-Allow-Origin: * and Access-Control-Allow-Credentials: true",
                )
            )
    return Judgement(tuple(findings), judged, not_applicable="" if judged else "no answer speaks of origins")


@check("SSE-HTTP-10", probes=(exchanges.AUTH,))
def credentials(case: Case) -> Judgement:
    """401 with a challenge (RFC 9110 §15.5.2), or 403; and no event in either case."""
    findings: list[Finding] = []
    judged = 0
    for role, who in (("none", "no credentials"), ("wrong", "wrong credentials")):
        exchange = case.stream(role)
        if exchange is None:
            continue
        judged += 1
        head = exchange.transcript.head
        if head is None or head.status not in (401, 403):
            findings.append(
                exchange.finding(
                    f"{who}: not refused", expected="401 or 403", observed=how(exchange.transcript)
                )
            )
        elif head.status == 401 and not head.get_all("www-authenticate"):
            findings.append(
                exchange.finding(
                    f"{who}: a 401 without a challenge", expected="WWW-Authenticate", observed="none"
                )
            )
        elif head.media_type == "text/event-stream" and exchange.events:
            findings.append(
                exchange.finding(
                    f"{who}: events all the same",
                    expected="no event",
                    observed=f"{len(exchange.events)} events",
                )
            )
    return Judgement(tuple(findings), judged)


@check("SSE-HTTP-11a", probes=(exchanges.RATE,))
def limited(case: Case) -> Judgement:
    """Past the declared limit 429 or 503, and after a while service again."""
    exchange, fact = case.stream("limited"), case.observation.fact
    if exchange is None:
        return Judgement()
    head = exchange.transcript.head
    if head is None or head.status not in (429, 503):
        found = exchange.finding(
            "no limit",
            expected=f"429 or 503 past {case.profile.capabilities.rate_limit} requests",
            observed=f"{how(exchange.transcript)} after {fact('sent')} requests",
        )
        return Judgement((found,), 1)
    if fact("resumed"):
        return Judgement(judged=1)
    promised, waited = fact("retry_after"), fact("waited", 0.0)
    if promised is None or promised >= waited:
        return Judgement(inconclusive=f"still limited after {waited:g} s, and no promise to judge that by")
    found = exchange.finding(
        "service does not resume",
        expected=f"service after {promised} s (Retry-After)",
        observed=f"still limited after {waited:g} s",
    )
    return Judgement((found,), 1)


@check("SSE-HTTP-11b", probes=(exchanges.RATE,))
def retry_after(case: Case) -> Judgement:
    """When to come again (RFC 6585 §4, RFC 9110 §10.2.3)."""
    exchange = case.stream("limited")
    head = None if exchange is None else exchange.transcript.head
    if exchange is None or head is None or head.status not in (429, 503):
        return Judgement(not_applicable="no request was limited")
    if head.get_all("retry-after"):
        return Judgement(judged=1)
    found = exchange.finding(f"a {head.status} without Retry-After", expected="Retry-After", observed="none")
    return Judgement((found,), 1)
