"""Penguin probes of filters: by session, agent and directory, combined, empty, unknown.

The order of turns makes the fences: what a stream must not show is caused first, then a turn that it must
show; when that has come, what came before it is the evidence. A stream that must show nothing has no fence
of its own: it is watched until all the others, subscribed later, have shown the last turn.
"""

from __future__ import annotations

import asyncio
import posixpath
import uuid

from conformance.observe.drivers.base import Driver
from conformance.observe.drivers.penguin import PenguinDriver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.probes.penguin_turns import penguin, scripted, shows
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.penguin import (
    AGENTS,
    CONTROL,
    DIRECTORIES,
    FAMILIES,
    FAN_OUT,
    FILTERS,
    OTHER_AGENT,
    SUBSCRIBING,
    UNKNOWN_AGENT,
    busy_turn,
    words,
)
from conformance.profile import Effect

UNKNOWN_SESSION = "session_sse_conformance_unknown"
EVERYONE, FEW = 6, 4  # subscribers without a filter, and with one
PACE = 2  # ms between chunks, so that turns in two sessions run at the same time


class Play:
    """Plays turns one after the other on a control stream, and waits for them on others."""

    def __init__(self, driver: PenguinDriver, recording: Recording, control: LiveStream) -> None:
        self._driver = driver
        self._recording = recording
        self._control = control

    async def turn(self, session: str, mark: str, *, agent: str | None = None, busy: bool = False) -> bool:
        """One turn whose words carry `mark`; whether it was accepted."""
        profile = self._recording.profile
        script = busy_turn(profile, mark) if busy else words(mark)
        sent = self._driver.prompt(
            self._recording,
            session,
            scripted(profile, script),
            stream=self._control,
            role=CONTROL,
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


@probe(FILTERS, families=FAMILIES, effect=Effect.PROMPT, prompts=4)
async def filters(driver: Driver, recording: Recording) -> None:
    """Turns in two sessions in turn (A, B, A, B), watched through every kind of session filter at once."""
    penguins, profile = penguin(driver), recording.profile
    a = await penguins.create_session(recording)
    b = await penguins.create_session(recording)
    recording.fact("session-a", a)
    recording.fact("session-b", b)
    await penguins.subscribe(recording, "unknown-session", session=UNKNOWN_SESSION, required=False)
    control = await penguins.subscribe(recording, CONTROL)
    empty = (("session_id", ""), ("agent_id", ""), ("directory", ""))
    of_all = [
        await penguins.subscribe(recording, "empty", extra=empty, required=False),
        await penguins.subscribe(
            recording, "unknown-parameter", extra=(("sse_conformance", "1"),), required=False
        ),
    ]
    of_a = [await penguins.subscribe(recording, "only-a", session=a)]
    if profile.revision >= 2:
        of_a.append(await penguins.subscribe(recording, "alias-a", extra=(("conversation_id", a),)))
    only_b = await penguins.subscribe(recording, "only-b", session=b)
    play = Play(penguins, recording, control)
    for mark, session in (("a-first", a), ("b-first", b), ("a-second", a), ("b-second", b)):
        await play.turn(session, mark, busy=mark.endswith("first"))
    await play.seen("a-second", *of_a, *of_all)
    await play.seen("b-second", only_b, *of_all)
    await penguins.fence(recording, a, control, *of_a, *of_all)
    await penguins.fence(recording, b, control, only_b, *of_all)


@probe(AGENTS, families=FAMILIES, effect=Effect.PROMPT, prompts=4)
async def agents(driver: Driver, recording: Recording) -> None:
    """Turns of two agents in two sessions in turn, watched through filters by agent, known and unknown."""
    penguins, profile = penguin(driver), recording.profile
    a = await penguins.create_session(recording)
    b = await penguins.create_session(recording)
    recording.fact("session-a", a)
    recording.fact("session-b", b)
    await penguins.subscribe(recording, "unknown-agent", agent=UNKNOWN_AGENT, required=False)
    await penguins.subscribe(recording, "a-and-other", session=a, agent=OTHER_AGENT, required=False)
    control = await penguins.subscribe(recording, CONTROL)
    agent = await penguins.subscribe(recording, "agent", agent=profile.agent)
    both = await penguins.subscribe(recording, "a-and-agent", session=a, agent=profile.agent)
    other = await penguins.subscribe(recording, "other-agent", agent=OTHER_AGENT, required=False)
    play = Play(penguins, recording, control)
    await play.turn(a, "a-first", busy=True)
    two = await play.turn(b, "b-first", agent=OTHER_AGENT, busy=True)
    await play.turn(a, "a-second")
    if two:
        two = await play.turn(b, "b-second", agent=OTHER_AGENT)
    await play.seen("a-second", control, agent, both)
    if two:
        await play.seen("b-second", control, other)
    await penguins.fence(recording, a, control)


@probe(DIRECTORIES, families=FAMILIES, effect=Effect.PROMPT, prompts=4)
async def directories(driver: Driver, recording: Recording) -> None:
    """Turns in sessions of two directories in turn, watched through filters by directory."""
    penguins = penguin(driver)
    here = recording.profile.workspace
    if not here:
        here = penguins.directory_of(await penguins.create_session(recording))
    if not here:
        # No document promises that it says so: without it there is nothing to tell directories apart by.
        recording.fact("unbound", "the target does not say which directory a session belongs to")
        return
    a = await penguins.create_session(recording, directory=here)
    elsewhere = await _elsewhere(penguins, recording, here)
    if elsewhere is None:
        recording.fact("unbound", "the target binds no session to another directory")
        return
    b, there = elsewhere
    for name, value in (("session-a", a), ("session-b", b), ("directory-a", here), ("directory-b", there)):
        recording.fact(name, value)
    recording.fact("bound", penguins.directory_of(b) in (None, there))
    await penguins.subscribe(recording, "a-in-b", session=a, directory=there, required=False)
    control = await penguins.subscribe(recording, CONTROL)
    in_a = await penguins.subscribe(recording, "in-a", directory=here)
    in_b = await penguins.subscribe(recording, "in-b", directory=there)
    play = Play(penguins, recording, control)
    for mark, session in (("a-first", a), ("b-first", b), ("a-second", a), ("b-second", b)):
        await play.turn(session, mark)
    await play.seen("a-second", control, in_a)
    await play.seen("b-second", control, in_b)
    await penguins.fence(recording, a, control)


async def _elsewhere(penguins: PenguinDriver, recording: Recording, here: str) -> tuple[str, str] | None:
    """A session that is bound to another directory, neither above nor below `here`, and that directory.

    A target may refuse a directory that does not exist, so several are offered that most machines have.
    """
    sibling = posixpath.join(posixpath.dirname(here.rstrip("/")) or "/", "sse-conformance-elsewhere")
    for there in (sibling, "/usr", "/etc", "/tmp", "/var"):
        if not (f"{here}/".startswith(f"{there}/") or f"{there}/".startswith(f"{here}/")):
            try:
                return await penguins.create_session(recording, directory=there), there
            except Unavailable:
                continue
    return None


@probe(SUBSCRIBING, families=FAMILIES, effect=Effect.PROMPT)
async def subscribing(driver: Driver, recording: Recording) -> None:
    """The list of sessions before and after subscribing with every kind of filter."""
    penguins = penguin(driver)
    session = await penguins.create_session(recording)
    await penguins.sessions(recording, note="sessions before")
    elsewhere = "/sse-conformance-elsewhere"
    unknown = f"{UNKNOWN_SESSION}_{uuid.uuid4().hex}"  # no probe before may have asked for it
    asked: dict[str, dict[str, str]] = {
        "plain": {},
        "session": {"session": session},
        "rebinding": {"session": session, "directory": elsewhere},
        "unknown": {"session": unknown, "agent": UNKNOWN_AGENT, "directory": elsewhere},
        "elsewhere": {"directory": elsewhere},
        "agent": {"agent": UNKNOWN_AGENT},
    }
    for role, filtered in asked.items():
        stream = await penguins.subscribe(
            recording,
            role,
            session=filtered.get("session"),
            agent=filtered.get("agent"),
            directory=filtered.get("directory"),
            required=False,
        )
        await stream.close()
    await penguins.sessions(recording, note="sessions after")


@probe(FAN_OUT, families=FAMILIES, effect=Effect.PROMPT, prompts=3)
async def fan_out(driver: Driver, recording: Recording) -> None:
    """Two sessions at once and one again, before many subscribers (roles "all-…" and "of-a-…")."""
    penguins, profile = penguin(driver), recording.profile
    a = await penguins.create_session(recording)
    b = await penguins.create_session(recording)
    recording.fact("session-a", a)
    everyone = [await penguins.subscribe(recording, f"all-{n}") for n in range(EVERYONE)]
    few = [await penguins.subscribe(recording, f"of-a-{n}", session=a) for n in range(FEW)]
    first = everyone[0]
    sent = [
        penguins.prompt(
            recording,
            session,
            scripted(profile, busy_turn(profile, mark, pace_ms=PACE)),
            stream=first,
            role="all-0",
        )
        for session, mark in ((a, "a-first"), (b, "b-first"))
    ]
    for each in sent:
        await penguins.ended(recording, each, fence=False)
    again = penguins.prompt(recording, a, scripted(profile, words("a-second")), stream=few[0], role="of-a-0")
    await penguins.ended(recording, again, fence=False)
    await penguins.fence(recording, b, *everyone)
    await penguins.fence(recording, a, *everyone, *few)
