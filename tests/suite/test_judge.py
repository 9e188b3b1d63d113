"""How findings, judgements and outcomes become a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from conformance.catalogue import Requirement
from conformance.findings import Finding, Judgement, Level, Verdict
from conformance.judge import HarnessError, Outcome, Result, judge
from conformance.profile import Capabilities, Profile
from conformance.rules.base import Case, Check
from conformance.transcript import Observation

PROFILE = Profile("penguin/2", "http://127.0.0.1:9")
FOUND = Judgement(findings=(Finding("wrong", "a", "b"),), judged=1)
HELD = Judgement(judged=3)
NOTHING = Judgement()


def row(level: Level = Level.MUST, capability: str = "") -> Requirement:
    return Requirement("XX-01", level, "it holds", "practice", "by looking", capability)


def seen(probe: str, incomplete: str = "") -> Outcome:
    return Outcome(probe, Case(Observation(probe, PROFILE, incomplete=incomplete)))


def check(judgement: Judgement | Callable[[Case], Judgement], *probes: str, every: bool = True) -> Check:
    rule = judgement if callable(judgement) else lambda case: judgement
    return Check("XX-01", frozenset(probes), rule, frozenset({"penguin"}), recorded=False, every=every)


def verdict(
    *checks: Check, level: Level = Level.MUST, profile: Profile = PROFILE, outcomes: tuple[Outcome, ...] = ()
) -> Result:
    known = {outcome.probe: outcome for outcome in outcomes or (seen("p"),)}
    return judge(row(level), checks, known.get, profile)


@pytest.mark.parametrize(
    ("judgement", "level", "expected"),
    [
        (FOUND, Level.MUST, Verdict.FAIL),
        (FOUND, Level.SHOULD, Verdict.WARN),
        (FOUND, Level.INFO, Verdict.NOTE),
        (HELD, Level.MUST, Verdict.PASS),
        (HELD, Level.SHOULD, Verdict.PASS),
        (HELD, Level.INFO, Verdict.NOTE),
        (NOTHING, Level.MUST, Verdict.NOT_APPLICABLE),
        (Judgement(inconclusive="why"), Level.MUST, Verdict.INCONCLUSIVE),
        (Judgement(not_applicable="why"), Level.MUST, Verdict.NOT_APPLICABLE),
    ],
)
def test_one_judgement(judgement: Judgement, level: Level, expected: Verdict) -> None:
    assert verdict(check(judgement, "p"), level=level).verdict is expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [(Level.MUST, Verdict.FAIL), (Level.SHOULD, Verdict.FAIL), (Level.INFO, Verdict.NOTE)],
)
def test_strict_turns_warnings_into_failures_never_notes(level: Level, expected: Verdict) -> None:
    assert verdict(check(FOUND, "p"), level=level, profile=replace(PROFILE, strict=True)).verdict is expected


def test_a_finding_outweighs_an_open_question() -> None:
    checks = check(FOUND, "p"), check(Judgement(inconclusive="why"), "p")
    assert verdict(*checks).verdict is Verdict.FAIL


def test_an_open_question_outweighs_what_held() -> None:
    result = verdict(check(HELD, "p"), check(Judgement(inconclusive="why"), "p"))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "why" in result.reason


def test_a_generic_row_passes_on_what_could_be_judged_and_says_what_could_not() -> None:
    outcomes = seen("p"), Outcome("q", inconclusive="refused")
    result = verdict(check(lambda case: HELD, "p", "q", every=False), outcomes=outcomes)
    assert result.verdict is Verdict.PASS
    assert any("refused" in note for note in result.notes)


def test_a_generic_row_without_anything_judged_stays_open() -> None:
    result = verdict(check(HELD, "q", every=False), outcomes=(Outcome("q", inconclusive="refused"),))
    assert result.verdict is Verdict.INCONCLUSIVE


def test_an_incomplete_observation_is_judged_but_never_green() -> None:
    assert verdict(check(HELD, "p"), outcomes=(seen("p", "no answer"),)).verdict is Verdict.INCONCLUSIVE
    assert verdict(check(FOUND, "p"), outcomes=(seen("p", "no answer"),)).verdict is Verdict.FAIL


def test_probes_that_the_protocol_does_not_have_are_passed_over() -> None:
    assert verdict(check(HELD, "p", "elsewhere")).verdict is Verdict.PASS


def test_an_undeclared_capability_is_not_judged_at_all() -> None:
    def never(case: Case) -> Judgement:
        raise AssertionError

    profile = replace(PROFILE, capabilities=Capabilities(resume=False))
    result = judge(row(capability="resume"), [check(never, "p")], lambda name: seen(name), profile)
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert "resume" in result.reason


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ((seen("p"),), "its condition did not arise (there are ids)"),
        ((Outcome("p", not_applicable="no tools"),), "no tools"),
        (
            (seen("p"), Outcome("q", not_applicable="no tools")),
            "its condition did not arise (there are ids); not tried: no tools",
        ),
    ],
)
def test_why_nothing_was_judged(outcomes: tuple[Outcome, ...], reason: str) -> None:
    known = {outcome.probe: outcome for outcome in outcomes}
    asked = replace(row(), condition="there are ids")
    result = judge(asked, [check(NOTHING, "p", "q")], known.get, PROFILE)
    assert (result.verdict, result.reason) == (Verdict.NOT_APPLICABLE, reason)


def test_a_row_without_a_condition_says_that_nothing_came() -> None:
    assert verdict(check(NOTHING, "p")).reason == "nothing came that it is judged by"


def test_a_rule_that_raises_is_the_harness_own_fault() -> None:
    def broken(case: Case) -> Judgement:
        raise KeyError("x")

    with pytest.raises(HarnessError, match=r"XX-01 .* 'p': KeyError"):
        verdict(check(broken, "p"))
