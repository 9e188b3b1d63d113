"""The reference server against sse-starlette, Node's http and nginx with nchan, side by side in one run.

    python tests/benchmarks/bench_server.py [--output FILE] [--rounds N] [--quick] [--only TABLE] [--nchan FILE]

Prints Markdown tables. All servers of a table run at once and take turns within a round, so that a machine that slows
down slows all; each is one process, with the same event in each stream, and one process that only counts reads from it
(in one table: the load client, which judges).
A rate is events per second of the server's own CPU time: what it sends when it has a core to itself. A ratio is the
median over the rounds. Needs Linux (/proc) and the extra `fast`; Node and nginx with nchan where they are.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

HERE = Path(__file__).parent
COUNTING, JUDGING = HERE / "counting_reader.py", HERE / "judging_reader.py"
SIZE = 110  # characters of each text: events of about 200 bytes
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
HOUR = "3600"
OURS, COALESCED, SSE_STARLETTE, NODE, NGINX, BARE, LOOPED = (
    "reference server",
    "reference server, coalesced",
    "sse-starlette",
    "Node http",
    "nginx nchan",
    "ASGI's `send`, the same frame each time",
    "the same through our mailboxes and send loop",
)
_opener = build_opener(ProxyHandler({}))


# ---------------------------------------------------------------- servers


@dataclass(frozen=True)
class Server:
    """A server that runs. `stamp`, `base`: how its events tell when they were sent (see counting_reader.py)."""

    name: str
    port: int
    pid: int
    stamp: str = '"at": '
    base: int = 10

    def answer(self, times: int, wait: int) -> str:
        """The request whose answer has so many events, after so many milliseconds."""
        if self.base == 10:
            return _get(f"/answer?times={times}&size={SIZE}&wait={wait}")
        return _with_body(
            "POST", "/agentsmithy/1/api/chat", {"messages": [_user(_script(times, stall_ms=wait))]}
        )

    def subscribe(self) -> str:
        """The request of a subscriber."""
        return _get("/subscribe" if self.base == 10 else "/opencode/1/event")

    def publish(self, times: int) -> None:
        """Let every subscriber have so many events, as fast as they are taken. Returns before or after."""
        if self.base == 10:
            self._ask("POST", f"/publish?times={times}&size={SIZE}")
        else:
            part = {"type": "text", "text": _script(times)}
            self._ask("POST", f"/opencode/1/session/{self.session()}/prompt_async", {"parts": [part]})

    def session(self) -> str:
        """A new session of the reference server."""
        return str(json.loads(self._ask("POST", "/opencode/1/session", {}))["id"])

    def cause(self, session: str) -> str:
        """The request that causes one event: a new title of a session, where there are sessions."""
        if self.base == 16:
            return _with_body("PATCH", f"/opencode/1/session/{session}", {"title": "x" * SIZE})
        if self.name == SSE_STARLETTE:
            return _with_body("POST", f"/publish?times=1&size={SIZE}", {})
        event = {"at": time.time_ns() // 1_000_000, "type": "chat", "content": "x" * SIZE}
        return _with_body("POST", "/publish", event)

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with _opener.open(request, timeout=300) as answer:
            return bytes(answer.read())

    def cpu(self) -> float:
        """Seconds of CPU time that it has spent."""
        spent = 0
        for pid in _family(self.pid):
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                spent += int(task.read_text().split()[0])
        return spent / 1e9

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _family(self.pid))
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


def _with_body(method: str, path: str, body: Any) -> str:
    text = json.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {len(text)}\r\n\r\n{text}"


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _script(times: int, *, pace_ms: int = 0, stall_ms: int = 0) -> str:
    turn = {"text": [{"fill": SIZE, "times": times}], "stall_ms": stall_ms}
    return f"[[script {json.dumps({'turns': [turn], 'pace_ms': pace_ms})}]]"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def run(name: str, nchan: Path) -> Iterator[Server]:
    """A server of that name, while it runs."""
    port = _free_port()
    reference = [sys.executable, "-m", "reference_server", "--port", str(port), "--fast", "--heartbeat", HOUR]
    with tempfile.TemporaryDirectory() as folder:
        command = {
            OURS: reference,
            COALESCED: [*reference, "--coalesce", "5"],
            SSE_STARLETTE: [sys.executable, str(HERE / "servers" / "sse_starlette_app.py"), str(port)],
            NODE: ["node", str(HERE / "servers" / "node_http.mjs"), str(port)],
            BARE: [sys.executable, str(HERE / "servers" / "bare_app.py"), str(port)],
            LOOPED: [sys.executable, str(HERE / "servers" / "bare_app.py"), str(port), "loop"],
            NGINX: ["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"],
        }[name]
        if name == NGINX:
            command[0] = shutil.which("nginx") or "/usr/sbin/nginx"
            (Path(folder) / "nginx.conf").write_text(_nginx_conf(port, nchan))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            ours = name in (OURS, COALESCED)
            stamp = "evt_" if ours else '"at":' if name == NODE else '"at": '
            yield Server(name, port, process.pid, stamp, 16 if ours else 10)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _nginx_conf(port: int, nchan: Path) -> str:
    return f"""
