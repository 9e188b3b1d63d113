"""Event streams: the data of the events that each read completes, with the time at which it arrived."""

from __future__ import annotations

from typing import Protocol

from conformance.observe.http1 import ResponseHead
from conformance.wire import DataDecoder, WireError
from loadtests.client import clock
from loadtests.client.connection import Connection, End
from loadtests.client.request import Call, Endpoint, Limits


class Listener(Protocol):
    """Is told what happens to one stream, on the hub: it must be quick and may not block. It may close the stream.

    What it raises ends the stream, and comes out of `Stream.wait`.
    """

    def opened(self, began: float, at: float) -> None:
        """The connection stands, TLS included: it was begun at `began`. The request is sent next."""

    def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
        """The final response head: names in their own case."""

    def events(self, datas: list[bytes], size: int, at: float) -> None:
        """A read of so many bytes of the body; `datas`: of the events that it completed, perhaps none."""

    def ended(self, how: End, why: str, at: float) -> None:
        """Called once, in every case. `why`: one line, "" where there is nothing to say."""


class Stream(Connection):
    """A handle: `close()`, `wait(timeout)`, `end`, `why`."""

    __slots__ = ("_decoder", "_listener")

    def __init__(
        self, endpoint: Endpoint, call: Call, listener: Listener, limits: Limits, receive: clock.Receive
    ) -> None:
        super().__init__(endpoint, call, limits, receive)
        self._listener = listener
        self._decoder = DataDecoder(max_line=limits.line, max_event=limits.event)

    def _on_open(self, at: float) -> None:
        self._listener.opened(self._began, at)

    def _on_head(self, head: ResponseHead, at: float) -> None:
        self._await(End.TIMEOUT_FIRST, at, self._limits.first)
        self._listener.head(head.status, head.headers, at)

    def _on_body(self, data: bytes, at: float) -> None:
        try:
            datas = self._decoder.feed(data)
        except WireError as error:
            if error.data:
                self._listener.events(list(error.data), len(data), at)
            self._finish(End.TOO_LONG, str(error), at)
            return
        if datas and self._kind is not End.STALL:
            self._await(End.STALL, at, self._limits.stall)
        self._listener.events(datas, len(data), at)

    def _on_end(self, how: End, why: str, at: float) -> None:
        self._listener.ended(how, why, at)


def open_stream(
    endpoint: Endpoint,
    call: Call,
    listener: Listener,
    limits: Limits | None = None,
    *,
    receive: clock.Receive | None = None,
) -> Stream:
    """Begin a stream, and return. The listener is told of everything later, from the hub, also of a failure.

    `receive`: how bytes and their times are taken from the socket; by default with the best clock that there is.
    Raises `ValueError` for a call that cannot be sent.
    """
    stream = Stream(endpoint, call, listener, limits or Limits(), receive or clock.receive)
    stream.begin()
    return stream


__all__ = ["Listener", "Stream", "open_stream"]
