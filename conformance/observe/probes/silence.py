"""The probe of heartbeats: a stream that is kept silent until one comes or is overdue."""

from __future__ import annotations

from conformance.heartbeat import allowed_silence, heartbeat_kind, quiet
from conformance.http_status import successful
from conformance.observe.drivers.base import Driver
from conformance.observe.probe import probe
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.penguin import BUSES
from conformance.profile import Effect, Profile
from conformance.script import ModelTurn, Script

MARGIN = 0.5  # seconds that the silence is watched beyond what is allowed
ROUNDS = 3  # silences that other traffic may break before the probe gives up


async def _watch(stream: LiveStream, recording: Recording) -> None:
    """Read until a heartbeat arrives, or the stream was silent for longer than allowed, or has ended."""
    overdue = allowed_silence(recording.profile) + recording.seconds(MARGIN)
    until = recording.now() + ROUNDS * overdue
    since = (stream.head.at if stream.head else 0.0) + quiet(recording.profile)
    looked_at, beaten = 0, False
    while not beaten and recording.now() < until:
        seen = stream.body_bytes
        if not await stream.wait(lambda live, seen=seen: live.body_bytes > seen, overdue):  # type: ignore[misc]
            break
        beaten = any(block.at > since and heartbeat_kind(block) for block in stream.blocks[looked_at:])
        looked_at = len(stream.blocks)


async def _open_enough(stream: LiveStream, recording: Recording, extra: float = 0.0) -> bool:
    head = await stream.wait_head(recording.seconds(recording.profile.limits.head) + extra)
    if head is None or not successful(head.status):
        status = "no response head" if head is None else f"status {head.status}"
        recording.incomplete(f"the request for a stream was answered with {status}")
        return False
    return True


@probe("silence", families=BUSES, effect=Effect.READ)
async def subscribed(driver: Driver, recording: Recording) -> None:
    """Subscribe and cause nothing, until a heartbeat has come or is overdue. Role: "stream"."""
    stream = await recording.open("stream", driver.stream_request())
    if await _open_enough(stream, recording):
        await _watch(stream, recording)


def _no_script(profile: Profile) -> str:
    return "" if profile.script else "the target cannot be scripted (script = false)"


@probe("silence", families=("agentsmithy",), effect=Effect.PROMPT, prompts=1, unless=_no_script)
async def stalled(driver: Driver, recording: Recording) -> None:
    """Have the agent say nothing until a heartbeat has come or is overdue, then a word. Role: "stream"."""
    stall = allowed_silence(recording.profile) + 2 * recording.seconds(MARGIN)
    script = Script((ModelTurn(text=("After the silence.",), stall_ms=int(stall * 1000)),))
    turn = await driver.begin(recording, script)
    if await _open_enough(turn.stream, recording, extra=stall):
        await _watch(turn.stream, recording)
