"""The load client against the clients that users of Locust take: side by side in one run, each in a process of its own.

    python tests/benchmarks/bench_client.py [--output FILE] [--rounds N] [--quick] [--only PART]

Prints Markdown tables. The clients take turns within a round, so that a machine that slows down slows all of them;
a figure is the median over the rounds, a ratio the median of the rounds' ratios. All of them judge alike: the JSON of
each event is read, and its number must follow the one before. `--quick` only shows that all of it works.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
OURS = "load client"
PACKAGES = ("gevent", "locust", "requests", "httpx", "httpx-sse", "aiohttp", "orjson")

Measured = dict[str, float]
Rounds = dict[str, list[Measured]]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int
    events: int  # of a burst
    users: int  # Locust users, a paced stream each
    rate: float  # events a second and stream
    seconds: float  # of a measurement
    streams: int  # that are paced where half of the CPU is used
    idle: int  # silent ones
    idle_requests: int  # the same of requests: what each costs does not depend on how many there are


FULL = Sizes(5, 100_000, 400, 10.0, 5.0, 200, 5000, 1000)
QUICK = Sizes(1, 2000, 20, 10.0, 0.5, 20, 100, 50)


@contextlib.contextmanager
def source() -> Iterator[str]:
    """The server of `stream_source.py`; gives its URL."""
    command = [sys.executable, str(HERE / "stream_source.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def run(job: str, client: str, url: str, *numbers: float) -> Measured:
    """One client's job in a process of its own."""
    command = [sys.executable, str(HERE / "load_clients.py"), job, client, url, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{job}, {client}: {done.stderr.strip() or done.stdout}")
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured


def median(rounds: list[Measured], name: str) -> float:
    """Over the rounds."""
    return statistics.median(one[name] for one in rounds)


def ratio(found: Rounds, client: str, name: str) -> float:
    """Theirs to ours."""
    return statistics.median(
        theirs[name] / ours[name] for theirs, ours in zip(found[client], found[OURS], strict=True)
    )


def met(held: bool) -> str:
    """As a cell."""
    return "yes" if held else "**no**"


def receiving(url: str, sizes: Sizes) -> list[str]:
    """One stream as fast as it comes."""
    goals = {"httpx-sse": 7.0, "requests": 2.0, "aiohttp": 1.3}
    clients = [OURS, "greenlet", *goals]
    lines = [
        "One stream as fast as it comes, one event of 210 bytes an HTTP chunk, each event decoded and judged. Events "
        "per CPU-second; the ratio is ours to theirs. Written in runs: 64 chunks by a system call of the server. "
        "Alone: each by one of its own, and how many a read finds depends on how fast the client is.",
        "",
        "| client | written | events per CPU-second | goal | ratio | met |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for alone in (0, 1):
        found: Rounds = {client: [] for client in clients}
        for _ in range(sizes.rounds):
            for client in clients:
                found[client].append(run("receive", client, url, sizes.events, alone))
        for client in clients:
            goal = None if alone else goals.get(client)
            times = ratio(found, client, "cpu")
            said = ("" if goal is None else f"≥ {goal:.1f} ×", "" if goal is None else met(times >= goal))
            lines.append(
                f"| {SHOWN[client]} | {'alone' if alone else 'in runs'} | {median(found[client], 'rate'):,.0f} "
                f"| {said[0]} | {times:.2f} × | {said[1]} |"
            )
    return lines


SHOWN = {
    OURS: "load client",
    "greenlet": "a greenlet on gevent's socket, our reader and decoder",
    "requests": "requests `iter_content(None)`, our decoder",
    "httpx-sse": "httpx and httpx-sse",
    "aiohttp": "aiohttp `iter_any`, our decoder",
}


def under_locust(url: str, sizes: Sizes) -> list[str]:
    """Paced streams of Locust users."""
    goals = {"requests": 0.7, "httpx-sse": 0.3}
    clients = [OURS, "greenlet", *goals]
    found: Rounds = {client: [] for client in clients}
    for _ in range(sizes.rounds):
        for client in clients:
            found[client].append(run("users", client, url, sizes.users, sizes.rate, sizes.seconds))
    lines = [
        f"{sizes.users} Locust users in one process, a stream each, {sizes.rate:g} events a second and stream at "
        "moments of their own. CPU time of the whole process per event (Locust's own included); the ratio is ours to "
        "theirs. Noticed after: from the sending of an event to its time as the client knows it.",
        "",
        "| client | CPU per event | events/s | noticed after p50 | p99 | goal | ratio | met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for client in clients:
        goal, share = goals.get(client), 1 / ratio(found, client, "cpu")
        said = ("" if goal is None else f"≤ {goal:.1f} ×", "" if goal is None else met(share <= goal))
        mine = found[client]
        lines.append(
            f"| {SHOWN[client]} | {median(mine, 'cpu') * 1e6:.1f} µs | {median(mine, 'events'):,.0f} "
            f"| {median(mine, 'p50') * 1e3:.3f} ms | {median(mine, 'p99') * 1e3:.3f} ms "
            f"| {said[0]} | {share:.2f} × | {said[1]} |"
        )
    return lines


def clocks(url: str, sizes: Sizes) -> list[str]:
    """What the times are worth in a busy process."""
    found: Rounds = {"kernel": [], "read": []}
    for _ in range(sizes.rounds):
        for clock, mine in found.items():
            mine.append(run("latency", clock, url, sizes.streams, sizes.rate, sizes.seconds))
    lines = [
        f"{sizes.streams} streams of {sizes.rate:g} events a second, and for each event so much more work that half "
        "of a processor is used: how far the times of arrival are from the times at which the server sent. (The "
        "server's time is taken before its system call, which is in the error.)",
        "",
        "| clock | CPU | events judged of those sent | error p50 | p99 | max | goal | met |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for clock, mine in found.items():
        if not all(mine):
            lines.append(f"| {clock} | this machine has none |  |  |  |  | p99 ≤ 0.1 ms | **no** |")
            continue
        p99, due = median(mine, "p99"), sizes.streams * sizes.rate * sizes.seconds
        goal = ("p99 ≤ 0.1 ms", met(p99 <= 1e-4)) if clock == "kernel" else ("", "")
        lines.append(
            f"| {clock} | {median(mine, 'share'):.0%} | {median(mine, 'events') / due:.0%} "
            f"| {median(mine, 'p50') * 1e3:.3f} ms | {p99 * 1e3:.3f} ms | {median(mine, 'max') * 1e3:.1f} ms "
            f"| {goal[0]} | {goal[1]} |"
        )
    return lines


def silent(url: str, sizes: Sizes) -> list[str]:
    """Streams that are open, and nothing comes."""
    found: Rounds = {OURS: [], "requests": []}
    for _ in range(sizes.rounds):
        for client, mine in found.items():
            mine.append(run("idle", client, url, sizes.idle if client == OURS else sizes.idle_requests, 1.0))
    share = 1 / ratio(found, "requests", "memory")
    lines = [
        "Streams that one process holds open, silent after their first event: resident memory each, and the CPU time "
        "of all of them. requests needs a greenlet for each and a session, as a Locust user has.",
        "",
        "| client | streams | memory each | CPU | goal | ratio | met |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for client, mine in found.items():
        ours = client == OURS
        held = share <= 1 / 3 and median(mine, "streams") >= FULL.idle
        lines.append(
            f"| {SHOWN[client]} | {median(mine, 'streams'):,.0f} | {median(mine, 'memory') / 1024:.1f} KiB "
            f"| {median(mine, 'share'):.2%} | {f'{FULL.idle:,} streams; ≤ 1/3' if ours else ''} "
            f"| {f'{share:.2f} ×' if ours else ''} | {met(held) if ours else ''} |"
        )
    return lines


PARTS = {"receiving": receiving, "locust": under_locust, "clocks": clocks, "idle": silent}


def report(sizes: Sizes, parts: list[str]) -> str:
    """The whole document."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        "# Load client",
        "",
        f"Python {platform.python_version()}, {versions}, {platform.machine()}. Median of {sizes.rounds} "
        f"round{'s' if sizes.rounds != 1 else ''}; the clients take turns.",
    ]
    for part in parts:
        with source() as url:
            lines += ["", *PARTS[part](url, sizes)]
    return "\n".join([*lines, ""])


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and save if asked."""
    parser = argparse.ArgumentParser(description="The load client against others, in one run.")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="rounds, at least 5 (default: 5)")
    parser.add_argument("--quick", action="store_true", help="one round of tiny sizes: whether it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="this table alone (repeatable)")
    options = parser.parse_args(argv)
    if options.rounds < 5:
        parser.error("--rounds: at least 5")
    sizes = QUICK if options.quick else Sizes(**{**FULL.__dict__, "rounds": options.rounds})
    text = report(sizes, options.only or list(PARTS))
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
