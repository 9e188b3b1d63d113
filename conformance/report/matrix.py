"""Requirements × implementations, from results: what the matrix shows, whatever the format.

Implementations of one protocol stand side by side, those of the same revision next to each other. A cell holds
the row of that implementation's result: nothing is judged here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from conformance.catalogue import SchemaError, catalogue
from conformance.findings import Level, Verdict
from conformance.report.model import ATTENTION, ResultRow, RunResult

_UNSAID = (Verdict.NOT_APPLICABLE,)  # says nothing of the implementation: it differs from no other verdict
_LEVELS = tuple(Level)
_MOST_WORDS = 3  # notes of one row that are told
# What `pages.with_pages` makes: no scheme, no host. A result may come from a stranger.
_ADDRESS = re.compile(r"(?!//)[\w.~/%#-]+", re.ASCII)


def address(row: ResultRow) -> str:
    """Where a report shows the row, "" if that is not known or no address of ours."""
    return row.page if _ADDRESS.fullmatch(row.page) else ""


@dataclass(frozen=True, slots=True)
class Column:
    """One implementation of one revision. `key` names the implementation in addresses, `label` in words.

    An implementation that speaks several revisions, or was judged under several profiles, has a column for each.
    `profile` names the profile, or else the address, where the label alone would not tell the columns of a revision
    apart.
    """

    key: str
    label: str
    run: RunResult
    profile: str = ""

    @property
    def page(self) -> str:
        """Where its report begins, "" if that is not known."""
        known = (address(row) for row in self.run.rows)
        return next((page.rpartition("/")[0] for page in known if page), "")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one implementation's result says of a requirement.

    `row` is None where it says nothing; then `listed` tells whether the revision has the requirement at all.
    """

    column: Column
    row: ResultRow | None
    listed: bool

    @property
    def page(self) -> str:
        """Where that implementation's report shows it, "" if that is not known."""
        return "" if self.row is None else address(self.row)

    @property
    def words(self) -> tuple[str, ...]:
        """Why it says so: the first finding, the reason, or what was noted; () where there is nothing to tell."""
        if self.row is None:
            return ()
        if self.row.findings:
            return (self.row.findings[0].title,)
        return (self.row.reason,) if self.row.reason else self.row.notes[:_MOST_WORDS]


