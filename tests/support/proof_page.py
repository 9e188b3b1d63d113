"""The kill matrix as one HTML page: what breaks what, by whom it was caught, and what the suite said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import __version__
from conformance.catalogue import catalogue, protocols
from conformance.report.html_page import page
from reference_server.faults.catalogue import Entry
from tests.support.proof_cells import Cell, Row, trouble_of

if TYPE_CHECKING:
    from tests.support.proof_document import Numbers

SHOWN = 120  # characters of what was observed


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of the fault's requirement in some revisions, in the same words."""

    revisions: tuple[str, ...]
    verdict: str
    title: str
    observed: str


@dataclass(frozen=True, slots=True)
class Others:
    """Other requirements that turned, in some revisions: (id, verdict)."""

    revisions: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EntryView:
    """A fault or variant on the page. `marks` has each revision of all: (revision, verdict or "", runs in words)."""

    entry: Entry
    marks: tuple[tuple[str, str, str], ...]
    good: bool
    said: tuple[Said, ...]
    follows: tuple[Others, ...]
    unforeseen: tuple[Others, ...]
    trouble: tuple[tuple[str, str], ...]  # revision, what is or was not as the catalogue says
    whole: bool

    @property
    def revisions(self) -> str:
        """Those that it was judged in, for the page's filter."""
        return " ".join(revision for revision, verdict, _ in self.marks if verdict)


@dataclass(frozen=True, slots=True)
class Group:
    """Requirements that belong together, with the entries that break them."""

    name: str
    title: str
    entries: tuple[EntryView, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A requirement, and in each revision the faults that make it fail (None: it does not hold there)."""

    id: str
    statement: str
    faults: tuple[tuple[str, ...] | None, ...]


def render(cells: Sequence[Cell], numbers: Numbers, notes: Sequence[str]) -> str:
    """The page."""
    faults = _views(made for made in cells if made.entry.kind == "fault")
    return page(
        "proof.html",
        styles=("tools.css", "proof.css"),
        scripts=("proof.js",),
        numbers=numbers,
        notes=notes,
        revisions=protocols(),
        groups=_groups(faults),
        variants=_views(made for made in cells if made.entry.kind == "variant"),
        requirements=_requirements(cells),
        version=__version__,
    )


def _views(cells: Iterable[Cell]) -> list[EntryView]:
    by_entry: dict[str, list[Cell]] = {}
    for made in cells:
        by_entry.setdefault(made.entry.name, []).append(made)
    return [_view(group) for group in by_entry.values()]


def _view(cells: Sequence[Cell]) -> EntryView:
    here = {made.revision: made for made in cells}
    return EntryView(
        cells[0].entry,
        marks=tuple((revision, *_mark(here.get(revision))) for revision in protocols()),
        good=all(made.clean and made.good == made.runs for made in cells),
        said=_said(cells),
        follows=_others((made.revision, made.foreseen.items()) for made in cells),
        unforeseen=_others((made.revision, made.unforeseen.items()) for made in cells),
        trouble=tuple(
            (made.revision, trouble_of(made) or f"{made.good} of {made.runs} runs; before: {made.before}")
            for made in cells
            if not made.clean or made.good < made.runs
        ),
        whole=all(made.run.whole for made in cells),
    )


def _mark(made: Cell | None) -> tuple[str, str]:
    """A verdict's name for the mark, and how many runs said so where there were several."""
    if made is None:
        return "", ""
    runs = f"{made.good} of {made.runs}" if made.good < made.runs else ""
    if made.entry.kind == "variant":
        return "pass" if made.ok else "fail", runs
    if made.row is None or made.run.trouble:
        return "inconclusive", runs
    return made.row.verdict, runs


def _said(cells: Sequence[Cell]) -> tuple[Said, ...]:
    same: dict[tuple[str, str], list[Cell]] = {}
    for made in cells:
        if made.row is not None:
            same.setdefault((made.row.verdict, made.row.title), []).append(made)
    return tuple(
        Said(tuple(made.revision for made in group), verdict, title, _cut(_row(group[0]).said))
        for (verdict, title), group in same.items()
    )


def _row(made: Cell) -> Row:
    assert made.row is not None
    return made.row


def _others(found: Iterable[tuple[str, Iterable[tuple[str, Row]]]]) -> tuple[Others, ...]:
    same: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for revision, rows in found:
        key = tuple((name, row.verdict) for name, row in rows)
        if key:
            same.setdefault(key, []).append(revision)
    return tuple(Others(tuple(revisions), rows) for rows, revisions in same.items())


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def _groups(views: Sequence[EntryView]) -> list[Group]:
    titles = {
        row.id: (row.id.rpartition("-")[0], row.group)
        for at in protocols()
        for row in catalogue(at).requirements
    }
    made: dict[tuple[str, str], list[EntryView]] = {}
    for name in titles:  # in the order of the catalogues
        made.setdefault(titles[name], [])
    for view in views:
        made[titles[view.entry.breaks]].append(view)
    return [Group(name, title, tuple(found)) for (name, title), found in made.items() if found]


def _requirements(cells: Sequence[Cell]) -> list[Shown]:
    caught: dict[tuple[str, str], list[str]] = {}
    for made in cells:
        if made.entry.kind == "fault" and made.ok:
            caught.setdefault((made.revision, made.entry.breaks), []).append(made.entry.name)
    statements: dict[str, str] = {}
    testable: set[tuple[str, str]] = set()
    for at in protocols():
        for row in catalogue(at).requirements:
            if not row.excluded:
                statements.setdefault(row.id, row.statement)
                testable.add((at, row.id))
    return [
        Shown(
            name,
            statement,
            tuple(
                tuple(caught.get((at, name), ())) if (at, name) in testable else None for at in protocols()
            ),
        )
        for name, statement in statements.items()
    ]
