"""Penguin probes of whole turns: connecting, two turns, two sessions at once, abort, retry, odd tools."""

from __future__ import annotations

from conformance.observe.drivers.base import Driver
from conformance.observe.drivers.penguin import PenguinDriver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.parts import part_info
from conformance.penguin import (
    ABORT,
    CONNECT,
    CONTROL,
    FAMILIES,
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


def penguin(driver: Driver) -> PenguinDriver:
    """The driver as what it is; Penguin's probes run with no other."""
    assert isinstance(driver, PenguinDriver)
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
        if part is not None and part.type == "text":
            said = part.text or part.delta or ""
            if text in said and "[[script" not in said:
                return True
    return False


def _no_event_without_a_turn(profile: Profile) -> str:
    return "" if profile.revision >= 2 else f"{profile.protocol} documents no event that comes without a turn"


@probe(CONNECT, families=FAMILIES, effect=Effect.PROMPT, unless=_no_event_without_a_turn)
async def connect(driver: Driver, recording: Recording) -> None:
    """Connect again and again, each time causing an event the moment server.connected is seen."""
    penguins = penguin(driver)
    session = await penguins.create_session(recording)
    control = await penguins.subscribe(recording, CONTROL, session=session)
    settle = recording.seconds(recording.profile.limits.settle)
    for number in range(CONNECTIONS):
        role = f"quick-{number}"
        stream = await penguins.subscribe(recording, role, session=session if number % 2 else None)
        title = await penguins.rename(recording, session, title=f"{role} connected", stream=role)
        seen = await penguins.has_title(control, title, settle)
        if not await penguins.has_title(stream, title, settle) and not seen:
            break  # the target shows renamings to nobody: the rule says so
        await stream.close()


@probe(TWO_TURNS, families=FAMILIES, effect=Effect.PROMPT, prompts=2)
async def two_turns(driver: Driver, recording: Recording) -> None:
    """Two turns in one session on one stream; a second stream joins between them (role "late")."""
    penguins, profile = penguin(driver), recording.profile
    turn = await penguins.turn(recording, scripted(profile, busy_turn(profile, "early")))
    late = await penguins.subscribe(recording, "late", session=turn.session)
    second = penguins.prompt(
        recording,
        turn.session,
        scripted(profile, busy_turn(profile, "later")),
        stream=turn.stream,
        role="stream",
    )
    await penguins.ended(recording, second, fence=False)
    await penguins.fence(recording, turn.session, turn.stream, late)


@probe(TOGETHER, families=FAMILIES, effect=Effect.PROMPT, prompts=4)
async def together(driver: Driver, recording: Recording) -> None:
    """Prompts in two sessions at the same moment, twice (roles "a", "b" and the unfiltered control)."""
    penguins, profile = penguin(driver), recording.profile
    control = await penguins.subscribe(recording, CONTROL)
    sessions = [await penguins.create_session(recording) for _ in "ab"]
    streams = [
        await penguins.subscribe(recording, role, session=session)
        for role, session in zip("ab", sessions, strict=True)
    ]
    for turn in ("first", "second"):
        sent = [
            penguins.prompt(
                recording,
                session,
                scripted(profile, busy_turn(profile, f"{turn}-{role}", pace_ms=5)),
                stream=stream,
                role=role,
            )
            for role, session, stream in zip("ab", sessions, streams, strict=True)
        ]
        for each in sent:
            await penguins.ended(recording, each, fence=False)
    for session, stream in zip(sessions, streams, strict=True):
        await penguins.fence(recording, session, stream, control)


@probe(ABORT, families=FAMILIES, effect=Effect.PROMPT, prompts=1, unless=unscripted)
async def abort(driver: Driver, recording: Recording) -> None:
    """A long turn that is aborted after its first words."""
    penguins = penguin(driver)
    script = say(*(f"word{n} " for n in range(200)), pace_ms=50)
    turn = await penguins.begin(recording, script)
    if not await turn.stream.wait(
        lambda live: shows(live, "word0"), recording.seconds(recording.profile.limits.turn)
    ):
        raise Unavailable("the turn that was to be aborted said nothing")
    answer = await penguins.abort(recording, turn.session, stream="stream")
    if not answer.ok:
        raise Unavailable(f"the abort was answered {answer.status}")
    await penguins.latest_ended(recording)


@probe(RETRY, families=FAMILIES, effect=Effect.PROMPT, prompts=1, unless=unscripted)
async def retry(driver: Driver, recording: Recording) -> None:
    """A model call that is refused with 429 once, and then answers."""
    failure = Failure("slow down", status=429, retry_after=1, times=1)
    await penguin(driver).turn(recording, Script((ModelTurn(text=("after ", "all."), error=failure),)))


def _no_tools(profile: Profile) -> str:
    declared = profile.capabilities.tools and profile.tools.read is not None
    return unscripted(profile) or ("" if declared else "the profile declares no read tool")


@probe(ODD_TOOLS, families=FAMILIES, effect=Effect.PROMPT, prompts=1, unless=_no_tools)
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
    await penguin(driver).turn(recording, script)


@probe(LIFECYCLE, families=FAMILIES, effect=Effect.PROMPT, unless=_no_event_without_a_turn)
async def lifecycle(driver: Driver, recording: Recording) -> None:
    """Make, rename and delete a session, and watch it on an unfiltered stream (role "control")."""
    penguins = penguin(driver)
    control = await penguins.subscribe(recording, CONTROL)
    session = await penguins.create_session(recording)
    await penguins.rename(recording, session)
    await penguins.delete(recording, session)
    other = await penguins.create_session(recording)
    await penguins.fence(recording, other, control)


__all__ = ["penguin", "scripted", "shows", "unscripted"]
