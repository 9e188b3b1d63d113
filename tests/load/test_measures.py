"""Figures add up exactly, and arrivals are read as they were."""

from __future__ import annotations

import random
from array import array
from itertools import accumulate

import msgpack
import pytest

from conformance.load_result import Example, Row
from loadtests.arrivals import delays, gaps, skews
from loadtests.measures import ROWS, Figures, Histogram


def _some(draw: random.Random) -> Figures:
    figures = Figures()
    for _ in range(400):
        seconds = draw.expovariate(20)
        figures.times["gap"].record(seconds)
        figures.level(draw.randrange(3)).times["ttfe"].record(seconds * 3)
        figures.counts["events"] += 1
        figures.second(draw.uniform(0, 9))["events"] += 1
        figures.row(draw.random(), Row(seconds, seconds + 1, "good", None, ((0.5, 0.75),)))
    figures.errors["reset"] += draw.randrange(9)
    figures.counts["lost"] += draw.randrange(9)
    figures.example(Example("lost", "a stream", "one", "none"))
    return figures


def _plain(figures: Figures) -> object:
    return (
        figures.counts,
        figures.errors,
        {name: histogram.distribution() for name, histogram in figures.times.items()},
        {n: (level.counts, level.times["ttfe"].distribution()) for n, level in figures.levels.items()},
        figures.seconds,
        figures.rows,
    )


def test_what_workers_report_piecemeal_adds_up_to_what_one_process_would_have_said() -> None:
    alone, together = Figures(), Figures()
    for worker in range(3):
        own = _some(random.Random(worker))
        alone.add(own)
        first = own.take()
        assert not own.counts
        second = _some(random.Random(worker + 10))
        alone.add(second)
        for report in (first, second):
            together.add(
                Figures.from_data(msgpack.unpackb(msgpack.packb(report.to_data()), strict_map_key=False))
            )
    assert _plain(together) == _plain(alone)
    assert len(together.rows) == ROWS


def test_a_distribution_is_exact_to_a_bucket_of_a_thousandth() -> None:
    histogram, draw = Histogram(), random.Random(1)
    times = sorted(draw.expovariate(8) for _ in range(5_000))
    for seconds in times:
        histogram.record(seconds)
    distribution = histogram.distribution()
    assert (distribution.count, distribution.low, distribution.high) == (5_000, times[0], times[-1])
    for percent in (1, 50, 90, 99, 99.9):
        true = times[int(-(-5_000 * percent // 100)) - 1]
        assert distribution.percentile(percent) == pytest.approx(true, rel=0.0011, abs=2e-6)


def test_what_is_held_back_is_late_and_what_is_made_late_is_not() -> None:
    made = list(accumulate([0.02] * 10))
    assert max(delays(made, 0.02)) == 0.0
    slow = list(accumulate([0.02, 0.02, 0.5, 0.02, 0.02]))
    assert max(delays(slow, 0.02)) == 0.0  # a pause of the agent's own
    held = [max(at, 0.15) for at in made]  # a proxy that kept the first ones back
    found = delays(held, 0.02)
    assert found[0] == pytest.approx(0.15 - made[0], abs=0.01)
    assert found[-1] == 0.0
    assert found == sorted(found, reverse=True)


def test_gaps_and_skews() -> None:
    assert list(gaps(array("d", [1.0, 2.0, 4.0]))) == [(1.0, 2.0), (2.0, 4.0)]
    assert skews([array("d", [1.0, 2.0]), array("d", [1.25, 2.0])]) == [0.25, 0.0]
