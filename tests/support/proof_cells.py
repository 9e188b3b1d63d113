"""What became of one fault or variant in one revision, judged from the rows of a run; and runs kept in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from reference_server.faults.catalogue import Entry
from tests.support.proof_processes import ROOT, Rows

LONGEST = 220  # characters of an observation that are kept
KEPT = ("fail", "warn", "inconclusive")

# Rows that are only noted, in some revision.
NOTES = frozenset(
    {
        *("SSE-FMT-03", "SSE-EVT-01b", "SSE-HTTP-04a", "SSE-HTTP-04b", "SSE-HTTP-08b", "SSE-INT-01"),
        *("AS-REQ-04", "AS-CONC-05", "PG-WIRE-01", "PG-FLT-06b", "PG-EVT-02", "PG-ERR-01"),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One requirement's verdict in a run: what was found first, and how it was said.

    `proved`: by findings; a verdict without them rests on `said` alone, which is then its reason or its notes.
    """

    level: str
    verdict: str
    title: str = ""
    said: str = ""
    probe: str = ""
    proved: bool = False

    @property
    def turned(self) -> bool:
        """Red, yellow, or grey where a MUST could not be judged."""
        return self.verdict in ("fail", "warn") or (self.verdict == "inconclusive" and self.level == "M")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite against one entry in one revision, as it is kept.

    `rows` are those that turned red, yellow or grey, and the one that the fault names. `trouble`: why there is no
    verdict at all. `source` is the digest of the code that ran, `alone` whether nothing else ran beside it.
    """

    name: str
    revision: str
    rows: Mapping[str, Row]
    judged: int
    whole: bool
    trouble: str
    seconds: float
    source: str
    alone: bool = False

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Run:
        """Read back what `to_json` wrote."""
        data = json.loads(line)
        return cls(**{**data, "rows": {name: Row(**row) for name, row in data["rows"].items()}})


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry in one revision: what became of it.

    `row`: that of the requirement which a fault names (None for a variant, or without a verdict). `ok`: the
    fault is caught, or the variant green. `foreseen` and `unforeseen`: the other requirements that turned red,
    yellow or (a MUST) grey, by whether the catalogue says so; `missing` are those that it says may follow and that did
    not turn. `runs` and `good` count the runs of this pair and those that were as the catalogue says; `before` is what
    the others said.
    """

    entry: Entry
    revision: str
    run: Run
    row: Row | None = None
    ok: bool = False
    foreseen: Mapping[str, Row] = field(default_factory=dict)
    unforeseen: Mapping[str, Row] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    runs: int = 1
    good: int = 0
    before: str = ""

    @property
    def clean(self) -> bool:
        """As the catalogue says, and nothing more."""
        return self.ok and not self.unforeseen


def rows_kept(rows: Rows, named: str) -> dict[str, Row]:
    """The rows of a result file that are worth keeping."""
    return {name: _row(row) for name, row in rows.items() if row["verdict"] in KEPT or name == named}


def _row(row: dict[str, Any]) -> Row:
    first = row["findings"][0] if row["findings"] else None
    if first is not None:
        said = " ".join(first["observed"].split())
        return Row(row["level"], row["verdict"], first["title"], said[:LONGEST], first["probe"], proved=True)
    words = " ".join((row["reason"] or "; ".join(row["notes"])).split())
    return Row(row["level"], row["verdict"], said=words[:LONGEST])


def applies(ids: Sequence[str], revision: str) -> tuple[str, ...]:
    """The requirement ids that hold in this revision: "penguin/2:PG-2-01b" or plain."""
    return tuple(
        name.rpartition(":")[2] for name in ids if ":" not in name or name.partition(":")[0] == revision
    )


def cell(entry: Entry, run: Run, plain: Mapping[str, Row]) -> Cell:
    """What a run says of an entry; `plain` are the rows of the correct server, for rows that only note."""
    foreseen = set(applies(entry.follows + entry.warns, run.revision))
    others = {name: row for name, row in sorted(run.rows.items()) if row.turned and name != entry.breaks}
    made = Cell(
        entry,
        run.revision,
        run,
        foreseen={name: row for name, row in others.items() if name in foreseen},
        unforeseen={name: row for name, row in others.items() if name not in foreseen},
        missing=tuple(sorted(foreseen - others.keys())) if run.whole and entry.kind == "fault" else (),
    )
    if entry.kind == "variant":
        grey = any(row.verdict == "inconclusive" for row in run.rows.values())
        made = replace(made, ok=run.judged > 0 and not made.unforeseen and not grey)
    else:
        row = run.rows.get(entry.breaks)
        made = replace(made, row=row, ok=row is not None and caught(row, plain.get(entry.breaks)))
    return replace(made, good=int(made.clean))


def caught(row: Row, plain: Row | None) -> bool:
    """Whether a requirement's own judgement shows the fault."""
    if row.level == "M":
        return row.verdict == "fail" and row.proved
    if row.level == "S":
        return row.verdict == "warn" and row.proved
    if row.verdict != "note":
        return False
    return row.proved or plain is None or row.said != plain.said


def again(first: Cell, second: Cell) -> Cell:
    """The same pair after another run: that one counts, and what was wrong in those before it is told."""
    return replace(
        second,
        runs=first.runs + 1,
        good=first.good + second.good,
        before=first.before or trouble_of(first),
    )


def trouble_of(cell: Cell) -> str:
    """What is not as the catalogue says, in one line."""
    parts = [cell.run.trouble] if cell.run.trouble else []
    if not cell.ok and cell.entry.kind == "fault" and not cell.run.trouble:
        parts.append(f"{cell.entry.breaks} was {cell.row.verdict if cell.row else 'not judged'}")
    parts += [f"{name} {row.verdict}: {row.title or row.said}" for name, row in cell.unforeseen.items()]
    return "; ".join(parts)


class Kept:
    """Runs in a file, one line each, as they come: a run of the matrix that was cut off goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, run: Run) -> None:
        """Append one; readers never see half a line."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(run.to_json() + "\n")

    def runs(self) -> Iterator[Run]:
        """All of them, oldest first; a last line that was cut off is left out."""
        if self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").split("\n")[:-1]:
                yield Run.from_json(line)


@cache
def source() -> str:
    """A digest of what is judged and what judges, when this process began: twelve hex digits."""
    digest = hashlib.sha256()
    for folder in ("conformance", "reference_server", "schemas"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".json", ".yaml", ".toml") and path.is_file():
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]
