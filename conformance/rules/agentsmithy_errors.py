"""AgentSmithy: a failing model is told (AgentSmithy protocol 1, §error)."""

from __future__ import annotations

from collections.abc import Callable

from conformance.findings import Finding, Judgement
from conformance.http_status import client_error, server_error
from conformance.rules._agentsmithy import Play, ended_early, events, first, plays
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import said
from conformance.script import ModelTurn, Script
from conformance.transcript import Ended

_FAMILY = ("agentsmithy",)


def _failing(script: Script, fails: Callable[[ModelTurn], bool]) -> bool:
    return any(fails(turn) for turn in script.turns)


def _refused(case: Case, play: Play) -> bool:
    """Whether the prompt got an answer that says that it failed, instead of a stream."""
    exchange = case.stream(play.action.stream)
    head = None if exchange is None else exchange.transcript.head
    return head is not None and (client_error(head.status) or server_error(head.status))


@check("AS-ERR-01a", probes=("error-status", "error-after-tool"), families=_FAMILY)
def refused_model_call(case: Case) -> Judgement:
    """A model call that is refused with a status: `error` with a message, or a non-2xx answer."""
    return _error_is_told(
        case,
        lambda turn: turn.error is not None and turn.error.status is not None and turn.error.times is None,
        "A refused model call is not told",
        blank_is_wrong=True,
        retry_helps=False,
    )


@check("AS-ERR-01b", probes=("error-in-stream",), families=_FAMILY)
def failing_model_stream(case: Case) -> Judgement:
    """A model call that fails in its stream: `error`."""
    return _error_is_told(
        case,
        lambda turn: turn.error is not None and turn.error.in_stream,
        "A model call that failed in its stream is not told",
        blank_is_wrong=False,
        retry_helps=True,
    )


def _error_is_told(
    case: Case, fails: Callable[[ModelTurn], bool], title: str, *, blank_is_wrong: bool, retry_helps: bool
) -> Judgement:
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for play in plays(case):
        if not _failing(play.script, fails):
            continue
        if play.stream is None:
            if not _refused(case, play):
                return Judgement(tuple(findings), judged, inconclusive=play.problem)
            judged += 1
            continue
        errors = tuple(events(play.stream, "error"))
        if not errors and (problem := ended_early(play.stream)):
            return Judgement(tuple(findings), judged, inconclusive=problem)
        judged += 1
        if not errors and retry_helps and (beyond := _beyond(play.script, said(play.stream).text)):
            notes.append(_went_on(beyond))
        elif not errors:
            findings.append(_untold(play.stream, title))
        elif blank_is_wrong and not any(_message(error.body.get("error")) for error in errors):
            findings.append(
                play.stream.finding(
                    "The error says nothing",
                    expected="error: a message that is not blank",
                    observed=f"error: {errors[0].body.get('error')!r}",
                    at=errors[0],
                )
            )
    return Judgement(tuple(findings), judged, tuple(notes))


@check("AS-ERR-02a", probes=("cut-reset",), families=_FAMILY)
def model_connection_reset(case: Case) -> Judgement:
    """A model connection that is reset in mid-answer never looks like a normal end."""
    return _cut_is_told(case, "reset", "An answer that was cut by a reset looks complete")


@check("AS-ERR-02b", probes=("cut-close",), families=_FAMILY)
def model_answer_without_end(case: Case) -> Judgement:
    """Nor does a model answer that ends without its completion marker."""
    return _cut_is_told(case, "close", "An answer that ended without its completion marker looks complete")


def _cut_is_told(case: Case, cut: str, title: str) -> Judgement:
    for play in plays(case):
        if not _failing(play.script, lambda turn: turn.cut == cut):
            continue
        if play.stream is None:
            return Judgement(judged=1) if _refused(case, play) else Judgement(inconclusive=play.problem)
        heard = said(play.stream)
        if heard.errors:
            return Judgement(judged=1)
        if problem := ended_early(play.stream):
            return Judgement(inconclusive=problem)
        if beyond := _beyond(play.script, heard.text):
            return Judgement(judged=1, notes=(_went_on(beyond),))
        return Judgement((_untold(play.stream, title),), judged=1)
    return Judgement()


def _beyond(script: Script, text: str) -> str:
    """What a text has beyond the pieces that came before the cut, once or again: what a retry has brought."""
    part = script.said
    rest = text.replace(part, "") if part else text  # as a whole first: one piece may occur in another
    for turn in script.turns:
        for chunk in turn.text_chunks:
            rest = rest.replace(chunk, "")
    rest = rest.strip()
    # An agent that says as text what went wrong has not gone on.
    told = any(turn.error is not None and turn.error.message in rest for turn in script.turns)
    return "" if told or rest in part else rest


def _went_on(beyond: str) -> str:
    return f"after the failure the answer went on with {beyond[:80]!a}"


def _untold(stream: Stream, title: str) -> Finding:
    done = first(stream, "done")
    how = "done" if done is not None else f"no done either ({Ended(stream.transcript.ended)})"
    kinds = ", ".join(dict.fromkeys(message.type or "?" for message in stream.read()))
    return stream.finding(
        title,
        expected="an error event before done",
        observed=f"no error event, and {how}; the stream had events of the types {kinds or 'none'}",
        at=done,
    )


def _message(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
