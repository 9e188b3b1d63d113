"""One measurement of a running server: what a reader process got of it, and what that cost the server."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured_servers import NGINX, Server  # isort: skip  (beside this file)

HERE = Path(__file__).parent
COUNTING, JUDGING = HERE / "counting_reader.py", HERE / "judging_reader.py"


@dataclass(frozen=True)
class Seen:
    """What a reader counted from when all its streams were open, and what it cost the server."""

    events: int
    seconds: float
    cpu: float
    delays: tuple[float, ...] = ()

    @property
    def rate(self) -> float:
        """Events per second of CPU time."""
        return self.events / self.cpu


class Reader:
    """A process that reads and counts."""

    def __init__(
        self,
        server: Server,
        requests: Sequence[str],
        *,
        events: int = 0,
        seconds: float = 120.0,
        delays: bool = False,
        program: Path = COUNTING,
    ) -> None:
        self._server = server
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        stamp = {"stamp": server.stamp, "base": server.base if delays else 0}
        self._say(
            {"port": server.port, "requests": list(requests), "events": events, "seconds": seconds, **stamp}
        )
        if self._line() != "ready\n":
            raise RuntimeError(f"{server.name}: not every stream began")
        self._cpu = server.cpu()

    def result(self) -> Seen:
        """Wait for the end."""
        found = json.loads(self._line())
        cpu = self._server.cpu() - self._cpu
        return Seen(found["events"], found["seconds"], cpu, tuple(found["delays"]))

    def close(self) -> None:
        """End the streams that go on."""
        self._process.communicate("\n")

    def _say(self, given: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def answers(server: Server, streams: int, each: int) -> Seen:
    """So many streams, each the answer to a prompt of its own; all begin when all are there."""
    reader = Reader(server, [server.answer(each, 200 + 3 * streams)] * streams)
    seen = reader.result()
    reader.close()
    if seen.events < 0.99 * streams * each:
        raise AssertionError(f"{server.name}: {seen.events} events of {streams * each}")
    return seen


def subscribers(server: Server, streams: int, each: int) -> Seen:
    """So many subscribers of the same events, published as fast as they are taken."""
    wanted = streams * each
    reader = Reader(server, [server.subscribe()] * streams, events=wanted)
    publisher = threading.Thread(target=server.publish, args=(each,))
    publisher.start()
    seen = reader.result()
    publisher.join()
    reader.close()
    if seen.events < wanted:
        raise AssertionError(f"{server.name}: {seen.events} events of {wanted}")
    return seen


def paced(server: Server, program: Path, streams: int, each: int, pace: int) -> Seen:
    """So many subscribers of events that are caused so many milliseconds apart, whether or not the server keeps up."""
    session = server.session() if server.base == 16 else ""
    limit = 60 + each * pace / 1000
    with socket.create_connection(("127.0.0.1", server.port)) as causes:
        threading.Thread(target=_drain, args=(causes,), daemon=True).start()
        if server.name == NGINX:
            causes.sendall(server.cause(session).encode())  # a subscriber's first event
        reader = Reader(
            server,
            [server.subscribe()] * streams,
            events=streams * each,
            seconds=limit,
            delays=True,
            program=program,
        )
        began = time.monotonic()

        def publish() -> None:
            for number in range(each):
                time.sleep(max(0.0, began + number * pace / 1000 - time.monotonic()))
                causes.sendall(server.cause(session).encode())

        publisher = threading.Thread(target=publish, daemon=True)
        publisher.start()
        seen = reader.result()
        late = time.monotonic() - began
        publisher.join()
        reader.close()
    return Seen(seen.events, late, seen.cpu, seen.delays)


def _drain(connection: socket.socket) -> None:
    """Read what is answered, and let it be."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def idle(server: Server, streams: int) -> float:
    """Bytes of the server's memory for each stream that says nothing."""
    warm = Reader(server, [server.subscribe()] * 20, events=1, seconds=1.0)
    warm.close()
    before = server.resident()
    reader = Reader(server, [server.subscribe()] * streams, events=1, seconds=2.0)
    reader.result()
    held = server.resident() - before
    reader.close()
    return held / streams
