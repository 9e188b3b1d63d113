"""Linear in bytes whatever the chunking: the same work per byte for a short body and a long one.

CPU time in units of what it costs to take the same chunks of the same body and join them: that holds the
costs of large memory, and of the machine, which are no business of the decoder. The sizes are such that joining
what is pending at every chunk, the usual mistake, multiplies the work per byte by more than the bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from conformance.wire import DataDecoder, Decoder

MIB = 1_048_576
BOUND = 5.0  # measured: 0.4 to 1.1


def long_line(size: int) -> bytes:
    return b"data: " + b"x" * size + b"\n\n"


def long_crlf_line(size: int) -> bytes:
    return b"data: " + b"x" * size + b"\r\n\r\n"


def many_lines(size: int) -> bytes:
    return b"data: 0123456789\n" * (size // 17) + b"\n"


def many_empty_lines(size: int) -> bytes:
    return b"data\r" * (size // 5) + b"\r"


def many_events(size: int) -> bytes:
    return b"data: 0123456789\n\n" * (size // 18)


def many_blank_lines(size: int) -> bytes:
    return b"\n" * (size // 5)


BODIES = [long_line, long_crlf_line, many_lines, many_empty_lines, many_events, many_blank_lines]


def cpu_seconds(feed: Callable[[bytes], object], body: bytes, step: int) -> float:
    begun = time.process_time()
    for start in range(0, len(body), step):
        feed(body[start : start + step])
    return time.process_time() - begun


def joining(body: bytes, step: int) -> float:
    pieces: list[bytes] = []
    spent = cpu_seconds(pieces.append, body, step)
    begun = time.process_time()
    joined = b"".join(pieces)
    assert joined[1:] == body[1:]
    return spent + time.process_time() - begun


def cost(make: Callable[[], Decoder | DataDecoder], body: bytes, step: int, rounds: int) -> float:
    best = min(cpu_seconds(make().feed, body, step) for _ in range(rounds))
    return best / min(joining(body, step) for _ in range(rounds))


@pytest.mark.parametrize("decoder", [Decoder, DataDecoder])
@pytest.mark.parametrize("body", [long_line, long_crlf_line])
def test_a_line_of_64_mib_in_chunks_of_4_kib(
    decoder: type[Decoder] | type[DataDecoder], body: Callable[[int], bytes]
) -> None:
    assert cost(decoder, body(64 * MIB), 4096, 1) / cost(decoder, body(MIB), 4096, 8) < BOUND


@pytest.mark.parametrize("body", BODIES)
def test_byte_by_byte(body: Callable[[int], bytes]) -> None:
    assert cost(Decoder, body(500_000), 1, 1) / cost(Decoder, body(20_000), 1, 3) < BOUND


@pytest.mark.parametrize("body", [many_lines, many_empty_lines, many_events])
def test_many_lines_in_small_chunks(body: Callable[[int], bytes]) -> None:
    assert cost(Decoder, body(1_000_000), 100, 1) / cost(Decoder, body(40_000), 100, 3) < BOUND


def test_between_the_caps_too() -> None:
    """There every chunk is weighed, which must not look at the pending line again."""

    def of(size: int, rounds: int) -> float:
        body = b"data: " + b"x" * (size // 2) + b"\ndata: " + b"x" * size + b"\n\n"
        return cost(lambda: Decoder(max_line=size + 10, max_event=2 * size), body, 16, rounds)

    assert of(8 * MIB, 1) / of(MIB // 2, 3) < BOUND
