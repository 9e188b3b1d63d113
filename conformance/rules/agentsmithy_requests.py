"""AgentSmithy: requests that are wrong, odd or too large (AgentSmithy protocol 1, §Connection)."""

from __future__ import annotations

import json

from conformance.agentsmithy import (
    BAD_CONTEXTS,
    BAD_REQUESTS,
    HOSTILE_IDS,
    HOSTILE_PROMPT,
    NO_USER,
    BadRequest,
)
from conformance.findings import Finding, Judgement
from conformance.http_status import client_error, server_error, successful
from conformance.message import Message
from conformance.rules._agentsmithy import first, shown
from conformance.rules.base import Case, Stream, check
from conformance.transcript import Ended

_FAMILY = ("agentsmithy",)


def _status(exchange: Stream) -> int | None:
    head = exchange.transcript.head
    return None if head is None else head.status


def _seen(exchange: Stream) -> str:
    """What came, in words."""
    transcript = exchange.transcript
    if transcript.head is None:
        return f"no answer ({transcript.ended})"
    what = transcript.head.media_type or "no media type"
    if transcript.is_event_stream:
        kinds = ", ".join(dict.fromkeys(message.type or "?" for message in exchange.read()))
        what = f"an event stream with {kinds or 'no events'}"
    ended = "" if transcript.ended is Ended.COMPLETE else f", {transcript.ended}"
    return f"HTTP {transcript.head.status}, {what}{ended}"


def _sent(case: Case, table: tuple[BadRequest, ...]) -> list[tuple[BadRequest, Stream]]:
    pairs = ((entry, case.stream(entry.role)) for entry in table)
    return [(entry, exchange) for entry, exchange in pairs if exchange is not None]


@check("AS-REQ-01a", probes=("bad-requests",), families=_FAMILY)
def bad_requests_do_no_harm(case: Case) -> Judgement:
    """No 5xx, no hang; a stream, if one starts, ends with `error` and `done`."""
    findings = [
        exchange.finding(
            title,
            expected=f"a 4xx, or a stream with error and done, because {entry.wrong}",
            observed=_seen(exchange),
        )
        for entry, exchange in _sent(case, BAD_REQUESTS)
        if (title := _harm(exchange))
    ]
    return Judgement(tuple(findings), len(_sent(case, BAD_REQUESTS)))


def _harm(exchange: Stream) -> str:
    status, ended = _status(exchange), exchange.transcript.ended
    if status is None:
        hangs = ended is Ended.DEADLINE
        return "A bad request is never answered" if hangs else "A bad request ends the connection unanswered"
    if server_error(status):
        return "A bad request gives a server error"
    if ended is Ended.DEADLINE:
        return "The answer to a bad request does not end"
    if exchange.transcript.is_event_stream and not _ends_with_error(exchange):
        return "A bad request starts a stream that does not end with error and done"
    return ""


def _ends_with_error(exchange: Stream) -> bool:
    last: Message | None = None
    error = False
    for message in exchange.read():
        error = error or message.type == "error"
        last = message
    return error and last is not None and last.type == "done"


@check("AS-REQ-01b", probes=("bad-requests",), families=_FAMILY)
def bad_requests_are_refused(case: Case) -> Judgement:
    """A bad request gets a 4xx. One without an answer is the business of AS-REQ-01a."""
    answered = [(entry, exchange) for entry, exchange in _sent(case, BAD_REQUESTS) if _status(exchange)]
    findings = [
        exchange.finding(
            "A bad request is not refused",
            expected=f"a 4xx, because {entry.wrong}",
            observed=_seen(exchange),
        )
        for entry, exchange in answered
        if not _refused(exchange)
    ]
    return Judgement(tuple(findings), len(answered))


def _refused(exchange: Stream) -> bool:
    return client_error(_status(exchange))


@check("AS-REQ-01c", probes=("bad-requests",), families=_FAMILY)
def refusals_are_json(case: Case) -> Judgement:
    """A refusal has a JSON body; a request without a message of the user is refused too."""
    findings: list[Finding] = []
    judged = 0
    for entry, exchange in _sent(case, (*BAD_REQUESTS, NO_USER)):
        if _refused(exchange):
            judged += 1
            if problem := _no_json(exchange):
                findings.append(
                    exchange.finding(
                        "A refusal has no JSON body", expected="a JSON body that says why", observed=problem
                    )
                )
        elif entry is NO_USER:
            judged += 1
            findings.append(
                exchange.finding(
                    "A request without a message of the user is not refused",
                    expected=f"a 4xx, because {entry.wrong}",
                    observed=_seen(exchange),
                )
            )
    return Judgement(tuple(findings), judged)


def _no_json(exchange: Stream) -> str:
    head = exchange.transcript.head
    media = "" if head is None else head.media_type
    if media != "application/json" and not media.endswith("+json"):
        return _seen(exchange)
    try:
        json.loads(exchange.body)
    except (ValueError, RecursionError) as error:
        return f"{media}, and the body is not JSON: {error}"
    return ""


