"""Probing several targets at once: waiting for one server's heartbeat costs another nothing.

Only targets on servers of their own are probed side by side, so that none disturbs another's timing.
Judging stays where it is; it finds the observations made, or makes them itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from conformance.catalogue import Requirement
from conformance.judge import HarnessError
from conformance.run import Run, Target

_THREADS = 2  # beside the judging one


@dataclass(frozen=True, slots=True)
class Work:
    """A target, and the requirements that the run will judge on it."""

    target: Target
    requirements: tuple[Requirement, ...]


class Prefetch:
    """Probes targets in the background until it is stopped."""

    def __init__(self, run: Run, work: Sequence[Work]) -> None:
        self._run = run
        # The judging thread begins with the first target: begin with the last.
        self._work = list(work)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._go, daemon=True) for _ in range(min(_THREADS, len(work)))
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin no further probe, and wait for those that run."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _go(self) -> None:
        while not self._stopped.is_set():
            try:
                work = self._work.pop()
            except IndexError:
                return
            # What goes wrong here goes wrong again where it is judged, and is reported there.
            with contextlib.suppress(HarnessError):
                self._probe(work)

    def _probe(self, work: Work) -> None:
        lab = self._run.lab(work.target)
        for requirement in work.requirements:
            for probe in lab.probes_of(requirement):
                if self._stopped.is_set():
                    return
                lab.outcome(probe.name)
