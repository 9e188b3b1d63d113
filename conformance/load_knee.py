"""Where more users stop being worth it: the knee of throughput over latency."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.load_result import Step

_LEAST = 3  # levels
_FLOOR = 0.01  # seconds: below it a latency is the scheduler's as much as the server's
_FALLEN = 0.7  # of the greatest power: what noise alone does not do


def knee(steps: Sequence[Step]) -> Step | None:
    """The level with the greatest *power*, rate over latency (Kleinrock 1979); None where no higher level falls off.

    The rate is events a second, the latency the median of the time to first event (of gaps, where no level has one): it
    moves when all have to wait, and not with the luck of a few. A level at which nothing was measured has no power.
    """
    if len(steps) < _LEAST:
        return None
    of_gaps = all(step.ttfe is None for step in steps)
    powers = [_power(step, of_gaps) for step in steps]
    best = max(range(len(steps)), key=powers.__getitem__)
    beyond = [power for step, power in zip(steps, powers, strict=True) if step.users > steps[best].users]
    return steps[best] if beyond and powers[best] and min(beyond) < powers[best] * _FALLEN else None


def _power(step: Step, of_gaps: bool) -> float:
    spread = step.gap if of_gaps else step.ttfe
    return 0.0 if spread is None else step.events_per_s / max(spread.p50, _FLOOR)


__all__ = ["knee"]
