"""Results of load runs that never were: as large as real ones, for tests of what is made of them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from conformance.load_result import (
    Distribution,
    Example,
    Gate,
    Generator,
    Integrity,
    LoadResult,
    Row,
    Sample,
    Second,
    Spread,
    Step,
    Totals,
)
from conformance.profile import Implementation
from conformance.slo import gates, parse

TARGET = "http://127.0.0.1:8000"


def measured(values: Iterable[float]) -> Distribution:
    """These times in buckets of three digits, as a histogram gives them."""
    buckets: dict[float, int] = {}
    kept = sorted(values)
    for value in kept:
        scale = 10.0 ** (math.floor(math.log10(value)) - 2)
        bound = round(math.ceil(value / scale) * scale, 9)
        buckets[bound] = buckets.get(bound, 0) + 1
    points, total = [], 0
    for bound in sorted(buckets):
        total += buckets[bound]
        points.append((bound, total))
    return Distribution(total, kept[0], kept[-1], tuple(points)) if kept else Distribution()


def small(**changes: Any) -> LoadResult:
    """A run of four good streams, with every gate of the default held. `changes` are members of the result."""
    made = LoadResult(
        TARGET,
        ("penguin/2",),
        "constant",
        4,
        2.0,
        Integrity(400, 4, 1.0, "jsonschema-rs 0.40"),
        Totals(4, 4, 400, 84_000, 200.0, 42_000.0, 4),
        (("ttfe", measured([0.01, 0.02, 0.03, 0.04])), ("gap", measured([0.02] * 396))),
        started="2026-11-20T21:42:00+00:00",
        name="penguin/2 default",
        id="small",
    )
    made = replace(made, **changes)
    return made if "gates" in changes else replace(made, gates=gates(parse(""), made))


def whole() -> LoadResult:
    """A short run of everything that a result can have, to change and to damage."""
    spread = Spread.of(measured([0.01, 0.02, 0.4]))
    return small(
        integrity=Integrity(400, 4, 1.0, "x", 1, examples=(Example("lost", "a", "b", "c"),)),
        errors=(("reset", 1),),
        steps=tuple(Step(users, 1.0, 2, 2, 100.0, 0, spread, spread) for users in (2, 3, 4)),
        timeline=tuple(Second(float(at), 4, 4, 200, 42_000, at) for at in range(3)),
        raster=(Row(0.0, 1.9, "good", 0.1), Row(0.1, 2.0, "reset", None, ((0.5, 1.0),))),
        process=(Sample(0.0, 50_000_000, 0.2, 30), Sample(1.0, 51_000_000, 0.3, 31)),
        shape="step",
        command="sse-conformance load http://127.0.0.1:8000",
        delay_method="a sentence",
        seed=7,
    )


@cache
def realistic(
    *, correct: bool = False, slo: str = "ttfe:p99<500ms, gap:p99<200ms", seed: int = 1
) -> LoadResult:
    """Ten minutes of 50 to 500 users: the knee lies at 350, beyond it the server loses events and resets streams."""
    dice = random.Random(seed)
    levels = range(50, 501, 50)

    def times(median: float, spread: float, count: int) -> Distribution:
        return measured(median * math.exp(dice.gauss(0, spread)) for _ in range(count))

    steps = []
    for users in levels:
        slow = 1.0 if users <= 350 else (users / 350) ** 6
        ttfe = times(0.012 * slow, 0.5, 400)
        gap = times(0.02 * slow**0.5, 0.3, 4_000)
        errors = 0 if users <= 400 or correct else users // 20
        rate = 48.0 * min(users, 350)
        steps.append(
            Step(
                users,
                60.0,
                users * 6,
                users * 6 - errors * 2,
                rate,
                errors,
                Spread.of(ttfe),
                Spread.of(gap),
            )
        )
    timeline = [
        Second(
            float(at),
            (users := levels[at // 60]),
            users - dice.randrange(5),
            (events := int(48 * min(users, 350) * dice.uniform(0.95, 1.03))),
            events * 212,
            dice.randrange(3) if users > 400 and not correct else 0,
        )
        for at in range(600)
    ]
    events = sum(second.events for second in timeline)
    streams = sum(step.streams for step in steps)
    errors = () if correct else (("timeout", 8), ("reset", 21), ("status", 43))
    integrity = Integrity(events, streams, 1.0, "jsonschema-rs 0.40.1")
    if not correct:
        integrity = replace(
            integrity,
            lost=31,
            leaked=2,
            unfinished=21,
            examples=(
                Example("lost", "user 391, session ses_0bf2", "event 118 after event 117", "event 119"),
                Example(
                    "leaked", "user 402, session ses_77a1", "events of ses_77a1", "an event of ses_0c13: <b>&"
                ),
                Example(
                    "unfinished",
                    "user 455, stream 3",
                    "session.idle before the end",
                    "a reset after 37 events",
                ),
            ),
        )
    made = LoadResult(
        TARGET,
        ("penguin/2",),
        "step",
        500,
        600.0,
        integrity,
        Totals(
            streams,
            streams if correct else streams - 96,
            events,
            events * 212,
            events / 600,
            events * 212 / 600,
            streams,
            0 if correct else 12,
            0 if correct else 3,
        ),
        tuple(
            (name, times(median, spread, count))
            for name, median, spread, count in (
                ("connect", 0.0004, 0.4, 3_000),
                ("headers", 0.004, 0.5, 3_000),
                ("ttfe", 0.014, 0.7, 3_000),
                ("ttfc", 0.04, 0.6, 3_000),
                ("gap", 0.021, 0.35, 60_000),
                ("stall", 0.09, 0.5, 3_000),
                ("delay", 0.003, 0.9, 60_000),
                ("duration", 8.0, 0.2, 3_000),
            )
        ),
        errors,
        tuple(steps),
        tuple(timeline),
        tuple(_rows(dice, correct)),
        tuple(
            Sample(
                float(at),
                60_000_000 + at * 40_000 + dice.randrange(2_000_000),
                min(0.99, 0.1 + levels[at // 60] / 400 * dice.uniform(0.9, 1.05)),
                30 + 2 * levels[at // 60],
            )
            for at in range(600)
        ),
        Generator(0.00008, 0.0021, 0.014, 0.46),
        started="2026-11-27T06:00:00+00:00",
        spawn_rate=50.0,
        workers=2,
        clock="kernel",
        delay_method="offset of the fastest event of each stream",
        command=f"sse-conformance load {TARGET} --sse-protocol penguin/2 --users 500 --sse-shape step",
        seed=seed,
        name="penguin/2 default",
        id="realistic",
    )
    return replace(made, gates=gates(parse(slo), made))


def _rows(dice: random.Random, correct: bool) -> Iterable[Row]:
    for number in range(200):
        begin = number * 2.95
        end = min(600.0, begin + dice.uniform(6, 11))
        late = begin > 480 and not correct
        outcome = "open" if end == 600.0 else "good"
        if late and number % 6 == 0 and outcome == "good":
            outcome = dice.choice(["reset", "timeout", "slow", "lost"])
        stalls = ((begin + 2, begin + 3.4),) if outcome == "slow" else ()
        first = None if outcome == "timeout" else begin + 0.02
        yield Row(round(begin, 3), round(end, 3), outcome, first, stalls)


def hostile(text: str) -> LoadResult:
    """A run in which every text is that one."""
    found = tuple(Example(kind, text, text, text) for kind in ("lost", "leaked"))
    return replace(
        whole(),
        target=text,
        protocols=(text,),
        shape=text,
        name=text,
        started=text,
        ended=text,
        command=text,
        delay_method=text,
        integrity=Integrity(400, 4, 1.0, text, 1, leaked=1, examples=found),
        implementation=Implementation(text, text, ""),
        generator=Generator(late=True, why=text),
        gates=(Gate(text, text, False),),
    )
