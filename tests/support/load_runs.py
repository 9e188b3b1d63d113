"""Small load runs within this process, many at a time: what Locust's users do, without Locust."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import gevent
from gevent.pool import Pool

from conformance import slo
from conformance.load_result import LoadResult
from conformance.profile_file import default_profile
from loadtests.chats import Dialog
from loadtests.draining import drain
from loadtests.health import Health
from loadtests.options import Asked
from loadtests.plan import Plan
from loadtests.result import Story, result_of
from loadtests.rooms import Rooms
from loadtests.run import Run, Settings

DEADLINE = 30.0  # seconds: no run takes so long by far


@dataclass(frozen=True, slots=True)
class Small:
    """One run: of that protocol, with that fault of a server that lets requests choose one ("" for none)."""

    protocol: str
    fault: str = ""
    users: int = 4
    slo: str = ""
    storms: int = 0
    pace_ms: int = 10
    patience: float = 5.0
    every: float = 0.0
    answers: int = 6  # how many answers are heard, or errors met, before it ends; before each storm too


def run_all(url: str, runs: Mapping[str, Small], at_once: int = 12) -> dict[str, LoadResult]:
    """The results of all of them, some at the same time, at a reference server that speaks every protocol."""
    pool = Pool(at_once)
    greenlets = {
        name: pool.spawn(_run, url, small, place) for place, (name, small) in enumerate(runs.items())
    }
    gevent.joinall(list(greenlets.values()), raise_error=True)
    return {name: greenlet.value for name, greenlet in greenlets.items()}


def _run(url: str, small: Small, place: int) -> LoadResult:
    profile = default_profile(small.protocol, f"{url}/{small.protocol}")
    if small.fault:
        profile = replace(profile, headers=(("X-Reference-Fault", small.fault),))
    conditions = slo.parse(small.slo)
    settings = Settings(
        Plan(f"{place:08x}", chunks=10, pace_ms=small.pace_ms),
        (profile,),
        time.time(),
        1,
        every=small.every,
        patience=small.patience,
        bounds=tuple(slo.limits(conditions).items()),
        directories=(f"/load/{place}/a", f"/load/{place}/b"),  # OpenCode's streams show all of one
    )
    run = Run(settings, lambda *_: None)
    rooms = Rooms(run, run.targets[0])
    story = Story(settings.started)
    story.begin(0, small.users)
    users = [gevent.spawn(_use, run, rooms) for _ in range(small.users)]
    end = time.monotonic() + DEADLINE
    for storm in range(small.storms + 1):
        wanted = small.answers * (storm + 1)
        while run.figures.counts["heard"] + run.figures.errors.total() < wanted and time.monotonic() < end:
            gevent.sleep(0.02)
        if storm < small.storms:
            gevent.sleep(small.pace_ms * 5 / 1000)  # into the middle of an answer
        for stream in list(run.open) if storm < small.storms else ():
            stream.renew()
    story.saw(small.users)
    story.stop()
    drain(run, [rooms])
    gevent.killall(users)
    return result_of(
        Asked(settings, None, conditions, (profile.family,)),
        run.figures,
        story,
        {"this process": Health()},
        (),
        target=profile.url,
        workers=1,
        spawn_rate=1.0,
        command="",
        seed=1,
    )


def _use(run: Run, rooms: Rooms) -> None:
    target = rooms.target
    dialog = Dialog(run, target) if target.dialect.answers_with_stream else None
    while not run.draining:
        if dialog is not None:
            dialog.ask()
        elif (subscriber := rooms.join()) is not None:
            subscriber.over.wait()
        else:
            gevent.sleep(0.1)
