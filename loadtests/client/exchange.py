"""Ordinary exchanges: one request, its whole answer."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.observe.http1 import ResponseHead
from loadtests.client import clock
from loadtests.client.connection import Connection, End
from loadtests.client.request import Call, Endpoint, Limits


class ClientError(Exception):
    """No whole answer came. One line: what, where, why. `kind`: which way."""

    def __init__(self, kind: End, why: str) -> None:
        super().__init__(why or kind.value)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Answer:
    """Its status, headers (names in their own case) and body.

    Seconds: `connect` until the connection stood, `head` from then to the head. `at`: when the last byte arrived.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connect: float
    head: float
    at: float


class _Exchange(Connection):
    __slots__ = ("_at", "_connected_at", "_head", "_headed_at", "_parts", "_size")

    def __init__(self, endpoint: Endpoint, call: Call, limits: Limits) -> None:
        super().__init__(endpoint, call, limits, clock.receive)
        self._head: ResponseHead | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._connected_at = self._headed_at = self._at = self._began

    def _on_open(self, at: float) -> None:
        self._connected_at = at

    def _on_head(self, head: ResponseHead, at: float) -> None:
        self._head, self._headed_at = head, at
        self._await(End.STALL, at, self._limits.stall)

    def _on_body(self, data: bytes, at: float) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._limits.body:
            self._finish(End.TOO_LONG, f"the body is larger than {self._limits.body} bytes", at)

    def _on_end(self, how: End, why: str, at: float) -> None:
        self._at = at

    def answer(self) -> Answer:
        """What came. Raises `ClientError`."""
        if self._head is None or self.end is not End.CLEAN:
            raise ClientError(self.end or End.CLOSED_BY_US, self.why)
        return Answer(
            self._head.status,
            self._head.headers,
            b"".join(self._parts),
            self._connected_at - self._began,
            self._headed_at - self._connected_at,
            self._at,
        )


def exchange(endpoint: Endpoint, call: Call, limits: Limits | None = None) -> Answer:
    """Send a request and wait for its whole answer; other greenlets run meanwhile.

    Raises `ClientError`, and `ValueError` for a call that cannot be sent.
    """
    connection = _Exchange(endpoint, call, limits or Limits())
    connection.begin()
    try:
        connection.wait()
    finally:
        connection.close()  # a greenlet that is killed while it waits leaves nothing behind
    return connection.answer()


__all__ = ["Answer", "ClientError", "exchange"]
