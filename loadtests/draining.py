"""How a run ends: nothing more is asked, what was asked for is waited for, and only then is it closed and judged.

A stream that we close while its events are on their way would show losses of our own making.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import gevent
from gevent.pool import Pool

from loadtests.rooms import Rooms
from loadtests.run import Run

_CLEANING = 5.0  # seconds that the removal of our sessions may take
_AT_ONCE = 20


def longest(run: Run) -> float:
    """Seconds that draining may take: the answers under way, the fences after them, and patience for both."""
    answer = run.plan.chunks * run.plan.pace_ms / 1000
    return 2 * (answer + run.settings.patience) + _CLEANING


def drain(run: Run, rooms: Iterable[Rooms]) -> None:
    """End it. What has not come within `longest` is closed and not judged. Does nothing the second time."""
    if run.draining:
        return
    run.draining = True
    deadline = time.monotonic() + longest(run) - _CLEANING

    def left() -> float:
        return max(0.0, deadline - time.monotonic())

    all_rooms = [room for each in rooms for room in each.rooms]
    gevent.joinall([room.asker for room in all_rooms], timeout=left())
    for stream in list(run.open):
        stream.leave()
    while run.open and left():
        gevent.sleep(0.01)
    for stream in list(run.open):
        stream.abandon()
    gevent.killall([room.asker for room in all_rooms])
    _clean_up(run)


def _clean_up(run: Run) -> None:
    pool = Pool(_AT_ONCE)
    deadline = time.monotonic() + _CLEANING
    for target in run.targets:
        made, target.made = target.made, []
        for session in made:
            if pool.wait_available(timeout=max(0.0, deadline - time.monotonic())):
                pool.spawn(target.remove, session)
    pool.join(timeout=max(0.0, deadline - time.monotonic()))
    pool.kill()
