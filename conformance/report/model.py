"""The one result model (schemas/own/result.schema.json): what a run said, as data.

Every document is made from it.
A header and a footer stand around the results, so that a truncated file is recognised.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from conformance import __version__
from conformance.findings import Finding, Level, Verdict
from conformance.judge import Evidence, Result

FORMAT = "sse-conformance/result/1"
# The order in which the verdicts of a run are counted and shown, with their short names.
SHORT = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WARN: "warn",
    Verdict.NOTE: "note",
    Verdict.NOT_APPLICABLE: "n/a",
    Verdict.INCONCLUSIVE: "inconclusive",
}


class ResultError(ValueError):
    """A result file that cannot be read. One line: what, where, what was expected."""


@dataclass(frozen=True, slots=True)
class FoundFinding:
    """A finding as a report holds it: where it was found, and the file in which the exchange is kept."""

    probe: str
    title: str
    expected: str
    observed: str
    role: str = ""
    event: int | None = None
    span: tuple[int, int] | None = None
    saved: str = ""  # path of the observation, relative to the result file
    curl: str = ""

    @classmethod
    def of(cls, evidence: Evidence, *, saved: str, curl: str) -> FoundFinding:
        """From a judgement's evidence."""
        f: Finding = evidence.finding
        return cls(evidence.probe, f.title, f.expected, f.observed, f.role, f.event, f.span, saved, curl)


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One requirement's verdict in a report."""

    requirement: str
    level: Level
    verdict: Verdict
    statement: str
    source: str
    reason: str = ""
    findings: tuple[FoundFinding, ...] = ()
    notes: tuple[str, ...] = ()
    judged: int = 0
    probes: tuple[str, ...] = ()
    seconds: float = 0.0

    @classmethod
    def of(cls, result: Result, findings: Sequence[FoundFinding]) -> ResultRow:
        """From a judge's result."""
        row = result.requirement
        return cls(
            row.id,
            result.level,
            result.verdict,
            row.statement,
            row.source,
            result.reason,
            tuple(findings),
            result.notes,
            result.judged,
            result.probes,
            round(result.seconds, 3),
        )

    def to_json(self) -> str:
        """The row as JSON text: plain enough for its way from a worker process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_data(cls, raw: Mapping[str, Any]) -> ResultRow:
        """Read back what `asdict` made of one."""
        findings = tuple(
            FoundFinding(**{**f, "span": None if f["span"] is None else (f["span"][0], f["span"][1])})
            for f in raw["findings"]
        )
        data = {
            **raw,
            "level": Level(raw["level"]),
            "verdict": Verdict(raw["verdict"]),
            "findings": findings,
            "notes": tuple(raw["notes"]),
            "probes": tuple(raw["probes"]),
        }
        return cls(**data)


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything that one run said of one target. `seconds` is the wall time of its probes and rules."""

    target: str
    protocol: str
    rows: tuple[ResultRow, ...]
    name: str = ""
    started: str = ""
    seconds: float = 0.0
    suite: str = __version__

    @property
    def counts(self) -> dict[Verdict, int]:
        """How often each verdict was given; every verdict is a key."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in Verdict}

    @property
    def slowest(self) -> ResultRow | None:
        """The requirement that took longest."""
        return max(self.rows, key=lambda row: row.seconds, default=None)

    def summary_line(self) -> str:
        """The last line of a run."""
        counts = self.counts
        parts = [f"{counts[verdict]} {short}" for verdict, short in SHORT.items()]
        if counts[Verdict.EXPECTED]:
            parts.append(f"{counts[Verdict.EXPECTED]} expected")
        return " · ".join([*parts, f"suite {self.suite}", self.protocol, self.target])


def dumps(run: RunResult) -> str:
    """The run as one JSON document with header and footer."""
    counts = {verdict.value: count for verdict, count in run.counts.items()}
    document = {
        "header": {
            "format": FORMAT,
            "suite": run.suite,
            "protocol": run.protocol,
            "target": run.target,
            "name": run.name,
            "started": run.started,
        },
        "results": [asdict(row) for row in run.rows],
        "footer": {
            "complete": True,
            "results": len(run.rows),
            "counts": counts,
            "seconds": round(run.seconds, 3),
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def loads(text: str, *, where: str = "result") -> RunResult:
    """Read a result document. Raises `ResultError` where it is no result, damaged or truncated."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ResultError(f"{where}: not a whole JSON document (truncated?): {error}") from None
    if not isinstance(raw, dict) or raw.get("header", {}).get("format") != FORMAT:
        raise ResultError(f"{where}: not a result: expected a header with format {FORMAT!r}")
    try:
        header, footer = raw["header"], raw["footer"]
        rows = tuple(ResultRow.from_data(entry) for entry in raw["results"])
        if footer["results"] != len(rows):
            raise ResultError(
                f"{where}: truncated: the footer counts {footer['results']} results, {len(rows)} are there"
            )
        return RunResult(
            header["target"],
            header["protocol"],
            rows,
            name=header["name"],
            started=header["started"],
            seconds=footer["seconds"],
            suite=header["suite"],
        )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ResultError):
            raise
        raise ResultError(f"{where}: a damaged result: {type(error).__name__}: {error}") from None


def read(path: Path) -> RunResult:
    """Read a result file. Raises `ResultError`, and `OSError` where it cannot be opened."""
    return loads(path.read_text(encoding="utf-8"), where=str(path))
