"""Publish results of servers, and the matrix of all that are published.

    python tests/proof/publish_results.py --real reports/real-penguin           take over, then render
    python tests/proof/publish_results.py --ours reports/latest reports/servers
    python tests/proof/publish_results.py                                       only render again

A result is kept in `reports/published/results/real/NAME` or `…/ours/NAME`, NAME being what its profile calls the
program; what was there is replaced. A run that asked for less than a quarter of the requirements is passed over.
Several runs of one program, given together, are merged in the matrix. The page of a result is kept beside it where
somebody has to look at it. Exchanges are not published, and scratch folders in texts and bytes are masked at their
length, so that spans stay true. The overview in README.md is written again, too.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from conformance import cli
from conformance.findings import Verdict
from conformance.lens.result import with_saved, with_texts
from conformance.report import files, html
from conformance.report.documents import names
from conformance.report.files import ResultError
from conformance.report.inputs import read_results
from conformance.report.markdown import MARKS, escape
from conformance.report.matrix import Family, families, keys
from conformance.report.merge import merge_implementations
from conformance.report.model import ATTENTION, FoundFinding, ResultRow, RunResult
from conformance.report.pages import PAGE

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "reports/published"
KINDS = ("real", "ours")
DOCUMENTS = {"matrix": "matrix.html", "matrix-markdown": "matrix.md"}
README = ROOT / "README.md"
_OVERVIEW = re.compile(r"(<!-- matrix: [^\n]* -->\n).*?(<!-- end of matrix -->)", re.DOTALL)
_SCRATCH = re.compile(rb"(?<=/tmp/)[\w.-]+")
_LOOK = ATTENTION[:4]


def publish(kind: Path, paths: Iterable[Path]) -> None:
    """Take the results over, a folder for each program. Raises `ResultError`."""
    found = []
    for path, run in read_results(paths):
        if len(run.rows) * 4 < run.testable:
            print(f"{path}: only {len(run.rows)} of {run.testable} requirements: not published")
        else:
            found.append((path, run))
    alike = Counter((run.protocol, run.label) for _, run in found)
    runs = [
        # Variants of a program of the tests share its profile: the file tells which one it is.
        replace(run, name=f"{run.name}, {path.stem}")
        if alike[run.protocol, run.label] > 1 and not run.implementation.name
        else run
        for path, run in found
    ]
    for label, key in keys(run.label for run in runs).items():
        folder = kind / key
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        mine = [cleaned(run) for run in runs if run.label == label]
        for name, run in zip(names(mine), mine, strict=True):
            (folder / name).write_text(files.dumps(run), encoding="utf-8")
        if any(row.verdict in _LOOK or row.red for run in mine for row in run.rows):
            (folder / PAGE).write_text(html.render(mine) + "\n", encoding="utf-8")


def cleaned(run: RunResult) -> RunResult:
    """Without the exchanges, and without the names of scratch folders."""
    return replace(run, rows=tuple(_cleaned_row(row) for row in run.rows))


def _cleaned_row(row: ResultRow) -> ResultRow:
    lens = None if row.lens is None else with_saved(with_texts(row.lens, _text), lambda _: "")
    return replace(
        row,
        reason=_text(row.reason),
        notes=tuple(map(_text, row.notes)),
        findings=tuple(map(_cleaned, row.findings)),
        lens=lens,
    )


def _cleaned(found: FoundFinding) -> FoundFinding:
    excerpt = found.excerpt
    return replace(
        found,
        title=_text(found.title),
        expected=_text(found.expected),
        observed=_text(found.observed),
        curl=_text(found.curl),
        saved="",
        excerpt=None if excerpt is None else replace(excerpt, data=_bytes(excerpt.data)),
    )


def _text(text: str) -> str:
    return _bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _bytes(data: bytes) -> bytes:
    return _SCRATCH.sub(lambda match: b"*" * len(match[0]), data)


def published() -> list[Path]:
    """The folders of the published results, those of real servers first."""
    return [folder for kind in KINDS if (folder := PUBLISHED / "results" / kind).is_dir()]


def overview(shown: Sequence[Family]) -> str:
    """The totals as a table for README.md."""
    used = [verdict for verdict in ATTENTION if any(verdict in dict(family.totals) for family in shown)]
    lines = [
        f"| server | revision | {' | '.join(MARKS[verdict] for verdict in used)} |",
        f"| --- | --- |{' --: |' * len(used)}",
    ]
    return "\n".join([*lines, *_rows(shown, used)]) + "\n"


def _rows(shown: Sequence[Family], used: Sequence[Verdict]) -> Iterator[str]:
    for family in shown:
        for column in family.columns:
            numbers = " | ".join(str(column.run.counts[verdict]) for verdict in used)
            yield f"| {escape(column.label)} | {column.run.protocol} | {numbers} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the module's docstring says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in KINDS:
        parser.add_argument(f"--{kind}", nargs="+", type=Path, default=[], metavar="RESULT")
    given = parser.parse_args(argv)
    try:
        for kind in KINDS:
            publish(PUBLISHED / "results" / kind, getattr(given, kind))
        runs = merge_implementations(run for _, run in read_results(published()))
    except (ResultError, OSError) as error:
        print(error, file=sys.stderr)
        return 4
    for name, document in DOCUMENTS.items():
        status = cli.main(["report", name, *map(str, published()), "-o", str(PUBLISHED / document)])
        if status:
            return status
    table = overview(families(runs))
    README.write_text(
        _OVERVIEW.sub(rf"\g<1>{table}\g<2>", README.read_text(encoding="utf-8")), encoding="utf-8"
    )
    print(f"{len(runs)} results in {PUBLISHED / DOCUMENTS['matrix']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
