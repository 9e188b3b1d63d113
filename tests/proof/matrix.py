"""The kill matrix: the suite as a user runs it, against every fault and every variant of the reference server.

    python tests/proof/matrix.py                 everything, in every revision that an entry names
    python tests/proof/matrix.py --only NAME     one entry, judged by the rows it names: seconds
    python tests/proof/matrix.py --quick         every entry, judged by the rows it names

A fault is caught when the requirement that it names fails (level S: warns; level I: is noted with something
that it does not say of the correct server) by its own judgement. A crash or a timeout of the suite is no catch.
A pair that is not as the catalogue says is run once more at the end, on its own, and counted so ("1 of 2"); so are
all earlier runs that are kept and taken over.
Writes proof.json, proof.md and proof.html. Exit status 0 when every fault is caught, nothing unforeseen turned red
and every variant stayed green, 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from reference_server.faults.catalogue import Entry, entries  # noqa: E402
from tests.support.proof_cells import (  # noqa: E402
    NOTES,
    Cell,
    Kept,
    Row,
    Run,
    again,
    applies,
    cell,
    rows_kept,
    source,
    trouble_of,
)
from tests.support.proof_processes import judge  # noqa: E402

WORKERS = 8  # runs at once: they mostly wait
CORRECT = ""  # the name of runs without a fault
SCALE = 2.0  # on every deadline of the suite, since so many runs share the machine


def run(
    entry: Entry,
    revision: str,
    *,
    quick: bool,
    scale: float = 1.0,
    keep: Path | None = None,
    alone: bool = True,
) -> Run:
    """Judge one entry in one revision: whole, or by the rows that it names."""
    named = (entry.breaks, *applies(entry.follows + entry.warns, revision)) if quick else ()
    only = entry.judge or tuple(name for name in named if name)
    began = time.monotonic()
    rows, trouble = judge(
        revision,
        fault=entry.name,
        serve=entry.serve,
        declare=entry.declare,
        only=only,
        keep=keep,
        scale=scale,
    )
    # a prefix may have selected more
    rows = {name: row for name, row in rows.items() if not only or name in only}
    return Run(
        entry.name,
        revision,
        rows_kept(rows, entry.breaks),
        judged=len(rows),
        whole=not only,
        trouble=trouble,
        seconds=round(time.monotonic() - began, 1),
        source=source(),
        alone=alone,
    )


class Plain:
    """The correct server's rows, per revision: what rows that only note say of it. They are kept like other runs."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._rows: dict[str, Mapping[str, Row]] = {}
        self._lock = threading.Lock()

    def take(self, run: Run) -> None:
        """Take over a run of the correct server."""
        self._rows[run.revision] = run.rows

    def rows(self, entry: Entry, revision: str) -> Mapping[str, Row]:
        """The rows of the correct server, where they are needed."""
        if entry.kind != "fault" or entry.breaks not in NOTES:
            return {}
        with self._lock:
            if revision not in self._rows:
                found, trouble = judge(revision, only=sorted(NOTES))
                if trouble:
                    raise RuntimeError(f"the correct server cannot be judged: {trouble}")
                rows = {name: row for wanted in NOTES for name, row in rows_kept(found, wanted).items()}
                made = Run(CORRECT, revision, rows, len(found), False, "", 0.0, source())
                self._kept.add(made)
                self.take(made)
            return self._rows[revision]


def line(made: Cell) -> str:
    """One line for the terminal, and what is not as the catalogue says below it."""
    state = "ok  " if made.clean else "red " if made.ok else "MISS"
    verdict = made.row.verdict if made.row else ""
    text = f"{state} {made.revision:13} {made.entry.name:40} {made.entry.breaks:12} {verdict:6}"
    text += f" {made.run.seconds:5.1f} s"
    if made.runs > 1:
        text += f" ({made.good} of {made.runs} runs)"
    if not made.clean:
        text += f"\n       {trouble_of(made)}"
    if made.missing:
        text += f"\n       did not follow: {', '.join(made.missing)}"
    return text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--only", action="append", default=[], metavar="NAME", help="entries; quick unless --whole")
    add("--area", action="append", default=[], help="entries of these files of the catalogue")
    add("--breaks", action="append", default=[], metavar="ID", help="faults of these requirements")
    add("--kind", choices=("fault", "variant"), help="faults alone, or variants alone")
    add("--revision", action="append", default=[], metavar="P/R")
    add("--first", action="store_true", help="each entry in the first of its revisions alone")
    add("--quick", action="store_true", help="judge only the rows that an entry names")
    add("--whole", action="store_true", help="judge every row, also with --only")
    add("--workers", type=int, default=WORKERS, help="runs at once (%(default)s)")
    add("--timeout-scale", type=float, default=SCALE, metavar="X", help="the suite's (%(default)s)")
    add("--report", default="reports/published", help="where the matrix is written (%(default)s)")
    add(
        "--runs",
        default="reports/latest/proof.jsonl",
        metavar="FILE",
        help="whole runs, as they come (%(default)s)",
    )
    add(
        "--resume",
        action="store_true",
        help="keep the runs of that file made by the same source, and add to them",
    )
    add("--any-source", action="store_true", help="with --resume: keep them whatever source made them")
    add("--retry", action="store_true", help="with --resume: run again what was not as the catalogue says")
    add("--no-run", action="store_true", help="with --resume: run nothing, write the matrix of what is kept")
    add("--once", action="store_true", help="do not run again what was not as the catalogue says")
    add("--keep", metavar="DIR", help="keep the reports of the runs there")
    return made


