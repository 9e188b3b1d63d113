"""The OpenCode driver: what it asks, and by what it takes a turn for ended, whose prompt is answered at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from conformance.observe.drivers import driver_for
from conformance.observe.drivers.opencode import OpenCodeDriver
from conformance.observe.drivers.progress import Progress
from conformance.observe.recording import Recording
from conformance.preflight import endpoints_that_answer
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.rules.base import Stream
from conformance.script import Failure, ModelTurn, Script, say
from conformance.transcript import Action, Observation
from tests.support.http_cases import event, exchange
from tests.support.tiny_opencode import SESSION, Step, TinyOpenCode, assistant, status, text, user
from tests.support.wire_server import Connection, Handler, serving

HELLO = say("Hello, ", "world.")
BEGINS: tuple[Step, ...] = (status("busy"), assistant(completed=False))
SAYS: tuple[Step, ...] = (text("Hello, world."), assistant(completed=True))
SETTLE = 0.3


def _profile(url: str) -> Profile:
    base = default_profile("opencode/1", url)
    return replace(base, limits=replace(base.limits, turn=8.0, settle=SETTLE), workspace="/srv/a b")


def play(server: TinyOpenCode, script: Script | None) -> Observation:
    """One turn, watched by a stream of the role "stream"."""

    async def run() -> Observation:
        async with serving(server) as url:
            profile = _profile(url)
            recording, driver = Recording("text", profile), driver_for(profile)
            await driver.turn(recording, script)
            await driver.cleanup()
            return await recording.finish()

    return asyncio.run(run())


def prompt(seen: Observation) -> Action:
    (action,) = seen.actions_of("prompt")
    assert action.status == 204
    return action


def arrival(seen: Observation, words: str) -> float:
    """When the stream first brought these words."""
    transcript = seen.transcript("stream")
    assert transcript is not None
    return next(chunk.at for chunk in transcript.chunks if words.encode() in chunk.data)


def test_a_turn_is_over_when_its_session_is_idle() -> None:
    seen = play(TinyOpenCode((*BEGINS, 0.2, *SAYS, 0.2, status("idle"))), HELLO)
    until = prompt(seen).until
    assert seen.incomplete == ""
    assert until is not None
    assert until >= arrival(seen, '"idle"')


def test_the_idle_of_a_session_below_does_not_end_the_turn() -> None:
    below = "ses_below"
    child = (status("busy", below), assistant(completed=True, session=below), status("idle", below))
    seen = play(TinyOpenCode((*BEGINS, *child, 3 * SETTLE, *SAYS, status("idle"))), HELLO)
    until = prompt(seen).until
    assert seen.incomplete == ""
    assert until is not None
    assert until >= arrival(seen, "Hello, world.")


def test_where_no_idle_comes_the_turn_is_over_when_all_was_said() -> None:
    seen = play(TinyOpenCode((*BEGINS, 0.2, *SAYS)), HELLO)
    until = prompt(seen).until
    transcript = seen.transcript("stream")
    assert seen.incomplete == ""
    assert until is not None
    assert transcript is not None
    assert until >= arrival(seen, "completed")
    # Long enough for a rule to say that idle never came.
    assert transcript.ended_at - until >= 0.9 * SETTLE


def test_an_error_on_the_side_does_not_end_a_turn_that_was_not_to_fail() -> None:
    aside: Step = ("session.error", {"sessionID": SESSION, "error": {"name": "UnknownError", "data": {}}})
    seen = play(TinyOpenCode((*BEGINS, aside, 4 * SETTLE, *SAYS, status("idle"))), HELLO)
    until = prompt(seen).until
    assert until is not None
    assert until >= arrival(seen, "Hello, world.")


def test_a_turn_that_was_to_fail_is_over_when_that_shows() -> None:
    refused = Script((ModelTurn(error=Failure("no", status=400)),))
    seen = play(TinyOpenCode((*BEGINS, assistant(completed=True, error=True))), refused)
    assert seen.incomplete == ""
    assert prompt(seen).until is not None
    assert seen.actions_of("abort") == ()


@pytest.mark.parametrize(
    "turn", [ModelTurn(text=("half",), cut="reset"), ModelTurn(error=Failure("no", in_stream=True))]
)
def test_what_is_tried_again_for_ever_is_aborted(turn: ModelTurn) -> None:
    after: Sequence[Step] = ("abort", assistant(completed=True, error=True), status("idle"))
    seen = play(TinyOpenCode((*BEGINS, status("retry"), *after)), Script((turn,)))
    (abort,) = seen.actions_of("abort")
    until = prompt(seen).until
    assert seen.incomplete == ""
    assert until is not None
    assert abort.at >= arrival(seen, '"retry"')
    assert until >= arrival(seen, '"idle"')


def test_what_is_tried_again_and_then_works_is_let_be() -> None:
    script = Script((ModelTurn(text=("Hello, ", "world."), error=Failure("slow", status=429, times=1)),))
    seen = play(TinyOpenCode((*BEGINS, status("retry"), 2 * SETTLE, *SAYS, status("idle"))), script)
    assert seen.incomplete == ""
    assert seen.actions_of("abort") == ()
    until = prompt(seen).until
    assert until is not None
    assert until >= arrival(seen, "Hello, world.")


def both_turns(server: TinyOpenCode, second: Sequence[Step]) -> Observation:
    """Two turns on the stream "first", the second played so; a stream "late" was there for both."""

    async def run() -> Observation:
        async with serving(server) as url:
            profile = _profile(url)
            recording, driver = Recording("text", profile), OpenCodeDriver(profile)
            session = await driver.create_session(recording)
            stream = await driver.subscribe(recording, "first", session=session)
            await driver.subscribe(recording, "late", session=session)
            for turn in (server.turn, second):
                server.turn = turn
                sent = driver.prompt(recording, session, say("Hello."), stream=stream, role="first")
                await driver.ended(recording, sent, fence=False)
            return await recording.finish()

    return asyncio.run(run())


def test_what_another_stream_has_yet_to_show_of_an_earlier_turn_does_not_end_this_one() -> None:
    first = (user("msg_1"), *BEGINS, text("Hello."), assistant(completed=True), status("idle"))
    second = (user("msg_2"), status("busy"), 6 * SETTLE, text("Hello."), status("idle"))
    seen = both_turns(TinyOpenCode(first, lag=SETTLE), second)
    _, prompted = seen.actions_of("prompt")
    transcript = seen.transcript("first")
    assert transcript is not None
    assert prompted.until is not None
    assert prompted.until >= [chunk.at for chunk in transcript.chunks if b'"idle"' in chunk.data][1]


def test_whether_a_stream_shows_the_end_of_a_turn_that_began_since() -> None:
    steps = [user("msg_1"), status("busy"), status("idle"), user("msg_2"), status("busy"), status("idle")]
    events = [{"id": f"evt_{n}", "type": step[0], "properties": step[1]} for n, step in enumerate(steps)]  # type: ignore[index]
    shown = Stream("late", exchange(*map(event, events)), _profile("http://127.0.0.1:1")).messages
    progress, first = Progress(), frozenset({"msg_1"})
    over = []
    for count in range(1, len(shown) + 1):
        progress.read(shown[:count])
        over.append((progress.over_since(SESSION, frozenset()), progress.over_since(SESSION, first)))
    assert over == [(False, False)] * 2 + [(True, False)] * 3 + [(True, True)]
    assert progress.users(SESSION) == {"msg_1", "msg_2"}


def test_a_turn_without_end_is_told() -> None:
    server = TinyOpenCode((status("busy"),))

    async def run() -> Observation:
        async with serving(server) as url:
            base = _profile(url)
            profile = replace(base, limits=replace(base.limits, turn=0.5))
            recording, driver = Recording("text", profile), driver_for(profile)
            await driver.turn(recording, HELLO)
            return await recording.finish()

    seen = asyncio.run(run())
    assert seen.incomplete == "a turn did not end within 0.5 s"
    assert prompt(seen).until is None


def test_every_request_names_the_directory() -> None:
    server = TinyOpenCode((*BEGINS, *SAYS, status("idle")))
    play(server, HELLO)
    paths = [line.split(" ")[1] for line in server.lines]
    assert {path.partition("?")[0] for path in paths} == {
        "/session",
        "/event",
        f"/session/{SESSION}",
        f"/session/{SESSION}/prompt_async",
    }
    assert all(path.endswith("?directory=%2Fsrv%2Fa%20b") for path in paths)


def test_what_is_behind_credentials_is_not_guessed() -> None:
    async def ask(handler: Handler) -> tuple[str, ...]:
        async with serving(handler) as url:
            return await asyncio.to_thread(endpoints_that_answer, url)

    async def guarded(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def page(connection: Connection) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        await (TinyOpenCode()(connection) if b" /event " in connection.request else connection.send(head))

    assert asyncio.run(ask(guarded)) == ()
    assert asyncio.run(ask(page)) == ("opencode (GET /event)",)
