"""Probes of AgentSmithy servers with requests that are wrong, odd or too large."""

from __future__ import annotations

import json

from conformance.agentsmithy import (
    BAD_CONTEXTS,
    BAD_REQUESTS,
    CLIMBING,
    CLIMBING_IDS,
    FAMILY,
    HOSTILE_IDS,
    HOSTILE_PROMPT,
    NO_USER,
    UNKNOWN_ID,
    BadRequest,
    without_scripts,
)
from conformance.observe.drivers.agentsmithy import AgentSmithyDriver, chat_body, prompt_text
from conformance.observe.drivers.base import Driver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.probes.agentsmithy import smithy
from conformance.observe.recording import Recording
from conformance.profile import Effect, Profile
from conformance.script import Script, say
from conformance.transcript import Ended

# After so many requests that are never answered, the rest of a table would only wait for deadlines.
_HANGS = 2

# Bodies larger than this are not sent, whatever a profile declares.
_MOST = 64 * 1_048_576


async def _send_all(driver: AgentSmithyDriver, recording: Recording, table: tuple[BadRequest, ...]) -> None:
    hangs = 0
    for entry in table:
        stream = await recording.fetch(entry.role, driver.chat(entry.body))
        hangs += stream.transcript().ended is Ended.DEADLINE
        if hangs >= _HANGS:
            recording.fact("stopped", f"after {hangs} requests that were not answered in time")
            return


def _body(prompt: str, *, dialog: str | None = None, stream: bool = True) -> bytes:
    return json.dumps(chat_body(prompt, dialog_id=dialog, stream=stream)).encode()


def _script(recording: Recording, *chunks: str) -> Script | None:
    return say(*chunks) if recording.profile.script else None


@probe("bad-requests", families=(FAMILY,), effect=Effect.READ)
async def bad_requests(driver: Driver, recording: Recording) -> None:
    """Requests that must be refused: no JSON, no object, no messages, wrong types, no message of the user"""
    await _send_all(smithy(driver), recording, (*BAD_REQUESTS, NO_USER))


@probe("wrong-context", families=(FAMILY,), effect=Effect.PROMPT, prompts=len(BAD_CONTEXTS))
async def wrong_context(driver: Driver, recording: Recording) -> None:
    """Requests with a wrongly typed context"""
    await _send_all(smithy(driver), recording, BAD_CONTEXTS)


@probe("no-stream", families=(FAMILY,), effect=Effect.PROMPT, prompts=1)
async def no_stream(driver: Driver, recording: Recording) -> None:
    """A prompt with `stream: false`"""
    smith = smithy(driver)
    prompt = prompt_text(_script(recording, "Not ", "streamed."))
    dialog = await smith.new_dialog(recording)
    await recording.fetch("no-stream", smith.chat(_body(prompt, dialog=dialog, stream=False)))


@probe("surrogate", families=(FAMILY,), effect=Effect.PROMPT, prompts=1)
async def surrogate(driver: Driver, recording: Recording) -> None:
    """A prompt with an unpaired surrogate, written as a JSON escape"""
    smith = smithy(driver)
    dialog = await smith.new_dialog(recording)
    # RFC 8259 §8.2: the grammar allows it, and what receivers make of it is unpredictable.
    prompt = "\ud800 " + prompt_text(_script(recording, "Still ", "here."))
    await recording.fetch("surrogate", smith.chat(_body(prompt, dialog=dialog)))


@probe("hostile-dialogs", families=(FAMILY,), effect=Effect.DISRUPT, prompts=len(HOSTILE_IDS))
async def hostile_dialogs(driver: Driver, recording: Recording) -> None:
    """Prompts into dialogs whose ids are paths, control characters, or very long"""
    smith = smithy(driver)
    prompt = prompt_text(_script(recording, "Who ", "is ", "there."))
    for name, dialog in HOSTILE_IDS:
        await recording.fetch(HOSTILE_PROMPT + name, smith.chat(_body(prompt, dialog=dialog)))
        if not set(dialog) & set("/\\%"):
            smith.remember(dialog)
        # Nothing is removed under the other names: a careless server would take them for paths once more.


@probe(
    CLIMBING,
    families=(FAMILY,),
    effect=Effect.DISRUPT,
    prompts=2 + len(CLIMBING_IDS),
    # Without scripts the prompts could not be told apart.
    unless=lambda p: (
        without_scripts(p) or ("" if p.capabilities.history else "the profile declares no history")
    ),
)
async def climbing_dialog(driver: Driver, recording: Recording) -> None:
    """Prompts into dialogs whose ids are paths to another dialog, then that dialog's history"""
    smith = smithy(driver)
    own = await smith.new_dialog(recording)
    if own is None:
        raise Unavailable("the target makes no dialogs (POST /api/dialogs)")
    await smith.turn(recording, _script(recording, "This ", "is ", "mine."), role="own", session=own)
    for role, pattern in CLIMBING_IDS.items():
        dialog = pattern.format(own)
        await smith.turn(
            recording, _script(recording, f"{role} ", "was ", "here."), role=role, session=dialog
        )
        smith.remember(dialog)  # where it leads is ours too
    await smith.turn(recording, _script(recording, "unknown ", "here."), role="unknown", session=UNKNOWN_ID)
    smith.remember(UNKNOWN_ID)
    await recording.act("call", smith.history_request(own), session=own, note="history")


def _without_limit(profile: Profile) -> str:
    limit = profile.capabilities.max_body
    if limit is None:
        return "the profile declares no max_body"
    return "" if limit < _MOST else f"the declared limit of {limit} bytes is too large to be passed"


@probe("big-body", families=(FAMILY,), effect=Effect.DISRUPT, prompts=2, unless=_without_limit)
async def big_body(driver: Driver, recording: Recording) -> None:
    """A request body beyond the declared limit, then a prompt"""
    smith = smithy(driver)
    limit = recording.profile.capabilities.max_body or 0
    body = _body(prompt_text(None) + " " + "x" * limit)
    await recording.fetch("big", smith.chat(body))
    await smith.alive(recording, role="after")
