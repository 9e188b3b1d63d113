"""A run as Markdown: for pull requests, CI summaries and people without a browser."""

from __future__ import annotations

from collections.abc import Iterable

from conformance.findings import Verdict
from conformance.report.model import ResultRow, RunResult

# What a reader wants to see first.
_ORDER = (
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.WARN,
    Verdict.EXPECTED,
    Verdict.NOTE,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
_MARK = {
    Verdict.FAIL: "❌ fail",
    Verdict.INCONCLUSIVE: "❓ inconclusive",
    Verdict.WARN: "⚠️ warn",
    Verdict.EXPECTED: "☑️ expected",
    Verdict.NOTE: "ℹ️ note",
    Verdict.PASS: "✅ pass",
    Verdict.NOT_APPLICABLE: "➖ n/a",
}


def render(runs: Iterable[RunResult]) -> str:
    """One section per run: the counts, what needs attention in full, then every row."""
    return "\n".join(_section(run) for run in runs)


def _section(run: RunResult) -> str:
    lines = [f"## {run.protocol} · {run.target}", "", run.summary_line(), ""]
    attention = [row for verdict in _ORDER[:4] for row in run.rows if row.verdict is verdict]
    for row in attention:
        lines += _detail(row)
    lines += [
        "<details><summary>Every requirement</summary>",
        "",
        "| verdict | requirement | level | statement |",
    ]
    lines += ["| --- | --- | --- | --- |"]
    for verdict in _ORDER:
        for row in run.rows:
            if row.verdict is verdict:
                said = _cell(row.statement) + "".join(f"<br>{_cell(note)}" for note in row.notes[:5])
                lines.append(f"| {_MARK[verdict]} | {row.requirement} | {row.level.value} | {said} |")
    return "\n".join([*lines, "", "</details>", ""])


def _detail(row: ResultRow) -> list[str]:
    lines = [
        f"### {_MARK[row.verdict]}: {row.requirement} ({row.level.value})",
        "",
        row.statement,
        "",
        f"*Source: {row.source}*",
    ]
    lines.append("")
    if row.reason:
        lines += [row.reason, ""]
    for finding in row.findings[:5]:
        where = f"probe `{finding.probe}`" + (f", stream `{finding.role}`" if finding.role else "")
        where += f", event {finding.event}" if finding.event is not None else ""
        where += f", bytes {finding.span[0]}–{finding.span[1]}" if finding.span else ""
        lines += [f"- **{_text(finding.title)}** ({where})"]
        lines += [f"  - expected: {_text(finding.expected)}", f"  - observed: {_text(finding.observed)}"]
        if finding.saved:
            lines.append(f"  - exchange: `{finding.saved}`")
        if finding.curl:
            lines.append(f"  - `{finding.curl}`")
    if len(row.findings) > 5:
        lines.append(f"- … and {len(row.findings) - 5} more")
    return [*lines, ""]


def _text(text: str) -> str:
    """Text of a server in a Markdown line: no line ends, nothing that is read as HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")
