"""Make `schemas/evidence.json` of what runs emitted: the kill matrix, and result files of servers that are right.

    python tests/proof/collect_evidence.py --proof reports/published/proof.json RESULT.json…

A requirement counts as seen to fail under a fault when the matrix says that it caught it; as seen to pass on a server
when the server's result says pass, or for level I that it was noted. A server is named by its profile, else by its
target.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from conformance.evidence import assembled, dumped
from conformance.findings import Verdict
from conformance.report.files import ResultError, read
from conformance.schema_store import schema_root

HELD = (Verdict.PASS, Verdict.NOTE)


def caught(path: Path) -> Iterator[tuple[str, str, str]]:
    """Protocol, requirement and fault of every fault that the matrix says was caught."""
    for pair in json.loads(path.read_text(encoding="utf-8"))["pairs"]:
        if pair["breaks"] and pair["ok"]:  # a variant breaks nothing
            yield pair["revision"], pair["breaks"], pair["name"]


def passed(path: Path) -> Iterator[tuple[str, str, str]]:
    """Protocol, requirement and server of every verdict that was judged and holds. Raises `ResultError`."""
    run = read(path)
    for row in run.rows:
        if row.verdict in HELD and row.judged and not row.flaky:
            yield run.protocol, row.requirement, run.name or run.target


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file, and say how much of the catalogue is covered."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--proof", type=Path, action="append", default=[], help="a matrix's proof.json")
    parser.add_argument("results", type=Path, nargs="*", metavar="RESULT", help="result files of servers")
    parser.add_argument("-o", "--output", type=Path, default=schema_root() / "evidence.json")
    given = parser.parse_args(argv)
    try:
        failing = [triple for path in given.proof for triple in caught(path)]
        holding = [triple for path in given.results for triple in passed(path)]
    except (OSError, ResultError, ValueError, KeyError, TypeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 4
    rows = assembled(failing, holding)
    given.output.write_text(json.dumps(dumped(rows), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    both = sum(bool(row.failed_under) and bool(row.passed_on) for row in rows)
    print(
        f"{len(rows)} requirements in all revisions: {sum(bool(row.failed_under) for row in rows)} seen to fail, "
        f"{sum(bool(row.passed_on) for row in rows)} seen to pass, {both} both"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
