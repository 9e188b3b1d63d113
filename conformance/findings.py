"""The words of judgement: findings, judgements, verdicts, results. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How binding a requirement is: must, should, or reported only."""

    MUST = "M"
    SHOULD = "S"
    INFO = "I"


class Verdict(StrEnum):
    """What is said of one requirement on one target."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"  # a SHOULD is not met
    NOTE = "note"  # level I
    NOT_APPLICABLE = "not-applicable"
    INCONCLUSIVE = "inconclusive"
    EXPECTED = "expected"  # a failure that the baseline names


@dataclass(frozen=True, slots=True)
class Finding:
    """A violated requirement with its evidence.

    `role` names the transcript; `event` is the number of the event in it (from 0), `span` the byte span
    [start, end) in its content-decoded body, where there is one. `expected` and `observed` are each one
    short text that makes sense alone.
    """

    title: str
    expected: str
    observed: str
    role: str = ""
    event: int | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one check says of one observation.

    `judged` counts the things that were looked at and could have been wrong: 0 with no finding means
    that the condition did not arise, which is never a pass. `notes` are facts for the report (the whole
    answer of a level-I row). `inconclusive` and `not_applicable` give the reason, "" if neither.
    """

    findings: tuple[Finding, ...] = ()
    judged: int = 0
    notes: tuple[str, ...] = ()
    inconclusive: str = ""
    not_applicable: str = ""
