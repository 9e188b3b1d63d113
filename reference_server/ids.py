"""Ids as OpenCode writes them: a kind, the time in 12 hex digits, and 14 characters of chance.

The digits are those of milliseconds times 4,096 plus a counter, modulo 2**48: ids of one server sort by age. A
session's digits are inverted, so the newest sorts first.
"""

from __future__ import annotations

import random
import string

from reference_server.session import now

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PAIRS = ([first + second for first in BASE62 for second in BASE62] * 2)[
    :4096
]  # for twelve bits of chance each
_SHIFTS = range(0, 84, 12)
_SPAN = 1 << 48


class Ids:
    """Makes ids, each later than the one before it."""

    def __init__(self) -> None:
        self._newest = 0
        self._random = random.Random()  # ids are no secrets

    def make(self, kind: str, *, descending: bool = False) -> str:
        """An id such as `evt_1fae6c552001` and 14 more."""
        self._newest = max(self._newest + 1, now() << 12 | 1)
        digits = (~self._newest if descending else self._newest) % _SPAN
        chance = self._random.getrandbits(84)
        return f"{kind}_{digits:012x}" + "".join([_PAIRS[chance >> shift & 4095] for shift in _SHIFTS])
