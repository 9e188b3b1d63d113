"""The decoder against httpx-sse on the same bytes: events per CPU-second, as ratios measured side by side in one run.

    python tests/benchmarks/bench_decoder.py [--output FILE] [--rounds N]

Prints a Markdown table. A ratio is the median over the rounds of (httpx-sse's CPU time / ours): the readers take
turns within a round, so that a machine that slows down slows both. "Whole events" reads span and data of every block;
"as text" also asks for what httpx-sse makes in any case: the event, its data and type as `str`. The last table
compares our own time per byte for a long line with that for shorter ones: what the decoder does itself, one copy of
the line, and what the kernel does for the memory, apart.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from httpx._decoders import TextDecoder
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from conformance.wire import DataDecoder, Decoder

MIB = 1_048_576
Reader = Callable[[list[bytes]], int]


def httpx_sse(chunks: Iterable[bytes]) -> int:
    """The loop of `httpx_sse.EventSource.iter_sse`, without a response around it."""
    text, lines, decoder = TextDecoder("utf-8"), SSELineDecoder(), SSEDecoder()
    count = 0
    for chunk in chunks:
        for line in lines.decode(text.decode(chunk)):
            if decoder.decode(line.rstrip("\n")) is not None:
                count += 1
    return count


def data_alone(chunks: Iterable[bytes]) -> int:
    """Data bytes of each event."""
    decoder = DataDecoder()
    count = 0
    for chunk in chunks:
        for _ in decoder.feed(chunk):
            count += 1
    return count


def whole_events(chunks: Iterable[bytes]) -> int:
    """Blocks with spans and data bytes."""
    decoder = Decoder()
    count = 0
    for chunk in chunks:
        for block in decoder.feed(chunk):
            if block.data is not None and block.end > block.start:
                count += 1
    return count


def as_text(chunks: Iterable[bytes]) -> int:
    """The same, and each event's data and type as text."""
    decoder = Decoder()
    count = 0
    for chunk in chunks:
        for block in decoder.feed(chunk):
            event = block.dispatch
            if event is not None and event.data is not None and event.type and block.end > block.start:
                count += 1
    return count


def event(size: int, *, first: bytes = b"", ending: bytes = b"\n") -> bytes:
    """One event of that many bytes of data line and endings, with `first` as a line before it."""
    head, foot = b'data: {"type": "chat", "text": "', b'"}'
    line = head + b"y" * (size - len(head) - len(foot) - 2) + foot
    return (first + ending if first else b"") + line + 2 * ending


def cut(body: bytes, size: int) -> list[bytes]:
    """In chunks of that size."""
    return [body[i : i + size] for i in range(0, len(body), size)]


@dataclass(frozen=True)
class Row:
    """A comparison: what is read, in which chunks, and the ratio that is to be reached (None: reported only)."""

    reader: Reader
    what: str
    chunking: str
    goal: float | None


@dataclass(frozen=True)
class Input:
    """The same bytes for every reader."""

    chunks: list[bytes]
    events: int
    rows: tuple[Row, ...]


def inputs() -> list[Input]:
    """What is measured."""
    small, large = 20_000, 12
    one, one_crlf = event(210), event(210, ending=b"\r\n")
    with_id, with_type = event(210, first=b"id: evt:1:00000001"), event(210, first=b"event: chat")
    mib, sixteen = event(MIB), event(16_384)

    def rows(chunking: str, what: str, data: float | None, whole: float | None) -> tuple[Row, ...]:
        return (
            Row(data_alone, f"data bytes alone, {what}", chunking, data),
            Row(whole_events, f"whole events, {what}", chunking, whole),
            Row(as_text, f"whole events as text, {what}", chunking, None),
        )

    def in_64k(body: bytes) -> list[bytes]:
        return cut(body, 65_536)

    return [
        Input([one] * small, small, rows("one event", "210 bytes", 3.5, 1.2)),
        Input(in_64k(one * small), small, rows("64 KiB", "210 bytes", 3.5, 2.0)),
        Input(in_64k(mib * large), large, rows("64 KiB", "1 MiB lines", 3.0, None)),
        Input(cut(mib * large, 4096), large, rows("4 KiB", "1 MiB lines", 3.0, None)),
        Input(cut(one * 1000, 1), 1000, rows("1 byte", "210 bytes", 1.0, 1.0)),
        Input(in_64k(sixteen * 400), 400, rows("64 KiB", "16 KiB lines", None, None)),
        Input([one_crlf] * small, small, rows("one event", "CRLF", None, None)),
        Input(in_64k(one_crlf * small), small, rows("64 KiB", "CRLF", None, None)),
        Input([with_id] * small, small, rows("one event", "with `id:`", None, None)),
        Input(in_64k(with_id * small), small, rows("64 KiB", "with `id:`", None, None)),
        Input(in_64k(with_type * small), small, rows("64 KiB", "with `event:`", None, None)),
    ]


def cpu_seconds(reader: Reader, chunks: list[bytes], events: int) -> float:
    """CPU time of one pass; every event must be seen."""
    begun = time.process_time()
    count = reader(chunks)
    spent = time.process_time() - begun
    if count != events:
        raise AssertionError(f"{reader.__name__} saw {count} events, not {events}")
    return spent


