"""One loop sends for all streams: in order, together where that is asked for, and past readers that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from starlette.types import Message

from reference_server.mailbox import Mailbox
from reference_server.sending import Outlet, Sender
from reference_server.serve import UsageError, read_arguments
from tests.support.proof_processes import judge
from tests.support.raw_sse import RawStream, chat_body, script
from tests.support.reference import reference_server


class Connection:
    """A `send` that takes everything at once while it is open, and waits while it is not."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def send(self, message: Message) -> None:
        await self.open.wait()
        if self.broken:
            raise OSError("gone")
        self.taken.append(message["body"])


def serve(
    sender: Sender, *, frames: int = 100, size: int = 10_000
) -> tuple[Connection, Mailbox, asyncio.Task[None]]:
    connection, box = Connection(), Mailbox(size, frames)
    return connection, box, asyncio.create_task(Outlet(box, connection.send, sender).run())


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test

    asyncio.run(limited())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_is_queued_goes_out_in_order_and_then_the_stream_ends() -> None:
    async def test() -> None:
        connection, box, task = serve(Sender())
        box.offer(b"early,")
        await turns()
        box.owe(b"owed,")
        box.offer(b"a,")
        box.offer(b"b,")
        await turns()
        box.offer(b"last")
        box.end()
        await task
        assert connection.taken == [b"early,", b"owed,", b"a,b,", b"last"]
        assert not box.offer(b"late")

    run(test())


def test_no_task_is_woken_for_a_reader_that_reads() -> None:
    async def test() -> None:
        connection, box, task = serve(Sender())
        await turns()
        woken = []
        task.add_done_callback(woken.append)
        coroutine: Any = task.get_coro()
        at = coroutine.cr_frame.f_lasti
        for number in range(50):
            box.offer(b"%d" % number)
            await turns(2)
        assert connection.taken == [b"%d" % number for number in range(50)]
        assert coroutine.cr_frame.f_lasti == at
        assert coroutine.cr_await is not None
        task.cancel()

    run(test())


def test_a_reader_that_does_not_read_delays_nobody_and_misses_nothing() -> None:
    async def test() -> None:
        sender = Sender()
        slow, slow_box, slow_task = serve(sender, frames=5)
        fast, fast_box, fast_task = serve(sender, frames=5)
        await turns()
        slow.open.clear()
        for number in range(9):
            frame = b"%d" % number
            assert fast_box.offer(frame)
            # one is on its way, five are queued; the seventh ends it
            assert slow_box.offer(frame) == (number < 6)
            await turns()
            assert fast.taken[-1] == frame
        assert slow.taken == []
        assert slow_box.overflowed
        slow.open.set()
        await slow_task
        assert b"".join(slow.taken) == b"012345"
        fast_box.end()
        await fast_task
        assert b"".join(fast.taken) == b"012345678"

    run(test())


def test_who_was_slow_and_has_caught_up_is_served_with_the_others_again() -> None:
    async def test() -> None:
        connection, box, task = serve(Sender())
        for number in range(6):
            connection.open.clear() if number % 2 else connection.open.set()
            box.offer(b"%d" % number)
            await turns()
            connection.open.set()
            await turns()
        box.end()
        await task
        assert b"".join(connection.taken) == b"012345"

    run(test())


@pytest.mark.parametrize("waiting", [True, False])
def test_a_connection_that_breaks_ends_its_own_stream_alone(waiting: bool) -> None:
    async def test() -> None:
        sender = Sender()
        broken, broken_box, broken_task = serve(sender)
        other, other_box, other_task = serve(sender)
        await turns()
        broken.broken = True
        if waiting:
            broken.open.clear()
        broken_box.offer(b"x")
        other_box.offer(b"y")
        await turns()
        broken.open.set()
        with pytest.raises(OSError, match="gone"):
            await broken_task
        other_box.offer(b"z")
        other_box.end()
        await other_task
        assert b"".join(other.taken) == b"yz"

    run(test())


@pytest.mark.parametrize("waiting", [True, False])
def test_a_stream_that_is_cancelled_is_left_alone(waiting: bool) -> None:
    async def test() -> None:
        connection, box, task = serve(Sender())
        await turns()
        if waiting:
            connection.open.clear()
            box.offer(b"x")
            await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        connection.open.set()
        box.offer(b"y")
        await turns()
        assert connection.taken == []

    run(test())


