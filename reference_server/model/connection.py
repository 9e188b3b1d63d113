"""The client's side of an answer: whether it is still there, and how to reset its connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from types import TracebackType

from starlette.types import Receive, Send

_FLUSH = 2.0  # seconds that unsent bytes get before a reset drops them
_SIOCOUTQ = 0x5411  # Linux: bytes that the peer's kernel has not acknowledged


class ClientGoneError(Exception):
    """The client closed its connection before the answer's end."""


class Client:
    """Watches for a client's departure while its answer is played. Use as an async context manager."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Client:
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._watcher is not None
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the response's head."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body. Raises `ClientGoneError`."""
        if self._gone.is_set():
            raise ClientGoneError
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client does. Raises `ClientGoneError`."""
        if seconds <= 0:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), seconds)
            raise ClientGoneError

    async def reset(self) -> None:
        """End the connection with a TCP reset, once the client's kernel has what was written so far."""
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is None:
            raise RuntimeError("a connection can be reset under uvicorn only")
        sock = transport.get_extra_info("socket")
        deadline = asyncio.get_running_loop().time() + _FLUSH
        while asyncio.get_running_loop().time() < deadline and not self._gone.is_set():
            if transport.get_write_buffer_size() == 0 and _unacknowledged(sock) == 0:
                break
            await asyncio.sleep(0.001)
        # An abort drops what is unsent, and closing with a linger of 0 sends RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        # uvicorn learns of it in a later round of the loop; returning earlier would be "without completing".
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), _FLUSH)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes still under way to the peer, as far as the system can tell."""
    if sys.platform != "linux":
        return 0
    import fcntl

    answer = fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])
