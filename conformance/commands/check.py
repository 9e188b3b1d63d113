"""`sse-conformance check FILE…`: judge recordings offline, as far as one recording can answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from conformance import exits
from conformance.catalogue import protocols
from conformance.findings import Level, Verdict
from conformance.judge import HarnessError, Result
from conformance.offline import judge_observation
from conformance.recorded import RecordingError, read_recording
from conformance.report.failure import describe
from conformance.report.model import FoundFinding, ResultRow, RunResult, dumps
from conformance.rules.base import Case
from conformance.transcript import Observation


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check",
        help="judge recordings offline",
        description="Judge recorded event streams: an .sse body (with the .json of the same name beside it, "
        "if there is one), '-' for standard input, or an observation that a run saved.",
    )
    parser.add_argument("file", nargs="+", help="recording, saved observation, or -")
    parser.add_argument(
        "--protocol", metavar="P/R", help="protocol revision; a saved observation knows its own"
    )
    parser.add_argument("--json", action="store_true", help="print a result document instead of text")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every requirement that was judged")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge each file; 1 if a MUST fails in any."""
    if options.protocol is not None and options.protocol not in protocols():
        print(
            f"unknown protocol {options.protocol!r}: expected one of {', '.join(protocols())}",
            file=sys.stderr,
        )
        return exits.USAGE
    worst = exits.OK
    for name in options.file:
        try:
            observation = read_recording(name, options.protocol)
            results = judge_observation(observation)
        except RecordingError as error:
            print(error, file=sys.stderr)
            worst = max(worst, exits.USAGE)
            continue
        except HarnessError as error:
            print(f"{name}: harness error: {error}", file=sys.stderr)
            return exits.HARNESS
        document = _document(name, observation, results)
        print(dumps(document) if options.json else _text(document, observation, results, options.verbose))
        if any(result.verdict is Verdict.FAIL for result in results):
            worst = max(worst, exits.FAILED)
    return worst


def _findings(result: Result) -> list[FoundFinding]:
    return [FoundFinding.of(evidence, saved="", curl="") for evidence in result.evidence]


def _document(name: str, observation: Observation, results: Sequence[Result]) -> RunResult:
    rows = tuple(ResultRow.of(result, _findings(result)) for result in results)
    return RunResult(name, observation.profile.protocol, rows, "recording", observation.started)


def _text(document: RunResult, observation: Observation, results: Sequence[Result], verbose: bool) -> str:
    case = Case(observation)
    parts = []
    for result in results:
        if result.evidence and result.level is not Level.INFO:
            streams = [case.stream(evidence.finding.role) for evidence in result.evidence]
            parts.append(describe(result, _findings(result), streams) + "\n")
    for result in results:
        if result.notes:
            parts.append(f"{result.requirement.id}: {'; '.join(result.notes)}")
    if verbose:
        for result in results:
            reason = f" ({result.reason})" if result.reason else ""
            parts.append(f"{result.requirement.id:<14} {result.verdict.value}{reason}")
    if not any(exchange.transcript.is_event_stream for exchange in case.exchanges):
        parts.append("this is a plain HTTP answer, not an event stream: only what holds for those was judged")
    return "\n".join([*parts, document.summary_line()])
