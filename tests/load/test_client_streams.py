"""The load client on real sockets: what arrives, in which pieces it may, and how a stream ends."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from loadtests.client import Call, End, Endpoint, Limits, open_stream
from tests.support.byte_server import CHUNKED, SECONDS, Handler, Peer, serving


@dataclass
class Seen:
    """A listener that remembers."""

    datas: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    connected: float = 0.0
    end: End | None = None
    why: str = ""
    ends: int = 0

    def opened(self, began: float, at: float) -> None:
        self.connected = at - began

    def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
        self.status, self.headers = status, headers

    def events(self, datas: list[bytes], size: int, at: float) -> None:
        self.datas += datas
        self.sizes.append(size)
        self.times += [at] * len(datas)

    def ended(self, how: End, why: str, at: float) -> None:
        self.end, self.why = how, why
        self.ends += 1


GET = Call("GET", "/events")
QUICK = Limits(connect=SECONDS, head=SECONDS, first=SECONDS, stall=SECONDS)


def receive(url: str, limits: Limits = QUICK, call: Call = GET) -> Seen:
    """A whole stream."""
    seen = Seen()
    stream = open_stream(Endpoint.of(url), call, seen, limits)
    assert stream.wait(SECONDS) is seen.end
    assert seen.ends == 1
    return seen


def sends(*pieces: bytes) -> Handler:
    return lambda peer: peer.send(*pieces)


def test_each_event_arrives_with_its_time() -> None:
    sent: list[float] = []

    def handler(peer: Peer) -> None:
        peer.send(CHUNKED)
        for number in range(3):
            time.sleep(0.02)
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
