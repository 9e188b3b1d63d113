"""Probes of several subscribers of an event bus: fan-out, directories, lost connections.

For Penguin and OpenCode. The order of turns makes the fences: what a stream must not show is caused first, then a
turn that it must show; when that has come, what came before it is the evidence.
"""

from __future__ import annotations

import asyncio

from conformance.observe.drivers.base import Driver
from conformance.observe.drivers.bus import BusDriver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.probes.bus_turns import on_a_bus, scripted, shows
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.parts import SYNTHETIC
from conformance.penguin import BUSES, CONTROL, DIRECTORIES, FAN_OUT, FULL, LOST, busy_turn, words
from conformance.profile import Effect

EVERYONE, FEW = 6, 4  # subscribers without a filter, and with one
PACE = 2  # ms between chunks, so that turns in two sessions run at the same time


class Play:
    """Plays turns one after the other on one stream (of the role `role`), and waits for them on others."""

    def __init__(
        self, driver: BusDriver, recording: Recording, control: LiveStream, role: str = CONTROL
    ) -> None:
        self._driver = driver
        self._recording = recording
        self._control = control
        self._role = role

    async def turn(
        self, session: str, mark: str, *, agent: str | None = None, busy: bool = False, pace_ms: int = 0
    ) -> bool:
        """One turn whose words carry `mark`; whether it was accepted."""
        profile = self._recording.profile
        script = busy_turn(profile, mark) if busy else words(mark, pace_ms=pace_ms)
        sent = self._driver.prompt(
            self._recording,
            session,
            scripted(profile, script),
            stream=self._control,
            role=self._role,
            agent=agent,
        )
        if agent is None:
            await self._driver.ended(self._recording, sent, fence=False)
            return True
        # Another agent than the profile's may be refused: that is no failure of the probe.
        answer = await sent.answer
        if answer.ok:
            await self._driver.ended(self._recording, sent, fence=False)
        return answer.ok

    async def seen(self, mark: str, *streams: LiveStream) -> bool:
        """Wait until each stream shows the last words of the turn with this mark; True if all do."""
        settle = self._recording.seconds(self._recording.profile.limits.settle)
        if not self._recording.profile.script:
            return True
        last = f"{mark} three."
        waits = (stream.wait(lambda live: shows(live, last), settle) for stream in streams)
        return all(await asyncio.gather(*waits))

    async def fence(self, session: str) -> bool:
        """Cause one more event in the session's queue and wait until the stream has it."""
        return await self._driver.fence(self._recording, session, self._control)


@probe(FAN_OUT, families=BUSES, effect=Effect.PROMPT, prompts=3)
async def fan_out(driver: Driver, recording: Recording) -> None:
    """Two sessions at once and one again, before many subscribers (roles "all-…" and, with a filter, "of-a-…")."""
    bus, profile = on_a_bus(driver), recording.profile
    a = await bus.create_session(recording)
    b = await bus.create_session(recording)
    recording.fact("session-a", a)
    everyone = [await bus.subscribe(recording, f"all-{n}") for n in range(EVERYONE)]
    few = [
        await bus.subscribe(recording, f"of-a-{n}", session=a)
        for n in range(FEW if bus.filters_by_session else 0)
    ]
    first = everyone[0]
    sent = [
        bus.prompt(
            recording,
            session,
            scripted(profile, busy_turn(profile, mark, pace_ms=PACE)),
            stream=first,
            role="all-0",
        )
        for session, mark in ((a, "a-first"), (b, "b-first"))
    ]
    for each in sent:
        await bus.ended(recording, each, fence=False)
    role, stream = ("of-a-0", few[0]) if few else ("all-0", first)
    again = bus.prompt(recording, a, scripted(profile, words("a-second")), stream=stream, role=role)
    await bus.ended(recording, again, fence=False)
    await bus.fence(recording, b, *everyone)
    await bus.fence(recording, a, *everyone, *few)


