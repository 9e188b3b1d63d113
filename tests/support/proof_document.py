"""The kill matrix as data, as Markdown and as a page: what is written under `reports/published/`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.catalogue import catalogue, protocols
from reference_server.faults.catalogue import Entry
from tests.support import proof_page
from tests.support.proof_cells import Cell, Row, trouble_of

FORMAT = "sse-conformance/proof/2"
UNSEEN = 20  # so many requirements that no fault shows are named; for a part of the matrix there are hundreds


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a matrix says as a whole. Pairs are those of entry and revision."""

    faults: int
    pairs: int  # of faults
    caught: int
    whole: int  # pairs of faults that were judged by the whole suite
    clean: int  # pairs of faults that are caught with nothing beyond the catalogue
    variants: int
    variant_pairs: int
    green: int
    again: int  # pairs that are as the catalogue says, and were not in an earlier run
    states: int  # of the code, by which the runs were made
    requirements: int  # testable, over all revisions
    shown: int  # of these, those that a fault made fail
    unseen: tuple[str, ...]  # the others: revision and id

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Numbers:
        """Count."""
        faults = [made for made in cells if made.entry.kind == "fault"]
        variants = [made for made in cells if made.entry.kind == "variant"]
        testable = {
            (at, row.id) for at in protocols() for row in catalogue(at).requirements if not row.excluded
        }
        shown = {(made.revision, made.entry.breaks) for made in faults if made.ok}
        return cls(
            faults=len({made.entry.name for made in faults}),
            pairs=len(faults),
            caught=sum(made.ok for made in faults),
            whole=sum(made.run.whole for made in faults),
            clean=sum(made.clean for made in faults),
            variants=len({made.entry.name for made in variants}),
            variant_pairs=len(variants),
            green=sum(made.ok for made in variants),
            again=sum(made.good < made.runs for made in cells if made.clean),
            states=len({made.run.source for made in cells}),
            requirements=len(testable),
            shown=len(testable & shown),
            unseen=tuple(f"{at} {name}" for at, name in sorted(testable - shown)),
        )


