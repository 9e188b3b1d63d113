"""Reads many event streams at once and only counts: a process of its own beside a benchmark.

Its words in and out are those of `reading.py`; a delay is that of the newest event of each read.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from dataclasses import dataclass

from reading import CONNECTED, SILENCE, delay  # isort: skip  (beside this file)

OCTETS = 1 << 18


@dataclass(slots=True)
class Stream:
    """A connection: whether its head has been read, and the last byte."""

    socket: socket.socket
    begun: bool = False
    last: bytes = b""


def main() -> None:
    given = json.loads(sys.stdin.readline())
    stamp, base = given["stamp"].encode(), given["base"]
    poll = select.epoll()
    streams: dict[int, Stream] = {}
    for text in given["requests"]:
        made = socket.create_connection(("127.0.0.1", given["port"]))
        made.sendall(text.encode())
        made.setblocking(False)
        streams[made.fileno()] = Stream(made)
        poll.register(made.fileno(), select.EPOLLIN)
    waiting, events, size = len(streams), 0, 0
    delays: list[float] = []
    began = time.monotonic()
    deadline = began + CONNECTED
    while streams and (not given["events"] or waiting or events < given["events"]):
        patience = SILENCE if given["events"] and not waiting else CONNECTED
        ready = poll.poll(max(0.0, min(patience, deadline - time.monotonic())))
        if not ready:
            break
        for number, _ in ready:
            stream = streams[number]
            data = stream.socket.recv(OCTETS)
            if not stream.begun:
                stream.begun = b"\n\n" in data or not given["events"]  # no head has a bare LF
                if stream.begun:
                    waiting -= 1
                    stream.last = data[-1:]
                    if not waiting:
                        print("ready", flush=True)
                        events = size = 0
                        began = time.monotonic()
                        deadline = began + given["seconds"]
                    continue
            size += len(data)
            # a blank line ends an event, and may be cut
            events += data.count(b"\n\n") + (stream.last == b"\n" and data[:1] == b"\n")
            stream.last = data[-1:]
            if not waiting and (late := delay(data, stamp, base)) is not None:
                delays.append(late)
            if not data or data.endswith(b"\r\n0\r\n\r\n") or data == b"0\r\n\r\n":
                poll.unregister(number)
                streams.pop(number).socket.close()
    seconds = time.monotonic() - began
    print(json.dumps({"events": events, "bytes": size, "seconds": seconds, "delays": delays}), flush=True)
    sys.stdin.readline()  # streams that go on are held until the other side has looked


main()
