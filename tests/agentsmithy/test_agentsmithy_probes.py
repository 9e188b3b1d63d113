"""AgentSmithy probes against small servers that misbehave: what was seen, and what the rules say of it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import conformance.observe.probes  # noqa: F401  (registers them)
from conformance.agentsmithy import FAILING_TOOL, SAME_DIALOG, SLOW_DIALOG
from conformance.observe.drivers.agentsmithy import AgentSmithyDriver
from conformance.observe.probe import Unavailable, probes
from conformance.observe.recording import Recording
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.rules.base import Case
from conformance.script import Script
from conformance.transcript import Ended
from tests.support.agentsmithy_cases import Events, encode, faithful, red, unsure, verdicts
from tests.support.agentsmithy_server import SSE_HEAD, Answer, Received, answers, small_server, streams

CREATED = answers(200, {"id": "D"})


def script_of(request: Received) -> Script:
    """The script inside a prompt."""
    prompt = request.json["messages"][-1]["content"]
    return Script.from_data(json.loads(re.sub(r".*?\[\[script (.*)]]", r"\1", prompt, flags=re.DOTALL)))


def plays(request: Received) -> Events:
    """A faithful server, as fast as it can."""
    events = faithful(script_of(request), default_profile("agentsmithy/2", "http://h"), dialog="D")
    return [{**events[0], "content": request.json["messages"][-1]["content"]}, *events[1:]]


def seen(name: str, chat: Answer, routes: dict[tuple[str, str], Answer] | None = None, **limits: Any) -> Case:
    """What a probe sees of a server with that chat."""

    async def run() -> Case:
        served = {("POST", "/api/chat"): chat, ("POST", "/api/dialogs"): CREATED, **(routes or {})}
        async with small_server(served) as server:
            base = default_profile("agentsmithy/2", server.url)
            capabilities = replace(base.capabilities, history=True)
            profile: Profile = replace(base, limits=replace(base.limits, **limits), capabilities=capabilities)
            driver, recording = AgentSmithyDriver(profile), Recording(name, profile)
            try:
                async with asyncio.timeout(30):
                    await probes("agentsmithy")[name].run(driver, recording)
            except Unavailable as error:
                recording.incomplete(str(error))
            observation = await recording.finish()
            await driver.cleanup()
            return Case(observation)

    return asyncio.run(run())


def test_an_agent_without_an_end_is_left_once_the_bound_is_passed() -> None:
    async def endless(request: Received, writer: asyncio.StreamWriter) -> None:
        events = plays(request)
        writer.write(SSE_HEAD)
        for event in (events[0], *[events[1]] * 100_000):
            data = encode([event])
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()

    of = seen(FAILING_TOOL, endless, failing_tool_calls=30)
    assert of.exchanges[0].transcript.ended is Ended.CLOSED_BY_US
    assert red(of) == {"AS-TOOL-05"}


def test_an_agent_that_hangs_with_a_failing_tool_proves_nothing() -> None:
    of = seen(FAILING_TOOL, streams(lambda request: plays(request)[:2], end=False), head=0.2, turn=0.1)
    assert red(of) == set()
    assert unsure(of) == {"AS-TOOL-05"}


def test_a_table_of_requests_is_left_after_two_hangs() -> None:
    async def hang(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    of = seen("bad-requests", hang, head=0.1, turn=0.1)
    assert len(of.exchanges) == 2
    assert len(verdicts(of)["AS-REQ-01a"].findings) == 2


def test_a_server_that_plays_one_dialog_after_another() -> None:
    lock = asyncio.Lock()

    async def one_by_one(request: Received, writer: asyncio.StreamWriter) -> None:
        async with lock:
            await asyncio.sleep(script_of(request).turns[0].stall_ms / 1000)
            await streams(plays)(request, writer)

    of = seen(SLOW_DIALOG, one_by_one, dialog_delay=0.2)
    assert red(of) == {"AS-CONC-03"}


def test_a_server_that_plays_dialogs_side_by_side() -> None:
    async def in_parallel(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(script_of(request).turns[0].stall_ms / 1000)
        await streams(plays)(request, writer)

    of = seen(SLOW_DIALOG, in_parallel, dialog_delay=0.2)
    assert red(of) == unsure(of) == set()
    slow = of.stream("slow")
    assert slow is not None
    assert slow.transcript.ended is Ended.CLOSED_BY_US


def test_the_second_stream_of_a_dialog_begins_while_the_first_goes_on() -> None:
    async def paced(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD)
        script = script_of(request)
        for event in plays(request):
            if event["type"] == "chat":
                await asyncio.sleep(script.pace_ms / 1000)
            data = encode([event])
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    of = seen(SAME_DIALOG, paced)
    assert red(of) == unsure(of) == set()
    first, second = of.stream("first"), of.stream("second")
    assert first is not None
    assert second is not None
    assert second.transcript.opened_at < first.transcript.ended_at


def test_a_history_that_is_written_late_is_waited_for() -> None:
    asked: list[str] = []
    prompts: list[str] = []

    def chat(request: Received) -> Events:
        prompts.append(request.json["messages"][-1]["content"])
        return plays(request)

    async def history(request: Received, writer: asyncio.StreamWriter) -> None:
        asked.append(request.path)
        settled = len(asked) > 3
        entries = [{"type": "user", "content": prompt} for prompt in prompts] if settled else []
        entries += [{"type": "chat", "content": "x"}] if settled else []
        await answers(200, {"events": entries})(request, writer)

    of = seen("history", streams(chat), {("GET", "/api/dialogs/D/history"): history})
    calls = of.observation.actions_of("call")
    assert len(calls) == 2
    assert all(len(call.answer["events"]) == 4 for call in calls)


def test_prompts_into_climbing_ids_are_seen_in_the_history() -> None:
    prompts: list[tuple[str, str]] = []

    def chat(request: Received) -> Events:
        body = request.json
        prompts.append((body["dialog_id"], body["messages"][-1]["content"]))
        return plays(request)

    def follows(paths: bool) -> Answer:
        async def history(request: Received, writer: asyncio.StreamWriter) -> None:
            found = [text for dialog, text in prompts if dialog == "D" or (paths and dialog.endswith("/D"))]
            await answers(200, {"events": [{"type": "user", "content": text} for text in found]})(
                request, writer
            )

        return history

    for paths, broken in ((True, {"AS-REQ-04b"}), (False, set())):
        prompts.clear()
        of = seen("climbing-dialog", streams(chat), {("GET", "/api/dialogs/D/history"): follows(paths)})
        assert red(of) - {"AS-EVT-03"} == broken
        assert unsure(of) == set()


def test_a_stream_that_tells_no_dialog_id_has_no_second_turn() -> None:
    async def nameless(request: Received, writer: asyncio.StreamWriter) -> None:
        events = [{k: v for k, v in event.items() if k != "dialog_id"} for event in plays(request)]
        await streams(events)(request, writer)

    of = seen("several-turns", nameless, {("POST", "/api/dialogs"): answers(404, {})})
    assert "dialog_id" in of.observation.incomplete
    assert "AS-EVT-03" in red(of)
