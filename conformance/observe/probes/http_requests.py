"""Requests that few clients send, and what comes back: methods, HEAD, HTTP/1.0, Accept, cursors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from conformance import exchanges
from conformance.observe.drivers.base import Driver
from conformance.observe.probe import Run, Unavailable, probe
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.penguin import BUSES
from conformance.profile import Effect, Profile
from conformance.script import say
from conformance.transcript import Request
from conformance.turns import FAMILIES

CLOSING = 5.0  # seconds in which a connection must be closed on which we asked for that


def http_probe(
    name: str,
    *,
    prompts: int = 0,
    effect: Effect = Effect.READ,
    unless: Callable[[Profile], str] = lambda p: "",
) -> Callable[[Run], Run]:
    """Register a probe for all families; `prompts` is what it costs where a stream is a prompt."""

    def register(run: Run) -> Run:
        costly = Effect.PROMPT if prompts and effect is Effect.READ else effect
        probe(name, families=("agentsmithy",), effect=costly, prompts=prompts, unless=unless)(run)
        probe(name, families=BUSES, effect=effect, unless=unless)(run)
        return run

    return register


def with_headers(request: Request, *headers: tuple[str, str]) -> Request:
    """The request with these headers in place of those of the same names."""
    names = {name.lower() for name, _ in headers}
    kept = tuple((name, value) for name, value in request.headers if name.lower() not in names)
    return replace(request, headers=(*kept, *headers))


async def look(
    driver: Driver, recording: Recording, role: str, request: Request, *, bare: bool = False
) -> LiveStream:
    """Send a request and watch its answer as far as it tells anything.

    An answer that is no event stream: to its end. A GET stream: until its first event, and it stays open. The
    stream of a prompt: to its end.
    """
    limits = recording.profile.limits
    stream = await recording.open(role, request, bare=bare)
    head = await stream.wait_head(recording.seconds(limits.head))
    if head is None or not stream.transcript().is_event_stream:
        await stream.wait_end(recording.seconds(limits.head))
    elif driver.resumable_by_get:
        await stream.wait(lambda live: live.event_count > 0, recording.seconds(limits.head))
    else:
        await stream.wait(driver.is_final, recording.seconds(limits.turn))
        await stream.wait_end(recording.seconds(limits.settle))
    return stream


@http_probe(exchanges.METHODS)
async def methods(driver: Driver, recording: Recording) -> None:
    """the stream's address with methods that it does not have"""
    right = driver.stream_request()
    wrong = ["POST" if driver.resumable_by_get else "GET", "PUT", "DELETE"]
    for method in wrong:
        body = None if method in ("GET", "DELETE") else (right.body or b"{}")
        request = replace(right, method=method, body=body)
        stream = await recording.open(exchanges.METHOD_ROLE + method, request)
        limit = recording.seconds(recording.profile.limits.head)
        await stream.wait_head(limit)
        if stream.transcript().is_event_stream:
            await stream.wait(lambda live: live.event_count > 0, limit)
            await stream.close()
        else:
            await stream.wait_end(limit)


@http_probe(exchanges.HEAD_METHOD)
async def head_method(driver: Driver, recording: Recording) -> None:
    """HEAD on the stream's address, and the connection until the server closes it, as it is asked to"""
    request = with_headers(
        replace(driver.stream_request(), method="HEAD", body=None), ("Connection", "close")
    )
    stream = await recording.open("head", request)
    await stream.wait_end(recording.seconds(recording.profile.limits.head))
    recording.fact("peer_closed", await stream.wait_closed(recording.seconds(CLOSING)))


@http_probe(exchanges.HTTP10, prompts=1)
async def http10(driver: Driver, recording: Recording) -> None:
    """the stream for an HTTP/1.0 client"""
    request = await driver.fresh_request(recording)
    await look(driver, recording, "http10", replace(request, http_version="1.0"))


@http_probe(exchanges.ACCEPT, prompts=len(exchanges.ACCEPTS))
async def other_accept(driver: Driver, recording: Recording) -> None:
    """the stream for clients that do not accept event streams"""
    for role, value in exchanges.ACCEPTS:
        request = await driver.fresh_request(recording)
        await look(driver, recording, role, with_headers(request, ("Accept", value)))


