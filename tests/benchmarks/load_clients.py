"""One client in a process of its own, for `bench_client.py`: does a job, and prints what it took as JSON.

    python tests/benchmarks/load_clients.py receive|users|latency|idle CLIENT URL NUMBER…

Every client judges alike: it reads the JSON of each event, and the numbers must follow one another.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import orjson


class Judge:
    """Of one stream. `times`: how long after it was sent each event was there, as far as the client knows."""

    __slots__ = ("number", "times")

    def __init__(self, times: list[float] | None = None) -> None:
        self.number = 0
        self.times = times

    def take(self, data: bytes | str, at: float) -> None:
        """The next event."""
        event = orjson.loads(data)
        if event["number"] != self.number or event["type"] != "chat":
            raise AssertionError(f"expected event {self.number}: {data!r}")
        self.number += 1
        if self.times is not None:
            self.times.append(at - event["sent"])


# ---- one stream, as each client reads it


def by_thin_client(url: str, judge: Judge) -> None:
    """The load client: a watcher on gevent's hub."""
    from loadtests.client import Call, End, Endpoint, open_stream

    base, path = _split(url)
    stream = open_stream(Endpoint.of(base), Call("GET", path), listener(judge))
    if stream.wait() is not End.CLEAN:
        raise AssertionError(stream.why)


def by_greenlet(url: str, judge: Judge) -> None:
    """A greenlet that reads gevent's socket, with the same reader and decoder: what the load client might have been."""
    from gevent import socket

    from conformance.observe.http1 import ResponseReader
    from conformance.wire import DataDecoder

    base, path = _split(url)
    host = base.removeprefix("http://")
    name, _, port = host.partition(":")
    reader, decoder = ResponseReader("GET"), DataDecoder()
    with socket.create_connection((name, int(port))) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        while data := sock.recv(65_536):
            at = time.monotonic()
            if body := reader.feed(data):
                for event in decoder.feed(body):
                    judge.take(event, at)


def by_requests(url: str, judge: Judge) -> None:
    """requests: `iter_content(None)`, a chunk at a time, and our decoder."""
    import requests

    with requests.Session() as session, session.get(url, stream=True) as response:
        of_requests(response, judge)


def of_requests(response: Any, judge: Judge) -> None:
    """The body of such an answer."""
    from conformance.wire import DataDecoder

    decoder = DataDecoder()
    for chunk in response.iter_content(None):
        at = time.monotonic()
        for event in decoder.feed(chunk):
            judge.take(event, at)


def by_httpx_sse(url: str, judge: Judge) -> None:
    """httpx and httpx-sse, as their documentation says."""
    import httpx
    import httpx_sse

    with httpx.Client(timeout=None) as client, httpx_sse.connect_sse(client, "GET", url) as source:
        for event in source.iter_sse():
            judge.take(event.data, time.monotonic())


def by_aiohttp(url: str, judge: Judge) -> None:
    """aiohttp: `iter_any`, and our decoder."""
    import asyncio

    import aiohttp

    from conformance.wire import DataDecoder

    async def read() -> None:
        decoder = DataDecoder()
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            async for data in response.content.iter_any():
                at = time.monotonic()
                for event in decoder.feed(data):
                    judge.take(event, at)

    asyncio.run(read())


Client = Callable[[str, Judge], None]
CLIENTS: dict[str, Client] = {
    "load client": by_thin_client,
    "greenlet": by_greenlet,
    "requests": by_requests,
    "httpx-sse": by_httpx_sse,
    "aiohttp": by_aiohttp,
}


