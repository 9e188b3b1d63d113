"""The AgentSmithy rules over what the real server 1.13 sent: each finding here was read against the bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conformance.agentsmithy import SAME_DIALOG, STREAM_PROBES
from conformance.findings import Judgement
from conformance.recorded import read_recording
from conformance.rules.base import Case, checks
from conformance.script import Failure, ModelTurn, Script, ToolCall, say
from conformance.transcript import Action
from tests.support.agentsmithy_cases import profile_of, red, unsure, verdicts

FOLDER = Path(__file__).parents[1] / "recordings" / "agentsmithy-1.13.0"
STREAMS = sorted(
    path.stem for path in FOLDER.glob("*.sse") if path.stem not in ("bad_json", "nostream")
)  # those two are plain answers

# reasoning, multi: `chat_start` comes while `reasoning` is open (the server overlaps them when one model call
# has both). edit: the hunk's head says "-1 +1", but an empty line stands between the two lines, and patch and
# git apply both refuse it.
FOUND = {"reasoning": {"AS-2-02b"}, "multi": {"AS-2-02b"}, "edit": {"AS-2-04"}}

WORDS = say(*(f"word{number} " for number in range(15)))

# What the model said in these recordings, as scripts.
SCRIPTS = {
    "text": say("Hello", ", this ", 'is a "quoted" ', "answer\nwith two lines, ",
                "unicode: \u00e9 \u2713 \U0001f600 \u2028sep", " and the end."),
    "manylines": say("a\r\nb\rc\n\nd\n\n\ndata: fake\n\n", "event: x\n: comment\n"),
    "reasoning": Script((ModelTurn(
        reasoning=("Thinking about ", "the question. ", "Second thought."),
        text=("After ", "thinking: ", "42."),
    ),)),
    "pause20_pings": say("before pause", " after pause"),
    "conc_same_A": WORDS,
    "cmd": Script((ModelTurn(tools=(ToolCall("run_command", {"command": "echo hi"}),)),
                   ModelTurn(text=("cmd done",)))),
    "toolfail": Script((ModelTurn(tools=(ToolCall("read_file", {"path": "missing.txt"}, fails=True),)),
                        ModelTurn(text=("missing file seen",)))),
    "multi": Script((
        ModelTurn(reasoning=("Plan the ", "change."), text=("I will read first.",), tools=(
            ToolCall("read_file", {"path": "hello.py"}), ToolCall("list_files", {"path": "."}))),
        ModelTurn(reasoning=("Now write.",), tools=(
            ToolCall("write_to_file", {"path": "multi.py", "content": "x = 1\n"}),)),
        ModelTurn(text=("All ", "done.")),
    )),
    "delete": Script((ModelTurn(tools=(ToolCall("delete_file", {"path": "made/new.py"}),)),
                      ModelTurn(text=("deleted",)))),
    "empty": Script((ModelTurn(),)),
    "http500": Script((ModelTurn(error=Failure("internal boom", status=500)),)),
    "drop": Script((ModelTurn(text=("partial ", "answer "), cut="reset"),)),
}  # fmt: skip


def recorded(name: str) -> Case:
    return Case(read_recording(str(FOLDER / f"{name}.sse"), "agentsmithy/2"))


def scripted(name: str, probe: str) -> Case:
    """The recording as if a probe had caused it."""
    observation = recorded(name).observation
    ((_, transcript),) = observation.transcripts
    prompt = Action(0.0, "prompt", stream="stream", script=SCRIPTS[name])
    profile = replace(profile_of(), workspace="/srv/agentsmithy-app/work")
    return Case(
        replace(
            observation,
            probe=probe,
            profile=profile,
            transcripts=(("stream", transcript),),
            actions=(prompt,),
        )
    )


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream(name: str) -> None:
    of = recorded(name)
    judgements: dict[str, list[Judgement]] = {}
    for check in checks("agentsmithy"):
        if check.requirement.startswith("AS-") and check.recorded:
            judgements.setdefault(check.requirement, []).append(check.judge(of))
    found = {requirement for requirement, made in judgements.items() if any(j.findings for j in made)}
    assert found == FOUND.get(name, set())
    judged = {requirement for requirement, made in judgements.items() if any(j.judged for j in made)}
    assert {"AS-EVT-01", "AS-EVT-02", "AS-EVT-03", "AS-2-01"} <= judged


@pytest.mark.parametrize(
    ("name", "probe", "requirement"),
    [
        ("text", "text", "AS-TXT-01"),
        ("manylines", "long-text", "AS-TXT-01"),
        ("pause20_pings", "text", "AS-TXT-01"),
        ("reasoning", "reasoning", "AS-TXT-02"),
        ("multi", "mixed", "AS-TXT-02"),
        ("multi", "mixed", "AS-TOOL-01a"),
        ("multi", "mixed", "AS-TOOL-01b"),
        ("cmd", "tools", "AS-TOOL-01a"),
        ("toolfail", "tools", "AS-TOOL-01a"),
        ("delete", "deletion", "AS-TOOL-02"),
        ("multi", "edit", "AS-TOOL-02"),
        ("multi", "edit", "AS-TOOL-04"),
        ("http500", "error-status", "AS-ERR-01a"),
        ("drop", "cut-reset", "AS-ERR-02a"),
        ("empty", "empty", "AS-END-03"),
    ],
)
def test_a_recording_judged_by_what_its_model_said(name: str, probe: str, requirement: str) -> None:
    of = scripted(name, probe)
    assert verdicts(of)[requirement].judged > 0
    assert red(of) == FOUND.get(name, set())
    assert unsure(of) == set()


def test_two_recorded_streams_of_one_dialog() -> None:
    one = scripted("conc_same_A", SAME_DIALOG).observation
    ((_, stream),) = one.transcripts
    roles = ("first", "second")
    of = Case(
        replace(
            one,
            transcripts=tuple((role, stream) for role in roles),
            actions=tuple(replace(one.actions[0], stream=role) for role in roles),
        )
    )
    assert verdicts(of)["AS-CONC-02"].judged == 2
    assert red(of) == unsure(of) == set()


def test_the_recorded_server_error_for_stream_false() -> None:
    observation = recorded("nostream").observation
    ((_, transcript),) = observation.transcripts
    of = Case(replace(observation, probe="no-stream", transcripts=(("no-stream", transcript),)))
    assert red(of) == {"AS-REQ-02a"}


def test_the_recorded_refusal_of_bad_json() -> None:
    observation = recorded("bad_json").observation
    ((_, transcript),) = observation.transcripts
    of = Case(replace(observation, probe="bad-requests", transcripts=(("bad-json", transcript),)))
    assert red(of) == set()
    assert verdicts(of)["AS-REQ-01c"].judged == 1


def test_the_probes_of_streams_are_named_once() -> None:
    assert len(set(STREAM_PROBES)) == len(STREAM_PROBES)
