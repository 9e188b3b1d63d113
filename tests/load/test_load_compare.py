"""Two load runs side by side: what got worse, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.load_compare import Trend, compare_loads, parse_tolerance
from conformance.load_result import Generator, Integrity, Sample, Totals
from tests.support.load_cases import measured, realistic, small


def trends(old: Any, new: Any, tolerance: float = 0.1) -> dict[str, Trend]:
    return {measure.name: measure.trend for measure in compare_loads(old, new, tolerance).measures}


def times(seconds: float, count: int = 1_000) -> tuple[tuple[str, Any], ...]:
    return (("ttfe", measured([seconds] * count)),)


def test_a_run_is_as_good_as_itself() -> None:
    run = replace(realistic(), shape="soak")
    comparison = compare_loads(run, run, 0.0)
    assert not comparison.regressed
    assert {measure.trend for measure in comparison.measures} == {Trend.SAME}
    assert len(comparison.measures) > 30
    assert (
        comparison.summary_line()
        == "0 worse · 0 better · 36 the same within 0% of the run of 2026-11-27T06:00:00+00:00"
    )


@pytest.mark.parametrize(
    ("was", "now", "trend"),
    [
        (0.1, 0.109, Trend.SAME),
        (0.1, 0.112, Trend.WORSE),
        (0.1, 0.088, Trend.BETTER),
        (0.0002, 0.0008, Trend.SAME),  # four times as long, and nobody could tell
        (0.0002, 0.0013, Trend.WORSE),
    ],
)
def test_times(was: float, now: float, trend: Trend) -> None:
    found = trends(small(distributions=times(was)), small(distributions=times(now)))
    assert [found[f"ttfe:p{percent}"] for percent in (50, 90, 99)] == [trend] * 3


def test_a_percentile_that_is_not_known_is_not_compared() -> None:
    found = trends(small(distributions=times(0.1, 60)), small(distributions=times(0.9, 4_000)))
    assert found["ttfe:p50"] is found["ttfe:p90"] is Trend.WORSE
    assert "ttfe:p99" not in found
    assert "gap:p50" not in found


@pytest.mark.parametrize("kind", ["lost", "doubled", "leaked", "unfinished"])
def test_correctness_has_no_tolerance(kind: str) -> None:
    old = small(integrity=Integrity(1_000_000, 10, 1.0, "x", **{kind: 3}))
    same = small(integrity=Integrity(2_000_000, 20, 1.0, "x", **{kind: 6}))
    more = small(integrity=Integrity(1_000_000, 10, 1.0, "x", **{kind: 4}))
    assert trends(old, more, 9.0)[kind] is Trend.WORSE
    assert trends(more, old)[kind] is Trend.BETTER
    if kind != "lost":  # whose share is of what was sent
        assert trends(old, same)[kind] is Trend.SAME
    assert compare_loads(old, more).regressed
    assert not compare_loads(more, old).regressed


def test_errors_rates_goodput_and_memory() -> None:
    totals = Totals(100, 90, 400, 84_000, 200.0, 42_000.0)
    old = small(totals=totals, process=(Sample(0, 50_000_000, 0.1), Sample(1, 60_000_000, 0.1)))
    new = replace(
        old,
        totals=replace(totals, good=80, events_per_s=179.0, bytes_per_s=50_000.0),
        errors=(("reset", 1),),
        process=(Sample(0, 67_000_000, 0.1),),
    )
    found = trends(old, new)
    assert {name for name, trend in found.items() if trend is Trend.WORSE} == {
        "errors",
        "goodput",
        "events_per_s",
        "rss:max",
    }
    assert found["bytes_per_s"] is Trend.BETTER
    comparison = compare_loads(old, new)
    assert [(m.name, m.old, m.new) for m in comparison.worse if m.name == "rss:max"] == [
        ("rss:max", "60.0 MB", "67.0 MB")
    ]
    assert comparison.summary_line().startswith(
        "4 worse · 1 better · 9 the same within 10% of the run of 2026"
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"users": 8}, "users: 4 then, 8 now"),
        ({"shape": "spike"}, "shape: constant then, spike now"),
        ({"spawn_rate": 2.5}, "spawn rate: 0 then, 2.5 now"),
        ({"protocols": ("penguin/2", "opencode/1")}, "protocols: penguin/2 then, penguin/2, opencode/1 now"),
        ({"clock": "kernel"}, "clock: read then, kernel now"),
        ({"generator": Generator(late=True)}, "the generator of the new run was late"),
        ({"integrity": Integrity()}, "the new run judged no event"),
    ],
)
def test_another_load_says_nothing_of_this_one(change: dict[str, Any], why: str) -> None:
    comparison = compare_loads(small(), small(**change))
    assert comparison.differs == (why,)
    assert comparison.measures == ()
    assert comparison.regressed
    assert comparison.summary_line() == f"not comparable with the run of 2026-11-20T21:42:00+00:00: {why}"


def test_steps_are_compared_by_how_far_they_came_and_level_by_level() -> None:
    old = realistic()
    assert {measure.trend for measure in compare_loads(old, old, 0.0).measures} == {Trend.SAME}
    slower = tuple(
        replace(step, ttfe=None if step.ttfe is None else replace(step.ttfe, p50=step.ttfe.p50 * 1.5))
        for step in old.steps[:6]
    )
    comparison = compare_loads(old, replace(old, users=300, steps=slower))
    assert comparison.differs == ()
    assert [measure.name for measure in comparison.worse] == [
        "users",
        *(f"ttfe:p50 at {step.users} users" for step in slower),
    ]


def test_tolerances() -> None:
    assert parse_tolerance("10%") == parse_tolerance(" 0.1 ") == 0.1
    assert parse_tolerance("0") == 0.0
    for text in ("", "ten", "-5%", "10 percent", "1e3"):
        with pytest.raises(ValueError, match=r"expected a share such as 10% or 0\.1"):
            parse_tolerance(text)
