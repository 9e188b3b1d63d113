"""PG-MSG-03, PG-MSG-04, PG-ERR: what a whole turn must have shown when it is over.

Source: Penguin SSE Endpoint Documentation, §Event Types; the status events are penguin/2's and OpenCode's.
"""

from __future__ import annotations

from conformance.findings import Finding, Judgement
from conformance.parts import message_info, session_of, shows_failure, status_of, tells_of_sessions
from conformance.penguin import ABORT, BUSES, RETRY, TURN_STREAMS
from conformance.rules._penguin import (
    dropped,
    given_up,
    joined_midway,
    query,
    scripts_of,
    turns,
    undisturbed,
)
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import difference, said
from conformance.script import Script
from conformance.transcript import Action

# A stream whose end is missing must have been waited for: this share of the settling time is enough (clocks).
_WAITED = 0.9


@check("PG-MSG-03", probes=TURN_STREAMS, families=BUSES, every=False)
def text_is_what_was_said(case: Case) -> Judgement:
    """The final texts of a session's text parts, joined, are what the scripts say; reasoning likewise."""
    findings: list[Finding] = []
    judged = 0
    seen: set[tuple[str, str]] = set()
    for action, stream in turns(case):
        key = (stream.role, action.session)
        if key in seen or not undisturbed(case, action.session):
            continue
        seen.add(key)
        scripts = _played(case, stream, action.session)
        if scripts is None or _mingled(case, stream, action.session):
            continue
        heard = said(stream, action.session)
        # Where parts name no message (penguin/1 shows none) the user's own words are known by what they are.
        prompts = {prompt.prompt for prompt in scripts_of(case, action.session)}
        words = "".join(piece for _, piece in heard.pieces if piece not in prompts)
        text = "".join(script.said for script in scripts)
        if text:  # of an agent that says nothing at all, a server may say so in words of its own
            judged += 1
            if words != text:
                findings.append(
                    stream.finding(
                        "the text is not what the agent said",
                        expected=f"the {len(text)} characters that the script says",
                        observed=f"the text {difference(text, words)}",
                        at=heard.pieces[-1][0] if heard.pieces else None,
                    )
                )
        reasoning = "".join(script.reasoned for script in scripts)
        if case.profile.capabilities.reasoning and (reasoning or heard.reasoning):
            judged += 1
            if heard.reasoning != reasoning:
                findings.append(
                    stream.finding(
                        "the reasoning is not what the agent thought",
                        expected=f"the {len(reasoning)} characters of reasoning that the script has",
                        observed=f"the reasoning {difference(reasoning, heard.reasoning)}",
                    )
                )
    return Judgement(tuple(findings), judged)


def _mingled(case: Case, stream: Stream, session: str) -> bool:
    """Whether the stream may show the words of several sessions without a name on them (penguin/1 shows none)."""
    transcript = stream.transcript
    others = any(
        action.session != session
        and action.at < transcript.ended_at
        and (action.until is None or action.until > transcript.opened_at)
        for action in case.observation.actions_of("prompt")
    )
    if not others or query(transcript.request).get("session_id"):
        return False
    return any(
        message.type == "message.part.updated" and not session_of(message) for message in stream.read()
    )


def _played(case: Case, stream: Stream, session: str) -> list[Script] | None:
    """The scripts of the turns that this stream saw whole; None where one is unknown or was cut off."""
    opened, closed = stream.transcript.opened_at, stream.transcript.ended_at
    if joined_midway(case, stream, session):
        return None
    scripts: list[Script] = []
    for action in scripts_of(case, session):
        if action.at < opened:
            continue
        if action.script is None or action.until is None or action.until > closed:
            return None
        scripts.append(action.script)
    return scripts


