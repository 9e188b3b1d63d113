"""The decoder against httpx-sse on the same bytes: events per CPU-second, as ratios measured side by side in one run.

    python tests/benchmarks/bench_decoder.py [--output FILE] [--rounds N]

Prints a Markdown table. A ratio is the median over the rounds of (httpx-sse's CPU time / ours): the readers take
turns within a round, so that a machine that slows down slows both. "Whole events" reads span and data of every block;
"as text" also asks for what httpx-sse makes in any case: the event, its data and type as `str`. The last table
compares our own time per byte for a long line with that for shorter ones.
"""

from __future__ import annotations

import argparse
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


def joined(chunks: list[bytes]) -> int:
    """What it costs to take the bytes at all: chunk by chunk, then joined once."""
    pieces: list[bytes] = []
    for chunk in chunks:
        pieces.append(chunk)
    return len(b"".join(pieces)) and 1


def linearity(rounds: int) -> list[str]:
    """Time per byte of a 64 MiB line over that of a 1 MiB line, both in 4 KiB chunks; and the same for a bare join."""
    short = cut(event(MIB) * 16, 4096)
    long = cut(event(64 * MIB), 4096)
    lines: list[str] = []
    readers: list[tuple[Reader, int]] = [(data_alone, 16), (whole_events, 16), (joined, 1)]
    spent: dict[Reader, list[tuple[float, float]]] = {reader: [] for reader, _ in readers}
    for _ in range(rounds):
        for reader, events in readers:
            per_short = cpu_seconds(reader, short, events) / sum(map(len, short))
            per_long = cpu_seconds(reader, long, 1) / sum(map(len, long))
            spent[reader].append((per_short, per_long))
    for reader, _ in readers:
        ratio = statistics.median(long / short for short, long in spent[reader])
        rate = 1 / statistics.median(long for _, long in spent[reader]) / MIB
        lines.append(f"| {reader.__name__.replace('_', ' ')} | {rate:,.0f} | {ratio:.2f} × |")
    return lines


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
            "A line of 64 MiB against sixteen of 1 MiB, in 4 KiB chunks: time per byte. A bare join of the same chunks "
            "shows what large memory costs by itself.",
            "",
            "| what | MiB per CPU-second | per byte |",
            "| --- | --- | --- |",
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
