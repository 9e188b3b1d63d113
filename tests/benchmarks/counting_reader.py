"""Reads many event streams at once and only counts: a process of its own beside a benchmark.

In, as one line of JSON on standard input: `port`; `requests`, each the text of a whole HTTP request; `events`, after
how many of them, or when nothing comes for long, it is over (0: when the streams end); `seconds`, after how many it is
over in any case; `stamp`, what precedes the time of sending in an event's text, and `base`, in which it is written (0:
delays are not wanted).

Out: a line `ready` when every stream has its head (and, where `events` is given, its first event), then one line of
JSON: events, bytes and seconds since then, and the delays (milliseconds; of the newest event of each read).
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from dataclasses import dataclass

OCTETS = 1 << 18
CONNECTED = 120.0  # seconds until all streams have begun
SILENCE = 10.0  # seconds after which nothing more comes, where a number of events was given
DIGITS = {10: 13, 16: 12}  # of a time in milliseconds; the hexadecimal one has three digits more, a counter


@dataclass(slots=True)
class Stream:
    """A connection: whether its head has been read, and the last byte."""

    socket: socket.socket
    begun: bool = False
    last: bytes = b""


def main() -> None:
    given = json.loads(sys.stdin.readline())
    stamp, base = given["stamp"].encode(), given["base"]
    digits = DIGITS.get(base, 0)
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
            if base and not waiting and (at := data.rfind(stamp)) >= 0:
                text = data[at + len(stamp) :][:digits]
                if len(text) == digits:
                    now = time.time() * 1000
                    sent = int(text, base)
                    delays.append((now - (sent >> 12)) % (1 << 36) if base == 16 else now - sent)
            if not data or data.endswith(b"\r\n0\r\n\r\n") or data == b"0\r\n\r\n":
                poll.unregister(number)
                streams.pop(number).socket.close()
    seconds = time.monotonic() - began
    print(json.dumps({"events": events, "bytes": size, "seconds": seconds, "delays": delays}), flush=True)
    sys.stdin.readline()  # streams that go on are held until the other side has looked


main()