def write(folder: Path, cells: Sequence[Cell]) -> None:
    """`proof.json`, `proof.md` and `proof.html`."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(
        cells, key=lambda made: (made.entry.kind, made.entry.breaks, made.entry.name, made.revision)
    )
    numbers = Numbers.of(ordered)
    (folder / "proof.json").write_text(as_json(ordered, numbers), encoding="utf-8")
    (folder / "proof.md").write_text(markdown(ordered, numbers), encoding="utf-8")
    (folder / "proof.html").write_text(proof_page.render(ordered, numbers, notes(numbers)), encoding="utf-8")


def as_json(cells: Sequence[Cell], numbers: Numbers) -> str:
    """The matrix as data, one line for each entry and each pair."""
    entries = {made.entry.name: made.entry for made in cells}
    sources = Counter(made.run.source for made in cells)
    head = {
        "format": FORMAT,
        "suite": __version__,
        "made": datetime.now(UTC).strftime("%Y-%m-%d"),
        "sources": dict(sources.most_common()),
        "summary": {name: getattr(numbers, name) for name in Numbers.__slots__},
    }
    lines = [json.dumps(head, ensure_ascii=False)[:-1] + ',\n"entries": {']
    lines.append(",\n".join(f"{json.dumps(name)}: {_line(_entry(entry))}" for name, entry in entries.items()))
    lines.append('},\n"pairs": [')
    lines.append(",\n".join(_line(_pair(made)) for made in cells))
    lines.append("]}")
    return "\n".join(lines) + "\n"


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _entry(entry: Entry) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": entry.kind, "area": entry.area, "summary": entry.summary}
    if entry.kind == "fault":
        made |= {"breaks": entry.breaks, "follows": entry.follows}
    else:
        made |= {"warns": entry.warns}
    return made


def _pair(made: Cell) -> dict[str, Any]:
    row = made.row or Row("", "")
    pair: dict[str, Any] = {"name": made.entry.name, "revision": made.revision, "breaks": made.entry.breaks}
    pair |= {
        "ok": made.ok,
        "verdict": row.verdict,
        "title": row.title,
        "observed": row.said,
        "probe": row.probe,
    }
    pair |= {
        "follows": {name: other.verdict for name, other in made.foreseen.items()},
        "unforeseen": {
            name: {"verdict": other.verdict, "title": other.title, "observed": other.said}
            for name, other in made.unforeseen.items()
        },
        "absent": made.missing,
        "whole": made.run.whole,
        "judged": made.run.judged,
        "runs": made.runs,
        "good": made.good,
        "before": made.before,
        "trouble": made.run.trouble,
        "seconds": made.run.seconds,
        "source": made.run.source,
    }
    # what is empty is left out, but for what tells a catch
    kept = (
        "name",
        "revision",
        "breaks",
        "ok",
        "verdict",
        "follows",
        "unforeseen",
        "whole",
        "judged",
        "runs",
        "good",
    )
    return {name: value for name, value in pair.items() if value or name in kept}


def notes(numbers: Numbers) -> tuple[str, ...]:
    """What must be known of the runs to believe the numbers."""
    told = []
    if numbers.again:
        told.append(
            f"{_pairs(numbers.again)} not so in an earlier run, under load or before fault, catalogue or suite were "
            'mended; what was run again says so: "1 of 2 runs".'
        )
    if numbers.states > 1:
        told.append(
            f"The runs were made by {numbers.states} states of the code (proof.json says which); where reading them "
            "mended a fault, or what the catalogue says follows from it, the matrix goes by the catalogue as it is now."
        )
    if 0 < len(numbers.unseen) <= UNSEEN:
        told.append(f"No fault shows {', '.join(numbers.unseen)}.")
    return tuple(told)


def _pairs(count: int) -> str:
    return "1 pair was" if count == 1 else f"{count} pairs were"


def headline(numbers: Numbers) -> tuple[str, ...]:
    """The numbers in words, one sentence each."""
    told = [
        f"{numbers.caught} of {numbers.pairs} pairs of fault and revision ({numbers.faults} faults) are caught by the "
        "requirement that the fault names, by its own judgement.",
        f"{numbers.clean} of {numbers.pairs} show nothing red but what the catalogue says follows. "
        f"{numbers.whole} were judged by the whole suite; the others, of the limit of rate, by their own rows: "
        "under a limit as low as they need, all else would be refused.",
        f"{numbers.green} of {numbers.variant_pairs} pairs of variant and revision ({numbers.variants} variants: "
        "unusual, and legal) are green.",
        f"{numbers.shown} of {numbers.requirements} testable requirements, counted in each revision, have been seen "
        "to fail.",
    ]
    told += notes(numbers)
    return tuple(told)


def markdown(cells: Sequence[Cell], numbers: Numbers) -> str:
    """The matrix for readers."""
    out = ["# Kill matrix", "", *(f"- {sentence}" for sentence in headline(numbers)), ""]
    odd = [made for made in cells if not made.clean or made.good < made.runs]
    if odd:
        out += ["## Not as the catalogue says, at first or at all", "", "| entry | revision | runs | what |"]
        out += ["| --- | --- | --- | --- |"]
        for made in odd:
            what = trouble_of(made) or made.before
            out.append(
                f"| {made.entry.name} | {made.revision} | {made.good} of {made.runs} | {_cell(what)} |"
            )
        out.append("")
    out += ["## Faults", ""]
    out += ["| requirement | fault | what it does | caught in | by the finding | follows |"]
    out += ["| --- | --- | --- | --- | --- | --- |"]
    for group in _by_entry([made for made in cells if made.entry.kind == "fault"]):
        entry = group[0].entry
        caught = ", ".join(made.revision if made.ok else f"**not {made.revision}**" for made in group)
        first = next((made.row for made in group if made.ok and made.row), None)
        finding = "" if first is None else f"{first.verdict}: {first.title or first.said}"
        follows = ", ".join(sorted({name for made in group for name in made.foreseen}))
        out.append(
            f"| {entry.breaks} | {entry.name} | {_cell(entry.summary)} | {caught} | {_cell(finding)} | {follows} |"
        )
    out += ["", "## Variants", "", "| variant | what is unusual | green in | warnings it may cause |"]
    out += ["| --- | --- | --- | --- |"]
    for group in _by_entry([made for made in cells if made.entry.kind == "variant"]):
        entry = group[0].entry
        green = ", ".join(made.revision if made.ok else f"**not {made.revision}**" for made in group)
        out.append(f"| {entry.name} | {_cell(entry.summary)} | {green} | {', '.join(entry.warns)} |")
    return "\n".join(out) + "\n"


def _by_entry(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for made in cells:
        groups.setdefault(made.entry.name, []).append(made)
    return list(groups.values())


def _cell(text: str) -> str:
    """Text as it may stand in a cell of a table: targets' words cannot end it."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
