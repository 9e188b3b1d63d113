"""What got worse between two load runs: of the same load, by more than a tolerance.

Times, rates and memory may vary by the tolerance; correctness may not. A percentile is compared only where both runs
measured enough beyond it to know it, and a time only by more than a millisecond: less is the machine's own. Runs that
go up step by step until it breaks are compared by how far they came, and level by level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from conformance.load_result import DISTRIBUTIONS, INTEGRITY, LoadResult
from conformance.slo import counted, duration

DEFAULT_TOLERANCE = 0.1
_PERCENTILES = (50, 90, 99)
_BEYOND = 5  # values above a percentile, for it to mean anything
_FLOOR = 0.001  # seconds
_SETTINGS = ("protocols", "shape", "spawn_rate", "clock")
_STEPS = "step"  # the shape that ends by itself
_SAME_USERS = 0.02  # a share by which the most users at once may differ: the last ones may have come too late


class Trend(StrEnum):
    """What became of a measure, in the order in which a reader wants to know."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"  # within the tolerance


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of both runs, in words."""

    name: str
    trend: Trend
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class LoadComparison:
    """Two runs side by side. `differs` says why they cannot be compared, a line each; then there are no measures."""

    old: LoadResult
    new: LoadResult
    tolerance: float
    measures: tuple[Measure, ...] = ()
    differs: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[Measure, ...]:
        """What got worse."""
        return tuple(measure for measure in self.measures if measure.trend is Trend.WORSE)

    @property
    def better(self) -> tuple[Measure, ...]:
        """What got better."""
        return tuple(measure for measure in self.measures if measure.trend is Trend.BETTER)

    @property
    def regressed(self) -> bool:
        """Whether the new run is not known to be as good as the old one: worse, or not to be compared."""
        return bool(self.worse or self.differs)

    def summary_line(self) -> str:
        """One line: what changed."""
        if self.differs:
            return f"not comparable with the run of {self.old.started or 'before'}: {'; '.join(self.differs)}"
        same = len(self.measures) - len(self.worse) - len(self.better)
        return (
            f"{len(self.worse)} worse · {len(self.better)} better · {same} the same within "
            f"{self.tolerance * 100:.4g}% of the run of {self.old.started or 'before'}"
        )


def parse_tolerance(text: str) -> float:
    """A share from `10%` or `0.1`. Raises `ValueError` with one line."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    if found is None:
        raise ValueError(f"tolerance {text!r}: expected a share such as 10% or 0.1")
    return float(found[1]) / (100 if found[2] else 1)


def differences(old: LoadResult, new: LoadResult) -> tuple[str, ...]:
    """Why the two say nothing of each other, a line each; () if they were the same load and can be believed."""
    lines = [
        f"{name.replace('_', ' ')}: {_shown(before)} then, {_shown(after)} now"
        for name in _SETTINGS
        if (before := getattr(old, name)) != (after := getattr(new, name))
    ]
    if new.shape != _STEPS and abs(new.users - old.users) > old.users * _SAME_USERS:
        lines.append(f"users: {old.users} then, {new.users} now")
    for when, run in (("old", old), ("new", new)):
        if run.generator.late:
            lines.append(f"the generator of the {when} run was late")
        if not run.integrity.events:
            lines.append(f"the {when} run judged no event")
    return tuple(lines)


def compare_loads(old: LoadResult, new: LoadResult, tolerance: float = DEFAULT_TOLERANCE) -> LoadComparison:
    """Every measure that both runs have. `tolerance` is a share: 0.1 lets a time grow by a tenth."""
    if differs := differences(old, new):
        return LoadComparison(old, new, tolerance, differs=differs)
    measures = list(_integrity(old, new))
    if new.shape == _STEPS:
        measures += _levels(old, new, tolerance)
    else:
        measures += [
            *_times(old, new, tolerance),
            *_rates(old, new, tolerance),
            *_memory(old, new, tolerance),
        ]
    order = list(Trend)
    return LoadComparison(
        old, new, tolerance, tuple(sorted(measures, key=lambda found: order.index(found.trend)))
    )


