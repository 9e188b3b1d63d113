"""`sse-conformance check FILE…`: judge recordings offline, as far as one recording can answer."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from conformance import exits
from conformance.baseline import Baseline, BaselineError, load
from conformance.catalogue import catalogue, protocols, revisions
from conformance.findings import Verdict
from conformance.judge import HarnessError, Result
from conformance.live_input import LiveInput
from conformance.offline import elsewhere, judge_together
from conformance.profile import Implementation
from conformance.recorded import RecordingError, read_recording
from conformance.redact import Redactor
from conformance.report.exhibits import Exhibit, exhibited
from conformance.report.failure import describe
from conformance.report.files import dumps
from conformance.report.model import ResultRow, RunResult
from conformance.rules.base import Case
from conformance.transcript import Observation

_EXAMPLES = """examples:
  sse-conformance check recording.sse --protocol agentsmithy/2
  sse-conformance check *.sse --protocol agentsmithy/2 --together "my server 1.2" --json > result.json
  sse-conformance check report/observations/penguin-2.plain.json -v
  curl -N URL | sse-conformance check - --protocol penguin/1
  curl -iN URL | sse-conformance check - --protocol penguin/2 --max-seconds 10
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check",
        help="judge recordings offline",
        description="Judge recorded event streams: an .sse body (with the .json of the same name beside it, "
        "if there is one), '-' for standard input, or an observation that a run saved. Standard input is read as "
        "it comes; it may begin with the response head (curl -i). Ctrl-C ends an endless one, and what came until "
        "then is judged.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="+", help="recording, saved observation, or -")
    parser.add_argument(
        "--protocol", metavar="P/R", help="protocol revision; a saved observation knows its own"
    )
    parser.add_argument(
        "--max-events", type=_count, metavar="N", help="standard input: judge the first N events"
    )
    parser.add_argument(
        "--max-seconds", type=_seconds, metavar="S", help="standard input: judge what comes within S seconds"
    )
    parser.add_argument(
        "--baseline",
        metavar="FILE",
        help="expected failures (TOML): they do not fail the command, and the last line says how many are hidden",
    )
    parser.add_argument(
        "--together",
        metavar="NAME",
        help="the files are recordings of one program: judge them as one result, and call it so",
    )
    parser.add_argument("--json", action="store_true", help="print a result document instead of text")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every requirement that was judged")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Judge each file; 1 if a MUST fails in any."""
    if options.protocol is not None and options.protocol not in protocols():
        print(
            f"unknown protocol {options.protocol!r}: expected one of {', '.join(protocols())}",
            file=sys.stderr,
        )
        return exits.USAGE
    try:
        baseline = load(Path(options.baseline)) if options.baseline else Baseline()
    except BaselineError as error:
        print(error, file=sys.stderr)
        return exits.USAGE
    with _imports_left_alone():
        return _judged(options, baseline)


