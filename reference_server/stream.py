"""An event stream as a raw ASGI response: head at once, frames as they come, then a clean end.

No response class stands between, and the frames of all streams are sent by one loop (`sending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from reference_server.connection import abort
from reference_server.mailbox import Mailbox
from reference_server.sending import Outlet, Sender

Headers = list[tuple[bytes, bytes]]

HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


HEARTBEAT = 15.0  # seconds of silence that a stream bears


@dataclass(frozen=True, slots=True)
class Beat:
    """What breaks silence (a comment, or an event of its own each time), and after how many seconds of it."""

    frame: Callable[[], bytes]
    seconds: float


async def stream(
    scope: Scope,
    receive: Receive,
    send: Send,
    mailbox: Mailbox,
    sender: Sender,
    beat: Beat,
    stall_timeout: float,
    headers: Headers = HEADERS,
) -> None:
    """Send a mailbox's frames until it ends or the client goes; then the mailbox is abandoned.

    After an end that the client does not read for `stall_timeout` seconds, its connection is dropped.
    """
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    watch = _Watch(receive, mailbox)
    outlet = Outlet(mailbox, send, sender)
    heart = _Heart(scope, mailbox, outlet, beat, stall_timeout)
    try:
        await outlet.run()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        heart.stop()
        watch.stop()
        mailbox.abandon()


class _Watch:
    """Abandons a mailbox when its client goes. It waits for that without a task: there is one for each stream."""

    __slots__ = ("_call", "_mailbox", "_receive")

    def __init__(self, receive: Receive, mailbox: Mailbox) -> None:
        self._receive = receive
        self._mailbox = mailbox
        self._call: Generator[Any, Any, Message] | None = receive().__await__()
        self._step()

    def stop(self) -> None:
        """Wait no longer."""
        call, self._call = self._call, None
        if call is not None:
            call.close()

    def _step(self, _: object = None) -> None:
        while self._call is not None:
            try:
                waits_for = next(self._call)
            except StopIteration as done:
                gone = done.value["type"] == "http.disconnect"
                self._call = None if gone else self._receive().__await__()
                if gone:
                    self._mailbox.abandon()
            else:
                if waits_for is None:
                    asyncio.get_running_loop().call_soon(self._step)
                else:
                    waits_for.add_done_callback(self._step)
                return


class _Heart:
    """Puts a heartbeat into a mailbox whenever nothing has been sent for a period. One timer, no task.

    After the end it drops a client that has read nothing for `stall_timeout` seconds.
    """

    __slots__ = ("_beat", "_loop", "_mailbox", "_outlet", "_scope", "_stall", "_taken", "_timer")

    def __init__(
        self, scope: Scope, mailbox: Mailbox, outlet: Outlet, beat: Beat, stall_timeout: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._mailbox = mailbox
        self._outlet = outlet
        self._beat = beat
        self._stall = stall_timeout
        self._taken = -1  # when it was looked at after the end
        self._timer = self._loop.call_later(min(beat.seconds, stall_timeout), self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._mailbox.ended:
            if self._taken == self._mailbox.taken:
                abort(self._scope)
                return
            self._taken = self._mailbox.taken
            due = now + self._stall
        else:
            due = self._outlet.sent_at + self._beat.seconds
            if due <= now:
                # a queue that holds something needs no heartbeat: its reader is what is slow
                if not self._mailbox.queued:
                    self._mailbox.offer(self._beat.frame())
                due = now + self._beat.seconds
        self._timer = self._loop.call_at(min(due, now + self._stall), self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
