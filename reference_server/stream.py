"""An event stream as a raw ASGI response: head at once, frames as they come, then a clean end.

No response class stands between, and the frames of all streams are sent by one loop (`sending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

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
    loop = asyncio.get_running_loop()
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    watcher = asyncio.create_task(_until_gone(receive, mailbox))
    outlet = Outlet(mailbox, send, sender)
    heart = _Heart(loop, mailbox, outlet, beat)
    stalled: asyncio.TimerHandle | None = None

    def check_stall(taken: int) -> None:
        nonlocal stalled
        if mailbox.ended and mailbox.taken == taken:
            abort(scope)
        else:
            stalled = loop.call_later(stall_timeout, check_stall, mailbox.taken)

    stalled = loop.call_later(stall_timeout, check_stall, -1)
    try:
        await outlet.run()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        stalled.cancel()
        heart.stop()
        watcher.cancel()
        mailbox.abandon()


async def _until_gone(receive: Receive, mailbox: Mailbox) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    mailbox.abandon()


class _Heart:
    """Puts a heartbeat into a mailbox whenever nothing has been sent for a period. One timer, no task."""

    __slots__ = ("_beat", "_loop", "_mailbox", "_outlet", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, mailbox: Mailbox, outlet: Outlet, beat: Beat) -> None:
        self._loop = loop
        self._mailbox = mailbox
        self._outlet = outlet
        self._beat = beat
        self._timer = loop.call_later(beat.seconds, self._look)

    def _look(self) -> None:
        if self._mailbox.ended:
            return
        due = self._outlet.sent_at + self._beat.seconds
        now = self._loop.time()
        if due <= now:
            # a queue that holds something needs no heartbeat: its reader is what is slow
            if not self._mailbox.queued:
                self._mailbox.offer(self._beat.frame())
            due = now + self._beat.seconds
        self._timer = self._loop.call_at(due, self._look)

    def stop(self) -> None:
        self._timer.cancel()
