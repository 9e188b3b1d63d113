"""`sse-conformance report FORMAT RESULT…`: render every document again from result files, merged and compared."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from conformance import exits
from conformance.lens.result import with_saved
from conformance.report.compare import Compared, Kind, compare_all
from conformance.report.files import ResultError
from conformance.report.formats import FORMATS, Format, Rendering
from conformance.report.inputs import read_results
from conformance.report.model import RunResult
from conformance.report.pages import with_pages

_EXAMPLES = """examples:
  sse-conformance report html reports/latest -o report.html
  sse-conformance report markdown run1/penguin-2.json run2/penguin-2.json     # repeated runs: what is flaky
  sse-conformance report text new/ --compare old/ --fail-on broken,flaky
  sse-conformance report badge-svg reports/latest -o badge.svg

Several results of the same target are merged: a requirement whose verdicts differ is flaky, and is shown with the
verdict that needs most attention and in how many runs it was given.

--compare says what became of each requirement: broken (violated now, and was not before; warnings count), fixed,
changed (any other verdict), flaky (the new runs disagree), new, removed. With --fail-on the exit code is 1 if a
change of one of these kinds is there, or if results have no counterpart to be compared with. Otherwise it is 0,
whatever the verdicts are: 4 is a result that cannot be read.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "report",
        help="render reports from result files, merge and compare them",
        description="Render a report from result files, merged and compared. Formats:\n"
        + "\n".join(f"  {name:<15} {entry.help}" for name, entry in FORMATS.items()),
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("format", choices=tuple(FORMATS), metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument(
        "result",
        nargs="+",
        type=Path,
        metavar="RESULT",
        help="result file (JSON), or a folder that holds some",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of printing")
    parser.add_argument(
        "--compare", nargs="+", type=Path, metavar="OLD", help="older results, to say what changed since"
    )
    parser.add_argument("--fail-on", metavar="KIND,…", help=f"exit with 1 on: {', '.join(Kind)}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print or write the document; 1 if a change that must not be is there."""
    chosen, output = FORMATS[options.format], options.output
    kinds = tuple(part.strip() for part in (options.fail_on or "").split(",") if part.strip())
    if unknown := [kind for kind in kinds if kind not in set(Kind)]:
        return _usage(f"--fail-on {unknown[0]}: expected some of {', '.join(Kind)}")
    if kinds and not options.compare:
        return _usage("--fail-on needs --compare: without older results nothing is broken or fixed")
    if options.compare and not chosen.compares:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.compares)
        return _usage(f"--compare: {options.format} cannot show changes, these can: {able}")
    try:
        new = _read(options.result, output, chosen)
        compared = compare_all(_read(options.compare, output, chosen), new) if options.compare else None
    except ResultError as error:
        return _usage(str(error))
    document = chosen.render(Rendering(new, compared))
    if output is None:
        print(document, end="")
    else:
        try:
            output.write_text(document, encoding="utf-8")
        except OSError as error:
            return _usage(f"{output}: cannot be written: {error.strerror}")
    return exits.FAILED if kinds and compared is not None and _bad(compared, kinds) else exits.OK


def _read(paths: Sequence[Path], output: Path | None, chosen: Format) -> tuple[RunResult, ...]:
    """The results in these files, merged, with links to exchanges and pages made relative to the document."""
    folder = Path.cwd() if output is None else output.parent
    seen: dict[str, Path] = {}
    runs = []
    for path, found in read_results(paths):
        if found.id in seen:
            print(f"{path}: the same run as in {seen[found.id]}: it counts once", file=sys.stderr)
        seen.setdefault(found.id, path)
        runs.append(with_pages(_rebased(found, path.parent, folder), path, folder))
    return chosen.merge(runs)


def _rebased(run: RunResult, old: Path, new: Path) -> RunResult:
    def moved(saved: str) -> str:
        return Path(os.path.relpath(old / saved, new)).as_posix() if saved else ""

    rows = (
        replace(
            row,
            findings=tuple(replace(finding, saved=moved(finding.saved)) for finding in row.findings),
            page=moved(row.page),
            lens=None if row.lens is None else with_saved(row.lens, moved),
        )
        for row in run.rows
    )
    return replace(run, rows=tuple(rows))


def _bad(compared: Compared, kinds: Sequence[str]) -> bool:
    found = {change.kind.value for comparison in compared.comparisons for change in comparison.changes}
    return bool(found.intersection(kinds) or compared.alone_old or compared.alone_new)


def _usage(message: str) -> int:
    print(message, file=sys.stderr)
    return exits.USAGE
