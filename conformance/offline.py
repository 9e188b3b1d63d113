"""Verdicts from one observation, without a target: what `sse-conformance check` and other programs call."""

from __future__ import annotations

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
    profile = observation.profile
    case = Case(observation)
    case.judge_streams()
    outcome = Outcome(observation.probe, case)
    results = []
    other = elsewhere(observation)
    by_requirement: dict[str, list[Check]] = {}
    for check in checks(profile.family):
        answers = check.recorded if observation.probe == RECORDED else observation.probe in check.probes
        if answers:
            alone = replace(check, probes=frozenset({observation.probe}))
            by_requirement.setdefault(check.requirement, []).append(alone)
    for requirement in catalogue(profile.protocol).requirements:
        if requirement.excluded or (found := by_requirement.get(requirement.id)) is None:
            continue
        if other and not requirement.id.startswith("SSE-"):
            level = level_for(requirement, profile)
            results.append(Result(requirement, level, Verdict.NOT_APPLICABLE, reason=other))
        else:
            results.append(judge(requirement, found, lambda name: outcome, profile))
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
