"""When bytes arrived: the kernel's receive stamps (`SO_TIMESTAMPNS`) on the monotonic clock, or the time of the read.

A busy process reads late, and the time of its read says more about itself than about the server. The kernel stamps
a segment as it arrives (socket(7)). What one read returns is stamped once, with the arrival of its last segment.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Literal

from gevent.monkey import get_original

# Blocking calls of gevent's socket would switch greenlets; these are never blocked on, and the same with it or without.
native_socket: Callable[..., socket.socket] = get_original("socket", "socket")

READ_SIZE = 65_536  # bytes of one read at the most

_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python has no name for it
_TIMESPEC = struct.Struct("@ll")
_SPACE = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0

Receive = Callable[[socket.socket], tuple[bytes, float]]


class RealTime:
    """Turns the kernel's wall-clock time into the monotonic clock's.

    What lies between the two is measured once a second, for wall clocks are set; until then a stamp may be off by as
    much as it was set, if that is less than a second.
    """

    __slots__ = ("_began", "_second")

    def __init__(self) -> None:
        self._second = -1  # of wall-clock time, for which was measured
        self._began = 0.0  # when that second began, by the monotonic clock

    def monotonic(self, seconds: int, nanoseconds: int) -> float:
        """Whole seconds are taken off first: a float has no nanoseconds left beside the seconds since 1970."""
        if seconds != self._second:
            self._measure(seconds)
        return self._began + nanoseconds * 1e-9

    def _measure(self, seconds: int) -> None:
        # The closest of a few: between the readings of the two clocks, the process may lose the processor.
        tries = []
        for _ in range(5):
            before = time.monotonic_ns()
            real = time.time_ns()
            after = time.monotonic_ns()
            tries.append((after - before, before + (after - before) // 2 - real))
        self._second = seconds
        self._began = (seconds * 1_000_000_000 + min(tries)[1]) * 1e-9


_real_time = RealTime()


def receive_read(sock: socket.socket) -> tuple[bytes, float]:
    """What a non-blocking socket has, and the time of this read. Raises `OSError`."""
    return sock.recv(READ_SIZE), time.monotonic()


def receive_kernel(sock: socket.socket) -> tuple[bytes, float]:
    """What a non-blocking socket has, and when the last of it arrived. Raises `OSError`."""
    data, ancillary, _, _ = sock.recvmsg(READ_SIZE, _SPACE)
    if ancillary:
        return data, _real_time.monotonic(*_TIMESPEC.unpack(ancillary[0][2]))
    return data, time.monotonic()  # the end of the stream is no segment that could have a stamp


def ask_for_stamps(sock: socket.socket) -> None:
    """Before it is connected, so that the first bytes have one."""
    if CLOCK == "kernel":
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def _stamps_work() -> bool:
    """Whether this machine stamps what arrives over TCP: asked of it, not of a list of platforms.

    The kernel begins to stamp a moment after somebody first asks for it, and stops when nobody does any more. So
    this waits for the moment, and one descriptor goes on asking as long as the process lives.
    """
    if sys.platform != "linux":
        return False
    asking = native_socket()
    try:
        asking.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        stamp = _first_stamp(asking)
    except OSError:
        stamp = None
    works = stamp is not None and abs(_TIMESPEC.unpack(stamp)[0] - time.time()) < 2.0
    if works:
        asking.detach()
    asking.close()
    return works


def _first_stamp(client: socket.socket) -> bytes | None:
    """The first one that comes over a loopback connection, if one comes soon."""
    with native_socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client.settimeout(1.0)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    deadline = time.monotonic() + 0.2
    with server:
        while time.monotonic() < deadline:
            server.send(b".")
            _, ancillary, _, _ = client.recvmsg(1, _SPACE)
            for level, kind, stamp in ancillary:
                if (level, kind, len(stamp)) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS, _TIMESPEC.size):
                    return stamp
    return None


CLOCK: Literal["kernel", "read"] = "kernel" if _stamps_work() else "read"
receive: Receive = receive_kernel if CLOCK == "kernel" else receive_read

__all__ = [
    "CLOCK",
    "READ_SIZE",
    "Receive",
    "ask_for_stamps",
    "native_socket",
    "receive",
    "receive_kernel",
    "receive_read",
]
