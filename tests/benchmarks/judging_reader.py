"""Reads many subscriptions at once and judges them: in place of `counting_reader.py` (words in and out: `reading.py`).

It is the load client: every event is decoded and its JSON read, and all streams must tell the same in the same order. A
stream that tells something else than the others ends this process with what it was. Delays are those until an event
has been judged.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, field

import gevent
import orjson
from gevent.event import Event

from reading import CONNECTED, SILENCE, delay  # isort: skip  (beside this file)

from loadtests.client import Call, End, Endpoint, Limits, Stream, open_stream


@dataclass
class Told:
    """What all streams have told."""

    waiting: int
    events: int
    stamp: bytes
    base: int
    seen: int = 0
    size: int = 0
    order: list[bytes] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    began: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)


class Judge:
    """Of one stream."""

    __slots__ = ("begun", "number", "told")

    def __init__(self, told: Told) -> None:
        self.told = told
        self.begun = False
        self.number = 0

    def opened(self, began: float, at: float) -> None:
        """It is not the connecting that is measured."""

    def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
        """What is not a stream at all is no measurement."""
        if status != 200:
            raise AssertionError(f"status {status}")

    def events(self, datas: list[bytes], size: int, at: float) -> None:
        """Judge what came."""
        told = self.told
        if not self.begun and datas:
            self.begun = True
            told.waiting -= 1
            if not told.waiting:
                told.began.set()
            return
        for data in datas:
            orjson.loads(data)
            if self.number == len(told.order):
                told.order.append(data)
            elif told.order[self.number] != data:
                raise AssertionError(f"expected {told.order[self.number]!r}, found {data!r}")
            self.number += 1
            if (late := delay(data, told.stamp, told.base)) is not None:
                told.delays.append(late)
        told.seen += len(datas)
        told.size += size
        if told.seen >= told.events:
            told.over.set()

    def ended(self, how: End, why: str, at: float) -> None:
        """None ends before it is closed."""
        if how is not End.CLOSED_BY_US:
            self.told.over.set()


def main() -> None:
    given = json.loads(sys.stdin.readline())
    told = Told(len(given["requests"]), given["events"], given["stamp"].encode(), given["base"])
    endpoint = Endpoint.of(f"http://127.0.0.1:{given['port']}")
    limits = Limits(first=CONNECTED, stall=math.inf)
    streams: list[Stream] = []
    for text in given["requests"]:
        call = Call("GET", text.split(" ", 2)[1], (("Accept", "text/event-stream"),))
        streams.append(open_stream(endpoint, call, Judge(told), limits))
        gevent.sleep(0)
    if not told.began.wait(CONNECTED):
        sys.exit(f"{told.waiting} streams did not begin")
    print("ready", flush=True)
    began = time.monotonic()
    before = -1
    while before < told.seen and time.monotonic() < began + given["seconds"]:
        before = told.seen
        if told.over.wait(min(SILENCE, max(0.0, began + given["seconds"] - time.monotonic()))):
            break
    seconds = time.monotonic() - began
    errors = [stream.error for stream in streams if stream.error is not None]
    if errors:
        sys.exit(str(errors[0]))
    found = {"events": told.seen, "bytes": told.size, "seconds": seconds, "delays": told.delays}
    print(json.dumps(found), flush=True)
    sys.stdin.readline()  # streams are held until the other side has looked


main()