load_module {nchan};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        nchan_channel_id events;
        location /subscribe {{ nchan_subscriber eventsource; nchan_subscriber_first_message -1; }}
        location /publish {{ nchan_publisher; nchan_message_buffer_length 4096; }}
    }}
}}
"""


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not listen") from None
            time.sleep(0.05)


# ---------------------------------------------------------------- one measurement


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


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    streams: tuple[tuple[int, int], ...]  # how many, and the events of each
    shared: tuple[tuple[int, int], ...]
    counted: int  # subscribers whose reader only counts
    judged: int  # and whose reader judges
    fan_seconds: int
    idle: int
    nchan: Path


WHOLE = Plan(
    5,
    ((1, 20_000), (100, 300), (1000, 50)),
    ((1, 20_000), (100, 500), (1000, 100)),
    1000,
    300,
    10,
    1000,
    NCHAN,
)
QUICK = Plan(1, ((1, 1000), (20, 50)), ((1, 1000), (20, 50)), 20, 10, 1, 50, NCHAN)


@dataclass
class Table:
    """A title, what stands above, and rows that are filled as they are measured."""

    title: str
    text: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """As Markdown."""
        return [
            f"## {self.title}", "", self.text, "",
            f"| {' | '.join(self.head)} |", f"|{' --- |' * len(self.head)}",
            *(f"| {' | '.join(row)} |" for row in self.rows), "",
        ]  # fmt: skip


def _goal(value: float, sign: str, goal: float | None, unit: str = "×") -> tuple[str, str]:
    if goal is None:
        return "", ""
    met = value >= goal if sign == "≥" else value <= goal
    return f"{sign} {goal:g} {unit}", "yes" if met else "**no**"


Measure = Callable[[Server, int, int], Seen]


def _rates(
    table: Table, plan: Plan, measure: Measure, shape: Sequence[tuple[int, int]], shared: bool
) -> Table:
    ours, others = (OURS, COALESCED), [SSE_STARLETTE, *([NODE] if shutil.which("node") else [])]
    # what is asked of the one and of the other, and against whom
    goals = {
        (OURS, SSE_STARLETTE): 2.5,
        **({(COALESCED, SSE_STARLETTE): 15.0, (COALESCED, NODE): 1.0} if shared else {}),
    }
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(run(name, plan.nchan)) for name in (*ours, *others)]
        for streams, each in shape:
            rates: dict[str, list[float]] = {server.name: [] for server in servers}
            for number in range(plan.rounds + 1):
                for server in servers:
                    seen = measure(server, streams, each)
                    if number:  # the first round warms up
                        rates[server.name].append(seen.rate)
            for name in ours:
                for other in others:
                    ratio = statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))
                    wanted, met = _goal(ratio, "≥", goals.get((name, other)))
                    table.rows.append((
                        name, f"{streams:,}", f"{statistics.median(rates[name]):,.0f}", other,
                        f"{statistics.median(rates[other]):,.0f}", f"{ratio:.2f} ×", wanted, met,
                    ))  # fmt: skip
    return table


RATES = ("server", "streams", "events/s", "against", "its events/s", "ratio", "goal", "met")


def own_answers(plan: Plan) -> Table:
    """Each stream has an agent of its own."""
    table = Table(
        "An answer for each stream",
        "Every stream is the answer to a prompt of its own: events are made, written as JSON and sent for it alone, "
        "one flush per event but where coalescing (5 ms; Node's http does it by itself) joins them.",
        RATES,
    )
    return _rates(table, plan, answers, plan.streams, shared=False)


def making(plan: Plan) -> Table:
    """What of it is sending, and what making."""
    servers = (BARE, LOOPED, OURS, SSE_STARLETTE)
    table = Table(
        "Where the time of an answer's event goes",
        "CPU time per event: what cannot be done without, what the guard for slow readers and the heartbeat cost, and "
        "the whole server, which also makes the event: agent, protocol, JSON, history.",
        ("server", *(f"{streams:,} stream{'s' * (streams > 1)}" for streams, _ in plan.streams)),
    )
    times: dict[str, list[list[float]]] = {name: [] for name in servers}
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(run(name, plan.nchan)) for name in servers]
        for streams, each in plan.streams:
            for server in running:
                times[server.name].append([])
            for number in range(plan.rounds + 1):
                for server in running:
                    seen = answers(server, streams, each)
                    if number:  # the first round warms up
                        times[server.name][-1].append(1e6 / seen.rate)
    for name, found in times.items():
        table.rows.append((name, *(f"{statistics.median(one):.1f} µs" for one in found)))
    return table


def shared_events(plan: Plan) -> Table:
    """All streams show the same events."""
    table = Table(
        "The same events for all streams",
        "Subscribers of one source: an event is written as JSON once, and sent to each.",
        RATES,
    )
    return _rates(table, plan, subscribers, plan.shared, shared=True)


def counted(plan: Plan) -> Table:
    """Events at a pace, to many."""
    return fan_out(plan, COUNTING, plan.counted, "its reader, which only counts, had read it")


def judged(plan: Plan) -> Table:
    """Events at a pace, to as many as the load client judges on one core."""
    return fan_out(
        plan, JUDGING, plan.judged, "the load client had decoded it, read its JSON and compared it"
    )


def fan_out(plan: Plan, program: Path, streams: int, until: str) -> Table:
    """Events at a pace, to readers that run that program."""
    names = [OURS, SSE_STARLETTE, *([NGINX] if plan.nchan.exists() else [])]
    pace, each = 10, plan.fan_seconds * 100
    missing = "" if NGINX in names else " nginx's nchan is not installed here (Debian: libnginx-mod-nchan)."
    table = Table(
        f"100 events a second to {streams:,} subscribers{' that are judged' if program == JUDGING else ''}",
        f"{plan.fan_seconds} s, each event caused by a request of its own, in time. Delays: from when it was made "
        f"(whole milliseconds) until {until}.{missing}",
        ("server", "delivered", "over after", "CPU", "delay p50", "p99", "goal", "met"),
    )
    found: dict[str, list[Seen]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(run(name, plan.nchan)) for name in names]
        for _ in range(plan.rounds):
            for server in servers:
                found[server.name].append(paced(server, program, streams, each, pace))
    p99 = {
        name: statistics.median(_quantile(seen.delays, 0.99) for seen in runs) for name, runs in found.items()
    }
    for name, runs in found.items():
        seconds = statistics.median(seen.seconds for seen in runs)
        delivered = min(seen.events / (streams * each) for seen in runs)
        wanted = met = ""
        if name == OURS:
            wanted = "all, while they are made" + (
                f"; p99 ≤ {p99[NGINX] + 10:.0f} ms" if NGINX in names else ""
            )
            good = (
                delivered >= 1 and seconds <= plan.fan_seconds + 1 and p99[name] <= p99.get(NGINX, 1e9) + 10
            )
            met = "yes" if good else "**no**"
        cpu = statistics.median(seen.cpu / seen.seconds for seen in runs)
        p50 = statistics.median(_quantile(seen.delays, 0.5) for seen in runs)
        delays = f"{p50:.1f} ms", f"{p99[name]:.1f} ms"
        table.rows.append((name, f"{delivered:.1%}", f"{seconds:.1f} s", f"{cpu:.0%}", *delays, wanted, met))
    return table


def _quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def memory(plan: Plan) -> Table:
    """Streams that say nothing."""
    table = Table(
        "Memory of an idle stream",
        f"Resident memory that {plan.idle:,} silent subscribers add to a server that has had twenty before.",
        ("server", "KiB a stream", "against sse-starlette", "goal", "met"),
    )
    found: dict[str, list[float]] = {OURS: [], SSE_STARLETTE: []}
    for _ in range(plan.rounds):
        for name, sizes in found.items():
            with run(
                name, plan.nchan
            ) as server:  # a process of its own each time: what was freed is used again
                sizes.append(idle(server, plan.idle))
    ratio = statistics.median(a / b for a, b in zip(found[OURS], found[SSE_STARLETTE], strict=True))
    _, met = _goal(ratio, "≤", 1 / 3)
    table.rows.append((OURS, f"{statistics.median(found[OURS]) / 1024:.1f}", f"{ratio:.2f} ×", "≤ 1/3", met))
    table.rows.append((SSE_STARLETTE, f"{statistics.median(found[SSE_STARLETTE]) / 1024:.1f}", "", "", ""))
    return table


TABLES: dict[str, Callable[[Plan], Table]] = {
    "answers": own_answers,
    "making": making,
    "shared": shared_events,
    "fan-out": counted,
    "judged": judged,
    "memory": memory,
}


def report(plan: Plan, only: Sequence[str]) -> Iterator[str]:
    """The document, piece by piece as they are measured."""
    command = ["node", "--version"]
    node = (
        subprocess.run(command, capture_output=True, text=True, check=True) if shutil.which("node") else None
    )
    against = [
        f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "httptools", "sse-starlette", "starlette")
    ]
    against += [f"Node {node.stdout.strip()}" if node else "Node is missing", platform.machine()]
    lines = [
        "# Server",
        "",
        f"Python {platform.python_version()}, {', '.join(against)}; load average {os.getloadavg()[0]:.1f} at the "
        f"start. Medians of {plan.rounds} rounds in which the servers take turns; events per second of CPU time.",
        "",
        *(
            ["**A quick run, which shows that this works: its figures say nothing.**", ""]
            if plan.rounds == 1
            else []
        ),
    ]
    yield "\n".join(lines)
    for name in only or TABLES:
        yield "\n".join(TABLES[name](plan).lines())


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and save if asked."""
    parser = argparse.ArgumentParser(description="The reference server against others, in one run.")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    parser.add_argument("--rounds", type=int, help="rounds, at least 5 (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="one small round of each: shows that it works, and no more"
    )
    parser.add_argument(
        "--only", action="append", choices=TABLES, default=[], help="this table; may be repeated"
    )
    parser.add_argument("--nchan", type=Path, default=NCHAN, help="nginx's module (%(default)s)")
    options = parser.parse_args(argv)
    if options.rounds is not None and options.rounds < 5 and not options.quick:
        parser.error("--rounds: at least 5")
    plan = QUICK if options.quick else WHOLE
    plan = replace(plan, nchan=options.nchan, rounds=options.rounds or plan.rounds)
    pieces = []
    for piece in report(plan, options.only):
        print(piece, flush=True)
        pieces.append(piece)
    if options.output is not None:
        options.output.write_text("\n".join([*pieces, ""]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
