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
from conformance.load_compare import DEFAULT_TOLERANCE, Trend, compare_all_loads, parse_tolerance
from conformance.load_result import LoadResult
from conformance.report.compare import Compared, Kind, compare_all
from conformance.report.files import ResultError
from conformance.report.formats import FORMATS, Format, LoadRendering, Rendering
from conformance.report.inputs import read_any
from conformance.report.model import RunResult
from conformance.report.pages import with_pages

_EXAMPLES = """examples:
  sse-conformance report html reports/latest -o report.html
  sse-conformance report markdown run1/penguin-2.json run2/penguin-2.json     # repeated runs: what is flaky
  sse-conformance report text new/ --compare old/ --fail-on broken,flaky
  sse-conformance report badge-svg reports/latest -o badge.svg
  sse-conformance report html load/load.json -o load.html
  sse-conformance report text load.json --compare before.json --tolerance 10% --fail-on worse

Several results of the same target are merged: a requirement whose verdicts differ is flaky, and is shown with the
verdict that needs most attention and in how many runs it was given.

--compare says what became of each requirement: broken (violated now, and was not before; warnings count), fixed,
changed (any other verdict), flaky (the new runs disagree), new, removed. With --fail-on the exit code is 1 if a
change of one of these kinds is there, or if results have no counterpart to be compared with. Otherwise it is 0,
whatever the verdicts are: 4 is a result that cannot be read.

Results of load runs (`sse-conformance load`) are shown one by one and never merged. There --compare says what is worse
or better by more than --tolerance (10% if it is not said; correctness has none); two runs of different loads cannot be
compared, which counts as worse.
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
    parser.add_argument(
        "--fail-on",
        metavar="KIND,…",
        help=f"exit with 1 on: {', '.join(Kind)}; of load runs: {Trend.WORSE}",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        metavar="SHARE",
        help="load runs: what is no change, 10%% or 0.1, say",
    )
    parser.set_defaults(run=run)


def _tolerance(text: str) -> float:
    try:
        return parse_tolerance(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Print or write the document; 1 if a change that must not be is there."""
    chosen, output = FORMATS[options.format], options.output
    kinds = tuple(part.strip() for part in (options.fail_on or "").split(",") if part.strip())
    if kinds and not options.compare:
        return _usage("--fail-on needs --compare: without older results nothing is broken or fixed")
    if options.compare and not chosen.compares:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.compares)
        return _usage(f"--compare: {options.format} cannot show changes, these can: {able}")
    try:
        new, old = _read(options.result), _read(options.compare or ())
        made = (
            _load(options, new, old, kinds) if _of_load(new, old) else _conformance(options, new, old, kinds)
        )
    except ResultError as error:
        return _usage(str(error))
    document, changed = made
    if output is None:
        print(document, end="")
    else:
        try:
            output.write_text(document, encoding="utf-8")
        except OSError as error:
            return _usage(f"{output}: cannot be written: {error.strerror}")
    return exits.FAILED if changed else exits.OK


_Found = Sequence[tuple[Path, RunResult | LoadResult]]


def _read(paths: Sequence[Path]) -> _Found:
    """The results in these files, each once."""
    seen: dict[str, Path] = {}
    kept = []
    for path, found in read_any(paths):
        if found.id in seen:
            print(f"{path}: the same run as in {seen[found.id]}: it counts once", file=sys.stderr)
            continue
        seen[found.id] = path
        kept.append((path, found))
    return kept


def _of_load(*groups: _Found) -> bool:
    """Whether these are results of load runs, and not of conformance runs."""
    first: tuple[Path, bool] | None = None
    for path, found in (entry for group in groups for entry in group):
        kind = isinstance(found, LoadResult)
        if first is not None and first[1] is not kind:
            one, other = (path, first[0]) if kind else (first[0], path)
            raise ResultError(
                f"{one}: the result of a load run, and {other} is none: expected one kind alone"
            )
        first = (path, kind)
    return first is not None and first[1]


def _conformance(
    options: argparse.Namespace, new: _Found, old: _Found, kinds: Sequence[str]
) -> tuple[str, bool]:
    """The document, and whether something is there that must not be."""
    _known(kinds, tuple(Kind))
    if options.tolerance is not None:
        raise ResultError("--tolerance: verdicts have none: it is for results of load runs")
    chosen = FORMATS[options.format]
    runs = _merged(new, options.output, chosen)
    compared = compare_all(_merged(old, options.output, chosen), runs) if old else None
    bad = bool(kinds) and compared is not None and _bad(compared, kinds)
    return chosen.render(Rendering(runs, compared)), bad


def _load(options: argparse.Namespace, new: _Found, old: _Found, kinds: Sequence[str]) -> tuple[str, bool]:
    """The same for load runs."""
    _known(kinds, (Trend.WORSE,))
    chosen = FORMATS[options.format]
    if chosen.render_load is None:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.render_load is not None)
        raise ResultError(f"{options.format} cannot show load runs, these can: {able}")
    if options.tolerance is not None and not old:
        raise ResultError("--tolerance needs --compare: without older results nothing is worse")
    tolerance = DEFAULT_TOLERANCE if options.tolerance is None else options.tolerance
    results = tuple(found for _, found in new if isinstance(found, LoadResult))
    before = tuple(found for _, found in old if isinstance(found, LoadResult))
    try:
        comparisons = compare_all_loads(before, results, tolerance) if before else ()
    except ValueError as error:
        raise ResultError(f"--compare: {error}") from None
    bad = bool(kinds) and any(comparison.regressed for comparison in comparisons)
    return chosen.render_load(LoadRendering(results, comparisons)), bad


def _known(kinds: Sequence[str], all_kinds: Sequence[str]) -> None:
    if unknown := [kind for kind in kinds if kind not in all_kinds]:
        raise ResultError(f"--fail-on {unknown[0]}: expected some of {', '.join(all_kinds)}")


def _merged(found: _Found, output: Path | None, chosen: Format) -> tuple[RunResult, ...]:
    """The results of conformance runs, merged, with links to exchanges and pages relative to the document."""
    folder = Path.cwd() if output is None else output.parent
    return chosen.merge(
        with_pages(_rebased(run, path.parent, folder), path, folder)
        for path, run in found
        if isinstance(run, RunResult)
    )


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
