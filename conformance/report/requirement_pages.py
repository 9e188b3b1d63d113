"""The page of a protocol revision's requirements: what each says, how it is judged and fails, examples in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.catalogue import Requirement, catalogue, revisions
from conformance.evidence import evidence, sentence
from conformance.examples import Example, example_for
from conformance.faults import Fault, commands, faults, faults_of
from conformance.report.example_text import bad_text, good_text

_LEVELS = {"M": "must", "S": "should", "I": "reported only"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One requirement as the page shows it. `example` may be one of another revision."""

    row: Requirement
    level: str
    example: Example | None
    good: str
    bad: str
    faults: tuple[Fault, ...]
    faulty: str  # the revision in which they are faults
    shown: str  # the commands that show the first of them
    evidence: str  # what published runs showed, in a sentence


def entries(protocol: str) -> tuple[Entry, ...]:
    """The requirements of a revision, in the catalogue's order. Raises `SchemaError` for one that is not shipped."""
    return tuple(entry(row, protocol) for row in catalogue(protocol).requirements)


def entry(row: Requirement, protocol: str) -> Entry:
    """One requirement of a revision, with its example and faults; those of another revision where it has none."""
    example = None if row.excluded else example_for(protocol, row.id)
    known = faults_of(row.id, protocol)
    elsewhere = "" if known else next((fault.protocols[0] for fault in faults().get(row.id, ())), "")
    faulty = protocol if known else elsewhere
    known = known or faults_of(row.id, elsewhere)
    return Entry(
        row,
        _LEVELS[row.level.value],
        example,
        good_text(example) if example is not None else "",
        bad_text(example) if example is not None else "",
        known,
        faulty,
        commands(known[0], row, faulty) if known else "",
        sentence(evidence(protocol).get(row.id)),
    )


def render(protocol: str) -> str:
    """The page as Markdown. Raises `SchemaError` for a revision that is not shipped."""
    shown = entries(protocol)
    return (
        _environment()
        .get_template("requirements.md")
        .render(
            revision=revisions()[protocol],
            groups=_grouped(shown),
            testable=sum(not one.row.excluded for one in shown),
            excluded=sum(bool(one.row.excluded) for one in shown),
        )
    )


def _grouped(shown: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    groups: dict[str, list[Entry]] = {}
    for one in shown:
        groups.setdefault(one.row.group, []).append(one)
    return list(groups.items())


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("conformance.report", "templates"),
        autoescape=False,  # Markdown of our own data
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["flat"] = lambda text: " ".join(text.split())
    return made
