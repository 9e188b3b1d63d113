"""What the reader processes of `bench_server.py` agree on: patience, and how an event tells when it was sent.

In, as one line of JSON on standard input: `port`; `requests`, each the text of a whole HTTP request; `events`, after
how many of them, or when nothing comes for long, it is over (0: when the streams end); `seconds`, after how many it is
over in any case; `stamp`, what precedes the time of sending in an event's text, and `base`, in which it is written (0:
delays are not wanted).

Out: a line `ready` when every stream has its head (and, where `events` is given, its first event), then one line of
JSON: events, bytes and seconds since then, and the delays (milliseconds).
"""

from __future__ import annotations

import time

CONNECTED = 120.0  # seconds until all streams have begun
SILENCE = 10.0  # seconds after which nothing more comes, where a number of events was given
# Of a time in milliseconds, by its base; the hexadecimal one has three digits more, a counter.
DIGITS = {0: 0, 10: 13, 16: 12}


def delay(data: bytes, stamp: bytes, base: int) -> float | None:
    """How long ago the newest event of these bytes was sent, in milliseconds; None where its time is not whole."""
    at = data.rfind(stamp)
    text = data[at + len(stamp) :][: DIGITS[base]] if at >= 0 else b""
    if not base or len(text) < DIGITS[base]:
        return None
    sent, now = int(text, base), time.time() * 1000
    return (now - (sent >> 12)) % (1 << 36) if base == 16 else now - sent
