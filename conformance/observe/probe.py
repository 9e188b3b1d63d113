"""The registry of probes. A probe is an interaction with a target that yields an observation: it judges nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from conformance.observe.drivers.base import Driver
from conformance.observe.recording import Recording
from conformance.profile import Effect, Profile

Run = Callable[[Driver, Recording], Awaitable[None]]


class Unavailable(Exception):
    """The stimulus was declared and did not work: what depends on the probe is inconclusive. One line."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An interaction by name.

    `prompts` is the number of prompts that it sends. `unless` gives the reason why it does not apply to
    a profile ("" if it does): an undeclared capability, no scripts, no such tool.
    """

    name: str
    run: Run
    families: frozenset[str]
    effect: Effect
    prompts: int
    unless: Callable[[Profile], str]
    summary: str


_probes: dict[tuple[str, str], Probe] = {}


def probe(
    name: str,
    *,
    families: Iterable[str],
    effect: Effect,
    prompts: int = 0,
    unless: Callable[[Profile], str] = lambda profile: "",
) -> Callable[[Run], Run]:
    """Register an async function over a driver and a recording. Its docstring's first line is the summary.

    It may raise `Unavailable` (or call `recording.incomplete`); what was recorded until then is kept.
    """

    def register(run: Run) -> Run:
        summary = (run.__doc__ or "").strip().splitlines()[0]
        for family in families:
            if (family, name) in _probes:
                raise ValueError(f"probe {name!r} is registered twice for {family}")
            _probes[family, name] = Probe(name, run, frozenset(families), effect, prompts, unless, summary)
        return run

    return register


def probes(family: str) -> dict[str, Probe]:
    """The probes of a protocol family by name (import `conformance.observe.probes` first)."""
    return {name: entry for (owner, name), entry in _probes.items() if owner == family}
