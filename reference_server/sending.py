"""The loop that sends: one for all streams of a server.

Who queues frames for a stream announces it. In the next turn of the event loop (or every so many seconds, which
coalesces what comes in between) the sender goes once over the streams that were announced and hands each one's
frames to its connection. A connection takes them at once as long as its reader reads: that is one call, and no task
is woken. The call of a connection that does not take them is left to the stream's own task, which goes on alone until
all that is queued is out. So a slow reader holds up nobody else, and what is kept for it is bounded by its mailbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from typing import Any, Protocol

from starlette.types import Message, Send

from reference_server.mailbox import Mailbox


class Waiting(Protocol):
    """What has something to be sent, or to be put into mailboxes from which it is sent."""

    def flush(self, now: float) -> None:
        """Let it go. `now` is loop time."""


class Sender:
    """Sends for all streams that are announced. `coalesce`: seconds that frames may wait for others, 0 for none."""

    def __init__(self, coalesce: float = 0.0) -> None:
        self._coalesce = coalesce
        self._due: deque[Waiting] = deque()
        self._scheduled = False

    def announce(self, waiting: Waiting) -> None:
        """There is something to be sent. What is announced in a turn has its turn in it."""
        self._due.append(waiting)
        if not self._scheduled:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            if self._coalesce:
                loop.call_later(self._coalesce, self._turn)
            else:
                loop.call_soon(self._turn)

    def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        try:
            while self._due:
                self._due.popleft().flush(now)
        finally:
            self._scheduled = False


class Outlet:
    """One stream's way out. `sent_at`: loop time of its newest frames."""

    __slots__ = ("_announced", "_mailbox", "_parked", "_send", "_sender", "sent_at")

    def __init__(self, mailbox: Mailbox, send: Send, sender: Sender) -> None:
        self._mailbox = mailbox
        self._send = send
        self._sender = sender
        self._parked: asyncio.Future[_Rest | None] | None = None  # while the sender sends
        self._announced = True
        self.sent_at = 0.0

    async def run(self) -> None:
        """Send until the mailbox has ended and is empty. Raises what `send` raises."""
        loop = asyncio.get_running_loop()
        self.sent_at = loop.time()
        self._mailbox.tell(self._announce)
        try:
            while True:
                self._parked = loop.create_future()
                self._announced = False
                self._announce()
                rest = await self._parked
                if rest is None:
                    return
                self._announced = True  # the sender leaves this stream alone
                await rest
                while frames := self._mailbox.take():
                    await self._send(_body(frames))
                    self.sent_at = loop.time()
        finally:
            self._parked = None

    def flush(self, now: float) -> None:
        """Hand over all that is queued, as far as the connection takes it."""
        parked, box = self._parked, self._mailbox
        if parked is None or parked.done():
            return
        self._announced = False
        try:
            while frames := box.take():
                self.sent_at = now
                call = self._send(_body(frames)).__await__()
                try:
                    waits_for = next(call)
                except StopIteration:
                    continue
                parked.set_result(_Rest(call, waits_for))
                return
        except Exception as error:
            parked.set_exception(error)
            return
        if box.ended:
            parked.set_result(None)

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._sender.announce(self)


def _body(frames: bytes) -> Message:
    return {"type": "http.response.body", "body": frames, "more_body": True}


class _Rest:
    """A call that was begun outside a task and has to wait: to be awaited in one."""

    __slots__ = ("_call", "_waits_for")

    def __init__(self, call: Generator[Any, Any, Any], waits_for: Any) -> None:
        self._call = call
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    given = yield waits_for
                except BaseException as error:
                    waits_for = self._call.throw(error)
                else:
                    waits_for = self._call.send(given)
        except StopIteration:
            return
