"""What became of a target between two results: fixed, broken, changed, flaky."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from conformance.findings import Verdict
from conformance.report.model import ResultRow, RunResult

VIOLATED = (Verdict.FAIL, Verdict.EXPECTED, Verdict.WARN)
HOLDS = (Verdict.PASS, Verdict.NOTE)


class Kind(StrEnum):
    """What became of a requirement, in the order in which a reader wants to know."""

    BROKEN = "broken"  # violated now, and was not before (a SHOULD, too)
    FLAKY = "flaky"  # the new runs do not agree with each other
    FIXED = "fixed"  # holds now, and was violated before
    CHANGED = "changed"  # another verdict: not judged any more, judged at last, in or out of the baseline …
    NEW = "new"  # was not in the old result
    REMOVED = "removed"  # is not in the new one


@dataclass(frozen=True, slots=True)
class Change:
    """One requirement whose verdict is another than before. `old` is None for a new one, `new` for a removed one."""

    requirement: str
    kind: Kind
    old: ResultRow | None
    new: ResultRow | None

    @property
    def row(self) -> ResultRow:
        """The newest row there is."""
        row = self.new or self.old
        assert row is not None  # one of the two is always there
        return row


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results of the same target. `changes` are by kind, then in the catalogue's order; `same` counts the rest."""

    old: RunResult
    new: RunResult
    changes: tuple[Change, ...]
    same: int

    @property
    def counts(self) -> dict[Kind, int]:
        """How many changes of each kind; every kind is a key."""
        counted = Counter(change.kind for change in self.changes)
        return {kind: counted[kind] for kind in Kind}

    def summary_line(self) -> str:
        """One line: what changed."""
        counts = self.counts
        parts = [
            f"{counts[kind]} {kind.value}" for kind in (Kind.FIXED, Kind.BROKEN, Kind.CHANGED, Kind.FLAKY)
        ]
        parts += [f"{counts[kind]} {kind.value}" for kind in (Kind.NEW, Kind.REMOVED) if counts[kind]]
        return " · ".join([*parts, f"{self.same} the same", self.new.protocol, self.new.target])


@dataclass(frozen=True, slots=True)
class Compared:
    """Old and new results side by side; `alone` are results that have no counterpart on the other side."""

    comparisons: tuple[Comparison, ...]
    alone_old: tuple[RunResult, ...] = ()
    alone_new: tuple[RunResult, ...] = ()


def compare(old: RunResult, new: RunResult) -> Comparison:
    """What became of each requirement."""
    before = {row.requirement: row for row in old.rows}
    after = {row.requirement: row for row in new.rows}
    order = list(Kind)
    changes: list[Change] = []
    for name in dict.fromkeys((*after, *before)):
        kind = _kind(before.get(name), after.get(name))
        if kind is not None:
            changes.append(Change(name, kind, before.get(name), after.get(name)))
    same = len(before.keys() & after.keys()) - sum(
        change.kind not in (Kind.NEW, Kind.REMOVED) for change in changes
    )
    return Comparison(old, new, tuple(sorted(changes, key=lambda change: order.index(change.kind))), same)


def compare_all(old: Sequence[RunResult], new: Sequence[RunResult]) -> Compared:
    """Find the pairs: by protocol, target and name; what is left, by protocol where that leaves no choice."""
    left, right = list(old), list(new)
    pairs: list[tuple[RunResult, RunResult]] = []
    for key in (_exactly, _by_name, _by_protocol):
        for mine in list(right):
            same_old = [run for run in left if key(run) == key(mine)]
            same_new = [run for run in right if key(run) == key(mine)]
            if len(same_old) == len(same_new) == 1:
                pairs.append((same_old[0], mine))
                left.remove(same_old[0])
                right.remove(mine)
    order = {id(run): number for number, run in enumerate(new)}
    pairs.sort(key=lambda pair: order[id(pair[1])])
    return Compared(tuple(compare(*pair) for pair in pairs), tuple(left), tuple(right))


def _exactly(run: RunResult) -> tuple[str, ...]:
    return (run.protocol, run.target, run.name)


def _by_name(run: RunResult) -> tuple[str, ...]:
    return (run.protocol, run.name)


def _by_protocol(run: RunResult) -> tuple[str, ...]:
    return (run.protocol,)


def _kind(old: ResultRow | None, new: ResultRow | None) -> Kind | None:
    if old is None:
        return Kind.NEW
    if new is None:
        return Kind.REMOVED
    if new.flaky:
        return Kind.FLAKY
    if new.verdict is old.verdict:
        return None
    if new.verdict in VIOLATED and old.verdict not in VIOLATED:
        return Kind.BROKEN
    if new.verdict in HOLDS and old.verdict in VIOLATED:
        return Kind.FIXED
    return Kind.CHANGED


__all__ = ["Change", "Compared", "Comparison", "Kind", "compare", "compare_all"]
