"""Several runs of the same target become one result, in which every verdict of every run is counted."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from conformance.catalogue import SchemaError, catalogue
from conformance.findings import Verdict
from conformance.report.model import ATTENTION, FoundFinding, ResultRow, RunResult

_BASELINE = ("expired", "stale", "expected", "")  # the one to show first


def merge(runs: Iterable[RunResult]) -> tuple[RunResult, ...]:
    """One result for each target, in the order of their first runs.

    Runs belong together where protocol, target, profile, suite version and everything declared are the same: then a
    difference between them is the target's doing. The same run given twice (by its id) counts once.
    """
    return _grouped(runs, lambda run: run.target)


def merge_implementations(runs: Iterable[RunResult]) -> tuple[RunResult, ...]:
    """The same, but where the profile says which program it was, that counts instead of the address it had."""
    return _grouped(runs, lambda run: run.implementation if run.implementation.name else run.target)


def _grouped(runs: Iterable[RunResult], who: Callable[[RunResult], Hashable]) -> tuple[RunResult, ...]:
    groups: dict[Hashable, dict[str, RunResult]] = {}
    for run in runs:
        key = (run.protocol, who(run), run.name, run.suite, run.declared)
        groups.setdefault(key, {}).setdefault(run.id, run)
    return tuple(_merged(tuple(group.values())) for group in groups.values())


def _merged(runs: Sequence[RunResult]) -> RunResult:
    if len(runs) == 1:
        return runs[0]
    first = min(runs, key=lambda run: run.started)
    rows: dict[str, list[ResultRow]] = {}
    for run in runs:
        for row in run.rows:
            rows.setdefault(row.requirement, []).append(row)
    statuses = [run.exit_status for run in runs if run.exit_status is not None]
    return replace(
        first,
        rows=tuple(_row(rows[name]) for name in _in_order(first.protocol, rows)),
        seconds=sum(run.seconds for run in runs),
        duration=sum(run.duration for run in runs),
        testable=max(run.testable for run in runs),
        exit_status=max(statuses, default=None),
        gave_up="; ".join(dict.fromkeys(run.gave_up for run in runs if run.gave_up)),
        runs=sum(run.runs for run in runs),
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, "+".join(sorted(run.id for run in runs)))),
    )


def _row(rows: Sequence[ResultRow]) -> ResultRow:
    tally: Counter[Verdict] = Counter()
    for row in rows:
        tally.update(dict(row.tally) if row.tally else {row.verdict: 1})
    # The verdict that needs most attention is shown, with what was found wherever it was given.
    shown = min((row for row in rows), key=lambda row: ATTENTION.index(row.verdict))
    found: dict[tuple[str, str, str], FoundFinding] = {}
    for row in sorted(rows, key=lambda row: ATTENTION.index(row.verdict)):
        for finding in row.findings:
            found.setdefault((finding.probe, finding.role, finding.title), finding)
    return replace(
        shown,
        findings=tuple(found.values()),
        notes=tuple(dict.fromkeys(note for row in rows for note in row.notes)),
        judged=sum(row.judged for row in rows),
        probes=tuple(dict.fromkeys(probe for row in rows for probe in row.probes)),
        seconds=round(sum(row.seconds for row in rows), 3),
        baseline=min((row.baseline for row in rows), key=_BASELINE.index),
        red=any(row.red for row in rows),
        lens=next((row.lens for row in rows if row.lens is not None), None),
        tally=tuple((verdict, tally[verdict]) for verdict in ATTENTION if tally[verdict]),
    )


def _in_order(protocol: str, names: Iterable[str]) -> list[str]:
    """In the catalogue's order; what this version's catalogue does not have comes last."""
    try:
        known = {row.id: number for number, row in enumerate(catalogue(protocol).requirements)}
    except SchemaError:
        known = {}
    return sorted(names, key=lambda name: known.get(name, len(known)))


__all__ = ["merge", "merge_implementations"]
