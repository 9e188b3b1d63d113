"""What a load client's listener is told, remembered."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadtests.client import Call, End, Endpoint, Limits, open_stream
from tests.support.byte_server import SECONDS


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
