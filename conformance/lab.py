"""One target under test: runs each probe at most once, keeps what it saw, and gives verdicts."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import conformance.observe.probes
import conformance.rules  # noqa: F401  (importing the packages registers probes and rules)
from conformance import rate_limit
from conformance.catalogue import Requirement, catalogue
from conformance.judge import HarnessError, Outcome, Result, judge
from conformance.observe.drivers import driver_for
from conformance.observe.probe import Probe, Unavailable, probes
from conformance.observe.recording import Recording
from conformance.observe.transport import TargetUnreachable
from conformance.profile import Effect, Profile
from conformance.rules.base import Case, Check, Stream, checks
from conformance.transcript import Ended, Observation

# After so many probes in a row to which the target answered nothing, or without end, the rest would only
# wait for deadlines and caps: they are inconclusive at once.
SILENT_PROBES = 3


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_effects(profile: Profile) -> frozenset[Effect]:
    """The effect classes that may be used: all on loopback; elsewhere read and prompt, plus what is allowed."""
    if is_loopback(profile.url):
        return frozenset(Effect)
    return frozenset({Effect.READ, Effect.PROMPT, *(profile.allow or ())})


class Lab:
    """Probes, observations and verdicts of one target. `max_seconds` bounds the probing as a whole."""

    def __init__(self, profile: Profile, *, max_seconds: float = 600.0) -> None:
        self.profile = profile
        self.catalogue = catalogue(profile.protocol)
        self.allowed = allowed_effects(profile)
        self._probes = probes(profile.family)
        self._checks: dict[str, list[Check]] = {}
        for check in checks(profile.family):
            self._checks.setdefault(check.requirement, []).append(check)
        self._outcomes: dict[str, Outcome] = {}
        self._uncharged: dict[str, float] = {}  # seconds of probes that no requirement has paid for
        self._running = threading.Lock()
        self._max_seconds = max_seconds
        self._spent = 0.0
        self._silent = 0
        self.watch: Callable[[Probe], None] | None = None  # is told which probe begins
        self.broken = ""  # why nothing more is tried on this target

    def probes_of(self, requirement: Requirement) -> tuple[Probe, ...]:
        """The probes that this requirement needs and that may run on this target."""
        names = {name for check in self._checks.get(requirement.id, ()) for name in check.probes}
        known = (self._probes[name] for name in sorted(names) if name in self._probes)
        return tuple(probe for probe in known if not self._excuse(probe))

    def result(self, requirement: Requirement) -> Result:
        """The verdict on one requirement, running the probes that it needs first.

        Raises `HarnessError` for a fault of ours.
        """
        found = self._checks.get(requirement.id)
        if not found:
            raise HarnessError(f"requirement {requirement.id} has no check")
        began, waited = time.monotonic(), 0.0
        asked: dict[str, None] = {}

        def ask(name: str) -> Outcome | None:
            nonlocal waited
            asked[name] = None
            before = time.monotonic()
            outcome = self.outcome(name)
            waited += time.monotonic() - before
            return outcome

        result = judge(requirement, found, ask, self.profile)
        judging = time.monotonic() - began - waited
        # A probe's time is charged to the requirement that needed it first, whoever ran it.
        return replace(result, seconds=judging + sum(self._uncharged.pop(name, 0.0) for name in asked))

    def observation(self, probe: str) -> Observation | None:
        """What that probe saw, if it ran."""
        outcome = self._outcomes.get(probe)
        return None if outcome is None or outcome.case is None else outcome.case.observation

    def outcome(self, name: str) -> Outcome | None:
        """What became of a probe, running it now if it has not run; None if this protocol has none of that name.

        May be called from several threads: a probe runs once, and only one at a time.
        """
        probe = self._probes.get(name)
        if probe is None:
            return None
        with self._running:
            if name not in self._outcomes:
                if self.watch is not None and not self._excuse(probe):
                    self.watch(probe)
                outcome = self._outcomes[name] = self._run_within_limits(probe)
                self._uncharged[name] = outcome.seconds
            return self._outcomes[name]

    def _excuse(self, probe: Probe) -> str:
        if probe.effect not in self.allowed:
            return (
                f"its effect is not allowed on this target (allow it with --sse-allow {probe.effect.value})"
            )
        return probe.unless(self.profile)

    def _run_within_limits(self, probe: Probe) -> Outcome:
        """Run a probe, and again where the target's declared limit of rate got in its way."""
        outcome = self._run(probe)
        for attempt in range(len(rate_limit.PAUSES)):
            if outcome.case is None or not rate_limit.in_the_way(outcome.case.observation):
                return outcome
            wait = rate_limit.pause(outcome.case.observation, attempt)
            time.sleep(wait)
            self._spent += wait
            again = self._run(probe)
            outcome = replace(again, seconds=outcome.seconds + wait + again.seconds)
        if outcome.case is None or rate_limit.stands(outcome.case.observation):
            return outcome
        if not rate_limit.in_the_way(outcome.case.observation):
            return outcome
        return Outcome(probe.name, inconclusive=rate_limit.STILL_LIMITED, seconds=outcome.seconds)

    def _run(self, probe: Probe) -> Outcome:
        if excuse := self._excuse(probe):
            return Outcome(probe.name, not_applicable=excuse)
        if self.broken:
            return Outcome(probe.name, inconclusive=self.broken)
        remaining = self._max_seconds - self._spent
        if remaining <= 0:
            self.broken = f"the run's ceiling of {self._max_seconds:g} s is passed (--sse-max-seconds)"
            return Outcome(probe.name, inconclusive=self.broken)
        began = time.monotonic()
        # Not a result of the coroutine: asyncio.run() writes that out as text, megabytes of it, and throws it away.
        seen: list[Observation] = []
        try:
            asyncio.run(self._observe(probe, remaining, seen))
        except TargetUnreachable as error:
            self.broken = f"the target stopped answering: {error}"
            return Outcome(probe.name, inconclusive=self.broken)
        except Exception as error:
            raise HarnessError(f"probe {probe.name!r} failed: {type(error).__name__}: {error}") from error
        finally:
            seconds = time.monotonic() - began
            self._spent += seconds
        case = Case(seen[0])
        self._note_silence(case)
        return Outcome(probe.name, case, seconds=seconds)

    async def _observe(self, probe: Probe, seconds: float, seen: list[Observation]) -> None:
        driver, recording = driver_for(self.profile), Recording(probe.name, self.profile)
        try:
            async with asyncio.timeout(seconds) as ceiling:
                await probe.run(driver, recording)
        except Unavailable as error:
            recording.incomplete(str(error))
        except TimeoutError:
            if not ceiling.expired():
                raise
            recording.incomplete(
                f"the run's ceiling of {self._max_seconds:g} s is passed (--sse-max-seconds)"
            )
        finally:
            seen.append(await recording.finish())
            await driver.cleanup()

    def _note_silence(self, case: Case) -> None:
        observation = case.observation
        endings = {exchange.transcript.ended for exchange in case.exchanges}
        if case.exchanges:
            answered = Ended.COMPLETE in endings or any(_says_something(stream) for stream in case.streams)
        else:
            answered = any(action.status is not None for action in observation.actions)
        if Ended.CAPPED in endings:
            self._silent += 2  # nothing that is asked for is so long, and judging what has no end takes time
        elif not answered and (observation.incomplete or Ended.DEADLINE in endings):
            self._silent += 1
        elif answered:
            self._silent = 0
        if self._silent >= SILENT_PROBES:
            probe = observation.probe
            self.broken = (
                f"the target did not answer {SILENT_PROBES} probes in a row, or never stopped "
                f"(the last was {probe!r})"
            )


def _says_something(stream: Stream) -> bool:
    """Whether a stream has an event; a long one is not decoded to its end for that."""
    return any(block.dispatch is not None for block in stream.walk())
