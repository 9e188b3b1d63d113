"""AgentSmithy: what a dialog's history says (AgentSmithy protocol 2, `GET /api/dialogs/{id}/history`)."""

from __future__ import annotations

from typing import Any

from conformance.agentsmithy import CLIMBING, CLIMBING_IDS, HISTORY
from conformance.findings import Finding, Judgement
from conformance.rules._agentsmithy import answered, ended_early, shown
from conformance.rules.base import Case, Stream, check
from conformance.transcript import Action

_FAMILY = ("agentsmithy",)


@check("AS-CONC-04", probes=(HISTORY,), families=_FAMILY)
def history_is_what_was_streamed(case: Case) -> Judgement:
    """A dialog's history has its prompts, the streamed text and the streamed tool calls, in their order."""
    findings: list[Finding] = []
    judged = 0
    inconclusive = ""
    for action in case.observation.actions_of("call"):
        prompts = [prompt for prompt in case.prompts() if prompt.session == action.session]
        streams = [case.stream(prompt.stream) for prompt in prompts]
        whole = [stream for stream in streams if stream is not None]
        problem = next((reason for stream in streams if (reason := _unusable(stream))), "") or _unread(action)
        if problem or not whole:
            inconclusive = inconclusive or problem or "no prompt was sent"
            continue
        judged += 1
        expected = [
            entry
            for prompt, stream in zip(prompts, whole, strict=True)
            for entry in _streamed(prompt, stream)
        ]
        told = _told(action.answer["events"])
        if action.answer.get("has_more") is True:
            # One page of it, which may begin in the middle of a text.
            expected, told = expected[len(expected) - len(told) + 1 :], told[1:]
        if told != expected:
            findings.append(
                whole[0].finding(
                    "A dialog's history is not what its streams said",
                    expected="the prompts, text and tool calls of the dialog's streams, in their order",
                    observed=_difference(expected, told),
                )
            )
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


@check("AS-REQ-04b", probes=(CLIMBING,), families=_FAMILY)
def ids_are_no_paths(case: Case) -> Judgement:
    """The history of a dialog does not show prompts that were sent to ids which lead to it as a path."""
    own, unknown = case.stream("own"), case.prompts("unknown")
    for action in case.observation.actions_of("call"):
        if problem := answered(own) or _unread(action):
            return Judgement(inconclusive=problem)
        prompts = [entry[1] for entry in _told(action.answer["events"]) if entry[0] == "user"]
        if not any(prompt.prompt in prompts for prompt in case.prompts("own")):
            return Judgement(inconclusive="the dialog's history does not show its own prompt")
        if any(prompt.prompt in prompts for prompt in unknown):
            return Judgement(
                not_applicable="the target puts prompts for unknown dialogs into one that it knows"
            )
        climbed = [(role, prompt) for role in CLIMBING_IDS for prompt in case.prompts(role)]
        findings = tuple(
            Finding(
                "A dialog_id with path separators leads into another dialog",
                f"a dialog of its own, or a 4xx, for dialog_id {shown(prompt.session)}",
                f"its prompt is in the history of dialog {shown(action.session)}",
                role,
            )
            for role, prompt in climbed
            if prompt.prompt in prompts
        )
        return Judgement(findings, judged=len(climbed))
    return Judgement()


def _unusable(stream: Stream | None) -> str:
    return answered(stream) or ("" if stream is None else ended_early(stream))


def _unread(action: Action) -> str:
    """Why the history cannot be read, "" if it can."""
    if action.status != 200:
        return f"the history was answered with HTTP {action.status}"
    found = isinstance(action.answer, dict) and isinstance(action.answer.get("events"), list)
    return "" if found else "the history's answer has no list of events"


def _streamed(prompt: Action, stream: Stream) -> list[tuple[Any, ...]]:
    """What a prompt's stream says of the dialog: the prompt, runs of text, tool calls."""
    events = [m.body for m in stream.read() if m.type in ("chat", "tool_call")]
    return _told([{"type": "user", "content": prompt.prompt}, *events])


def _told(events: list[Any]) -> list[tuple[Any, ...]]:
    """Events as prompts, runs of text (chat events that follow each other, joined) and tool calls."""
    told: list[tuple[Any, ...]] = []
    for event in events:
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "user":
            told.append(("user", event.get("content")))
        elif kind == "tool_call":
            told.append(("tool_call", event.get("name"), event.get("args")))
        elif kind == "chat" and isinstance(event.get("content"), str) and event["content"]:
            if told and told[-1][0] == "text":
                told[-1] = ("text", told[-1][1] + event["content"])
            else:
                told.append(("text", event["content"]))
    return told


def _difference(expected: list[tuple[Any, ...]], told: list[tuple[Any, ...]]) -> str:
    index = next(
        (i for i, (left, right) in enumerate(zip(expected, told, strict=False)) if left != right),
        min(len(expected), len(told)),
    )
    left = shown(expected[index]) if index < len(expected) else "nothing more"
    right = shown(told[index]) if index < len(told) else "nothing more"
    return f"entry {index} of the history is {right}, the streams said {left}"
