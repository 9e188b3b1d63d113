"""PG-TOOL: tool parts and their states.

Source: Penguin SSE Endpoint Documentation, §Event Types ("Tool execution with state").
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import PART, TERMINAL, part_info, part_of, session_of, tells_of_sessions
from conformance.penguin import ALL_STREAMS, BUSES, ODD_TOOLS, TURN_STREAMS
from conformance.profile import Profile, Tool
from conformance.rules._penguin import joined_midway, turns, undisturbed
from conformance.rules.base import Case, Stream, StreamContext, StreamRule, check, stream_check
from conformance.script import ToolCall

WINDOW = 8_192  # tool parts remembered per connection
_RANK = {"pending": 0, "running": 1, "completed": 2, "error": 2}


@stream_check("PG-TOOL-01", probes=ALL_STREAMS, families=BUSES)
class StatesGoForward(StreamRule):
    """pending, running, then completed or error, which stays. Remembers 8,192 tool parts."""

    types = frozenset({PART})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._states: OrderedDict[str, str] = OrderedDict()

    def feed(self, message: Message) -> Iterable[Finding]:
        part = part_of(message)
        if part.type != "tool" or not (key := part.id or part.call) or (status := part.status) not in _RANK:
            return ()
        before = self._states.get(key)
        self._states[key] = status
        if before is None:
            if len(self._states) > WINDOW:
                self._states.popitem(last=False)
            return ()
        self.judged += 1
        back = _RANK[status] < _RANK[before]
        changed = before in TERMINAL and status != before
        if not back and not changed:
            return ()
        return (
            self.finding(
                message,
                "a tool's state goes back" if back else "a tool's final state changes",
                expected=f"nothing but {'more of ' if before in TERMINAL else 'a state after '}{before!r}",
                observed=f"{status!r} after {before!r}",
            ),
        )


@dataclass(slots=True)
class ToolPart:
    """A tool part as one stream shows it in the end."""

    id: str
    first: Message
    last: Message
    calls: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    status: str = ""
    input: Any = None
    message: str = ""  # the message that it is a part of


def tool_parts(stream: Stream, session: str) -> list[ToolPart]:
    """The session's tool parts in the order in which they began, without those that were removed or have no id."""
    parts: dict[str, ToolPart] = {}
    for message in stream.read():
        if message.type in ("message.part.removed", "message.removed"):
            gone = [str(message.properties.get(name)) for name in ("partID", "messageID")]
            whole = message.type == "message.removed"
            parts = {
                key: shown
                for key, shown in parts.items()
                if (shown.message != gone[1] if whole else key != gone[0])
            }
            continue
        part = part_info(message)
        if part is None or part.type != "tool" or session_of(message) not in ("", session):
            continue
        key = part.id or part.call
        if not key:
            continue
        shown = parts.setdefault(key, ToolPart(key, message, message))
        shown.last, shown.message = message, part.message
        shown.status = part.status or shown.status
        shown.input = part.input if part.input is not None else shown.input
        shown.calls |= {part.call} - {""}
        shown.names |= {part.tool} - {""}
    return list(parts.values())


def _sessions(case: Case) -> Iterator[tuple[Stream, str, tuple[ToolCall, ...]]]:
    """Stream, session and the calls that the agent was told, where all turns ended undisturbed."""
    seen: set[tuple[str, str]] = set()
    for action, stream in turns(case):
        key = (stream.role, action.session)
        if key in seen or not undisturbed(case, action.session):
            continue
        seen.add(key)
        opened, closed = stream.transcript.opened_at, stream.transcript.ended_at
        told = [a for a in case.observation.actions_of("prompt") if a.session == action.session]
        if joined_midway(case, stream, action.session):
            continue
        if any(a.until is None or (a.at >= opened and a.until > closed) for a in told):
            continue  # the stream was gone before the turn's end
        calls = [call for a in told if a.at >= opened and a.script is not None for call in a.script.tools]
        yield stream, action.session, tuple(calls)


