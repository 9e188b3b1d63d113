"""Verdicts from one observation, without a target: what `sse-conformance check` and other programs call."""

from __future__ import annotations

from dataclasses import replace

import conformance.rules  # noqa: F401  (importing the package registers the rules)
from conformance.catalogue import catalogue
from conformance.judge import Outcome, Result, judge
from conformance.rules.base import Case, Check, checks
from conformance.transcript import Observation

RECORDED = "recorded"  # the probe name of a recording that no probe of ours made


def judge_observation(observation: Observation) -> tuple[Result, ...]:
    """One result for every requirement that this observation can answer, in the catalogue's order.

    An observation saved by a run is judged by the checks that read its probe; any other recording by those
    that need nothing but the stream. Raises `HarnessError` where a rule raises, and `KeyError` for an
    unknown protocol revision.
    """
    profile = observation.profile
    case = Case(observation)
    case.judge_streams()
    outcome = Outcome(observation.probe, case)
    results = []
    by_requirement: dict[str, list[Check]] = {}
    for check in checks(profile.family):
        answers = check.recorded if observation.probe == RECORDED else observation.probe in check.probes
        if answers:
            alone = replace(check, probes=frozenset({observation.probe}))
            by_requirement.setdefault(check.requirement, []).append(alone)
    for requirement in catalogue(profile.protocol).requirements:
        if not requirement.excluded and (found := by_requirement.get(requirement.id)):
            results.append(judge(requirement, found, lambda name: outcome, profile))
    return tuple(results)
