"""Common Test Report Format (https://ctrf.io, specification version 0.0.0): one test for each requirement."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from conformance import __version__
from conformance.findings import Level, Verdict
from conformance.report.files import json_text
from conformance.report.model import FoundFinding, ResultRow, RunResult

SPEC = "0.0.0"
_LEVEL = {Level.MUST: "must", Level.SHOULD: "should", Level.INFO: "info"}
_STATUSES = ("passed", "failed", "skipped", "pending", "other")
_SKIPPED = (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE, Verdict.EXPECTED)
_FINDINGS = 5  # in the trace of one test


def render(runs: Sequence[RunResult]) -> str:
    """The document. Its statuses agree with pytest's: a row is failed where it turned the run red."""
    tests = [_test(run, row) for run in runs for row in run.rows]
    counted = Counter(test["status"] for test in tests)
    spans = [_span(run) for run in runs]
    start, stop = min(span[0] for span in spans), max(span[1] for span in spans)
    ids = "+".join(run.id for run in runs)
    document = {
        "reportFormat": "CTRF",
        "specVersion": SPEC,
        "reportId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"ctrf+{ids}")),
        "timestamp": datetime.fromtimestamp(stop / 1000, UTC).isoformat(timespec="seconds"),
        "generatedBy": f"sse-conformance {__version__}",
        "results": {
            "tool": {"name": "sse-conformance", "version": runs[0].suite},
            "summary": {
                "tests": len(tests),
                **{status: counted[status] for status in _STATUSES},
                "flaky": sum(run.flaky for run in runs),
                "suites": len(runs),
                "start": start,
                "stop": stop,
                "duration": stop - start,
            },
            "tests": tests,
            "extra": {"runs": [_about(run) for run in runs]},
        },
    }
    return json_text(document)


def status(row: ResultRow) -> str:
    """The row's verdict in CTRF's words."""
    if row.red or row.verdict is Verdict.FAIL:
        return "failed"
    return "skipped" if row.verdict in _SKIPPED else "passed"


def _about(run: RunResult) -> dict[str, Any]:
    judged, testable = run.coverage
    return {
        "id": run.id,
        "protocol": run.protocol,
        "target": run.target,
        "suite": run.suite,
        "runs": run.runs,
        "judged": judged,
        "testable": testable,
        "counts": {verdict.value: count for verdict, count in run.counts.items()},
    }


def _test(run: RunResult, row: ResultRow) -> dict[str, Any]:
    test: dict[str, Any] = {
        "name": f"{row.requirement}: {row.statement}",
        "status": status(row),
        "duration": round(row.seconds * 1000),
        "suite": [part for part in (run.protocol, run.target, row.group) if part],
        "rawStatus": row.verdict.value,
        "tags": [_LEVEL[row.level], run.protocol],
        "type": "conformance",
    }
    if message := _message(row):
        test["message"] = message
    if row.findings and row.verdict is not Verdict.NOTE:
        test["trace"] = "\n\n".join(_trace(finding) for finding in row.findings[:_FINDINGS])
    if saved := dict.fromkeys(finding.saved for finding in row.findings if finding.saved):
        test["attachments"] = [
            {"name": path.rpartition("/")[2], "contentType": "application/json", "path": path}
            for path in saved
        ]
    if row.tally:
        test["flaky"] = row.flaky
        test["retries"] = row.times[1] - 1
    tally = {verdict.value: count for verdict, count in row.tally}
    test["extra"] = {"requirement": row.requirement, "source": row.source} | (
        {"tally": tally} if tally else {}
    )
    return test


def _message(row: ResultRow) -> str:
    if row.baseline in ("stale", "expired"):
        return f"{row.baseline} in the baseline{f': {row.reason}' if row.reason else ''}"
    if row.reason:
        return row.reason
    return row.findings[0].title if row.findings else "; ".join(row.notes)


def _trace(finding: FoundFinding) -> str:
    lines = [finding.title, f"expected: {finding.expected}", f"observed: {finding.observed}"]
    lines += [f"probe: {finding.probe}"] + ([f"again: {finding.curl}"] if finding.curl else [])
    return "\n".join(lines)


def _span(run: RunResult) -> tuple[int, int]:
    """Start and end in milliseconds since 1970; 0 where the start was not noted."""
    try:
        began = datetime.fromisoformat(run.started)
    except ValueError:
        began = datetime.fromtimestamp(0, UTC)
    began = began.replace(tzinfo=began.tzinfo or UTC)
    ended = began + timedelta(seconds=run.duration or run.seconds)
    return round(began.timestamp() * 1000), round(ended.timestamp() * 1000)
