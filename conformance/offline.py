"""Verdicts from one observation, without a target: what `sse-conformance check` and other programs call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import conformance.rules  # noqa: F401  (importing the package registers the rules)
from conformance.catalogue import catalogue, level_for, revisions
from conformance.findings import Verdict
from conformance.judge import Outcome, Result, judge
from conformance.rules.base import Case, Check, checks
from conformance.transcript import Observation

RECORDED = "recorded"  # the probe name of a recording that no probe of ours made


def judge_observation(observation: Observation) -> tuple[Result, ...]:
    """One result for every requirement that this observation can answer, in the catalogue's order.

    An observation saved by a run is judged by the checks that read its probe; any other recording by those
    that need nothing but the stream. Of another stream of such a server (`elsewhere`) only what holds for every event
    stream is judged. Raises `HarnessError` where a rule raises, and `KeyError` for an
    unknown protocol revision.
    """
    return judge_together({observation.probe: observation})


def judge_together(observations: Mapping[str, Observation]) -> tuple[Result, ...]:
    """The same for several observations of one target, by names of their own: each requirement by all that can answer.

    The names stand for probes in the results. All are of the first one's protocol revision, and judged under its
    profile. Raises `ValueError` where there is none, or one of another revision, and else as `judge_observation`.
    """
    if not observations:
        raise ValueError("there is nothing to judge")
    profile = next(iter(observations.values())).profile
    outcomes = {}
    for name, observation in observations.items():
        if observation.profile.protocol != profile.protocol:
            raise ValueError(f"{name}: of {observation.profile.protocol}, not of {profile.protocol}")
        case = Case(observation)
        case.judge_streams()
        outcomes[name] = Outcome(name, case)
    others = {name: other for name, observation in observations.items() if (other := elsewhere(observation))}
    by_requirement: dict[str, list[Check]] = {}
    for check in checks(profile.family):
        names = frozenset(name for name, seen in observations.items() if _answers(check, seen))
        if names:
            by_requirement.setdefault(check.requirement, []).append(replace(check, probes=names))
    results = []
    for requirement in catalogue(profile.protocol).requirements:
        found = by_requirement.get(requirement.id)
        if requirement.excluded or found is None:
            continue
        everywhere = requirement.id.startswith("SSE-")
        here = found if everywhere else [replace(each, probes=each.probes - others.keys()) for each in found]
        if any(each.probes for each in here):
            results.append(judge(requirement, here, outcomes.get, profile))
        else:
            level, reason = level_for(requirement, profile), next(iter(others.values()))
            results.append(Result(requirement, level, Verdict.NOT_APPLICABLE, reason=reason))
    return tuple(results)


def elsewhere(observation: Observation) -> str:
    """Why a recording is not of the revision's stream but of another one of such a server; "" where it is not that."""
    if observation.probe != RECORDED:
        return ""
    protocol = observation.profile.protocol
    for _, transcript in observation.transcripts:
        path = urlsplit(transcript.request.url).path
        if any(fnmatchcase(path, f"*{other}") for other in revisions()[protocol].elsewhere):
            return f"recorded from {path}, whose events have an envelope of their own: {protocol} does not describe it"
    return ""


def _answers(check: Check, observation: Observation) -> bool:
    return check.recorded if observation.probe == RECORDED else observation.probe in check.probes
