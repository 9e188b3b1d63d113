"""Penguin probes of filters: by session and agent, combined, empty, unknown.

The order of turns makes the fences: what a stream must not show is caused first, then a turn that it must
show; when that has come, what came before it is the evidence. A stream that must show nothing has no fence
of its own: it is watched until all the others, subscribed later, have shown the last turn.
"""

from __future__ import annotations

import uuid

from conformance.observe.drivers.base import Driver
from conformance.observe.drivers.penguin import PenguinDriver
from conformance.observe.probe import probe
from conformance.observe.probes.bus_subscribers import Play
from conformance.observe.recording import Recording
from conformance.penguin import (
    AGENTS,
    CONTROL,
    FAMILIES,
    FILTERS,
    OTHER_AGENT,
    SUBSCRIBING,
    UNKNOWN_AGENT,
)
from conformance.profile import Effect

UNKNOWN_SESSION = "session_sse_conformance_unknown"


def penguin(driver: Driver) -> PenguinDriver:
    """The driver as what it is; Penguin's own probes run with no other."""
    assert isinstance(driver, PenguinDriver)
    return driver


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