@contextmanager
def _imports_left_alone() -> Iterator[None]:
    """Spare the collector what was imported: going through it again and again takes a twentieth of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _judged(options: argparse.Namespace, baseline: Baseline) -> int:
    worst = exits.OK
    apart = [(name, [name]) for name in options.file]
    for title, names in [(options.together, options.file)] if options.together else apart:
        try:
            observations = {name: _observation(name, options) for name in names}
            results = _hidden(judge_together(observations), baseline, _protocol(observations))
        except (RecordingError, ValueError) as error:
            print(error, file=sys.stderr)
            worst = max(worst, exits.USAGE)
            continue
        except HarnessError as error:
            print(f"{title}: harness error: {error}", file=sys.stderr)
            return exits.HARNESS
        document = _document(title, observations, results)
        if options.together:
            document = _of_one_program(document, len(observations))
        print(dumps(document) if options.json else _text(document, observations, results, options.verbose))
        if any(result.verdict is Verdict.FAIL for result in results):
            worst = max(worst, exits.FAILED)
    return worst


def _observation(name: str, options: argparse.Namespace) -> Observation:
    return _piped(options) if name == "-" else read_recording(name, options.protocol)


def _protocol(observations: Mapping[str, Observation]) -> str:
    return next(iter(observations.values())).profile.protocol


def _hidden(results: Iterable[Result], baseline: Baseline, protocol: str) -> list[Result]:
    """The results with the failures that the baseline names. No entry is stale here: a recording cannot tell."""
    made = []
    for result in results:
        known = baseline.get(result.requirement.id, protocol)
        if known is not None and known.standing(result.verdict, date.today()) == "expected":
            result = replace(result, verdict=Verdict.EXPECTED, reason=f"expected: {known.reason}")
        made.append(result)
    return made


def _piped(options: argparse.Namespace) -> Observation:
    counter = _Counter() if sys.stderr.isatty() and not sys.stdin.isatty() else None
    with LiveInput(
        sys.stdin.fileno(), max_events=options.max_events, max_seconds=options.max_seconds, watch=counter
    ) as piped:
        try:
            return read_recording("-", options.protocol, piped=piped)
        finally:
            if counter is not None:
                counter.close()
            if piped.how:
                print(f"standard input: {piped.how}: {_events(piped.events)} judged", file=sys.stderr)


class _Counter:
    """Says on a terminal what has come so far, at most ten times a second."""

    def __init__(self) -> None:
        self._said = 0.0
        self._width = 0

    def __call__(self, events: int, size: int) -> None:
        if (now := time.monotonic()) - self._said >= 0.1:
            self._said = now
            self._show(f"{_events(events)}, {size:,} bytes (Ctrl-C ends and judges)")

    def close(self) -> None:
        """Leave nothing behind."""
        self._show("")
        print(end="\r", file=sys.stderr, flush=True)

    def _show(self, line: str) -> None:
        print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(line)


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _document(title: str, observations: Mapping[str, Observation], results: Sequence[Result]) -> RunResult:
    exhibits = {name: Exhibit(observation) for name, observation in observations.items()}
    cleaners = [Redactor(observation.profile).text for observation in observations.values()]

    def clean(text: str) -> str:
        for cleaner in cleaners:
            text = cleaner(text)
        return text

    def row(result: Result) -> ResultRow:
        found = exhibited(result.evidence, exhibits.__getitem__, clean)
        # No `curl` line: what was asked is not known, or was long ago.
        shown = (
            replace(finding, curl="", probe=evidence.probe if len(exhibits) > 1 else finding.probe)
            for finding, evidence in zip(found, result.evidence, strict=True)
        )
        standing = "expected" if result.verdict is Verdict.EXPECTED else ""
        return ResultRow.of(result, tuple(shown), baseline=standing, red=result.verdict is Verdict.FAIL)

    rows = tuple(row(result) for result in results)
    started = next(iter(observations.values())).started
    return RunResult(title, _protocol(observations), rows, "recording", started)


def _of_one_program(document: RunResult, files: int) -> RunResult:
    """The result of several recordings says which program it is of, and of how much of the protocol."""
    known = catalogue(document.protocol).requirements
    revision = revisions()[document.protocol]
    return replace(
        document,
        target=f"{files} recordings",
        implementation=Implementation(document.target),
        testable=sum(not row.excluded for row in known),
        title=revision.title,
        document=revision.document,
    )


def _text(
    document: RunResult, observations: Mapping[str, Observation], results: Sequence[Result], verbose: bool
) -> str:
    cases = {name: Case(observation) for name, observation in observations.items()}
    parts = []
    for result, row in zip(results, document.rows, strict=True):
        if result.verdict in (Verdict.FAIL, Verdict.WARN):
            streams = [cases[evidence.probe].stream(evidence.finding.role) for evidence in result.evidence]
            parts.append(describe(result, row.findings, streams) + "\n")
    for result in results:
        if result.notes:
            parts.append(f"{result.requirement.id}: {'; '.join(result.notes)}")
    if verbose:
        for result in results:
            reason = f" ({result.reason})" if result.reason else ""
            parts.append(f"{result.requirement.id:<14} {result.verdict.value}{reason}")
    for other in dict.fromkeys(map(elsewhere, observations.values())):
        if other:
            parts.append(f"{other}; only what holds for every event stream was judged")
    exchanges = [exchange.transcript for case in cases.values() for exchange in case.exchanges]
    if not any(transcript.is_event_stream for transcript in exchanges):
        parts.append("this is a plain HTTP answer, not an event stream: only what holds for those was judged")
    return "\n".join([*parts, document.summary_line()])
