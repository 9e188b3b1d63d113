"""The agent's text arrives as it was said, whatever is in it and however much it is (SSE-FMT-07, -08)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from conformance.findings import Finding, Judgement
from conformance.http_status import successful
from conformance.parts import status_of, tells_of_sessions
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import Said, difference, first_difference, said
from conformance.transcript import Action, Ended

# What makes a text awkward to stream, and rare; a recorded prompt is judged by what its script says.
AWKWARD = ("\r", "\n", "\u2028", "\u2029", "\u0085", "\ufeff", "\U0001f600")
RARE = ("\0", "\u0300", "\u0301", "\u0323")
LARGE = 500_000  # characters from which a recorded answer counts as large
TEXT_REFUSED = (400, 413, 422)  # such a status may refuse this text; any other says nothing about it
HEARD = 0.3  # of the words that came, the share of the script's below which the script was not read


@check("SSE-FMT-07a", probes=("awkward",), recorded=True)
def awkward_text(case: Case) -> Judgement:
    """Whatever JSON can say must come through: the stream's own framing is the server's business."""
    return _judge(case, lambda text: any(part in text for part in AWKWARD))


@check("SSE-FMT-07b", probes=("rare",), recorded=True)
def rare_text(case: Case) -> Judgement:
    """NUL is a character of JSON strings (escaped); combining marks are not to be composed or dropped."""
    return _judge(case, lambda text: any(part in text for part in RARE))


@check("SSE-FMT-08", probes=("large",), recorded=True)
def large_text(case: Case) -> Judgement:
    """Pieces may be cut anywhere; joined they are the whole."""
    if case.observation.probe == "large":
        return _judge(case, bool)
    return _judge(case, lambda text: len(text) >= LARGE)


def _judge(case: Case, concerns: Callable[[str], bool]) -> Judgement:
    findings: list[Finding] = []
    judged = 0
    open_reasons: list[str] = []
    refusals: list[str] = []
    for prompt in case.prompts():
        if prompt.script is None or prompt.script.fails or not concerns(prompt.script.said):
            continue
        stream = case.stream(prompt.stream)
        if stream is None:
            open_reasons.append("the stream of the prompt was not recorded")
            continue
        if refused := _refusal(stream, prompt):
            status, text = refused
            (refusals if status in TEXT_REFUSED else open_reasons).append(text)
            continue
        spoken = said(stream, prompt.session)
        # Where parts name no message (penguin/1 shows none) the user's own words are known by what they are.
        spoken = replace(spoken, pieces=tuple(piece for piece in spoken.pieces if piece[1] != prompt.prompt))
        if spoken.text == prompt.script.said:
            judged += 1
        elif reason := _unfinished(stream, prompt, spoken, prompt.script.said):
            open_reasons.append(reason)
        else:
            judged += 1
            findings.append(_altered(stream, spoken, prompt.script.said))
    if findings or judged:
        return Judgement(tuple(findings), judged, inconclusive="; ".join(open_reasons))
    return Judgement(inconclusive="; ".join(open_reasons), not_applicable="; ".join(refusals))


def _refusal(stream: Stream, prompt: Action) -> tuple[int, str] | None:
    """The status with which the prompt was refused, and that in words."""
    head = stream.transcript.head
    if not stream.transcript.is_event_stream:
        status = head.status if head is not None else 0
        return (
            status,
            f"the prompt was answered with status {status} and no event stream" if status else "no answer",
        )
    if prompt.status is not None and prompt.status >= 400:
        return prompt.status, f"the prompt was answered with status {prompt.status}"
    return None


def _unfinished(stream: Stream, prompt: Action, spoken: Said, expected: str) -> str:
    """Why a text that is not the expected one is still no finding; "" if it is one.

    A server that says itself that the turn failed alters nothing silently, and what we cut off is not lost.
    """
    if spoken.errors:
        return f"the server reported an error in place of the text: {spoken.errors[0].event.data[:160]!a}"
    if expected.startswith(spoken.text) and not _turn_over(stream, prompt):
        return "the turn had not ended when the recording did"
    return _unheard(expected, spoken.text)


def _unheard(expected: str, observed: str) -> str:
    """Why the target cannot have read the script, judging by plain words that nobody has reason to alter.

    A text that is missing altogether is lost, not unheard.
    """
    words = set(re.findall(r"[A-Za-z]{3,26}", expected[:LARGE]))
    heard = set(re.findall(r"[A-Za-z]{3,26}", observed[:LARGE]))
    if not observed.strip() or len(words & heard) >= HEARD * len(heard):
        return ""
    return "nothing of the script was heard: is the target's model the scripted one (script = false if not)?"


def _turn_over(stream: Stream, prompt: Action) -> bool:
    if stream.profile.family == "agentsmithy":
        return not stream.cut_by_us or any(message.type == "done" for message in stream.read())
    if stream.transcript.ended in (Ended.CAPPED, Ended.DEADLINE):
        return False
    # A prompt counts as answered when its turn is over; so does the stream say, where the revision has it. A stream
    # that the server ends before that is told from one that lost something: its reader connects again.
    shown = any(
        status_of(message) in ((prompt.session, "idle"), ("", "idle")) and message.event.at >= prompt.at
        for message in stream.read()
    )
    if not stream.cut_by_us:
        return shown or not tells_of_sessions(stream.profile.protocol)
    return shown or (prompt.until is not None and successful(prompt.status))


def _altered(stream: Stream, spoken: Said, expected: str) -> Finding:
    index = first_difference(expected, spoken.text)
    at = spoken.at(index)
    return stream.finding(
        "the agent's text did not arrive as it was said",
        expected=f"{expected[:160]!a}{'…' if len(expected) > 160 else ''} ({len(expected)} characters)",
        observed=f"the joined text {difference(expected, spoken.text)}",
        at=at,
    )
