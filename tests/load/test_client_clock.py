"""The clocks: the kernel's wall-clock stamps on the monotonic clock."""

from __future__ import annotations

import time

import pytest

from loadtests.client.clock import RealTime

NEAR = 0.001  # seconds that this process may lose between two readings of a clock


def test_a_stamp_becomes_the_monotonic_time_of_that_moment() -> None:
    clock = RealTime()
    for _ in range(20):
        before = time.monotonic()
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        after = time.monotonic()
        assert before - NEAR < clock.monotonic(seconds, nanoseconds) < after + NEAR


def test_stamps_keep_their_distance_across_seconds() -> None:
    clock = RealTime()
    seconds = time.time_ns() // 1_000_000_000
    last, first = clock.monotonic(seconds, 999_999_900), clock.monotonic(seconds + 1, 100)
    assert first - last == pytest.approx(200e-9, abs=NEAR)


@pytest.mark.parametrize("step", [3600, -3600, 2, -2])
def test_a_wall_clock_that_is_set_changes_nothing(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = RealTime()
    clock.monotonic(*divmod(time.time_ns(), 1_000_000_000))
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + step * 1_000_000_000)
    before = time.monotonic()
    found = clock.monotonic(*divmod(time.time_ns(), 1_000_000_000))
    assert before - NEAR < found < time.monotonic() + NEAR
