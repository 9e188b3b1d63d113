"""Ids as OpenCode writes them: a kind, the time in 12 hex digits, and 14 characters of chance.

The digits are those of milliseconds times 4,096 plus a counter, modulo 2**48: ids of one server sort by age. A
session's digits are inverted, so the newest sorts first.
"""

from __future__ import annotations

import random
import string

from reference_server.session import now

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
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
        return f"{kind}_{digits:012x}{''.join(self._random.choices(BASE62, k=14))}"
