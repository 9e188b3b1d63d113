"""AgentSmithy cases made of events: what a faithful server would stream for a script, to be bent in tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import conformance.rules  # noqa: F401  (registers every rule)
from conformance.agentsmithy import OWN_TURNS
from conformance.findings import Judgement
from conformance.profile import Profile, Tools
from conformance.profile_file import default_profile
from conformance.rules.base import Case, checks
from conformance.script import Script
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from conformance.turns import TURNS

Events = list[dict[str, Any]]
DIALOG = "01JDIALOG"
WORKSPACE = "/srv/work"


def profile_of(protocol: str = "agentsmithy/2", **changes: Any) -> Profile:
    """The revision's default profile with a workspace, and changes to it."""
    base = default_profile(protocol, "http://127.0.0.1:1")
    tools = Tools(base.tools.read, base.tools.edit, base.tools.delete)
    capabilities = replace(base.capabilities, workspace=True, history=True)
    made = replace(base, tools=tools, capabilities=capabilities, workspace=WORKSPACE)
    return replace(made, **changes)


def script_of(name: str, profile: Profile) -> Script:
    """The script of a turn's probe."""
    entry = next(turn for turn in (*TURNS, *OWN_TURNS) if turn.name == name)
    script = entry.script(profile)
    assert script is not None
    return script


def prompt_of(script: Script | None) -> str:
    """A prompt that holds the script."""
    return "test" if script is None else f"test {script.directive()}"


def faithful(script: Script, profile: Profile, *, dialog: str = DIALOG) -> Events:
    """What a faithful server streams for a script, an `error` where a model call fails."""
    second = profile.revision > 1
    events: Events = [{"type": "user", "content": prompt_of(script)}] if second else []
    for turn in script.turns:
        for kind, chunks in (("reasoning", turn.reasoning), ("chat", turn.text_chunks)):
            if not chunks:
                continue
            body = [{"type": kind, "content": chunk} for chunk in chunks]
            events += [{"type": f"{kind}_start"}, *body, {"type": f"{kind}_end"}] if second else body
        for call in turn.tools:
            events.append({"type": "tool_call", "name": call.name, "args": dict(call.args)})
            if call.edits:
                events.append({"type": "file_edit", "file": call.edits})
        if turn.error is not None or turn.cut is not None:
            events.append({"type": "error", "error": "the model failed"})
            break
    events.append({"type": "done", "done": True})
    return [{"dialog_id": dialog, **event} for event in events]


def encode(events: Iterable[Any], *, end: str = "\r\n") -> bytes:
    """Events as a body, one block each."""
    return "".join(f"data: {json.dumps(event)}{end}{end}" for event in events).encode()


def exchange(
    body: bytes | Sequence[Any] = b"",
    *,
    prompt: str = "test",
    dialog: str | None = DIALOG,
    status: int = 200,
    media: str = "text/event-stream",
    ended: Ended = Ended.COMPLETE,
    opened_at: float = 0.0,
    seconds: float = 1.0,
    answered: bool = True,
) -> Transcript:
    """A chat exchange whose body comes in one chunk at its end."""
    request: dict[str, Any] = {"messages": [{"role": "user", "content": prompt}], "stream": True}
    if dialog is not None:
        request["dialog_id"] = dialog
    raw = body if isinstance(body, bytes) else encode(body)
    end = opened_at + seconds
    return Transcript(
        Request("POST", "http://127.0.0.1:1/api/chat", (), json.dumps(request).encode()),
        opened_at,
        Head(opened_at, status, "", "1.1", (("content-type", media),)) if answered else None,
        (Chunk(end, raw),) if raw else (),
        ended,
        end,
    )


def created(dialog: str = DIALOG) -> Action:
    """A dialog that the server made."""
    return Action(0.0, "create-session", status=200, answer={"id": dialog}, until=0.0)


def prompted(script: Script | None, role: str = "stream", dialog: str = DIALOG, at: float = 0.0) -> Action:
    """A prompt, answered by the stream of that role."""
    return Action(at, "prompt", session=dialog, stream=role, script=script, prompt=prompt_of(script))


def case(
    probe: str,
    transcripts: dict[str, Transcript],
    actions: Iterable[Action] = (),
    *,
    profile: Profile | None = None,
    facts: tuple[tuple[str, Any], ...] = (),
) -> Case:
    """A case of an observation with these transcripts and actions."""
    return Case(
        Observation(
            probe,
            profile or profile_of(),
            tuple(transcripts.items()),
            tuple(sorted(actions, key=lambda action: action.at)),
            facts,
        )
    )


def turn_case(
    name: str,
    events: Sequence[Any] | None = None,
    *,
    profile: Profile | None = None,
    ended: Ended = Ended.COMPLETE,
    body: bytes | None = None,
) -> Case:
    """The case of a turn's probe: its faithful events, or others, or a body."""
    profile = profile or profile_of()
    script = script_of(name, profile)
    content = body if body is not None else (faithful(script, profile) if events is None else events)
    made = exchange(content, prompt=prompt_of(script), ended=ended)
    return case(name, {"stream": made}, [created(), prompted(script)], profile=profile)


def streams_case(probe: str, *played: tuple[str, Script, str, Events], **more: Any) -> Case:
    """A case of streams: role, script, dialog, events."""
    transcripts = {
        role: exchange(events, prompt=prompt_of(script), dialog=dialog)
        for role, script, dialog, events in played
    }
    dialogs = dict.fromkeys(dialog for _, _, dialog, _ in played)
    actions = [
        *(created(dialog) for dialog in dialogs),
        *(prompted(script, role, dialog, at=0.1 * n) for n, (role, script, dialog, _) in enumerate(played)),
    ]
    return case(probe, transcripts, [*actions, *more.pop("actions", ())], **more)


def verdicts(of: Case) -> dict[str, Judgement]:
    """What every AgentSmithy requirement says of a case, all its checks together."""
    said: dict[str, list[Judgement]] = {}
    for check in checks("agentsmithy"):
        revision_2 = check.requirement.startswith("AS-2-")
        if not check.requirement.startswith("AS-") or (revision_2 and of.profile.revision < 2):
            continue
        if of.observation.probe in check.probes:
            said.setdefault(check.requirement, []).append(check.judge(of))
    return {requirement: _together(judgements) for requirement, judgements in said.items()}


def _together(judgements: list[Judgement]) -> Judgement:
    return Judgement(
        tuple(finding for judgement in judgements for finding in judgement.findings),
        sum(judgement.judged for judgement in judgements),
        tuple(note for judgement in judgements for note in judgement.notes),
        "; ".join(j.inconclusive for j in judgements if j.inconclusive),
        "; ".join(j.not_applicable for j in judgements if j.not_applicable),
    )


def red(of: Case) -> set[str]:
    """The requirements with findings."""
    return {requirement for requirement, judgement in verdicts(of).items() if judgement.findings}


def unsure(of: Case) -> set[str]:
    """The requirements that cannot be judged although they should be."""
    return {requirement for requirement, judgement in verdicts(of).items() if judgement.inconclusive}
