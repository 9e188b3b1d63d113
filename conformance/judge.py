"""From observations to verdicts: every check of a requirement over every observation that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from conformance.catalogue import Requirement, has_capability, level_for
from conformance.findings import Finding, Judgement, Level, Verdict
from conformance.profile import Profile
from conformance.rules.base import Case, Check
from conformance.turns import TURN_PROBES


class HarnessError(Exception):
    """A fault of the harness itself, never of the target. The cause is chained."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one probe: a case to judge, or the reason why there is none.

    `seconds` is what the probe took.
    """

    probe: str
    case: Case | None = None
    not_applicable: str = ""
    inconclusive: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding with the name of the probe whose observation it was found in."""

    probe: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Result:
    """What is said of one requirement on one target.

    `level` is the level in force for this target. `judged` counts what was looked at. `reason` explains a
    verdict without evidence. `seconds` covers the probes that this requirement was the first to need.
    """

    requirement: Requirement
    level: Level
    verdict: Verdict
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    judged: int = 0
    probes: tuple[str, ...] = ()
    seconds: float = 0.0


def judge(
    requirement: Requirement,
    checks: Iterable[Check],
    outcome: Callable[[str], Outcome | None],
    profile: Profile,
) -> Result:
    """The verdict on one requirement.

    `outcome` gives what became of a probe (running it first, if need be), None for a probe that the
    target's protocol does not have. Raises `HarnessError` where a rule raises.
    """
    level = level_for(requirement, profile)
    if requirement.capability and not has_capability(profile, requirement.capability):
        reason = f"the profile does not declare {requirement.capability}"
        return Result(requirement, level, Verdict.NOT_APPLICABLE, reason=reason)

    tally = _Tally()
    for check in checks:
        for name in sorted(check.probes, key=_simplest_first):
            probed = outcome(name)
            if probed is not None:
                tally.add(check, probed, _apply(check, probed))
    verdict, reason = tally.verdict(level, requirement.condition, strict=profile.strict)
    return Result(
        requirement,
        level,
        verdict,
        evidence=tuple(tally.evidence),
        reason=reason,
        notes=tuple(dict.fromkeys(tally.notes)),
        judged=tally.judged,
        probes=tuple(dict.fromkeys(tally.probes)),
    )


def _simplest_first(probe: str) -> tuple[int, str]:
    """The scripted turns in the order of their table, then the rest: the first finding shows the least."""
    return (TURN_PROBES.index(probe) if probe in TURN_PROBES else len(TURN_PROBES), probe)


def _apply(check: Check, probed: Outcome) -> Judgement:
    if probed.case is None:
        return Judgement(inconclusive=probed.inconclusive, not_applicable=probed.not_applicable)
    try:
        return check.judge(probed.case)
    except Exception as error:
        raise HarnessError(
            f"the rule of {check.requirement} failed on the observation of probe {probed.probe!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


class _Tally:
    """What all checks of one requirement said together."""

    def __init__(self) -> None:
        self.evidence: list[Evidence] = []
        self.notes: list[str] = []
        self.probes: list[str] = []
        self.judged = 0
        self._blocking: list[str] = []  # reasons for which the whole requirement stays open
        self._partial: list[str] = []  # reasons for which one of many streams could not be judged
        self._not_applicable: list[str] = []  # said by a check that looked
        self._excuses: list[str] = []  # said of probes that did not run

    def add(self, check: Check, probed: Outcome, judgement: Judgement) -> None:
        if probed.case is not None:
            self.probes.append(probed.probe)
        self.evidence.extend(Evidence(probed.probe, finding) for finding in judgement.findings)
        self.notes.extend(judgement.notes)
        self.judged += judgement.judged
        if judgement.not_applicable:
            looked = probed.case is not None
            (self._not_applicable if looked else self._excuses).append(judgement.not_applicable)
        incomplete = "" if probed.case is None else probed.case.observation.incomplete
        reason = judgement.inconclusive or incomplete
        if reason:
            (self._blocking if check.every else self._partial).append(f"{probed.probe}: {reason}")

    def verdict(self, level: Level, condition: str, *, strict: bool) -> tuple[Verdict, str]:
        if self.evidence:
            if level is Level.INFO:
                return Verdict.NOTE, ""
            failed = level is Level.MUST or strict
            return (Verdict.FAIL if failed else Verdict.WARN), ""
        if self._blocking or (self._partial and not self.judged):
            reasons = dict.fromkeys(self._blocking or self._partial)
            return Verdict.INCONCLUSIVE, "; ".join(reasons)
        if self.judged:
            self.notes.extend(f"not judged: {reason}" for reason in dict.fromkeys(self._partial))
            return (Verdict.NOTE if level is Level.INFO else Verdict.PASS), ""
        return Verdict.NOT_APPLICABLE, self._why_nothing_was_judged(condition)

    def _why_nothing_was_judged(self, condition: str) -> str:
        if self._not_applicable:
            return "; ".join(dict.fromkeys(self._not_applicable))
        not_tried = "; ".join(dict.fromkeys(self._excuses))
        if not self.probes and not_tried:
            return not_tried
        # What was not tried is no reason where something was: it says what else might have shown it.
        came = (
            f"its condition did not arise ({condition})" if condition else "nothing came that it is judged by"
        )
        return f"{came}; not tried: {not_tried}" if not_tried else came
