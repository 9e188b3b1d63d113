"""From a judge's evidence to findings as reports hold them: redacted, with the bytes and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from conformance.findings import Finding
from conformance.judge import Evidence
from conformance.report.curl import curl_line
from conformance.report.excerpt import cut
from conformance.report.lanes import Lanes
from conformance.report.model import FoundFinding
from conformance.rules.base import Case
from conformance.transcript import Observation

_EXCERPTS = 3  # findings of a row that show their bytes
_TIMELINES = 2  # findings of a row, each of another probe, that show their exchange over time


class Exhibit:
    """What one probe saw, as it may be shown: `observation` is redacted, `saved` the path where it is kept."""

    def __init__(self, observation: Observation, saved: str = "") -> None:
        self.case = Case(observation)
        self._lanes = Lanes(self.case)
        self.saved = saved

    def found(self, finding: Finding, *, show: bool, draw: bool) -> FoundFinding:
        """The finding with, if asked for, its bytes and the picture of its exchange."""
        found = FoundFinding(
            probe=self.case.observation.probe,
            title=finding.title,
            expected=finding.expected,
            observed=finding.observed,
            role=finding.role,
            event=finding.event,
            span=finding.span,
            saved=self.saved,
            curl=self._curl(finding.role),
        )
        stream = self.case.stream(finding.role)
        if show and stream is not None and finding.span is not None:
            found = replace(found, excerpt=cut(finding.role, stream.body, finding.span))
        return replace(found, timeline=self._lanes.timeline(finding)) if draw else found

    def _curl(self, role: str) -> str:
        observation = self.case.observation
        recorded = observation.transcript(role) if role else None
        if recorded is None and observation.transcripts:
            recorded = observation.transcripts[0][1]
        return "" if recorded is None else curl_line(recorded.request)


def exhibited(
    evidence: Iterable[Evidence], exhibit: Callable[[str], Exhibit], clean: Callable[[str], str]
) -> tuple[FoundFinding, ...]:
    """The findings of one row. `exhibit` gives what a probe saw, `clean` takes secrets out of text."""
    made: list[FoundFinding] = []
    drawn: set[str] = set()
    for piece in evidence:
        finding = piece.finding
        finding = replace(
            finding,
            title=clean(finding.title),
            expected=clean(finding.expected),
            observed=clean(finding.observed),
        )
        draw = piece.probe not in drawn and len(drawn) < _TIMELINES
        made.append(exhibit(piece.probe).found(finding, show=len(made) < _EXCERPTS, draw=draw))
        drawn.add(piece.probe)
    return tuple(made)


__all__ = ["Exhibit", "exhibited"]
