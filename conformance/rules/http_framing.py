"""How the body of an event stream is framed (RFC 9112 §6, §7): SSE-HTTP-01a, 01b, 01c, 12."""

from __future__ import annotations

from collections.abc import Iterator

from conformance import exchanges
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.rules.base import Case, Stream, check
from conformance.rules.everywhere import EVERYWHERE
from conformance.transcript import Ended, Framing

# Every probe whose streams a generic rule about HTTP reads.
ANY_STREAM = (*EVERYWHERE, *exchanges.STREAM_EXCHANGES)

# Seconds after which a stream that its server left open, though the protocol says that it ended, counts as
# never terminated. Our deadlines are longer; a probe that hangs up at once is no evidence.
AFTER_DONE = 1.0


def framed(case: Case) -> Iterator[tuple[Stream, Framing]]:
    """The event streams whose framing was seen: not HEAD's, which has none, nor recorded bodies."""
    for stream in case.streams:
        framing = stream.transcript.framing
        if framing is not None and stream.transcript.request.method != "HEAD":
            yield stream, framing


def is_about_length(error: str) -> bool:
    """Whether a framing error concerns Content-Length (SSE-HTTP-01b) and not the chunks (01a)."""
    return "Content-Length" in error


def no_framing(case: Case) -> Judgement:
    """What is said where nothing showed how a body was framed."""
    recorded = any(stream.transcript.framing is None for stream in case.streams)
    return Judgement(not_applicable="a recorded body does not show how it was framed" if recorded else "")


@check("SSE-HTTP-01a", probes=ANY_STREAM, recorded=True, every=False)
def chunks(case: Case) -> Judgement:
    """The framing grammar holds, and a stream that the protocol or the server ended has its terminator."""
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream, framing in framed(case):
        judged += 1
        errors = [error for error in framing.errors if not is_about_length(error)]
        findings.extend(
            stream.finding("the HTTP framing is broken", expected="framing by RFC 9112", observed=error)
            for error in errors
        )
        transcript = stream.transcript
        if transcript.ended is Ended.PROTOCOL_ERROR and not errors:
            findings.append(
                stream.finding(
                    "the body cannot be read",
                    expected="a body as its head describes it",
                    observed=transcript.detail,
                )
            )
        if framing.surplus and framing.delimiter != "content-length":
            findings.append(
                stream.finding(
                    "bytes after the end of the response",
                    expected="nothing after the last chunk",
                    observed=f"{framing.surplus} bytes more",
                )
            )
        if framing.delimiter != "content-length":
            found, note = _terminator(stream, framing)
            findings.extend(found)
            notes.extend(note)
    return Judgement(tuple(findings), judged, tuple(notes)) if judged else no_framing(case)


def _terminator(stream: Stream, framing: Framing) -> tuple[list[Finding], list[str]]:
    """A missing terminator is a fault after `done`; before it, an abort is how a server says so of itself."""
    transcript = stream.transcript
    if framing.terminated or transcript.ended in (Ended.CLOSED_BY_US, Ended.CAPPED, Ended.PROTOCOL_ERROR):
        return [], []
    done = _done(stream)
    if done is None:
        broken = transcript.ended in (Ended.TRUNCATED, Ended.RESET)
        note = f"{stream.role}: broken off by the server ({transcript.detail or transcript.ended.value})"
        return [], [note] if broken else []
    if transcript.ended is Ended.DEADLINE and transcript.ended_at - done.event.at < AFTER_DONE:
        return [], []
    wanted = "the last chunk (0 CRLF CRLF)" if framing.delimiter == "chunked" else "an orderly close"
    return [
        stream.finding(
            "the stream is not terminated",
            expected=f"{wanted} after `done`",
            observed=f"{transcript.ended.value}: {transcript.detail}".removesuffix(": "),
            at=done,
        )
    ], []


def _done(stream: Stream) -> Message | None:
    if stream.profile.family != "agentsmithy":
        return None
    return next((message for message in stream.read() if message.type == "done"), None)


