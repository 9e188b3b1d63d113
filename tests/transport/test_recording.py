"""A recording: what a probe did becomes one observation, whatever happened."""

from __future__ import annotations

import asyncio

import pytest

from conformance.observe.recording import Recording
from conformance.profile import Profile
from conformance.transcript import Action, Ended, Observation, Request, from_json, to_json
from tests.support.wire_server import CHUNKED, SECONDS, Connection, sends, serving

STREAM = CHUNKED + b"9\r\ndata: 1\n\n\r\n"


async def _asks_forever(connection: Connection) -> None:
    if connection.request.startswith(b"POST"):
        await connection.reader.read()
    await connection.send(STREAM)
    await connection.reader.read()


def recorded() -> Observation:
    async def scenario() -> Observation:
        async with serving(_asks_forever) as url:
            recording = Recording("probe", Profile("penguin/2", url, timeout_scale=2.0))
            assert recording.seconds(1.5) == 3.0
            first = await recording.open("b", Request("GET", url))
            assert await first.wait(lambda live: live.event_count == 1, SECONDS)
            with pytest.raises(ValueError, match="used twice"):
                await recording.open("b", Request("GET", url))
            unkept = await recording.transport.open(Request("GET", url))
            await unkept.wait_head(SECONDS)
            recording.keep("a", unkept)
            await recording.open("c", Request("GET", url))
            recording.background(recording.act("prompt", Request("POST", url), stream="b", note="n"))
            await asyncio.sleep(0.05)
            answer = await recording.act("call", Request("POST", url), timeout=0.05)
            assert answer.status is None
            recording.mark(Action(0.0, "mark"))
            recording.fact("x", 1)
            recording.fact("x", 2)
            recording.incomplete("first")
            recording.incomplete("second")
            return await recording.finish()

    return asyncio.run(scenario())


def test_everything_is_kept_in_order() -> None:
    seen = recorded()
    assert [role for role, _ in seen.transcripts] == ["b", "a", "c"]
    assert {transcript.ended for _, transcript in seen.transcripts} == {Ended.CLOSED_BY_US}
    assert [action.kind for action in seen.actions] == ["mark", "prompt", "call"]
    assert seen.actions[1].note == "n"
    assert [action.status for action in seen.actions] == [None, None, None]
    assert "0.1 s" in seen.actions[2].note
    assert seen.facts == (("x", 2),)
    assert seen.incomplete == "first"
    assert from_json(to_json(seen)) == seen


def test_fetch_waits_for_the_end() -> None:
    async def scenario() -> None:
        async with serving(sends(STREAM, b"0\r\n\r\n")) as url:
            recording = Recording("probe", Profile("penguin/2", url))
            stream = await recording.fetch("stream", Request("GET", url))
            assert stream.how is Ended.COMPLETE
            seen = await recording.finish()
            assert seen.transcripts[0][1].body == b"data: 1\n\n"

    asyncio.run(scenario())


def test_fetch_gives_up_at_its_deadline() -> None:
    async def scenario() -> None:
        async with serving(_asks_forever) as url:
            recording = Recording("probe", Profile("penguin/2", url))
            stream = await recording.fetch("stream", Request("GET", url), timeout=0.05)
            assert stream.how is Ended.DEADLINE
            await recording.finish()

    asyncio.run(scenario())
