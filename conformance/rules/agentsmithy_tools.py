"""AgentSmithy: tool calls (AgentSmithy protocol 1, §tool_call, "Emitted when a tool is invoked")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from conformance.agentsmithy import FAILING_TOOL, SEVERAL_TURNS
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.rules._agentsmithy import Play, events, first, is_call, plays, shown, whole
from conformance.rules.base import Case, check
from conformance.rules.said import Said
from conformance.script import ToolCall
from conformance.transcript import Ended

_FAMILY = ("agentsmithy",)
_CALLS = frozenset({"tools", "parallel-tools", "edit", "edit-twice", "deletion", "mixed", SEVERAL_TURNS})


@dataclass(frozen=True, slots=True)
class _Match:
    """The `tool_call` events of one scripted call (equal calls share them), in the script's order."""

    turn: int  # number of the model call
    call: ToolCall
    wanted: int  # how often the script makes exactly this call
    found: tuple[Message, ...]


@check("AS-TOOL-01a", probes=_CALLS, families=_FAMILY, recorded=True)
def every_call_appears_once(case: Case) -> Judgement:
    """Each scripted call is told once, and before the text of the model calls that follow it."""
    findings: list[Finding] = []
    judged = 0
    inconclusive = ""
    for play in plays(case):
        heard, problem = _judgeable(play)
        inconclusive = inconclusive or problem
        if heard is None:
            continue
        assert play.stream is not None
        for match in _matches(play):
            judged += 1
            findings.extend(_count(play, match))
            findings.extend(_order(play, match, heard))
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


@check("AS-TOOL-01b", probes=_CALLS, families=_FAMILY, recorded=True)
def parallel_calls_in_order(case: Case) -> Judgement:
    """Calls of one model answer come in the order in which the model made them."""
    findings: list[Finding] = []
    judged = 0
    inconclusive = ""
    for play in plays(case):
        heard, problem = _judgeable(play)
        inconclusive = inconclusive or problem
        if heard is None:
            continue
        assert play.stream is not None
        told = [match for match in _matches(play) if match.found]
        for before, after in pairwise(told):
            if before.turn != after.turn:
                continue
            judged += 1
            left, right = before.found[0], after.found[0]
            if left.event.index > right.event.index:
                findings.append(
                    play.stream.finding(
                        "Parallel tool calls come in another order than the model made them",
                        expected=f"{_name(before.call)} before {_name(after.call)}",
                        observed=f"they are the events {left.event.index} and {right.event.index}",
                        at=right,
                    )
                )
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


@check("AS-TOOL-05", probes=(FAILING_TOOL,), families=_FAMILY)
def failing_tool_comes_to_an_end(case: Case) -> Judgement:
    """An agent whose tool always fails stops within the profile's bound of calls."""
    bound = case.profile.limits.failing_tool_calls
    for play in plays(case):
        if play.stream is None:
            return Judgement(inconclusive=play.problem)
        calls = tuple(events(play.stream, "tool_call"))
        if len(calls) > bound:
            finding = play.stream.finding(
                "An agent whose tool always fails goes on and on",
                expected=f"an end within {bound} tool calls",
                observed=f"{len(calls)} tool calls, and no end when we hung up",
                at=calls[bound],
            )
            return Judgement((finding,), judged=1)
        if first(play.stream, "done") is None and play.stream.transcript.ended in _OPEN:
            return Judgement(
                inconclusive=f"the deadline passed after {len(calls)} calls, before the bound of {bound}"
            )
        if not calls:
            return Judgement(inconclusive="the agent called no tool")
        return Judgement(judged=1, notes=(f"the agent stopped after {len(calls)} failing tool calls",))
    return Judgement()


_OPEN = (Ended.CLOSED_BY_US, Ended.DEADLINE, Ended.CAPPED)


def _judgeable(play: Play) -> tuple[Said | None, str]:
    """What was said in a turn whose calls can be judged; else None, with the reason if that is a problem."""
    if not play.script.tools or play.script.fails or play.script.repeat:
        return None, ""
    if play.stream is None:
        return None, play.problem
    heard, problem = whole(play)
    return (None, problem) if problem else (heard, "")


def _matches(play: Play) -> Iterator[_Match]:
    assert play.stream is not None
    made: list[tuple[int, ToolCall]] = [
        (number, call) for number, turn in enumerate(play.script.turns) for call in turn.tools
    ]
    told = [(message, _made(message, made)) for message in events(play.stream, "tool_call")]
    for index, (number, call) in enumerate(made):
        if any(_same(call, earlier) for _, earlier in made[:index]):
            continue
        wanted = sum(_same(call, other) for _, other in made)
        found = tuple(message for message, its in told if its is not None and _same(call, its))
        yield _Match(number, call, wanted, found)


def _made(message: Message, made: list[tuple[int, ToolCall]]) -> ToolCall | None:
    """The scripted call that an event tells of: of several that fit, the one with the most args of its own."""
    fitting = (call for _, call in made if is_call(message, call))
    return max(fitting, key=lambda call: len(call.args), default=None)


def _same(call: ToolCall, other: ToolCall) -> bool:
    return call.name == other.name and call.args == other.args


def _count(play: Play, match: _Match) -> list[Finding]:
    assert play.stream is not None
    if len(match.found) == match.wanted:
        return []
    title = "A tool call is missing" if len(match.found) < match.wanted else "A tool call appears too often"
    near = next((m for m in events(play.stream, "tool_call") if m.body.get("name") == match.call.name), None)
    observed = f"{len(match.found)} of them"
    if not match.found and near is not None:
        observed += f"; another tool_call of that name has args {shown(near.body.get('args'))}"
    return [
        play.stream.finding(
            title,
            expected=f"{match.wanted} tool_call event(s) for {_name(match.call)}",
            observed=observed,
            at=match.found[match.wanted] if len(match.found) > match.wanted else near,
        )
    ]


def _order(play: Play, match: _Match, heard: Said) -> list[Finding]:
    """The call must come before the text of the model calls that follow it."""
    assert play.stream is not None
    if heard.text != play.script.said or len(match.found) != match.wanted:
        return []  # other rows, or `_count`, speak
    spoken = sum(len(turn.said) for turn in play.script.turns[: match.turn + 1])
    if spoken >= len(heard.text):
        return []
    following = heard.at(spoken)
    assert following is not None
    call = match.found[0]
    if call.event.index < following.event.index:
        return []
    return [
        play.stream.finding(
            "A tool call comes after the text that follows it",
            expected=f"the tool_call for {_name(match.call)} before event {following.event.index}, "
            "which brings text of a later model call",
            observed=f"it is event {call.event.index}",
            at=call,
        )
    ]


def _name(call: ToolCall) -> str:
    return f"{call.name} {shown(dict(call.args))}"
