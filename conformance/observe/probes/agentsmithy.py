"""Probes of AgentSmithy servers: turns of their own, turns after one another, streams at once."""

from __future__ import annotations

import asyncio
from typing import Any

from conformance.agentsmithy import (
    CLIENT_GONE,
    FAILING_TOOL,
    FAMILY,
    HISTORY,
    OWN_TURNS,
    SAME_DIALOG,
    SEVERAL_TURNS,
    SLOW_DIALOG,
    TWO_DIALOGS,
    own_script,
    several,
    without_read_tool,
    without_scripts,
)
from conformance.observe.drivers.agentsmithy import AgentSmithyDriver, dialog_of
from conformance.observe.drivers.base import Driver
from conformance.observe.journal import last_number, model_calls
from conformance.observe.probe import Unavailable, probe
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.profile import Effect
from conformance.script import ModelTurn, Script, say
from conformance.turns import ScriptedTurn, read_call


def smithy(driver: Driver) -> AgentSmithyDriver:
    """The driver as what it is: these probes are registered for AgentSmithy alone."""
    assert isinstance(driver, AgentSmithyDriver)
    return driver


def _register(entry: ScriptedTurn) -> None:
    async def run(driver: Driver, recording: Recording) -> None:
        await driver.turn(recording, entry.script(recording.profile))

    run.__doc__ = entry.summary
    register = probe(
        entry.name,
        families=(FAMILY,),
        effect=entry.effect,
        prompts=1,
        unless=lambda profile: without_scripts(profile) or entry.unless(profile),
    )
    register(run)


for _entry in OWN_TURNS:
    _register(_entry)


@probe(SEVERAL_TURNS, families=(FAMILY,), effect=Effect.PROMPT, prompts=3, unless=without_scripts)
async def several_turns(driver: Driver, recording: Recording) -> None:
    """Three turns after one another in one dialog"""
    session: str | None = None
    for number, script in enumerate(several(recording.profile), start=1):
        turn = await driver.turn(recording, script, role=f"turn-{number}", session=session)
        if not turn.session:
            raise Unavailable("the first stream tells no dialog_id to go on with")
        session = turn.session


def _has_chat(stream: LiveStream) -> bool:
    return any(message.type == "chat" for message in stream.messages)


@probe(TWO_DIALOGS, families=(FAMILY,), effect=Effect.PROMPT, prompts=2, unless=without_scripts)
async def two_dialogs(driver: Driver, recording: Recording) -> None:
    """Two dialogs at once, each with a text and tools of its own"""
    smith, profile = smithy(driver), recording.profile
    # Both dialogs are made before either prompt is sent: the turns then run side by side.
    dialogs = [await smith.new_dialog(recording), await smith.new_dialog(recording)]
    turns = [
        await smith.begin(recording, own_script(profile, name), role=role, session=dialog or "")
        for role, name, dialog in zip("ab", ("alpha", "bravo"), dialogs, strict=True)
    ]
    await asyncio.gather(*(smith.end(recording, turn.stream) for turn in turns))


@probe(SAME_DIALOG, families=(FAMILY,), effect=Effect.PROMPT, prompts=2, unless=without_scripts)
async def same_dialog(driver: Driver, recording: Recording) -> None:
    """A second stream of a dialog whose first stream is under way"""
    smith, limits = smithy(driver), recording.profile.limits
    words = {name: [f"{name}{index} " for index in range(12)] for name in ("alpha", "bravo")}
    first = await smith.begin(recording, say(*words["alpha"], pace_ms=40), role="first")
    await first.stream.wait(_has_chat, recording.seconds(limits.head + limits.turn))
    dialog = first.session or dialog_of(first.stream)
    if not dialog:
        raise Unavailable("the first stream tells no dialog_id that a second one could share")
    second = await smith.begin(recording, say(*words["bravo"], pace_ms=20), role="second", session=dialog)
    await asyncio.gather(smith.end(recording, first.stream), smith.end(recording, second.stream))


@probe(SLOW_DIALOG, families=(FAMILY,), effect=Effect.PROMPT, prompts=3, unless=without_scripts)
async def slow_dialog(driver: Driver, recording: Recording) -> None:
    """A short turn beside a dialog whose model is silent for longer than the profile's bound"""
    smith, limits = smithy(driver), recording.profile.limits
    await smith.turn(recording, say("Alone ", "it ", "is ", "quick."), role="alone")
    # Silent for the bound, what the turn takes by itself, and something to tell them apart.
    silence = round((recording.seconds(limits.dialog_delay) + recording.now() + 2.0) * 1000)
    slow = await smith.begin(
        recording, Script((ModelTurn(text=("Slow ", "it ", "is."), stall_ms=silence),)), role="slow"
    )
    await slow.stream.wait_head(recording.seconds(1.0))  # under way; its head may come late (SSE-HTTP-02)
    await smith.turn(recording, say("Beside ", "it ", "is ", "quick."), role="beside")
    await slow.stream.close()


