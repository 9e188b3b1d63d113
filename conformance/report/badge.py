"""A badge: JSON for shields.io's endpoint (https://shields.io/badges/endpoint-badge), or the picture itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.findings import Verdict
from conformance.report.html_page import environment
from conformance.report.model import RunResult

# Names that shields.io knows, and how dark they must be for white text (WCAG 2.2 §1.4.3: 4.5 to 1).
_COLOURS = {"brightgreen": "#2b7a0b", "yellow": "#8a6d00", "orange": "#b34700", "red": "#c62828"}
_NARROW, _WIDE = "fijlrtI.,:;'|!()[] /-", "mwMW%@"


@dataclass(frozen=True, slots=True)
class Badge:
    """What a badge says. `color` is one of shields.io's names."""

    label: str
    message: str
    color: str


def badge(runs: Sequence[RunResult]) -> Badge:
    """The worst that can be said of all runs together, in a few words."""
    label = runs[0].protocol if len(runs) == 1 else "event streams"
    count = {verdict: sum(run.counts[verdict] for run in runs) for verdict in Verdict}
    stale, flaky = sum(run.stale for run in runs), sum(run.flaky for run in runs)
    red = [row for run in runs for row in run.rows if row.red]
    if count[Verdict.FAIL]:
        return Badge(label, f"{count[Verdict.FAIL]} fail", "red")
    if stale:
        return Badge(label, f"{stale} stale in the baseline", "red")
    if red:
        return Badge(label, f"{len(red)} inconclusive", "orange")
    if flaky:
        return Badge(label, f"{flaky} flaky", "orange")
    if not count[Verdict.PASS]:
        return Badge(label, "nothing judged", "orange")
    said, color = [f"{count[Verdict.PASS]} pass"], "brightgreen"
    if count[Verdict.EXPECTED]:
        said.append(f"{count[Verdict.EXPECTED]} expected to fail")
        color = "yellow"
    if any(len(run.rows) < run.testable or run.gave_up for run in runs):
        said.append("partial")
        color = "yellow"
    return Badge(label, ", ".join(said), color)


def render(runs: Sequence[RunResult]) -> str:
    """The JSON of shields.io's endpoint."""
    made = badge(runs)
    data = {"schemaVersion": 1, "label": made.label, "message": made.message, "color": made.color}
    return json.dumps(data | ({"isError": True} if made.color == "red" else {})) + "\n"


def render_svg(runs: Sequence[RunResult]) -> str:
    """The badge as an SVG picture."""
    made = badge(runs)
    picture = (
        environment()
        .get_template("badge.svg")
        .render(badge=made, colour=_COLOURS[made.color], left=_width(made.label), right=_width(made.message))
    )
    return picture + "\n"


def _width(text: str) -> int:
    """Pixels that the text takes at 11 px, about; the picture stretches it to exactly that."""
    wide = sum(3.9 if c in _NARROW else 9.5 if c in _WIDE else 6.6 for c in text)
    return round(wide) + 12
