"""The load client on real sockets: what arrives, in whatever pieces, and when."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
import weakref
import zlib
from dataclasses import replace
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wire import DataDecoder
from loadtests.client import CLOCK, Call, End, Endpoint, open_stream
from loadtests.client.clock import READ_SIZE, receive_read
from tests.support.byte_server import CHUNKED, HEAD, SECONDS, Handler, Peer, serving
from tests.support.certificates import Certificate, certificate
from tests.support.load_listener import GET, QUICK, Seen, receive
from tests.support.wire_streams import regular, streams

__all__ = ["certificate"]


def sends(*pieces: bytes) -> Handler:
    return lambda peer: peer.send(*pieces)


def test_each_event_arrives_with_its_time() -> None:
    sent: list[float] = []

    def handler(peer: Peer) -> None:
        peer.send(CHUNKED)
        for number in range(3):
            peer.released.wait(0.02)
            sent.append(time.monotonic())
            peer.chunk(b"%d" % number)
        peer.send(b"0\r\n\r\n")

    before = time.monotonic()
    with serving(handler) as url:
        seen = receive(url)
    after = time.monotonic()
    assert seen.datas == [b"0", b"1", b"2"]
    assert (seen.status, dict(seen.headers)["Content-Type"]) == (200, "text/event-stream")
    assert seen.end is End.CLEAN
    assert before < sent[0] <= seen.times[0] <= sent[1] <= seen.times[1] <= sent[2] <= seen.times[2] < after
    assert 0 < seen.connected < after - before


@pytest.mark.parametrize(("by_kernel", "secure"), [(True, False), (True, True), (False, False)])
def test_the_kernel_knows_when_bytes_came_to_a_process_that_was_busy(
    by_kernel: bool, secure: bool, certificate: Certificate
) -> None:
    if by_kernel and CLOCK != "kernel":
        pytest.skip("this machine does not stamp what arrives over TCP (Linux does)")
    sent: list[float] = []
    go, done, read = threading.Event(), threading.Event(), threading.Event()

    def handler(peer: Peer) -> None:
        peer.send(CHUNKED)
        peer.chunk(b"first")
        assert go.wait(SECONDS)
        sent.append(time.monotonic())
        peer.chunk(b"second")
        peer.until_acknowledged()
        done.set()
        assert read.wait(SECONDS)  # a read is stamped with its last segment
        peer.send(b"0\r\n\r\n")

    class Busy(Seen):
        def events(self, datas: list[bytes], size: int, at: float) -> None:
            super().events(datas, size, at)
            if datas == [b"first"]:
                go.set()
                assert done.wait(SECONDS)  # the hub stands still meanwhile
                self.free = time.monotonic()
            else:
                read.set()

    with serving(handler) as url:
        seen = Busy()
        stream = open_stream(Endpoint.of(url), GET, seen, QUICK, receive=None if by_kernel else receive_read)
        assert stream.wait(SECONDS) is End.CLEAN
    assert seen.datas == [b"first", b"second"]
    if by_kernel:
        assert sent[0] <= seen.times[1] <= seen.free
    else:
        assert seen.times[1] >= seen.free


# ---- bodies


def framed(body: bytes, way: str, sizes: list[int]) -> bytes:
    """The response in that way of delimiting its body, in chunks of those sizes, in turn."""
    if way == "content-length":
        return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if way == "close":
        return HEAD.replace(b"1.1", b"1.0", 1) + b"\r\n" + body
    out, at = [CHUNKED], 0
    while at < len(body):
        piece = body[at : at + sizes[len(out) % len(sizes)]]
        out.append(b"%X%s\r\n%s\r\n" % (len(piece), b";a=b" if len(out) % 3 == 0 else b"", piece))
        at += len(piece)
    return b"".join([*out, b"0\r\nX-Trailer: 1\r\n\r\n"])


@pytest.fixture(scope="module")
def says_next():
    """A server that sends what the list's last item says, in pieces; with its URL."""
    answers: list[bytes] = []
    with serving(lambda peer: peer.send(answers[-1])) as url:
        yield answers, url


ways = st.sampled_from(["chunked", "content-length", "close"])
some_sizes = st.lists(st.sampled_from([1, 2, 3, 7, 64, 300, 5000]), min_size=1, max_size=4)


