"""How users come and go: ramp, step until it breaks, spike, soak, reconnect storm.

`-u` is the most users, `-t` how long it lasts, `-r` how many come a second at the most. What a shape is about to do
depends on the time alone; only `step` looks at the figures, and stops where more users bring nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from loadtests.measures import Level

SHAPES = ("ramp", "step", "spike", "soak", "storm")
LEVELS = 10  # of a ramp, and of steps where their height is not said
STEP = 10.0  # seconds of a step
# Saturation: what a step may not do.
GOOD = 0.9  # share of good streams, at least
ERRORS = 0.05  # errors a stream, at most
SLOWER = 3.0  # times the p99 of the first step …
SLACK = 0.1  # … and so many seconds more
GAIN = 0.5  # of the share by which users grew, events must have grown by this much, at least


@dataclass(frozen=True, slots=True)
class Tick:
    """What is asked for now: so many users, as the `level`-th level of concurrency; `storm`: all reconnect at once."""

    users: int
    level: int
    storm: int = 0  # how many storms there have been


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape by name. `height`: users of a step; `every`: seconds of a step, or between storms."""

    name: str
    users: int
    seconds: float
    height: int = 0
    every: float = STEP

    def __post_init__(self) -> None:
        if self.name not in SHAPES:
            raise ValueError(f"--sse-shape: expected one of {', '.join(SHAPES)}, found {self.name!r}")
        if self.users < 1 or self.seconds <= 0:
            raise ValueError(f"the shape {self.name} needs users (-u) and a time (-t)")

    def at(self, seconds: float) -> Tick | None:
        """What is asked for so many seconds after the beginning; None: it is over."""
        if seconds >= self.seconds:
            return None
        share = seconds / self.seconds
        if self.name == "ramp":
            # All of them are there for the last tenth of the time.
            return Tick(
                max(1, round(self.users * min(1.0, share * LEVELS / (LEVELS - 1)))), int(share * LEVELS)
            )
        if self.name == "step":
            level = int(seconds / self.every)
            height = self.height or max(1, self.users // LEVELS)
            if level and height * level >= self.users:
                return None
            return Tick(min(height * (level + 1), self.users), level)
        if self.name == "spike":
            level = min(int(share * 3), 2)
            return Tick(self.users if level == 1 else max(1, self.users // 10), level)
        if self.name == "storm":
            return Tick(self.users, 0, int(seconds / self.every))
        return Tick(self.users, 0)


def saturated(
    levels: Mapping[int, Level], users: Mapping[int, int], held: Mapping[int, float], late: str = ""
) -> str:
    """Why the newest level of concurrency is more than the server holds; "" if it is not, or if nothing can be said.

    `users` and `held` (seconds) are those of each level. `late`: why the generator itself is late, which ends it, too.
    """
    if late:
        return f"the load generator is at its own limit: {late}"
    known = [number for number in sorted(levels) if levels[number].counts["streams"] and users.get(number)]
    if not known:
        return ""
    newest = levels[known[-1]]
    streams = newest.counts["streams"]
    at = f"at {users[known[-1]]:,} users"
    if newest.counts["good"] < GOOD * streams:
        return f"{at} only {newest.counts['good']:,} of {streams:,} streams were good"
    if newest.counts["errors"] > ERRORS * streams:
        return f"{at} there were {newest.counts['errors']:,} errors in {streams:,} streams"
    for name in ("ttfe", "gap"):
        before, now = (levels[number].times[name].percentile(99) for number in (known[0], known[-1]))
        if before and now > SLOWER * before + SLACK:
            return f"{at} the p99 of {name} is {now:.3g} s, at {users[known[0]]:,} it was {before:.3g} s"
    for lower, upper in list(pairwise(known))[-1:]:
        rates = [
            levels[number].counts["events"] / held[number] for number in (lower, upper) if held.get(number)
        ]
        more = users[upper] / users[lower] - 1
        if len(rates) == 2 and rates[0] and more > 0 and rates[1] / rates[0] - 1 < GAIN * more:
            return f"{at}, {more:.0%} more, events a second went from {rates[0]:,.0f} to {rates[1]:,.0f}"
    return ""
