"""Every AgentSmithy probe and rule against the reference server as a process, both revisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from conformance.catalogue import catalogue
from conformance.findings import Verdict
from conformance.lab import Lab
from conformance.observe.probe import probes
from conformance.profile_file import default_profile
from conformance.rules.base import Case
from conformance.transcript import from_json, to_json
from tests.support.agentsmithy_cases import verdicts
from tests.support.reference import reference_server

MAX_BODY = 100_000
WORKSPACE = "/srv/sse-conformance-none"

ROWS = [
    (protocol, requirement.id)
    for protocol in ("agentsmithy/1", "agentsmithy/2")
    for requirement in catalogue(protocol).requirements
    if requirement.id.startswith("AS-") and not requirement.excluded
]
# A server that plays scripts itself has no model whose calls could be seen.
NOT_APPLICABLE = {"AS-CONC-05": "the profile names no model_url"}
NOTES = {"AS-REQ-04"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with reference_server("--max-body", str(MAX_BODY), "--workspace", WORKSPACE) as url:
        yield url


@pytest.fixture(scope="module")
def labs(base: str) -> dict[str, Lab]:
    made = {}
    for protocol in ("agentsmithy/1", "agentsmithy/2"):
        profile = default_profile(protocol, f"{base}/{protocol}")
        capabilities = replace(profile.capabilities, history=True, workspace=True, max_body=MAX_BODY)
        made[protocol] = Lab(replace(profile, capabilities=capabilities, workspace=WORKSPACE))
    return made


@pytest.mark.parametrize(("protocol", "requirement"), ROWS, ids=[f"{p}-{r}" for p, r in ROWS])
def test_the_reference_server_holds_every_row(labs: dict[str, Lab], protocol: str, requirement: str) -> None:
    lab = labs[protocol]
    row = lab.catalogue.get(requirement)
    assert row is not None
    result = lab.result(row)
    reason = NOT_APPLICABLE.get(requirement, "")
    expected = Verdict.NOT_APPLICABLE if reason else Verdict.NOTE if requirement in NOTES else Verdict.PASS
    assert (result.verdict, result.reason) == (expected, reason), result
    assert reason or result.judged > 0
    assert not any(note.startswith("not judged") for note in result.notes), result.notes


def test_every_probe_ran_to_its_end(labs: dict[str, Lab]) -> None:
    for lab in labs.values():
        for name in probes("agentsmithy"):
            observation = lab.observation(name)
            assert observation is None or not observation.incomplete, (name, observation.incomplete)


def test_no_dialog_of_ours_stays(base: str, labs: dict[str, Lab]) -> None:
    for protocol, lab in labs.items():
        observation = lab.observation("several-turns") or lab.outcome("several-turns")
        assert observation is not None
        made = [
            action.answer["id"]
            for name in probes("agentsmithy")
            if (seen := lab.observation(name)) is not None
            for action in seen.actions_of("create-session")
        ]
        assert made
        for dialog in made:
            answer = httpx.get(f"{base}/{protocol}/api/dialogs/{dialog}/history", trust_env=False)
            assert answer.status_code == 404, dialog


def test_saved_observations_are_judged_the_same(labs: dict[str, Lab]) -> None:
    for lab in labs.values():
        for name in probes("agentsmithy"):
            observation = lab.observation(name)
            if observation is None or name == "large":
                continue
            again = from_json(to_json(observation))
            assert verdicts(Case(again)) == verdicts(Case(observation)), name
