"""Runs as a page shows them: what needs attention first, the rest by area."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from conformance.evidence import evidence, sentence
from conformance.findings import Level, Verdict
from conformance.lens.result import Lens
from conformance.report.compare import Compared, Kind
from conformance.report.html_text import count
from conformance.report.lens_view import Eyes, eyes
from conformance.report.model import ATTENTION, ResultRow, RunResult

WORDS = {verdict: verdict.value for verdict in Verdict} | {Verdict.NOT_APPLICABLE: "n/a"}
LEVELS = {Level.MUST: "MUST", Level.SHOULD: "SHOULD", Level.INFO: "INFO"}
_FIRST = ATTENTION[:4]  # verdicts that somebody has to look at


@dataclass(frozen=True, slots=True)
class Part:
    """How many of one verdict."""

    name: str
    word: str
    count: int


@dataclass(frozen=True, slots=True)
class RowView:
    """A requirement in the page.

    `id` is its element and its deep link, `again` the command that judges it again, `evidence` what published
    runs showed of it ("" if nothing).
    """

    id: str
    row: ResultRow
    word: str
    level: str
    attention: bool
    again: str
    evidence: str


@dataclass(frozen=True, slots=True)
class AreaView:
    """A part of the catalogue: the rows that need no attention, and links to those that do."""

    title: str
    prefix: str
    rows: tuple[RowView, ...]
    parts: tuple[Part, ...]
    above: tuple[RowView, ...]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What became of a requirement since an older result; `id` is "" where it is in no run of the page."""

    id: str
    requirement: str
    kind: Kind
    statement: str
    old: Part | None
    new: Part | None


@dataclass(frozen=True, slots=True)
class ComparedView:
    """What changed of one target; `same` counts the requirements that did not."""

    protocol: str
    target: str
    since: str
    changes: tuple[ChangeView, ...]
    same: int


@dataclass(frozen=True, slots=True)
class RunView:
    """One target's section. `key` is its element: the protocol, with a number where several have the same."""

    key: str
    run: RunResult
    outcome: str
    worst: Verdict
    when: str
    parts: tuple[Part, ...]
    levels: tuple[tuple[str, tuple[Part, ...]], ...]
    attention: tuple[RowView, ...]
    areas: tuple[AreaView, ...]
    lens: Lens | None = None  # what clients saw of the same bytes

    @property
    def eyes(self) -> tuple[Eyes, ...]:
        """The clients of the lens."""
        return () if self.lens is None else eyes(self.lens)

    @property
    def total(self) -> int:
        """How many requirements have a verdict."""
        return len(self.run.rows)


def views(runs: Sequence[RunResult]) -> tuple[RunView, ...]:
    """One for each run, in the order given."""
    keys: list[str] = []
    for run in runs:
        same = sum(key.partition("~")[0] == run.protocol for key in keys)
        keys.append(f"{run.protocol}~{same + 1}" if same else run.protocol)
    return tuple(_view(run, key) for run, key in zip(runs, keys, strict=True))


def headline(shown: Sequence[RunView]) -> str:
    """The page in one sentence."""
    if len(shown) == 1:
        return shown[0].outcome
    failing = sum(view.worst is Verdict.FAIL for view in shown)
    if failing:
        return f"{failing} of {count(len(shown), 'target')} {'fails' if failing == 1 else 'fail'}"
    worst = min((view.worst for view in shown), key=ATTENTION.index, default=Verdict.PASS)
    if worst in _FIRST[1:3]:
        return f"No target fails, but {count(sum(view.worst in _FIRST[1:3] for view in shown), 'needs', 'need')} a look"
    return f"All {count(len(shown), 'target')} hold"


def changes(compared: Compared, shown: Sequence[RunView]) -> tuple[ComparedView, ...]:
    """One for each target that has an older result."""
    keys = {view.run.id: view.key for view in shown}
    return tuple(
        ComparedView(
            pair.new.protocol,
            pair.new.target,
            when(pair.old.started),
            tuple(
                ChangeView(
                    f"{keys[pair.new.id]}/{change.requirement}"
                    if change.new is not None and pair.new.id in keys
                    else "",
                    change.requirement,
                    change.kind,
                    change.row.statement,
                    _verdict(change.old),
                    _verdict(change.new),
                )
                for change in pair.changes
            ),
            pair.same,
        )
        for pair in compared.comparisons
    )


