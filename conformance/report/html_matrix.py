"""The matrix as one HTML page: search, filters by verdict, level and implementation, deep links into the reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from conformance import __version__
from conformance.findings import Verdict
from conformance.report.html_page import page
from conformance.report.html_text import count
from conformance.report.html_view import LEVELS, WORDS, parts_of, when
from conformance.report.matrix import Family, families
from conformance.report.model import ATTENTION, RunResult


def render(runs: Sequence[RunResult]) -> str:
    """The page: a table for each protocol, a column for each result, a row for each requirement."""
    shown = families(runs)
    columns = [column for family in shown for column in family.columns]
    return page(
        "matrix.html",
        styles=("tools.css", "matrix.css"),
        scripts=("tools.js", "matrix.js"),
        families=shown,
        headline=_headline(shown),
        labels=dict(
            sorted({column.key: column.label for column in columns}.items(), key=lambda pair: pair[1])
        ),
        verdicts=_verdicts(shown),
        levels=list(LEVELS.values()),
        level_words=LEVELS,
        words=WORDS,
        parts=parts_of,
        when=when,
        suites=sorted({column.run.suite for column in columns}),
        rows=sum(len(family.rows) for family in shown),
        version=__version__,
    )


def _headline(shown: Sequence[Family]) -> str:
    labels = {column.label for family in shown for column in family.columns}
    protocols = count(len(shown), "protocol")
    return f"{count(len(labels), 'implementation')} of {protocols}" if labels else "No results"


def _verdicts(shown: Sequence[Family]) -> list[tuple[str, str, int]]:
    """Name, word and number of rows of every verdict that occurs: what can be filtered by."""
    rows: Counter[Verdict] = Counter()
    for family in shown:
        for row in family.rows:
            rows.update({cell.row.verdict for cell in row.cells if cell.row is not None})
    return [(verdict.value, WORDS[verdict], rows[verdict]) for verdict in ATTENTION if rows[verdict]]


__all__ = ["render"]