def against_httpx_sse(rounds: int) -> list[str]:
    """The rows of the table."""
    lines: list[str] = []
    for case in inputs():
        spent: dict[Reader, list[float]] = {
            reader: [] for reader in (httpx_sse, *(r.reader for r in case.rows))
        }
        for reader in spent:
            cpu_seconds(reader, case.chunks, case.events)
        for _ in range(rounds):
            for reader, times in spent.items():
                times.append(cpu_seconds(reader, case.chunks, case.events))
        for row in case.rows:
            pairs = zip(spent[httpx_sse], spent[row.reader], strict=True)
            ratio = statistics.median(theirs / ours for theirs, ours in pairs)
            rate = case.events / statistics.median(spent[row.reader])
            lines.append(_line(row.what, row.chunking, rate, "≥", row.goal, ratio))
    return lines


def _line(what: str, chunking: str, rate: float, sign: str, goal: float | None, ratio: float) -> str:
    said = "" if goal is None else f"{sign} {goal:.1f} ×"
    met = "" if goal is None else "yes" if (ratio >= goal if sign == "≥" else ratio <= goal) else "**no**"
    return f"| {what} | {chunking} | {rate:,.0f} | {said} | {ratio:.2f} × | {met} |"


LINES = 64  # lines of 1 MiB that a line of so many MiB is compared with


def joined(lines: list[list[bytes]]) -> int:
    """What it costs to make each line one object: its chunks, joined. No reader of whole lines can do with less."""
    return sum(len(b"".join(chunks)) > 0 for chunks in lines)


def keep_memory() -> None:
    """Have the C library keep what is freed, so that the kernel need not clear it again (glibc; else nothing)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-4, 0)  # M_MMAP_MAX: no memory straight from the kernel
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: none back to it


Job = Callable[[], int]


def least(jobs: dict[str, tuple[Job, Job]], rounds: int) -> dict[str, tuple[float, float]]:
    """Milliseconds of CPU time for a MiB, of short lines and of a long one; what else the machine does only adds."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(rounds + 1):
        for name, pair in jobs.items():
            times = []
            for job, expected in zip(pair, (LINES, 1), strict=True):
                begun = time.process_time()
                if job() != expected:
                    raise AssertionError(f"{name}: a line was lost")
                times.append((time.process_time() - begun) * 1000 / LINES)
            found[name].append((times[0], times[1]))
    return {
        name: (min(s for s, _ in pairs[1:]), min(g for _, g in pairs[1:])) for name, pairs in found.items()
    }


def linearity(rounds: int) -> list[str]:
    """CPU time for a MiB of one long line and of as many bytes in lines of 1 MiB, both in 4 KiB chunks."""
    short, long = cut(event(MIB) * LINES, 4096), cut(event(LINES * MIB), 4096)
    lines = [short[i : i + 256] for i in range(0, len(short), 256)]
    bare = "the lines' chunks joined"
    jobs: dict[str, tuple[Job, Job]] = {
        "data alone": (lambda: data_alone(short), lambda: data_alone(long)),
        "whole events": (lambda: whole_events(short), lambda: whole_events(long)),
        bare: (lambda: joined(lines), lambda: joined([long])),
    }
    fresh = least(jobs, rounds)
    keep_memory()
    kept = least(jobs, 3 * rounds)
    rows: list[str] = []
    ratios: list[tuple[float, float, float]] = []
    for name in jobs:
        short_time, long_time = kept[name]
        whole, unkept = long_time / short_time, fresh[name][1] / fresh[name][0]
        own = ""
        if name != bare:
            ratios.append(((long_time - kept[bare][1]) / (short_time - kept[bare][0]), whole, unkept))
            own = f"{ratios[-1][0]:.2f} ×"
        rows.append(
            f"| {name} | {short_time:.3f} ms | {long_time:.3f} ms | {own} | {whole:.2f} × | {unkept:.2f} × |"
        )
    worst = [max(column) for column in zip(*ratios, strict=True)]
    return [
        *rows,
        "",
        f"A byte of a {LINES} MiB line costs at most {worst[0]:.2f} × what a byte of 1 MiB lines costs in the "
        f"decoder's own work, {worst[1]:.2f} × with the copy, {worst[2]:.2f} × in memory fresh from the kernel.",
    ]


def report(rounds: int) -> str:
    """The whole document."""
    return "\n".join(
        [
            "# Decoder",
            "",
            f"Python {platform.python_version()}, httpx {version('httpx')}, httpx-sse {version('httpx-sse')}, "
            f"{platform.machine()}. Median of {rounds} rounds; the ratio is to httpx-sse on the same bytes, CPU time.",
            "",
            "| what | chunks | events per CPU-second | goal | ratio | met |",
            "| --- | --- | --- | --- | --- | --- |",
            *against_httpx_sse(rounds),
            "",
            f"A line of {LINES} MiB against {LINES} of 1 MiB, in 4 KiB chunks: CPU time per MiB (the least of the "
            "rounds), and the long line's as a ratio to the short ones'. A whole line is one copy of it, which a bare "
            "join of the same chunks shows: own work is what the decoder does beyond that. Of a long line no cache "
            "holds the copy; and in memory fresh from the kernel (last column) each of its pages is cleared first.",
            "",
            f"| what | 1 MiB lines | a {LINES} MiB line | own work | with the copy | in fresh memory |",
            "| --- | --- | --- | --- | --- | --- |",
            *linearity(rounds),
            "",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and save if asked."""
    parser = argparse.ArgumentParser(description="The decoder against httpx-sse, in one run.")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, at least 5 (default: 7)")
    options = parser.parse_args(argv)
    if options.rounds < 5:
        parser.error("--rounds: at least 5")
    text = report(options.rounds)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
