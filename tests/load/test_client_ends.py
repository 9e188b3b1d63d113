"""How a load client's stream ended: each way is told from the others, and a server is not blamed for what is ours."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import gevent
import pytest

from loadtests.client import Call, ClientError, End, Endpoint, Limits, exchange, open_stream
from tests.support.byte_server import CHUNKED, HEAD, SECONDS, Handler, Peer, serving
from tests.support.load_listener import GET, QUICK, Seen, receive

SHORT = 0.15  # seconds of a limit that is to be passed
EVENT = b"9\r\ndata: 1\n\n\r\n"


def sends(*pieces: bytes, then: Callable[[Peer], None] | None = None) -> Handler:
    def handler(peer: Peer) -> None:
        peer.send(*pieces)
        if then is not None:
            then(peer)

    return handler


ENDS: dict[str, tuple[Handler, End, str]] = {
    "the last chunk": (sends(CHUNKED, EVENT, b"0\r\n\r\n"), End.CLEAN, ""),
    "the length": (sends(HEAD + b"Content-Length: 9\r\n\r\ndata: 1\n\n"), End.CLEAN, ""),
    "the length, kept alive": (
        sends(HEAD + b"Content-Length: 9\r\n\r\ndata: 1\n\n", then=Peer.gone),
        End.CLEAN,
        "",
    ),
    "the close of a body that it delimits": (sends(HEAD + b"\r\ndata: 1\n\n"), End.CLEAN, ""),
    "no last chunk": (sends(CHUNKED, EVENT), End.PREMATURE, "inside a body (chunked)"),
    "half a chunk": (sends(CHUNKED, EVENT, b"9\r\nda"), End.PREMATURE, "inside a body (chunked)"),
    "a part of the length": (
        sends(HEAD + b"Content-Length: 10\r\n\r\ndata: 1\n\n"),
        End.PREMATURE,
        "inside a body (content-length)",
    ),
    "no head": (sends(), End.PREMATURE, "before the response head"),
    "half a head": (sends(HEAD), End.PREMATURE, "before the response head"),
    "a reset for a head": (sends(then=Peer.reset), End.RESET, "reset"),
    "a reset in the chunks": (sends(CHUNKED, EVENT, then=Peer.reset), End.RESET, "reset"),
    "a reset for a close": (sends(HEAD + b"\r\ndata: 1\n\n", then=Peer.reset), End.RESET, "reset"),
    "no HTTP": (sends(b"SSH-2.0-OpenSSH\r\n"), End.BAD_HTTP, "not an HTTP/1.x response"),
    "TLS": (sends(b"\x15\x03\x01\x00\x02\x02\x46"), End.BAD_HTTP, "the port speaks TLS"),
    "a chunk that is longer than it says": (
        sends(CHUNKED, EVENT, b"2\r\ndata: 1\n\n\r\n"),
        End.BAD_HTTP,
        "chunk data is not followed by CRLF",
    ),
    "no chunks": (sends(CHUNKED, b"data: 1\n\n", then=Peer.gone), End.BAD_HTTP, "not a chunk size"),
    "an endless head": (sends(HEAD + b"X: " + b"y" * 70_000, then=Peer.gone), End.BAD_HTTP, "head is larger"),
    "no gzip": (
        sends(HEAD + b"Content-Encoding: gzip\r\n\r\ndata: 1\n\n", then=Peer.gone),
        End.BAD_HTTP,
        "the body is not gzip",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_of_the_servers_making(name: str) -> None:
    handler, end, why = ENDS[name]
    with serving(handler) as url:
        seen = receive(url)
    assert seen.end is end
    assert why in seen.why
    assert "\n" not in seen.why


def test_events_before_an_end_are_told_before_it() -> None:
    handler, _, _ = ENDS["a chunk that is longer than it says"]
    with serving(handler) as url:
        assert receive(url).datas == [b"1"]


@pytest.mark.parametrize("what", ["line", "event"])
def test_an_endless_line_or_event_ends_at_its_cap(what: str) -> None:
    def handler(peer: Peer) -> None:
        peer.send(HEAD + b"\r\ndata: 1\n\n")
        while True:
            peer.send(b"data: " + b"x" * 1000 + (b"" if what == "line" else b"\n"))

    with serving(handler) as url:
        seen = receive(url, replace(QUICK, line=20_000, event=40_000))
    assert (seen.end, seen.datas) == (End.TOO_LONG, [b"1"])
    assert f"{what} longer than {20_000 if what == 'line' else 40_000} bytes" in seen.why
    assert sum(seen.sizes) < 200_000


# ---- no connection


def test_a_port_at_which_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    seen = receive(f"http://127.0.0.1:{port}")
    assert (seen.end, seen.why) == (End.REFUSED, f"http://127.0.0.1:{port}: connection refused")


def test_a_name_that_does_not_exist() -> None:
    seen = receive("http://no-such-host.invalid")
    assert seen.end is End.UNREACHABLE
    assert "name not resolved" in seen.why


def test_a_connection_that_never_stands() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []
        for _ in range(3):  # the kernel answers no more than the queue holds
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            waiting.append(sock)
        seen = receive(f"http://127.0.0.1:{full.getsockname()[1]}", replace(QUICK, connect=SHORT))
        for sock in waiting:
            sock.close()
    assert (seen.end, seen.end.error) == (End.TIMEOUT_CONNECT, "unreachable")


def test_descriptors_that_are_lacking_are_not_the_servers_fault() -> None:
    with serving(sends(CHUNKED)) as url:
        receive(url)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as free:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free.fileno() + 1, hard))
        spare = []
        try:
            while True:
                spare.append(socket.socket())
        except OSError:
            seen = receive(url)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for sock in spare:
                sock.close()
    assert (seen.end, seen.end.error) == (End.LOCAL, None)
    assert "too many open files" in seen.why


# ---- time


@pytest.mark.parametrize(
    ("pieces", "limit", "end", "why"),
    [
        ([], {"head": SHORT}, End.TIMEOUT_HEAD, "no response head within 0.15 s"),
        ([CHUNKED], {"first": SHORT}, End.TIMEOUT_FIRST, "no event within 0.15 s"),
        ([CHUNKED, b"2\r\n:\n\r\n"], {"first": SHORT}, End.TIMEOUT_FIRST, "no event within 0.15 s"),
        ([CHUNKED, EVENT], {"stall": SHORT}, End.STALL, "silence of more than 0.15 s"),
    ],
)
def test_each_silence_has_a_limit_of_its_own(
    pieces: list[bytes], limit: dict[str, float], end: End, why: str
) -> None:
    with serving(sends(*pieces, then=Peer.hold)) as url:
        begun = time.monotonic()
        seen = receive(url, replace(QUICK, **limit))
        assert time.monotonic() - begun >= SHORT
    assert seen.end is end
    assert why in seen.why


def test_heartbeats_are_no_silence() -> None:
    def handler(peer: Peer) -> None:
        peer.send(CHUNKED, EVENT)
        for _ in range(12):
            peer.released.wait(0.1)
            peer.send(b"2\r\n:\n\r\n")
        peer.send(b"0\r\n\r\n")

    with serving(handler) as url:
        assert receive(url, replace(QUICK, stall=1.0)).end is End.CLEAN


def test_what_came_in_time_is_not_late_because_this_process_is() -> None:
    first, sent = threading.Event(), threading.Event()

    def handler(peer: Peer) -> None:
        peer.send(CHUNKED, EVENT)
        assert first.wait(SECONDS)
        peer.send(EVENT)
        sent.set()
        assert peer.gone()

    class Busy(Seen):
        def events(self, datas: list[bytes], size: int, at: float) -> None:
            super().events(datas, size, at)
            if len(self.datas) == 1:
                first.set()
                assert sent.wait(SECONDS)
                time.sleep(2 * SHORT)  # the hub stands still, past the limit
            elif len(self.datas) == 2:
                stream.close()

    with serving(handler) as url:
        seen = Busy()
        stream = open_stream(Endpoint.of(url), GET, seen, replace(QUICK, stall=SHORT))
        assert stream.wait(SECONDS) is End.CLOSED_BY_US
    assert seen.datas == [b"1", b"1"]


def test_a_connection_that_stood_in_time_is_not_late_because_this_process_is() -> None:
    with serving(sends(CHUNKED, EVENT, b"0\r\n\r\n")) as url:
        seen = Seen()
        stream = open_stream(Endpoint.of(url), GET, seen, replace(QUICK, connect=SHORT))
        gevent.sleep(0)  # it has begun
        time.sleep(2 * SHORT)
        assert stream.wait(SECONDS) is End.CLEAN


# ---- ordinary exchanges


def test_an_exchange_gives_the_whole_answer() -> None:
    def handler(peer: Peer) -> None:
        method = peer.request.partition(b" ")[0]
        peer.send(b"HTTP/1.1 201 Created\r\nX-Method: " + method + b"\r\nContent-Length: 5\r\n\r\n")
        peer.send(b"" if method == b"HEAD" else b"hello")

    with serving(handler) as url:
        before = time.monotonic()
        answers = [exchange(Endpoint.of(url), Call(method, "/")) for method in ("POST", "HEAD")]
        after = time.monotonic()
    assert [(a.status, dict(a.headers)["X-Method"], a.body) for a in answers] == [
        (201, "POST", b"hello"),
        (201, "HEAD", b""),
    ]
    assert all(a.connect > 0 and a.head > 0 and before < a.at < after for a in answers)


@pytest.mark.parametrize(
    ("handler", "limits", "kind"),
    [
        (sends(HEAD + b"Content-Length: 9\r\n\r\n12345"), QUICK, End.PREMATURE),
        (sends(HEAD + b"Content-Length: 9\r\n\r\n123456789"), replace(QUICK, body=8), End.TOO_LONG),
        (
            sends(HEAD + b"Content-Length: 9\r\n\r\n12345", then=Peer.hold),
            replace(QUICK, stall=SHORT),
            End.STALL,
        ),
        (sends(then=Peer.hold), replace(QUICK, head=SHORT), End.TIMEOUT_HEAD),
    ],
)
def test_an_exchange_without_a_whole_answer_says_why(handler: Handler, limits: Limits, kind: End) -> None:
    with serving(handler) as url, pytest.raises(ClientError, match=r"\S") as caught:
        exchange(Endpoint.of(url), Call("POST", "/"), limits)
    assert caught.value.kind is kind