@dataclass(frozen=True, slots=True)
class Said:
    """What several implementations' results say in the same words."""

    verdict: Verdict
    columns: tuple[Column, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A requirement. `level` is the strictest that it has in one of the results."""

    requirement: str
    level: Level
    statement: str
    cells: tuple[Cell, ...]

    @property
    def differs(self) -> bool:
        """Whether the implementations differ, or one of them does between its runs."""
        rows = [cell.row for cell in self.cells if cell.row is not None]
        return len({row.verdict for row in rows} - {*_UNSAID}) > 1 or any(row.flaky for row in rows)

    @property
    def said(self) -> tuple[Said, ...]:
        """Why, in the order of attention: what the results say beside their verdicts."""
        found: dict[tuple[Verdict, tuple[str, ...]], list[Column]] = {}
        for cell in self.cells:
            if cell.row is not None and cell.words:
                found.setdefault((cell.row.verdict, cell.words), []).append(cell.column)
        told = (Said(verdict, tuple(columns), words) for (verdict, words), columns in found.items())
        return tuple(sorted(told, key=lambda said: ATTENTION.index(said.verdict)))


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the catalogue."""

    title: str
    prefix: str
    rows: tuple[MatrixRow, ...]


@dataclass(frozen=True, slots=True)
class Revision:
    """A protocol revision with the implementations of it that there are results of."""

    protocol: str
    title: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """A protocol: its revisions side by side, and every requirement that one of them has."""

    name: str
    revisions: tuple[Revision, ...]
    areas: tuple[Area, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every implementation, in the order of the columns."""
        return tuple(column for revision in self.revisions for column in revision.columns)

    @property
    def rows(self) -> tuple[MatrixRow, ...]:
        """Every requirement."""
        return tuple(row for area in self.areas for row in area.rows)

    @property
    def totals(self) -> tuple[tuple[Verdict, tuple[int, ...]], ...]:
        """How often each verdict was given, by column; verdicts that nobody got are left out."""
        counts = [column.run.counts for column in self.columns]
        return tuple(
            (verdict, tuple(count[verdict] for count in counts))
            for verdict in ATTENTION
            if any(count[verdict] for count in counts)
        )


def families(runs: Sequence[RunResult]) -> tuple[Family, ...]:
    """The matrix of each protocol, in the order in which the results are given; the newest revision comes first."""
    by_label = keys(run.label for run in runs)
    columns = [Column(by_label[run.label], run.label, run, _apart(run, runs)) for run in runs]
    names = dict.fromkeys(_family(run.protocol) for run in runs)
    return tuple(
        _of(name, [column for column in columns if _family(column.run.protocol) == name]) for name in names
    )


def _apart(run: RunResult, runs: Sequence[RunResult]) -> str:
    """What tells this result from others of its revision that are called the same; "" where there are none."""
    alike = [other for other in runs if (other.protocol, other.label) == (run.protocol, run.label)]
    if len(alike) == 1:
        return ""
    return run.name if len({other.name for other in alike}) == len(alike) else run.target


def _of(name: str, columns: Sequence[Column]) -> Family:
    # Sorting is stable, also in reverse: within a revision they stay as they were given.
    by_protocol = sorted(columns, key=lambda column: _number(column.run.protocol), reverse=True)
    revisions = []
    for protocol, grouped in groupby(by_protocol, key=lambda column: column.run.protocol):
        inside = tuple(grouped)
        revisions.append(Revision(protocol, inside[0].run.title, inside))
    rows = _rows(by_protocol)
    areas = tuple(
        Area(title, prefix, tuple(row for row, _ in grouped))
        for (title, prefix), grouped in groupby(rows, key=lambda pair: pair[1])
    )
    return Family(name, tuple(revisions), areas)


def _rows(columns: Sequence[Column]) -> list[tuple[MatrixRow, tuple[str, str]]]:
    """Each requirement with the area that it belongs to, in the catalogues' order."""
    results = [(column, {row.requirement: row for row in column.run.rows}) for column in columns]
    listed = {column.run.protocol: _listed(column.run.protocol) for column in columns}
    made = []
    for name in _order([*listed[column.run.protocol], *by_name] for column, by_name in results):
        cells = tuple(
            Cell(column, by_name.get(name), name in by_name or name in listed[column.run.protocol])
            for column, by_name in results
        )
        found = [cell.row for cell in cells if cell.row is not None]
        if not found:
            continue  # of a catalogue, and in no result
        level = min((row.level for row in found), key=_LEVELS.index)
        newest, prefix = found[0], name.rpartition("-")[0]
        made.append((MatrixRow(name, level, newest.statement, cells), (newest.group or prefix, prefix)))
    return made


def _order(lists: Iterable[Iterable[str]]) -> list[str]:
    """One order out of several that mostly agree; the first one counts most."""
    order: list[str] = []
    for names in lists:
        after = 0
        for name in names:
            if name in order:
                after = order.index(name) + 1
            else:
                order.insert(after, name)
                after += 1
    return order


def _listed(protocol: str) -> tuple[str, ...]:
    """What the revision's catalogue has that can be tested; () for a revision that is not ours."""
    try:
        return tuple(row.id for row in catalogue(protocol).requirements if not row.excluded)
    except SchemaError:
        return ()


def _family(protocol: str) -> str:
    return protocol.partition("/")[0]


def _number(protocol: str) -> tuple[int, str]:
    number = protocol.partition("/")[2]
    return (int(number) if number.isdecimal() else 0, number)


def keys(labels: Iterable[str]) -> dict[str, str]:
    """A key for each label, fit for an address; where two look alike, "penguin-ai-0.9.3~2" for the second."""
    made: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for label in dict.fromkeys(labels):
        slug = re.sub(r"[^\w.]+", "-", label, flags=re.ASCII).strip("-")[:60] or "unnamed"
        taken[slug] += 1
        made[label] = slug if taken[slug] == 1 else f"{slug}~{taken[slug]}"
    return made


__all__ = ["Area", "Cell", "Column", "Family", "MatrixRow", "Revision", "Said", "families", "keys"]