def _verdict(row: ResultRow | None) -> Part | None:
    return None if row is None else Part(row.verdict.value, WORDS[row.verdict], 1)


def _view(run: RunResult, key: str) -> RunView:
    rows = [_row(row, run, key) for row in run.rows]
    rank = {verdict: number for number, verdict in enumerate(ATTENTION)}
    attention = sorted(
        (row for row in rows if row.attention),
        key=lambda view: (rank[view.row.verdict], view.level != "MUST"),
    )
    return RunView(
        key,
        run,
        _outcome(run),
        min((row.verdict for row in run.rows), key=rank.__getitem__, default=Verdict.NOT_APPLICABLE),
        when(run.started),
        parts_of(view.row for view in rows),
        tuple(
            (LEVELS[level], parts_of(row.row for row in rows if row.row.level is level))
            for level in Level
            if any(row.row.level is level for row in rows)
        ),
        tuple(attention),
        tuple(_areas(rows)),
        next((row.lens for row in run.rows if row.lens is not None), None),
    )


def _row(row: ResultRow, run: RunResult, key: str) -> RowView:
    attention = row.verdict in _FIRST or row.red or row.flaky
    return RowView(
        f"{key}/{row.requirement}",
        row,
        WORDS[row.verdict],
        LEVELS[row.level],
        attention,
        _again(run, row),
        sentence(evidence(run.protocol).get(row.requirement)),
    )


def _again(run: RunResult, row: ResultRow) -> str:
    """A target without an address is the built-in server."""
    target = f" {shlex.quote(run.target)}" if run.target.startswith(("http://", "https://")) else ""
    protocol = f" --sse-protocol {shlex.quote(run.protocol)}"
    return (
        f"sse-conformance test{target}{protocol if target else ''} --sse-only {shlex.quote(row.requirement)}"
    )


def _areas(rows: Sequence[RowView]) -> Iterable[AreaView]:
    for (title, prefix), grouped in groupby(rows, key=lambda view: _area(view.row)):
        inside = tuple(grouped)
        rest = tuple(view for view in inside if not view.attention)
        above = tuple(view for view in inside if view.attention)
        yield AreaView(title, prefix, rest, parts_of(view.row for view in inside), above)


def _area(row: ResultRow) -> tuple[str, str]:
    prefix = row.requirement.rpartition("-")[0]
    return row.group or prefix, prefix


def parts_of(rows: Iterable[ResultRow]) -> tuple[Part, ...]:
    """How many of each verdict that was given, in the order of attention."""
    verdicts = [row.verdict for row in rows]
    return tuple(
        Part(verdict.value, WORDS[verdict], verdicts.count(verdict))
        for verdict in ATTENTION
        if verdict in verdicts
    )


def _outcome(run: RunResult) -> str:
    counts = run.counts
    fails, warns = counts[Verdict.FAIL], counts[Verdict.WARN]
    unknown = run.counts_by_level[Level.MUST][Verdict.INCONCLUSIVE]
    if fails:
        said = f"{count(fails, 'requirement')} {'fails' if fails == 1 else 'fail'}"
    elif unknown:
        said = f"Nothing failed, but {count(unknown, 'requirement')} could not be judged"
    elif run.stale:
        said = "Nothing failed, but the baseline is out of date"
    elif warns:
        said = f"Every MUST holds, with {count(warns, 'warning')}"
    elif counts[Verdict.PASS]:
        said = "Everything that was judged holds"
    else:
        said = "Nothing was judged"
    return said if not run.hidden else f"{said}; the baseline hides {count(run.hidden, 'failure')}"


def when(started: str) -> str:
    """A wall clock time as people read it; as it is where it is none."""
    try:
        return f"{datetime.fromisoformat(started):%d %b %Y, %H:%M %Z}".strip().lstrip("0")
    except ValueError:
        return started
