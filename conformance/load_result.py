"""What a load run said of a server, as data: was it still correct under load, and how fast was it there?

`report/load_files.py` reads and writes it (schemas/own/load.schema.json), `slo.py` judges it. Times are
seconds; a time *at* which something was is counted from the run's beginning. Nothing here is an average of percentiles:
distributions are whole, so what several processes measured was added up before it came here.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from conformance import __version__
from conformance.profile import Implementation

# What can be wrong with what arrived. `unfinished` counts streams, the others events.
INTEGRITY = ("lost", "doubled", "reordered", "altered", "leaked", "invalid", "unfinished")
# What is measured, with what it is the time of.
DISTRIBUTIONS = {
    "connect": "until the connection stood (TCP, and TLS where it is used)",
    "headers": "from the request to the response head",
    "ttfe": "from the request, or from the prompt, to the first event",
    "ttfc": "from the prompt to the first text of the answer",
    "gap": "between two events of a stream",
    "stall": "the longest gap of each stream",
    "delay": "from the moment at which an event was due to its arrival",
    "skew": "from the first subscriber that had an event to the last",
    "duration": "a whole stream",
    "reconnect": "from a lost connection to the first event of the next",
}
# How a stream, or a prompt, can fail.
ERRORS = {
    "refused": "the connection was refused",
    "unreachable": "no connection in time, or no such host",
    "tls": "the TLS handshake failed",
    "status": "a status other than the expected one",
    "media_type": "an answer that is no event stream",
    "timeout": "no event in time",
    "stall": "a silence that was too long after the first event",
    "reset": "the connection was reset",
    "premature_end": "the connection was closed before the body's end",
    "error_event": "an event that says that the turn failed",
    "bad_http": "an answer that is not HTTP/1.x",
    "too_long": "a line or an event above the cap",
    "prompt": "a prompt, or the making of a session, that failed",
}
CLOCKS = ("kernel", "read")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Every measured time, in the buckets of a histogram.

    `points` are (upper bound of a bucket, how many were that or less), both rising; the last one counts all. Only
    buckets that hold something are there. `low` and `high` are the least and the greatest time.
    """

    count: int = 0
    low: float = 0.0
    high: float = 0.0
    points: tuple[tuple[float, int], ...] = ()

    def percentile(self, percent: float) -> float | None:
        """The time that so many percent (0 to 100) did not exceed, exact to a bucket; None where none was measured."""
        if not self.count:
            return None
        rank = max(1, -(-self.count * percent // 100))  # rounded up: the p99 of ten is the tenth
        place = bisect_left(self.points, rank, key=lambda point: point[1])
        return min(max(self.points[place][0], self.low), self.high)

    def share(self, seconds: float) -> float:
        """Which share (0 to 1) took no longer, exact to a bucket; 0 where none was measured."""
        place = bisect_left(self.points, seconds, key=lambda point: point[0])
        if not self.count or seconds < self.low:
            return 0.0
        if seconds >= self.high:
            return 1.0
        exact = self.points[place][0] == seconds
        reached = self.points[place][1] if exact else self.points[place - 1][1] if place else 0
        return reached / self.count


@dataclass(frozen=True, slots=True)
class Example:
    """One thing that was wrong: its kind (one of `INTEGRITY`), the stream, and what was expected and observed there."""

    kind: str
    stream: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class Integrity:
    """Whether what was sent arrived: once, in order, unaltered, at the right client.

    `events` and `streams` were judged. Of the events a share of `validated` (0 to 1) was held against the schemas,
    by `validator`.
    """

    events: int = 0
    streams: int = 0
    validated: float = 0.0
    validator: str = ""
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    altered: int = 0
    leaked: int = 0
    invalid: int = 0
    unfinished: int = 0
    examples: tuple[Example, ...] = ()

    def count(self, kind: str) -> int:
        """How often that kind was seen (one of `INTEGRITY`)."""
        found: int = getattr(self, kind)
        return found

    def of(self, kind: str) -> float:
        """Of how many: events that were judged; sent ones for `lost`, validated ones for `invalid`; or streams."""
        return {
            "lost": float(self.events + self.lost),
            "invalid": self.events * self.validated,
            "unfinished": float(self.streams),
        }.get(kind, float(self.events))

    def per_million(self, kind: str) -> float:
        """How often that kind was seen in a million of those; 0 where there were none."""
        of = self.of(kind)
        return self.count(kind) * 1e6 / of if of else 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """The run as a whole. `good` of `streams` met every limit and were correct. `size` is in bytes, of bodies.

    `lost_by_reconnects` is how many events the reconnects lost, beside the ones that `Integrity` counts.
    """

    streams: int = 0
    good: int = 0
    events: int = 0
    size: int = 0
    events_per_s: float = 0.0
    bytes_per_s: float = 0.0
    prompts: int = 0
    reconnects: int = 0
    lost_by_reconnects: int = 0

    @property
    def goodput(self) -> float | None:
        """The share (0 to 1) of good streams; None where there were none."""
        return self.good / self.streams if self.streams else None


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of one level of concurrency, in seconds."""

    p50: float
    p90: float
    p99: float
    high: float

    @classmethod
    def of(cls, measured: Distribution) -> Spread | None:
        """Of a whole distribution; None where none was measured."""
        p50, p90, p99 = (measured.percentile(percent) for percent in (50, 90, 99))
        if p50 is None or p90 is None or p99 is None:
            return None
        return cls(p50, p90, p99, measured.high)


@dataclass(frozen=True, slots=True)
class Step:
    """One level of concurrency, held for `seconds`: what `users` users at once got. None: none was measured."""

    users: int
    seconds: float
    streams: int
    good: int
    events_per_s: float
    errors: int
    ttfe: Spread | None = None
    gap: Spread | None = None


@dataclass(frozen=True, slots=True)
class Second:
    """One second that began at `at`: users and open streams at its end; events, bytes and errors within it."""

    at: float
    users: int
    streams: int
    events: int
    size: int
    errors: int


@dataclass(frozen=True, slots=True)
class Row:
    """One sampled stream. `first` is when its first event came, `stalls` are (from, until).

    `outcome` is "good", a kind of `ERRORS` or of `INTEGRITY`, "slow" (correct, but a limit was not met), or "open" (the
    run ended first).
    """

    begin: float
    end: float
    outcome: str
    first: float | None = None
    stalls: tuple[tuple[float, float], ...] = ()


OUTCOMES = ("good", "slow", "open", *ERRORS, *INTEGRITY)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's process at one moment: resident bytes, share of one core since the last one, open descriptors."""

    at: float
    rss: int
    cpu: float
    descriptors: int | None = None


@dataclass(frozen=True, slots=True)
class Generator:
    """The health of what made the load. Its worst process counts: delays of its loop in seconds, share of one core.

    `late` says that it could not keep up, so that its figures say more of it than of the server; `why` in words.
    """

    p50: float = 0.0
    p99: float = 0.0
    high: float = 0.0
    cpu: float = 0.0
    late: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of the run: the expression, what was observed in words, and whether it held."""

    expression: str
    observed: str
    held: bool


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Everything that one load run said of one target.

    `shape` is how users came and went, `users` the most at once, `workers` how many processes made them. `clock` says
    what an arrival is: "kernel" (its receive stamp) or "read" (when it was read). `delay_method` says how `delay` was
    measured. `seconds` is how long load was made, `ended` why it ended before its time, "" if it did not.
    `raster` holds sampled streams, `process` samples of the server, () where its process is not known.
    """

    target: str
    protocols: tuple[str, ...]
    shape: str
    users: int
    seconds: float
    integrity: Integrity
    totals: Totals
    distributions: tuple[tuple[str, Distribution], ...] = ()
    errors: tuple[tuple[str, int], ...] = ()
    steps: tuple[Step, ...] = ()
    timeline: tuple[Second, ...] = ()
    raster: tuple[Row, ...] = ()
    process: tuple[Sample, ...] = ()
    generator: Generator = Generator()
    gates: tuple[Gate, ...] = ()
    started: str = ""
    spawn_rate: float = 0.0  # users a second
    workers: int = 1
    clock: str = "read"
    delay_method: str = ""
    ended: str = ""
    command: str = ""
    seed: int | None = None
    name: str = ""  # of the profile
    implementation: Implementation = field(default_factory=Implementation)
    suite: str = __version__
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def distribution(self, name: str) -> Distribution:
        """By its name (one of `DISTRIBUTIONS`); an empty one where nothing was measured."""
        return dict(self.distributions).get(name, Distribution())

    def error(self, kind: str) -> int:
        """How often that kind of error was (one of `ERRORS`)."""
        return dict(self.errors).get(kind, 0)

    @property
    def all_errors(self) -> int:
        """How many errors there were, of whatever kind."""
        return sum(count for _, count in self.errors)

    @property
    def label(self) -> str:
        """What to call the program: as the profile names it, else the target."""
        return f"{self.implementation.name} {self.implementation.version}".strip() or self.target

    @property
    def why_not(self) -> tuple[str, ...]:
        """Why the run does not pass, a line each; () if it does.

        A generator that was late and a run that judged nothing have shown nothing: they do not pass, whatever the
        gates say.
        """
        lines = [f"{gate.expression} does not hold: {gate.observed}" for gate in self.gates if not gate.held]
        if not self.integrity.events:
            lines.append("no event was judged")
        if self.generator.late:
            lines.append(f"the load generator was late: {self.generator.why or 'it could not keep up'}")
        return tuple(lines)

    @property
    def passed(self) -> bool:
        """Whether every gate held, on a run that can be believed."""
        return not self.why_not

    def summary_line(self) -> str:
        """The last line of a run."""
        wrong = [f"{count:,} {kind}" for kind in INTEGRITY if (count := self.integrity.count(kind))]
        if not wrong and self.integrity.events:
            wrong = ["nothing lost, doubled, reordered, altered or leaked"]
        parts = [
            "passed" if self.passed else "FAILED",
            f"{self.users:,} users",
            f"{self.totals.good:,} of {self.totals.streams:,} streams good",
            f"{self.integrity.events:,} events judged",
            *wrong,
            f"{self.all_errors:,} errors",
            f"suite {self.suite}",
            ", ".join(self.protocols),
            self.target,
        ]
        return " · ".join(parts)


def redacted(result: LoadResult, clean: Callable[[str], str]) -> LoadResult:
    """The result with `clean` (of `conformance.redact.Redactor.text`) applied to whatever words may hold a secret."""
    examples = (
        replace(
            found,
            stream=clean(found.stream),
            expected=clean(found.expected),
            observed=clean(found.observed),
        )
        for found in result.integrity.examples
    )
    return replace(
        result,
        target=clean(result.target),
        command=clean(result.command),
        ended=clean(result.ended),
        generator=replace(result.generator, why=clean(result.generator.why)),
        integrity=replace(result.integrity, examples=tuple(examples)),
    )


__all__ = [
    "CLOCKS",
    "DISTRIBUTIONS",
    "ERRORS",
    "INTEGRITY",
    "OUTCOMES",
    "Distribution",
    "Example",
    "Gate",
    "Generator",
    "Integrity",
    "LoadResult",
    "Row",
    "Sample",
    "Second",
    "Spread",
    "Step",
    "Totals",
    "redacted",
]