def test_who_puts_waits_for_room() -> None:
    async def test() -> None:
        connection, box, task = serve(Sender(), frames=2)
        await turns()
        connection.open.clear()

        async def put() -> None:
            for number in range(20):
                assert await box.put(b"%d," % number)
            box.end()

        putting = asyncio.create_task(put())
        await turns(20)
        assert not putting.done()
        assert box.count == 2
        connection.open.set()
        await asyncio.gather(putting, task)
        assert b"".join(connection.taken) == b"".join(b"%d," % number for number in range(20))

    run(test())


def test_events_of_some_milliseconds_go_out_together() -> None:
    async def test() -> None:
        sender = Sender(0.05)
        (one, one_box, one_task), (two, two_box, two_task) = serve(sender), serve(sender)
        for number in range(9):
            one_box.offer(b"%d" % number)
            two_box.offer(b"%d" % number)
            await turns()
        for box in (one_box, two_box):
            box.end()
        await asyncio.gather(one_task, two_task)
        assert one.taken == two.taken == [b"012345678"]

    run(test())


def chunks(*options: str) -> Sequence[int]:
    body = chat_body(script({"text": [f"{number} " for number in range(200)]}, pace_ms=1))
    with (
        reference_server(*options) as base,
        RawStream(f"{base}/agentsmithy/1/api/chat", method="POST", body=body) as stream,
    ):
        stream.to_end()
        assert [event["content"] for event in stream.events[:-1]] == [f"{number} " for number in range(200)]
        return stream.chunks


def test_an_event_is_a_chunk_of_its_own_unless_they_are_to_be_coalesced() -> None:
    assert len(chunks()) > 150
    assert len(chunks("--fast", "--coalesce", "20")) < 30


def test_the_fast_server_gets_past_a_reader_that_does_not_read_and_keeps_its_events() -> None:
    much = chat_body(script({"text": [{"fill": 60_000, "times": 300}]}))
    little = chat_body(script({"text": [f"{number} " for number in range(200)]}))
    with reference_server("--fast", "--coalesce", "2") as base:
        url = f"{base}/agentsmithy/1/api/chat"
        with RawStream(url, method="POST", body=much, receive_buffer=4096) as stalled:
            stalled.until_event("chat")
            for _ in range(3):
                with RawStream(url, method="POST", body=little) as reading:
                    reading.to_end()
                    assert len(reading.events) == 201
            assert not stalled.terminated
            stalled.to_end()
            assert [event["content"][:8] for event in stalled.events[:-1]] == [f"{i:08d}" for i in range(300)]


def test_a_client_of_http_1_0_is_sent_no_chunks_by_the_fast_server_either() -> None:
    body = chat_body(script({"text": ["some ", "words"]}))
    with reference_server("--fast") as base:
        for url, method in ((f"{base}/agentsmithy/1/api/chat", "POST"), (f"{base}/health", "GET")):
            with RawStream(url, method=method, body=body, version="1.0") as stream:
                stream.until(lambda s: s.ended)
                assert not stream.chunked
                assert (stream.status, "content-length" in stream.headers) == (200, method == "GET")
                assert stream.types[-1:] == (["done"] if method == "POST" else [])


def test_the_fast_server_that_coalesces_is_judged_as_the_other_one_is() -> None:
    ids = ("SSE-FMT-01", "SSE-HTTP-06", "SSE-HTTP-07", "AS-CONC-02")
    rows, trouble = judge("agentsmithy/2", serve=("--fast", "--coalesce", "5"), only=ids)
    assert not trouble
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(ids, "pass")


def test_what_the_fast_server_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_server.serve.FAST", ("uvloop", "no_such_module"))
    with pytest.raises(UsageError, match="no_such_module is missing: install sse-conformance\\[fast\\]"):
        read_arguments(["--fast"])


@pytest.mark.parametrize("value", ["-1", "1001", "nan", "inf"])
def test_how_long_events_wait_is_bounded(value: str) -> None:
    with pytest.raises(UsageError, match="expected milliseconds from 0 to 1000"):
        read_arguments([f"--coalesce={value}"])
