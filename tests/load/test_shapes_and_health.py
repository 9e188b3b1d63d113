"""Shapes, saturation, and the health of the generator and of the server's process."""

from __future__ import annotations

import time
from dataclasses import replace

import gevent
import pytest

from conformance.load_result import Integrity, LoadResult, Totals
from loadtests.health import BUSY, LATE, Health, LoopWatch, ProcessWatch, worst
from loadtests.measures import Level
from loadtests.shapes import Shape, Tick, saturated
from tests.support.load_runs import Small, run_all
from tests.support.reference import reference_process


def _users(shape: Shape, *seconds: float) -> list[int | None]:
    ticks = [shape.at(at) for at in seconds]
    return [None if tick is None else tick.users for tick in ticks]


def test_shapes_ask_for_users_by_the_time_alone() -> None:
    assert _users(Shape("ramp", 100, 100), 0, 45, 89, 90, 99.9, 100) == [1, 50, 99, 100, 100, None]
    assert _users(Shape("step", 50, 600, 20, 5), 0, 4.9, 5, 10, 14.9, 15) == [20, 20, 40, 50, 50, None]
    assert _users(Shape("spike", 90, 30), 0, 9.9, 10, 19.9, 20, 30) == [9, 9, 90, 90, 9, None]
    assert _users(Shape("soak", 7, 30), 0, 29.9, 30) == [7, 7, None]
    assert Shape("storm", 7, 30, every=10).at(25) == Tick(7, 0, 2)
    with pytest.raises(ValueError, match="--sse-shape"):
        Shape("wave", 7, 30)


def _level(streams: int, good: int, errors: int = 0, events: int = 0, gap: float = 0.02) -> Level:
    level = Level()
    level.counts.update(streams=streams, good=good, errors=errors, events=events)
    for _ in range(100):
        level.times["gap"].record(gap)
    return level


@pytest.mark.parametrize(
    ("newest", "late", "words"),
    [
        (_level(100, 100, events=2_000), "", ""),
        (_level(100, 80, events=2_000), "", "80 of 100 streams"),
        (_level(100, 95, errors=6, events=2_000), "", "6 errors"),
        (_level(100, 100, events=2_000, gap=0.3), "", "p99 of gap"),
        (_level(100, 100, events=1_200), "", "events a second"),
        (_level(100, 100, events=2_000), "its loop", "own limit: its loop"),
    ],
)
def test_a_step_ends_the_run_where_more_users_bring_nothing(newest: Level, late: str, words: str) -> None:
    levels = {0: _level(50, 50, events=1_000), 1: newest}
    why = saturated(levels, {0: 10, 1: 20}, {0: 5.0, 1: 5.0}, late)
    assert (words in why) if words else not why


def test_a_late_generator_does_not_pass_and_says_why() -> None:
    fine = LoadResult("http://x", ("penguin/2",), "constant", 1, 1.0, Integrity(events=1), Totals())
    assert fine.passed
    for health, words in ((Health(p99=LATE * 2), "its loop"), (Health(cpu=BUSY + 0.05), "of a core")):
        run = replace(fine, generator=worst({"a": Health(), "b": health}, []))
        assert not run.passed
        assert words in run.why_not[0]
        assert "b: " in run.why_not[0]
    assert not replace(fine, generator=worst({"a": Health()}, ["a rule raised"])).passed
    assert replace(fine, generator=worst({"a": Health()}, [])).passed


def test_a_loop_that_is_held_up_is_seen() -> None:
    watch = LoopWatch()
    gevent.sleep(0.05)
    time.sleep(0.3)  # nothing else can run meanwhile: that is the point
    gevent.sleep(0.05)
    assert watch.health.high > 0.2
    watch.stop()


@pytest.mark.parametrize(
    ("fault", "measure", "least"),
    [
        ("memory-grows-under-load:over=1,bytes=200000,mib=64", "rss", 20 << 20),
        ("descriptors-leak-under-load:over=1,every=1", "descriptors", 10),
    ],
)
def test_what_a_server_keeps_for_ever_shows_in_its_process(fault: str, measure: str, least: int) -> None:
    with reference_process("--fault", fault) as (url, pid):
        watch = ProcessWatch(pid, time.time())
        gevent.sleep(0.1)
        (result,) = run_all(url, {"": Small("agentsmithy/2", answers=20)}).values()
        gevent.sleep(1.1)  # one more sample
        watch.stop()
    first, last = (getattr(watch.samples[at], measure) for at in (0, -1))
    assert last - first > least
    assert result.passed  # nothing else is wrong


def test_a_process_that_cannot_be_looked_at_is_refused() -> None:
    with pytest.raises(ValueError, match="--target-pid"):
        ProcessWatch(2**22 + 1, time.time())
