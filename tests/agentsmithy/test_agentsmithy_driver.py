"""The AgentSmithy driver against a small server: what it sends, how it waits, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

import conformance.observe.probes  # noqa: F401  (registers them)
from conformance.agentsmithy import BAD_CONTEXTS, BAD_REQUESTS, CLIENT_GONE, NO_USER
from conformance.observe.drivers.agentsmithy import AgentSmithyDriver, chat_body, prompt_text
from conformance.observe.drivers.template import answered_id, from_template
from conformance.observe.probe import probes
from conformance.observe.recording import Recording
from conformance.profile import Profile, Template
from conformance.profile_file import default_profile
from conformance.schema_store import schema_root, validator_for
from conformance.script import Script, say
from conformance.transcript import Ended, Observation
from tests.support.agentsmithy_cases import Events
from tests.support.agentsmithy_server import Answer, Received, SmallServer, answers, small_server, streams

SCRIPT = say("Hello, ", "world.")

Use = Callable[[AgentSmithyDriver, Recording, SmallServer], Coroutine[Any, Any, None]]


def hello(request: Received) -> Events:
    """A whole stream, in the request's dialog or in one of the server's choice."""
    dialog = request.json.get("dialog_id", "chosen")
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("chat", {"content": "Hello, "}),
        ("chat", {"content": "world."}),
        ("done", {"done": True}),
    ]
    return [{"type": kind, "dialog_id": dialog, **members} for kind, members in kinds]


def unfinished(request: Received) -> Events:
    return hello(request)[:2]


def routes(chat: Answer | None = None, dialogs: Answer | None = None) -> dict[tuple[str, str], Answer]:
    made = {("POST", "/api/chat"): chat or streams(hello)}
    return made if dialogs is None else {**made, ("POST", "/api/dialogs"): dialogs}


def drive(served: dict[tuple[str, str], Answer], use: Use, **changes: Any) -> tuple[SmallServer, Observation]:
    """Use a driver on a server with these routes, then clean up."""

    async def run() -> tuple[SmallServer, Observation]:
        async with small_server(served) as server:
            profile: Profile = replace(default_profile("agentsmithy/1", server.url), **changes)
            driver, recording = AgentSmithyDriver(profile), Recording("test", profile)
            async with asyncio.timeout(30):
                await use(driver, recording, server)
                observation = await recording.finish()
                await driver.cleanup()
            return server, observation

    return asyncio.run(run())


async def two_turns(driver: AgentSmithyDriver, recording: Recording, server: SmallServer) -> None:
    await driver.turn(recording, SCRIPT, role="one")
    await driver.turn(recording, None, role="two")


def valid(body: bytes) -> bool:
    path = schema_root() / "agentsmithy/2/requests/chat.schema.json"
    return bool(validator_for(path).is_valid(json.loads(body)))


def test_each_turn_has_a_dialog_of_its_own_which_is_removed() -> None:
    count = iter(range(1, 9))

    async def create(request: Received, writer: asyncio.StreamWriter) -> None:
        await answers(200, {"id": f"made {next(count)}/x"})(request, writer)

    server, observation = drive(routes(dialogs=create), two_turns)
    assert [r.json for r in server.of("POST", "/api/dialogs")] == [{"set_current": False}] * 2
    chats = server.of("POST", "/api/chat")
    assert [chat.json["dialog_id"] for chat in chats] == ["made 1/x", "made 2/x"]
    assert all(valid(chat.body) for chat in chats)
    assert all(chat.headers["accept"] == "text/event-stream" for chat in chats)
    assert [r.path for r in server.of("DELETE")] == ["/api/dialogs/made%201%2Fx", "/api/dialogs/made%202%2Fx"]
    one, two = observation.actions_of("prompt")
    assert (one.session, one.stream, one.status, one.script) == ("made 1/x", "one", 200, SCRIPT)
    assert one.prompt == chats[0].json["messages"][-1]["content"]
    assert SCRIPT.directive() in one.prompt
    assert two.script is None
    assert "[[" not in two.prompt
    assert len(observation.actions_of("create-session")) == 2


@pytest.mark.parametrize("status", [404, 405, 501])
def test_without_a_way_to_make_dialogs_the_server_chooses(status: int) -> None:
    server, observation = drive(routes(dialogs=answers(status, {})), two_turns)
    assert len(server.of("POST", "/api/dialogs")) == 1  # asked once
    assert all("dialog_id" not in chat.json and valid(chat.body) for chat in server.of("POST", "/api/chat"))
    assert not server.of("DELETE")  # nothing that we made
    assert [action.session for action in observation.actions_of("prompt")] == ["chosen", "chosen"]


def test_a_turn_in_a_given_dialog() -> None:
    async def use(driver: AgentSmithyDriver, recording: Recording, server: SmallServer) -> None:
        turn = await driver.turn(recording, SCRIPT, role="one")
        again = await driver.turn(recording, SCRIPT, role="two", session=turn.session)
        assert again.session == turn.session == "chosen"

    server, _ = drive(routes(), use)
    assert [chat.json.get("dialog_id") for chat in server.of("POST", "/api/chat")] == [None, "chosen"]


def test_a_turn_ends_with_its_exchange() -> None:
    _, observation = drive(routes(), two_turns)
    assert [t.ended for _, t in observation.transcripts] == [Ended.COMPLETE] * 2


@pytest.mark.parametrize("events", [hello, unfinished])
def test_a_stream_that_does_not_end_is_left_at_the_deadline(events: Callable[[Received], Events]) -> None:
    async def use(driver: AgentSmithyDriver, recording: Recording, server: SmallServer) -> None:
        turn = await driver.turn(recording, SCRIPT)
        assert driver.is_final(turn.stream) == (events is hello)

    _, observation = drive(routes(streams(events, end=False)), use, timeout_scale=0.02)
    (_, transcript) = observation.transcripts[0]
    assert transcript.ended is Ended.DEADLINE
    # 0.02 of (settle 2 + 3) after `done`, of (head 10 + turn 30) without it; the upper ends are generous.
    assert (0.1 if events is hello else 0.8) <= transcript.ended_at < (0.79 if events is hello else 10)


def test_begin_returns_while_the_stream_goes_on() -> None:
    async def use(driver: AgentSmithyDriver, recording: Recording, server: SmallServer) -> None:
        turn = await driver.begin(recording, SCRIPT)
        assert await turn.stream.wait(lambda stream: len(stream.messages) == 2, 10)
        assert not turn.stream.ended
        assert not driver.is_final(turn.stream)
        await turn.stream.close()

    _, observation = drive(routes(streams(unfinished, end=False)), use)
    assert observation.transcripts[0][1].ended is Ended.CLOSED_BY_US
    assert len(observation.actions_of("prompt")) == 1


@pytest.mark.parametrize(
    ("chat", "expected"),
    [
        (streams(hello), True),
        (streams(unfinished, end=False), True),
        (answers(503, {}), False),
        (streams(lambda request: []), False),
    ],
)
def test_alive(chat: Answer, expected: bool) -> None:
    async def use(driver: AgentSmithyDriver, recording: Recording, server: SmallServer) -> None:
        assert await driver.alive(recording, role="after") is expected

    drive(routes(chat), use)


def test_a_request_for_http_probes_has_a_dialog_of_its_own() -> None:
    async def use(driver: AgentSmithyDriver, recording: Recording, server: SmallServer) -> None:
        for role in ("one", "two"):
            await recording.fetch(role, await driver.fresh_request(recording))

    server, _ = drive(routes(dialogs=answers(200, {"id": "made"})), use)
    assert [chat.json["dialog_id"] for chat in server.of("POST", "/api/chat")] == ["made", "made"]
    assert len(server.of("DELETE")) == 2


def test_the_profile_may_have_requests_of_its_own() -> None:
    templates = (
        ("create-session", Template("POST", "/v2/rooms", {"name": "{title}"}, "/room/key")),
        ("delete-session", Template("DELETE", "/v2/rooms/{session}")),
        ("prompt", Template("POST", "/v2/say", {"q": "{prompt}", "room": "{session}", "who": "{agent}"})),
    )
    made: dict[tuple[str, str], Answer] = {
        ("POST", "/v2/say"): streams(hello),
        ("POST", "/v2/rooms"): answers(201, {"room": {"key": 12}}),
    }
    server, _ = drive(made, two_turns, stimulus=templates, headers=(("X-Key", "secret"),))
    asked = server.of("POST", "/v2/say")
    assert [r.json["room"] for r in asked] == ["12", "12"]
    assert asked[0].json["q"] == prompt_text(SCRIPT)
    assert asked[0].json["who"] == "default"
    assert {r.path for r in server.of("DELETE")} == {"/v2/rooms/12"}
    assert all(r.headers["x-key"] == "secret" for r in server.received)


def test_templates() -> None:
    profile = default_profile("agentsmithy/1", "http://h/base")
    template = Template("POST", "/x/{session}?q={prompt}", {"a": ["{session}", "<{prompt}>"], "b": 7})
    request = from_template(profile, template, {"session": None, "prompt": "{session} {x}"})
    assert request.url == "http://h/base/x/?q=%7Bsession%7D%20%7Bx%7D"
    assert json.loads(request.body or b"") == {"a": ["<{session} {x}>"], "b": 7}
    assert from_template(profile, Template("GET", "/x"), {}).body is None
    found = {"data": [{"id/x": "k"}], "n": 7, "flag": True, "none": None}
    held = {"/data/0/id~1x": "k", "/n": "7"}
    for pointer in (*held, "/flag", "/none", "/data/1", "/x/y"):
        expected = held.get(pointer)
        assert answered_id(Template("POST", "/", None, pointer), found) == expected


@pytest.mark.parametrize("dialog", [None, "d"])
@pytest.mark.parametrize("script", [None, SCRIPT])
@pytest.mark.parametrize("revision", [1, 2])
def test_what_is_sent_is_valid(dialog: str | None, script: Script | None, revision: int) -> None:
    validator = validator_for(schema_root() / f"agentsmithy/{revision}/requests/chat.schema.json")
    for stream in (True, False):
        body = chat_body(prompt_text(script), dialog_id=dialog, stream=stream)
        assert validator.is_valid(body)


@pytest.mark.parametrize("entry", [*BAD_REQUESTS, NO_USER, *BAD_CONTEXTS], ids=lambda entry: entry.name)
def test_what_must_be_refused_is_invalid(entry: Any) -> None:
    try:
        assert not valid(entry.body)
    except ValueError:
        assert entry.name in ("empty", "json", "utf8")


def test_cleanup_outlives_a_server_that_has_gone() -> None:
    async def run() -> None:
        async with small_server(routes(dialogs=answers(200, {"id": "x"}))) as server:
            profile = default_profile("agentsmithy/1", server.url)
            driver, recording = AgentSmithyDriver(profile), Recording("test", profile)
            await driver.turn(recording, SCRIPT)
            await recording.finish()
        await driver.cleanup()

    asyncio.run(run())


@pytest.mark.parametrize("cancels", [True, False])
def test_the_model_call_of_a_client_that_has_gone(cancels: bool) -> None:
    """The probe `client-gone` asks the scripted model's journal what became of its call."""
    gone = asyncio.Event()
    prompts: list[str] = []

    def chat(request: Received) -> Events:
        prompts.append(request.json["messages"][-1]["content"])
        return unfinished(request)

    async def calls(request: Received, writer: asyncio.StreamWriter) -> None:
        state = "cancelled" if gone.is_set() and cancels else "open"
        prompt = prompts[-1][:500] if prompts else ""
        journal = [
            {
                "number": 7,
                "prompt": f'"{CLIENT_GONE} "',
                "state": "finished",
                "side_call": None,
            },  # of another run
            *([{"number": 8, "prompt": prompt, "state": state, "side_call": None}] if prompts else []),
            *(
                [{"number": 9, "prompt": prompt, "state": "finished", "side_call": "title"}]
                if prompts
                else []
            ),
        ]
        since = int(request.path.partition("?since=")[2])
        await answers(200, [call for call in journal if call["number"] > since])(request, writer)

    async def run() -> Observation:
        served = {**routes(streams(chat, end=False, pause=gone)), ("GET", "/__model/calls"): calls}
        async with small_server(served) as server:
            base = default_profile("agentsmithy/2", server.url)
            limits = replace(base.limits, settle=2.0 if cancels else 0.2)
            profile = replace(base, model_url=f"{server.url}/v1", limits=limits, headers=(("X-Key", "k"),))
            driver, recording = AgentSmithyDriver(profile), Recording(CLIENT_GONE, profile)
            async with asyncio.timeout(30):
                await probes("agentsmithy")[CLIENT_GONE].run(driver, recording)
                observation = await recording.finish()
            asked = server.of("GET", "/__model/calls")
            assert asked
            assert all(
                "x-key" not in request.headers for request in asked
            )  # the target's secrets are its own
        return observation

    observation = asyncio.run(run())
    assert observation.fact("model_call") == ("cancelled" if cancels else "open")
    assert observation.transcripts[0][1].ended is Ended.CLOSED_BY_US


def test_a_scripted_model_that_is_not_there_ends_no_run() -> None:
    """What its journal would show stays open; the target is judged on."""

    async def run() -> Observation:
        async with small_server(routes(streams(unfinished, end=False))) as server:
            base = default_profile("agentsmithy/2", server.url)
            profile = replace(base, model_url="http://127.0.0.1:9", limits=replace(base.limits, settle=0.1))
            driver, recording = AgentSmithyDriver(profile), Recording(CLIENT_GONE, profile)
            async with asyncio.timeout(30):
                await probes("agentsmithy")[CLIENT_GONE].run(driver, recording)
                return await recording.finish()

    assert asyncio.run(run()).fact("model_call") is None
