"""What one process has counted and measured, in a form that adds up exactly across processes.

Counts are whole numbers, distributions HdrHistograms (three significant digits, microseconds): both are added bucket by
bucket, so that what several workers say together is what one process would have said. Percentiles are looked up at
the end, never averaged. Times here are seconds since the run began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from conformance.load_result import INTEGRITY, Distribution, Example, Row

_MICROSECONDS = 1e6
_LONGEST = 86_400  # seconds: of a soak of a day
_DIGITS = 3
EXAMPLES = 5  # of each kind
ROWS = 200


class Histogram:
    """Times in seconds; the least and the greatest are kept to the last digit."""

    __slots__ = ("_hdr", "high", "low")

    def __init__(self) -> None:
        self._hdr = HdrHistogram(1, int(_LONGEST * _MICROSECONDS), _DIGITS)
        self.low = float("inf")
        self.high = 0.0

    @property
    def count(self) -> int:
        """How many times were recorded."""
        return int(self._hdr.get_total_count())

    def record(self, seconds: float) -> None:
        """One more. What is below zero (two clocks disagree by microseconds) is zero, what is above a day, a day."""
        seconds = min(max(seconds, 0.0), _LONGEST)
        self._hdr.record_value(int(seconds * _MICROSECONDS + 0.5))
        if seconds < self.low:
            self.low = seconds
        if seconds > self.high:
            self.high = seconds

    def add(self, other: Histogram) -> None:
        """All that the other has."""
        self._hdr.add(other._hdr)
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)

    def percentile(self, percent: float) -> float:
        """The time that so many percent (0 to 100) did not exceed, exact to a bucket; 0 where there is none."""
        if not self.count:
            return 0.0
        value: int = self._hdr.get_value_at_percentile(percent)
        return min(value / _MICROSECONDS, self.high)

    def distribution(self) -> Distribution:
        """As a result has it."""
        if not self.count:
            return Distribution()
        points: list[tuple[float, int]] = []
        reached = 0
        for item in self._hdr.get_recorded_iterator():
            reached += item.count_at_value_iterated_to
            points.append((item.value_iterated_to / _MICROSECONDS, reached))
        return Distribution(reached, self.low, self.high, tuple(points))

    def to_data(self) -> list[Any]:
        """For a message between processes."""
        return [self._hdr.encode().decode("ascii"), self.low, self.high]

    @classmethod
    def from_data(cls, data: list[Any]) -> Histogram:
        """Read back what `to_data` wrote."""
        made = cls()
        made._hdr.decode_and_add(data[0])
        made.low, made.high = data[1], data[2]
        return made


class Histograms(dict[str, Histogram]):
    """By name, made as they are asked for."""

    def __missing__(self, name: str) -> Histogram:
        made = self[name] = Histogram()
        return made

    def add(self, other: Mapping[str, Histogram]) -> None:
        """All that the other has."""
        for name, histogram in other.items():
            self[name].add(histogram)


@dataclass(slots=True)
class Level:
    """One level of concurrency: what was begun and heard while `users` users were asked for."""

    users: int = 0
    counts: Counter[str] = field(default_factory=Counter)  # streams, good, events, errors
    times: Histograms = field(default_factory=Histograms)  # ttfe, gap

    def add(self, other: Level) -> None:
        """All that the other has."""
        self.users = max(self.users, other.users)
        self.counts.update(other.counts)
        self.times.add(other.times)


@dataclass(slots=True)
class Figures:
    """Everything that was counted and measured, of one process or of several together.

    `counts`: events, size (bytes), validated, heard, streams, good, prompts, reconnects, missed, and the kinds of
    integrity. `seconds`: by number since the run began, what happened within. `rows`: a sample of streams, each with
    the lot it drew: the lowest `ROWS` are kept, so that what several keep together is a fair sample, too.
    """

    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    times: Histograms = field(default_factory=Histograms)
    levels: dict[int, Level] = field(default_factory=dict)
    seconds: dict[int, Counter[str]] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    rows: list[tuple[float, Row]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # of our own: rules that raised, and alike

    def level(self, number: int) -> Level:
        """One level of concurrency, by its number."""
        return self.levels.setdefault(number, Level())

    def second(self, at: float) -> Counter[str]:
        """What happened in the second of that time: opened, closed, events, size, errors."""
        return self.seconds.setdefault(int(at), Counter())

    def example(self, example: Example) -> None:
        """Keep it, unless there are enough of its kind."""
        if sum(kept.kind == example.kind for kept in self.examples) < EXAMPLES:
            self.examples.append(example)

    def row(self, lot: float, row: Row) -> None:
        """One more stream, of which a sample is kept."""
        if len(self.rows) < ROWS or lot < self.rows[-1][0]:
            self.rows.append((lot, row))
            self.rows.sort(key=lambda pair: pair[0])
            del self.rows[ROWS:]

    def fault(self, line: str) -> None:
        """Something of ours went wrong; each is told once."""
        if line not in self.faults and len(self.faults) < EXAMPLES:
            self.faults.append(line)

    def add(self, other: Figures) -> None:
        """All that the other has."""
        self.counts.update(other.counts)
        self.errors.update(other.errors)
        self.times.add(other.times)
        for number, level in other.levels.items():
            self.level(number).add(level)
        for number, second in other.seconds.items():
            self.seconds.setdefault(number, Counter()).update(second)
        for example in other.examples:
            self.example(example)
        for lot, row in other.rows:
            self.row(lot, row)
        for line in other.faults:
            self.fault(line)

    def take(self) -> Figures:
        """What was counted since the last time; from then on this begins anew."""
        taken = Figures()
        for name in Figures.__slots__:
            fresh = getattr(taken, name)
            setattr(taken, name, getattr(self, name))
            setattr(self, name, fresh)
        return taken

    def integrity(self) -> Iterator[tuple[str, int]]:
        """The counts of what was wrong."""
        return ((kind, self.counts[kind]) for kind in INTEGRITY)

    def to_data(self) -> dict[str, Any]:
        """For a message between processes (msgpack)."""
        return {
            "counts": dict(self.counts),
            "errors": dict(self.errors),
            "times": _times_to_data(self.times),
            "levels": [
                [number, level.users, dict(level.counts), _times_to_data(level.times)]
                for number, level in self.levels.items()
            ],
            "seconds": [[number, dict(second)] for number, second in self.seconds.items()],
            "examples": [list(astuple(example)) for example in self.examples],
            "rows": [
                [lot, row.begin, row.end, row.outcome, row.first, [list(stall) for stall in row.stalls]]
                for lot, row in self.rows
            ],
            "faults": list(self.faults),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Figures:
        """Read back what `to_data` wrote."""
        return cls(
            Counter(data["counts"]),
            Counter(data["errors"]),
            _times_from_data(data["times"]),
            {
                number: Level(users, Counter(counts), _times_from_data(times))
                for number, users, counts, times in data["levels"]
            },
            {number: Counter(second) for number, second in data["seconds"]},
            [Example(*example) for example in data["examples"]],
            [
                (lot, Row(begin, end, outcome, first, tuple((a, b) for a, b in stalls)))
                for lot, begin, end, outcome, first, stalls in data["rows"]
            ],
            list(data["faults"]),
        )


def _times_to_data(times: Mapping[str, Histogram]) -> dict[str, Any]:
    return {name: histogram.to_data() for name, histogram in times.items()}


def _times_from_data(data: Mapping[str, Any]) -> Histograms:
    return Histograms({name: Histogram.from_data(one) for name, one in data.items()})
