"""What the arrivals of one answer say of time: gaps, stalls, delivery delay, and skew between subscribers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

# A timer may fire so much early: event loops count in whole milliseconds.
TIMER = 0.001
DELAY_METHOD = (
    "the server pauses pace_ms before each chunk, so a chunk had been made at the latest k pauses (less 1 ms each, by "
    "which timers may be early) before the k-th chunk after it arrived; its delay is the time from then to its own "
    "arrival, at least 0. No clock is compared with another, and a server that is slow to make its chunks is not "
    "accused of delivering them late; a delay that is the same for all chunks of an answer does not show (it is in "
    "ttfc)."
)


def gaps(times: Sequence[float]) -> Iterator[tuple[float, float]]:
    """From and until, for each two that follow each other."""
    return pairwise(times)


def delays(arrived: Sequence[float], pace: float) -> list[float]:
    """The delivery delay of each chunk of an answer that came whole and in order, by `DELAY_METHOD`; all in seconds."""
    pause = max(pace - TIMER, 0.0)
    out = [0.0] * len(arrived)
    made = float("inf")
    for place in range(len(arrived) - 1, -1, -1):
        made = min(arrived[place], made - pause)
        out[place] = arrived[place] - made
    return out


def skews(subscribers: Sequence[Sequence[float]]) -> list[float]:
    """For each chunk, how long after the first subscriber the last one had it; all have heard the answer whole."""
    return [max(times) - min(times) for times in zip(*subscribers, strict=True)]
