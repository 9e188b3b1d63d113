"""Streams over real sockets: whatever a server does becomes a value of the transcript."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from dataclasses import replace

import pytest

from conformance.observe.transport import LiveStream, TargetUnreachable
from conformance.profile import Limits
from conformance.transcript import Ended, Request
from tests.support.wire_server import (
    CHUNKED,
    HEAD,
    SECONDS,
    Connection,
    fetch,
    fetched,
    sends,
    serving,
    transport_to,
)

EVENT = b'data: {"type": "x"}\n\n'
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_a_chunked_stream_in_order() -> None:
    seen = fetched(CHUNKED, chunk(EVENT), chunk(EVENT) + LAST)
    assert seen.ended is Ended.COMPLETE
    assert seen.body == EVENT * 2
    assert seen.wire_bytes == len(EVENT * 2)
    assert seen.head is not None
    assert seen.head.status == 200
    assert seen.head.media_type == "text/event-stream"
    assert seen.framing is not None
    assert (seen.framing.delimiter, seen.framing.terminated, seen.framing.errors) == ("chunked", True, ())


@pytest.mark.parametrize("raw", [CHUNKED + chunk(EVENT) + LAST, HEAD + b"\r\n" + EVENT])
def test_one_byte_at_a_time(raw: bytes) -> None:
    seen = fetched(*(raw[i : i + 1] for i in range(len(raw))))
    assert (seen.ended, seen.body) == (Ended.COMPLETE, EVENT)
    assert seen.framing is not None
    assert seen.framing.errors == ()


ENDINGS = [
    ("missing terminator", [CHUNKED, chunk(EVENT)], Ended.TRUNCATED),
    ("closed inside a chunk", [CHUNKED, b"ff\r\n" + EVENT], Ended.TRUNCATED),
    ("shorter than its length", [HEAD + b"Content-Length: 99\r\n\r\n" + EVENT], Ended.TRUNCATED),
    ("delimited by the close", [HEAD + b"\r\n" + EVENT], Ended.COMPLETE),
    ("nothing", [], Ended.NO_RESPONSE),
    ("half a head", [b"HTTP/1.1 200 OK\r\nContent-"], Ended.NO_RESPONSE),
    ("no HTTP", [b"hello, who is there?\r\n\r\n"], Ended.PROTOCOL_ERROR),
    ("HTTP/0.9", [b"<html>hi</html>"], Ended.PROTOCOL_ERROR),
    ("a bad chunk size", [CHUNKED, b"xyz\r\n"], Ended.PROTOCOL_ERROR),
    (
        "interim answers first",
        [b"HTTP/1.1 100 Continue\r\n\r\n", CHUNKED, chunk(EVENT), LAST],
        Ended.COMPLETE,
    ),
    ("an endless head", [b"HTTP/1.1 200 OK\r\n" + b"X-Fill: yes\r\n" * 9000], Ended.CAPPED),
]


@pytest.mark.parametrize(
    ("pieces", "ended"), [case[1:] for case in ENDINGS], ids=[case[0] for case in ENDINGS]
)
def test_every_end_has_its_name(pieces: list[bytes], ended: Ended) -> None:
    seen = fetched(*pieces)
    assert seen.ended is ended
    assert (seen.ended is Ended.COMPLETE) or seen.detail


def test_a_reset_in_mid_block() -> None:
    seen = fetched(CHUNKED, chunk(EVENT), chunk(b"data: hal"), reset=True)
    assert (seen.ended, seen.body) == (Ended.RESET, EVENT + b"data: hal")


def test_a_reset_before_the_head_is_no_response() -> None:
    seen = fetched(reset=True)
    assert (seen.ended, seen.head) == (Ended.NO_RESPONSE, None)
    assert "reset" in seen.detail


def test_a_length_beside_chunks() -> None:
    seen = fetched(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(EVENT) + LAST)
    assert (seen.ended, seen.body) == (Ended.COMPLETE, EVENT)
    assert seen.framing is not None
    assert "Content-Length" in seen.framing.errors[0]


def test_bytes_after_the_end_are_counted_without_changing_it() -> None:
    async def scenario() -> None:
        async with serving(sends(CHUNKED, LAST, b"surplus")) as url, transport_to(url) as transport:
            stream = await transport.open(Request("GET", url))
            assert await stream.wait_end(SECONDS)
            assert await stream.wait_closed(SECONDS)
            seen = stream.transcript()
            assert seen.ended is Ended.COMPLETE
            assert seen.framing is not None
            assert seen.framing.surplus == 7

    asyncio.run(scenario())


def test_head_with_and_without_a_body() -> None:
    async def scenario(body: bytes) -> int:
        async with serving(sends(HEAD + b"\r\n", body)) as url, transport_to(url) as transport:
            stream = await transport.open(Request("HEAD", url))
            await stream.wait_end(SECONDS)
            assert await stream.wait_closed(SECONDS)
            seen = stream.transcript()
            assert (seen.ended, seen.body) == (Ended.COMPLETE, b"")
            assert seen.framing is not None
            return seen.framing.surplus

    assert asyncio.run(scenario(b"")) == 0
    assert asyncio.run(scenario(EVENT)) == len(EVENT)


def test_one_chunk_a_read_with_its_time() -> None:
    async def handler(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"data: 1\n\n"))
        await asyncio.sleep(0.2)
        await connection.send(chunk(b"data: 2\n\n") + LAST)

    seen = asyncio.run(fetch(handler))
    assert [part.data for part in seen.chunks] == [b"data: 1\n\n", b"data: 2\n\n"]
    assert seen.chunks[1].at - seen.chunks[0].at > 0.1
    assert seen.head is not None
    assert seen.opened_at <= seen.head.at <= seen.chunks[0].at <= seen.chunks[1].at <= seen.ended_at


def test_gzip_is_seen_when_it_is_flushed() -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(EVENT) + packer.flush(zlib.Z_SYNC_FLUSH)
    second = packer.compress(EVENT)  # held back by the compressor
    third = packer.compress(EVENT) + packer.flush()
    gzipped = HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    seen = fetched(gzipped + chunk(first), *([chunk(second)] if second else []), chunk(third) + LAST)
    assert seen.ended is Ended.COMPLETE
    assert seen.body == EVENT * 3
    assert [part.data for part in seen.chunks] in ([EVENT, EVENT * 2], [EVENT * 3])
    assert seen.wire_bytes == len(first + second + third)


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_with_and_without_its_wrapper(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    body = packer.compress(EVENT) + packer.flush()
    seen = fetched(HEAD + b"Content-Encoding: deflate\r\n\r\n", body)
    assert (seen.ended, seen.body) == (Ended.COMPLETE, EVENT)


def test_a_body_that_is_not_gzip() -> None:
    seen = fetched(HEAD + b"Content-Encoding: gzip\r\n\r\n" + EVENT)
    assert seen.ended is Ended.PROTOCOL_ERROR
    assert "gzip" in seen.detail


def test_gzip_that_ends_early_and_members_in_a_row() -> None:
    body = gzip.compress(EVENT)
    assert "before its trailer" in fetched(HEAD + b"Content-Encoding: gzip\r\n\r\n", body[:-4]).detail
    assert fetched(HEAD + b"Content-Encoding: gzip\r\n\r\n", body * 2).body == EVENT * 2


def test_a_gzip_bomb_is_capped() -> None:
    body = gzip.compress(b"data: " + bytes(64 * 1024 * 1024))
    seen = fetched(HEAD + b"Content-Encoding: gzip\r\n\r\n" + body, limits=Limits(stream_bytes=1_000_000))
    assert seen.ended in (Ended.PROTOCOL_ERROR, Ended.CAPPED)
    assert len(seen.body) < 4_000_000


def test_an_unknown_coding_is_kept_as_it_came() -> None:
    seen = fetched(HEAD + b"Content-Encoding: br\r\n\r\n", b"\x0b\x02\x80")
    assert (seen.ended, seen.body) == (Ended.COMPLETE, b"\x0b\x02\x80")
    assert "br" in seen.detail


async def _floods(connection: Connection) -> None:
    await connection.send(HEAD + b"\r\n")
    while True:
        await connection.send(EVENT * 1000)


async def _endless_line(connection: Connection) -> None:
    await connection.send(HEAD + b"\r\ndata: ")
    while True:
        await connection.send(b"x" * 100_000)


@pytest.mark.parametrize(
    ("handler", "limits"),
    [
        (_floods, Limits(stream_bytes=500_000)),
        (_floods, Limits(stream_events=1000)),
        (_endless_line, Limits(stream_bytes=2_000_000)),
    ],
    ids=["bytes", "events", "line"],
)
def test_what_does_not_end_is_capped(handler: object, limits: Limits) -> None:
    seen = asyncio.run(fetch(handler, limits=limits))  # type: ignore[arg-type]
    assert seen.ended is Ended.CAPPED
    assert "more than" in seen.detail
    assert len(seen.body) < 4_000_000


def test_wait_wakes_on_every_read_and_tells_the_end() -> None:
    async def handler(connection: Connection) -> None:
        await connection.send(CHUNKED, chunk(EVENT))
        await connection.reader.read(1)  # until the client has seen the first one, it waits here

    async def scenario() -> None:
        async with serving(handler) as url, transport_to(url) as transport:
            stream = await transport.open(Request("GET", url))
            head = await stream.wait_head(SECONDS)
            assert head is not None
            assert await stream.wait(lambda live: len(live.messages) == 1, SECONDS)
            assert stream.messages[0].value == {"type": "x"}
            assert not await stream.wait(lambda live: len(live.messages) == 2, 0.05)
            assert not stream.ended
            assert not await stream.wait_end(0.05)
            assert stream.transcript().ended is Ended.DEADLINE
            assert not await stream.wait(lambda live: len(live.messages) == 2, SECONDS)

    asyncio.run(scenario())


def test_how_a_stream_is_closed_reaches_the_server() -> None:
    async def scenario(*, reset: bool) -> str:
        left: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def handler(connection: Connection) -> None:
            await connection.send(CHUNKED, chunk(EVENT))
            left.set_result(await connection.left())

        async with serving(handler) as url, transport_to(url) as transport:
            stream = await transport.open(Request("GET", url))
            assert await stream.wait(lambda live: live.event_count == 1, SECONDS)
            await stream.close(reset=reset)
            assert stream.transcript().ended is Ended.CLOSED_BY_US
            return await asyncio.wait_for(left, SECONDS)

    assert asyncio.run(scenario(reset=False)) == "closed"
    assert asyncio.run(scenario(reset=True)) == "reset"


def test_a_paused_stream_backs_up_and_reads_on() -> None:
    total = 64_000_000
    piece = b"data: " + b"x" * 999_992 + b"\n\n"
    sent = 0

    async def handler(connection: Connection) -> None:
        nonlocal sent
        await connection.send(HEAD + b"\r\n" + EVENT)
        while sent < total:
            await connection.send(piece)
            sent += len(piece)

    async def scenario() -> None:
        async with serving(handler) as url, transport_to(url) as transport:
            stream = await transport.open(Request("GET", url), receive_buffer=65_536)
            assert await stream.wait(lambda live: live.event_count > 0, SECONDS)
            stream.pause()
            before = -1
            while before != sent:  # until the server gets nothing more out
                before = sent
                await asyncio.sleep(0.2)
            assert sent < total
            unread = stream.unread()
            assert unread is None or unread > 0
            held = stream.body_bytes
            await asyncio.sleep(0.1)
            assert stream.body_bytes == held
            stream.resume()
            assert await stream.wait_end(30)
            assert stream.transcript().ended is Ended.COMPLETE
            assert stream.event_count == 1 + total // len(piece)

    asyncio.run(scenario())


def _received(request: Request, **profile: object) -> bytes:
    async def scenario() -> bytes:
        got: list[bytes] = []

        async def handler(connection: Connection) -> None:
            got.append(connection.request)
            await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")

        async with serving(handler) as url, transport_to(url, headers=(("X-Key", "secret"),)) as transport:
            bare = bool(profile.get("bare"))
            stream = await transport.open(replace(request, url=url + request.url), bare=bare)
            await stream.wait_end(SECONDS)
        return got[0]

    return asyncio.run(scenario())


def test_the_request_is_what_we_say() -> None:
    raw = _received(Request("POST", "/a%20b/c?x=1&y=%C3%A9 z", (("Accept", "text/event-stream"),), b"body"))
    lines = raw.split(b"\r\n")
    assert lines[0] == b"POST /a%20b/c?x=1&y=%C3%A9%20z HTTP/1.1"
    assert lines[1].startswith(b"Host: 127.0.0.1:")
    assert {b"Accept: text/event-stream", b"X-Key: secret", b"Content-Length: 4"} <= set(lines)
    assert b"Accept-Encoding: identity" in lines
    assert raw.endswith(b"\r\n\r\nbody")


def test_a_bare_request_has_no_headers_of_the_profile() -> None:
    assert b"X-Key" not in _received(Request("GET", "/"), bare=True)


def test_http_1_0_and_odd_bytes_are_sent() -> None:
    headers = (("Last-Event-ID", "\xff\xfe a\u20acb\udc80 "), ("x-key", "mine"), ("Accept-Encoding", "gzip"))
    raw = _received(Request("GET", "/", headers, http_version="1.0"))
    assert raw.startswith(b"GET / HTTP/1.0\r\n")
    assert b"Last-Event-ID: \xff\xfe a\xe2\x82\xacb\x80 \r\n" in raw
    assert b"secret" not in raw
    assert b"identity" not in raw


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb"])
def test_line_ends_in_headers_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        _received(Request("GET", "/", (("X", value),)))


def test_a_413_is_read_though_the_body_cannot_be_sent() -> None:
    # A blocking socket in a thread: it answers at once and closes unread, which resets the connection.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        connection.close()

    async def scenario() -> int | None:
        url = f"http://127.0.0.1:{port}"
        async with transport_to(url) as transport:
            serving_task = asyncio.create_task(asyncio.to_thread(serve))
            stream = await transport.open(Request("POST", url, body=bytes(50_000_000)))
            await stream.wait_end(SECONDS)
            await serving_task
            return None if stream.head is None else stream.head.status

    try:
        assert asyncio.run(scenario()) == 413
    finally:
        listener.close()


def _reason(url: str, limits: Limits | None = None) -> str:
    async def scenario() -> str:
        async with transport_to(url, limits=limits) as transport:
            with pytest.raises(TargetUnreachable) as caught:
                await transport.open(Request("GET", url))
            with pytest.raises(TargetUnreachable) as called:
                await transport.call(Request("GET", url), timeout=SECONDS)
            assert "\n" not in str(called.value)
            return str(caught.value)

    reason = asyncio.run(scenario())
    assert "\n" not in reason
    return reason


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_nobody_there_in_one_line() -> None:
    port = _closed_port()
    assert _reason(f"http://127.0.0.1:{port}/x") == f"http://127.0.0.1:{port}: connection refused"
    assert "not resolved" in _reason("http://sse-conformance.invalid/")


def test_a_port_that_accepts_nothing_in_time() -> None:
    # A full backlog on loopback: the kernel answers no further SYN.
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert "no connection within 0.3 s" in _reason(url, Limits(connect=0.3))
    finally:
        for filler in fillers:
            filler.close()
        listener.close()


def test_ipv6_literals_and_path_prefixes() -> None:
    async def scenario() -> None:
        got: list[bytes] = []

        async def handler(connection: Connection) -> None:
            got.append(connection.request)
            await connection.send(CHUNKED, LAST)

        async with serving(handler, host="::1") as url, transport_to(url) as transport:
            stream = await transport.open(Request("GET", f"{url}/prefix/events"))
            assert await stream.wait_end(SECONDS)
            answer = await transport.call(Request("GET", f"{url}/prefix/x"), timeout=SECONDS)
            assert answer.status == 200
        assert got[0].startswith(b"GET /prefix/events HTTP/1.1\r\nHost: [::1]:")

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on loopback")
    asyncio.run(scenario())


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{_closed_port()}")

    async def scenario() -> None:
        answer = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        async with serving(answer) as url, transport_to(url) as transport:
            assert (await transport.call(Request("GET", url), timeout=SECONDS)).json == {}
            assert await (await transport.open(Request("GET", url))).wait_end(SECONDS)

    asyncio.run(scenario())


def test_an_error_of_ours_is_no_failure_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: LiveStream, body: bytes, at: float) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(LiveStream, "_take_body", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        fetched(CHUNKED, chunk(EVENT), LAST)
