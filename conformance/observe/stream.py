"""A response while it is being received: a protocol that records, decodes and wakes those who wait."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import cast

from conformance.message import Message, read_message
from conformance.observe.content import ContentDecoder, ContentError
from conformance.observe.http1 import ResponseReader
from conformance.profile import Limits
from conformance.transcript import Chunk, Ended, Framing, Head, Request, Transcript
from conformance.wire import Block, Decoder, WireError

# l_onoff and l_linger (Windows has shorts there): with them close() sends RST.
_LINGER_ZERO = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class LiveStream(asyncio.Protocol):
    """A response that is being received in the background, decoded as it comes.

    Every read of the socket becomes one `Chunk` at once, with its time of arrival. What the server does wrong
    becomes a value in the transcript, never an exception.
    """

    head: Head | None
    blocks: list[Block]

    def __init__(
        self, request: Request, clock: Callable[[], float], limits: Limits, *, from_start: bool = True
    ) -> None:
        self.head = None
        self.blocks = []
        self._messages: list[Message] = []
        self._read_blocks = 0  # blocks that are already in `_messages`
        self._request = request
        self._clock = clock
        self._limits = limits
        self._from_start = from_start
        self._opened_at = clock()
        self._reader = ResponseReader(request.method)
        self._content: ContentDecoder | None = None
        self._decoder = Decoder()
        self._chunks: list[Chunk] = []
        self._wire_bytes = 0
        self._body_bytes = 0
        self._events = 0
        self._ended: Ended | None = None
        self._ended_at = 0.0
        self._detail = ""
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._peer_closed = False
        self._lost = asyncio.get_running_loop().create_future()
        self._waiters: list[asyncio.Future[None]] = []
        self._bug: Exception | None = None  # an error of the harness itself, raised to whoever looks next

    # ---- what probes use

    @property
    def messages(self) -> list[Message]:
        """The events so far with their data read as JSON (read when first asked for)."""
        for block in self.blocks[self._read_blocks :]:
            if block.data is not None:
                self._messages.append(read_message(block))
        self._read_blocks = len(self.blocks)
        return self._messages

    @property
    def ended(self) -> bool:
        """Whether the exchange is over."""
        return self._ended is not None

    @property
    def how(self) -> Ended | None:
        """How the exchange ended; None while it goes on."""
        return self._ended

    @property
    def peer_closed(self) -> bool:
        """Whether the server has closed or reset the connection."""
        return self._peer_closed

    @property
    def body_bytes(self) -> int:
        """Content-decoded body bytes so far."""
        return self._body_bytes

    @property
    def event_count(self) -> int:
        """Events so far."""
        return self._events

    async def wait_head(self, timeout: float) -> Head | None:
        """Wait for the response head; None where the exchange ended or `timeout` seconds passed before."""
        await self.wait(lambda stream: stream.head is not None, timeout)
        return self.head

    async def wait(self, condition: Callable[[LiveStream], bool], timeout: float) -> bool:
        """Wait until the condition holds; it is asked now and after every read.

        True as soon as it holds; False where the exchange ended or `timeout` seconds passed without it.
        """
        return await self._until(lambda: condition(self), lambda: self.ended, timeout)

    async def wait_end(self, timeout: float) -> bool:
        """Wait for the end of the exchange.

        True where the server ended it; False where we did, or where `timeout` seconds passed: the stream is
        then closed with `Ended.DEADLINE`.
        """
        if not await self._until(lambda: self.ended, lambda: False, timeout):
            self._finish(Ended.DEADLINE, f"still open after {timeout:g} s")
            await self._hang_up(reset=False)
        return self._ended not in (Ended.CLOSED_BY_US, Ended.DEADLINE, Ended.CAPPED)

    async def wait_closed(self, timeout: float) -> bool:
        """Wait until the server has closed the connection itself, maybe long after the response's end."""
        return await self._until(lambda: self._peer_closed, lambda: self._lost.done(), timeout)

    def pause(self) -> None:
        """Stop reading the socket (a stalled reader): TCP's window closes and the server's writes back up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def unread(self) -> int | None:
        """Bytes waiting in the kernel's receive buffer of a paused stream; None where nobody can say."""
        if self._socket is None or self._lost.done() or sys.platform == "win32":
            return None
        import fcntl
        import termios

        answer = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, b"\0\0\0\0")
        return int.from_bytes(answer, sys.byteorder)

    async def close(self, *, reset: bool = False) -> None:
        """Hang up, with a TCP reset if asked; the recorded end stays where the exchange has already ended."""
        self._finish(Ended.CLOSED_BY_US, "reset by us" if reset else "")
        await self._hang_up(reset=reset)

    async def give_up(self, reason: str) -> None:
        """Hang up on what is still coming and took too long: the stream shows no end of anything."""
        self._finish(Ended.DEADLINE, reason)
        await self._hang_up(reset=False)

    def transcript(self) -> Transcript:
        """What was recorded so far; an exchange that still goes on counts as closed by us, now."""
        if self._bug is not None:
            raise self._bug
        reader = self._reader
        framing = None
        if self.head is not None:
            framing = Framing(reader.delimiter, reader.done, tuple(reader.errors), reader.surplus)
        return Transcript(
            request=self._request,
            opened_at=self._opened_at,
            head=self.head,
            chunks=tuple(self._chunks),
            ended=self._ended or Ended.CLOSED_BY_US,
            ended_at=self._ended_at if self._ended is not None else self._clock(),
            detail=self._detail,
            framing=framing,
            from_start=self._from_start,
            wire_bytes=self._wire_bytes,
        )

    # ---- what the transport calls

    def begin(self, payload: bytes, raw: socket.socket) -> None:
        """Send the request: the connection stands."""
        assert self._transport is not None
        self._socket = raw
        self._opened_at = self._clock()
        self._transport.write(payload)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket (or the TLS session on it) is ready."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """One read of the socket."""
        try:
            self._take(data)
        except Exception as error:
            # asyncio would close the connection and log; that would look like a failure of the target.
            self._bug = error
            self._stop(Ended.CLOSED_BY_US, "an error of the harness")
        self._wake()

    def eof_received(self) -> None:
        """The server closed its side in order."""
        self._peer_closed = True
        self._reader.eof()
        self._end_of_input("closed")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: by reset, by a failed write, or by us."""
        if exc is not None:
            self._peer_closed = True
            if self._ended is None:
                self._drain()
            self._end_of_input("reset" if isinstance(exc, ConnectionError) else f"lost: {exc}")
        elif self._ended is None:
            self._peer_closed = True
            self._reader.eof()
            self._end_of_input("closed")
        if not self._lost.done():
            self._lost.set_result(None)
        self._wake()

    # ---- the inside

    def _take(self, data: bytes) -> None:
        at = self._clock()
        reader = self._reader
        body = reader.feed(data)
        if self.head is None and reader.head is not None:
            found = reader.head
            self.head = Head(at, found.status, found.reason, found.http_version, found.headers)
            self._content = ContentDecoder(found.values("content-encoding"), cap=self._limits.stream_bytes)
            if self._content.unknown:
                self._detail = f"content coding not undone: {self._content.unknown}"
        if self._ended is not None:
            return
        if body:
            self._wire_bytes += len(body)
            self._take_body(body, at)
        if self._ended is not None:
            return
        if reader.failed:
            self._stop(Ended.CAPPED if reader.capped else Ended.PROTOCOL_ERROR, reader.failed)
        elif reader.done:
            self._finish(Ended.COMPLETE)

    def _take_body(self, body: bytes, at: float) -> None:
        assert self._content is not None
        limits = self._limits
        try:
            content = self._content.feed(body)
        except ContentError as error:
            self._stop(Ended.PROTOCOL_ERROR, str(error))
            return
        if content:
            self._chunks.append(Chunk(at, content))
            self._body_bytes += len(content)
            try:
                blocks = self._decoder.feed(content, at)
            except WireError as error:
                self.blocks.extend(error.blocks)
                self._stop(Ended.CAPPED, str(error))
                return
            self.blocks.extend(blocks)
            self._events += sum(block.dispatch is not None for block in blocks)
        if max(self._body_bytes, self._wire_bytes) > limits.stream_bytes:
            self._stop(Ended.CAPPED, f"more than {limits.stream_bytes} bytes of body")
        elif self._events > limits.stream_events:
            self._stop(Ended.CAPPED, f"more than {limits.stream_events} events")

    def _drain(self) -> None:
        # A write that fails loses what the server said before it hung up (a 413 to a large body), unless it
        # is still fetched from the kernel here.
        if self._socket is None or self._transport is None or self._transport.get_extra_info("sslcontext"):
            return
        with contextlib.suppress(OSError):
            while data := self._socket.recv(262_144):
                self._take(data)

    def _end_of_input(self, how: str) -> None:
        if self._ended is not None:
            return
        reader = self._reader
        if reader.done:
            detail = self._detail
            if self._content is not None and self._content.unfinished:
                detail = f"the {self._content.coding} body ends before its trailer"
            self._finish(Ended.COMPLETE, detail)
        elif self.head is None:
            inside = (
                ", in the middle of the response head"
                if reader.started
                else ", without one byte of an answer"
            )
            self._finish(Ended.NO_RESPONSE, how + inside)
        elif how == "closed":
            self._finish(Ended.TRUNCATED, f"closed before the end of the {reader.delimiter} body")
        else:
            self._finish(Ended.RESET, how)

    def _stop(self, how: Ended, detail: str) -> None:
        """End the recording for a reason of ours or of the reader's, and hang up."""
        self._finish(how, detail)
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, how: Ended, detail: str = "") -> None:
        if self._ended is None:
            self._ended, self._ended_at = how, self._clock()
            self._detail = detail or self._detail

    async def _hang_up(self, *, reset: bool) -> None:
        if self._transport is None or self._lost.done():
            return
        if reset and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        # abort(), not close(): a TLS farewell or unsent bytes must not hold up the probe.
        self._transport.abort()
        await asyncio.shield(self._lost)

    async def _until(self, good: Callable[[], bool], over: Callable[[], bool], timeout: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self._bug is not None:
                raise self._bug
            if good():
                return True
            left = deadline - loop.time()
            if over() or left <= 0:
                return False
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout(left):
                    await waiter
            except TimeoutError:
                return good()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


__all__ = ["LiveStream"]
