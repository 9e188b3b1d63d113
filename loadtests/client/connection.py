"""One request on a connection of its own: non-blocking, driven by watchers of gevent's hub.

With 400 paced streams, a watcher for each costs about two thirds of the CPU time of a greenlet for each, and less than
half of the memory (`tests/benchmarks/bench_client.py` measures it). So nothing here may block: it all runs on the hub.

The response is read by the reader of the conformance suite, which is lenient where it can be and exact where it cannot:
its way for chunks that come whole costs half a microsecond an event, of about 10 that receiving one takes, and a second
reader would be a second opinion on what a broken response is.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import ssl
import sys
import time
from contextlib import suppress
from enum import Enum
from typing import Any

from gevent import get_hub
from gevent.event import Event

from conformance.observe.connect import Address, tls_reason
from conformance.observe.content import ContentDecoder, ContentError
from conformance.observe.http1 import ResponseHead, ResponseReader
from loadtests.client import clock
from loadtests.client.request import Call, Endpoint, Limits
from loadtests.client.tls import TlsLayer

_READ, _WRITE = 1, 2  # events of gevent's io watchers


class End(Enum):
    """How a stream ended. The values of those that are the server's doing are the kinds of errors of a load result."""

    CLEAN = "clean"  # as HTTP says that a body ends
    CLOSED_BY_US = "closed_by_us"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"  # no such host, no route
    TLS = "tls"  # no handshake, or TLS broke later
    TIMEOUT_CONNECT = "timeout_connect"
    TIMEOUT_HEAD = "timeout_head"
    TIMEOUT_FIRST = "timeout_first"
    STALL = "stall"
    RESET = "reset"
    PREMATURE = "premature_end"  # closed in order, but before the head's or the body's end
    TOO_LONG = "too_long"  # a line, an event, or an ordinary answer's body
    BAD_HTTP = "bad_http"
    LOCAL = "local"  # this process or machine has no descriptors or ports left: no fault of the server

    @property
    def error(self) -> str | None:
        """The kind of error in a load result; None for what is none of the server's."""
        if self in (End.CLEAN, End.CLOSED_BY_US, End.LOCAL):
            return None
        return _SAID_AS.get(self) or str(self.value)


_SAID_AS = {
    End.TIMEOUT_CONNECT: "unreachable",
    End.TIMEOUT_HEAD: "timeout",
    End.TIMEOUT_FIRST: "timeout",
}
_OWN = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
_RESET = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)

# A load test is to measure the server, not a resolver: a name is looked up once.
_resolved: dict[tuple[str, int], list[tuple[Any, ...]]] = {}


def _resolve(endpoint: Endpoint) -> list[tuple[Any, ...]]:
    """Addresses as `getaddrinfo` gives them. Lets other greenlets run meanwhile. Raises `OSError`."""
    key = (endpoint.host, endpoint.port)
    if key not in _resolved:
        _resolved[key] = get_hub().resolver.getaddrinfo(
            endpoint.host, endpoint.port, 0, socket.SOCK_STREAM, 0, 0
        )
    return _resolved[key]


