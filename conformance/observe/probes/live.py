"""Clients that vanish, and a client that stops reading: what becomes of the others, and of that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from conformance import exchanges
from conformance.message import read_message
from conformance.observe.drivers.base import Driver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream, TargetUnreachable
from conformance.penguin import BUSES
from conformance.profile import Effect, Limits, Profile
from conformance.script import Script, say

AT_ONCE = 10  # clients that vanish together
LIMITED = 40.0  # seconds in which a limit of rate must have passed
SILENCE = 8.0  # seconds without a byte after which a stream counts as silent
STABLE = 0.4  # seconds in which the kernel's buffer must not grow for the sender to count as held up


@probe(
    exchanges.VANISH,
    families=("agentsmithy",),
    effect=Effect.DISRUPT,
    prompts=Limits().vanishing_clients + 4,
)
@probe(exchanges.VANISH, families=BUSES, effect=Effect.DISRUPT, prompts=2)
async def vanish(driver: Driver, recording: Recording) -> None:
    """clients that vanish before the first byte, after the head and half-way, then one that stays

    Facts: "vanished" and "refused" (clients), "served_before", "turn_before", "served_after", "turn_after"
    (bool), "trouble" (what kept the last client from being served, in words).
    """
    recording.fact("served_before", await driver.alive(recording, role="before"))
    recording.fact("turn_before", await _final(driver, recording, "turn-before"))
    wanted = recording.profile.limits.vanishing_clients
    vanished = refused = 0
    for start in range(0, wanted, AT_ONCE):
        batch = [_vanish(driver, recording, index) for index in range(start, min(start + AT_ONCE, wanted))]
        done = await asyncio.gather(*batch)
        vanished += sum(done)
        refused += len(done) - sum(done)
    recording.fact("vanished", vanished)
    recording.fact("refused", refused)
    try:
        recording.fact("served_after", await _served_after(driver, recording))
        # A turn takes several requests: under a declared limit of rate it would say nothing more.
        if not recording.profile.capabilities.rate_limit:
            recording.fact("turn_after", await _final(driver, recording, "turn-after"))
    except (TargetUnreachable, Unavailable) as error:
        # Here this is no trouble with the stimulus but the very thing that is asked.
        recording.fact("trouble", str(error))


async def _served_after(driver: Driver, recording: Recording) -> bool:
    """Whether the next client is served (roles "after", "after-2" …); a declared limit of rate is waited out."""
    served = await driver.alive(recording, role="after")
    if recording.profile.capabilities.rate_limit:
        deadline = recording.now() + recording.seconds(LIMITED)
        pause, attempt = 1.0, 1
        while not served and recording.now() + pause < deadline:
            await asyncio.sleep(pause)
            pause, attempt = pause * 2, attempt + 1
            served = await driver.alive(recording, role=f"after-{attempt}")
    return served


async def _vanish(driver: Driver, recording: Recording, index: int) -> bool:
    limit = recording.seconds(recording.profile.limits.head)
    try:
        stream = await recording.transport.open(await driver.fresh_request(recording))
    except TargetUnreachable:
        return False
    match index % 3:
        case 0:
            pass  # gone before the first byte of the answer
        case 1:
            await stream.wait_head(limit)
        case _:
            await stream.wait(lambda live: live.event_count > 0, limit)
            stream.pause()
    await stream.close(reset=index % 6 != 5)  # one kind closes in order, half-read
    return True


def _short(profile: Profile) -> Script | None:
    return say("short ", "answer.") if profile.script else None


async def _final(
    driver: Driver, recording: Recording, role: str, script: Script | None = None, session: str | None = None
) -> bool:
    """Play a turn; whether its end came."""
    turn = await driver.turn(recording, script or _short(recording.profile), role=role, session=session)
    final = driver.is_final(turn.stream)
    await turn.stream.close()  # a subscription that stays would receive all that follows
    return final


def _no_scripts(profile: Profile) -> str:
    return "" if profile.script else "the target cannot be scripted (script = false)"


@probe(exchanges.STALL, families=("agentsmithy",), effect=Effect.DISRUPT, prompts=3, unless=_no_scripts)
async def stalled_answer(driver: Driver, recording: Recording) -> None:
    """a client that stops reading a long answer while another prompts, and then reads on

    Roles "before", "stalled", "beside". Facts: "before_final", "beside_final" (bool), "backlog_bytes",
    "backlog_events", "unread" (bytes in our kernel while it stalled), "read_on" ("done", "ended", "silent" or
    "deadline").
    """
    recording.fact("before_final", await _final(driver, recording, "before"))
    stalled = (await driver.begin(recording, exchanges.one_answer(), role="stalled")).stream
    await stalled.wait_head(recording.seconds(recording.profile.limits.head))
    stalled.pause()
    read = (stalled.body_bytes, stalled.event_count)
    recording.fact("unread", await _held_up(recording, stalled))
    recording.fact("beside_final", await _tried(driver, recording, "beside"))
    stalled.resume()
    recording.fact("read_on", await _read_on(recording, stalled, driver.is_final))
    if not stalled.ended:
        await stalled.wait_end(recording.seconds(recording.profile.limits.settle))
    recording.fact("backlog_bytes", stalled.body_bytes - read[0])
    recording.fact("backlog_events", stalled.event_count - read[1])


@probe(
    exchanges.STALL,
    families=BUSES,
    effect=Effect.DISRUPT,
    prompts=exchanges.MANY + 3,
    unless=_no_scripts,
)
async def stalled_subscriber(driver: Driver, recording: Recording) -> None:
    """a subscriber that stops reading while a backlog grows and others are served, and then reads on

    Roles "before", "stalled", "witness" (the same, but reading), "backlog-1" …, "beside", "fence". The fence
    is a turn of the backlog's session that says `FENCE_MARK`. Facts: "session" (the backlog's),
    "before_final", "backlog_final", "beside_final" (bool), "held" (bool: a turn stood still and went on when
    the stalled client read on), "backlog_bytes", "backlog_events" (what the witness got meanwhile), "read_on"
    as for answers.
    """
    limit = recording.seconds(recording.profile.limits.head)
    first = await driver.turn(recording, _short(recording.profile), role="before")
    recording.fact("before_final", driver.is_final(first.stream))
    await first.stream.close()
    recording.fact("session", first.session)
    stalled = await recording.open("stalled", driver.stream_request())
    witness = await recording.open("witness", driver.stream_request())
    for stream in (stalled, witness):
        if not await stream.wait(lambda live: live.event_count > 0, limit):
            raise Unavailable("a subscriber got no first event")
    stalled.pause()
    read = (witness.body_bytes, witness.event_count)
    finals = []
    size = exchanges.first_size(recording.profile)
    for number in range(1, exchanges.MOST + 1):
        script, made = exchanges.one_of_many(size), witness.body_bytes
        finals.append(await _tried(driver, recording, f"backlog-{number}", script, first.session))
        grown, events = witness.body_bytes - read[0], witness.event_count - read[1]
        if not finals[-1] or (number >= exchanges.MANY and _enough(grown, events)):
            break
        size = exchanges.next_size(size, witness.body_bytes - made)
    recording.fact("backlog_final", all(finals))
    recording.fact("backlog_bytes", witness.body_bytes - read[0])
    recording.fact("backlog_events", witness.event_count - read[1])
    recording.fact("unread", stalled.unread())
    recording.fact("beside_final", await _tried(driver, recording, "beside"))
    if all(finals):
        stalled.resume()
    else:
        # Slow, or held up? It was held up if it stands still, and goes on when the stalled client does.
        still = not await _goes_on(witness, recording.seconds(SILENCE))
        stalled.resume()
        recording.fact("held", still and await _goes_on(witness, limit))
    fence = exchanges.FENCE_MARK
    await _final(driver, recording, "fence", say(f"{fence} the end."), first.session)
    recording.fact("read_on", await _read_on(recording, stalled, _Fence(fence)))
    await witness.wait(_Fence(fence), recording.seconds(recording.profile.limits.settle))


def _enough(grown: int, events: int) -> bool:
    """Whether the backlog passes the buffers; one in few events by twice as many bytes."""
    if events > exchanges.BACKLOG_EVENTS:
        return grown >= exchanges.BACKLOG_BYTES
    return grown >= 2 * exchanges.BACKLOG_BYTES


async def _tried(
    driver: Driver, recording: Recording, role: str, script: Script | None = None, session: str | None = None
) -> bool:
    """Like `_final`; a target that no longer lets us prompt has not brought the turn to its end either."""
    try:
        return await _final(driver, recording, role, script, session)
    except Unavailable:
        return False


async def _goes_on(stream: LiveStream, seconds: float) -> bool:
    """Whether anything is said within that time. A busy status that is repeated by a timer says nothing."""
    start = len(stream.messages)
    return await stream.wait(
        lambda live: any(message.type.startswith("message.") for message in live.messages[start:]), seconds
    )


class _Fence:
    """Whether a mark was seen; each event is looked at once."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        # As JSON writes it: itself, or escaped. Only data with one of these is worth reading.
        self._forms = (mark.encode(), f"\\u{ord(mark):04x}".encode())
        self._looked = 0
        self._seen = False

    def __call__(self, stream: LiveStream) -> bool:
        blocks = stream.blocks
        for index in range(self._looked, len(blocks)):
            data = blocks[index].data
            if self._seen:
                break
            if data is None:
                continue
            if self._forms[0] in data or self._forms[1] in data.lower():
                self._seen = exchanges.carries(read_message(blocks[index]).value, self._mark)
        self._looked = len(blocks)
        return self._seen


async def _held_up(recording: Recording, stream: LiveStream) -> int | None:
    """Wait until our kernel's buffer has stopped filling: then the sender is held up. The bytes in it."""
    deadline = recording.now() + recording.seconds(recording.profile.limits.head)
    held = stream.unread()
    while held is not None and not stream.ended and recording.now() < deadline:
        await asyncio.sleep(recording.seconds(STABLE))
        now = stream.unread()
        if now == held and now:
            break
        held = now
    return held


async def _read_on(recording: Recording, stream: LiveStream, done: Callable[[LiveStream], bool]) -> str:
    """Read until `done`, the end, or silence."""
    deadline = recording.now() + recording.seconds(2 * recording.profile.limits.turn)
    while not done(stream):
        if stream.ended:
            return "ended"
        if recording.now() > deadline:
            return "deadline"
        before = stream.body_bytes
        moved = await stream.wait(lambda live, n=before: live.body_bytes > n, recording.seconds(SILENCE))  # type: ignore[misc]
        if not moved and not stream.ended:
            return "done" if done(stream) else "silent"
    return "done"