@check("PG-TOOL-02a", probes=TURN_STREAMS, families=BUSES, every=False)
def tools_end(case: Case) -> Judgement:
    """When the turn has ended, every tool part is completed or in error, and its callID was constant."""
    findings: list[Finding] = []
    judged = 0
    for stream, session, _ in _sessions(case):
        for part in tool_parts(stream, session):
            judged += 1
            if part.status not in TERMINAL:
                findings.append(
                    stream.finding(
                        "a tool part does not end",
                        expected=f"tool part {part.id} completed or in error by the end of its turn",
                        observed=f"state {part.status!r}",
                        at=part.last,
                    )
                )
            if len(part.calls) > 1:
                findings.append(
                    stream.finding(
                        "a tool part's callID changes",
                        expected=f"one callID for tool part {part.id}",
                        observed=", ".join(sorted(part.calls)),
                        at=part.last,
                    )
                )
    return Judgement(tuple(findings), judged)


@check("PG-TOOL-02b", probes=TURN_STREAMS, families=BUSES, every=False)
def failing_tools_end_in_error(case: Case) -> Judgement:
    """A valid call that fails ends in `error`; a tool part's name is constant."""
    findings: list[Finding] = []
    judged = 0
    for stream, session, calls in _sessions(case):
        parts = tool_parts(stream, session)
        odd = _odd_names(calls, case.profile)
        for part in parts:
            if part.names & odd:
                continue  # what cannot be carried out may be shown as the tool that takes such calls
            judged += 1
            if len(part.names) > 1:
                findings.append(
                    stream.finding(
                        "a tool part's name changes",
                        expected=f"one name for tool part {part.id}",
                        observed=", ".join(sorted(part.names)),
                        at=part.last,
                    )
                )
        for call in _distinct(call for call in calls if call.fails and _valid(call, case.profile)):
            alike = _alike(calls, call, case.profile)
            failing = sum(other.fails for other in alike)
            judged += failing
            holding = _holding(parts, call, case.profile)
            succeeded = [part for part in holding if part.status != "error"]
            # Of equal calls some may succeed; how many parts there must be is PG-TOOL-03's business.
            free = max(len(alike), len(holding)) - failing if len(alike) > failing else 0
            findings += [
                stream.finding(
                    "a failing tool does not end in error",
                    expected=f"state 'error' for {call.name} of a file that is not there",
                    observed=f"state {part.status!r}",
                    at=part.last,
                )
                for part in succeeded[free:]
            ]
    return Judgement(tuple(findings), judged)


@check("PG-TOOL-02c", probes=[ODD_TOOLS], families=BUSES)
def odd_calls_end_in_error(case: Case) -> Judgement:
    """A part of an unknown tool, or of a call with bad arguments, ends in `error` (none need be shown)."""
    findings: list[Finding] = []
    judged = 0
    for stream, session, calls in _sessions(case):
        odd = _odd_names(calls, case.profile)
        for part in tool_parts(stream, session):
            if not part.names & odd:
                continue
            judged += 1
            if part.status != "error":
                findings.append(
                    stream.finding(
                        "a call that cannot be carried out does not end in error",
                        expected=f"state 'error' for the call of {', '.join(sorted(part.names))}",
                        observed=f"state {part.status!r}",
                        at=part.last,
                    )
                )
    return Judgement(
        tuple(findings), judged, not_applicable="" if judged else "no part shows a call that cannot be made"
    )


@check("PG-TOOL-03", probes=TURN_STREAMS, families=BUSES, every=False)
def every_call_has_its_part(case: Case) -> Judgement:
    """Every valid call gives exactly one tool part, which shows its name and arguments."""
    findings: list[Finding] = []
    judged = 0
    for stream, session, calls in _sessions(case):
        parts = tool_parts(stream, session)
        valid = [call for call in calls if _valid(call, case.profile)]
        if not tells_of_sessions(case.profile.protocol) and not any(part.input is not None for part in parts):
            continue  # its document shows no `input`
        for call in _distinct(valid):
            judged += 1
            holding = _holding(parts, call, case.profile)
            alike = _alike(
                calls, call, case.profile
            )  # a call that cannot be carried out may have a part or not
            if not len(_alike(valid, call, case.profile)) <= len(holding) <= len(alike):
                findings.append(
                    stream.finding(
                        "a tool call has no part" if not holding else "a tool call has not exactly one part",
                        expected=f"one tool part that holds the arguments of {call.name}: {dict(call.args)}",
                        observed=f"{len(holding)} such parts among {len(parts)} tool parts",
                        at=holding[-1].last if holding else None,
                    )
                )
            if all(other.name == call.name for other in alike):
                for part in holding:
                    findings.extend(_shown_otherwise(stream, part, call, case.profile))
    return Judgement(tuple(findings), judged)