@probe(
    HISTORY,
    families=(FAMILY,),
    effect=Effect.PROMPT,
    prompts=3,
    unless=lambda p: (
        without_scripts(p) or ("" if p.capabilities.history else "the profile declares no history")
    ),
)
async def history(driver: Driver, recording: Recording) -> None:
    """Two dialogs at once, one more turn in the first, then the histories of both"""
    smith, profile = smithy(driver), recording.profile
    dialogs = [await smith.new_dialog(recording), await smith.new_dialog(recording)]
    if dialogs[0] is None or dialogs[1] is None:
        raise Unavailable("the target makes no dialogs (POST /api/dialogs)")
    first, second = dialogs[0], dialogs[1]
    turns = [
        await smith.begin(recording, own_script(profile, name), role=role, session=dialog)
        for role, name, dialog in (("a", "alpha", first), ("b", "bravo", second))
    ]
    await asyncio.gather(*(smith.end(recording, turn.stream) for turn in turns))
    await smith.turn(recording, own_script(profile, "again"), role="a-again", session=first)
    await _history(smith, recording, first, prompts=2)
    await _history(smith, recording, second, prompts=1)


async def _history(driver: AgentSmithyDriver, recording: Recording, dialog: str, *, prompts: int) -> None:
    """Read a dialog's history, again while the end of its last turn is not in it yet; the last one counts."""
    limits = recording.profile.limits
    until = recording.now() + recording.seconds(limits.settle)
    while True:
        answer = await recording.transport.call(driver.history_request(dialog), timeout=limits.head)
        events = answer.json.get("events") if isinstance(answer.json, dict) else None
        kinds = [event.get("type") for event in events or () if isinstance(event, dict)]
        settled = kinds.count("user") >= prompts and kinds[-1] == "chat"
        if not answer.ok or settled or recording.now() > until:
            break
        await asyncio.sleep(0.1)
    await recording.act("call", driver.history_request(dialog), session=dialog, note="history")


@probe(
    FAILING_TOOL,
    families=(FAMILY,),
    effect=Effect.PROMPT,
    prompts=1,
    unless=lambda p: without_scripts(p) or without_read_tool(p),
)
async def failing_tool(driver: Driver, recording: Recording) -> None:
    """An agent that calls a tool that fails, again and again"""
    smith, profile = smithy(driver), recording.profile
    script = Script((ModelTurn(tools=(read_call(profile, "again"),)),), repeat=True)
    turn = await smith.begin(recording, script)
    counted = [0, 0]  # messages read, calls among them

    def over(stream: LiveStream) -> bool:
        for message in stream.messages[counted[0] :]:
            counted[1] += message.type == "tool_call"
        counted[0] = len(stream.messages)
        return counted[1] > profile.limits.failing_tool_calls or smith.is_final(stream)

    seconds = profile.limits.head + profile.limits.turn
    await turn.stream.wait(over, recording.seconds(seconds))
    if smith.is_final(turn.stream) or turn.stream.ended:
        await smith.end(recording, turn.stream)
    else:
        # An agent without an end of its own: our leaving ends it. That it goes on is AS-TOOL-05's business.
        await turn.stream.close()


@probe(
    CLIENT_GONE,
    families=(FAMILY,),
    effect=Effect.PROMPT,
    prompts=1,
    unless=lambda p: without_scripts(p) or ("" if p.model_url else "the profile names no model_url"),
)
async def client_gone(driver: Driver, recording: Recording) -> None:
    """A client that leaves in mid-stream, and the model call behind it"""
    smith, profile = smithy(driver), recording.profile
    limits = profile.limits
    model_url = profile.model_url or ""
    before = last_number(await model_calls(recording.transport, model_url, timeout=limits.head))
    script = say(f"{CLIENT_GONE} ", *(f"word{index} " for index in range(200)), pace_ms=100)
    turn = await smith.begin(recording, script)
    if not await turn.stream.wait(_has_chat, recording.seconds(limits.head + limits.turn)):
        raise Unavailable("the stream brought no text before its end")
    await turn.stream.close(reset=True)
    left = recording.now()
    state: str | None = None
    while recording.now() - left < recording.seconds(limits.settle * 2):
        state = _state(await model_calls(recording.transport, model_url, timeout=limits.head, since=before))
        if state not in (None, "open"):
            break
        await asyncio.sleep(0.1)
    recording.fact("model_call", state)
    recording.fact("model_waited", round(recording.now() - left, 3))


def _state(calls: list[dict[str, Any]] | None) -> str | None:
    """What became of the newest of these model calls that is for the probe's prompt."""
    ours = [
        call
        for call in calls or ()
        if f'"{CLIENT_GONE} "' in str(call.get("prompt")) and not call.get("side_call")
    ]
    state = ours[-1].get("state") if ours else None
    return state if isinstance(state, str) else None
