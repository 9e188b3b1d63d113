"""What else an observation holds neither hides a defect nor makes one: the examples, with other exchanges beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from conformance.catalogue import protocols
from conformance.examples import examples
from conformance.judge import Result
from conformance.offline import judge_observation
from conformance.script import Script, say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from conformance.turns import TURNS

# A body alone has no other exchange beside it.
ALL = [
    pytest.param(p, name, id=f"{p}-{name}")
    for p in protocols()
    for name, example in examples(p).items()
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


def lost_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """A prompt whose stream was not recorded."""
    return {}, [prompted("nowhere", say("x"))]


def refused_prompt(observation: Observation) -> tuple[dict[str, Transcript], list[Action]]:
    """A prompt that the server refused."""
    return {"beside-1": refused(observation)}, [prompted("beside-1", say("x"), 404)]


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
OF_CERTAIN_PROMPTS = {"AS-CONC-01", "AS-TOOL-05", "AS-ERR-01a"}


@pytest.mark.parametrize("beside", [lost_prompt, refused_prompt, failing_prompt])
@pytest.mark.parametrize(
    ("protocol", "name"), [case for case in ALL if case.values[1] not in OF_CERTAIN_PROMPTS]
)
def test_a_prompt_that_cannot_be_judged_hides_no_defect(protocol: str, name: str, beside: Beside) -> None:
    bad = examples(protocol)[name].bad
    alone = judged(bad, name)
    for before in (True, False):
        assert places(judged(among(bad, beside, before=before), name)) >= places(alone)
