"""Judging generated observations as a run would: by the catalogue, the checks and the judge, without a target."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import conformance.rules  # noqa: F401  (registers every rule)
from conformance.catalogue import Requirement, catalogue
from conformance.findings import Verdict
from conformance.judge import Outcome, Result, judge
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.rules.base import Case, Check, checks
from conformance.rules.text import AWKWARD, RARE
from conformance.script import Script
from conformance.transcript import Observation
from tests.support.generated_scripts import WORKSPACE

PROTOCOLS = ("agentsmithy/1", "agentsmithy/2", "penguin/1", "penguin/2")
ACCUSED = (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Scene:
    """A script and what a server streamed for it. `warned` are the SHOULD rows that it justly fails."""

    script: Script
    observation: Observation
    warned: frozenset[str] = frozenset()

    @property
    def profile(self) -> Profile:
        """What is declared about the server."""
        return self.observation.profile


def profile_of(protocol: str) -> Profile:
    """The revision's default profile, with a workspace; everything that is promised is judged."""
    base = default_profile(protocol, "http://127.0.0.1:1")
    capabilities = replace(base.capabilities, workspace=base.family == "agentsmithy")
    return replace(base, capabilities=capabilities, workspace=WORKSPACE)


def named_probes(family: str, script: Script) -> tuple[str, ...]:
    """The probes whose stream a stream of this script might be: every row that one of them is judged by applies."""
    last = script.turns[-1]
    names = ["mixed" if family == "agentsmithy" else "tools"]
    if last.cut is not None:
        names.append(f"cut-{last.cut}")
    elif last.error is not None and last.error.times is None:
        names.append("error-in-stream" if last.error.in_stream else "error-status")
    if not script.fails:
        names += ["awkward"] if any(part in script.said for part in AWKWARD) else []
        names += ["rare"] if any(part in script.said for part in RARE) else []
        names += (
            ["edit-twice"] if family == "agentsmithy" and any(call.edits for call in script.tools) else []
        )
    return tuple(names)


def verdicts(observation: Observation, probes: Iterable[str], only: Sequence[str] = ()) -> dict[str, Result]:
    """What each requirement says of an observation, as if each of these probes had made it."""
    profile = observation.profile
    outcomes = {name: Outcome(name, Case(replace(observation, probe=name))) for name in probes}
    found: dict[str, Result] = {}
    for requirement in catalogue(profile.protocol).requirements:
        if requirement.excluded or (only and requirement.id not in only):
            continue
        chosen = [check for check in _checks(profile.family, requirement) if check.probes & outcomes.keys()]
        if chosen:
            found[requirement.id] = judge(requirement, chosen, outcomes.get, profile)
    return found


def _checks(family: str, requirement: Requirement) -> list[Check]:
    return [check for check in checks(family) if check.requirement == requirement.id]


def accused(scene: Scene, results: Mapping[str, Result]) -> list[str]:
    """One line for each requirement that says anything against a scene beyond what it justly fails."""
    return [
        f"{name} {result.verdict.value}: {_said(result)}"
        for name, result in results.items()
        if result.verdict in ACCUSED and not (result.verdict is Verdict.WARN and name in scene.warned)
    ]


def _said(result: Result) -> str:
    if not result.evidence:
        return result.reason
    finding = result.evidence[0].finding
    return (
        f"{finding.title}: expected {finding.expected}, observed {finding.observed} (event {finding.event})"
    )


def is_caught(result: Result | None) -> bool:
    """Whether a requirement found the fault: red, yellow where it is a SHOULD, noted with a finding where level I."""
    return result is not None and bool(result.evidence)


def told(scene: Scene, problem: str) -> str:
    """A failure for people: the problem, the script to paste into a prompt, and the streams as they were."""
    lines = [problem, "", f"protocol: {scene.profile.protocol}", f"prompt:   {scene.script.directive()}"]
    for role, transcript in scene.observation.transcripts:
        shown = transcript.body.decode("utf-8", "backslashreplace")
        lines += [
            f"stream {role!r} ({len(transcript.chunks)} chunks, {transcript.ended}):",
            json.dumps(shown),
        ]
    return "\n".join(lines)
