"""Penguin probes of cursors: new connections that resume, with a right cursor and with a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from conformance.observe.drivers.base import Driver
from conformance.observe.drivers.bus import Sent
from conformance.observe.drivers.penguin import PenguinDriver
from conformance.observe.probe import Unavailable, probe
from conformance.observe.probes.bus_turns import scripted, unscripted
from conformance.observe.probes.penguin_filters import penguin
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.parts import GAP, SYNTHETIC
from conformance.penguin import (
    FAMILIES,
    FOREIGN_CURSOR,
    FULL,
    GAPS,
    RESUME,
    RESUME_LIVE,
    RETENTION,
    UNKNOWN_AGENT,
    busy_turn,
    words,
)
from conformance.profile import Effect, Profile
from conformance.script import Fill, say

CHUNKS = 400  # of the turns that fill a replay buffer: snapshots are cumulative, so more would be megabytes
JOINING = 4  # chunks in one event for which a retention is still passed
MOST = 20_000  # events beyond which a declared retention is not passed
CUTS = 10  # times that a connection is cut while events arrive


def no_resume(profile: Profile) -> str:
    """Why a probe of cursors does not apply."""
    return "" if profile.capabilities.resume else "the profile does not declare resume"


def cursors(stream: LiveStream) -> list[str]:
    """The cursor after each of the stream's events, synthetic frames apart, as a client would keep it."""
    return [m.event.last_event_id for m in stream.messages if m.type not in SYNTHETIC]


def own_cursor(stream: LiveStream, kind: str) -> str:
    """The id that the first synthetic frame of this type itself carries, "" if none."""
    for message in stream.messages:
        if message.type == kind:
            return (message.block.id or b"").decode("utf-8", "replace")
    return ""


async def settled(recording: Recording, stream: LiveStream, events: int) -> bool:
    """Wait until the stream has shown that many events that are no synthetic frames."""
    return await stream.wait(
        lambda live: len(cursors(live)) >= events, recording.seconds(recording.profile.limits.settle)
    )


