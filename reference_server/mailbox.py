"""A subscriber's queue of frames: bounded, and never with a silent hole.

Who has frames either waits for room (`put`: the answer to one's own prompt) or offers them (`offer`: an event
bus, which waits for nobody). An offer that passes the bound ends the mailbox: what is queued is still
delivered, in order and whole, and then the stream ends. The reader sees an end and can come again with its
cursor; it never sees a stream that goes on without what was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

JOIN = 64 * 1024  # bytes of queued frames that are handed out at once


class Mailbox:
    """Frames on their way to one subscriber."""

    __slots__ = (
        "_bytes",
        "_counts",
        "_ended",
        "_frames",
        "_max_bytes",
        "_max_events",
        "_owed",
        "_tell",
        "_writers",
        "count",
        "overflowed",
        "taken",
    )

    def __init__(self, max_bytes: int, max_events: int) -> None:
        # lists: an empty deque takes ten times as much, and what is taken is seldom less than all
        self._frames: list[bytes] = []
        self._counts: list[int] = []  # events in each of the frames
        self._owed: list[bytes] = []
        self._bytes = 0
        self.count = 0  # events that wait for the reader
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._tell: Callable[[], None] = _nobody
        self._writers: list[asyncio.Future[None]] = []
        self._ended = False
        self.overflowed = False
        self.taken = 0  # bytes handed out so far: it grows while the reader reads

    @property
    def ended(self) -> bool:
        """Whether nothing more is accepted."""
        return self._ended

    @property
    def queued(self) -> int:
        """Bytes that wait for the reader."""
        return self._bytes

    def offer(self, frames: bytes, count: int = 1) -> bool:
        """Queue frames of so many events. False if the mailbox has ended, or ends now because its bound is passed."""
        if self._ended:
            return False
        if self._frames and not self._fits(frames, count):
            self.overflowed = True
            self.end()
            return False
        self._append(frames, count)
        return True

    def owe(self, frame: bytes) -> None:
        """Queue a frame outside the bound: what a new subscriber gets before all that is offered."""
        self._owed.append(frame)
        self._tell()

    def put_at_once(self, frame: bytes) -> bool:
        """Queue a frame if there is room. False, and nothing done, if there is none or the mailbox has ended."""
        if self._ended or (self._frames and not self._fits(frame)):
            return False
        self._append(frame)
        return True

    async def put(self, frame: bytes) -> bool:
        """Queue a frame as soon as there is room. False if the mailbox has ended."""
        while not self.put_at_once(frame):
            if self._ended:
                return False
            await self._room()
        return True

    def tell(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever there is something new to take, or an end."""
        self._tell = tell

    def take(self) -> bytes:
        """The next frames, joined; empty when there are none."""
        if self._owed:
            frames = _join(self._owed)
        elif len(self._frames) == 1:
            frames = self._frames.pop()
            self.count -= self._counts.pop()
            self._bytes -= len(frames)
            if self._writers:
                self._wake_writers()
        elif self._frames:
            before = len(self._frames)
            frames = _join(self._frames)
            taken = before - len(self._frames)
            self.count -= sum(self._counts[:taken])
            del self._counts[:taken]
            self._bytes -= len(frames)
            if self._writers:
                self._wake_writers()
        else:
            return b""
        self.taken += len(frames)
        return frames

    async def drained_below(self, size: int, count: int) -> None:
        """Return once no more than `size` bytes and `count` events are queued, or the mailbox has ended."""
        while (self._bytes > size or self.count > count) and not self._ended:
            await self._room()

    def end(self) -> None:
        """Accept nothing more; what is queued is still delivered."""
        self._ended = True
        self._tell()
        self._wake_writers()

    def abandon(self) -> None:
        """Nobody reads any more: drop everything."""
        self._frames.clear()
        self._counts.clear()
        self._owed.clear()
        self._bytes = self.count = 0
        self.end()

    def _fits(self, frames: bytes, count: int = 1) -> bool:
        return self._bytes + len(frames) <= self._max_bytes and self.count + count <= self._max_events

    def _append(self, frames: bytes, count: int = 1) -> None:
        self._frames.append(frames)
        self._counts.append(count)
        self._bytes += len(frames)
        self.count += count
        self._tell()

    async def _room(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._writers.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._writers:
                self._writers.remove(waiter)

    def _wake_writers(self) -> None:
        for waiter in self._writers:
            if not waiter.done():
                waiter.set_result(None)
        self._writers.clear()


def _nobody() -> None:
    """Nobody takes yet."""


def _join(frames: list[bytes]) -> bytes:
    """Take the first frame, and what follows it as far as `JOIN` bytes go."""
    size = end = 0
    for frame in frames:
        size += len(frame)
        if size > JOIN and end:
            break
        end += 1
    joined = b"".join(frames[:end])
    del frames[:end]
    return joined