@given(body=st.one_of(streams, regular), way=ways, chunks=some_sizes, reads=some_sizes)
@settings(max_examples=200, deadline=None)
def test_any_body_in_any_pieces_gives_the_events_of_the_decoder_alone(
    says_next: Any, body: bytes, way: str, chunks: list[int], reads: list[int]
) -> None:
    answers, url = says_next
    answers.append(framed(body, way, chunks))
    count = 0

    def in_pieces(sock: Any) -> tuple[bytes, float]:
        nonlocal count
        count += 1
        return sock.recv(reads[count % len(reads)]), time.monotonic()

    seen = Seen()
    stream = open_stream(Endpoint.of(url), GET, seen, QUICK, receive=in_pieces)
    assert (stream.wait(SECONDS), seen.why) == (End.CLEAN, "")
    assert seen.datas == DataDecoder().feed(body)
    assert sum(seen.sizes) == len(body)


def test_many_events_in_one_chunk_and_one_event_in_many() -> None:
    block = b"".join(b"data: %d\n\n" % n for n in range(1000))
    one = b"data: " + b"x" * 100_000 + b"\n\n"
    pieces = [one[i : i + 999] for i in range(0, len(one), 999)]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [block, *pieces]]
    with serving(sends(CHUNKED, *chunks, b"0\r\n\r\n")) as url:
        seen = receive(url)
    assert seen.datas == [b"%d" % n for n in range(1000)] + [b"x" * 100_000]


def test_interim_answers_come_before_the_head() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with serving(sends(early + CHUNKED + b"9\r\ndata: 1\n\n\r\n0\r\n\r\n")) as url:
        seen = receive(url)
    assert (seen.status, seen.datas, seen.end) == (200, [b"1"], End.CLEAN)


def test_a_content_coding_is_undone_as_it_comes() -> None:
    squeezer = zlib.compressobj(wbits=31)

    def handler(peer: Peer) -> None:
        peer.send(HEAD + b"Content-Encoding: gzip\r\n\r\n")
        peer.send(squeezer.compress(b"data: 1\n\n") + squeezer.flush(zlib.Z_SYNC_FLUSH))
        peer.hold()

    class Once(Seen):
        def events(self, datas: list[bytes], size: int, at: float) -> None:
            super().events(datas, size, at)
            if datas:
                stream.close()

    seen = Once()
    with serving(handler) as url:
        stream = open_stream(Endpoint.of(url), GET, seen, QUICK)
        assert stream.wait(SECONDS) is End.CLOSED_BY_US
    assert seen.datas == [b"1"]


def test_an_endless_stream_costs_no_memory() -> None:
    burst = b"".join(b"%x\r\n%s\r\n" % (1009, b"data: " + b"y" * 1001 + b"\n\n") for _ in range(256))
    wanted = 16 * 1_048_576

    class Counting(Seen):
        got = 0
        low = 0
        high = 0

        def events(self, datas: list[bytes], size: int, at: float) -> None:
            before, self.got = self.got, self.got + size
            if before < wanted // 4 <= self.got:
                tracemalloc.start()
            elif self.got > wanted:
                self.high = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
                stream.close()

    def handler(peer: Peer) -> None:
        peer.send(CHUNKED)
        while True:
            peer.send(burst)

    seen = Counting()
    with serving(handler) as url:
        stream = open_stream(Endpoint.of(url), GET, seen, QUICK)
        assert stream.wait(SECONDS) is End.CLOSED_BY_US
    assert 0 < seen.high < 16 * READ_SIZE


def test_a_stream_that_is_over_leaves_nothing_even_for_the_garbage_collector() -> None:
    with serving(sends(CHUNKED + b"9\r\ndata: 1\n\n\r\n0\r\n\r\n")) as url:
        receive(url)
        gc.disable()
        try:
            before = psutil.Process().num_fds()
            seen = Seen()
            stream = open_stream(Endpoint.of(url), GET, seen, QUICK)
            assert stream.wait(SECONDS) is End.CLEAN
            of_stream, of_seen = weakref.ref(stream), weakref.ref(seen)
            del stream, seen
            assert (of_stream(), of_seen()) == (None, None)
        finally:
            gc.enable()
    assert psutil.Process().num_fds() <= before


# ---- requests