def _shown_otherwise(stream: Stream, part: ToolPart, call: ToolCall, profile: Profile) -> Iterator[Finding]:
    tool = _declared(call, profile)
    name = (tool.shown_name if tool is not None else None) or call.name
    if part.names and name not in part.names:
        yield stream.finding(
            "a tool part has another name than its call",
            expected=f"the tool {name!r}",
            observed=", ".join(sorted(part.names)),
            at=part.last,
        )
    shown = part.input if isinstance(part.input, dict) else {}
    wanted = {key for key in _shown_args(call, profile) if key not in shown}
    if wanted:
        yield stream.finding(
            "a tool part's input lacks an argument",
            expected=f"the arguments {', '.join(sorted(wanted))}",
            observed=f"the members {', '.join(sorted(shown)) or 'none'}",
            at=part.last,
        )


def _declared(call: ToolCall, profile: Profile) -> Tool | None:
    tools = (profile.tools.read, profile.tools.edit, profile.tools.delete)
    return next((tool for tool in tools if tool is not None and tool.name == call.name), None)


def _valid(call: ToolCall, profile: Profile) -> bool:
    """Whether the target has the tool and the call gives it its path."""
    tool = _declared(call, profile)
    return tool is not None and tool.path in call.args


def _odd_names(calls: Iterable[ToolCall], profile: Profile) -> set[str]:
    """The names under which calls may be shown that cannot be carried out."""
    return {name for call in calls if not _valid(call, profile) for name in _names(call, profile)}


def _names(call: ToolCall, profile: Profile) -> set[str]:
    tool = _declared(call, profile)
    # A call of a declared tool with bad arguments has the name of the good ones: only alone is it told apart.
    return {call.name} | ({tool.shown_name} if tool is not None and tool.shown_name else set())


def _shown_args(call: ToolCall, profile: Profile) -> dict[str, Any]:
    """The scripted arguments under the names that the stream gives them, secrets left out."""
    tool = _declared(call, profile)
    renamed = {}
    if tool is not None:
        renamed = {tool.path: tool.shown_path} | ({tool.content: tool.shown_content} if tool.content else {})
    return {renamed.get(key) or key: value for key, value in call.args.items() if key not in profile.redact}


def _holding(parts: list[ToolPart], call: ToolCall, profile: Profile) -> list[ToolPart]:
    """The tool parts whose input holds every scripted value, under whatever name."""
    values = list(_shown_args(call, profile).values())
    return [part for part in parts if all(_contains(part.input, value) for value in values)]


def _alike(calls: Iterable[ToolCall], call: ToolCall, profile: Profile) -> list[ToolCall]:
    """The calls whose parts hold every value of this call as well: it, its equals, and a write of the file it reads."""
    values = list(_shown_args(call, profile).values())
    return [
        other for other in calls if all(_contains(_shown_args(other, profile), value) for value in values)
    ]


def _distinct(calls: Iterable[ToolCall]) -> list[ToolCall]:
    """The calls without those that have the name and arguments of an earlier one."""
    found: list[ToolCall] = []
    for call in calls:
        if not any(call.name == other.name and call.args == other.args for other in found):
            found.append(call)
    return found


def _contains(holder: Any, value: Any) -> bool:
    if type(holder) is type(value) and holder == value:
        return True
    if isinstance(holder, str) and isinstance(value, str):
        return holder.endswith("/" + value)  # a relative path that the server shows resolved
    if isinstance(holder, Mapping):
        return any(_contains(item, value) for item in holder.values())
    return isinstance(holder, list) and any(_contains(item, value) for item in holder)
