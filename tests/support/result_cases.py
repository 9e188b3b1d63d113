"""Results of runs that never were, for tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.findings import Level, Verdict
from conformance.report.excerpt import Excerpt
from conformance.report.model import Declared, FoundFinding, ResultRow, RunResult
from conformance.report.timeline import Lane, Mark, MarkKind, Timeline

GUILTY = (Verdict.FAIL, Verdict.WARN, Verdict.EXPECTED)
OPEN = (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE)

TIMELINE = Timeline(
    2.5,
    (
        Lane("", "what the probe did", 0.1, 2.0, marks=(Mark(0.1, MarkKind.ACTION, "prompt"),)),
        Lane(
            "stream",
            "GET /api/v1/events/sse",
            0.0,
            2.5,
            head=0.01,
            status=200,
            how="closed by the probe",
            marks=(Mark(0.02, MarkKind.EVENT, "server.connected"), Mark(1.0, MarkKind.HEARTBEAT, "comment")),
            events=1,
            marked=0,
        ),
    ),
    at=0.02,
)
EXCERPT = Excerpt("stream", 10, b"data: \xff\x00 1\n\n", (6, 8), cut_before=True)
FINDING = FoundFinding(
    "text",
    "a line | with <b>",
    "x",
    "y",
    "stream",
    0,
    (16, 18),
    "observations/penguin-2.text.json",
    "curl -N http://127.0.0.1:9/api/v1/events/sse",
    EXCERPT,
    TIMELINE,
)


def row(
    name: str, verdict: Verdict, level: Level = Level.MUST, *, finding: FoundFinding = FINDING, **more: Any
) -> ResultRow:
    """A row with what its verdict needs: findings for a guilty one, a reason for an open one."""
    made = ResultRow(
        name,
        level,
        verdict,
        f"What {name} says.",
        "the document",
        reason="why" if verdict in OPEN else "",
        findings=(finding,) if verdict in GUILTY else (),
        judged=0 if verdict in OPEN else 3,
        probes=("text",),
        seconds=0.25,
        method="Looked at in every stream.",
        group="Events",
        red=verdict is Verdict.FAIL or (verdict is Verdict.INCONCLUSIVE and level is Level.MUST),
    )
    return replace(made, **more)


def run(*rows: ResultRow, **more: Any) -> RunResult:
    """A run of Penguin, revision 2, that said this."""
    made = RunResult(
        "http://127.0.0.1:9",
        "penguin/2",
        rows,
        name="mine",
        started="2026-01-01T00:00:00+00:00",
        seconds=1.5,
        title="Penguin, revision 2",
        document="Penguin event stream",
        declared=Declared((("resume", "yes"), ("heartbeat", "15 s")), ("prompt", "read")),
        testable=len(rows),
        duration=2.0,
        exit_status=int(any(entry.red for entry in rows)),
    )
    return replace(made, **more)


def every_verdict() -> RunResult:
    """A run in which every verdict was given."""
    return run(
        row("PG-CON-01", Verdict.FAIL),
        row("PG-CON-02", Verdict.PASS),
        row("PG-EVT-01", Verdict.WARN, Level.SHOULD),
        row("PG-EVT-02", Verdict.INCONCLUSIVE, reason="the target stopped answering"),
        row("PG-MSG-01", Verdict.EXPECTED, baseline="expected", reason="expected: later"),
        row("SSE-FMT-03", Verdict.NOTE, Level.INFO, notes=("LF",)),
        row("SSE-HTTP-09a", Verdict.NOT_APPLICABLE, reason="the profile does not declare cors"),
        gave_up="the target stopped answering",
    )
