"""A proxy that changes no byte: it delays every read and cuts what it passes on anew, at random but from a seed.

A half-close and a reset are passed on as what they are. Bodies, heads and their order stay as they were, so a
server behind it must get the same verdicts as without it. One connection in `SLOW` lags behind all others, so that
what one stream has shown has not yet come on another.
"""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

READ = 65_536  # bytes taken at once
LONGEST = 0.05  # seconds that one read is held back at most
PIECES = 4  # into how many pieces one read is cut at most
GAP = 0.002  # seconds between two pieces, so that the reader sees them apart
SLOW = 3  # of so many connections one lags
LAG = 0.4  # seconds by which its answers come late: less than stragglers are waited for
LINE = 64  # reads on their way at most: what does not fit holds the sender up
Line = queue.Queue[tuple[float, bytes | None]]  # when it is due, and what it is
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a close that resets


@contextlib.contextmanager
def delaying_proxy(url: str, seed: int, lagging: int | None = None) -> Iterator[str]:
    """The URL of a proxy before `url` (its path is kept); `seed` fixes every delay and cut of a connection.

    `lagging`: the number of the one connection that lags, from 1 on (default: one in `SLOW`, by the seed).
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        proxy = _Proxy(listener, (parts.hostname, parts.port or 80), seed, lagging)
        thread = threading.Thread(target=proxy.accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{parts.path}"
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            proxy.close()


class _Proxy:
    def __init__(
        self, listener: socket.socket, upstream: tuple[str, int], seed: int, lagging: int | None
    ) -> None:
        self._listener = listener
        self._upstream = upstream
        self._seed = seed
        self._lagging = lagging
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def accept(self) -> None:
        """Serve until the listener is shut down."""
        number = 0
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                number += 1
                threading.Thread(target=self._serve, args=(client, number), daemon=True).start()

    def close(self) -> None:
        """Reset what is still open: its threads end."""
        with self._guard:
            left = list(self._open)
        for each in left:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket, number: int) -> None:
        try:
            server = socket.create_connection(self._upstream)
        except OSError:
            _reset(client)
            return
        both = (client, server)
        with self._guard:
            self._open.update(both)
        for each in both:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        chance = [random.Random(f"{self._seed}.{number}.{way}") for way in ("up", "down")]
        up = threading.Thread(target=_pump, args=(client, server, chance[0]), daemon=True)
        up.start()
        lags = chance[1].randrange(SLOW) == 0 if self._lagging is None else number == self._lagging
        _pump(server, client, chance[1], lag=LAG if lags else 0.0)
        up.join()
        for each in both:
            each.close()
        with self._guard:
            self._open.difference_update(both)


def _pump(source: socket.socket, sink: socket.socket, chance: random.Random, lag: float = 0.0) -> None:
    """Pass on until the source ends, all of it `lag` seconds late; an error on either side resets both."""
    line: Line = queue.Queue(LINE)
    taker = threading.Thread(target=_take, args=(source, line, lag), daemon=True)
    taker.start()
    try:
        while data := _due(line):
            time.sleep(chance.uniform(0, LONGEST))
            for piece in _cut(data, chance):
                sink.sendall(piece)
                if len(piece) < len(data):
                    time.sleep(chance.uniform(0, GAP))
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        _reset(source, sink)
    while taker.is_alive():  # it may wait for a place on the line
        with contextlib.suppress(queue.Empty):
            line.get(timeout=LONGEST)


def _take(source: socket.socket, line: Line, lag: float) -> None:
    """Put what the source sends on the line, with the time when it is due: b"" is its end, None a reset."""
    data: bytes | None = None
    while data != b"":
        try:
            data = source.recv(READ)
        except OSError:
            data = None
        line.put((time.monotonic() + lag, data))
        if data is None:
            return


def _due(line: Line) -> bytes:
    """What is next on the line, when it is due; b"" at the end. Raises `ConnectionResetError`."""
    due, data = line.get()
    time.sleep(max(0.0, due - time.monotonic()))
    if data is None:
        raise ConnectionResetError
    return data


def _cut(data: bytes, chance: random.Random) -> list[bytes]:
    cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randrange(PIECES)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


def _reset(*sockets: socket.socket) -> None:
    # The other pump may be waiting in recv: a shutdown wakes it, the close that follows resets.
    for each in sockets:
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            each.shutdown(socket.SHUT_RD)