@http_probe(exchanges.CURSORS, prompts=len(exchanges.UNKNOWN_CURSORS) + 1)
async def cursors(driver: Driver, recording: Recording) -> None:
    """the stream with a Last-Event-ID that nobody gave out"""
    for name, value in exchanges.UNKNOWN_CURSORS:
        request = with_headers(await driver.fresh_request(recording), ("Last-Event-ID", value))
        await look(driver, recording, exchanges.CURSOR_ROLE + name, request)
    # The streams stay open meanwhile: one that is going to be cut has had the time of a whole exchange.
    recording.fact("served_after", await driver.alive(recording, role="after"))


@probe(exchanges.IDLE, families=BUSES, effect=Effect.PROMPT, prompts=1)
async def idle(driver: Driver, recording: Recording) -> None:
    """the head of a stream on which nothing happens; an event is caused only if it does not come"""
    limits = recording.profile.limits
    stream = await recording.open("idle", driver.stream_request())
    head = await stream.wait_head(recording.seconds(limits.head / 2))
    recording.fact("head_before_cause", head is not None)
    if head is None:
        await driver.turn(
            recording, say("something happens") if recording.profile.script else None, role="cause"
        )
        await stream.wait_head(recording.seconds(limits.settle))


def _no_scripts(profile: Profile) -> str:
    return "" if profile.script else "the target cannot be scripted (script = false)"


# Seconds; the second is tried where the first shows no streaming, and the third where heartbeats come meanwhile.
PACES = (0.5, 3.0, 3.0)


@probe(
    exchanges.STREAMING,
    families=FAMILIES,
    effect=Effect.PROMPT,
    prompts=2,
    unless=_no_scripts,
)
async def streaming(driver: Driver, recording: Recording) -> None:
    """two chunks with a pause before each, plain and with gzip accepted; again more slowly if in doubt"""
    wanted = list(exchanges.STREAMING_ROLES)
    heartbeat = recording.profile.capabilities.heartbeat
    shown: set[str] = set()  # whose answers came at all
    for attempt, pace in enumerate(PACES, 1):
        seconds = pace * max(1.0, recording.profile.timeout_scale)
        if attempt > 2 and (heartbeat is None or heartbeat > seconds):
            return
        wanted = await _attempt(driver, recording, wanted, attempt, seconds, shown)
        if not wanted:
            return


async def _attempt(
    driver: Driver, recording: Recording, wanted: list[str], attempt: int, pace: float, shown: set[str]
) -> list[str]:
    """Play the paced script for all that are wanted; those in doubt come back.

    All at once, or one after the other where streams are not apart: the words of another turn would push out what
    is held back. An answer that never shows on a stream, though it did on the plain one, is in doubt like a late one.
    """
    script = exchanges.paced(round(pace * 1000))
    doubtful: list[str] = []
    for names in [wanted] if driver.streams_apart else [[name] for name in wanted]:
        streams: dict[str, LiveStream] = {}
        for name in names:
            recording.transport.extra = (("Accept-Encoding", "gzip"),) if name == "gzip" else ()
            streams[name] = (await driver.begin(recording, script, role=f"{name}-{attempt}")).stream
        recording.transport.extra = ()
        for name, stream in streams.items():
            if not await _streamed(driver, recording, name, stream, pace, shown):
                doubtful.append(name)
    return doubtful


async def _streamed(
    driver: Driver, recording: Recording, name: str, stream: LiveStream, pace: float, shown: set[str]
) -> bool:
    """Wait for the paced answer; whether it came as it was said, and after its head."""
    await stream.wait(_said_last, recording.seconds(recording.profile.limits.turn))
    await _finish(driver, recording, stream)
    messages, heartbeat = stream.messages, recording.profile.capabilities.heartbeat
    real = exchanges.streamed(messages, pace, heartbeat)
    if real is not None:
        shown.add(name)
    elif stream.head is None or "plain" not in shown:
        raise Unavailable("the scripted answer did not come")
    early = driver.resumable_by_get or exchanges.head_was_early(
        stream.transcript(), messages, pace, heartbeat
    )
    return bool(real and early)


def _said_last(stream: LiveStream) -> bool:
    return exchanges.first_with(stream.messages, exchanges.LAST_MARK) is not None


async def _finish(driver: Driver, recording: Recording, stream: LiveStream) -> None:
    """Let a turn end that has said everything: the stream of a prompt by itself, a subscription's by its prompt."""
    settle = recording.seconds(recording.profile.limits.settle)
    if not driver.resumable_by_get:
        await stream.wait_end(settle)
        return
    # The end may show in the prompt's own answer alone, which wakes nobody who waits for the stream.
    for _ in range(round(settle / 0.02)):
        if driver.is_final(stream):
            return
        await asyncio.sleep(0.02)
