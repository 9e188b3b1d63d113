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
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from measured_servers import (  # isort: skip  (beside this file)
    BARE,
    COALESCED,
    LOOPED,
    NCHAN,
    NGINX,
    NODE,
    OURS,
    SSE_STARLETTE,
    Server,
    run,
)
from server_measures import COUNTING, JUDGING, Seen, answers, idle, paced, subscribers  # isort: skip


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