@check("AS-REQ-02a", probes=("no-stream",), families=_FAMILY)
def no_stream_is_no_error(case: Case) -> Judgement:
    """`stream: false` is documented: never a 5xx."""
    exchange = case.stream("no-stream")
    if exchange is None or _status(exchange) is None:
        return Judgement(inconclusive="no request was made" if exchange is None else _seen(exchange))
    if not server_error(_status(exchange)):
        return Judgement(judged=1)
    finding = exchange.finding(
        "stream: false gives a server error",
        expected="a JSON answer, or a 4xx",
        observed=f"{_seen(exchange)}: {shown(exchange.body[:200].decode(errors='replace'))}",
    )
    return Judgement((finding,), judged=1)


@check("AS-REQ-02b", probes=("no-stream",), families=_FAMILY)
def no_stream_gives_json(case: Case) -> Judgement:
    """`stream: false` gives a JSON answer or a 4xx. A 5xx is the business of AS-REQ-02a."""
    exchange = case.stream("no-stream")
    status = None if exchange is None else _status(exchange)
    if exchange is None or status is None:
        return Judgement(inconclusive="no request was made" if exchange is None else _seen(exchange))
    if server_error(status):
        return Judgement(not_applicable="stream: false gave a server error (AS-REQ-02a)")
    if client_error(status) or not (problem := _no_json(exchange)):
        return Judgement(judged=1)
    finding = exchange.finding(
        "stream: false is not answered with JSON", expected="a JSON answer, or a 4xx", observed=problem
    )
    return Judgement((finding,), judged=1)


@check("AS-REQ-03a", probes=("surrogate",), families=_FAMILY)
def surrogate_ends_with_done(case: Case) -> Judgement:
    """A prompt with an unpaired surrogate never gives a 200 whose stream breaks off without `done`."""
    exchange = case.stream("surrogate")
    status = None if exchange is None else _status(exchange)
    if exchange is None or status is None:
        return Judgement(inconclusive="no request was made" if exchange is None else _seen(exchange))
    if not successful(status) or first(exchange, "done") is not None:
        return Judgement(judged=1)
    finding = exchange.finding(
        "An unpaired surrogate in the prompt leaves a stream without done",
        expected="a 4xx, or a stream that ends with done",
        observed=_seen(exchange),
    )
    return Judgement((finding,), judged=1)


@check("AS-REQ-03b", probes=("surrogate",), families=_FAMILY)
def surrogate_is_no_server_error(case: Case) -> Judgement:
    """Nor does it give a 5xx."""
    exchange = case.stream("surrogate")
    status = None if exchange is None else _status(exchange)
    if exchange is None or status is None:
        return Judgement(inconclusive="no request was made" if exchange is None else _seen(exchange))
    if not server_error(status):
        return Judgement(judged=1)
    finding = exchange.finding(
        "An unpaired surrogate in the prompt gives a server error",
        expected="a 4xx, or a stream",
        observed=_seen(exchange),
    )
    return Judgement((finding,), judged=1)


@check("AS-REQ-04", probes=("hostile-dialogs",), families=_FAMILY)
def hostile_dialog_ids(case: Case) -> Judgement:
    """What happens to dialog ids with path separators, control characters, or of 10 kB: told, not judged."""
    notes: list[str] = []
    for name, _ in HOSTILE_IDS:
        exchange = case.stream(HOSTILE_PROMPT + name)
        if exchange is not None:
            notes.append(f"dialog_id {name}: {_seen(exchange)}")
    return Judgement(judged=len(notes), notes=tuple(notes))


@check("AS-REQ-05", probes=("wrong-context",), families=_FAMILY)
def wrong_context_is_refused(case: Case) -> Judgement:
    """A wrongly typed member of `context` gets a 4xx before the stream."""
    findings: list[Finding] = []
    sent = _sent(case, BAD_CONTEXTS)
    for entry, exchange in sent:
        if not _refused(exchange):
            findings.append(
                exchange.finding(
                    "A wrongly typed context is not refused",
                    expected=f"a 4xx before the stream, because {entry.wrong}",
                    observed=_seen(exchange),
                )
            )
    return Judgement(tuple(findings), len(sent))


@check("AS-REQ-06", probes=("big-body",), families=_FAMILY)
def large_body_is_refused(case: Case) -> Judgement:
    """A body beyond the declared limit gets a 4xx, and the next client is served."""
    exchange, after = case.stream("big"), case.stream("after")
    if exchange is None or after is None:
        return Judgement(inconclusive="no request was made")
    findings: list[Finding] = []
    judged = 1
    limit = case.profile.capabilities.max_body
    if not after.messages:
        findings.append(
            after.finding(
                "After a body beyond the limit the server serves nobody",
                expected="the next prompt is answered by a stream",
                observed=_seen(after),
            )
        )
    inconclusive = ""
    if _status(exchange) is None:
        # A server may close while we are still sending; its answer is then lost on the way (RFC 9112 §9.6).
        inconclusive = f"the large request got {_seen(exchange)}"
    elif not _refused(exchange):
        findings.append(
            exchange.finding(
                "A body beyond the declared limit is not refused",
                expected=f"413 or another 4xx for more than {limit} bytes",
                observed=_seen(exchange),
            )
        )
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)
