"""AgentSmithy: several streams at once (AgentSmithy protocol 1, §Event Types: `dialog_id` on every event)."""

from __future__ import annotations

from collections.abc import Iterator

from conformance.agentsmithy import CLIENT_GONE, SAME_DIALOG, SLOW_DIALOG, TWO_DIALOGS
from conformance.findings import Finding, Judgement
from conformance.rules._agentsmithy import (
    Play,
    answered,
    ended_early,
    error_text,
    events,
    first,
    is_call,
    plays,
    shown,
    unheard,
)
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import difference, first_difference, said
from conformance.script import Script
from conformance.transcript import Ended

_FAMILY = ("agentsmithy",)
_TURNED_AWAY = (409, 423, 429, 503)  # a second stream of one dialog may be refused for now


@check("AS-CONC-01", probes=(TWO_DIALOGS,), families=_FAMILY)
def dialogs_do_not_mix(case: Case) -> Judgement:
    """Each of two streams at once has its own text, tools and `dialog_id` only."""
    both = list(plays(case))
    problem = next((play.problem for play in both if play.problem), "")
    streams = [play.stream for play in both if play.stream is not None]
    if problem or len(both) < 2:
        return Judgement(inconclusive=problem or "two prompts were not sent")
    dialogs = [_dialog(stream) for stream in streams]
    if not any(play.action.session for play in both) and dialogs[0] == dialogs[1]:
        return Judgement(
            not_applicable="the target makes no dialogs: it put both prompts into one of its own"
        )
    findings: list[Finding] = []
    inconclusive = ""
    for play, stream, other in zip(both, streams, reversed(both), strict=True):
        foreign = list(_foreign(stream, other.script, _ids(other, streams)))
        findings.extend(foreign)
        if foreign:
            continue
        heard = said(stream)
        reason = (
            f"the target reported an error: {error_text(heard.errors[0])}"
            if heard.errors
            else ended_early(stream) or unheard(play.script, heard.text)
        )
        if reason:
            inconclusive = inconclusive or f"stream {stream.role}: {reason}"
        else:
            findings.extend(_own(play, stream))
    return Judgement(tuple(findings), judged=len(both), inconclusive=inconclusive)


def _dialog(stream: Stream) -> str:
    message = next((m for m in stream.read() if isinstance(m.body.get("dialog_id"), str)), None)
    return "" if message is None else message.body["dialog_id"]


def _ids(play: Play, streams: list[Stream]) -> str:
    """The dialog of a prompt: the one that it was sent to, else the one that its stream tells first."""
    stream = next((stream for stream in streams if stream.role == play.action.stream), None)
    return play.action.session or ("" if stream is None else _dialog(stream))


def _foreign(stream: Stream, script: Script, dialog: str) -> Iterator[Finding]:
    """What belongs to the other dialog: its id, its chunks, its calls."""
    chunks = {chunk.strip() for turn in script.turns for chunk in turn.text_chunks}
    for message in stream.read():
        what = ""
        if dialog and message.body.get("dialog_id") == dialog:
            what = f"dialog_id {shown(dialog)}"
        content = message.body.get("content")
        if message.type == "chat" and isinstance(content, str) and chunks & set(content.split()):
            what = f"text {content[:60]!r}"
        if message.type == "tool_call" and any(is_call(message, call) for call in script.tools):
            what = f"tool_call with args {shown(message.body.get('args'))}"
        if what:
            yield stream.finding(
                "A stream carries what belongs to another dialog",
                expected="the stream's own dialog_id, text and tool calls only",
                observed=f"a {message.type} event with the other dialog's {what}",
                at=message,
            )
            return


def _own(play: Play, stream: Stream) -> Iterator[Finding]:
    heard = said(stream)
    if heard.text != play.script.said:
        yield stream.finding(
            "The text of a dialog beside another is not what its agent said",
            expected="joined chat contents equal to what the agent said",
            observed=f"the text {difference(play.script.said, heard.text)}",
            at=heard.at(first_difference(play.script.said, heard.text)),
        )
    for tool in play.script.tools:
        told = [message for message in events(stream, "tool_call") if is_call(message, tool)]
        if len(told) != 1:
            yield stream.finding(
                "The tool calls of a dialog beside another are not what its agent called",
                expected=f"one tool_call {tool.name} {shown(dict(tool.args))}",
                observed=f"{len(told)} of them",
                at=told[-1] if told else first(stream, "tool_call"),
            )


