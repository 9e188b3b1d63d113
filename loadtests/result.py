"""From figures to the result that the rest of the suite knows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from conformance import slo
from conformance.load_result import (
    DISTRIBUTIONS,
    ERRORS,
    INTEGRITY,
    Integrity,
    LoadResult,
    Sample,
    Second,
    Spread,
    Step,
    Totals,
)
from loadtests.arrivals import DELAY_METHOD
from loadtests.client import CLOCK
from loadtests.health import Health, worst
from loadtests.measures import Figures
from loadtests.options import Asked
from loadtests.validation import validation_for


@dataclass(slots=True)
class _Level:
    users: int
    begin: float
    end: float | None = None


@dataclass(slots=True)
class Story:
    """What whoever controls a run has seen of it: users by the second, levels of concurrency. `started`: wall clock."""

    started: float
    ended: str = ""  # why before its time
    users: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0  # how long load was made
    _levels: dict[int, _Level] = field(default_factory=dict)

    def begin(self, level: int, users: int) -> None:
        """A level of concurrency is asked for."""
        now = self._now()
        for known in self._levels.values():
            known.end = now if known.end is None else known.end
        self._levels[level] = _Level(users, now)

    def raise_to(self, level: int, users: int) -> None:
        """More, or fewer, users of the same level."""
        self._levels[level].users = users

    def users_of(self, level: int) -> int:
        """How many users that level has; 0 where there was none."""
        return self._levels[level].users if level in self._levels else 0

    def saw(self, users: int) -> None:
        """So many users are there now."""
        self.users[int(self._now())] = users

    def held(self) -> dict[int, float]:
        """How long each level was held, in seconds, up to now."""
        now = self.seconds or self._now()
        return {
            number: (now if level.end is None else level.end) - level.begin
            for number, level in self._levels.items()
        }

    def stop(self) -> None:
        """No more load is made."""
        self.seconds = self._now()

    def _now(self) -> float:
        return max(0.0, time.time() - self.started)


def result_of(
    asked: Asked,
    figures: Figures,
    story: Story,
    health: Mapping[str, Health],
    process: tuple[Sample, ...],
    *,
    target: str,
    workers: int,
    spawn_rate: float,
    command: str,
    seed: int,
) -> LoadResult:
    """The result of a run that is over, gates judged."""
    counts, settings = figures.counts, asked.settings
    events = counts["events"]
    validators = {validation_for(p.protocol, p.strict).name for p in settings.profiles}
    wrong = {kind: max(0, counts[kind]) for kind in INTEGRITY}
    seconds = max(story.seconds, 0.001)
    received = sum(second["events"] for at, second in figures.seconds.items() if at <= seconds)
    size = sum(second["size"] for at, second in figures.seconds.items() if at <= seconds)
    result = LoadResult(
        target=target,
        protocols=tuple(profile.protocol for profile in settings.profiles),
        shape="constant" if asked.shape is None else asked.shape.name,
        users=max(story.users.values(), default=0),
        seconds=seconds,
        integrity=Integrity(
            events=events,
            streams=counts["heard"],
            validated=counts["validated"] / events if events else 0.0,
            validator=", ".join(sorted(validators)),
            examples=tuple(figures.examples),
            **wrong,
        ),
        totals=Totals(
            streams=counts["streams"],
            good=counts["good"],
            events=sum(second["events"] for second in figures.seconds.values()),
            size=counts["size"],
            events_per_s=received / seconds,
            bytes_per_s=size / seconds,
            prompts=counts["prompts"],
            reconnects=counts["reconnects"],
            lost_by_reconnects=counts["missed"],
        ),
        distributions=tuple(
            (name, figures.times[name].distribution())
            for name in DISTRIBUTIONS
            if name in figures.times and figures.times[name].count
        ),
        errors=tuple((kind, figures.errors[kind]) for kind in ERRORS if figures.errors[kind]),
        steps=_steps(figures, story),
        timeline=_timeline(figures, story),
        raster=tuple(sorted((row for _, row in figures.rows), key=lambda row: row.begin)),
        process=process,
        generator=worst(health, figures.faults),
        started=datetime.fromtimestamp(story.started, UTC).isoformat(timespec="milliseconds"),
        spawn_rate=spawn_rate,
        workers=workers,
        clock=CLOCK,
        delay_method=DELAY_METHOD if settings.plan.pace_ms else "",
        ended=story.ended,
        command=command,
        seed=seed,
        name=settings.profiles[0].name,
        implementation=settings.profiles[0].implementation,
    )
    return replace(result, gates=slo.gates(asked.conditions, result))


def _steps(figures: Figures, story: Story) -> tuple[Step, ...]:
    steps = []
    for number, seconds in sorted(story.held().items()):
        level = figures.levels.get(number)
        if level is None or seconds <= 0:
            continue
        steps.append(
            Step(
                story.users_of(number),
                seconds,
                level.counts["streams"],
                level.counts["good"],
                level.counts["events"] / seconds,
                level.counts["errors"],
                Spread.of(level.times["ttfe"].distribution()),
                Spread.of(level.times["gap"].distribution()),
            )
        )
    return tuple(steps)


def _timeline(figures: Figures, story: Story) -> tuple[Second, ...]:
    last = max((*figures.seconds, *story.users), default=-1)
    timeline, open_streams, users = [], 0, 0
    for at in range(last + 1):
        second = figures.seconds.get(at, Counter[str]())
        open_streams += second.get("opened", 0) - second.get("closed", 0)
        users = story.users.get(at, users if at <= story.seconds else 0)
        timeline.append(
            Second(
                float(at),
                users,
                max(0, open_streams),
                second.get("events", 0),
                second.get("size", 0),
                second.get("errors", 0),
            )
        )
    return tuple(timeline)