@probe(DIRECTORIES, families=BUSES, effect=Effect.PROMPT, prompts=4)
async def directories(driver: Driver, recording: Recording) -> None:
    """Turns in sessions of two directories, in turn and then at once, watched through filters by directory.

    A bus that is always one directory's has no stream of everything: then its own directory's stream is the
    evidence that a turn showed.
    """
    bus = on_a_bus(driver)
    here = recording.profile.workspace
    if not here:
        here = bus.directory_of(await bus.create_session(recording))
    if not here:
        # No document promises that it says so: without it there is nothing to tell directories apart by.
        recording.fact("unbound", "the target does not say which directory a session belongs to")
        return
    a = await bus.create_session(recording, directory=here)
    elsewhere = await _elsewhere(bus, recording, here)
    if elsewhere is None:
        recording.fact("unbound", "the target binds no session to another directory")
        return
    b, there = elsewhere
    for name, value in (("session-a", a), ("session-b", b), ("directory-a", here), ("directory-b", there)):
        recording.fact(name, value)
    recording.fact("bound", bus.directory_of(b) in (None, there))
    if bus.filters_by_session:
        await bus.subscribe(recording, "a-in-b", session=a, directory=there, required=False)
        control = await bus.subscribe(recording, CONTROL)
    in_a = await bus.subscribe(recording, "in-a", directory=here)
    in_b = await bus.subscribe(recording, "in-b", directory=there)
    if bus.filters_by_session:
        of_a = of_b = Play(bus, recording, control)
    else:
        of_a, of_b = Play(bus, recording, in_a, "in-a"), Play(bus, recording, in_b, "in-b")
    await of_a.turn(a, "a-first")
    await of_b.turn(b, "b-first")
    await asyncio.gather(of_a.turn(a, "a-second", pace_ms=PACE), of_b.turn(b, "b-second", pace_ms=PACE))
    await of_a.seen("a-second", in_a)
    await of_b.seen("b-second", in_b)
    await of_a.fence(a)
    await of_b.fence(b)


async def _elsewhere(bus: BusDriver, recording: Recording, here: str) -> tuple[str, str] | None:
    """A session that is bound to another directory, neither above nor below `here`, and that directory.

    The first one's name begins like that of `here`, as a filter that compares beginnings would not notice. A target
    may refuse a directory that does not exist, so several are offered that most machines have.
    """
    sibling = f"{here.rstrip('/')}-sse-conformance-elsewhere"
    for there in (sibling, "/usr", "/etc", "/tmp", "/var"):
        if not (f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/")):
            try:
                return await bus.create_session(recording, directory=there), there
            except Unavailable:
                continue
    return None


@probe(LOST, families=BUSES, effect=Effect.PROMPT, prompts=3)
async def lost(driver: Driver, recording: Recording) -> None:
    """Connections lost between turns and within one, and new ones without a cursor."""
    bus, profile = on_a_bus(driver), recording.profile
    session = await bus.create_session(recording)
    control = await bus.subscribe(recording, FULL, session=session)
    first = await bus.subscribe(recording, "first", session=session)
    sent = bus.prompt(
        recording, session, scripted(profile, busy_turn(profile, "before")), stream=first, role="first"
    )
    await bus.ended(recording, sent)
    await first.close(reset=True)
    second = await bus.subscribe(recording, "second", session=session)
    middle = bus.prompt(
        recording, session, scripted(profile, words("within", pace_ms=40)), stream=control, role=FULL
    )
    await second.wait(
        lambda live: sum(message.type not in SYNTHETIC for message in live.messages) >= 3,
        recording.seconds(profile.limits.settle),
    )
    await second.close(reset=True)
    third = await bus.subscribe(recording, "third", session=session, joins=True)
    await bus.ended(recording, middle)
    await bus.fence(recording, session, third)  # so that it shows the end of that turn before the next begins
    sent = bus.prompt(
        recording, session, scripted(profile, busy_turn(profile, "after")), stream=third, role="third"
    )
    await bus.ended(recording, sent)
    await bus.fence(recording, session, control, third)