@probe(RESUME, families=FAMILIES, effect=Effect.PROMPT, prompts=1, unless=no_resume)
async def resume(driver: Driver, recording: Recording) -> None:
    """A turn is over; it is resumed from many of its blocks, by header and query, again and again."""
    penguins, profile = penguin(driver), recording.profile
    session = await penguins.create_session(recording)
    recording.fact("session", session)
    full = await penguins.subscribe(recording, FULL, session=session)
    sent = penguins.prompt(
        recording, session, scripted(profile, busy_turn(profile, "resumed")), stream=full, role=FULL
    )
    await penguins.ended(recording, sent)
    kept = cursors(full)
    if len(kept) < 6 or not all(kept):
        raise Unavailable(f"{len([c for c in kept if c])} of the turn's {len(kept)} events have a cursor")
    last, middle = len(kept) - 1, len(kept) // 2
    whole: list[LiveStream] = []

    async def resumed(role: str, index: int, **how: str) -> LiveStream:
        query = "query" if how.get("by") == "query" else "header"
        extra = (("last_event_id", how["over"]),) if "over" in how else ()
        stream = await penguins.subscribe(
            recording,
            role,
            session=None if how.get("by") == "all" else session,
            cursor=kept[index],
            cursor_in="query" if query == "query" else "header",
            extra=extra,
        )
        await settled(recording, stream, last - index)
        whole.append(stream)
        return stream

    for index in sorted({0, 1, last // 4, middle, middle + 1, last - 1, last}):
        await resumed(f"cut-{index}", index)
    for index in (1, middle):
        await resumed(f"query-{index}", index, by="query")
        await resumed(f"again-{index}", index)
    await resumed("all", middle, by="all")
    # Both ways at once: the query wins (penguin/2).
    stream = await penguins.subscribe(
        recording, "both", session=session, cursor=kept[1], extra=(("last_event_id", kept[middle]),)
    )
    await settled(recording, stream, last - middle)
    whole.append(stream)
    await _from_synthetic(penguins, recording, session, full, whole, middle)
    await _chain(penguins, recording, session, kept)
    await penguins.fence(recording, session, full, *whole)


async def _from_synthetic(
    penguins: PenguinDriver,
    recording: Recording,
    session: str,
    full: LiveStream,
    whole: list[LiveStream],
    middle: int,
) -> None:
    """Resume from the id of `server.connected`, as a client must that is cut off right after it."""
    kept = cursors(full)
    resumed = whole[sorted({0, 1, (len(kept) - 1) // 4, middle}).index(middle)]
    for role, stream, since in (("fresh", full, -1), ("resumed", resumed, middle)):
        cursor = own_cursor(stream, "server.connected")
        if not cursor:
            continue  # without an id a client keeps the cursor that it had
        role = f"connected-{role}"
        recording.fact(f"since:{role}", since)
        again = await penguins.subscribe(recording, role, session=session, cursor=cursor)
        await settled(recording, again, len(kept) - 1 - since)
        whole.append(again)


async def _chain(penguins: PenguinDriver, recording: Recording, session: str, kept: Sequence[str]) -> None:
    """Resume, take two events, hang up, resume from there, until nothing is left."""
    cursor = kept[0]
    for link in range(len(kept)):
        stream = await penguins.subscribe(recording, f"chain-{link}", session=session, cursor=cursor)
        more = await settled(recording, stream, min(2, len(kept) - 1 - kept.index(cursor)))
        newest = cursors(stream)
        await stream.close(reset=link % 2 == 1)
        # The replay may come in one piece: what was taken are two events of it, whatever else had arrived.
        taken = newest[:2]
        if not more or not taken or taken[-1] not in kept[:-1]:
            return
        cursor = taken[-1]


@probe(RESUME_LIVE, families=FAMILIES, effect=Effect.PROMPT, prompts=1, unless=no_resume)
async def resume_live(driver: Driver, recording: Recording) -> None:
    """A connection that is cut and resumed again and again while a turn runs ("cut-0", "cut-1" …)."""
    penguins, profile = penguin(driver), recording.profile
    session = await penguins.create_session(recording)
    recording.fact("session", session)
    full = await penguins.subscribe(recording, FULL, session=session)
    stream = await penguins.subscribe(recording, "cut-0", session=session)
    script = say(*(f"live{n} " for n in range(6 * CUTS)), pace_ms=15)
    sent = penguins.prompt(recording, session, scripted(profile, script), stream=full, role=FULL)
    cursor = ""
    for cut in range(1, CUTS + 1):
        if not await settled(recording, stream, 2):
            break
        newest = cursors(stream)
        # Every other time the server does not know yet that the old connection is gone.
        if cut % 2 == 0:
            await stream.close(reset=True)
            await _goes_on(recording, full, sent)
        cursor = newest[-1] or cursor
        if not cursor:
            raise Unavailable("the stream's events have no cursor")
        recording.fact(f"until:cut-{cut - 1}", cursor)
        old = stream
        stream = await penguins.subscribe(recording, f"cut-{cut}", session=session, cursor=cursor)
        await old.close()
    await penguins.ended(recording, sent)
    await penguins.fence(recording, session, full, *([] if stream.ended else [stream]))


async def _goes_on(recording: Recording, full: LiveStream, sent: Sent) -> None:
    """Wait until two more events have come, so that a client that is away misses some."""
    due = len(cursors(full)) + 2
    await full.wait(
        lambda live: len(cursors(live)) >= due or sent.answer.done(),
        recording.seconds(recording.profile.limits.settle),
    )


@probe(GAPS, families=FAMILIES, effect=Effect.PROMPT, prompts=1, unless=no_resume)
async def gaps(driver: Driver, recording: Recording) -> None:
    """Cursors that nobody ever gave out; a turn follows, which must show on every one of these streams."""
    penguins, profile = penguin(driver), recording.profile
    session = await penguins.create_session(recording)
    recording.fact("session", session)
    full = await penguins.subscribe(recording, FULL, session=session)
    unknown = {
        "word": "nope-1",
        "future": f"evt:session:{session}:99999999",
        "elsewhere": "evt:session:session_sse_conformance_unknown:00000003",
    }
    streams = [
        await penguins.subscribe(recording, f"unknown-{name}", session=session, cursor=cursor, required=False)
        for name, cursor in unknown.items()
    ]
    if profile.protocol != "penguin/1":  # whose document knows no query of that name
        streams.append(
            await penguins.subscribe(
                recording,
                "unknown-query",
                session=session,
                cursor=unknown["word"],
                cursor_in="query",
                required=False,
            )
        )
    streams.append(
        await penguins.subscribe(recording, "unknown-unfiltered", cursor=unknown["word"], required=False)
    )
    for stream in streams:
        await stream.wait(lambda live: bool(own(live)), recording.seconds(profile.limits.settle))
    sent = penguins.prompt(recording, session, scripted(profile, words("gap")), stream=full, role=FULL)
    await penguins.ended(recording, sent)
    await penguins.fence(recording, session, full, *streams)
    cursor = own_cursor(streams[0], GAP)
    if cursor:
        again = await penguins.subscribe(recording, "after-gap", session=session, cursor=cursor)
        await settled(recording, again, len(cursors(streams[0])))
        await penguins.fence(recording, session, full, streams[0], again)


def own(stream: LiveStream) -> bool:
    """Whether a gap has come."""
    return any(message.type == GAP for message in stream.messages)


def _no_retention(profile: Profile) -> str:
    kept = profile.capabilities.retention
    if reason := no_resume(profile) or unscripted(profile):
        return reason
    if kept is None:
        return "the profile declares no retention"
    return "" if kept <= MOST else f"a retention of {kept} events is too large to be passed"


@probe(RETENTION, families=FAMILIES, effect=Effect.PROMPT, prompts=3, unless=_no_retention)
async def retention(driver: Driver, recording: Recording) -> None:
    """More events than the declared retention, then a cursor from before and one from within it; a turn follows."""
    penguins, profile = penguin(driver), recording.profile
    kept = profile.capabilities.retention or 0
    session = await penguins.create_session(recording)
    recording.fact("session", session)
    full = await penguins.subscribe(recording, FULL, session=session)

    async def play(script: Sent) -> None:
        await penguins.ended(recording, script, fence=False)

    await play(penguins.prompt(recording, session, words("old"), stream=full, role=FULL))
    old = cursors(full)[-1]
    before = len(cursors(full))
    turns = ceil((kept + CHUNKS) / CHUNKS)
    for number in range(JOINING * turns):  # a target that joins chunks makes fewer events of them
        if number >= turns and len(cursors(full)) - before > kept:
            break
        filler = say(Fill(12, CHUNKS))
        await play(penguins.prompt(recording, session, filler, stream=full, role=FULL))
    await penguins.fence(recording, session, full)
    if len(cursors(full)) - before <= kept:
        raise Unavailable(f"{len(cursors(full)) - before} events do not pass a retention of {kept}")
    recent = cursors(full)[-max(2, kept // 4)]
    stream = await penguins.subscribe(recording, "old", session=session, cursor=old)
    within = await penguins.subscribe(recording, "cut-recent", session=session, cursor=recent)
    await settled(recording, within, max(2, kept // 4) - 1)
    missed = len(cursors(full)) - before
    await stream.wait(
        lambda live: own(live) or len(cursors(live)) >= missed, recording.seconds(profile.limits.settle)
    )
    await play(penguins.prompt(recording, session, words("live"), stream=full, role=FULL))
    await penguins.fence(recording, session, full, stream, within)


@probe(FOREIGN_CURSOR, families=FAMILIES, effect=Effect.PROMPT, prompts=2, unless=no_resume)
async def foreign_cursor(driver: Driver, recording: Recording) -> None:
    """Cursors of one session used with the filter of another, and with a filter by agent."""
    penguins, profile = penguin(driver), recording.profile
    a = await penguins.create_session(recording)
    b = await penguins.create_session(recording)
    recording.fact("session-a", a)
    recording.fact("session-b", b)
    control = await penguins.subscribe(recording, FULL)
    for session, mark in ((a, "a-first"), (b, "b-first")):
        script = scripted(profile, busy_turn(profile, mark))
        await penguins.ended(
            recording, penguins.prompt(recording, session, script, stream=control, role=FULL), fence=False
        )
    await penguins.fence(recording, a, control)
    await penguins.fence(recording, b, control)
    first = next((c for c in cursors(control) if f":{a}:" in c or a in c), "") or cursors(control)[0]
    if not first:
        raise Unavailable("the stream's events have no cursor")
    of_b = await penguins.subscribe(recording, "b-from-a", session=b, cursor=first)
    of_a = await penguins.subscribe(recording, "a-from-a", session=a, cursor=first)
    await penguins.subscribe(
        recording, "nobody-from-a", session=a, agent=UNKNOWN_AGENT, cursor=first, required=False
    )
    await penguins.fence(recording, b, control, of_b)
    await penguins.fence(recording, a, control, of_a)
