"""The decoder against httpx-sse on the same bytes: events per CPU-second, as ratios measured side by side in one run.

    python tests/benchmarks/bench_decoder.py [--output FILE] [--rounds N]

Prints a Markdown table. A ratio is the median over the rounds of (httpx-sse's CPU time / ours): the readers take
turns within a round, so that a machine that slows down slows both. "Whole events" reads span and data of every block;
"as text" also asks for what httpx-sse makes in any case: the event, its data and type as `str`. The last table
compares our own time per byte for a long line with that for shorter ones, in memory that is as fresh or as used.
"""

from __future__ import annotations

import argparse
import ctypes
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from httpx._decoders import TextDecoder
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from conformance.wire import Block, DataDecoder, Decoder

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


LONG = 64  # MiB of the long line; the short ones have one
PROCESSES = 25  # fresh processes for each line
Lines = list[list[bytes]]
"""Lines, each in its chunks."""


def joined(lines: Lines) -> list[bytes]:
    """What it costs to make each line one object: its chunks, joined. No reader of whole lines can do with less."""
    return [b"".join(chunks) for chunks in lines]


def data_kept(lines: Lines) -> list[bytes]:
    """The data of each line, all of it kept."""
    decoder = DataDecoder()
    return [data for chunks in lines for chunk in chunks for data in decoder.feed(chunk)]


def events_kept(lines: Lines) -> list[Block]:
    """The block of each line, all of them kept."""
    decoder = Decoder()
    return [block for chunks in lines for chunk in chunks for block in decoder.feed(chunk)]


KEEPERS: dict[str, Callable[[Lines], Sequence[object]]] = {
    "data alone": data_kept,
    "whole events": events_kept,
    "the lines' chunks joined": joined,
}


def in_lines(mib: int) -> Lines:
    """`LONG` MiB in lines of that size, in 4 KiB chunks."""
    return [cut(event(mib * MIB), 4096) for _ in range(LONG // mib)]


def milliseconds(keeper: Callable[[Lines], Sequence[object]], lines: Lines) -> float:
    """CPU time for each MiB."""
    begun = time.process_time()
    kept = keeper(lines)
    spent = time.process_time() - begun
    if len(kept) != len(lines):
        raise AssertionError(f"{keeper.__name__} saw {len(kept)} lines, not {len(lines)}")
    return spent * 1000 * MIB / sum(len(chunk) for chunks in lines for chunk in chunks)


def in_memory_used_before(rounds: int) -> dict[str, tuple[float, float]]:
    """Of 64 lines that are all kept, and of a line as long as they: medians of rounds in which they take turns.

    The C library keeps what is freed (glibc; else nothing is changed), so that no page is cleared by the kernel.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-4, 0)  # M_MMAP_MAX: no memory straight from the kernel
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: none back to it
    short, long = in_lines(1), in_lines(LONG)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in KEEPERS}
    for _ in range(rounds + 1):
        for name, keeper in KEEPERS.items():
            found[name].append((milliseconds(keeper, short), milliseconds(keeper, long)))
    return {name: _medians(times[1:]) for name, times in found.items()}


def first_line(name: str, mib: int) -> float:
    """In a process that has decoded one small event: what its first line costs, with as much else in memory."""
    KEEPERS[name]([[event(210)]])
    return milliseconds(KEEPERS[name], in_lines(mib)[:1])


def in_fresh_memory() -> dict[str, tuple[float, float]]:
    """Of a line of 1 MiB and of one of 64, each the first in a process of its own: medians; they take turns."""

    def run(name: str, mib: int) -> float:
        command = [sys.executable, __file__, "--first", name, str(mib)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return {name: _medians([(run(name, 1), run(name, LONG)) for _ in range(PROCESSES)]) for name in KEEPERS}


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(short for short, _ in pairs), statistics.median(long for _, long in pairs)


def linearity(rounds: int) -> list[str]:
    """The rows of the second table."""
    warm, fresh = in_memory_used_before(3 * rounds), in_fresh_memory()
    return [
        f"| {name} | {' | '.join(f'{short:.3f} ms | {long:.3f} ms | {long / short:.2f} ×' for short, long in both)} |"
        for name, both in ((name, (fresh[name], warm[name])) for name in KEEPERS)
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
            f"A line of {LONG} MiB against lines of 1 MiB, in 4 KiB chunks, like with like: CPU time for a MiB. In "
            f"fresh memory each line is the first of a process of its own ({PROCESSES} of each, in turns); in memory "
            f"used before, {LONG} lines that are all kept stand against the one. The last row is what a reader of "
            "whole lines cannot do without: one copy.",
            "",
            f"| what | 1 MiB, fresh | {LONG} MiB, fresh | ratio | 1 MiB, used | {LONG} MiB, used | ratio |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *linearity(rounds),
            "",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and save if asked."""
    parser = argparse.ArgumentParser(description="The decoder against httpx-sse, in one run.")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, at least 5 (default: 7)")
    parser.add_argument("--first", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.first is not None:
        print(first_line(options.first[0], int(options.first[1])))
        return 0
    if options.rounds < 5:
        parser.error("--rounds: at least 5")
    text = report(options.rounds)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
