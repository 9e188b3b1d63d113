"""Probes of whole turns on an event bus: connecting, two turns, two sessions at once, abort, retry, odd tools.

For Penguin and OpenCode. Where the protocol has no filter by session, a stream for one shows the others, too.
"""

from __future__ import annotations

from conformance.observe.drivers.base import Driver
from conformance.observe.drivers.bus import BusDriver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.parts import part_info
from conformance.penguin import (
    ABORT,
    BUSES,
    CONNECT,
    CONTROL,
    LIFECYCLE,
    ODD_TOOLS,
    RETRY,
    TOGETHER,
    TWO_TURNS,
    busy_turn,
)
from conformance.profile import Effect, Profile
from conformance.script import Failure, ModelTurn, Script, ToolCall, say

CONNECTIONS = 12  # of the probe that connects and causes an event at once


def on_a_bus(driver: Driver) -> BusDriver:
    """The driver as what it is; these probes run with no other."""
    assert isinstance(driver, BusDriver)
    return driver


def unscripted(profile: Profile) -> str:
    """Why a probe that needs scripts does not apply."""
    return "" if profile.script else "the target cannot be scripted (script = false)"


def scripted(profile: Profile, script: Script) -> Script | None:
    """The script, or none where the target cannot be scripted: then a plain prompt does."""
    return script if profile.script else None


def shows(stream: LiveStream, text: str) -> bool:
    """Whether an agent's part in the stream has this text (the prompt, which has it too, apart)."""
    for message in reversed(stream.messages):
        part = part_info(message)
        if part is not None and part.type in ("text", ""):  # an increment by itself names no type
            said = part.text or part.delta or ""
            if text in said and "[[script" not in said:
                return True
    return False


def _no_event_without_a_turn(profile: Profile) -> str:
    return (
        f"{profile.protocol} documents no event that comes without a turn"
        if profile.protocol == "penguin/1"
        else ""
    )


@probe(CONNECT, families=BUSES, effect=Effect.PROMPT, unless=_no_event_without_a_turn)
async def connect(driver: Driver, recording: Recording) -> None:
    """Connect again and again, each time causing an event the moment server.connected is seen."""
    bus = on_a_bus(driver)
    session = await bus.create_session(recording)
    control = await bus.subscribe(recording, CONTROL, session=session)
    settle = recording.seconds(recording.profile.limits.settle)
    for number in range(CONNECTIONS):
        role = f"quick-{number}"
        stream = await bus.subscribe(recording, role, session=session if number % 2 else None)
        title = await bus.rename(recording, session, title=f"{role} connected", stream=role)
        seen = await bus.has_title(control, title, settle)
        if not await bus.has_title(stream, title, settle) and not seen:
            break  # the target shows renamings to nobody: the rule says so
        await stream.close()


@probe(TWO_TURNS, families=BUSES, effect=Effect.PROMPT, prompts=2)
async def two_turns(driver: Driver, recording: Recording) -> None:
    """Two turns in one session on one stream; a second stream joins between them (role "late")."""
    bus, profile = on_a_bus(driver), recording.profile
    turn = await bus.turn(recording, scripted(profile, busy_turn(profile, "early")))
    late = await bus.subscribe(recording, "late", session=turn.session)
    second = bus.prompt(
        recording,
        turn.session,
        scripted(profile, busy_turn(profile, "later")),
        stream=turn.stream,
        role="stream",
    )
    await bus.ended(recording, second, fence=False)
    await bus.fence(recording, turn.session, turn.stream, late)


@probe(TOGETHER, families=BUSES, effect=Effect.PROMPT, prompts=4)
async def together(driver: Driver, recording: Recording) -> None:
    """Prompts in two sessions at the same moment, twice (roles "a", "b" and the unfiltered control)."""
    bus, profile = on_a_bus(driver), recording.profile
    control = await bus.subscribe(recording, CONTROL)
    sessions = [await bus.create_session(recording) for _ in "ab"]
    streams = [
        await bus.subscribe(recording, role, session=session)
        for role, session in zip("ab", sessions, strict=True)
    ]
    for turn in ("first", "second"):
        sent = [
            bus.prompt(
                recording,
                session,
                scripted(profile, busy_turn(profile, f"{turn}-{role}", pace_ms=5)),
                stream=stream,
                role=role,
            )
            for role, session, stream in zip("ab", sessions, streams, strict=True)
        ]
        for each in sent:
            await bus.ended(recording, each, fence=False)
    for session, stream in zip(sessions, streams, strict=True):
        await bus.fence(recording, session, stream, control)


@probe(ABORT, families=BUSES, effect=Effect.PROMPT, prompts=1, unless=unscripted)
async def abort(driver: Driver, recording: Recording) -> None:
    """A long turn that is aborted after its first words."""
    bus = on_a_bus(driver)
    script = say(*(f"word{n} " for n in range(200)), pace_ms=50)
    turn = await bus.begin(recording, script)
    if not await turn.stream.wait(
        lambda live: shows(live, "word0"), recording.seconds(recording.profile.limits.turn)
    ):
        raise Unavailable("the turn that was to be aborted said nothing")
    answer = await bus.abort(recording, turn.session, stream="stream")
    if not answer.ok:
        raise Unavailable(f"the abort was answered {answer.status}")
    await bus.latest_ended(recording)


@probe(RETRY, families=BUSES, effect=Effect.PROMPT, prompts=1, unless=unscripted)
async def retry(driver: Driver, recording: Recording) -> None:
    """A model call that is refused with 429 once, and then answers."""
    failure = Failure("slow down", status=429, retry_after=1, times=1)
    await on_a_bus(driver).turn(recording, Script((ModelTurn(text=("after ", "all."), error=failure),)))


def _no_tools(profile: Profile) -> str:
    declared = profile.capabilities.tools and profile.tools.read is not None
    return unscripted(profile) or ("" if declared else "the profile declares no read tool")


@probe(ODD_TOOLS, families=BUSES, effect=Effect.PROMPT, prompts=1, unless=_no_tools)
async def odd_tools(driver: Driver, recording: Recording) -> None:
    """A call of a tool that does not exist, then one without the argument that it needs."""
    read = recording.profile.tools.read
    assert read is not None
    script = Script(
        (
            ModelTurn(("An odd one. ",), tools=(ToolCall("sse_conformance_no_such_tool", {"path": "x"}),)),
            ModelTurn(("Another. ",), tools=(ToolCall(read.name, {}, fails=True),)),
            ModelTurn(("Enough.",)),
        )
    )
    await on_a_bus(driver).turn(recording, script)


@probe(LIFECYCLE, families=BUSES, effect=Effect.PROMPT, unless=_no_event_without_a_turn)
async def lifecycle(driver: Driver, recording: Recording) -> None:
    """Make, rename and delete a session, and watch it on an unfiltered stream (role "control")."""
    bus = on_a_bus(driver)
    control = await bus.subscribe(recording, CONTROL)
    session = await bus.create_session(recording)
    await bus.rename(recording, session)
    await bus.delete(recording, session)
    other = await bus.create_session(recording)
    await bus.fence(recording, other, control)


__all__ = ["on_a_bus", "scripted", "shows", "unscripted"]