def _split(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    return f"{scheme}://{authority}", f"/{path}"


def listener(judge: Judge, work: Callable[[], None] | None = None) -> Any:
    """A listener of the load client that judges, and does some more work for each event."""

    class Judging:
        __slots__ = ()

        def opened(self, began: float, at: float) -> None:
            pass

        def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
            if status != 200:
                raise AssertionError(f"status {status}")

        def events(self, datas: list[bytes], size: int, at: float) -> None:
            for data in datas:
                judge.take(data, at)
                if work is not None:
                    work()

        def ended(self, how: Any, why: str, at: float) -> None:
            pass

    return Judging()


# ---- jobs


def receive(client: str, url: str, events: int, alone: int) -> dict[str, float]:
    """CPU seconds for so many events."""
    read = CLIENTS[client]
    more = "&alone=1" if alone else ""
    read(f"{url}/burst?events=1000{more}", Judge())
    judge = Judge()
    begun = time.process_time()
    read(f"{url}/burst?events={events}{more}", judge)
    spent = time.process_time() - begun
    if judge.number != events:
        raise AssertionError(f"{client} saw {judge.number} events, not {events}")
    return {"cpu": spent, "rate": events / spent}


def users(client: str, url: str, streams: int, rate: float, seconds: float) -> dict[str, float]:
    """CPU time per event of that many Locust users, each with a paced stream; and how late events were noticed."""
    import gevent
    from locust import HttpUser, User, constant, task
    from locust.env import Environment

    path, times = f"/paced?rate={rate:g}", []
    judges: list[Judge] = []

    def judge() -> Judge:
        judges.append(Judge(times))
        return judges[-1]

    class Streaming(User):
        wait_time = constant(0)

        @task
        def stream(self) -> None:
            CLIENTS[client](url + path, judge())

    class StreamingByRequests(HttpUser):
        wait_time = constant(0)

        @task
        def stream(self) -> None:
            # Locust's own client of requests is how most users of Locust read a stream.
            of_requests(self.client.get(path, stream=True), judge())

    user = StreamingByRequests if client == "requests" else Streaming
    environment = Environment(user_classes=[user], host=url)
    runner = environment.create_local_runner()
    runner.start(streams, spawn_rate=streams)
    deadline = time.monotonic() + 120
    while len(judges) < streams or not all(one.number for one in judges):
        if time.monotonic() > deadline:
            raise AssertionError(f"{client}: not all of {streams} streams have begun")
        gevent.sleep(0.05)
    times.clear()
    gc.collect()
    cpu, begun = time.process_time(), time.monotonic()
    gevent.sleep(seconds)
    spent, took, seen = time.process_time() - cpu, time.monotonic() - begun, len(times)
    ordered = sorted(times[:seen])
    _leave(
        {
            "cpu": spent / seen,
            "events": seen / took,
            "share": spent / took,
            "p50": statistics.median(ordered),
            "p99": ordered[len(ordered) * 99 // 100],
        }
    )
    return {}


def latency(clock: str, url: str, streams: int, rate: float, seconds: float) -> dict[str, float]:
    """How far the arrival times are from the times of sending, while half of a processor's time is used."""
    import gevent

    from loadtests.client import CLOCK, Call, Endpoint, open_stream
    from loadtests.client.clock import receive_kernel, receive_read

    if clock == "kernel" and CLOCK != "kernel":
        return {}
    times: list[float] = []
    spin = 0.0

    def work() -> None:
        until = time.perf_counter() + spin
        while time.perf_counter() < until:
            pass

    endpoint, call = Endpoint.of(url), Call("GET", f"/paced?rate={rate:g}")
    receive = receive_kernel if clock == "kernel" else receive_read
    judges = [Judge(times) for _ in range(streams)]
    opened = [open_stream(endpoint, call, listener(judge, work), receive=receive) for judge in judges]

    def measure(for_seconds: float) -> float:
        times.clear()
        cpu, begun = time.process_time(), time.monotonic()
        gevent.sleep(for_seconds)
        return (time.process_time() - cpu) / (time.monotonic() - begun)

    gevent.sleep(2 / rate)
    spin = max(0.0, 0.5 - measure(seconds / 4)) / (streams * rate)
    gc.collect()
    share = measure(seconds)
    errors = sorted(times)
    for stream in opened:
        stream.close()
    return {
        "share": share,
        "events": len(errors),
        "p50": statistics.median(errors),
        "p99": errors[len(errors) * 99 // 100],
        "max": errors[-1],
    }


def idle(client: str, url: str, streams: int, seconds: float) -> dict[str, float]:
    """Memory and CPU time of streams that are open and silent."""
    import gevent
    import psutil

    judges: list[Judge] = []
    kept: list[Any] = []

    def begin() -> None:
        judge = Judge()
        judges.append(judge)
        if client == "load client":
            from loadtests.client import Call, Endpoint, Limits, open_stream

            kept.append(
                open_stream(Endpoint.of(url), Call("GET", "/idle"), listener(judge), Limits(stall=3600.0))
            )
        else:
            kept.append(gevent.spawn(CLIENTS[client], f"{url}/idle", judge))

    def all_open() -> None:
        deadline = time.monotonic() + 120
        while not all(judge.number for judge in judges):
            if time.monotonic() > deadline:
                raise AssertionError(f"{client}: only {sum(j.number for j in judges)} streams are open")
            gevent.sleep(0.01)

    process = psutil.Process()
    for _ in range(20):  # what is needed once is there before it is counted
        begin()
    all_open()
    gc.collect()
    before = process.memory_info().rss
    for first in range(0, streams, 100):
        for _ in range(min(100, streams - first)):
            begin()
        all_open()
    gc.collect()
    memory = (process.memory_info().rss - before) / streams
    cpu, begun = time.process_time(), time.monotonic()
    gevent.sleep(seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - begun)
    _leave({"streams": streams, "memory": memory, "share": share})
    return {}


def _leave(said: dict[str, float]) -> None:
    """Without closing thousands of streams in order."""
    import os

    print(json.dumps(said), flush=True)
    os._exit(0)


JOBS: dict[str, Callable[..., dict[str, float]]] = {
    "receive": receive,
    "users": users,
    "latency": latency,
    "idle": idle,
}


if __name__ == "__main__":
    job, who, where, *numbers = sys.argv[1:]
    if (job in ("users", "idle") and who != "load client") or job == "users":
        # As Locust does it, and before anything else is imported.
        from gevent import monkey

        monkey.patch_all()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps(JOBS[job](who, where, *(float(n) if "." in n else int(n) for n in numbers))))
