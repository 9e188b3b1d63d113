"""Where more users stop being worth it."""

from __future__ import annotations

import random

import pytest

from conformance.load_knee import knee
from conformance.load_result import Spread, Step
from tests.support.load_cases import realistic


def step(users: int, rate: float, p50: float | None, *, gap: float | None = None) -> Step:
    ttfe = None if p50 is None else Spread(p50, p50 * 2, p50 * 9, 9.0)
    return Step(users, 1.0, 1, 1, rate, 0, ttfe, None if gap is None else Spread(gap, gap, gap, gap))


def test_the_knee_is_the_last_level_that_still_paid() -> None:
    found = knee(realistic().steps)
    assert found is not None
    assert found.users == 350


def test_a_server_that_serializes_has_its_knee_where_it_is_full() -> None:
    # A queue with room for 100 events per second: beyond it every user waits for the others.
    levels = [(users, min(10.0 * users, 100.0), 0.01 * max(1, users - 9)) for users in range(2, 30, 4)]
    found = knee([step(*level) for level in levels])
    assert found is not None
    assert found.users == 10


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_makes_no_knee(seed: int) -> None:
    dice = random.Random(seed)
    steps = [step(users, 10.0 * users, 0.02 * dice.uniform(0.85, 1.15)) for users in range(10, 110, 10)]
    assert knee(steps) is None


def test_times_that_are_the_schedulers_make_no_knee() -> None:
    assert knee([step(10, 100.0, 0.0004), step(20, 200.0, 0.009), step(30, 300.0, 0.003)]) is None


def test_levels_may_come_in_any_order_and_may_have_measured_nothing() -> None:
    steps = [step(30, 20.0, 0.9), step(10, 10.0, 0.01), step(20, 20.0, 0.01), step(40, 0.0, None)]
    found = knee(steps)
    assert found is not None
    assert found.users == 20
    of_gaps = [step(10, 10.0, None, gap=0.01), step(20, 20.0, None, gap=0.01), step(30, 20.0, None, gap=0.5)]
    assert knee(of_gaps) == of_gaps[1]


def test_two_levels_are_too_few() -> None:
    assert knee([step(1, 1.0, 0.01), step(2, 1.0, 9.0)]) is None
    assert knee([step(users, 0.0, None) for users in (1, 2, 3)]) is None
    assert knee(()) is None