def compare_all_loads(
    old: Sequence[LoadResult], new: Sequence[LoadResult], tolerance: float = DEFAULT_TOLERANCE
) -> tuple[LoadComparison, ...]:
    """Each new run with its older one: the only one there is, or the one of the same load, and of the same target.

    Raises `ValueError` with one line where that leaves none, or a choice.
    """
    if len(old) == len(new) == 1:
        return (compare_loads(old[0], new[0], tolerance),)
    made = []
    for run in new:
        alike = [one for one in old if _load(one) == _load(run)]
        alike = [one for one in alike if one.target == run.target] or alike
        if len(alike) != 1:
            many = "none" if not alike else f"{len(alike)} of them"
            raise ValueError(
                f"{', '.join(run.protocols)} by {run.users} users ({run.shape}) has no older run to itself: "
                f"expected one of the same load, there are {many}"
            )
        made.append(compare_loads(alike[0], run, tolerance))
    return tuple(made)


def _load(run: LoadResult) -> tuple[object, ...]:
    users = 0 if run.shape == _STEPS else run.users
    return (users, *(getattr(run, name) for name in _SETTINGS))


def _integrity(old: LoadResult, new: LoadResult) -> Iterator[Measure]:
    for metric in (*INTEGRITY, "errors"):
        shares = []
        for run in (old, new):
            count, of, _ = counted(metric, run)
            shares.append((count / of if of else 0.0, count))
        (before, few), (after, many) = shares
        trend = Trend.WORSE if after > before else Trend.BETTER if after < before else Trend.SAME
        yield Measure(metric, trend, _part(before, few), _part(after, many))


def _times(old: LoadResult, new: LoadResult, tolerance: float) -> Iterator[Measure]:
    for name in DISTRIBUTIONS:
        before, after = old.distribution(name), new.distribution(name)
        for percent in _PERCENTILES:
            if min(before.count, after.count) * (100 - percent) < _BEYOND * 100:
                continue
            was, now = before.percentile(percent), after.percentile(percent)
            assert was is not None
            assert now is not None
            yield _time(f"{name}:p{percent}", was, now, tolerance)


def _levels(old: LoadResult, new: LoadResult, tolerance: float) -> Iterator[Measure]:
    was, now = (max((step.users for step in run.steps), default=0) for run in (old, new))
    yield Measure("users", _trend(-was, -now, tolerance), f"{was:,}", f"{now:,}")
    before = {step.users: step for step in old.steps}
    for step in new.steps:
        same = before.get(step.users)
        if same is None:
            continue
        for name in ("ttfe", "gap"):
            one, other = getattr(same, name), getattr(step, name)
            # How many gaps were measured is not known, but each stream has at least one.
            if one is None or other is None or min(same.streams, step.streams) < 2 * _BEYOND:
                continue
            yield _time(f"{name}:p50 at {step.users} users", one.p50, other.p50, tolerance)


def _rates(old: LoadResult, new: LoadResult, tolerance: float) -> Iterator[Measure]:
    for name in ("events_per_s", "bytes_per_s"):
        was, now = getattr(old.totals, name), getattr(new.totals, name)
        yield Measure(name, _trend(-was, -now, tolerance), f"{was:,.1f}", f"{now:,.1f}")
    good, now_good = old.totals.goodput, new.totals.goodput
    if good is not None and now_good is not None:
        yield Measure("goodput", _trend(-good, -now_good, tolerance), f"{good:.2%}", f"{now_good:.2%}")


def _memory(old: LoadResult, new: LoadResult, tolerance: float) -> Iterator[Measure]:
    if old.process and new.process:
        was, now = (max(sample.rss for sample in run.process) for run in (old, new))
        yield Measure("rss:max", _trend(was, now, tolerance), f"{was / 1e6:,.1f} MB", f"{now / 1e6:,.1f} MB")


def _time(name: str, was: float, now: float, tolerance: float) -> Measure:
    trend = Trend.SAME if abs(now - was) <= _FLOOR else _trend(was, now, tolerance)
    return Measure(name, trend, duration(was), duration(now))


def _trend(was: float, now: float, tolerance: float) -> Trend:
    """Less is better; what is better by being more is given as a negative number."""
    room = abs(was) * tolerance
    return Trend.WORSE if now > was + room else Trend.BETTER if now < was - room else Trend.SAME


def _part(share: float, count: int) -> str:
    return f"{count:,} ({share * 1e6:,.4g} per million)" if count else "0"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


__all__ = [
    "DEFAULT_TOLERANCE",
    "LoadComparison",
    "Measure",
    "Trend",
    "compare_all_loads",
    "compare_loads",
    "differences",
    "parse_tolerance",
]
