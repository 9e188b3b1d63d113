"""The gate of a load run: what conditions mean, what is in force unsaid, and what is said of bad ones."""

from __future__ import annotations

import pytest

from conformance.load_result import Integrity, Sample, Totals
from conformance.slo import METRICS, SloError, gates, limits, parse
from tests.support.load_cases import measured, realistic, small


def said(text: str) -> list[str]:
    return [condition.text for condition in parse(text)]


UNSAID = [
    "lost==0",
    "doubled==0",
    "reordered==0",
    "altered==0",
    "leaked==0",
    "invalid==0",
    "unfinished==0",
    "errors==0",
]


def test_correctness_is_in_force_without_being_said() -> None:
    assert said("") == said("  ") == UNSAID
    assert said("ttfe:p99 < 500 ms, gap:p99<200ms") == ["ttfe:p99<500ms", "gap:p99<200ms", *UNSAID]
    assert said("lost<=5ppm") == ["lost<=5ppm", *UNSAID[1:]]
    # One kind of error that is forbidden allows no other; the time of stalls says nothing of how many there may be.
    assert said("timeout==0, stall:max<2s") == ["timeout==0", "stall:max<2s", *UNSAID]
    assert said("goodput>=99%") == ["goodput>=99%", *UNSAID[:-1]]


@pytest.mark.parametrize(
    ("condition", "held", "observed"),
    [
        ("ttfe:p50<20.1ms", True, "20 ms (of 4)"),
        ("ttfe:p50<20ms", False, "20 ms (of 4)"),
        ("ttfe:p50<=20000us", True, "20 ms (of 4)"),
        ("ttfe:max<=0.04s", True, "40 ms (of 4)"),
        ("ttfe:p99.9>0.001min", False, "40 ms (of 4)"),
        ("ttfc:p99<1min", False, "not measured"),
        ("gap:p99<200ms", True, "20 ms (of 396)"),
        ("lost==0", False, "5"),
        ("lost<=5", True, "5"),
        ("lost<=5ppm", True, "5 ppm (5 of 1,000,000 events)"),
        ("lost<5ppm", False, "5 ppm (5 of 1,000,000 events)"),
        ("lost!=5", False, "5"),
        ("invalid==0", False, "there were no validated events"),
        ("unfinished<=50%", True, "50.0000% (2 of 4 streams)"),
        ("errors<=75%", True, "75.0000% (3 of 4 streams)"),
        ("reset==1", True, "1"),
        ("stall==2", True, "2"),
        ("refused==0", True, "0"),
        ("goodput>=75%", True, "75.0000% (3 of 4 streams)"),
        ("goodput>0.75", False, "75.0000% (3 of 4 streams)"),
        ("events_per_s>=2e2", True, "200.0"),
        ("bytes_per_s>42000/s", False, "42,000.0"),
        ("reconnects==0", True, "0"),
        ("rss_growth<19%", False, "20.0% (from 100 to 120)"),
        ("rss_growth<=0.21", True, "20.0% (from 100 to 120)"),
        (
            "descriptors_growth<1%",
            False,
            "0 samples of the server's process: at least 4 are needed (--target-pid)",
        ),
    ],
)
def test_conditions(condition: str, held: bool, observed: str) -> None:
    result = small(
        integrity=Integrity(999_995, 4, 0.0, "", lost=5, unfinished=2),
        totals=Totals(4, 3, 400, 84_000, 200.0, 42_000.0, 4),
        errors=(("reset", 1), ("stall", 2)),
        process=tuple(Sample(at, rss, 0.5) for at, rss in enumerate((10, 90, 100, 100, 110, 110, 120, 120))),
    )
    (gate, *_) = gates(parse(condition), result)
    assert (gate.held, gate.observed) == (held, observed)
    assert gate.expression == condition


def test_what_did_not_happen_holds_nothing() -> None:
    nothing = small(integrity=Integrity(), totals=Totals(), distributions=())
    judged = gates(parse("ttfe:p99<1s, goodput>=0%, errors<=5"), nothing)
    assert not any(gate.held for gate in judged)


