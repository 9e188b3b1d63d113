"""The client under the load: HTTP/1.1 event streams on gevent's hub, without a greenlet, a thread or a library each.

It knows neither Locust nor a protocol. One call, one connection: `open_stream` for event streams, `exchange` for
ordinary requests. gevent's monkey-patching may be on or off. Times are seconds of `time.monotonic()`; those at
which bytes arrived are the kernel's where `CLOCK` is "kernel", and else those at which they were read.

    endpoint = Endpoint.of("http://127.0.0.1:8000/prefix")
    stream = open_stream(endpoint, Call("GET", "/events"), listener, Limits(stall=30.0))
    stream.wait(60.0)  # other greenlets run meanwhile
    stream.close()
"""

from __future__ import annotations

from loadtests.client.clock import CLOCK
from loadtests.client.connection import End
from loadtests.client.exchange import Answer, ClientError, exchange
from loadtests.client.request import Call, Endpoint, Limits
from loadtests.client.stream import Listener, Stream, open_stream

__all__ = [
    "CLOCK",
    "Answer",
    "Call",
    "ClientError",
    "End",
    "Endpoint",
    "Limits",
    "Listener",
    "Stream",
    "exchange",
    "open_stream",
]
