"""Is the generator itself on time, and how is the server's process?"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gevent
import psutil

from conformance.load_result import Generator, Sample
from loadtests.measures import Histogram

TICK = 0.02  # seconds between two looks at the loop
WINDOW = 5.0  # seconds over which the share of a core is taken
LATE = 0.05  # seconds: at most one look in a hundred may be later
BUSY = 0.9  # share of one core: a process that has no more is the bottleneck itself


@dataclass(frozen=True, slots=True)
class Health:
    """One process's: delays of its loop in seconds, and the largest share of a core that it took over `WINDOW`."""

    p50: float = 0.0
    p99: float = 0.0
    high: float = 0.0
    cpu: float = 0.0

    def to_data(self) -> list[float]:
        """For a message between processes."""
        return [self.p50, self.p99, self.high, self.cpu]

    @property
    def why(self) -> str:
        """Why it was late, "" if it was not."""
        if self.p99 > LATE:
            late, limit = self.p99 * 1e3, LATE * 1e3
            return f"one in a hundred looks at its loop was {late:.0f} ms late or more (limit {limit:.0f} ms)"
        if self.cpu > BUSY:
            return f"it took {self.cpu:.0%} of a core (limit {BUSY:.0%}): give it more processes or workers"
        return ""


class LoopWatch:
    """Looks at this process's loop from its beginning to `stop`."""

    def __init__(self) -> None:
        self._delays = Histogram()
        self._cpu = 0.0
        self._greenlet = gevent.spawn(self._look)

    @property
    def health(self) -> Health:
        """As of now."""
        delays = self._delays
        return Health(delays.percentile(50), delays.percentile(99), delays.high, self._cpu)

    def stop(self) -> None:
        """Look no more."""
        self._greenlet.kill(block=False)

    def _look(self) -> None:
        began, spent = time.monotonic(), time.process_time()
        while True:
            due = time.monotonic() + TICK
            gevent.sleep(TICK)
            now = time.monotonic()
            self._delays.record(now - due)
            if now - began >= WINDOW:
                used = time.process_time()
                self._cpu = max(self._cpu, (used - spent) / (now - began))
                began, spent = now, used


def worst(healths: Mapping[str, Health], faults: list[str]) -> Generator:
    """All processes of the generator together: the worst one counts. `faults` are what went wrong with it besides."""
    every = healths.values()
    reasons = [
        f"{name}: {health.why}" if len(healths) > 1 else health.why
        for name, health in healths.items()
        if health.why
    ]
    reasons += faults
    return Generator(
        max((health.p50 for health in every), default=0.0),
        max((health.p99 for health in every), default=0.0),
        max((health.high for health in every), default=0.0),
        max((health.cpu for health in every), default=0.0),
        bool(reasons),
        "; ".join(reasons),
    )


class ProcessWatch:
    """Samples the server's process once a second, its children with it.

    Raises `ValueError` where there is no such process.
    """

    def __init__(self, pid: int, started: float) -> None:
        self.samples: list[Sample] = []
        self._started = started  # wall clock
        self._known: dict[int, psutil.Process] = {}
        try:
            self._process = psutil.Process(pid)
        except (psutil.Error, ValueError):
            raise ValueError(f"--target-pid: there is no process {pid} that can be looked at") from None
        if pid == os.getpid():
            raise ValueError("--target-pid names the load generator itself")
        self._greenlet = gevent.spawn(self._look)

    def stop(self) -> None:
        """Sample no more."""
        self._greenlet.kill(block=False)

    def _look(self) -> None:
        while True:
            sample = self._sample()
            if sample is None:
                return
            self.samples.append(sample)
            gevent.sleep(1.0)

    def _sample(self) -> Sample | None:
        try:
            found = [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return None
        rss, cpu = 0, 0.0
        descriptors: int | None = 0
        for process in found:
            process = self._known.setdefault(process.pid, process)  # shares are taken since its last sample
            try:
                with process.oneshot():
                    rss += process.memory_info().rss
                    cpu += process.cpu_percent(None) / 100
                    own: Any = process.num_fds() if descriptors is not None else None
            except psutil.AccessDenied:
                own = None
            except psutil.Error:
                continue
            descriptors = None if own is None or descriptors is None else descriptors + own
        return Sample(max(0.0, time.time() - self._started), rss, cpu, descriptors)