@check("SSE-HTTP-01b", probes=ANY_STREAM, recorded=True, every=False)
def length_is_true(case: Case) -> Judgement:
    """No length beside the coding; one that stands alone is what comes."""
    findings: list[Finding] = []
    judged = 0
    for stream, framing in framed(case):
        judged += 1
        head, transcript = stream.transcript.head, stream.transcript
        declared = head.get("content-length") if head is not None else None
        for error in filter(is_about_length, framing.errors):
            findings.append(
                stream.finding(
                    "Content-Length contradicts the framing",
                    expected="Transfer-Encoding or one valid Content-Length, not both",
                    observed=error,
                )
            )
        if framing.delimiter != "content-length":
            continue
        if transcript.ended is Ended.TRUNCATED:
            findings.append(
                stream.finding(
                    "the body is shorter than its Content-Length",
                    expected=f"{declared} bytes",
                    observed=f"{transcript.wire_bytes} bytes, then the connection was closed",
                )
            )
        if framing.surplus:
            findings.append(
                stream.finding(
                    "the body is longer than its Content-Length",
                    expected=f"{declared} bytes",
                    observed=f"{framing.surplus} bytes more",
                )
            )
    return Judgement(tuple(findings), judged) if judged else no_framing(case)


@check("SSE-HTTP-01c", probes=ANY_STREAM, recorded=True, every=False)
def no_length(case: Case) -> Judgement:
    """A length can only be known of a stream that was held back until its end."""
    if case.head_assumed:
        return Judgement(not_applicable="the response head was not recorded")
    findings: list[Finding] = []
    judged = 0
    for stream in case.streams:
        transcript = stream.transcript
        if transcript.head is None or transcript.request.method == "HEAD":
            continue
        judged += 1
        declared = transcript.head.get("content-length")
        if declared is not None:
            findings.append(
                stream.finding(
                    "an event stream with a Content-Length",
                    expected="chunked, or delimited by the close",
                    observed=f"Content-Length: {declared}",
                )
            )
    return Judgement(tuple(findings), judged)


@check("SSE-HTTP-12", probes=ANY_STREAM, recorded=True, every=False)
def accepted_codings(case: Case) -> Judgement:
    """A content coding is one of those that the request accepts (RFC 9110 §12.5.3)."""
    if case.head_assumed:
        return Judgement(not_applicable="the response head was not recorded")
    findings: list[Finding] = []
    judged = 0
    for exchange in case.exchanges:
        transcript = exchange.transcript
        offered = [value for name, value in transcript.request.headers if name.lower() == "accept-encoding"]
        if transcript.head is None or not offered:
            continue  # without Accept-Encoding every coding is acceptable
        judged += 1
        accepted = _accepted(", ".join(offered))
        used = _elements(", ".join(transcript.head.get_all("content-encoding")))
        refused = [coding for coding in used if not _covers(accepted, coding)]
        if refused:
            findings.append(
                exchange.finding(
                    "a content coding that was not accepted",
                    expected=f"one of those in Accept-Encoding: {', '.join(offered)}",
                    observed=f"Content-Encoding: {', '.join(refused)}",
                )
            )
    return Judgement(tuple(findings), judged)


def _elements(value: str) -> list[str]:
    return [element.strip().lower() for element in value.split(",") if element.strip()]


def _accepted(value: str) -> dict[str, bool]:
    """Coding (or `*`) to whether it is accepted: not with a weight of 0."""
    accepted: dict[str, bool] = {}
    for element in _elements(value):
        coding, _, parameters = element.partition(";")
        weight = parameters.replace(" ", "").removeprefix("q=")
        accepted[coding.strip()] = not weight or weight.strip("0.") != ""
    return accepted


def _covers(accepted: dict[str, bool], coding: str) -> bool:
    names = {"x-gzip": "gzip", "x-compress": "compress"}  # equivalent by RFC 9110 §8.4.1
    coding = names.get(coding, coding)
    known = {names.get(name, name): is_accepted for name, is_accepted in accepted.items()}
    return coding == "identity" or known.get(coding, known.get("*", False))