def chosen(given: argparse.Namespace) -> list[tuple[Entry, str]]:
    """The pairs that the command line asks for."""
    return [
        (entry, revision)
        for entry in entries().values()
        if entry.judged
        and (not given.only or entry.name in given.only)
        and (not given.area or entry.area in given.area)
        and (not given.breaks or entry.breaks in given.breaks)
        and (not given.kind or entry.kind == given.kind)
        for revision in (entry.revisions[:1] if given.first else entry.revisions)
        if not given.revision or revision in given.revision
    ]


class Matrix:
    """The cells so far, and the runs that make them."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._quick = given.quick or (bool(given.only) and not given.whole)
        self._kept = Kept(Path(given.runs))
        self._plain = Plain(self._kept)
        self._lock = threading.Lock()
        self.cells: dict[tuple[str, str], Cell] = {}

    def resume(self, work: Sequence[tuple[Entry, str]]) -> None:
        """Take over the runs that are kept."""
        known = {(entry.name, revision): entry for entry, revision in work}
        kept = [run for run in self._kept.runs() if self._given.any_source or run.source == source()]
        for old in kept:
            if old.name == CORRECT:
                self._plain.take(old)
        for old in kept:
            entry = known.get((old.name, old.revision))
            if entry is not None:
                self._take(entry, old)

    def forget_bad(self) -> None:
        """What was not as the catalogue says is to be run again, as if for the first time."""
        self.cells = {key: made for key, made in self.cells.items() if made.clean}

    def go(self, work: Sequence[tuple[Entry, str]], *, workers: int, scale: float) -> None:
        """Run these pairs."""
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(lambda pair: self._one(*pair, scale=scale, alone=workers == 1), work):
                pass

    def _one(self, entry: Entry, revision: str, *, scale: float, alone: bool) -> None:
        keep = self._given.keep
        folder = Path(keep) / f"{entry.name}-{revision.replace('/', '-')}" if keep else None
        made = run(entry, revision, quick=self._quick, scale=scale, keep=folder, alone=alone)
        with self._lock:
            if made.whole or entry.judge:
                self._kept.add(made)
            print(line(self._take(entry, made)), flush=True)

    def _take(self, entry: Entry, made: Run) -> Cell:
        key = (entry.name, made.revision)
        found = cell(entry, made, self._plain.rows(entry, made.revision))
        first = self.cells.get(key)
        if first is not None:
            found = again(first, found)
        self.cells[key] = found
        return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the matrix, or a part of it."""
    options = parser()
    given = options.parse_args(argv)
    unknown = set(given.only) - {entry.name for entry in entries().values() if entry.judged}
    if unknown:
        options.error(f"not in the catalogue: {', '.join(sorted(unknown))}")
    work = chosen(given)
    matrix, began = Matrix(given), time.monotonic()
    source()  # of the code as it is now
    if given.resume:
        matrix.resume(work)
        if given.retry:
            matrix.forget_bad()
    elif not given.only and not given.quick:
        Path(given.runs).unlink(missing_ok=True)
    if not given.no_run:
        todo = [pair for pair in work if (pair[0].name, pair[1]) not in matrix.cells]
        matrix.go(todo, workers=given.workers, scale=given.timeout_scale)
        odd = [pair for pair in todo if not matrix.cells[pair[0].name, pair[1]].clean]
        if odd and given.workers > 1 and not given.once:
            print(f"once more, on its own: {len(odd)}", flush=True)
            matrix.go(odd, workers=1, scale=given.timeout_scale)
    cells = [matrix.cells[key] for key in sorted(matrix.cells)]
    if not given.only and not given.quick:
        from tests.support.proof_document import write  # with it come Jinja2 and the page

        write(Path(given.report), cells)
    missed, more = sum(not made.ok for made in cells), sum(made.ok and not made.clean for made in cells)
    print(
        f"{len(cells)} of {len(work)} pairs · {len(cells) - missed} as the catalogue says · {missed} not · "
        f"{more} with more red than it says · {time.monotonic() - began:.0f} s"
    )
    return 1 if missed or more or len(cells) < len(work) else 0


if __name__ == "__main__":
    sys.exit(main())