def test_the_request_has_what_it_needs_and_what_the_call_says() -> None:
    asked: list[bytes] = []

    def handler(peer: Peer) -> None:
        asked.append(peer.request)
        peer.send(CHUNKED, b"0\r\n\r\n")

    with serving(handler, host="::1") as url:
        call = Call("POST", "/api/chat?a=%20b", (("accept-encoding", "gzip"), ("X-Name", "ä")), b"{}")
        receive(url + "/some/prefix/", call=call)
    lines = asked[0].decode("latin-1").split("\r\n")
    assert lines[0] == "POST /some/prefix/api/chat?a=%20b HTTP/1.1"
    assert f"Host: {url.removeprefix('http://')}" in lines
    assert [line for line in lines if line.lower().startswith("accept-encoding")] == ["accept-encoding: gzip"]
    assert {"X-Name: ä", "Content-Length: 2", "Connection: close"} <= set(lines)
    assert asked[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "call",
    [
        Call("GET", "events"),
        Call("GET", "/a b"),
        Call("GET", "/a\r\nX: y"),
        Call("G T", "/"),
        Call("GET", "/", (("X", "a\r\nY: b"),)),
        Call("GET", "/", (("X:", "a"),)),
        Call("GET", "/", (("X", "€"),)),
    ],
)
def test_what_cannot_be_sent_is_refused(call: Call) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        open_stream(Endpoint.of("http://127.0.0.1:9"), call, Seen(), QUICK)


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://a", "http://", "http://a?b=c", "http://a:99999"])
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Endpoint.of(url)


def test_a_large_request_goes_out_as_the_server_takes_it() -> None:
    asked: list[int] = []

    def handler(peer: Peer) -> None:
        asked.append(len(peer.request))
        peer.send(CHUNKED, b"0\r\n\r\n")

    body = b"z" * 8_000_000
    with serving(handler) as url:
        assert receive(url, call=Call("POST", "/", (), body)).end is End.CLEAN
    assert asked[0] > len(body)


def test_an_answer_that_comes_before_the_whole_request_is_sent_counts() -> None:
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    with serving(sends(refusal), reads_bodies=False) as url:
        seen = receive(url, call=Call("POST", "/", (), b"z" * 8_000_000))
    assert (seen.status, seen.end) == (413, End.CLEAN)


def test_names_have_several_addresses_and_the_one_that_answers_is_used() -> None:
    with serving(sends(CHUNKED, b"0\r\n\r\n")) as url:
        assert receive(url.replace("127.0.0.1", "localhost")).end is End.CLEAN


# ---- listeners


def test_what_a_listener_raises_ends_its_stream_and_comes_out_of_wait() -> None:
    class Broken(Seen):
        def events(self, datas: list[bytes], size: int, at: float) -> None:
            raise RuntimeError("no")

    def handler(peer: Peer) -> None:
        peer.send(CHUNKED)
        peer.chunk(b"1")
        assert peer.gone()

    with serving(handler) as url:
        seen = Broken()
        stream = open_stream(Endpoint.of(url), GET, seen, QUICK)
        with pytest.raises(RuntimeError, match="no"):
            stream.wait(SECONDS)
    assert (seen.end, seen.why, seen.ends) == (End.CLOSED_BY_US, "RuntimeError: no", 1)


@pytest.mark.parametrize("when", ["opened", "head", "events"])
def test_a_listener_may_close_its_stream_and_hears_nothing_more(when: str) -> None:
    heard: list[str] = []

    class Closing(Seen):
        def opened(self, began: float, at: float) -> None:
            self.heard("opened")

        def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
            self.heard("head")

        def events(self, datas: list[bytes], size: int, at: float) -> None:
            self.heard("events")

        def heard(self, name: str) -> None:
            heard.append(name)
            if name == when:
                stream.close()

    with serving(sends(CHUNKED + b"9\r\ndata: 1\n\n\r\n9\r\ndata: 1\n\n\r\n")) as url:
        seen = Closing()
        stream = open_stream(Endpoint.of(url), GET, seen, replace(QUICK, stall=SECONDS))
        assert stream.wait(SECONDS) is End.CLOSED_BY_US
        stream.close()
    assert heard == ["opened", "head", "events"][: heard.index(when) + 1]
    assert seen.ends == 1


def test_a_stream_can_be_closed_at_once_and_waited_for_in_vain() -> None:
    with serving(lambda peer: peer.hold()) as url:
        seen = Seen()
        stream = open_stream(Endpoint.of(url), GET, seen, QUICK)
        assert stream.wait(0.01) is None
        stream.close()
        assert stream.wait() is seen.end is End.CLOSED_BY_US
        other = open_stream(Endpoint.of(url), GET, Seen(), QUICK)
        other.close()
        assert other.wait(SECONDS) is End.CLOSED_BY_US
