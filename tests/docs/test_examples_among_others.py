"""What else an observation holds neither hides a defect nor makes one: the examples, with other exchanges beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conformance.catalogue import protocols
from conformance.examples import examples
from conformance.findings import Verdict
from conformance.judge import Result
from conformance.offline import judge_observation
from conformance.script import Script, say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from conformance.turns import TURNS

# Each requirement once, under the newest revision that has an example. A body alone has no other exchange beside it.
NEWEST = {
    name: (protocol, example)
    for protocol in sorted(protocols())
    for name, example in examples(protocol).items()
}
ALL = [
    pytest.param(protocol, name, id=f"{protocol}-{name}")
    for name, (protocol, example) in NEWEST.items()
    if example.good.fact("head") != "assumed"
]
JSON = (("content-type", "application/json"),)
STREAM = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


def _asked(observation: Observation) -> Request:
    method = "POST" if observation.profile.family == "agentsmithy" else "GET"
    return Request(method, f"{observation.profile.url}/x")


def refused(observation: Observation) -> Transcript:
    head = Head(0.0, 404, "Not Found", "1.1", JSON)
    return Transcript(_asked(observation), 0.0, head, (Chunk(0.0, b"{}"),), Ended.COMPLETE, 0.1)


def unanswered(observation: Observation) -> Transcript:
    return Transcript(_asked(observation), 0.0, None, (), Ended.CLOSED_BY_US, 0.1)


def silent(observation: Observation) -> Transcript:
    head = Head(0.0, 200, "OK", "1.1", STREAM)
    return Transcript(_asked(observation), 0.0, head, (), Ended.CLOSED_BY_US, 0.1)


def prompted(role: str, script: Script | None = None, status: int = 200) -> Action:
    return Action(0.0, "prompt", session="nobody", stream=role, script=script, status=status, until=0.1)


def failing(observation: Observation) -> Script:
    script = next(turn for turn in TURNS if turn.name == "error-status").script(observation.profile)
    assert script is not None
    return script


Beside = Callable[[Observation], tuple[dict[str, Transcript], list[Action]]]


def exchanges(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """Exchanges that are no streams."""
    return {"beside-1": refused(observation), "beside-2": unanswered(observation)}, []


def silence(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """A stream on which nothing came."""
    return {"beside-3": silent(observation)}, []


def plain_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """A prompt without a script, of which nobody knows what it was to cause."""
    return {}, [prompted("nowhere")]


def told(observation: Observation) -> Script:
    """What the agent is told in the example itself."""
    return next((a.script for a in observation.actions if a.script is not None), say("x"))


def lost_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """The same prompt, of which no stream was recorded."""
    return {}, [prompted("nowhere", told(observation))]


def refused_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """The same prompt, refused by the server."""
    return {"beside-1": refused(observation)}, [prompted("beside-1", told(observation), 404)]


def troubled_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """The same prompt, of which the server says that something else went wrong."""
    if observation.profile.family == "agentsmithy":
        events: list[dict[str, Any]] = [
            {"type": "error", "error": "no credit"},
            {"type": "done", "done": True},
        ]
        body = b"".join(b"data: %b\n\n" % json.dumps({**e, "dialog_id": "nobody"}).encode() for e in events)
    else:
        said = {"type": "session.error", "properties": {"sessionID": "nobody", "error": {}}}
        body = b"data: %b\n\n" % json.dumps(said).encode()
    made = replace(silent(observation), chunks=(Chunk(0.1, body),), ended=Ended.COMPLETE)
    return {"beside-4": made}, [prompted("beside-4", told(observation))]


def failing_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """A prompt whose model fails, on a stream that we left before it showed anything."""
    return {"beside-3": silent(observation)}, [prompted("beside-3", failing(observation))]


def judged(observation: Observation, name: str) -> Result:
    return next(result for result in judge_observation(observation) if result.requirement.id == name)


def among(observation: Observation, beside: Beside, *, before: bool) -> Observation:
    transcripts, actions = beside(observation)
    mine, others = observation.transcripts, tuple(transcripts.items())
    done = tuple(actions)
    return replace(
        observation,
        transcripts=(*others, *mine) if before else (*mine, *others),
        actions=(*done, *observation.actions) if before else (*observation.actions, *done),
    )


def places(result: Result) -> set[tuple[str, int | None, str]]:
    return {(each.finding.role, each.finding.event, each.finding.title) for each in result.evidence}


@pytest.mark.parametrize("beside", [exchanges, silence, plain_prompt])
@pytest.mark.parametrize(("protocol", "name"), ALL)
def test_what_is_nobody_s_business_changes_no_verdict(protocol: str, name: str, beside: Beside) -> None:
    example = examples(protocol)[name]
    for observation in (example.good, example.bad):
        alone = judged(observation, name)
        for before in (True, False):
            seen = judged(among(observation, beside, before=before), name)
            assert seen.verdict is alone.verdict
            assert places(seen) >= places(alone)
            assert seen.judged == alone.judged or beside is not plain_prompt


# These are about the one prompt, or the two, that their probe sends, or about the first that fails.
OF_CERTAIN_PROMPTS = {"AS-CONC-01", "AS-TOOL-05", "AS-ERR-01a", "AS-ERR-01b", "AS-ERR-02a", "AS-ERR-02b"}


@pytest.mark.parametrize("beside", [lost_prompt, refused_prompt, failing_prompt, troubled_prompt])
@pytest.mark.parametrize(
    ("protocol", "name"), [case for case in ALL if case.values[1] not in OF_CERTAIN_PROMPTS]
)
def test_a_prompt_that_cannot_be_judged_hides_no_defect(protocol: str, name: str, beside: Beside) -> None:
    bad = examples(protocol)[name].bad
    alone = judged(bad, name)
    for before in (True, False):
        assert places(judged(among(bad, beside, before=before), name)) >= places(alone)


# What stays open where one of several prompts that it is about cannot be judged.
ALL_OF_THEM = """
AS-TXT-01 AS-TXT-02 AS-TXT-03 AS-TOOL-01a AS-TOOL-01b AS-TOOL-02 AS-TOOL-04 AS-TOOL-05
SSE-FMT-07a SSE-FMT-07b SSE-FMT-08
""".split()  # noqa: SIM905


@pytest.mark.parametrize("beside", [lost_prompt, refused_prompt, troubled_prompt])
@pytest.mark.parametrize(("protocol", "name"), [case for case in ALL if case.values[1] in ALL_OF_THEM])
def test_a_prompt_that_cannot_be_judged_leaves_its_requirements_open(
    protocol: str, name: str, beside: Beside
) -> None:
    good = examples(protocol)[name].good
    for before in (True, False):
        seen = judged(among(good, beside, before=before), name)
        first_only = name in ("AS-TOOL-04", "AS-TOOL-05") and not before
        assert seen.verdict is (Verdict.PASS if first_only else Verdict.INCONCLUSIVE), seen.reason
