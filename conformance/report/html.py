"""Runs as one HTML page that needs nothing beside it: no network, no other file, and no script to be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from conformance import __version__
from conformance.report.compare import Compared
from conformance.report.html_evidence import Shown, evidence, size
from conformance.report.html_page import page
from conformance.report.html_view import (
    LEVELS,
    WORDS,
    ComparedView,
    RunView,
    changes,
    headline,
    views,
)
from conformance.report.model import ATTENTION, RunResult

MOST_BYTES = 1_000_000  # of a page of full runs
_EVIDENCE = 600_000
_SPARE = 30_000


def render(runs: Sequence[RunResult], compared: Compared | None = None) -> str:
    """The page: a section for each run, in the order given; links to saved observations are relative to it.

    With `compared` it begins with what changed since older results.
    """
    shown = views(runs)
    changed = () if compared is None else changes(compared, shown)
    bare = size(_render(shown, changed, {}))
    budget = max(0, min(_EVIDENCE, MOST_BYTES - _SPARE - bare))
    rows = [(view.id, view.row) for run in shown for view in run.attention]
    # What needs no attention may have findings, too: notes of level I, say. It comes last.
    rows += [(view.id, view.row) for run in shown for area in run.areas for view in area.rows]
    return _render(shown, changed, evidence(rows, budget))


def _render(shown: Sequence[RunView], changed: Sequence[ComparedView], findings: Mapping[str, Shown]) -> str:
    return page(
        "report.html",
        styles=("tools.css", "report.css", "lens.css"),
        scripts=("tools.js", "report.js"),
        runs=shown,
        changed=changed,
        alone=sum(len(view.attention) for view in shown) == 1,
        headline=headline(shown),
        verdicts=_verdicts(shown),
        levels=list(LEVELS.values()),
        findings=findings,
        nothing=Shown(),
        version=__version__,
    )


def _verdicts(shown: Sequence[RunView]) -> list[tuple[str, str, int]]:
    """Name, word and number of every verdict that occurs: what can be filtered by."""
    times = Counter(row.verdict for view in shown for row in view.run.rows)
    return [(verdict.value, WORDS[verdict], times[verdict]) for verdict in ATTENTION if times[verdict]]