class Connection:
    """Connects, sends, reads the head, and hands the body on: to the `_on_…` of a subclass, on the hub.

    `end` is None until it is over. `error`: what a listener raised, if it did; `wait` raises it again.
    """

    __slots__ = (
        "__weakref__",
        "_addresses",
        "_began",
        "_content",
        "_due",
        "_endpoint",
        "_kind",
        "_last",
        "_limits",
        "_outgoing",
        "_over",
        "_readable",
        "_reader",
        "_receive",
        "_request",
        "_socket",
        "_timer",
        "_tls",
        "_writable",
        "end",
        "error",
        "why",
    )

    def __init__(self, endpoint: Endpoint, call: Call, limits: Limits, receive: clock.Receive) -> None:
        self._request = call.bytes_for(endpoint)
        self._endpoint = endpoint
        self._limits = limits
        self._receive = receive
        self._reader = ResponseReader(call.method)
        self._content: ContentDecoder | None = None
        self._tls: TlsLayer | None = None
        self._socket: socket.socket | None = None
        self._readable: Any = None
        self._writable: Any = None
        self._outgoing = b""
        self._over: Event | None = None
        self._addresses: list[tuple[Any, ...]] = []
        self._began = self._last = time.monotonic()
        self._kind = End.TIMEOUT_CONNECT
        self._due = math.inf
        self._timer: Any = None
        self.end: End | None = None
        self.why = ""
        self.error: Exception | None = None

    # ---- for subclasses

    def _on_open(self, at: float) -> None:
        """The connection stands, and the request is about to be sent."""

    def _on_head(self, head: ResponseHead, at: float) -> None:
        """The final response head."""

    def _on_body(self, data: bytes, at: float) -> None:
        """Bytes of the body, without framing and content coding."""

    def _on_end(self, how: End, why: str, at: float) -> None:
        """Nothing follows."""

    # ---- from outside

    def close(self) -> None:
        """End it from our side; the listener is told at once. Closing what is over does nothing."""
        self._finish(End.CLOSED_BY_US, "", time.monotonic())

    def wait(self, timeout: float | None = None) -> End | None:
        """Let other greenlets run until it is over, for so many seconds at the most. Returns how it ended, or None.

        Raises what a listener raised.
        """
        if self.end is None:
            if self._over is None:
                self._over = Event()
            self._over.wait(timeout)
        if self.error is not None:
            raise self.error
        return self.end

    # ---- connecting

    def begin(self) -> None:
        """Start to connect. From here on all happens on the hub, also a failure."""
        loop = get_hub().loop
        try:
            self._addresses = list(_resolve(self._endpoint))
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            loop.run_callback(self._fail, End.UNREACHABLE, f"name not resolved: {why}")
            return
        self._began = time.monotonic()
        self._await(End.TIMEOUT_CONNECT, self._began, self._limits.connect)
        loop.run_callback(self._guarded, self._connect_next, None)

    def _connect_next(self, error: OSError | None) -> None:
        """Try the next address; with none left, fail with the error of the last."""
        while self._addresses and self.end is None:
            family, kind, protocol, _, address = self._addresses.pop(0)
            self._drop_socket()
            try:
                sock = clock.native_socket(family, kind, protocol)
            except OSError as failed:
                error = failed
                continue
            self._socket = sock
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            clock.ask_for_stamps(sock)
            code = sock.connect_ex(address)
            if code in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                self._writable = get_hub().loop.io(sock.fileno(), _WRITE)
                self._writable.start(self._guarded, self._on_connected, None)
                return
            error = OSError(code, os.strerror(code))
        if self.end is None:
            self._lost(error or OSError("no address"))

    def _on_connected(self, _: None) -> None:
        assert self._socket is not None
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._connect_next(OSError(code, os.strerror(code)))
            return
        self._addresses = []
        self._readable = get_hub().loop.io(self._socket.fileno(), _READ)
        self._readable.start(self._on_readable)
        self._writable.stop()
        if self._endpoint.tls is None:
            self._established()
        else:
            self._tls = TlsLayer(self._endpoint.tls, self._endpoint.host)
            self._send(self._tls.handshake())

    def _established(self) -> None:
        now = time.monotonic()
        self._on_open(now)
        if self.end is None:
            self._await(End.TIMEOUT_HEAD, now, self._limits.head)
            request, self._request = self._request, b""
            self._send(request if self._tls is None else self._tls.encrypt(request))

    # ---- sending

    def _send(self, data: bytes) -> None:
        self._outgoing += data
        self._flush(None)

    def _flush(self, _: None) -> None:
        """Send what the kernel takes; it says when it takes more."""
        assert self._socket is not None
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                self._writable.start(self._guarded, self._flush, None)
                return
            except OSError as error:
                # The answer may have come before the whole request was sent, and it is what counts.
                if self._reader.head is None:
                    self._on_readable()
                if self._reader.head is None and self.end is None:
                    self._lost(error)
                self._outgoing = b""
                break
            self._outgoing = self._outgoing[sent:]
        if self._writable is not None:
            self._writable.stop()

    # ---- receiving

    def _on_readable(self) -> None:
        try:
            assert self._socket is not None
            try:
                data, at = self._receive(self._socket)
            except BlockingIOError:
                return
            except OSError as error:
                self._lost(error)
                return
            if self._tls is None:
                if data:
                    self._take(data, at)
                else:
                    self._ended(at)
            else:
                self._take_tls(self._tls, data, at)
        except Exception as error:
            self._crashed(error)

    def _take_tls(self, tls: TlsLayer, data: bytes, at: float) -> None:
        if not data:
            if tls.ready and self._reader.delimiter == "close":
                self._finish(End.PREMATURE, "the connection was closed without TLS's close_notify", at)
            elif tls.ready:
                self._ended(at)
            else:
                self._tls_failed(EOFError())
            return
        try:
            tls.take(data)
            if not tls.ready:
                self._send(tls.handshake())
                if not tls.ready or self.end is not None:
                    return
                self._established()
                if self.end is not None:
                    return
            data = tls.decrypt()
            if answer := tls.answer():
                self._send(answer)
        except ssl.SSLError as error:
            self._tls_failed(error)
            return
        if data and self.end is None:
            self._take(data, at)
        if tls.ended and self.end is None:
            self._ended(at)

    def _take(self, data: bytes, at: float) -> None:
        """Bytes of the response."""
        reader = self._reader
        self._last = at
        body = self._take_head(data, at) if reader.head is None else reader.feed(data)
        if body and self._content is not None:
            try:
                body = self._content.feed(body)
            except ContentError as error:
                self._finish(End.BAD_HTTP, str(error), at)
        if body and self.end is None:
            self._on_body(body, at)
        if reader.failed:
            self._finish(End.BAD_HTTP, reader.failed, at)
        elif reader.done:
            self._finish(End.CLEAN, "", at)

    def _take_head(self, data: bytes, at: float) -> bytes:
        body = self._reader.feed(data)
        head = self._reader.head
        if head is not None:
            content = ContentDecoder(head.values("content-encoding"), cap=sys.maxsize)
            if content.coding:
                self._content = content
            self._on_head(head, at)
        return body

    def _ended(self, at: float) -> None:
        """The peer closed the connection in order."""
        self._reader.eof()
        if self._reader.done:
            self._finish(End.CLEAN, "", at)
        elif self._reader.head is None:
            self._finish(End.PREMATURE, "the connection was closed before the response head", at)
        else:
            self._finish(
                End.PREMATURE, f"the connection was closed inside a body ({self._reader.delimiter})", at
            )

    # ---- time

    def _await(self, kind: End, since: float, seconds: float) -> None:
        """From now on it is this that must not take longer."""
        self._kind = kind
        self._due = since + seconds
        self._arm()

    def _arm(self) -> None:
        """One timer a stream, which is not touched by what arrives: it looks then whether it was right."""
        self._disarm()
        if self._due < math.inf:
            self._timer = get_hub().loop.timer(max(0.0, self._due - time.monotonic()))
            self._timer.start(self._guarded, self._tick, None, update=True)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _tick(self, _: None) -> None:
        self._catch_up()
        if self.end is not None:
            return
        if self._kind is End.STALL:
            self._due = self._last + self._limits.stall
        now = time.monotonic()
        if now < self._due:
            self._arm()
        elif self._kind is End.TIMEOUT_CONNECT:
            self._finish(self._kind, f"no connection within {self._limits.connect:g} s", now)
        elif self._kind is End.TIMEOUT_HEAD:
            self._finish(self._kind, f"no response head within {self._limits.head:g} s", now)
        elif self._kind is End.TIMEOUT_FIRST:
            self._finish(self._kind, f"no event within {self._limits.first:g} s after the head", now)
        else:
            self._finish(self._kind, f"silence of more than {self._limits.stall:g} s", now)

    def _catch_up(self) -> None:
        """What came in time is not late because this process is."""
        if self._readable is not None:
            self._on_readable()
        elif self._socket is not None:
            try:
                self._socket.getpeername()
            except OSError:
                return  # it has none yet
            self._on_connected(None)

    # ---- the end

    def _guarded(self, step: Any, argument: Any) -> None:
        """A step on the hub; what it raises must not be lost there."""
        if self.end is None:
            try:
                step(argument)
            except Exception as error:
                self._crashed(error)

    def _crashed(self, error: Exception) -> None:
        self.error = error
        self._finish(End.CLOSED_BY_US, f"{type(error).__name__}: {error}", time.monotonic())

    def _fail(self, how: End, why: str) -> None:
        self._finish(how, f"{self._endpoint.where}: {why}", time.monotonic())

    def _lost(self, error: OSError) -> None:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        if error.errno in _OWN:
            self._fail(End.LOCAL, why)
        elif self._readable is None:  # not connected yet
            self._fail(End.REFUSED if error.errno == errno.ECONNREFUSED else End.UNREACHABLE, why)
        elif self._tls is not None and not self._tls.ready:
            self._tls_failed(error)
        else:
            self._fail(End.RESET, why)

    def _tls_failed(self, error: Exception) -> None:
        address = Address(True, self._endpoint.host, self._endpoint.port, self._endpoint.host_header, "/")
        self._finish(End.TLS, tls_reason(address, error), time.monotonic())

    def _drop_socket(self) -> None:
        for watcher in (self._readable, self._writable):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._readable = self._writable = None
        if self._socket is not None:
            if self._tls is not None and self._tls.ready and not self._outgoing:
                with suppress(OSError):
                    self._socket.send(self._tls.goodbye())
            self._socket.close()
            self._socket = None

    def _finish(self, how: End, why: str, at: float) -> None:
        if self.end is not None:
            return
        self.end, self.why = how, why
        self._disarm()
        self._drop_socket()
        try:
            self._on_end(how, why, at)
        except Exception as error:
            self.error = self.error or error
        if self._over is not None:
            self._over.set()
