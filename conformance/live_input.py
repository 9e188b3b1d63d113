"""Standard input as a stream that is still going on: `curl -N URL | sse-conformance check -`.

What comes is taken as it comes, until it ends, is enough (events, seconds), or the user says so: an interrupt
(Ctrl-C, SIGTERM of `timeout`) ends the reading and not the program, so that what came until then is judged.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from conformance.wire import Decoder, WireError

_PIECE = 65_536  # bytes
_LONGEST_HEAD = 1_048_576  # bytes in front of a body that are waited for as its head
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def leading_heads(data: bytes, *, ended: bool = True) -> tuple[int, int] | None:
    """Where the response head begins that `curl -i` writes in front of a body, and where the body: (0, 0) without one.

    Interim answers (1xx), a proxy's, and redirects that were followed come before the head that counts. None: what
    is there may go on as a head (never if it has `ended`).
    """
    begins = offset = 0
    while True:
        rest = data[offset:]
        if not rest.startswith(b"HTTP/"):
            unclear = not ended and b"HTTP/".startswith(rest) and _may_be_followed(data[begins:offset])
            return None if unclear else (begins, offset)
        ends = [at + len(blank) for blank in (b"\r\n\r\n", b"\n\n") if (at := rest.find(blank)) >= 0]
        if not ends:
            return (begins, offset) if ended else None
        begins, offset = offset, offset + min(ends)


def _may_be_followed(head: bytes) -> bool:
    """Whether another head may come after this one: after none, an interim one, a redirect, or a tunnel's."""
    words = head.split(b"\n", 1)[0].split(b" ", 2)
    if len(words) < 2:
        return True
    tunnel = len(words) > 2 and words[2].strip().lower() == b"connection established"
    return words[1][:1] in (b"1", b"3") or tunnel


class LiveInput:
    """A readable like a binary file, whose end may be brought about. Use it in a `with` statement.

    `max_events` cuts behind the last byte of that event; `max_seconds` counts from the first `read`. `watch` is
    told the events and bytes so far after each piece. `how` says afterwards why it ended before its end ("" if it
    did not), `events` how many came.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        max_events: int | None = None,
        max_seconds: float | None = None,
        watch: Callable[[int, int], None] | None = None,
    ) -> None:
        self.how = ""
        self.events = 0
        self.size = 0
        self._descriptor = descriptor
        self._max_events = max_events
        self._max_seconds = max_seconds
        self._deadline: float | None = None
        self._watch = watch
        self._decoder = Decoder()
        self._fed = 0  # bytes that the decoder was given
        self._begun = False
        self._waker, self._woken = socket.socketpair()
        self._before: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> LiveInput:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before.append((number, signal.signal(number, self._interrupted)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)
        self._waker.close()
        self._woken.close()

    def read(self, size: int = _PIECE) -> bytes:
        """What has come, at least one byte, waiting for it; b"" at the end. The first piece has the whole head."""
        if self.how:
            return b""
        if self._begun:
            piece = self._next()
            return self._counted(piece, piece)
        self._begun = True
        if self._max_seconds is not None:
            self._deadline = time.monotonic() + self._max_seconds
        first, heads = b"", leading_heads(b"", ended=False)
        while heads is None and len(first) < _LONGEST_HEAD and (piece := self._next()):
            first += piece
            heads = leading_heads(first, ended=False)
        _, offset = heads or leading_heads(first) or (0, 0)
        return self._counted(first, first[offset:])

    def _next(self) -> bytes:
        left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        woken = self._woken.fileno()
        ready, _, _ = select.select([self._descriptor, woken], [], [], left)
        if woken in ready:
            self.how = "interrupted"
            # What a producer that was interrupted too had written is there by now.
            ready, _, _ = select.select([self._descriptor], [], [], 0)
        elif not ready:
            self.how = "ended at --max-seconds"
        return os.read(self._descriptor, _PIECE) if self._descriptor in ready else b""

    def _counted(self, piece: bytes, body: bytes) -> bytes:
        """The piece, cut behind the last event that is wanted; `body` is what of it follows the heads."""
        enough = self._count(body)
        if enough is not None:
            piece = piece[: len(piece) - len(body) + enough]
            self.how = "ended at --max-events"
        self.size += len(piece)
        if self._watch is not None:
            self._watch(self.events, self.size)
        return piece

    def _count(self, body: bytes) -> int | None:
        """Count the events that these bytes complete; where in them the last one ends, if they are enough."""
        before, self._fed = self._fed, self._fed + len(body)
        try:
            blocks = self._decoder.feed(body)
        except WireError as error:  # past a cap: whoever judges will say so
            blocks = list(error.blocks)
            self._decoder = Decoder()
        for block in blocks:
            if block.data is not None:
                self.events += 1
                if self.events == self._max_events:
                    return block.end - before
        return None

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b".")
