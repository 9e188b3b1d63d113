"""AgentSmithy: the stream says what the agent said (AgentSmithy protocol 1, §chat, §reasoning)."""

from __future__ import annotations

from conformance.agentsmithy import HISTORY, SEVERAL_TURNS, SLOW_DIALOG
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.rules._agentsmithy import Play, events, first, plays, whole
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import Said, difference, first_difference
from conformance.transcript import Ended

_FAMILY = ("agentsmithy",)

# Awkward and rare characters, and the large answer, have rows of their own (SSE-FMT-07, SSE-FMT-08), so have
# dialogs at the same time (AS-CONC).
_TEXT = frozenset(
    {
        "text",
        "long-text",
        "reasoning",
        "tools",
        "parallel-tools",
        "edit",
        "edit-twice",
        "deletion",
        "mixed",
        SEVERAL_TURNS,
        SLOW_DIALOG,
        HISTORY,
    }
)
# What the error event says that the protocol-like text spells out (`conformance.turns.PROTOCOL_LIKE`).
_ERRORS = ("x",)

_REASONING = frozenset({"reasoning", "mixed", SEVERAL_TURNS})


@check("AS-TXT-01", probes=_TEXT, families=_FAMILY, recorded=True)
def text_is_whole(case: Case) -> Judgement:
    """Joined `chat` contents are the scripted text: nothing lost, doubled, reordered."""
    return _texts(case, "The text is not what the agent said")


@check("AS-TXT-03", probes=("protocol-like",), families=_FAMILY)
def protocol_like_text(case: Case) -> Judgement:
    """Text that looks like protocol is text."""
    return _texts(case, "Text that looks like protocol is not passed on as text")


@check("AS-TXT-02", probes=_REASONING, families=_FAMILY, recorded=True)
def reasoning_is_whole(case: Case) -> Judgement:
    """Joined `reasoning` contents are the scripted reasoning."""
    findings: list[Finding] = []
    judged = 0
    inconclusive = ""
    for play in plays(case):
        if not play.script.reasoned or not _should_be_whole(case, play):
            continue
        if play.stream is None:
            inconclusive = inconclusive or play.problem
            continue
        heard, problem = whole(play)
        if problem:
            inconclusive = inconclusive or problem
            continue
        judged += 1
        if heard.reasoning != play.script.reasoned:
            index = first_difference(play.script.reasoned, heard.reasoning)
            findings.append(
                play.stream.finding(
                    "The reasoning is not what the model thought",
                    expected="joined reasoning contents equal to the model's reasoning",
                    observed=f"it {difference(play.script.reasoned, heard.reasoning)}",
                    at=_bringer(play.stream, "reasoning", index),
                )
            )
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


def _texts(case: Case, title: str) -> Judgement:
    findings: list[Finding] = []
    judged = 0
    inconclusive = ""
    for play in plays(case):
        # An agent may put words of its own where its model had none: an empty script is not judged here.
        if not play.script.said or not _should_be_whole(case, play):
            continue
        if play.stream is None:
            inconclusive = inconclusive or play.problem
            continue
        heard, problem = whole(play)
        if taken := next((m for m in heard.errors if m.body.get("error") in _ERRORS), None):
            judged += 1
            findings.append(
                play.stream.finding(
                    title,
                    expected="text that looks like an error event inside chat",
                    observed="an error event with the words of that text",
                    at=taken,
                )
            )
            continue
        if problem:
            inconclusive = inconclusive or problem
            continue
        if _broke_off(play, heard):
            continue
        judged += 1
        if heard.text != play.script.said:
            findings.append(
                play.stream.finding(
                    title,
                    expected="joined chat contents equal to what the agent said",
                    observed=f"the text {difference(play.script.said, heard.text)}",
                    at=heard.at(first_difference(play.script.said, heard.text)),
                )
            )
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


def _should_be_whole(case: Case, play: Play) -> bool:
    exchange = case.stream(play.action.stream)
    left = exchange is not None and exchange.transcript.ended is Ended.CLOSED_BY_US
    return not (play.script.fails or play.script.repeat or left)


def _broke_off(play: Play, heard: Said) -> bool:
    """Whether the stream stopped in mid-answer without `done`, which AS-END-03 reports."""
    assert play.stream is not None
    return first(play.stream, "done") is None and play.script.said.startswith(heard.text)


def _bringer(stream: Stream, kind: str, index: int) -> Message | None:
    """The event of that type that brought the character of that index (the last one beyond the end)."""
    told = ((message, message.body.get("content")) for message in events(stream, kind))
    return Said(tuple((message, text) for message, text in told if isinstance(text, str))).at(index)