@check("PG-MSG-04", probes=(*TURN_STREAMS, ABORT), families=BUSES, every=False)
def finished_turn_is_completed(case: Case) -> Judgement:
    """A finished turn has a completed assistant message, unless it failed or was aborted before any word."""
    if not tells_of_sessions(case.profile.protocol):
        return Judgement(not_applicable="the document of penguin/1 shows no completion time")
    findings: list[Finding] = []
    judged = 0
    seen: set[tuple[str, str]] = set()
    for action, stream in turns(case):
        key = (stream.role, action.session)
        if key in seen:
            continue
        seen.add(key)
        if not _spoke(case, action, stream) or joined_midway(case, stream, action.session):
            continue
        judged += 1
        # Turns are told apart by the user's message that they answer, where messages name it.
        completed: dict[str, bool] = {}
        for message in stream.read():
            info = message_info(message)
            if info is not None and info.role == "assistant" and info.session in ("", action.session):
                completed[info.parent] = completed.get(info.parent, False) or info.completed is not None
        if not completed or not all(completed.values()):
            findings.append(
                stream.finding(
                    "a finished turn has no completed assistant message",
                    expected="message.updated of an assistant's message with time.completed",
                    observed="none that is completed" if completed else "no assistant's message at all",
                )
            )
    return Judgement(tuple(findings), judged)


def _spoke(case: Case, action: Action, stream: Stream) -> bool:
    if undisturbed(case, action.session):
        return action.script is None or bool(action.script.said or action.script.tools)
    return bool(said(stream, action.session).text)


@check("PG-ERR-01", probes=("error-status", "error-in-stream", "cut-reset"), families=BUSES)
def failing_model_is_visible(case: Case) -> Judgement:
    """An error on the message, an error event or a retry status shows that the model failed."""
    findings: list[Finding] = []
    judged = 0
    for action in case.observation.actions_of("prompt"):
        stream = case.stream(action.stream)
        if stream is None or action.until is None or action.script is None or not action.script.fails:
            continue
        judged += 1
        sessions = ("", action.session)
        if not any(shows_failure(message) and session_of(message) in sessions for message in stream.read()):
            kinds = ", ".join(sorted({message.type for message in stream.read()}))
            findings.append(
                stream.finding(
                    "a failing model is not visible in the stream",
                    expected="an error on the message, an error event, or a retry status",
                    observed=f"none among {kinds or 'no events'}; the prompt was answered {action.status}",
                )
            )
    return Judgement(tuple(findings), judged)


@check("PG-ERR-02", probes=(*TURN_STREAMS, ABORT, RETRY), families=BUSES, every=False)
def busy_is_followed_by_idle(case: Case) -> Judgement:
    """When a prompt was answered and the stream was watched on, the session's last status is idle."""
    findings: list[Finding] = []
    judged = 0
    limits = case.profile.limits
    at_once = any(name == "prompt" for name, _ in case.profile.stimulus)  # a template's answer may not wait
    patience = (limits.turn if at_once else limits.settle) * case.profile.timeout_scale * _WAITED
    for action in case.observation.actions_of("prompt"):
        stream = case.stream(action.stream)
        if stream is None or action.until is None or given_up(stream):
            continue
        last = None
        for message in stream.read():
            if (status := status_of(message)) is not None and status[0] == action.session:
                last = (message, status[1])
        if last is None:
            continue
        idle = last[1] == "idle"
        if not idle and (stream.transcript.ended_at - action.until < patience or dropped(stream, action)):
            continue  # not watched for long enough to say that idle never comes
        judged += 1
        if not idle:
            findings.append(
                stream.finding(
                    "a busy session never becomes idle",
                    expected="session.status idle after the turn's end",
                    observed=f"{last[1]!r} as the last status, and the prompt answered {action.status}",
                    at=last[0],
                )
            )
    return Judgement(tuple(findings), judged)


@check("PG-WIRE-01", probes=("text", "large"), families=BUSES, every=False)
def wire_bytes_per_byte_of_text(case: Case) -> Judgement:
    """How many bytes of the body one byte of the agent's text costs."""
    notes: list[str] = []
    for action, stream in turns(case):
        size = len(said(stream, action.session).text.encode("utf-8", "surrogatepass"))
        if size and action.script is not None:
            chunks = sum(len(turn.text_chunks) for turn in action.script.turns)
            notes.append(
                f"{case.observation.probe}: {stream.size / size:.1f} bytes on the wire per byte of text "
                f"({size} bytes said in {chunks} chunks)"
            )
    return Judgement(judged=len(notes), notes=tuple(notes))
