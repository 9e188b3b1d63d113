"""The one result model: what a run said, as data. Every document is made from it and from nothing else.

`files.py` reads and writes it (schemas/own/result.schema.json).
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from conformance import __version__
from conformance.findings import Level, Verdict
from conformance.judge import Result
from conformance.lens.result import Lens
from conformance.profile import Implementation
from conformance.report.excerpt import Excerpt
from conformance.report.timeline import Timeline

# The order in which the verdicts of a run are counted and shown, with their short names.
SHORT = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WARN: "warn",
    Verdict.NOTE: "note",
    Verdict.NOT_APPLICABLE: "n/a",
    Verdict.INCONCLUSIVE: "inconclusive",
}
# What a reader wants to see first.
ATTENTION = (
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.WARN,
    Verdict.EXPECTED,
    Verdict.NOTE,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
OPEN = (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE)  # nothing was said of the target


@dataclass(frozen=True, slots=True)
class FoundFinding:
    """A finding as a report holds it: where it was found, and the file in which the exchange is kept.

    The first findings of a row carry their excerpt and timeline, the others only say what was seen.
    """

    probe: str
    title: str
    expected: str
    observed: str
    role: str = ""
    event: int | None = None
    span: tuple[int, int] | None = None
    saved: str = ""  # path of the observation, relative to the result file
    curl: str = ""
    excerpt: Excerpt | None = None
    timeline: Timeline | None = None


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One requirement's verdict in a report.

    `method` says in prose how it is judged, `group` names the part of the catalogue that it belongs to.
    `baseline` is "" or what became of the baseline's entry: "expected", "stale" (it passes now), "expired".
    `red` says whether the row turned the run red: a failure, an inconclusive MUST, an entry to remove.
    `tally` is how often each verdict was given where several runs are merged, () for a single run; then
    `verdict` is the one that needs most attention. `page` is where a report shows the row, "" if that is not known:
    an address relative to the document. `lens` is what clients saw of the same bytes, where that was looked at.
    """

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
    method: str = ""
    group: str = ""
    baseline: str = ""
    red: bool = False
    tally: tuple[tuple[Verdict, int], ...] = ()
    page: str = ""
    lens: Lens | None = None

    @classmethod
    def of(
        cls, result: Result, findings: Sequence[FoundFinding], *, baseline: str = "", red: bool = False
    ) -> ResultRow:
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
            method=row.judged,
            group=row.group,
            baseline=baseline,
            red=red,
        )

    @property
    def flaky(self) -> bool:
        """Whether merged runs differ in their verdict."""
        return len(self.tally) > 1

    @property
    def times(self) -> tuple[int, int]:
        """In how many of how many runs the verdict was given: (1, 1) for a single run."""
        if not self.tally:
            return (1, 1)
        return dict(self.tally)[self.verdict], sum(count for _, count in self.tally)


@dataclass(frozen=True, slots=True)
class Declared:
    """What the run was told of its target: declared capabilities with their values, effects allowed, switches."""

    capabilities: tuple[tuple[str, str], ...] = ()
    effects: tuple[str, ...] = ()
    script: bool = True
    strict: bool = False


@dataclass(frozen=True, slots=True)
class RunResult:
    """Everything that one run said of one target, or that several runs of it said together (`runs`).

    `seconds` is what probes and rules took, `duration` the wall time of the whole session. `testable` counts
    the requirements of the revision that can be tested. `exit_status` is the session's (`conformance.exits`),
    None where no session gave one. `gave_up` says why the target was not probed to the end, "" if it was.
    `implementation` says which program the target was. `id` says nothing about the machine.
    """

    target: str
    protocol: str
    rows: tuple[ResultRow, ...]
    name: str = ""
    started: str = ""
    seconds: float = 0.0
    suite: str = __version__
    title: str = ""  # of the protocol revision
    document: str = ""  # that describes it
    declared: Declared = Declared()
    testable: int = 0
    duration: float = 0.0
    exit_status: int | None = None
    gave_up: str = ""
    runs: int = 1
    implementation: Implementation = field(default_factory=Implementation)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def label(self) -> str:
        """What to call the program: as the profile names it, else the profile itself, else the target."""
        said = self.implementation
        if said.name:
            return f"{said.name} {said.version}".strip()
        return self.target if self.name in ("", f"{self.protocol} default") else self.name

    @property
    def counts(self) -> dict[Verdict, int]:
        """How often each verdict was given; every verdict is a key."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in Verdict}

    @property
    def counts_by_level(self) -> dict[Level, dict[Verdict, int]]:
        """The same for each level; every level and every verdict is a key."""
        counted = Counter((row.level, row.verdict) for row in self.rows)
        return {level: {verdict: counted[level, verdict] for verdict in Verdict} for level in Level}

    @property
    def hidden(self) -> int:
        """How many failures the baseline hides."""
        return self.counts[Verdict.EXPECTED]

    @property
    def stale(self) -> int:
        """How many entries of the baseline must be removed: they pass now, or have expired."""
        return sum(row.baseline in ("stale", "expired") for row in self.rows)

    @property
    def flaky(self) -> int:
        """How many requirements differ between the runs that are merged here."""
        return sum(row.flaky for row in self.rows)

    @property
    def coverage(self) -> tuple[int, int]:
        """How many of the revision's testable requirements have a verdict on the target."""
        return sum(row.verdict not in OPEN for row in self.rows), max(self.testable, len(self.rows))

    @property
    def slowest(self) -> ResultRow | None:
        """The requirement that took longest."""
        return max(self.rows, key=lambda row: row.seconds, default=None)

    def summary_line(self) -> str:
        """The last line of a run."""
        counts = self.counts
        parts = [f"{counts[verdict]} {short}" for verdict, short in SHORT.items()]
        extra = {"expected": self.hidden, "stale in the baseline": self.stale, "flaky": self.flaky}
        parts += [f"{count} {word}" for word, count in extra.items() if count]
        if self.runs > 1:
            parts.append(f"{self.runs} runs")
        return " · ".join([*parts, f"suite {self.suite}", self.protocol, self.target])