def test_a_bad_run_fails_by_the_gates_that_say_so() -> None:
    missed = {gate.expression for gate in realistic().gates if not gate.held}
    assert missed == {"lost==0", "leaked==0", "unfinished==0", "errors==0"}
    assert realistic(correct=True).passed


def test_what_a_good_stream_keeps_to() -> None:
    assert limits(parse("ttfe:p99<500ms, ttfe:p50<=0.1s, gap:max<2s, stall:p50>1s, lost==0")) == {
        "ttfe": 0.1,
        "gap": 2,
    }


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_named(metric: str) -> None:
    ways = [f"{metric}:p99<1s", f"{metric}<=0", f"{metric}>=1%"]
    assert any(_reads(way) for way in ways)


def _reads(text: str) -> bool:
    try:
        return bool(gates(parse(text), small()))
    except SloError:
        return False


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ttfe<500ms", "'ttfe<500ms': which of the times? expected ttfe:p50, ttfe:p99, ttfe:max, say"),
        (
            "ttfe:p99<500",
            "'ttfe:p99<500': a time has a unit: expected one of us, µs, ms, s, min, such as 'ttfe:p99<",
        ),
        ("ttfe:p99<500%", "'ttfe:p99<500%': a time has a unit"),
        ("ttfe:p101<1s", "'ttfe:p101<1s': 'p101' is no percentile: expected p50, p99, p99.9, … or max"),
        ("ttfe:mean<1s", "'ttfe:mean<1s': 'mean' is no percentile"),
        ("ttfe:p0<1s", "'ttfe:p0<1s': 'p0' is no percentile"),
        ("ttfe:p99==1s", "'ttfe:p99==1s': what is measured is never exactly so: expected <, <=, > or >="),
        ("lost=0", "'lost=0': unknown operator '=': expected one of <=, >=, ==, !=, <, >"),
        ("lost=<0", "'lost=<0': unknown operator '=<'"),
        ("lost==0.5", "'lost==0.5': lost is counted: expected a whole number, or a share in % or ppm"),
        ("lost==-1", "'lost==-1': nothing that is measured is below 0"),
        ("lost<200%", "'lost<200%': a share above 100%"),
        ("lost:p99<1s", "'lost:p99<1s': lost is counted, so it has no 'p99': expected lost==0, say"),
        (
            "stall<2s",
            "'stall<2s': stall is counted: expected a whole number, or a share in % or ppm; its time is",
        ),
        (
            "rss_growth<9MiB",
            "'rss_growth<9MiB': rss_growth is a share of what there was: expected 'rss_growth<10%'",
        ),
        ("goodput>=99.9", "'goodput>=99.9': goodput is a share of the streams: expected 0% to 100%"),
        ("events_per_s>=9ms", "'events_per_s>=9ms': events_per_s is a number without a unit"),
        ("events_per_s==9", "'events_per_s==9': what is measured is never exactly so"),
        ("tfte:p99<1s", "'tfte:p99<1s': unknown metric 'tfte': did you mean 'ttfe'?"),
        ("x<1", "'x<1': unknown metric 'x': expected one of connect, headers, ttfe, "),
        ("lost", "'lost': expected METRIC OPERATOR VALUE, such as 'ttfe:p99<500ms' or 'lost==0'"),
        ("lost==0 leaked==0", "'lost==0 leaked==0': expected METRIC OPERATOR VALUE"),
        ("ttfe:p99<1.2.3s", "'ttfe:p99<1.2.3s': '1.2.3' is no number"),
        (
            "lost==0,",
            "an empty condition: expected conditions such as 'ttfe:p99<500ms', with commas between them",
        ),
    ],
)
def test_a_bad_condition_is_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(SloError) as caught:
        parse(text)
    assert str(caught.value).startswith(why)
    assert "\n" not in str(caught.value)


def test_percentiles_of_a_gate_are_those_of_all_that_was_measured() -> None:
    result = small(distributions=(("gap", measured([0.01] * 990 + [0.3] * 10)),))
    held = {gate.expression: gate.held for gate in gates(parse("gap:p99<200ms, gap:p99.1<200ms"), result)}
    assert held["gap:p99<200ms"]
    assert not held["gap:p99.1<200ms"]