@check("AS-CONC-02", probes=(SAME_DIALOG,), families=_FAMILY)
def streams_of_one_dialog(case: Case) -> Judgement:
    """Each granted stream of one dialog is whole: one script from its beginning to its end, and `done`.

    With a shared history the model may have read either script, or after them say something else altogether.
    """
    both = list(plays(case))
    scripts = [play.script.said for play in both]
    if len(both) < 2:
        return Judgement(inconclusive="two prompts were not sent")
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    inconclusive = ""
    for number, play in enumerate(both):
        exchange = case.stream(play.action.stream)
        head = None if exchange is None else exchange.transcript.head
        if number and head is not None and head.status in _TURNED_AWAY:
            notes.append(f"a second stream of a dialog is refused with HTTP {head.status}")
            continue
        problem = answered(exchange)
        if problem or exchange is None:
            inconclusive = inconclusive or problem
            continue
        heard = said(exchange)
        if heard.errors:
            notes.append(f"stream {exchange.role} reports an error: {error_text(heard.errors[0])}")
            judged += first(exchange, "done") is not None
            continue
        judged += 1
        if ended_early(exchange) or first(exchange, "done") is None:
            findings.append(
                exchange.finding(
                    "One of two streams of a dialog does not come to its end",
                    expected="done at the end of each stream that was granted",
                    observed=f"no done ({exchange.transcript.ended})",
                )
            )
        elif problem := _mixed(heard.text, scripts, play.script.said):
            findings.append(
                exchange.finding(
                    "One of two streams of a dialog is not whole",
                    expected="the whole text of one of the two prompts",
                    observed=problem,
                    at=first(exchange, "chat"),
                )
            )
    return Judgement(tuple(findings), judged, tuple(notes), inconclusive)


def _mixed(text: str, scripts: list[str], own: str) -> str:
    """Why a text is no whole answer to either prompt, in words; "" if it is one, both, or neither's."""
    whole = {*scripts, "".join(scripts), "".join(reversed(scripts))}
    words = {word for script in scripts for word in script.split()}
    if text in whole or not words & set(text.split()):
        return ""
    return f"the text {difference(own, text)}"


@check("AS-CONC-03", probes=(SLOW_DIALOG,), families=_FAMILY)
def slow_dialog_delays_nobody(case: Case) -> Judgement:
    """A turn beside a slow dialog takes at most the profile's bound longer than it takes alone."""
    bound = case.profile.limits.dialog_delay * case.profile.timeout_scale
    alone, slow, beside = (case.stream(role) for role in ("alone", "slow", "beside"))
    if alone is None or slow is None or beside is None:
        return Judgement(inconclusive="not all prompts were sent")
    # A slow dialog may be silent from the first byte on: that its head comes late is SSE-HTTP-02's business.
    silent = slow.transcript.head is None and slow.transcript.ended is Ended.CLOSED_BY_US
    if problem := answered(alone) or answered(beside) or ("" if silent else answered(slow)):
        return Judgement(inconclusive=problem)
    before, after = _seconds(alone), _seconds(beside)
    if before is None:
        return Judgement(inconclusive="the turn alone did not come to its end")
    if after is None:
        if beside.transcript.ended is not Ended.DEADLINE:
            return Judgement(inconclusive="the turn beside the slow dialog did not come to its end")
        after = beside.transcript.ended_at - beside.transcript.opened_at
    delay = after - before
    if delay > bound:
        finding = beside.finding(
            "A slow dialog holds up another",
            expected=f"at most {bound:g} s longer than the {before:.2f} s that the turn takes alone",
            observed=f"{delay:.2f} s longer",
            at=first(beside, "done"),
        )
        return Judgement((finding,), judged=1)
    if first(slow, "done") is not None or slow.transcript.ended_at < beside.transcript.ended_at:
        return Judgement(inconclusive="the slow dialog was over before the turn beside it")
    return Judgement(judged=1, notes=(f"a slow dialog delays another by {max(0.0, delay):.2f} s",))


def _seconds(stream: Stream) -> float | None:
    """How long a turn took to its `done`, in seconds."""
    done = first(stream, "done")
    return None if done is None else done.block.at - stream.transcript.opened_at


@check("AS-CONC-05", probes=(CLIENT_GONE,), families=_FAMILY)
def client_gone(case: Case) -> Judgement:
    """Whether the model call is cancelled when its client has gone: told, not judged."""
    state = case.observation.fact("model_call")
    if not isinstance(state, str):
        return Judgement(inconclusive="the scripted model's journal does not show the call")
    waited = case.observation.fact("model_waited", 0.0)
    return Judgement(
        judged=1, notes=(f"{waited:.1f} s after its client had gone, the model call was {state}",)
    )
