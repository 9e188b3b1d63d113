"""A prompt's answer may overtake its stream, and one stream another: what is still on its way is waited for, and
nobody is accused of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from conformance.lab import Lab
from conformance.observe.drivers.penguin import PenguinDriver
from conformance.observe.recording import Recording
from conformance.penguin import FAN_OUT, LOST, TOGETHER, TWO_TURNS
from conformance.profile_file import default_profile
from conformance.rules.base import Case
from conformance.script import say
from conformance.transcript import Ended, Observation
from reference_server.settings import Settings
from tests.support.agentsmithy_server import Received, answers, small_server
from tests.support.delaying_proxy import delaying_proxy
from tests.support.penguin_cases import Server, connected, encode, findings, one_turn, part_of
from tests.support.reference_in_process import reference_in_process

PIECE = 20_000  # bytes that the link carries at once
PAUSE = 0.05  # seconds between two of them
SETTLE = 0.3  # seconds that stragglers get: the stream takes far longer
SCRIPT = say(*(f"{number} " + "x" * 20_000 for number in range(8)))


async def _observe(protocol: str, *, turn: float = 30.0) -> Observation:
    """The turn's observation on a server whose answers come at once, and whose stream comes piece by piece.

    `turn`: seconds that the profile gives to a turn.
    """
    bus = Server(int(protocol[-1]))
    bus.turn("s1", SCRIPT)
    prompted = asyncio.Event()

    async def stream(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + encode([connected()]))
        await prompted.wait()
        sent = 0
        while True:
            piece = encode(bus.events)[sent : sent + PIECE]
            sent += len(piece)
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(PAUSE)

    async def prompt(request: Received, writer: asyncio.StreamWriter) -> None:
        prompted.set()
        await answers(200, {})(request, writer)

    async def rename(request: Received, writer: asyncio.StreamWriter) -> None:
        bus.updated("s1", request.json["title"])
        await answers(200, {})(request, writer)

    routes = {
        ("POST", "/session"): answers(200, {"id": "s1"}),
        ("GET", "/api/v1/events/sse"): stream,
        ("POST", "/api/v1/chat/message"): prompt,
        ("PATCH", "/session/s1"): rename,
    }
    async with small_server(routes) as server:
        base = default_profile(protocol, server.url)
        profile = replace(base, limits=replace(base.limits, settle=SETTLE, turn=turn))
        recording = Recording("large", profile)
        await PenguinDriver(profile).turn(recording, SCRIPT)
        return await recording.finish()


@pytest.mark.parametrize("protocol", ["penguin/1", "penguin/2"])
def test_a_turn_is_recorded_whole_although_its_stream_lags_behind_the_answer(protocol: str) -> None:
    observation = asyncio.run(_observe(protocol))
    prompt = observation.actions_of("prompt")[0]
    stream = observation.transcript("stream")
    assert stream is not None
    assert prompt.until is not None
    assert stream.ended_at - prompt.until > 3 * SETTLE  # the answer did come long before
    assert observation.incomplete == ""
    assert findings(Case(observation)) == {}


@pytest.mark.parametrize("protocol", ["penguin/1", "penguin/2"])
def test_what_is_still_arriving_when_patience_ends_is_held_against_nobody(protocol: str) -> None:
    observation = asyncio.run(_observe(protocol, turn=2 * SETTLE))
    stream = observation.transcript("stream")
    assert stream is not None
    assert stream.ended is Ended.DEADLINE
    assert "still arriving" in observation.incomplete
    assert findings(Case(observation)) == {}


@pytest.mark.parametrize(
    ("probe", "lagging"),
    [(TOGETHER, 1), (TOGETHER, 3), (TWO_TURNS, 3), (TWO_TURNS, 4), (FAN_OUT, 8), (LOST, 2), (LOST, 5)],
)
@pytest.mark.parametrize("protocol", ["penguin/1", "penguin/2", "opencode/1"])
def test_every_stream_that_is_judged_has_shown_all_before_it_is_closed(
    protocol: str, probe: str, lagging: int
) -> None:
    with reference_in_process(Settings()) as url, delaying_proxy(f"{url}/{protocol}", 1, lagging) as slow:
        outcome = Lab(default_profile(protocol, slow)).outcome(probe)
    assert outcome is not None
    assert outcome.case is not None
    assert outcome.case.observation.incomplete == ""
    assert findings(outcome.case) == {}


def _cut(ended: Ended, *, shown: int) -> dict[str, object]:
    """What the rules find where a stream of the turn ended so after that many events."""
    scene = one_turn("tools")
    scene.spans["stream"] = (1.0, 100.0)
    scene.streams["stream"] = scene.streams["stream"][:shown]
    case = scene.case()
    transcript = replace(case.observation.transcripts[0][1], ended=ended)
    return dict(findings(Case(replace(case.observation, transcripts=(("stream", transcript),)))))


def test_a_server_that_ends_the_stream_of_a_reader_that_lags_loses_nothing_silently() -> None:
    whole = len(one_turn("tools").streams["stream"])
    for shown in range(3, whole - 2):
        for ended in (Ended.COMPLETE, Ended.RESET, Ended.DEADLINE):
            assert _cut(ended, shown=shown) == {}, shown
        assert {"PG-MSG-03", "PG-ERR-02"} & _cut(Ended.CLOSED_BY_US, shown=shown).keys(), shown


def test_a_stream_that_is_ended_after_its_turn_is_judged() -> None:
    scene = one_turn("tools")
    scene.spans["stream"] = (1.0, 100.0)
    lost = next(n for n, e in enumerate(scene.streams["stream"]) if part_of(e).get("type") == "tool")
    del scene.streams["stream"][lost : lost + 2]
    case = scene.case()
    transcript = replace(case.observation.transcripts[0][1], ended=Ended.COMPLETE)
    found = findings(Case(replace(case.observation, transcripts=(("stream", transcript),))))
    assert "PG-TOOL-03" in found
